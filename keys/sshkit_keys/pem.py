"""The armour around private keys: BEGIN and END lines, headers and base64 (RFC 7468, RFC 1421).

Called by `key_files` to tell the formats apart.
"""

import binascii
from typing import NamedTuple

from .errors import KeyFormatError, UnsupportedKey
from .text import quoted


class Armour(NamedTuple):
    """One block: "RSA PRIVATE KEY", its headers, and the bytes inside."""

    label: str
    headers: dict[str, str]
    body: bytes

    def to_pem(self) -> bytes:
        """Return the block again, headers included: the form that cryptography decrypts."""
        lines = [f"-----BEGIN {self.label}-----"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        lines += [""] if self.headers else []
        return "\n".join(lines).encode("ascii") + b"\n" + armour_body(self.label, self.body, 64)


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
    if data.startswith(b"PuTTY-User-Key-File-"):
        raise UnsupportedKey("keys in PuTTY's format are not supported", place)
    lines = [line.rstrip() for line in data.splitlines()]
    for number, line in enumerate(lines):
        if not line.startswith(b"-----BEGIN ") or not line.endswith(b" PRIVATE KEY-----"):
            if not line.startswith(b"---- BEGIN SSH2 ENCRYPTED PRIVATE KEY"):
                continue
            raise UnsupportedKey("keys in ssh.com's format are not supported", place)
        label = line[11:-5]
        try:
            end = lines.index(b"-----END " + label + b"-----", number + 1)
        except ValueError:
            raise KeyFormatError(f"line {number + 1}: the private key has no END line", place) from None
        headers, start = _headers(lines, number + 1, end, place)
        try:
            name = label.decode("ascii")
            body = binascii.a2b_base64(b"".join(lines[start:end]), strict_mode=True)
        except (UnicodeDecodeError, binascii.Error):
            raise KeyFormatError(f"line {start + 1}: the private key is not base64", place) from None
        return Armour(name, headers, body)
    if lines and lines[0].split(None, 1)[:1] and lines[0].split(None, 1)[0].startswith((b"ssh-", b"ecdsa-")):
        raise KeyFormatError("a public key, where a private key is needed", place)
    raise KeyFormatError("not a private key", place)


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
    return headers, start
