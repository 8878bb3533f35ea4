"""RSA keys: ssh-rsa, which sign with rsa-sha2-512 and rsa-sha2-256 (RFC 4253 section 6.6, RFC 8332).

Named in the table of `key_types`.  SHA-1 signatures, "ssh-rsa" (RFC 4253), are neither made nor accepted
unless the caller says `allow_sha1`, which old agents and old certificates need; no table offers them.  A
modulus below 2048 bits can be loaded to be shown, but not be used (rule R22).
"""

from typing import TYPE_CHECKING, Self

from .errors import KeyFormatError, SignatureError, UnsupportedKey
from .key import PrivateKey, PublicKey, contradiction
from .text import printable, quoted
from .wire import WireReader, mpint, string

if TYPE_CHECKING:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import rsa

KEY_TYPE = "ssh-rsa"
ALGORITHMS = ("rsa-sha2-512", "rsa-sha2-256")
#: The signature algorithm of RFC 4253, which has the name of the key type: SHA-1, only when asked for.
SHA1_ALGORITHM = "ssh-rsa"
MIN_BITS = 2048
MAX_BITS = 16384
DEFAULT_BITS = 3072
#: A verification takes time by the exponent's size; everybody's is 65537, and OpenSSL ends at 64 bits too.
MAX_EXPONENT_BITS = 64


def _check_public(n: int, e: int) -> None:
    """Raise KeyFormatError unless the two numbers can be an RSA key at all."""
    if n < 3 or not n & 1:
        raise KeyFormatError("the RSA modulus is not an odd positive number")
    if e < 3 or not e & 1 or e >= n:
        raise KeyFormatError("the RSA exponent is not an odd number from 3 to the modulus")
    if e.bit_length() > MAX_EXPONENT_BITS:
        raise KeyFormatError(
            f"the RSA exponent has {e.bit_length()} bits, at most {MAX_EXPONENT_BITS} allowed"
        )


def _check_size(bits: int) -> None:
    if not MIN_BITS <= bits <= MAX_BITS:
        raise UnsupportedKey(f"the RSA key has {bits} bits; {MIN_BITS} to {MAX_BITS} are allowed")


def _hash(algorithm: str) -> "hashes.HashAlgorithm":
    from cryptography.hazmat.primitives import hashes

    if algorithm == SHA1_ALGORITHM:
        return hashes.SHA1()
    return hashes.SHA512() if algorithm == "rsa-sha2-512" else hashes.SHA256()


class RSAPublicKey(PublicKey):
    """A modulus and an exponent."""

    __slots__ = ("_e", "_n", "_verifier")

    label = "RSA"

    def __init__(self, n: int, e: int, blob: bytes, comment: str = "") -> None:
        _check_public(n, e)
        self.key_type = KEY_TYPE
        self.blob = blob
        self.comment = comment
        self.signature_algorithms = ALGORITHMS
        self._n = n
        self._e = e
        self._verifier: rsa.RSAPublicKey | None = None

    @classmethod
    def read(cls, key_type: str, reader: WireReader, blob: bytes, comment: str) -> Self:
        e = reader.mpint("RSA exponent")
        n = reader.mpint("RSA modulus")
        return cls(n, e, blob, comment)

    @property
    def bits(self) -> int:
        return self._n.bit_length()

    def check_usable(self) -> None:
        """Raise UnsupportedKey if the modulus is too small or too large (rule R22)."""
        _check_size(self.bits)

    def verify(self, algorithm: str, data: bytes, signature: bytes, *, allow_sha1: bool = False) -> None:
        """As PublicKey.verify; with `allow_sha1` also for "ssh-rsa", whose hash is broken."""
        if allow_sha1 and algorithm == SHA1_ALGORITHM:
            self._verify_labelled(algorithm, data, signature)
        else:
            super().verify(algorithm, data, signature)

    def _verify(self, algorithm: str, data: bytes, signature: bytes) -> None:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric import padding, rsa

        try:
            self.check_usable()
        except UnsupportedKey as error:
            raise SignatureError(str(error)) from None
        size = (self.bits + 7) // 8
        if len(signature) > size:
            raise SignatureError(f"the RSA signature has {len(signature)} bytes, the key {size}")
        if self._verifier is None:
            self._verifier = rsa.RSAPublicNumbers(self._e, self._n).public_key()
        try:
            # Some peers leave out zero bytes in front (RFC 4253 calls the signature an integer).
            self._verifier.verify(signature.rjust(size, b"\0"), data, padding.PKCS1v15(), _hash(algorithm))
        except InvalidSignature:
            raise SignatureError("the RSA signature does not verify") from None


