"""Private keys in PuTTY's format, PPK of versions 2 and 3 (PuTTY's manual, appendix C).

Called by `key_files` and by PrivateKey.to_putty.  Lines of "Name: value", base64 with its number of lines in
front, and a MAC over everything that matters, which the passphrase keys; what lies in the two halves is in
`putty_fields`, how the passphrase is stretched in `putty_secrets`.
"""

import binascii
from collections.abc import Callable
from typing import NamedTuple

from .errors import KeyFormatError, PassphraseRequired, UnsupportedKey, WireError, WrongPassphrase
from .key import PrivateKey, PublicKey
from .key_types import parse_public_key
from .putty_fields import read_private, write_private
from .putty_secrets import BLOCK_BYTES, Derivation, Secrets, crypt, derive
from .text import printable, quoted
from .wire import string

_MAGIC = b"PuTTY-User-Key-File-"
ENCRYPTION = "aes256-cbc"
#: Base64 of the largest RSA key: 90 lines of 64 characters; OpenSSH's limit for a blob gives 700.
MAX_BODY_LINES = 1024
MAX_LINE_BYTES = 4096
_WIDTH = 64
#: Lines of a file: its heads, the derivation's, and the two bodies.
_MAX_LINES = 2 * MAX_BODY_LINES + 32


class PuttyFile(NamedTuple):
    """A file, taken apart but not opened."""

    public: PublicKey
    version: int
    key_type: bytes
    encryption: bytes
    comment: bytes
    blob: bytes
    #: None: the private half is not encrypted, or the file is of version 2.
    derivation: Derivation | None
    sealed: bytes
    mac: bytes

    @property
    def is_encrypted(self) -> bool:
        """Whether opening the private half takes a passphrase."""
        return self.encryption != b"none"

    def __repr__(self) -> str:
        return f"<PuttyFile {self.public.key_type}>"


class _Lines:
    """The lines of a file; errors name the one that was read last."""

    __slots__ = ("lines", "number", "place")

    def __init__(self, data: bytes, place: str) -> None:
        self.lines = data.split(b"\n", _MAX_LINES)
        self.number = 0
        self.place = place

    @property
    def here(self) -> str:
        return f"{self.place}:{self.number}" if self.place else ""

    def line(self) -> bytes:
        if self.number == len(self.lines):
            raise KeyFormatError("the file ends too early", self.here)
        line = self.lines[self.number].rstrip(b"\r")
        self.number += 1
        if len(line) > MAX_LINE_BYTES:
            raise KeyFormatError(f"a line of more than {MAX_LINE_BYTES} bytes", self.here)
        return line

    def header(self, name: str) -> bytes:
        """Return the value of the next line, whose name must be `name`."""
        found, separator, value = self.line().partition(b": ")
        if found != name.encode("ascii") or (not separator and name != "Comment"):
            raise KeyFormatError(f"{quoted(found, 64)} stands where {name} should", self.here)
        return value

    def number_of(self, name: str) -> int:
        value = self.header(name)
        if not value.isdigit() or len(value) > 9:
            raise KeyFormatError(f"{name} is no number", self.here)
        return int(value)

    def hexadecimal(self, name: str) -> bytes:
        value = self.header(name)
        try:
            return binascii.a2b_hex(value)
        except binascii.Error:
            raise KeyFormatError(f"{name} is not hexadecimal", self.here) from None

    def body(self, name: str) -> bytes:
        """Return the bytes of the next lines of base64."""
        count = self.number_of(name)
        if count > MAX_BODY_LINES:
            raise KeyFormatError(f"{name} says {count}, at most {MAX_BODY_LINES} allowed", self.here)
        text = b"".join([self.line() for _ in range(count)])
        try:
            return binascii.a2b_base64(text, strict_mode=True)
        except binascii.Error:
            raise KeyFormatError(f"the {count} lines before are not base64", self.here) from None


