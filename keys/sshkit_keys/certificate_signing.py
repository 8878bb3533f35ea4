"""Makes certificates (PROTOCOL.certkeys; ssh-keygen(1), CERTIFICATES).

Called by sshkit-keygen and by programs that are an authority.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from .certificate_options import CRITICAL_OPTIONS, EXTENSIONS, encode_options
from .certificate_times import FOREVER
from .certificates import (
    CERTIFICATE_TYPES,
    MAX_PRINCIPALS,
    ROLES,
    Certificate,
    Role,
    certificate_name,
    parse_certificate,
    plain_name,
)
from .errors import CertificateError, UnsupportedKey
from .key import PublicKey
from .text import quoted
from .wire import string, uint32, uint64

_NONCE_BYTES = 32


class CertificateSigner(Protocol):
    """An authority: a PrivateKey, or anything that signs for one, such as a key in an agent."""

    @property
    def public(self) -> PublicKey:
        """The authority's public key, which is named in the certificate."""
        ...

    def sign(self, algorithm: str, data: bytes) -> bytes:
        """Return the whole signature blob."""
        ...


def sign_certificate(
    authority: CertificateSigner,
    key: PublicKey,
    *,
    role: Role,
    key_id: str,
    principals: Sequence[str] = (),
    serial: int = 0,
    valid_after: int = 0,
    valid_before: int = FOREVER,
    critical_options: Mapping[str, str | bytes] | None = None,
    extensions: Mapping[str, str | bytes] | None = None,
    algorithm: str | None = None,
    comment: str = "",
    random_bytes: Callable[[int], bytes],
) -> Certificate:
    """Return a certificate for `key`; one without principals is good for nobody.

    `key` may be a certificate already: its key is certified anew.  A user who shall have what ssh-keygen
    grants gets `extensions=DEFAULT_USER_EXTENSIONS`; an option's value is "" for a flag.  `algorithm` is the
    authority's best if not given.  `random_bytes` is os.urandom or a test's own.
    Raises CertificateError for what no certificate can say, UnsupportedKey if a key cannot be used for it.
    """
    if isinstance(key, Certificate):
        key = key.key
    name = certificate_name(key.key_type)
    if name not in CERTIFICATE_TYPES:
        raise UnsupportedKey(f"there are no certificates of {key.key_type} keys")
    if isinstance(authority.public, Certificate):
        raise CertificateError("the authority's key is a certificate itself: chains are not allowed")
    key.check_usable()
    authority.public.check_usable()
    number = next((number for number, known in ROLES.items() if known == role), None)
    if number is None:
        raise CertificateError(f"a certificate is for a user or a host, not for a {quoted(str(role))}")
    if not 0 <= serial < 2**64 or not 0 <= valid_after < valid_before <= FOREVER:
        raise CertificateError("the serial is not from 0 to 2**64-1, or the end not after the start")
    if len(principals) > MAX_PRINCIPALS or isinstance(principals, str):
        raise CertificateError(f"principals are a sequence of at most {MAX_PRINCIPALS} names")
    for text in (key_id, *principals):
        if "\0" in text:
            raise CertificateError(f"{quoted(text)} holds a NUL")
    if not all(principals):
        raise CertificateError("an empty principal")
    prefix = len(string(key.key_type))
    data = b"".join(
        (
            string(name),
            string(random_bytes(_NONCE_BYTES)),
            key.blob[prefix:],
            uint64(serial),
            uint32(number),
            string(key_id),
            string(b"".join(map(string, principals))),
            uint64(valid_after),
            uint64(valid_before),
            string(encode_options(critical_options or {}, "critical option", CRITICAL_OPTIONS)),
            string(encode_options(extensions or {}, "extension", dict.fromkeys(EXTENSIONS, False))),
            string(b""),
            string(authority.public.blob),
        )
    )
    signature = authority.sign(algorithm or authority.public.signature_algorithms[0], data)
    # Read back, so that a signer that did something else than asked is found out here.
    return parse_certificate(data + string(signature), comment or key.comment)


class CertifiedKey:
    """A private key that shows its certificate: what a host with a certificate has for its key."""

    __slots__ = ("_key", "public")

    def __init__(self, key: CertificateSigner, certificate: Certificate) -> None:
        """Raises CertificateError if the certificate is about another key."""
        if certificate.key != key.public:
            raise CertificateError("the certificate is about another key")
        self._key = key
        self.public = certificate

    def sign(self, algorithm: str, data: bytes) -> bytes:
        """Return the signature blob; its label is the plain name of the certificate's `algorithm`."""
        return self._key.sign(plain_name(algorithm), data)

    def __repr__(self) -> str:
        return f"<CertifiedKey {self.public.key_type} {self.public.fingerprint()}>"
