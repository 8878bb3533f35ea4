"""Composite keys of ML-DSA-44 and Ed25519: ssh-mldsa44-ed25519@openssh.com.

Named in the table of `key_types`.  As OpenSSH 10.5 has them (draft-miller-sshm-mldsa44-ed25519-composite-
sigs, after draft-ietf-lamps-pq-composite-sigs): both halves sign the same message, which binds prefix,
label and the SHA-512 of the data, and both must verify; so the key holds while either of the two does.
"""

from typing import TYPE_CHECKING, NoReturn, Self

from .errors import KeyFormatError, SignatureError, UnsupportedKey
from .key import PrivateKey, PublicKey, contradiction
from .text import quoted
from .wire import WireReader, string

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ed25519, mldsa

KEY_TYPE = "ssh-mldsa44-ed25519@openssh.com"
ALGORITHMS = (KEY_TYPE,)

_MLDSA_KEY_BYTES = 1312  # FIPS 204, table 2
_MLDSA_SIGNATURE_BYTES = 2420
_SEED_BYTES = 32
KEY_BYTES = _MLDSA_KEY_BYTES + 32
SIGNATURE_BYTES = _MLDSA_SIGNATURE_BYTES + 64

_PREFIX = b"CompositeAlgorithmSignatures2025"
#: Also ML-DSA's context, so that half of a composite signature is none by itself.
_LABEL = b"COMPSIG-MLDSA44-Ed25519-SHA512"


def representative(data: bytes, context: bytes = b"") -> bytes:
    """Return what both halves sign; SSH's `context` is always empty."""
    import hashlib

    return b"".join((_PREFIX, _LABEL, bytes((len(context),)), context, hashlib.sha512(data).digest()))


class MLDSAEd25519PublicKey(PublicKey):
    """Two public keys, ML-DSA's first: 1344 bytes."""

    __slots__ = ("_verifiers",)

    label = "MLDSA44-ED25519"

    def __init__(self, blob: bytes, comment: str = "") -> None:
        self.key_type = KEY_TYPE
        self.blob = blob
        self.comment = comment
        self.signature_algorithms = ALGORITHMS
        self._verifiers: tuple[mldsa.MLDSA44PublicKey, ed25519.Ed25519PublicKey] | None = None

    @classmethod
    def read(cls, key_type: str, reader: WireReader, blob: bytes, comment: str) -> Self:
        size = len(reader.view("public key"))
        if size != KEY_BYTES:
            raise KeyFormatError(f"a composite public key has {KEY_BYTES} bytes, not {size}")
        return cls(blob, comment)

    @property
    def bits(self) -> int:
        return 256

    def _verify(self, algorithm: str, data: bytes, signature: bytes) -> None:
        self._verify_message(representative(data), signature)

    def _verify_message(self, message: bytes, signature: bytes) -> None:
        """Check both halves of a signature of what `representative` returned."""
        from cryptography.exceptions import InvalidSignature

        if len(signature) != SIGNATURE_BYTES:
            raise SignatureError(f"a composite signature has {SIGNATURE_BYTES} bytes, not {len(signature)}")
        if self._verifiers is None:
            from cryptography.hazmat.primitives.asymmetric import ed25519, mldsa

            raw = self.blob[-KEY_BYTES:]
            self._verifiers = (
                mldsa.MLDSA44PublicKey.from_public_bytes(raw[:_MLDSA_KEY_BYTES]),
                ed25519.Ed25519PublicKey.from_public_bytes(raw[_MLDSA_KEY_BYTES:]),
            )
        lattice, curve = self._verifiers
        try:
            lattice.verify(signature[:_MLDSA_SIGNATURE_BYTES], message, _LABEL)
            curve.verify(signature[_MLDSA_SIGNATURE_BYTES:], message)
        except InvalidSignature:
            raise SignatureError("the composite signature does not verify") from None


class MLDSAEd25519PrivateKey(PrivateKey):
    """Two seeds of 32 bytes, ML-DSA's first, kept inside cryptography's objects."""

    __slots__ = ("_curve", "_lattice")

    def __init__(
        self, lattice: "mldsa.MLDSA44PrivateKey", curve: "ed25519.Ed25519PrivateKey", comment: str = ""
    ) -> None:
        self._lattice = lattice
        self._curve = curve
        raw = lattice.public_key().public_bytes_raw() + curve.public_key().public_bytes_raw()
        self.public = MLDSAEd25519PublicKey(string(KEY_TYPE) + string(raw), comment)

    @classmethod
    def generate(cls, comment: str = "") -> Self:
        """Make a new key from the operating system's randomness."""
        from cryptography.hazmat.primitives.asymmetric import ed25519, mldsa

        return cls(mldsa.MLDSA44PrivateKey.generate(), ed25519.Ed25519PrivateKey.generate(), comment)

    @classmethod
    def from_seeds(cls, seeds: bytes | memoryview, comment: str = "") -> Self:
        """Make the key of the two seeds, 64 bytes together."""
        from cryptography.hazmat.primitives.asymmetric import ed25519, mldsa

        if len(seeds) != 2 * _SEED_BYTES:
            raise contradiction(f"the composite seeds have {len(seeds)} bytes, expected {2 * _SEED_BYTES}")
        lattice = mldsa.MLDSA44PrivateKey.from_seed_bytes(bytes(seeds[:_SEED_BYTES]))
        return cls(lattice, ed25519.Ed25519PrivateKey.from_private_bytes(seeds[_SEED_BYTES:]), comment)

    @classmethod
    def read(cls, key_type: str, reader: WireReader) -> Self:
        public = reader.view("public key")
        key = cls.from_seeds(reader.view("private key"))
        if public != key.public.blob[-KEY_BYTES:]:
            raise contradiction("the public half does not belong to the private half")
        return key

    @classmethod
    def from_cryptography(cls, handle: object, comment: str = "") -> Self | None:
        """Return None: cryptography has no object that holds both halves."""
        return None

    def _private_fields(self) -> bytes:
        seeds = self._lattice.private_bytes_raw() + self._curve.private_bytes_raw()
        return string(self.public.blob[-KEY_BYTES:]) + string(seeds)

    def _handle(self) -> NoReturn:
        raise UnsupportedKey("a composite key is written in OpenSSH's own format only, not as PKCS#8")

    def sign(self, algorithm: str, data: bytes) -> bytes:
        if algorithm != KEY_TYPE:
            raise UnsupportedKey(f"a composite key cannot sign with {quoted(algorithm)}")
        message = representative(data)
        return string(KEY_TYPE) + string(self._lattice.sign(message, _LABEL) + self._curve.sign(message))
