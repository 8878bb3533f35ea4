"""Certificates of keys, as OpenSSH has them (PROTOCOL.certkeys in OpenSSH's sources).

Called by authentication (users' certificates), host key checks, SSHSIG and sshkit-keygen.  A certificate is a
public key with a statement about it that an authority signed; reading one verifies that signature, and
`Certificate.check` whether the statement holds here and now.  Whether the authority is trusted, and whether
anything is revoked (`revocation`), is the caller's to ask.  `parse_public_key` takes no certificate.
"""

from collections.abc import Sequence
from typing import Literal, Self

from .certificate_options import CRITICAL_OPTIONS, EXTENSIONS, read_options
from .certificate_times import FOREVER, format_time
from .errors import CertificateError, KeyFileError, KeyFormatError, SignatureError, UnsupportedKey, WireError
from .key import PublicKey
from .key_types import KEY_TYPES, MAX_BLOB_BYTES, decode_blob, parse_public_key
from .rsa import SHA1_ALGORITHM, RSAPublicKey
from .security_keys import SecurityKeyPublicKey
from .text import quoted
from .wire import WireReader, string

__all__ = [
    "AUTHORITY_ALGORITHMS",
    "CERTIFICATE_TYPES",
    "FOREVER",
    "MAX_PRINCIPALS",
    "SUFFIX",
    "Certificate",
    "certificate_name",
    "parse_certificate",
    "parse_key_or_certificate",
    "parse_key_or_certificate_line",
    "plain_name",
]

Role = Literal["user", "host"]
ROLES: dict[int, Role] = {1: "user", 2: "host"}

SUFFIX = "-cert-v01@openssh.com"
#: As in OpenSSH.
MAX_PRINCIPALS = 256
_FLAGS = dict.fromkeys(EXTENSIONS, False)


def certificate_name(name: str) -> str:
    """Return what a key type or signature algorithm is called in a certificate."""
    return name.removesuffix("@openssh.com") + SUFFIX


#: Certificate type -> type of the key inside.  DSA has none here: nobody can use its key.
CERTIFICATE_TYPES: dict[str, str] = {certificate_name(name): name for name in KEY_TYPES if name != "ssh-dss"}

_PLAIN_ALGORITHMS: dict[str, str] = {
    certificate_name(algorithm): algorithm
    for name in CERTIFICATE_TYPES.values()
    for algorithm in KEY_TYPES[name].signature_algorithms
    if not algorithm.startswith("webauthn-")
}

#: What an authority may sign with (OpenSSH's CASignatureAlgorithms): no SHA-1, and no browser.
AUTHORITY_ALGORITHMS: tuple[str, ...] = tuple(_PLAIN_ALGORITHMS.values())


def plain_name(name: str) -> str:
    """Return the signature label of a certificate's algorithm; any other name stays as it is."""
    return _PLAIN_ALGORITHMS.get(name, name)


