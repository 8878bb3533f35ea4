"""DSA keys: ssh-dss (RFC 4253 section 6.6), for reading only.

Named in the table of `key_types`, so that an old key can be shown, recognised in a revocation list and
converted.  Its 1024 bits and SHA-1 are too weak to prove anything: it neither signs nor verifies.
"""

from typing import TYPE_CHECKING, NoReturn, Self

from .errors import KeyFormatError, UnsupportedKey
from .key import PrivateKey, PublicKey, contradiction
from .wire import WireReader, mpint, string

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import dsa

KEY_TYPE = "ssh-dss"
#: FIPS 186-4 ends at 3072 bits, ssh-keygen made only 1024; more is no key but work for the reader.
MAX_BITS = 3072
_MAX_Q_BITS = 256


def _refuse() -> NoReturn:
    raise UnsupportedKey("DSA is too weak: such a key can be shown and converted, not be used")


def _check_public(p: int, q: int, g: int, y: int) -> None:
    """Raise KeyFormatError unless the numbers can be a DSA key at all."""
    if p < 3 or not p & 1 or p.bit_length() > MAX_BITS:
        raise KeyFormatError(f"the DSA modulus is not an odd positive number of at most {MAX_BITS} bits")
    if q < 3 or q >= p or q.bit_length() > _MAX_Q_BITS or (p - 1) % q:
        raise KeyFormatError("the DSA order does not divide the modulus")
    if not 1 < g < p or not 1 < y < p:
        raise KeyFormatError("the DSA generator or public number is outside of its range")


class DSAPublicKey(PublicKey):
    """A group and a number in it."""

    __slots__ = ("_bits",)

    label = "DSA"

    def __init__(self, bits: int, blob: bytes, comment: str = "") -> None:
        self.key_type = KEY_TYPE
        self.blob = blob
        self.comment = comment
        self.signature_algorithms = ()
        self._bits = bits

    @classmethod
    def read(cls, key_type: str, reader: WireReader, blob: bytes, comment: str) -> Self:
        p, q, g, y = (reader.mpint(f"DSA {name}") for name in "pqgy")
        _check_public(p, q, g, y)
        return cls(p.bit_length(), blob, comment)

    @property
    def bits(self) -> int:
        return self._bits

    def check_usable(self) -> None:
        """Raise UnsupportedKey: no DSA key is used."""
        _refuse()

    def verify(self, algorithm: str, data: bytes, signature: bytes) -> None:
        """Raise UnsupportedKey: nothing that a DSA key signed is believed."""
        _refuse()

    def _verify(self, algorithm: str, data: bytes, signature: bytes) -> None:
        _refuse()


class DSAPrivateKey(PrivateKey):
    """A number below the group's order, kept inside cryptography's object."""

    __slots__ = ("_signer",)

    def __init__(self, signer: "dsa.DSAPrivateKey", comment: str = "") -> None:
        public = signer.public_key().public_numbers()
        group = public.parameter_numbers
        fields = b"".join(mpint(number) for number in (group.p, group.q, group.g, public.y))
        self._signer = signer
        self.public = DSAPublicKey(group.p.bit_length(), string(KEY_TYPE) + fields, comment)

    @classmethod
    def read(cls, key_type: str, reader: WireReader) -> Self:
        from cryptography.hazmat.primitives.asymmetric import dsa

        p, q, g, y, x = (reader.mpint(f"DSA {name}") for name in "pqgyx")
        _check_public(p, q, g, y)
        if not 0 < x < q or pow(g, x, p) != y:
            raise contradiction("the public half does not belong to the private half")
        public = dsa.DSAPublicNumbers(y, dsa.DSAParameterNumbers(p, q, g))
        try:
            return cls(dsa.DSAPrivateNumbers(x, public).private_key())
        except ValueError:
            raise UnsupportedKey(f"a DSA key of {p.bit_length()} and {q.bit_length()} bits") from None

    @classmethod
    def from_cryptography(cls, handle: object, comment: str = "") -> Self | None:
        from cryptography.hazmat.primitives.asymmetric import dsa

        return cls(handle, comment) if isinstance(handle, dsa.DSAPrivateKey) else None

    def _private_fields(self) -> bytes:
        prefix = len(string(KEY_TYPE))
        return self.public.blob[prefix:] + mpint(self._signer.private_numbers().x)

    def _handle(self) -> "dsa.DSAPrivateKey":
        return self._signer

    def sign(self, algorithm: str, data: bytes) -> bytes:
        """Raise UnsupportedKey: no DSA key is used."""
        _refuse()
