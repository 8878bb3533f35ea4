"""Shows a certificate to a person, in the lines of ``ssh-keygen -L``.

Called by sshkit-keygen.  What the authority wrote is escaped (rule R36).
"""

from collections.abc import Mapping

from .certificate_options import CRITICAL_OPTIONS, EXTENSIONS
from .certificate_times import format_validity
from .certificates import Certificate
from .text import printable
from .wire import string

_INDENT = " " * 8
_DEEPER = " " * 16


def format_certificate(certificate: Certificate, hash_name: str = "sha256") -> list[str]:
    """Return the lines that follow the file's name in ``ssh-keygen -L``."""
    authority = certificate.authority
    signed = f"{authority.label} {authority.fingerprint(hash_name)} (using {certificate.signature_algorithm})"
    return [
        f"{_INDENT}Type: {certificate.key_type} {certificate.role} certificate",
        f"{_INDENT}Public key: {certificate.label} {certificate.fingerprint(hash_name)}",
        f"{_INDENT}Signing CA: {signed}",
        f'{_INDENT}Key ID: "{printable(certificate.key_id, 4096)}"',
        f"{_INDENT}Serial: {certificate.serial}",
        f"{_INDENT}Valid: {format_validity(certificate.valid_after, certificate.valid_before)}",
        *_section("Principals", [printable(name, 4096) for name in certificate.principals]),
        *_section("Critical Options", _option_lines(certificate.critical_options, CRITICAL_OPTIONS)),
        *_section("Extensions", _option_lines(certificate.extensions, dict.fromkeys(EXTENSIONS, False))),
    ]


def _section(title: str, lines: list[str]) -> list[str]:
    if not lines:
        return [f"{_INDENT}{title}: (none)"]
    return [f"{_INDENT}{title}: ", *(f"{_DEEPER}{line}" for line in lines)]


def _option_lines(options: Mapping[str, str | bytes], known: Mapping[str, bool]) -> list[str]:
    lines: list[str] = []
    for name, value in options.items():
        shown = printable(name, 256)
        if name in known:
            lines.append(f"{shown} {printable(value, 4096)}" if value else shown)
        else:
            raw = value if isinstance(value, bytes) else string(value) if value else b""
            lines.append(
                f"{shown} UNKNOWN OPTION: {raw.hex()} (len {len(raw)})"
                if raw
                else f"{shown} UNKNOWN FLAG OPTION"
            )
    return lines
