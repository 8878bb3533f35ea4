"""Short forms of a public key for people: fingerprints and the picture of OpenSSH.

Called by keys, commands and logs.  "SHA256:" is followed by base64 without its padding, "MD5:" by hex
pairs (RFC 4716 section 4); the picture is the "drunken bishop" walk over a field of 17 by 9; bubble-babble
makes words that can be read aloud.
"""

from .errors import UnsupportedKey
from .text import quoted

FINGERPRINT_HASHES = ("sha256", "md5")

_WIDTH, _HEIGHT = 17, 9
# Visits of a square from none upwards; the last two mark the start and the end of the walk.
_SYMBOLS = " .o+=*BOX@%&#/^SE"

_VOWELS = "aeiouy"
_CONSONANTS = "bcdfghklmnprstvzx"


def _digest(blob: bytes, hash_name: str) -> bytes:
    import hashlib

    if hash_name == "sha256":
        return hashlib.sha256(blob).digest()
    if hash_name == "md5":
        return hashlib.md5(blob, usedforsecurity=False).digest()
    raise UnsupportedKey(f"unknown fingerprint hash {quoted(hash_name)}; sha256 and md5 are known")


def fingerprint(blob: bytes, hash_name: str = "sha256") -> str:
    """Return "SHA256:..." or "MD5:aa:bb:..." of a key blob."""
    digest = _digest(blob, hash_name)
    if hash_name == "md5":
        return "MD5:" + digest.hex(":")
    from binascii import b2a_base64

    return "SHA256:" + b2a_base64(digest, newline=False).decode("ascii").rstrip("=")


def bubble_babble(blob: bytes) -> str:
    """Return the SHA-1 hash of a key blob as words: "xesop-...-xox" (draft-huima-babble-01).

    Only `ssh-keygen -B` still shows it; its hash is too weak to decide on a key by.
    """
    import hashlib

    digest = hashlib.sha1(blob, usedforsecurity=False).digest()
    words = ["x"]
    checksum = 1
    for i in range(0, len(digest) - 1, 2):
        first, second = digest[i], digest[i + 1]
        words += _syllable(first, checksum)
        words += (_CONSONANTS[second >> 4], "-", _CONSONANTS[second & 15])
        checksum = (checksum * 5 + first * 7 + second) % 36
    # The hash has an even number of bytes, so that the last syllable holds the checksum alone.
    words += (_VOWELS[checksum % 6], _CONSONANTS[16], _VOWELS[checksum // 6], "x")
    return "".join(words)


def _syllable(octet: int, checksum: int) -> tuple[str, str, str]:
    return (
        _VOWELS[((octet >> 6 & 3) + checksum) % 6],
        _CONSONANTS[octet >> 2 & 15],
        _VOWELS[((octet & 3) + checksum // 6) % 6],
    )


def randomart(blob: bytes, title: str, hash_name: str = "sha256") -> str:
    """Return the key's picture, 11 lines; `title` is "ED25519 256" or the like."""
    field = [0] * (_WIDTH * _HEIGHT)
    x, y = _WIDTH // 2, _HEIGHT // 2
    for octet in _digest(blob, hash_name):
        for shift in (0, 2, 4, 6):
            step = octet >> shift
            x = min(max(x + (1 if step & 1 else -1), 0), _WIDTH - 1)
            y = min(max(y + (1 if step & 2 else -1), 0), _HEIGHT - 1)
            square = y * _WIDTH + x
            field[square] = min(field[square] + 1, len(_SYMBOLS) - 3)
    field[_HEIGHT // 2 * _WIDTH + _WIDTH // 2] = len(_SYMBOLS) - 2
    field[y * _WIDTH + x] = len(_SYMBOLS) - 1
    rows = ("".join(_SYMBOLS[n] for n in field[r * _WIDTH : (r + 1) * _WIDTH]) for r in range(_HEIGHT))
    lines = [f"+{_frame(title)}+", *(f"|{row}|" for row in rows), f"+{_frame(hash_name.upper())}+"]
    return "\n".join(lines)


def _frame(label: str) -> str:
    """Set a label in the middle of a line of dashes; the odd dash goes to the right."""
    label = f"[{label}]"[:_WIDTH]
    left = (_WIDTH - len(label)) // 2
    return "-" * left + label + "-" * (_WIDTH - len(label) - left)