class RSAPrivateKey(PrivateKey):
    """Two primes and what follows from them, kept inside cryptography's object."""

    __slots__ = ("_signer",)

    def __init__(self, signer: "rsa.RSAPrivateKey", comment: str = "") -> None:
        numbers = signer.public_key().public_numbers()
        blob = string(KEY_TYPE) + mpint(numbers.e) + mpint(numbers.n)
        self._signer = signer
        self.public = RSAPublicKey(numbers.n, numbers.e, blob, comment)

    @classmethod
    def generate(cls, bits: int = DEFAULT_BITS, comment: str = "") -> Self:
        """Make a new key of 2048 to 16384 bits from the operating system's randomness."""
        from cryptography.hazmat.primitives.asymmetric import rsa

        _check_size(bits)
        return cls(rsa.generate_private_key(65537, bits), comment)

    @classmethod
    def read(cls, key_type: str, reader: WireReader) -> Self:
        from cryptography.hazmat.primitives.asymmetric import rsa

        n, e, d, iqmp, p, q = (reader.mpint(f"RSA {name}") for name in ("n", "e", "d", "iqmp", "p", "q"))
        _check_public(n, e)
        # This arithmetic stands for OpenSSL's own check of the key, which tries whether the primes are
        # primes and takes a tenth of a second: our own files need not be suspected of that.
        if min(p, q) < 3 or p * q != n or not 0 < iqmp < p or iqmp * q % p != 1:
            raise contradiction("the primes do not belong to the modulus")
        if not 0 < d < n or d * e % (p - 1) != 1 or d * e % (q - 1) != 1:
            raise contradiction("the private exponent does not belong to the public one")
        numbers = rsa.RSAPrivateNumbers(p, q, d, d % (p - 1), d % (q - 1), iqmp, rsa.RSAPublicNumbers(e, n))
        try:
            return cls(numbers.private_key(unsafe_skip_rsa_key_validation=True))
        except ValueError as error:
            raise UnsupportedKey(f"the RSA key cannot be used: {printable(str(error))}") from None

    @classmethod
    def from_cryptography(cls, handle: object, comment: str = "") -> Self | None:
        from cryptography.hazmat.primitives.asymmetric import rsa

        return cls(handle, comment) if isinstance(handle, rsa.RSAPrivateKey) else None

    def _private_fields(self) -> bytes:
        numbers = self._signer.private_numbers()
        public = numbers.public_numbers
        return b"".join(mpint(n) for n in (public.n, public.e, numbers.d, numbers.iqmp, numbers.p, numbers.q))

    def _handle(self) -> "rsa.RSAPrivateKey":
        return self._signer

    def sign(self, algorithm: str, data: bytes, *, allow_sha1: bool = False) -> bytes:
        """As PrivateKey.sign; with `allow_sha1` also "ssh-rsa", for peers that know nothing better."""
        from cryptography.hazmat.primitives.asymmetric import padding

        if algorithm not in ALGORITHMS and not (allow_sha1 and algorithm == SHA1_ALGORITHM):
            raise UnsupportedKey(f"an RSA key cannot sign with {quoted(algorithm)}")
        self.public.check_usable()
        return string(algorithm) + string(self._signer.sign(data, padding.PKCS1v15(), _hash(algorithm)))
