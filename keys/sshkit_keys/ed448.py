"""Ed448 keys: ssh-ed448 (RFC 8709).

Named in the table of `key_types`.  OpenSSH has no such keys; PuTTY and others do.  As with ed25519, a
signature whose S is not below the group's order is refused (RFC 8032 section 5.2.7; rule R6).
"""

from typing import TYPE_CHECKING, Self

from .errors import KeyFormatError, SignatureError, UnsupportedKey
from .key import PrivateKey, PublicKey, contradiction
from .text import quoted
from .wire import WireReader, string, uint32

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ed448

KEY_TYPE = "ssh-ed448"
ALGORITHMS = (KEY_TYPE,)
KEY_BYTES = 57
SIGNATURE_BYTES = 114

_PUBLIC_PREFIX = string(KEY_TYPE) + uint32(KEY_BYTES)
_SIGNATURE_PREFIX = string(KEY_TYPE) + uint32(SIGNATURE_BYTES)


class Ed448PublicKey(PublicKey):
    """A public key of 57 bytes."""

    __slots__ = ("_verifier",)

    label = "ED448"

    def __init__(self, blob: bytes, comment: str = "") -> None:
        self.key_type = KEY_TYPE
        self.blob = blob
        self.comment = comment
        self.signature_algorithms = ALGORITHMS
        self._verifier: ed448.Ed448PublicKey | None = None

    @classmethod
    def read(cls, key_type: str, reader: WireReader, blob: bytes, comment: str) -> Self:
        size = len(reader.view("public key"))
        if size != KEY_BYTES:
            raise KeyFormatError(f"an ed448 public key has {KEY_BYTES} bytes, not {size}")
        return cls(blob, comment)

    @property
    def bits(self) -> int:
        return 456

    def _verify(self, algorithm: str, data: bytes, signature: bytes) -> None:
        from cryptography.exceptions import InvalidSignature

        if len(signature) != SIGNATURE_BYTES:
            raise SignatureError(f"an ed448 signature has {SIGNATURE_BYTES} bytes, not {len(signature)}")
        verifier = self._verifier
        if verifier is None:
            from cryptography.hazmat.primitives.asymmetric import ed448

            verifier = ed448.Ed448PublicKey.from_public_bytes(self.blob[-KEY_BYTES:])
            self._verifier = verifier
        try:
            verifier.verify(signature, data)
        except InvalidSignature:
            raise SignatureError("the ed448 signature does not verify") from None


class Ed448PrivateKey(PrivateKey):
    """A seed of 57 bytes, kept inside cryptography's object.

    OpenSSH has no form for it in its own file format; this one is ed25519's, as asyncssh has it.
    """

    __slots__ = ("_signer",)

    def __init__(self, signer: "ed448.Ed448PrivateKey", comment: str = "") -> None:
        self._signer = signer
        self.public = Ed448PublicKey(_PUBLIC_PREFIX + signer.public_key().public_bytes_raw(), comment)

    @classmethod
    def generate(cls, comment: str = "") -> Self:
        """Make a new key from the operating system's randomness."""
        from cryptography.hazmat.primitives.asymmetric import ed448

        return cls(ed448.Ed448PrivateKey.generate(), comment)

    @classmethod
    def read(cls, key_type: str, reader: WireReader) -> Self:
        from cryptography.hazmat.primitives.asymmetric import ed448

        public = reader.view("public key")
        secret = reader.view("private key")
        if len(public) != KEY_BYTES or len(secret) != 2 * KEY_BYTES:
            raise contradiction(f"an ed448 pair of {len(public)} and {len(secret)} bytes, not 57 and 114")
        key = cls(ed448.Ed448PrivateKey.from_private_bytes(secret[:KEY_BYTES]))
        derived = key.public.blob[-KEY_BYTES:]
        if public != derived or secret[KEY_BYTES:] != derived:
            raise contradiction("the public half does not belong to the private half")
        return key

    @classmethod
    def from_cryptography(cls, handle: object, comment: str = "") -> Self | None:
        from cryptography.hazmat.primitives.asymmetric import ed448

        return cls(handle, comment) if isinstance(handle, ed448.Ed448PrivateKey) else None

    def _private_fields(self) -> bytes:
        public = self.public.blob[-KEY_BYTES:]
        return string(public) + string(self._signer.private_bytes_raw() + public)

    def _handle(self) -> "ed448.Ed448PrivateKey":
        return self._signer

    def sign(self, algorithm: str, data: bytes) -> bytes:
        if algorithm != KEY_TYPE:
            raise UnsupportedKey(f"an ed448 key cannot sign with {quoted(algorithm)}")
        return _SIGNATURE_PREFIX + self._signer.sign(data)
