"""The table of key types, and how a public key is read from its blob or its line.

Called by the key exchange (the server's key), authentication (the user's), and every file parser.  A new
type is one file and one line in KEY_TYPES.
"""

import binascii
from typing import Literal, NamedTuple

from . import ecdsa, ed25519, rsa
from .errors import KeyFormatError, UnsupportedKey, WireError
from .key import PrivateKey, PublicKey
from .text import quoted
from .wire import WireReader


class KeyType(NamedTuple):
    """What there is to know of a key type before any key of it is met."""

    public: type[PublicKey]
    private: type[PrivateKey]
    #: Best first; the same as every key of the type will say.
    signature_algorithms: tuple[str, ...]


def _ecdsa(name: str) -> KeyType:
    return KeyType(ecdsa.ECDSAPublicKey, ecdsa.ECDSAPrivateKey, (name,))


#: Key type name, as in the blob: best first.
KEY_TYPES: dict[str, KeyType] = {
    "ssh-ed25519": KeyType(ed25519.Ed25519PublicKey, ed25519.Ed25519PrivateKey, ed25519.ALGORITHMS),
    "ecdsa-sha2-nistp256": _ecdsa("ecdsa-sha2-nistp256"),
    "ecdsa-sha2-nistp384": _ecdsa("ecdsa-sha2-nistp384"),
    "ecdsa-sha2-nistp521": _ecdsa("ecdsa-sha2-nistp521"),
    "ssh-rsa": KeyType(rsa.RSAPublicKey, rsa.RSAPrivateKey, rsa.ALGORITHMS),
}

#: A blob of the largest RSA key has 2 KiB; certificates will be larger.
MAX_BLOB_BYTES = 32768


def parse_public_key(blob: bytes | memoryview, comment: str = "", place: str = "") -> PublicKey:
    """Read a key blob whole; `place` is named in errors.

    Raises UnsupportedKey for a type that is not in the table, KeyFormatError for anything damaged.
    """
    if len(blob) > MAX_BLOB_BYTES:
        raise KeyFormatError(f"the key has {len(blob)} bytes, at most {MAX_BLOB_BYTES} allowed", place)
    reader = WireReader(blob)
    try:
        name = reader.text("key type")
        kind = KEY_TYPES.get(name)
        if kind is None:
            raise UnsupportedKey(f"key type {quoted(name, 64)} is not supported")
        key = kind.public.read(name, reader, bytes(blob), comment)
        reader.finish("public key")
    except WireError as error:
        raise KeyFormatError(f"the public key is damaged: {error}", place) from None
    except (KeyFormatError, UnsupportedKey) as error:
        raise type(error)(error.cause, place) from None
    return key


def decode_blob(key_type: str, text: str, place: str = "") -> bytes:
    """Return the blob that a trust file or .pub line holds in base64.

    The type that the blob names must be the one declared beside it (rule R38); nothing further is read.
    """
    try:
        blob = binascii.a2b_base64(text.encode("ascii"), strict_mode=True)
        declared = key_type.encode("ascii")
    except (binascii.Error, UnicodeEncodeError):
        raise KeyFormatError("the key is not base64", place) from None
    try:
        named = WireReader(blob).string("key type")
    except WireError as error:
        raise KeyFormatError(f"the public key is damaged: {error}", place) from None
    if named != declared:
        what = f"{quoted(named, 64)} but is declared as {quoted(key_type, 64)}"
        raise KeyFormatError(f"the key is of type {what}", place)
    return blob


def parse_public_line(text: str, place: str = "") -> PublicKey:
    """Read a line as in a .pub file: type, base64, and the comment to the end of the line."""
    fields = text.strip().split(None, 2)
    if len(fields) < 2:
        raise KeyFormatError("not a public key line", place)
    blob = decode_blob(fields[0], fields[1], place)
    return parse_public_key(blob, fields[2] if len(fields) == 3 else "", place)


def wrap_private_key(handle: object, comment: str = "", place: str = "") -> PrivateKey:
    """Return the private key that holds an object of cryptography; UnsupportedKey if SSH has no such type."""
    tried: set[type[PrivateKey]] = set()
    try:
        for kind in KEY_TYPES.values():
            if kind.private not in tried:
                tried.add(kind.private)
                key = kind.private.from_cryptography(handle, comment)
                if key is not None:
                    return key
    except (KeyFormatError, UnsupportedKey) as error:
        raise type(error)(error.cause, place) from None
    raise UnsupportedKey("a private key of this type is not supported", place)


def generate_private_key(
    kind: Literal["ed25519", "ecdsa", "rsa"], bits: int | None = None, comment: str = ""
) -> PrivateKey:
    """Make a new key; `bits` is 256, 384 or 521 for ecdsa (256), 2048 to 16384 for rsa (3072)."""
    if kind == "ed25519":
        if bits not in (None, 256):
            raise UnsupportedKey(f"no ed25519 key has {bits} bits; the size is fixed")
        return ed25519.Ed25519PrivateKey.generate(comment)
    if kind == "ecdsa":
        return ecdsa.ECDSAPrivateKey.generate(bits or 256, comment)
    if kind == "rsa":
        return rsa.RSAPrivateKey.generate(bits or rsa.DEFAULT_BITS, comment)
    raise UnsupportedKey(f"unknown key type {quoted(str(kind))}; ed25519, ecdsa and rsa are known")
