"""From OpenSSL's errors to ours: which certificate failed, and why; what the peer's alert means.

Called by the layer when a handshake or a read has failed.
"""

from datetime import UTC, datetime
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from cryptography import x509

from ...text import shown
from .errors import (
    CertificateExpired,
    CertificateNotYetValid,
    CertificateRefused,
    CertificateSelfSigned,
    CertificateUnknownAuthority,
    CertificateWrongName,
    ClientCertificateMissing,
    ClientCertificateRefused,
    NoCommonCipher,
    NoCommonProtocol,
    TLSAlert,
    TLSBroken,
    TLSError,
    TLSHandshakeError,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Most names of a certificate that a message lists; some have thousands.
NAMES_SHOWN = 10

#: Characters of a name that a message shows.
NAME_LENGTH = 200

#: Bytes of what is not TLS that a message shows.
START_SHOWN = 24

#: OpenSSL's verification codes (x509_vfy.h) that have a class of their own.
_CLASSES: dict[int, tuple[type[CertificateRefused], str]] = {
    2: (CertificateUnknownAuthority, "its issuer is not known here"),
    9: (CertificateNotYetValid, "it is not valid yet"),
    10: (CertificateExpired, "it has expired"),
    18: (CertificateSelfSigned, "it is self-signed and not trusted here"),
    19: (CertificateSelfSigned, "its chain ends in a self-signed certificate that is not trusted here"),
    20: (CertificateUnknownAuthority, "its issuer is not known here"),
    21: (CertificateUnknownAuthority, "its issuer is not known here, and no other certificate was sent"),
    23: (CertificateRefused, "it is revoked"),
    26: (CertificateRefused, "it may not be used for this purpose"),
    66: (CertificateRefused, "its key is too weak"),
    67: (CertificateRefused, "its issuer's key is too weak"),
    68: (CertificateRefused, "it is signed with a hash that is too weak"),
    79: (CertificateRefused, "its issuer may not issue certificates"),
}

#: What the first bytes of other protocols look like.
_OTHER_PROTOCOLS: tuple[tuple[bytes, str], ...] = (
    (b"SSH-", "SSH"),
    (b"HTTP/", "plain HTTP"),
    (b"GET ", "plain HTTP"),
    (b"HEAD ", "plain HTTP"),
    (b"POST ", "plain HTTP"),
    (b"PUT ", "plain HTTP"),
    (b"OPTIONS ", "plain HTTP"),
    (b"CONNECT ", "plain HTTP, to a proxy"),
    (b"PRI * HTTP/2", "plain HTTP/2"),
    (b"220", "plain SMTP or FTP"),
    (b"EHLO", "plain SMTP"),
    (b"HELO", "plain SMTP"),
    (b"* OK", "plain IMAP"),
    (b"+OK", "plain POP3"),
    (b"<?xml", "plain XMPP"),
    (b"<stream", "plain XMPP"),
    (b"PROXY ", "the PROXY protocol"),
)


class Verdict:
    """What verifying the peer's chain found; one a connection."""

    __slots__ = ("certificate", "code", "fault", "hostname", "name_checked", "wrong_name")

    def __init__(self, hostname: str | None) -> None:
        self.hostname = hostname  #: whose certificate it must be; None: anybody's
        self.code = 0
        self.certificate: x509.Certificate | None = None
        self.wrong_name = False
        self.name_checked = False
        self.fault: Exception | None = None  #: what a callback raised: OpenSSL cannot pass it on

    def judge(self, certificate: x509.Certificate, code: int, depth: int) -> bool:
        """Take OpenSSL's judgement of one certificate; add ours of the name.  False ends the handshake."""
        if code:
            self.code = code
            self.certificate = certificate
            return False
        if depth == 0 and self.hostname is not None:
            self.name_checked = True
            if not name_fits(certificate, self.hostname):
                self.wrong_name = True
                self.certificate = certificate
                return False
        return True

    def error(self, where: str) -> CertificateRefused | None:
        """Return the error for what was found, if anything."""
        certificate = self.certificate
        if certificate is None:
            return None
        text = described(certificate)
        if self.wrong_name:
            names = ", ".join(names_of(certificate)) or "no name at all"
            return CertificateWrongName(
                f"{where}: the certificate is not for {shown(self.hostname or '')}, but for {names} ({text})",
                certificate,
            )
        kind, reason = _CLASSES.get(
            self.code, (CertificateRefused, f"it fails with OpenSSL's code {self.code}")
        )
        return kind(f"{where}: {text} is refused: {reason}", certificate)


def name_fits(certificate: x509.Certificate, hostname: str) -> bool:
    """Tell whether a certificate is for a host name or an address (RFC 9525)."""
    import service_identity
    from service_identity.cryptography import verify_certificate_hostname, verify_certificate_ip_address

    verify: Any = verify_certificate_ip_address if is_address(hostname) else verify_certificate_hostname
    hostname = hostname.rstrip(".")
    try:
        verify(certificate, hostname if hostname.isascii() else hostname.encode("idna").decode("ascii"))
    except (service_identity.VerificationError, service_identity.CertificateError, ValueError):
        return False
    return True


def is_address(hostname: str) -> bool:
    """Tell a numeric address from a name."""
    try:
        ip_address(hostname)
    except ValueError:
        return False
    return True


def names_of(certificate: x509.Certificate) -> list[str]:
    """Return the names and addresses that a certificate is for, escaped, the first few."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return []
    names = [shown(str(name.value))[:NAME_LENGTH] for name in found if hasattr(name, "value")]
    if len(names) > NAMES_SHOWN:
        names[NAMES_SHOWN:] = [f"and {len(names) - NAMES_SHOWN} more"]
    return names


def described(certificate: x509.Certificate) -> str:
    """Return one line on a certificate: subject, issuer, dates."""
    return (
        f"the certificate {_name(certificate.subject)!r}, issued by {_name(certificate.issuer)!r}, "
        f"valid from {_date(certificate.not_valid_before_utc)} to {_date(certificate.not_valid_after_utc)}"
    )


def _name(name: x509.Name) -> str:
    return shown(name.rfc4514_string())[:NAME_LENGTH]


def _date(when: datetime) -> str:
    return when.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def other_protocol(start: bytes) -> str:
    """Say what a peer speaks that does not speak TLS, from its first bytes."""
    for sign, name in _OTHER_PROTOCOLS:
        if start.startswith(sign):
            return f"the peer speaks {name}, not TLS"
    return f"the peer does not speak TLS: it begins with {shown(start[:START_SHOWN])!r}"


def reasons_of(error: BaseException) -> str:
    """Return OpenSSL's reasons, joined."""
    queue: Sequence[Any] = error.args[0] if error.args and isinstance(error.args[0], list) else ()
    reasons = [str(entry[2]) for entry in queue if len(entry) > 2 and entry[2]]
    return ", ".join(dict.fromkeys(reasons)) or str(error) or type(error).__name__


def alert_name(reasons: str) -> str | None:
    """Return the name of the peer's alert, if that is what OpenSSL tells of ("tlsv1 alert unknown ca")."""
    for reason in reasons.split(", "):
        _, found, name = reason.partition(" alert ")
        if found:
            return name
    return None


#: Alerts that speak of a certificate (RFC 8446 section 6.2), as OpenSSL writes them.
_OF_CERTIFICATES = frozenset(
    (
        "bad certificate",
        "unsupported certificate",
        "certificate revoked",
        "certificate expired",
        "certificate unknown",
        "unknown ca",
        "access denied",
    )
)


def handshake_error(where: str, error: BaseException, verdict: Verdict, *, client: bool) -> TLSError:
    """Return the error for a handshake that OpenSSL ended."""
    if isinstance(error, TLSError):  # of a callback of ours
        return error
    refused = verdict.error(where)
    if refused is not None:
        return refused
    reasons = reasons_of(error)
    alert = alert_name(reasons)
    if alert is not None:
        return alert_error(where, alert, client=client)
    if "peer did not return a certificate" in reasons:
        return ClientCertificateMissing(f"{where}: the client sent no certificate, and one is required")
    if "no shared cipher" in reasons or "no suitable" in reasons:
        return NoCommonCipher(f"{where}: no cipher that both sides accept ({reasons})")
    if "unsupported protocol" in reasons or "wrong version number" in reasons or "version too" in reasons:
        return NoCommonCipher(f"{where}: no TLS version that both sides accept ({reasons})")
    return TLSHandshakeError(f"{where}: the handshake failed: {shown(reasons)}")


def alert_error(where: str, alert: str, *, client: bool) -> TLSError:
    """Return the error for an alert of the peer's."""
    if alert == "certificate required" and client:
        return ClientCertificateMissing(f"{where}: the server requires a certificate of ours, and got none")
    if alert in _OF_CERTIFICATES:
        if client:
            return ClientCertificateRefused(f"{where}: the server refuses our certificate: {alert}")
        return TLSAlert(f"{where}: the client refuses our certificate: {alert}", alert)
    if alert == "no application protocol":
        return NoCommonProtocol(f"{where}: the peer knows none of our application protocols (ALPN)")
    if alert in ("protocol version", "insufficient security"):
        return NoCommonCipher(f"{where}: the peer accepts none of our TLS versions or ciphers ({alert})")
    return TLSAlert(f"{where}: the peer ended TLS with the alert {alert!r}", alert)


def read_error(where: str, error: BaseException, *, client: bool) -> TLSError:
    """Return the error for what OpenSSL found in the peer's bytes after the handshake."""
    reasons = reasons_of(error)
    alert = alert_name(reasons)
    if alert is not None:
        return alert_error(where, alert, client=client)
    return TLSBroken(f"{where}: the peer's bytes are not sound TLS: {shown(reasons)}")
