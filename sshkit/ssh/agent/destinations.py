"""Where a key may be used: destination constraints, checked along the hosts that a connection was bound to.

Called by the server.  A constraint allows one hop, from a host (or from here) to a host; a key is permitted
if every hop of the chain is allowed (PROTOCOL.agent of OpenSSH, section 2; ssh-agent(1)).
"""

from collections.abc import Sequence
from typing import NamedTuple

from sshkit_keys.errors import SSHKitError
from sshkit_keys.host_patterns import matches_glob
from sshkit_keys.key import PublicKey
from sshkit_keys.text import printable
from sshkit_keys.wire import WireReader, boolean, string

from sshkit.ssh.agent.errors import ConstraintError
from sshkit.ssh.agent.key_blobs import parse_blob

NAME = "restrict-destination-v00@openssh.com"
#: OpenSSH's limit, and one of ours for the keys of a host: a known_hosts file gives a handful.
MAX_CONSTRAINTS = 1024
MAX_HOST_KEYS = 1024


class HostKey(NamedTuple):
    """A key by which a host is known, or a CA whose certificates it may show."""

    key: PublicKey
    is_authority: bool = False


class Hop(NamedTuple):
    """One end of a constraint; an empty one is the machine where the agent runs."""

    host: str = ""
    keys: tuple[HostKey, ...] = ()
    user: str = ""  #: a pattern; only of the end that is logged in to, empty for everybody

    def __str__(self) -> str:
        where = printable(self.host) or "(here)"
        return f"{printable(self.user)}@{where}" if self.user else where


class Destination(NamedTuple):
    """Permission for one hop."""

    origin: Hop
    target: Hop

    def __str__(self) -> str:
        return f"{self.origin}>{self.target}" if self.origin.host else str(self.target)


class Binding(NamedTuple):
    """A session that the connection to the agent was bound to."""

    host_key: PublicKey
    session_id: bytes
    forwarding: bool  #: whether the host passes the agent on, or is logged in to


class Permission(NamedTuple):
    """The answer for one key: whether it may be used, and the hosts' names for questions and logs."""

    allowed: bool
    why: str = ""
    forwarded_by: str = ""
    host: str = ""


YES = Permission(True)


def encode(destinations: Sequence[Destination]) -> bytes:
    """Return the contents of the constraint."""
    parts = []
    for origin, target in destinations:
        parts.append(string(string(_encode_hop(origin)) + string(_encode_hop(target)) + string(b"")))
    return b"".join(parts)


def _encode_hop(hop: Hop) -> bytes:
    keys = b"".join(string(entry.key.blob) + boolean(entry.is_authority) for entry in hop.keys)
    return string(hop.user) + string(hop.host) + string(b"") + keys


def decode(data: bytes) -> tuple[Destination, ...]:
    """Read the contents of the constraint; ConstraintError or WireError if they cannot be obeyed whole."""
    outer = WireReader(data)
    found: list[Destination] = []
    while outer.position < outer.end:
        if len(found) >= MAX_CONSTRAINTS:
            raise ConstraintError(f"more than {MAX_CONSTRAINTS} destination constraints")
        reader = WireReader(outer.view("destination constraint"))
        origin = _decode_hop(reader.view("origin"))
        target = _decode_hop(reader.view("target"))
        if len(reader.view("reserved")):
            raise ConstraintError("a destination constraint with unknown extensions")
        reader.finish("destination constraint")
        if origin.user or bool(origin.host) != bool(origin.keys):
            raise ConstraintError("a destination constraint whose origin contradicts itself")
        if not target.host or not target.keys:
            raise ConstraintError("a destination constraint without a host to go to")
        found.append(Destination(origin, target))
    if not found:
        # Taken as it stands, it would permit nothing here and everything in OpenSSH.
        raise ConstraintError("a destination constraint that names no destination")
    return tuple(found)


def _decode_hop(data: memoryview) -> Hop:
    reader = WireReader(data)
    user = reader.text("user")
    host = reader.text("host name")
    if len(reader.view("reserved")):
        raise ConstraintError("a destination constraint with unknown extensions")
    keys: list[HostKey] = []
    while reader.position < reader.end:
        if len(keys) >= MAX_HOST_KEYS:
            raise ConstraintError(f"more than {MAX_HOST_KEYS} host keys in a destination constraint")
        blob = reader.string("host key")
        is_authority = reader.boolean("host key is a CA")
        keys.append(HostKey(parse_blob(blob), is_authority))
    return Hop(host, tuple(keys), user)


def permission(
    destinations: Sequence[Destination],
    bindings: Sequence[Binding],
    bind_failed: bool,
    user: str | None,
    now: float,
) -> Permission:
    """Tell whether a key may be used over a connection bound so, or only be seen where `user` is None.

    `bind_failed`: a binding was tried and none came about, so nobody knows who is there.  `now` is the time
    of day, for host certificates.
    """
    if not destinations:
        return YES
    if not bindings:
        return Permission(False, "the connection could not be bound to a session") if bind_failed else YES
    origin: PublicKey | None = None
    first = last_name = ""
    last = len(bindings) - 1
    for number, binding in enumerate(bindings):
        if number == last:
            if binding.forwarding and user is not None:
                return Permission(False, "a signature was asked for over a hop that only forwards")
        elif not binding.forwarding:
            return Permission(False, "the agent was passed on over a connection for logging in")
        hop_user = user if number == last else None
        allowed = _find(destinations, origin, binding.host_key, hop_user, now)
        if allowed is None:
            return Permission(False, "the key is not permitted for this destination")
        if number == 0:
            first = allowed.target.host
        last_name = allowed.target.host
        origin = binding.host_key
    if bindings[last].forwarding and user is None and _find(destinations, origin, None, None, now) is None:
        return Permission(False, "the key is permitted at this host, but not beyond it")
    return Permission(True, "", first if last else "", last_name)


def _find(
    destinations: Sequence[Destination],
    origin: PublicKey | None,
    target: PublicKey | None,
    user: str | None,
    now: float,
) -> Destination | None:
    """Return the constraint that allows one hop; no `target` means any."""
    for destination in destinations:
        if origin is None:
            if destination.origin.host or destination.origin.keys:
                continue
        elif not _is_host(destination.origin, origin, now):
            continue
        if target is not None and not _is_host(destination.target, target, now):
            continue
        if destination.target.user and user is not None and not matches_glob(destination.target.user, user):
            continue
        return destination
    return None


def _is_host(hop: Hop, key: PublicKey, now: float) -> bool:
    """Tell whether a host that showed `key`, which may be a certificate, is the hop's."""
    if not hasattr(key, "authority"):
        return any(entry.key == key and not entry.is_authority for entry in hop.keys)
    from sshkit_keys.certificates import Certificate

    assert isinstance(key, Certificate)
    if not any(entry.key == key.authority and entry.is_authority for entry in hop.keys):
        return False
    try:
        key.check("host", None, int(now), enforced_options=frozenset())
    except SSHKitError:
        return False
    return any(matches_glob(pattern, hop.host) for pattern in key.principals)
