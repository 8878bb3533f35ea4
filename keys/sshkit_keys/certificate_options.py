"""What a certificate forbids and allows: critical options and extensions (PROTOCOL.certkeys).

Called by `certificates` to read, by `certificate_signing` to write, and by the server, which must enforce
every critical option of a certificate or refuse it.
"""

from collections.abc import Mapping

from .errors import CertificateError, KeyFormatError, WireError
from .text import quoted
from .wire import WireReader, string

#: Critical options that have a meaning, and whether they carry a text.
CRITICAL_OPTIONS: dict[str, bool] = {
    "force-command": True,
    "source-address": True,
    "verify-required": False,
}
#: Extensions that have a meaning; none carries a text.
EXTENSIONS: tuple[str, ...] = (
    "no-touch-required",
    "permit-X11-forwarding",
    "permit-agent-forwarding",
    "permit-port-forwarding",
    "permit-pty",
    "permit-user-rc",
)
#: What ssh-keygen grants in a user certificate if not told otherwise.
DEFAULT_USER_EXTENSIONS: dict[str, str] = dict.fromkeys(EXTENSIONS[1:], "")

#: More options than anybody has a use for (rule R18).
MAX_OPTIONS = 256
#: The longest form of an address with its prefix length.
_MAX_ADDRESS_CHARACTERS = 46 + 4
_ADDRESS_CHARACTERS = frozenset("0123456789abcdefABCDEF.:/")


def read_options(data: bytes, what: str, known: Mapping[str, bool]) -> dict[str, str | bytes]:
    """Return name -> text of an option list; "" for a flag, the bytes as they are where they are no text.

    A name that is `known` must have the form it is known for.  Any order is read, as OpenSSH does, though
    the names should be sorted; a name twice is refused, since one of the two would go unseen.
    """
    reader = WireReader(data)
    found: dict[str, str | bytes] = {}
    while reader.position < reader.end:
        name = reader.text(f"{what}'s name")
        value = reader.string(f"{what}'s value")
        if name in found:
            raise KeyFormatError(f"the certificate has the {what} {quoted(name, 64)} twice")
        if len(found) == MAX_OPTIONS:
            raise KeyFormatError(f"the certificate has more than {MAX_OPTIONS} {what}s")
        text = _text(value)
        if name in known and (not isinstance(text, str) or known[name] != bool(value)):
            raise KeyFormatError(f"the certificate's {what} {quoted(name, 64)} is damaged")
        found[name] = text
    return found


def _text(value: bytes) -> str | bytes:
    """Return the text that is a string within the string, or `value` if there is none."""
    if not value:
        return ""
    reader = WireReader(value)
    try:
        text = reader.text()
        reader.finish()
    except WireError:
        return value
    return value if "\0" in text or not text else text


def encode_options(options: Mapping[str, str | bytes], what: str, known: Mapping[str, bool]) -> bytes:
    """Encode what `read_options` returns, sorted by name."""
    parts: list[bytes] = []
    for name in sorted(options, key=str.encode):
        value = options[name]
        if not name or "\0" in name:
            raise CertificateError(f"{quoted(name, 64)} cannot be a {what}'s name")
        raw = value if isinstance(value, bytes) else string(value) if value else b""
        if name in known and known[name] != bool(raw):
            raise CertificateError(f"the {what} {name} {'needs a' if known[name] else 'takes no'} value")
        parts.append(string(name) + string(raw))
    return b"".join(parts)


def check_address_list(text: str) -> tuple[tuple[int, int, int], ...]:
    """Return (version, network, prefix length) of each part of a source-address list.

    Every part is an address or a network in CIDR form whose host bits are zero; anything else raises
    CertificateError, since a list read by half could let somebody in.
    """
    from ipaddress import ip_network

    networks: list[tuple[int, int, int]] = []
    for part in text.split(","):
        try:
            if not part or len(part) > _MAX_ADDRESS_CHARACTERS or not _ADDRESS_CHARACTERS.issuperset(part):
                raise ValueError
            length = part.partition("/")[2]
            if "." in length or "/" in length or part.endswith("/"):
                raise ValueError
            network = ip_network(part)
        except ValueError:
            raise CertificateError(f"the source-address list holds {quoted(part, 64)}") from None
        networks.append((network.version, int(network.network_address), network.prefixlen))
    return tuple(networks)


def matches_address(text: str, address: str) -> bool:
    """Say whether `address` is in the list; an IPv4 address inside IPv6 counts as IPv4."""
    from ipaddress import IPv6Address, ip_address

    networks = check_address_list(text)
    try:
        peer = ip_address(address)
    except ValueError:
        return False  # a UNIX socket's name, or nothing at all
    if isinstance(peer, IPv6Address) and peer.ipv4_mapped is not None:
        peer = peer.ipv4_mapped
    number, bits = int(peer), peer.max_prefixlen
    return any(
        version == peer.version and number >> (bits - length) == network >> (bits - length)
        for version, network, length in networks
    )


def check_source_address(certificate: object, address: str) -> None:
    """Raise CertificateError if the certificate's source-address option does not hold `address`."""
    from .certificates import Certificate

    assert isinstance(certificate, Certificate)
    text = certificate.source_address
    if text is not None and not matches_address(text, address):
        raise CertificateError(
            f"the certificate {quoted(certificate.key_id)} is not for use from {quoted(address, 64)}"
        )
