"""Ed25519 keys: ssh-ed25519 (RFC 8709).

Named in the table of `key_types`.  OpenSSL refuses a signature whose S is not below the group's order,
so that nobody can turn one valid signature into another (RFC 8032 section 5.1.7; rule R6).
"""

from typing import TYPE_CHECKING, Self

from .errors import KeyFormatError, SignatureError, UnsupportedKey
from .key import PrivateKey, PublicKey, contradiction
from .text import quoted
from .wire import WireReader, string, uint32

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ed25519

KEY_TYPE = "ssh-ed25519"
ALGORITHMS = (KEY_TYPE,)
KEY_BYTES = 32
SIGNATURE_BYTES = 64

_PUBLIC_PREFIX = string(KEY_TYPE) + uint32(KEY_BYTES)
_SIGNATURE_PREFIX = string(KEY_TYPE) + uint32(SIGNATURE_BYTES)


class Ed25519PublicKey(PublicKey):
    """A public key of 32 bytes."""

    __slots__ = ("_verifier",)

    label = "ED25519"

    def __init__(self, blob: bytes, comment: str = "") -> None:
        self.key_type = KEY_TYPE
        self.blob = blob
        self.comment = comment
        self.signature_algorithms = ALGORITHMS
        self._verifier: ed25519.Ed25519PublicKey | None = None

    @classmethod
    def read(cls, key_type: str, reader: WireReader, blob: bytes, comment: str) -> Self:
        size = len(reader.view("public key"))
        if size != KEY_BYTES:
            raise KeyFormatError(f"an ed25519 public key has {KEY_BYTES} bytes, not {size}")
        return cls(blob, comment)

    @property
    def bits(self) -> int:
        return 256

    def _verify(self, algorithm: str, data: bytes, signature: bytes) -> None:
        from cryptography.exceptions import InvalidSignature

        if len(signature) != SIGNATURE_BYTES:
            raise SignatureError(f"an ed25519 signature has {SIGNATURE_BYTES} bytes, not {len(signature)}")
        verifier = self._verifier
        if verifier is None:
            from cryptography.hazmat.primitives.asymmetric import ed25519

            verifier = ed25519.Ed25519PublicKey.from_public_bytes(self.blob[-KEY_BYTES:])
            self._verifier = verifier
        try:
            verifier.verify(signature, data)
        except InvalidSignature:
            raise SignatureError("the ed25519 signature does not verify") from None


class Ed25519PrivateKey(PrivateKey):
    """A seed of 32 bytes, kept inside cryptography's object."""

    __slots__ = ("_signer",)

    def __init__(self, signer: "ed25519.Ed25519PrivateKey", comment: str = "") -> None:
        self._signer = signer
        self.public = Ed25519PublicKey(_PUBLIC_PREFIX + signer.public_key().public_bytes_raw(), comment)

    @classmethod
    def generate(cls, comment: str = "") -> Self:
        """Make a new key from the operating system's randomness."""
        from cryptography.hazmat.primitives.asymmetric import ed25519

        return cls(ed25519.Ed25519PrivateKey.generate(), comment)

    @classmethod
    def read(cls, key_type: str, reader: WireReader) -> Self:
        from cryptography.hazmat.primitives.asymmetric import ed25519

        public = reader.view("public key")
        secret = reader.view("private key")
        if len(public) != KEY_BYTES or len(secret) != 2 * KEY_BYTES:
            raise contradiction(
                f"an ed25519 pair of {len(public)} and {len(secret)} bytes, expected 32 and 64"
            )
        key = cls(ed25519.Ed25519PrivateKey.from_private_bytes(secret[:KEY_BYTES]))
        derived = key.public.blob[-KEY_BYTES:]
        if public != derived or secret[KEY_BYTES:] != derived:
            raise contradiction("the public half does not belong to the private half")
        return key

    @classmethod
    def from_cryptography(cls, handle: object, comment: str = "") -> Self | None:
        from cryptography.hazmat.primitives.asymmetric import ed25519

        return cls(handle, comment) if isinstance(handle, ed25519.Ed25519PrivateKey) else None

    def _private_fields(self) -> bytes:
        public = self.public.blob[-KEY_BYTES:]
        return string(public) + string(self._signer.private_bytes_raw() + public)

    def _handle(self) -> "ed25519.Ed25519PrivateKey":
        return self._signer

    def sign(self, algorithm: str, data: bytes) -> bytes:
        if algorithm != KEY_TYPE:
            raise UnsupportedKey(f"an ed25519 key cannot sign with {quoted(algorithm)}")
        return _SIGNATURE_PREFIX + self._signer.sign(data)
