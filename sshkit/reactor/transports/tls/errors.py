"""What can go wrong with TLS, a class each: a program can tell an expired certificate from a wrong name.

Raised by the layer through the Deferred of the handshake, or given to `connection_lost`.  Text of the
peer's, and that is every name in a certificate, is escaped (rule R36).
"""

from typing import TYPE_CHECKING

from sshkit_keys.errors import SSHKitError

if TYPE_CHECKING:
    from cryptography.x509 import Certificate


class TLSError(SSHKitError, ConnectionError):
    """Root of all of them."""


class TLSConfigurationError(TLSError, ValueError):
    """Options that cannot work: a file that does not load, a key that does not fit its certificate."""


class TLSHandshakeError(TLSError):
    """The handshake failed; the protocol above was never told of a connection."""


class TLSHandshakeTimeout(TLSHandshakeError, TimeoutError):
    """The deadline passed before the handshake was done."""


class TLSHandshakeCut(TLSHandshakeError):
    """The peer closed the connection in the middle of the handshake."""


class NotTLS(TLSHandshakeError):
    """The peer speaks something else; the message says what, as far as it can be told."""


class PlainTextPipelined(TLSHandshakeError):
    """Plain bytes came behind the command that starts TLS: somebody may have put them there."""


class NoCommonProtocol(TLSHandshakeError):
    """No application protocol (ALPN) that both sides know."""


class NoCommonCipher(TLSHandshakeError):
    """No TLS version or cipher that both sides accept."""


class CertificateRefused(TLSHandshakeError):
    """We do not accept the peer's certificate; `certificate` is the one in the chain that failed."""

    def __init__(self, message: str, certificate: "Certificate | None" = None) -> None:
        super().__init__(message)
        self.certificate = certificate


class CertificateExpired(CertificateRefused):
    """Its time is over."""


class CertificateNotYetValid(CertificateRefused):
    """Its time has not begun; or our clock is wrong."""


class CertificateWrongName(CertificateRefused):
    """It is for other names than the one asked for."""


class CertificateSelfSigned(CertificateRefused):
    """It is signed by nobody but itself, or its chain ends so, and it is not in our trust."""


class CertificateUnknownAuthority(CertificateRefused):
    """The authority that signed it is not in our trust, or an intermediate certificate was not sent."""


class ClientCertificateMissing(TLSHandshakeError):
    """A client certificate is asked for, and there is none."""


class ClientCertificateRefused(TLSHandshakeError):
    """The server does not accept our client certificate; with TLS 1.3 that comes after our handshake."""


class TLSAlert(TLSError):
    """The peer ended TLS with an alert; `name` is the name of it ("unknown ca", ...)."""

    def __init__(self, message: str, name: str) -> None:
        super().__init__(message)
        self.name = name


class TLSBroken(TLSError):
    """What came after the handshake is not sound TLS: damaged, forged, or against the protocol."""


class TLSTruncated(TLSError):
    """The connection ended without the peer's close_notify: whatever it was sending may be incomplete."""