class Certificate(PublicKey):
    """A key, and what an authority says of it.  Equal to another if the two are the same bytes.

    Fingerprint, size and usability are the key's own.
    """

    __slots__ = (
        "authority",
        "critical_options",
        "extensions",
        "key",
        "key_id",
        "label",
        "nonce",
        "principals",
        "role",
        "serial",
        "signature_algorithm",
        "valid_after",
        "valid_before",
    )

    key: PublicKey  #: the key that this is about
    nonce: bytes
    serial: int  #: 0: the authority does not number its certificates
    role: Role
    key_id: str  #: free text of the authority's, for logs; escape it
    principals: tuple[str, ...]  #: users or hosts; none matches nobody
    valid_after: int  #: seconds since 1970; 0: always was
    valid_before: int  #: the first second after; FOREVER: no end
    critical_options: dict[str, str | bytes]  #: what is unknown or not enforced here refuses the certificate
    extensions: dict[str, str | bytes]  #: what it permits; what is unknown is ignored
    authority: PublicKey
    signature_algorithm: str  #: the label of the authority's signature

    @classmethod
    def read(cls, key_type: str, reader: WireReader, blob: bytes, comment: str) -> Self:
        """Read the fields after the type name and verify the authority's signature."""
        return cls._read(key_type, reader, blob, comment, False)

    @classmethod
    def _read(cls, key_type: str, reader: WireReader, blob: bytes, comment: str, allow_sha1: bool) -> Self:
        self = cls.__new__(cls)
        name = CERTIFICATE_TYPES[key_type]
        kind = KEY_TYPES[name]
        self.key_type = key_type
        self.blob = blob
        self.comment = comment
        self.nonce = reader.string("nonce")
        start = reader.position
        for _ in range(kind.fields):
            reader.view("certified key")
        self.key = parse_public_key(string(name) + bytes(reader.data[start : reader.position]), comment)
        self.label = f"{self.key.label}-CERT"
        self.signature_algorithms = tuple(
            certificate_name(a) for a in kind.signature_algorithms if certificate_name(a) in _PLAIN_ALGORITHMS
        )
        self.serial = reader.uint64("serial")
        role = ROLES.get(number := reader.uint32("role"))
        if role is None:
            raise KeyFormatError(f"a certificate for role {number}; 1 is for users, 2 for hosts")
        self.role = role
        self.key_id = _text(reader, "key id")
        self.principals = _read_principals(reader.string("principals"))
        self.valid_after = reader.uint64("valid after")
        self.valid_before = reader.uint64("valid before")
        options = reader.string("critical options")
        self.critical_options = read_options(options, "critical option", CRITICAL_OPTIONS)
        self.extensions = read_options(reader.string("extensions"), "extension", _FLAGS)
        reader.view("reserved")
        authority = reader.string("authority's key")
        signed = bytes(reader.data[: reader.position])
        signature = reader.string("authority's signature")
        self.authority = _read_authority(authority)
        self.signature_algorithm = WireReader(signature).text("signature algorithm")
        _verify_authority(self.authority, self.signature_algorithm, signed, signature, allow_sha1)
        return self

    @property
    def bits(self) -> int:
        return self.key.bits

    @property
    def force_command(self) -> str | None:
        """The command that the certificate allows instead of any other."""
        return self._option("force-command")

    @property
    def source_address(self) -> str | None:
        """The addresses it may be used from; see check_source_address."""
        return self._option("source-address")

    def _option(self, name: str) -> str | None:
        value = self.critical_options.get(name)
        return value if isinstance(value, str) else None

    def check_usable(self) -> None:
        """Raise UnsupportedKey if the key inside, or the authority's, is too weak to be used."""
        self.key.check_usable()
        self.authority.check_usable()

    def fingerprint(self, hash_name: str = "sha256") -> str:
        """Return the fingerprint of the key inside, as ssh-keygen does."""
        return self.key.fingerprint(hash_name)

    def _verify(self, algorithm: str, data: bytes, signature: bytes) -> None:
        self.key._verify(algorithm, data, signature)

    def verify(
        self,
        algorithm: str,
        data: bytes,
        signature: bytes,
        *,
        touch_required: bool = True,
        verification_required: bool = False,
    ) -> None:
        """Raise SignatureError unless the key inside made `signature`.

        `algorithm` is the certificate's ("rsa-sha2-512-cert-v01@openssh.com"), the label in the signature the
        plain one (rule R6).  Security keys: see SecurityKeyPublicKey.verify; a certificate with the option
        verify-required always needs the user verified.
        """
        if algorithm not in self.signature_algorithms:
            raise SignatureError(f"{quoted(algorithm)} is no signature algorithm of a {self.key_type} key")
        if isinstance(self.key, SecurityKeyPublicKey):
            self.key.verify(
                _PLAIN_ALGORITHMS[algorithm],
                data,
                signature,
                touch_required=touch_required,
                verification_required=verification_required or "verify-required" in self.critical_options,
            )
        else:
            self.key.verify(_PLAIN_ALGORITHMS[algorithm], data, signature)

    def check(
        self,
        role: Role,
        principal: str | None,
        now: int,
        *,
        enforced_options: frozenset[str],
        authority_algorithms: Sequence[str] = AUTHORITY_ALGORITHMS,
        allow_empty_principals: bool = False,
    ) -> None:
        """Raise CertificateError unless the certificate holds for `principal` in this second (rule R7).

        `principal` is compared with each listed one whole; None leaves that to the caller.  A certificate
        that lists none matches nobody, unless `allow_empty_principals`.  `enforced_options` are the critical
        options that the caller will enforce; one that is not among them refuses the certificate, and for a
        host every one does.
        """
        who = f"the certificate {quoted(self.key_id)}"
        if self.role != role:
            raise CertificateError(f"{who} is for a {self.role}, not for a {role}")
        if now < self.valid_after:
            raise CertificateError(f"{who} is not valid before {format_time(self.valid_after)}")
        if now >= self.valid_before:
            raise CertificateError(f"{who} expired at {format_time(self.valid_before)}")
        if not self.principals:
            if not allow_empty_principals:
                raise CertificateError(f"{who} lists no principal")
        elif principal is not None and principal not in self.principals:
            raise CertificateError(f"{who} does not list {quoted(principal)} as a principal")
        for name in self.critical_options:
            if role == "host" or name not in enforced_options:
                raise CertificateError(f"{who} has the critical option {quoted(name, 64)}, unknown here")
        if self.signature_algorithm not in authority_algorithms:
            raise CertificateError(f"{who} is signed with {self.signature_algorithm}, which is not allowed")
        try:
            self.check_usable()
        except UnsupportedKey as error:
            raise CertificateError(f"{who}: {error.cause}") from None


