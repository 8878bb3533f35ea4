"""The armour around private keys: BEGIN and END lines, headers and base64 (RFC 7468, RFC 1421).

Called by `key_files` to tell the formats apart.
"""

import binascii
from typing import NamedTuple

from .errors import KeyFormatError, UnsupportedKey
from .text import printable, quoted

_SSH1 = b"SSH PRIVATE KEY FILE FORMAT 1.1"
_SSHCOM = b"---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----"
#: How the types' names begin in the line of a .pub file.
_PUBLIC_TYPES = (b"ssh-", b"ecdsa-", b"sk-", b"rsa-", b"webauthn-")
#: The largest key, private and encrypted, has 12 KiB; ten times that is no key.
MAX_BASE64_BYTES = 131072
#: Two are in use; all are kept, so that their number is bounded.
_MAX_HEADERS = 16


class Armour(NamedTuple):
    """One block: "RSA PRIVATE KEY", its headers, and the bytes inside."""

    label: str
    headers: dict[str, str]
    body: bytes

    def __repr__(self) -> str:
        # What is inside may be a private key in clear (rule R43).
        return f"<Armour {printable(self.label, 64)} of {len(self.body)} bytes>"


def armour_body(label: str, body: bytes, width: int) -> bytes:
    """Return the base64 lines of a block and its END line."""
    text = binascii.b2a_base64(body, newline=False)
    lines = [text[i : i + width] for i in range(0, len(text), width)]
    return b"\n".join([*lines, f"-----END {label}-----".encode("ascii"), b""])


def armour(label: str, body: bytes, width: int = 70) -> bytes:
    """Return a whole block without headers."""
    return f"-----BEGIN {label}-----\n".encode("ascii") + armour_body(label, body, width)


def find_private(data: bytes, place: str = "") -> Armour:
    """Return the first block whose label ends with PRIVATE KEY; other blocks and text before it are skipped.

    Raises UnsupportedKey for known formats that are not read here, KeyFormatError for anything else.
    """
    if data.startswith(_SSH1):
        raise UnsupportedKey("keys of SSH-1 are not supported", place)
    if data.startswith(_SSHCOM) or b"\n" + _SSHCOM in data:
        raise UnsupportedKey("private keys in ssh.com's format are not supported", place)
    block = _find_block(data, b" PRIVATE KEY", place)
    if block is None:
        if is_public(data):
            raise KeyFormatError("a public key, where a private key is needed", place)
        raise KeyFormatError("not a private key", place)
    return block


def find_public(data: bytes, place: str = "") -> Armour | None:
    """Return the first block whose label ends with PUBLIC KEY, or None."""
    return _find_block(data, b"PUBLIC KEY", place)


def is_public(data: bytes) -> bool:
    """Say whether a file begins as one with a public key does; nothing is checked."""
    if b"-----BEGIN PUBLIC KEY-----" in data or b" PUBLIC KEY ----" in data or b" PUBLIC KEY-----" in data:
        return True
    return data[:64].lstrip().startswith(_PUBLIC_TYPES)


def _find_block(data: bytes, ending: bytes, place: str) -> Armour | None:
    """Return the first block whose label ends so."""
    lines = [line.rstrip() for line in data.splitlines()]
    for number, line in enumerate(lines):
        if not line.startswith(b"-----BEGIN ") or not line.endswith(ending + b"-----"):
            continue
        label = line[11:-5]
        try:
            end = lines.index(b"-----END " + label + b"-----", number + 1)
        except ValueError:
            raise KeyFormatError(f"line {number + 1}: the key has no END line", place) from None
        headers, start = _headers(lines, number + 1, end, place)
        text = b"".join(lines[start:end])
        if len(text) > MAX_BASE64_BYTES:
            raise KeyFormatError(
                f"line {start + 1}: {len(text)} bytes of base64, at most {MAX_BASE64_BYTES} allowed", place
            )
        try:
            name = label.decode("ascii")
            body = binascii.a2b_base64(text, strict_mode=True)
        except (UnicodeDecodeError, binascii.Error):
            raise KeyFormatError(f"line {start + 1}: the key is not base64", place) from None
        return Armour(name, headers, body)
    return None


def _headers(lines: list[bytes], start: int, end: int, place: str) -> tuple[dict[str, str], int]:
    """Return the "Name: value" lines before the base64 and the index of the first line after them."""
    headers: dict[str, str] = {}
    while start < end and b":" in lines[start]:
        name, _, value = lines[start].partition(b":")
        text = value.strip()
        if not name.isascii() or not text.isascii() or b"\0" in name + text:
            raise KeyFormatError(f"line {start + 1}: damaged header {quoted(name)}", place)
        headers[name.decode("ascii").strip()] = text.decode("ascii")
        start += 1
        if len(headers) > _MAX_HEADERS:
            raise KeyFormatError(f"line {start}: more than {_MAX_HEADERS} headers", place)
    return headers, start
