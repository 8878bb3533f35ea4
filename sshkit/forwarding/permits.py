"""Lists of permitted addresses: PermitOpen, PermitListen, PermitRemoteOpen, and the options of keys.

Used by the server for what clients ask, and by the client for its remote dynamic forwards.
"""

from collections.abc import Callable, Iterable, Sequence

from sshkit_keys.authorized_options import parse_permit_open
from sshkit_keys.errors import TrustFileError
from sshkit_keys.host_patterns import matches_glob

from sshkit.forwarding.addresses import TcpPlace
from sshkit.forwarding.errors import InvalidAddress

#: Host ("*": any) and port (None: any).
Permit = tuple[str, int | None]


def parse_permits(texts: Iterable[str]) -> tuple[Permit, ...] | None:
    """Read the words of PermitOpen: "any" (None), "none", or each host:port."""
    words = list(texts)
    if [word.lower() for word in words] == ["any"]:
        return None
    if [word.lower() for word in words] == ["none"]:
        return ()
    try:
        return tuple(parse_permit_open(word) for word in words)
    except TrustFileError as error:
        raise InvalidAddress(str(error)) from None


def permits_open(permitted: Sequence[Permit] | None, host: str, port: int) -> bool:
    """Tell whether a connection to a host may be made: the host as it was written, or any."""
    if permitted is None:
        return True
    return any(name in ("*", host) and number in (None, port) for name, number in permitted)


def permits_listen(permitted: Sequence[Permit] | None, host: str, port: int) -> bool:
    """Tell whether a port may be listened at; the hosts of the list are patterns, in any case."""
    if permitted is None:
        return True
    name = host.lower()
    return any(
        matches_glob(pattern.lower(), name) and number in (None, port) for pattern, number in permitted
    )


def permits(texts: Sequence[str] | None) -> Callable[[TcpPlace], bool]:
    """Return what decides about the destinations of a remote dynamic forward; None permits all."""
    permitted = None if texts is None else parse_permits(texts)
    return lambda place: permits_open(permitted, place.host, place.port)
