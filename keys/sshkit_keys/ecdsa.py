"""ECDSA keys on the NIST curves: ecdsa-sha2-nistp256, -nistp384 and -nistp521 (RFC 5656).

Named in the table of `key_types`.  A point is checked to lie on its curve when the key is read, and the
curve that the blob names must be the one of its key type (rule R6).
"""

from typing import TYPE_CHECKING, Self

from .errors import KeyFormatError, SignatureError, UnsupportedKey
from .key import PrivateKey, PublicKey, contradiction
from .text import quoted
from .wire import WireReader, mpint, string

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec

_PREFIX = "ecdsa-sha2-"
#: Curve by the end of the key type's name: its size in bits.
CURVES = {"nistp256": 256, "nistp384": 384, "nistp521": 521}


def _curve(bits: int) -> "ec.EllipticCurve":
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.SECP256R1() if bits == 256 else ec.SECP384R1() if bits == 384 else ec.SECP521R1()


def _hash(bits: int) -> "ec.ECDSA":
    """The hash that belongs to a curve's size (RFC 5656 section 6.2.1)."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.ECDSA(hashes.SHA256() if bits == 256 else hashes.SHA384() if bits == 384 else hashes.SHA512())


class ECDSAPublicKey(PublicKey):
    """An uncompressed point on a curve."""

    __slots__ = ("_bits", "_scheme", "_verifier")

    label = "ECDSA"

    def __init__(self, blob: bytes, verifier: "ec.EllipticCurvePublicKey", comment: str = "") -> None:
        self._bits = verifier.curve.key_size
        self.key_type = f"{_PREFIX}nistp{self._bits}"
        self.blob = blob
        self.comment = comment
        self.signature_algorithms = (self.key_type,)
        self._verifier = verifier
        self._scheme = _hash(self._bits)

    @classmethod
    def read(cls, key_type: str, reader: WireReader, blob: bytes, comment: str) -> Self:
        from cryptography.hazmat.primitives.asymmetric import ec

        curve, point = _read_point(key_type, reader)
        try:
            verifier = ec.EllipticCurvePublicKey.from_encoded_point(_curve(CURVES[curve]), point)
        except ValueError:
            raise KeyFormatError(f"the public point does not lie on {curve}") from None
        return cls(blob, verifier, comment)

    @property
    def bits(self) -> int:
        return self._bits

    def _verify(self, algorithm: str, data: bytes, signature: bytes) -> None:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

        reader = WireReader(signature)
        r = reader.mpint("signature r")
        s = reader.mpint("signature s")
        reader.finish("signature")
        if r <= 0 or s <= 0 or max(r.bit_length(), s.bit_length()) > self._bits:
            raise SignatureError("the ECDSA signature holds a number outside of its range")
        try:
            self._verifier.verify(encode_dss_signature(r, s), data, self._scheme)
        except InvalidSignature:
            raise SignatureError("the ECDSA signature does not verify") from None


class ECDSAPrivateKey(PrivateKey):
    """A number below the curve's order, kept inside cryptography's object."""

    __slots__ = ("_prefix", "_scheme", "_signer")

    def __init__(self, signer: "ec.EllipticCurvePrivateKey", comment: str = "") -> None:
        from cryptography.hazmat.primitives import serialization

        public = signer.public_key()
        curve = f"nistp{signer.curve.key_size}"
        point = public.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
        self._signer = signer
        self._scheme = _hash(signer.curve.key_size)
        self._prefix = string(_PREFIX + curve)
        self.public = ECDSAPublicKey(self._prefix + string(curve) + string(point), public, comment)

    @classmethod
    def generate(cls, bits: int = 256, comment: str = "") -> Self:
        """Make a new key of 256, 384 or 521 bits from the operating system's randomness."""
        from cryptography.hazmat.primitives.asymmetric import ec

        if bits not in CURVES.values():
            raise UnsupportedKey(f"no ECDSA key has {bits} bits; 256, 384 and 521 are valid")
        return cls(ec.generate_private_key(_curve(bits)), comment)

    @classmethod
    def read(cls, key_type: str, reader: WireReader) -> Self:
        from cryptography.hazmat.primitives.asymmetric import ec

        curve, point = _read_point(key_type, reader)
        secret = reader.mpint("private key")
        try:
            key = cls(ec.derive_private_key(secret, _curve(CURVES[curve])))
        except (ValueError, TypeError, OverflowError):
            raise contradiction("the private number is outside of its range") from None
        if not key.public.blob.endswith(string(point)):
            raise contradiction("the public half does not belong to the private half")
        return key

    @classmethod
    def from_cryptography(cls, handle: object, comment: str = "") -> Self | None:
        from cryptography.hazmat.primitives.asymmetric import ec

        if not isinstance(handle, ec.EllipticCurvePrivateKey):
            return None
        if handle.curve.name not in ("secp256r1", "secp384r1", "secp521r1"):
            raise UnsupportedKey(f"curve {handle.curve.name} is not used in SSH")
        return cls(handle, comment)

    def _private_fields(self) -> bytes:
        fields = self.public.blob[len(self._prefix) :]
        return fields + mpint(self._signer.private_numbers().private_value)

    def _handle(self) -> "ec.EllipticCurvePrivateKey":
        return self._signer

    def sign(self, algorithm: str, data: bytes) -> bytes:
        from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

        if algorithm != self.public.key_type:
            raise UnsupportedKey(f"an {self.public.key_type} key cannot sign with {quoted(algorithm)}")
        r, s = decode_dss_signature(self._signer.sign(data, self._scheme))
        return self._prefix + string(mpint(r) + mpint(s))


def _read_point(key_type: str, reader: WireReader) -> tuple[str, bytes]:
    """Read the curve's name and the point; only the uncompressed form is used in SSH."""
    curve = reader.text("curve")
    if _PREFIX + curve != key_type:
        raise KeyFormatError(f"a key of type {key_type} names the curve {quoted(curve)}")
    point = reader.string("public point")
    if not point.startswith(b"\x04"):
        raise KeyFormatError("the public point is not in uncompressed form")
    return curve, point
