"""The near end of a forward: listen, and open a channel for every connection that comes.

`ChannelSource` says which channel; `Arrival` is the protocol of an accepted socket.  Used by the client for
local forwards and by the server for remote ones.
"""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sshkit_keys.errors import SSHKitError
from sshkit_keys.wire import string, uint32

from sshkit.forwarding.addresses import Place, TcpPlace, UnixPlace, path_bytes
from sshkit.forwarding.pump import Pump, SocketEnd, Tally
from sshkit.ssh.channels import direct_tcpip, streamlocal

if TYPE_CHECKING:
    from sshkit.deferred import Deferred
    from sshkit.interfaces import Listener, Reactor, Transport
    from sshkit.ssh.connection.connection import Connection

BIND_MASK = 0o177  #: permissions that a listening UNIX socket lacks: only its owner may connect


class ChannelSource:
    """Opens one channel for each connection at a listening place."""

    __slots__ = ("connection", "head", "kind", "named", "tally")

    def __init__(
        self, connection: "Connection", kind: str, head: bytes, tally: Tally, named: bool = True
    ) -> None:
        self.connection = connection
        self.kind = kind
        self.head = head  #: the body of CHANNEL_OPEN as far as it is the same for all
        self.named = named  #: the originator follows
        self.tally = tally

    def body(self, transport: "Transport") -> bytes:
        """Return the body of CHANNEL_OPEN."""
        if not self.named:
            return self.head
        peer = transport.get_extra_info("peername")
        host, port = peer[:2] if isinstance(peer, tuple) else ("127.0.0.1", 0)
        return self.head + string(host) + uint32(port)


def direct_source(connection: "Connection", place: Place, tally: Tally) -> ChannelSource:
    """Return the source of channels that the server connects to `place`."""
    kind, head, named = direct_open(place)
    return ChannelSource(connection, kind, head, tally, named)


def direct_open(place: Place) -> tuple[str, bytes, bool]:
    """Return the kind of channel to `place`, its body, and whether host and port of who wants it follow."""
    if isinstance(place, TcpPlace):
        return direct_tcpip.KIND, string(place.host) + uint32(place.port), True
    return streamlocal.DIRECT, streamlocal.DirectStreamlocal(path_bytes(place), b"", 0).encode(), False


class Arrival(SocketEnd):
    """A socket that was accepted; its channel is opened at once."""

    __slots__ = ("_source",)

    def __init__(self, source: ChannelSource) -> None:
        super().__init__(source.tally)
        self._source = source

    def connection_made(self, transport: "Transport") -> None:
        full = self.tally.is_full
        super().connection_made(transport)
        source = self._source
        if full:
            self.open_failed(None)
            return
        open_for(source.connection, source.kind, source.body(transport), self, Pump(self))

    def begin(self) -> None:
        """Read, and at once: whoever connected has mostly sent something while the channel was opened."""
        super().begin()
        read = getattr(self.transport, "read_ready", None)
        if read is not None:
            read()


def open_for(connection: "Connection", kind: str, body: bytes, end: Any, pump: Pump) -> None:
    """Open a channel for a socket that waits; where there is none, the socket is refused."""
    try:
        opened = connection.open_channel(kind, body, pump)
    except SSHKitError as error:  # too many channels
        end.open_failed(error)
        return
    opened.add_errback(end.open_failed)


def listen(
    reactor: "Reactor",
    place: Place,
    factory: Callable[[], Any],
    *,
    mask: int = BIND_MASK,
    unlink: bool = False,
) -> "Deferred[Listener]":
    """Listen at a place.  `unlink` removes a socket that lies there already, never another file."""
    if isinstance(place, TcpPlace):
        return reactor.listen_tcp(place.host, place.port, factory)
    if unlink:
        remove_socket(place)
    return reactor.listen_unix(place.path, factory, mode=0o777 & ~mask)


def remove_socket(place: UnixPlace) -> None:
    """Remove what an earlier forward left behind."""
    from stat import S_ISSOCK

    try:
        if S_ISSOCK(os.stat(place.path, follow_symlinks=False).st_mode):
            os.unlink(place.path)
    except OSError:
        pass  # binding says what is wrong
