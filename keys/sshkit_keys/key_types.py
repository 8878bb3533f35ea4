"""The table of key types, and how a public key is read from its blob or its line.

Called by the key exchange (the server's key), authentication (the user's), and every file parser.  A new
type is one file and one line in KEY_TYPES.
"""

import binascii
from typing import TYPE_CHECKING, Literal

from .errors import KeyFormatError, UnsupportedKey, WireError
from .text import quoted
from .wire import WireReader

if TYPE_CHECKING:
    from .key import PrivateKey, PublicKey


class KeyType:
    """What there is to know of a key type before any key of it is met."""

    __slots__ = ("_classes", "_home", "_names", "fields", "signature_algorithms")

    def __init__(
        self, home: str, public: str, private: str, fields: int, signature_algorithms: tuple[str, ...]
    ) -> None:
        """Name the module and its two classes, which are imported on first use only."""
        self._home = home
        self._names = (public, private)
        self._classes: tuple[type[PublicKey], type[PrivateKey]] | None = None
        #: How many strings and numbers the blob has after the name: what a certificate's reader skips.
        self.fields = fields
        #: Best first; the same as every key of the type will say.
        self.signature_algorithms = signature_algorithms

    def _load(self) -> "tuple[type[PublicKey], type[PrivateKey]]":
        if self._classes is None:
            from importlib import import_module

            home = import_module(f".{self._home}", __package__)
            public, private = self._names
            self._classes = (getattr(home, public), getattr(home, private))
        return self._classes

    @property
    def public(self) -> "type[PublicKey]":
        """The class of its public keys."""
        return self._load()[0]

    @property
    def private(self) -> "type[PrivateKey]":
        """The class of its private keys."""
        return self._load()[1]


def _ecdsa(name: str) -> KeyType:
    return KeyType("ecdsa", "ECDSAPublicKey", "ECDSAPrivateKey", 2, (name,))


#: Key type name, as in the blob: best first.  What a client or server accepts is `Algorithms`' to say.
KEY_TYPES: dict[str, KeyType] = {
    "ssh-ed25519": KeyType("ed25519", "Ed25519PublicKey", "Ed25519PrivateKey", 1, ("ssh-ed25519",)),
    "ecdsa-sha2-nistp256": _ecdsa("ecdsa-sha2-nistp256"),
    "ecdsa-sha2-nistp384": _ecdsa("ecdsa-sha2-nistp384"),
    "ecdsa-sha2-nistp521": _ecdsa("ecdsa-sha2-nistp521"),
    "ssh-rsa": KeyType("rsa", "RSAPublicKey", "RSAPrivateKey", 2, ("rsa-sha2-512", "rsa-sha2-256")),
    "sk-ssh-ed25519@openssh.com": KeyType(
        "security_keys", "SKEd25519PublicKey", "SKEd25519PrivateKey", 2, ("sk-ssh-ed25519@openssh.com",)
    ),
    "sk-ecdsa-sha2-nistp256@openssh.com": KeyType(
        "security_keys",
        "SKECDSAPublicKey",
        "SKECDSAPrivateKey",
        3,
        ("sk-ecdsa-sha2-nistp256@openssh.com", "webauthn-sk-ecdsa-sha2-nistp256@openssh.com"),
    ),
    "ssh-ed448": KeyType("ed448", "Ed448PublicKey", "Ed448PrivateKey", 1, ("ssh-ed448",)),
    "ssh-mldsa44-ed25519@openssh.com": KeyType(
        "mldsa_ed25519",
        "MLDSAEd25519PublicKey",
        "MLDSAEd25519PrivateKey",
        1,
        ("ssh-mldsa44-ed25519@openssh.com",),
    ),
    # Shown, converted and fingerprinted; it signs nothing.
    "ssh-dss": KeyType("dsa", "DSAPublicKey", "DSAPrivateKey", 4, ()),
}

#: A blob of the largest RSA key has 2 KiB; certificates will be larger.
MAX_BLOB_BYTES = 32768


def parse_public_key(blob: bytes | memoryview, comment: str = "", place: str = "") -> "PublicKey":
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
            if name.endswith("-cert-v01@openssh.com"):
                raise UnsupportedKey(f"{quoted(name, 64)} is a certificate; a plain key is wanted here")
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


def parse_public_line(text: str, place: str = "") -> "PublicKey":
    """Read a line as in a .pub file: type, base64, and the comment to the end of the line."""
    fields = text.strip().split(None, 2)
    if len(fields) < 2:
        raise KeyFormatError("not a public key line", place)
    blob = decode_blob(fields[0], fields[1], place)
    return parse_public_key(blob, fields[2] if len(fields) == 3 else "", place)


def wrap_private_key(handle: object, comment: str = "", place: str = "") -> "PrivateKey":
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


#: What generate_private_key makes.
Kind = Literal["ed25519", "ed448", "ecdsa", "rsa", "mldsa44-ed25519", "ed25519-sk", "ecdsa-sk"]
_FIXED_BITS = {"ed25519": 256, "ed448": 456, "mldsa44-ed25519": 256, "ed25519-sk": 256, "ecdsa-sk": 256}


def generate_private_key(kind: Kind, bits: int | None = None, comment: str = "") -> "PrivateKey":
    """Make a new key; `bits` is 256, 384 or 521 for ecdsa (256), 2048 to 16384 for rsa (3072).

    "ed25519-sk" and "ecdsa-sk" are made by a security key that is plugged in and has to be touched; they
    take the extra ``sshkit[fido2]``.  `security_keys.enroll` knows more of them.
    """
    fixed = _FIXED_BITS.get(kind)
    if fixed is not None and bits not in (None, fixed):
        raise UnsupportedKey(f"no {kind} key has {bits} bits; the size is fixed")
    if kind == "ed25519":
        from .ed25519 import Ed25519PrivateKey

        return Ed25519PrivateKey.generate(comment)
    if kind == "ecdsa":
        from .ecdsa import ECDSAPrivateKey

        return ECDSAPrivateKey.generate(bits or 256, comment)
    if kind == "rsa":
        from .rsa import DEFAULT_BITS, RSAPrivateKey

        return RSAPrivateKey.generate(bits or DEFAULT_BITS, comment)
    if kind == "ed448":
        from .ed448 import Ed448PrivateKey

        return Ed448PrivateKey.generate(comment)
    if kind == "mldsa44-ed25519":
        from .mldsa_ed25519 import MLDSAEd25519PrivateKey

        return MLDSAEd25519PrivateKey.generate(comment)
    if kind in ("ed25519-sk", "ecdsa-sk"):
        from .security_key_devices import enroll

        return enroll(kind, comment)
    known = "ed25519, ed448, ecdsa, rsa, mldsa44-ed25519, ed25519-sk and ecdsa-sk"
    raise UnsupportedKey(f"unknown key type {quoted(str(kind))}; {known} are known")
