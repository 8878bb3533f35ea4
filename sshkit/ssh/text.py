"""Making a peer's text harmless to show or log (R36).

Called wherever bytes of the peer reach a person: banners, disconnect messages, identifications.
"""

BIDI_CONTROLS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def printable(data: bytes | memoryview | str, keep: str = "") -> str:
    """Return `data` as text with control and bidirectional characters escaped, except those in `keep`.

    Bytes that are not UTF-8 appear as ``\\xNN``.
    """
    text = data if isinstance(data, str) else bytes(data).decode("utf-8", "backslashreplace")
    if text.isprintable() and not BIDI_CONTROLS.intersection(text):
        return text
    return "".join(char if char in keep or _harmless(char) else _escape(char) for char in text)


def _harmless(char: str) -> bool:
    return char.isprintable() and char not in BIDI_CONTROLS


def _escape(char: str) -> str:
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
