"""Logins by certificate: whose authority is trusted, for which names, and with what limits (rule R7).

Called by `accounts`.  A certificate lets in by an authority of TrustedUserCAKeys or by a cert-authority line
of authorized_keys.  Its own limits and those of the line or of the list of principals hold together.
"""

from time import time
from typing import TYPE_CHECKING

from sshkit_keys.authorized_options import parse_list
from sshkit_keys.certificate_options import check_source_address
from sshkit_keys.certificates import Certificate
from sshkit_keys.errors import CertificateError, KeyFileError
from sshkit_keys.text import printable

from sshkit.server.key_limits import KeyLimits, LineRefused, limits_of

if TYPE_CHECKING:
    from sshkit_keys.authorized_keys import AuthorizedEntry

#: The critical options that are obeyed here; verify-required was obeyed with the signature.
ENFORCED_OPTIONS = frozenset(("force-command", "source-address", "verify-required"))
_MAX_AUTHORITIES = 1 << 20  #: bytes of a file of authorities


def limits_of_certificate(certificate: Certificate, principal: str | None, source: str) -> KeyLimits:
    """Return what a certificate itself allows now; LineRefused if it does not hold.

    `principal` is the name that it must list, or None if another list decides.
    """
    try:
        certificate.check("user", principal, int(time()), enforced_options=ENFORCED_OPTIONS)
        check_source_address(certificate, source)
    except CertificateError as error:
        raise LineRefused(str(error)) from None
    granted = certificate.extensions
    return KeyLimits(
        f"certificate {printable(certificate.key_id)}",
        certificate.force_command,
        "permit-pty" in granted,
        "permit-port-forwarding" in granted,
        "permit-agent-forwarding" in granted,
        "permit-X11-forwarding" in granted,
        permit_user_rc="permit-user-rc" in granted,
        touch_required="no-touch-required" not in granted,
        verify_required="verify-required" in certificate.critical_options,
    )


def limits_by_line(certificate: Certificate, entry: "AuthorizedEntry", source: str) -> KeyLimits:
    """Return what a certificate and the cert-authority line of its authority allow; raises LineRefused."""
    limits = limits_of(entry, source, certificate=True)
    # Without the option, the certificate has to list the user's name, which the caller looks at.
    if "principals" in entry.options:
        listed = parse_list(entry.options["principals"][0])
        if not set(listed) & set(certificate.principals):
            raise LineRefused(f"{printable(entry.place)}: the certificate has none of the principals")
    return limits


def together(first: KeyLimits, second: KeyLimits) -> KeyLimits:
    """Return what both allow; LineRefused if each forces another command."""
    if None not in (first.command, second.command) and first.command != second.command:
        raise LineRefused(f"{first.place} and {second.place} force different commands")
    return KeyLimits(
        f"{first.place}, {second.place}",
        second.command if first.command is None else first.command,
        first.permit_terminal and second.permit_terminal,
        first.permit_port_forwarding and second.permit_port_forwarding,
        first.permit_agent_forwarding and second.permit_agent_forwarding,
        first.permit_x11_forwarding and second.permit_x11_forwarding,
        first.permit_open + second.permit_open,
        first.permit_listen + second.permit_listen,
        first.permit_user_rc and second.permit_user_rc,
        first.environment or second.environment,
        first.touch_required or second.touch_required,
        first.verify_required or second.verify_required,
        second.tunnel if first.tunnel is None else first.tunnel,
    )


def is_trusted_authority(certificate: Certificate, path: str) -> bool:
    """Say whether a file of public keys lists the certificate's authority; raises OSError or KeyFileError."""
    from sshkit_keys import find_public_keys

    with open(path, "rb") as file:
        data = file.read(_MAX_AUTHORITIES + 1)
    if len(data) > _MAX_AUTHORITIES:
        raise KeyFileError(f"the file is larger than {_MAX_AUTHORITIES} bytes", path)
    return any(key.blob == certificate.authority.blob for key in find_public_keys(data, path))
