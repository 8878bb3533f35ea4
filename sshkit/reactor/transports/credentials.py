"""Who is at the other end of a UNIX socket, as the kernel knows it (unix(7), SO_PEERCRED).

Called by the `get_extra_info` of stream transports.
"""

import socket
from struct import calcsize, unpack
from typing import NamedTuple

_FORMAT = "iII"


class PeerCredentials(NamedTuple):
    """The process that connected, or listened, and its user and group at that time."""

    pid: int
    uid: int
    gid: int


def peer_credentials(sock: socket.socket) -> PeerCredentials | None:
    """Return the peer's credentials; None for other sockets, and where the system does not tell."""
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None or sock.family != socket.AF_UNIX:
        return None
    try:
        return PeerCredentials(
            *unpack(_FORMAT, sock.getsockopt(socket.SOL_SOCKET, option, calcsize(_FORMAT)))
        )
    except OSError:
        return None
