"""What shall be revoked, as people write it (ssh-keygen(1), KEY REVOCATION LISTS).

Called by `revocation` for sshkit-keygen -k.  A line that is not understood is an error with its place, not a
warning: a key that somebody wanted revoked must not slip through.
"""

from typing import TYPE_CHECKING

from .certificates import parse_key_or_certificate_line
from .errors import KeyFormatError
from .text import quoted

if TYPE_CHECKING:
    from .key import PublicKey
    from .revocation import RevocationList

_DIGITS = {10: "0123456789", 16: "0123456789abcdefABCDEF", 8: "01234567"}


def read_spec(
    target: "RevocationList", data: bytes, authority: "PublicKey | None", any_authority: bool, place: str
) -> None:
    """Add to `target` what the lines say; see RevocationList.update."""
    for number, raw in enumerate(data.split(b"\n"), 1):
        text = raw.decode("utf-8", "surrogateescape").partition("#")[0].strip(" \t\r")
        if text:
            _read_line(target, text, authority, any_authority, f"{place}:{number}")


def _read_line(
    target: "RevocationList", text: str, authority: "PublicKey | None", any_authority: bool, place: str
) -> None:
    word, colon, rest = text.partition(":")
    word, rest = (word.lower(), rest.strip(" \t")) if colon else ("", text)
    if word in ("serial", "id"):
        if authority is None and not any_authority:
            raise KeyFormatError(f"revoking certificates by {word} needs their authority's key", place)
        if word == "serial":
            low, high = _serials(rest, place)
            target.revoke_serials(authority, low, high)
        elif not rest:
            raise KeyFormatError("no key id", place)
        else:
            target.revoke_key_id(authority, rest)
    elif word == "hash":
        target.revoke_fingerprint(rest, place)
    elif word in ("key", "sha1", "sha256"):
        key = parse_key_or_certificate_line(rest, place, allow_sha1=True)
        if word == "key":
            target.revoke_key(key, explicit=True)
        else:
            target.revoke_hash(key, word)
    else:
        target.revoke_key(parse_key_or_certificate_line(text, place, allow_sha1=True))


def _serials(text: str, place: str) -> tuple[int, int]:
    """Read "7", "7-9" or "0x10"; both ends are included."""
    first, dash, second = text.partition("-")
    low = _number(first.strip(" \t"), text, place)
    high = _number(second.strip(" \t"), text, place) if dash else low
    if dash and high <= low:
        raise KeyFormatError(f"{quoted(text, 64)} is no range of serials: it ends before it starts", place)
    return low, high


def _number(digits: str, text: str, place: str) -> int:
    base = 10
    if digits[:2] in ("0x", "0X"):
        base, digits = 16, digits[2:]
    elif digits.startswith("0"):
        base = 8
    if not digits or len(digits) > 23 or not set(_DIGITS[base]).issuperset(digits):
        raise KeyFormatError(f"{quoted(text, 64)} is no serial", place)
    number = int(digits, base)
    if not 0 < number < 2**64:
        raise KeyFormatError(f"the serial {number} is not from 1 to 2**64-1", place)
    return number
