"""What every public and every private key can do.

Called by all who verify or sign.  Each key type is a file with two subclasses, named in the table of
`key_types`.  cryptography is loaded when a key is first used, its parts only for the types met.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Self

from .errors import KeyFormatError, SignatureError, WireError
from .fingerprints import fingerprint
from .text import printable, quoted
from .wire import WireReader


class PublicKey(ABC):
    """A public key; equal to another if their blobs are, whatever the comments say."""

    __slots__ = ("blob", "comment", "key_type", "signature_algorithms")

    #: What ssh-keygen calls the type in a listing: "ED25519", "ECDSA", "RSA", "RSA-CERT".
    label: str

    key_type: str
    #: The key as it travels and is compared: string type, then the type's own fields.
    blob: bytes
    comment: str
    #: The algorithms that this key may sign with, best first.
    signature_algorithms: tuple[str, ...]

    @classmethod
    @abstractmethod
    def read(cls, key_type: str, reader: WireReader, blob: bytes, comment: str) -> Self:
        """Read the fields after the type name; the caller checks that nothing is left over."""

    @property
    @abstractmethod
    def bits(self) -> int:
        """The size that people compare: 256 for ed25519, the curve's, or the RSA modulus's."""

    def check_usable(self) -> None:
        """Raise UnsupportedKey if the key may be shown but not be used to verify or sign."""
        return

    @abstractmethod
    def _verify(self, algorithm: str, data: bytes, signature: bytes) -> None:
        """Check the inner signature; raises SignatureError, or WireError if its form is wrong."""

    def verify(self, algorithm: str, data: bytes, signature: bytes) -> None:
        """Raise SignatureError unless `signature` is this key's for `data`, made with `algorithm`.

        `signature` is the whole blob: string algorithm, string signature.  Its label must be
        `algorithm`, and that one of this key's own (rule R6).
        """
        if algorithm not in self.signature_algorithms:
            raise SignatureError(f"{quoted(algorithm)} is no signature algorithm of a {self.key_type} key")
        self._verify_labelled(algorithm, data, signature)

    def _verify_labelled(self, algorithm: str, data: bytes, signature: bytes) -> None:
        """Check label and signature; whether the key may be used with `algorithm` was checked before."""
        try:
            reader = WireReader(signature)
            label = reader.view("signature algorithm")
            inner = reader.string("signature")
            reader.finish("signature")
            if label != algorithm.encode("ascii"):
                raise SignatureError(f"signature is labelled {quoted(bytes(label))}, expected {algorithm!r}")
            self._verify(algorithm, data, inner)
        except WireError as error:
            raise SignatureError(f"malformed signature: {error}") from None

    def fingerprint(self, hash_name: str = "sha256") -> str:
        """Return "SHA256:..." (base64 without padding) or, for "md5", "MD5:aa:bb:..."."""
        return fingerprint(self.blob, hash_name)

    def to_line(self) -> str:
        """Return the line of a .pub file, without its newline; the comment's control characters escaped."""
        from binascii import b2a_base64

        text = f"{self.key_type} {b2a_base64(self.blob, newline=False).decode('ascii')}"
        comment = printable(self.comment, 1024)
        return f"{text} {comment}" if comment else text

    def to_rfc4716(self, comment: str | None = None) -> bytes:
        """Return the key as ssh-keygen -e writes it (RFC 4716); None takes the key's own comment."""
        from .rfc4716 import format_rfc4716

        return format_rfc4716(self, comment)

    def to_spki_pem(self) -> bytes:
        """Return the key as PEM's PUBLIC KEY; UnsupportedKey for types that only SSH knows."""
        from .spki import format_spki

        return format_spki(self)

    def to_pkcs1_pem(self) -> bytes:
        """Return an RSA key as PEM's RSA PUBLIC KEY; UnsupportedKey for other types."""
        from .spki import format_pkcs1

        return format_pkcs1(self)

    def __eq__(self, other: object) -> bool:
        return self.blob == other.blob if isinstance(other, PublicKey) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.blob)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.key_type} {self.fingerprint()}>"


class PrivateKey(ABC):
    """A private key, checked and parsed once: signing is one call into cryptography."""

    __slots__ = ("public",)

    public: PublicKey

    @property
    def comment(self) -> str:
        """The comment, which the two halves share."""
        return self.public.comment

    @comment.setter
    def comment(self, value: str) -> None:
        self.public.comment = value

    @classmethod
    @abstractmethod
    def read(cls, key_type: str, reader: WireReader) -> Self:
        """Read the fields after the type name from the private part of OpenSSH's format.

        The comment follows and is the caller's.  Raises WireError or KeyFormatError.
        """

    @classmethod
    @abstractmethod
    def from_cryptography(cls, handle: object, comment: str = "") -> Self | None:
        """Wrap a private key object of cryptography, or return None if it is of another type."""

    @abstractmethod
    def _private_fields(self) -> bytes:
        """Encode what `read` reads.  Secret."""

    @abstractmethod
    def _handle(self) -> Any:
        """The private key object of cryptography."""

    @abstractmethod
    def sign(self, algorithm: str, data: bytes) -> bytes:
        """Return the whole signature blob: string algorithm, string signature.

        Raises UnsupportedKey if the key cannot sign with `algorithm`.
        """

    def to_openssh(
        self,
        passphrase: bytes | None = None,
        rounds: int = 24,
        cipher: str = "aes256-ctr",
        *,
        random_bytes: Callable[[int], bytes],
    ) -> bytes:
        """Return the key in OpenSSH's own private format, encrypted if a passphrase is given.

        `rounds` are bcrypt's (24 take about 0.2 seconds); `random_bytes` is os.urandom or a test's own.
        """
        from .openssh_format import format_private_key

        return format_private_key(self, passphrase, rounds, cipher, random_bytes)

    def to_pkcs8(self, passphrase: bytes | None = None, *, der: bool = False) -> bytes:
        """Return the key as PKCS#8 in PEM or DER, encrypted if a passphrase is given; the comment is lost.

        Raises UnsupportedKey for types that only SSH knows.
        """
        from .pkcs8 import format_pkcs8

        return format_pkcs8(self, passphrase, der)

    def to_pem(self, passphrase: bytes | None = None) -> bytes:
        """Return an RSA key as PKCS#1, an ECDSA key as SEC 1, in PEM; UnsupportedKey for other types.

        For old programs: a passphrase protects less here than in any other format.
        """
        from .pkcs8 import format_pem

        return format_pem(self, passphrase)

    def to_putty(
        self,
        passphrase: bytes | None = None,
        version: int = 3,
        *,
        random_bytes: Callable[[int], bytes] | None = None,
    ) -> bytes:
        """Return the key as PuTTY's PPK of version 2 or 3, encrypted if a passphrase is given.

        An encrypted key of version 3 takes `random_bytes`, os.urandom or a test's own.
        """
        from .putty import format_putty

        return format_putty(self, passphrase, version, random_bytes)

    def __repr__(self) -> str:
        # The public half only (rule R43).
        return f"<{type(self).__name__} {self.public.key_type} {self.public.fingerprint()}>"

    def __reduce__(self) -> str:
        raise TypeError("a private key is not pickled or copied: use to_openssh")


def contradiction(what: str) -> KeyFormatError:
    """Return the error for a private key whose parts do not belong together."""
    return KeyFormatError(f"the private key is damaged: {what}")