def read_putty(data: bytes, place: str = "") -> PuttyFile:
    """Take a file apart; its public half is checked, its MAC is not yet."""
    lines = _Lines(data, place)
    head, _, key_type = lines.line().partition(b": ")
    version = head[len(_MAGIC) :]
    if version == b"1":
        raise UnsupportedKey("PuTTY's format of version 1 is not supported", place)
    if version not in (b"2", b"3") or not head.startswith(_MAGIC):
        raise UnsupportedKey(f"PuTTY's format of version {quoted(version, 16)} is not supported", place)
    encryption = lines.header("Encryption")
    if encryption not in (b"none", ENCRYPTION.encode("ascii")):
        raise UnsupportedKey(f"encryption {quoted(encryption, 64)} is not supported", lines.here)
    comment = lines.header("Comment")
    blob = lines.body("Public-Lines")
    public = parse_public_key(blob, comment.decode("utf-8", "replace"), lines.here)
    if public.key_type.encode("ascii") != key_type:
        raise KeyFormatError(f"the {public.key_type} key is declared as {quoted(key_type, 64)}", place)
    derivation = None
    if version == b"3" and encryption != b"none":
        flavour = lines.header("Key-Derivation")
        memory = lines.number_of("Argon2-Memory")
        passes = lines.number_of("Argon2-Passes")
        parallelism = lines.number_of("Argon2-Parallelism")
        derivation = Derivation(flavour, memory, passes, parallelism, lines.hexadecimal("Argon2-Salt"))
        derivation.check(place)
    sealed = lines.body("Private-Lines")
    if encryption != b"none" and len(sealed) % BLOCK_BYTES:
        raise KeyFormatError(f"{len(sealed)} encrypted bytes are not whole blocks", lines.here)
    mac = lines.hexadecimal("Private-MAC")
    if any(line.strip() for line in lines.lines[lines.number :]):
        lines.number += 1
        raise KeyFormatError("text after the end of the key", lines.here)
    return PuttyFile(public, int(version), key_type, encryption, comment, blob, derivation, sealed, mac)


def parse_putty_private(file: PuttyFile, passphrase: bytes | None, place: str = "") -> PrivateKey:
    """Read the private half; the passphrase is not looked at if it is not encrypted."""
    encrypted = file.is_encrypted
    if encrypted and passphrase is None:
        raise PassphraseRequired("the key is encrypted; a passphrase is needed", place)
    secrets = derive(file.version, passphrase if encrypted else None, file.derivation)
    plain = crypt(secrets, file.sealed, False) if encrypted else file.sealed
    fields = (file.key_type, file.encryption, file.comment, file.blob, plain)
    if not secrets.matches(b"".join(map(string, fields)), file.mac):
        if encrypted:
            raise WrongPassphrase("wrong passphrase, or the key is damaged", place)
        raise KeyFormatError("the private key is damaged: its MAC does not match", place)
    try:
        key = read_private(file.public, plain)
    except WireError as error:
        raise KeyFormatError(f"the private key is damaged: {error}", place) from None
    except (KeyFormatError, UnsupportedKey) as error:
        raise type(error)(error.cause, place) from None
    if key.public != file.public:
        raise KeyFormatError("the private key is damaged: its two halves are different keys", place)
    key.comment = file.public.comment
    return key


def format_putty(
    key: PrivateKey, passphrase: bytes | None, version: int, random_bytes: Callable[[int], bytes] | None
) -> bytes:
    """Return the whole file; see PrivateKey.to_putty."""
    import hashlib

    if version not in (2, 3):
        raise UnsupportedKey(f"PuTTY's format of version {version} is not written; 2 and 3 are")
    plain = write_private(key)
    name = key.public.key_type
    comment = printable(key.comment, 1024)
    lines = [f"PuTTY-User-Key-File-{version}: {name}"]
    lines += [f"Encryption: {ENCRYPTION if passphrase else 'none'}", f"Comment: {comment}"]
    lines += _base64("Public-Lines", key.public.blob)
    derivation = None
    if passphrase:
        plain += hashlib.sha1(plain, usedforsecurity=False).digest()[: -len(plain) % BLOCK_BYTES]
        if version == 3:
            if random_bytes is None:
                raise UnsupportedKey("an encrypted key of version 3 needs a source of randomness")
            derivation = Derivation.default(random_bytes(16))
            lines += derivation.lines()
    secrets: Secrets = derive(version, passphrase, derivation)
    encryption = ENCRYPTION if passphrase else "none"
    head = string(name) + string(encryption) + string(comment)
    mac = secrets.mac(head + string(key.public.blob) + string(plain))
    lines += _base64("Private-Lines", crypt(secrets, plain, True) if passphrase else plain)
    return "\n".join([*lines, f"Private-MAC: {mac.hex()}", ""]).encode()


def _base64(name: str, body: bytes) -> list[str]:
    text = binascii.b2a_base64(body, newline=False).decode("ascii")
    lines = [text[i : i + _WIDTH] for i in range(0, len(text), _WIDTH)]
    return [f"{name}: {len(lines)}", *lines]
