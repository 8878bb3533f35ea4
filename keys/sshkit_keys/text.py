"""Makes text of a peer or a file fit to be shown to a person (rule R36).

Called wherever a message quotes what somebody else wrote: key comments, host names, options.
"""


def printable(text: str | bytes | memoryview, limit: int = 200, keep: str = "") -> str:
    """Escape control, bidirectional and other invisible characters, and cut at `limit` characters.

    Characters in `keep` stay as they are: newlines and tabs of a login banner, nothing elsewhere.
    """
    if not isinstance(text, str):
        text = bytes(text[: limit * 4 + 4]).decode("utf-8", "backslashreplace")
    if len(text) > limit:
        text = text[:limit] + "..."
    if text.isprintable():
        return text
    # isprintable is false for all of C0, C1, DEL, the format characters (bidi among them), line
    # separators, unusual spaces and lone surrogates.
    return "".join(
        c if c.isprintable() or c in keep else c.encode("unicode_escape").decode("ascii") for c in text
    )


def quoted(text: str | bytes, limit: int = 200) -> str:
    """Return printable text between quotes."""
    return f"'{printable(text, limit)}'"
