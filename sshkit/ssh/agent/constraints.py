"""Under which constraints a key is added (RFC 9987 section 5.2.7, PROTOCOL.agent of OpenSSH).

Called by the client to ask and by the server to obey.  What is not known, comes twice or cannot be obeyed
raises, so that a key is never held under less than what was asked for (rule R40).
"""

from collections.abc import Callable
from typing import NamedTuple

from sshkit_keys.key import PublicKey
from sshkit_keys.text import quoted
from sshkit_keys.wire import WireReader, boolean, byte, string, uint32

from sshkit.ssh.agent import destinations
from sshkit.ssh.agent.destinations import Destination
from sshkit.ssh.agent.errors import ConstraintError
from sshkit.ssh.agent.key_blobs import parse_blob

LIFETIME, CONFIRM, MAXSIGN, EXTENSION = 1, 2, 3, 255
SECURITY_KEY_PROVIDER = "sk-provider@openssh.com"
ASSOCIATED_CERTIFICATES = "associated-certs-v00@openssh.com"
MAX_CERTIFICATES = 1024  #: OpenSSH's limit


class Constraints(NamedTuple):
    """What limits the use of a key."""

    lifetime: int = 0  #: seconds; 0: none
    confirm: bool = False
    max_signatures: int = 0  #: of XMSS keys, which nobody has; 0: none
    destinations: tuple[Destination, ...] = ()
    provider: str = ""  #: the library for a security key; "internal" or nothing is none
    #: Of the keys of a token only: certificates for them, and whether the plain keys are left out.
    certificates: tuple[PublicKey, ...] = ()
    certificates_only: bool = False

    def encode(self) -> bytes:
        """Return them as they follow a key."""
        parts = []
        if self.lifetime:
            parts.append(byte(LIFETIME) + uint32(self.lifetime))
        if self.confirm:
            parts.append(byte(CONFIRM))
        if self.max_signatures:
            parts.append(byte(MAXSIGN) + uint32(self.max_signatures))
        if self.provider:
            parts.append(byte(EXTENSION) + string(SECURITY_KEY_PROVIDER) + string(self.provider))
        if self.destinations:
            contents = destinations.encode(self.destinations)
            parts.append(byte(EXTENSION) + string(destinations.NAME) + string(contents))
        if self.certificates:
            blobs = b"".join(string(certificate.blob) for certificate in self.certificates)
            only = boolean(self.certificates_only)
            parts.append(byte(EXTENSION) + string(ASSOCIATED_CERTIFICATES) + only + string(blobs))
        return b"".join(parts)


NONE = Constraints()


def read_constraints(reader: WireReader, *, of_token: bool = False) -> Constraints:
    """Read all that is left; ConstraintError for what is unknown, WireError for what is damaged."""
    found: dict[str, object] = {}

    def note(name: str, value: object) -> None:
        if name in found:
            raise ConstraintError(f"the constraint {name} is there twice")
        found[name] = value

    while reader.position < reader.end:
        kind = reader.byte("constraint")
        if kind == LIFETIME:
            note("lifetime", reader.uint32("lifetime"))
        elif kind == CONFIRM:
            note("confirm", True)
        elif kind == MAXSIGN and not of_token:
            note("max_signatures", reader.uint32("maximum of signatures"))
        elif kind == EXTENSION:
            _read_extension(reader, note, of_token)
        else:
            raise ConstraintError(f"constraint {kind} is unknown here")
    return Constraints(**found)  # type: ignore[arg-type]


def _read_extension(reader: WireReader, note: Callable[[str, object], None], of_token: bool) -> None:
    name = reader.text("constraint's name")
    if name == SECURITY_KEY_PROVIDER and not of_token:
        note("provider", reader.text("provider"))
    elif name == destinations.NAME:
        note("destinations", destinations.decode(reader.string("destination constraints")))
    elif name == ASSOCIATED_CERTIFICATES and of_token:
        note("certificates_only", reader.boolean("certificates only"))
        blobs = WireReader(reader.view("certificates"))
        certificates: list[PublicKey] = []
        while blobs.position < blobs.end:
            if len(certificates) >= MAX_CERTIFICATES:
                raise ConstraintError(f"more than {MAX_CERTIFICATES} certificates")
            certificates.append(parse_blob(blobs.string("certificate")))
        note("certificates", tuple(certificates))
    else:
        raise ConstraintError(f"the constraint {quoted(name, 64)} is unknown here")