def _text(reader: WireReader, field: str) -> str:
    """Read a text that C programs can hold: OpenSSH refuses a NUL."""
    text = reader.text(field)
    if "\0" in text:
        raise KeyFormatError(f"the certificate's {field} holds a NUL")
    return text


def _read_principals(data: bytes) -> tuple[str, ...]:
    reader = WireReader(data)
    principals: list[str] = []
    while reader.position < reader.end:
        if len(principals) == MAX_PRINCIPALS:
            raise KeyFormatError(f"the certificate lists more than {MAX_PRINCIPALS} principals")
        principals.append(_text(reader, "principal"))
    return tuple(principals)


def _read_authority(blob: bytes) -> PublicKey:
    """Read the authority's key; one that is a certificate itself would be a chain, which is refused (R7)."""
    try:
        return parse_public_key(blob)
    except KeyFileError as error:
        raise type(error)(f"the certificate's authority: {error.cause}") from None


def _verify_authority(
    key: PublicKey, algorithm: str, data: bytes, signature: bytes, allow_sha1: bool
) -> None:
    """Raise KeyFormatError unless the authority signed `data`.

    Whether somebody touched an authority's security key is its owner's business, as in OpenSSH.
    """
    try:
        if isinstance(key, SecurityKeyPublicKey):
            key.verify(algorithm, data, signature, touch_required=False)
        elif allow_sha1 and algorithm == SHA1_ALGORITHM and isinstance(key, RSAPublicKey):
            key.verify(algorithm, data, signature, allow_sha1=True)
        else:
            key.verify(algorithm, data, signature)
    except SignatureError as error:
        raise KeyFormatError(f"the certificate is not signed by its authority: {error}") from None


def parse_certificate(
    blob: bytes | memoryview, comment: str = "", place: str = "", *, allow_sha1: bool = False
) -> Certificate:
    """Read a certificate and verify the authority's signature; `place` is named in errors.

    With `allow_sha1`, an RSA authority may have signed with "ssh-rsa", as old ones did; `Certificate.check`
    refuses that still.  Raises UnsupportedKey for what is no certificate of a known type, KeyFormatError
    for anything damaged or forged.
    """
    if len(blob) > MAX_BLOB_BYTES:
        raise KeyFormatError(
            f"the certificate has {len(blob)} bytes, at most {MAX_BLOB_BYTES} allowed", place
        )
    raw = bytes(blob)
    reader = WireReader(raw)
    try:
        name = reader.text("key type")
        if name not in CERTIFICATE_TYPES:
            raise UnsupportedKey(f"{quoted(name, 64)} is no certificate type that is supported")
        certificate = Certificate._read(name, reader, raw, comment, allow_sha1)
        reader.finish("certificate")
    except WireError as error:
        raise KeyFormatError(f"the certificate is damaged: {error}", place) from None
    except (KeyFormatError, UnsupportedKey) as error:
        raise type(error)(error.cause, place) from None
    return certificate


def parse_key_or_certificate(
    blob: bytes | memoryview, comment: str = "", place: str = "", *, allow_sha1: bool = False
) -> PublicKey:
    """Read a blob that may be a plain key or a certificate, where both are at home."""
    try:
        name = WireReader(blob).text("key type")
    except WireError as error:
        raise KeyFormatError(f"the public key is damaged: {error}", place) from None
    if name in CERTIFICATE_TYPES:
        return parse_certificate(blob, comment, place, allow_sha1=allow_sha1)
    return parse_public_key(blob, comment, place)


def parse_key_or_certificate_line(text: str, place: str = "", *, allow_sha1: bool = False) -> PublicKey:
    """Read a line of a .pub or -cert.pub file: type, base64, and the comment to the end of the line."""
    fields = text.strip().split(None, 2)
    if len(fields) < 2:
        raise KeyFormatError("not a public key line", place)
    blob = decode_blob(fields[0], fields[1], place)
    comment = fields[2] if len(fields) == 3 else ""
    return parse_key_or_certificate(blob, comment, place, allow_sha1=allow_sha1)
