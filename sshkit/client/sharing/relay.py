"""Proxy mode on the master's side: the channels of other programs, passed through with new numbers.

`master` makes one Relay for a connection.  It stands between the transport layer and the connection: a
message for a channel of a proxied program goes to that program, every other one to the connection as always.
Only numbers are changed; windows are the program's own business, and its data is counted by nobody here.

Each program may use the numbers of its own channels, and no other: what it makes up ends it alone.
"""

from struct import Struct
from typing import TYPE_CHECKING, Any

from sshkit.client.sharing.proxied_program import ProxiedProgram
from sshkit.ssh.channels import forwarded_tcpip, streamlocal
from sshkit.ssh.connection.channel import Channel
from sshkit.ssh.connection.connection import BOTH, RUNNING_CLIENT, Connection
from sshkit.ssh.connection.protocol import ChannelProtocol
from sshkit.ssh.errors import RemoteProtocolError
from sshkit.ssh.messages import connection as messages
from sshkit.ssh.transport.layer import COMMON, PING_HANDLERS, UNKNOWN
from sshkit.ssh.transport.phases import table, through

if TYPE_CHECKING:
    from collections.abc import Callable

    from sshkit.ssh.transport.layer import TransportLayer
    from sshkit.ssh.transport.packet_reader import Handler

_NUMBER = Struct(">I")
_CLOSE = Struct(">BI")


class Route:
    """One channel: our number for the server, the program's own, and the server's."""

    __slots__ = ("close_received", "close_sent", "number", "peer", "program", "theirs")

    def __init__(self, number: int, theirs: int, program: "ProxiedProgram | None") -> None:
        self.number = number
        self.theirs = theirs
        self.peer = -1  #: the server's number; -1 until it has one
        self.program = program  #: None: it has gone, and the channel only has to end
        self.close_sent = False
        self.close_received = False


class Relay:
    """The proxied programs of one connection.  It is the target of the layer's phase while there are any."""

    __slots__ = ("connection", "forwards", "layer", "programs", "routes")

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.layer: TransportLayer = connection.layer
        self.programs: set[ProxiedProgram] = set()
        self.routes: dict[int, Route] = {}  #: by our number
        self.forwards: dict[tuple[str, int] | bytes, ProxiedProgram] = {}  #: by what the server names them by

    def add(self, program: ProxiedProgram) -> None:
        """Take a program in."""
        if not self.programs and not self.routes and self.layer.lost is None:
            self.layer.set_phase(RELAYING, self)
        self.programs.add(program)

    def remove(self, program: ProxiedProgram) -> None:
        """Let a program go, with all its channels and forwards."""
        self.programs.discard(program)
        for key in [key for key, holder in self.forwards.items() if holder is program]:
            self.cancel(key)
        for route in [route for route in self.routes.values() if route.program is program]:
            route.program = None
            if route.peer >= 0:
                self.close_route(route)
        self._settle()

    def close(self) -> None:
        """End every program: the connection has ended, or is shared no more."""
        for program in tuple(self.programs):
            program.end()

    def writable(self) -> None:
        """Let everybody go on that waited for the network or for new keys."""
        self.connection.writable()
        for program in tuple(self.programs):
            program.go_on()

    # For the programs.

    def reserve(self, theirs: int, program: ProxiedProgram) -> Route:
        """Return a route with a number that nothing else of this connection has."""
        connection = self.connection
        number = connection.next_free()
        connection.channels[number] = Channel(connection, number, "proxied", ChannelProtocol())
        route = self.routes[number] = Route(number, theirs, program)
        return route

    def close_route(self, route: Route) -> None:
        """Send CLOSE for a channel, once, and forget it when both sides have."""
        if not route.close_sent:
            self.layer.send(_CLOSE.pack(messages.CHANNEL_CLOSE, route.peer))
            self.close_sent(route)

    def close_sent(self, route: Route) -> None:
        """Note that CLOSE has left."""
        route.close_sent = True
        if route.close_received:
            self.forget(route)

    def forget(self, route: Route) -> None:
        """Let a number go."""
        del self.routes[route.number]
        self.connection.channels.pop(route.number, None)
        if route.program is not None:
            route.program.routes.pop(route.peer, None)
        self._settle()

    def cancel(self, key: "tuple[str, int] | bytes") -> None:
        """End a forward of a program that has gone."""
        del self.forwards[key]
        if isinstance(key, tuple):
            kind, body = forwarded_tcpip.CANCEL, forwarded_tcpip.TcpipForward(*key).encode()
        else:
            kind, body = streamlocal.CANCEL, streamlocal.StreamlocalForward(key).encode()
        self.connection.global_request(kind, body).add_both(lambda _: None)

    # Handlers.

    def open_requested(self, payload: memoryview) -> None:
        """Give a channel that the server opens to the program whose forward it is of."""
        message = messages.ChannelOpen.decode(payload)
        key: tuple[str, int] | bytes | None = None
        if message.kind == forwarded_tcpip.KIND:
            opened = forwarded_tcpip.ForwardedTcpip.decode(message.body)
            key = (opened.host, opened.port)
        elif message.kind == streamlocal.FORWARDED:
            key = streamlocal.ForwardedStreamlocal.decode(message.body).path
        program = None if key is None else self.forwards.get(key)
        if program is None:
            self.connection.open_requested(payload)
        elif message.sender in program.routes:
            raise RemoteProtocolError(f"the server opens channel {message.sender} twice")
        else:
            program.offer(message.sender, payload)

    def _settle(self) -> None:
        """Step aside when nothing is left to relay."""
        if not self.programs and not self.routes and self.layer.lost is None:
            self.layer.set_phase(RUNNING_CLIENT, self.connection)


def _passing(ordinary: "Callable[[Any, memoryview], object]") -> "Handler":
    """Return a handler for messages that begin with a channel's number."""

    def handle(relay: Relay, payload: memoryview) -> None:
        route = relay.routes.get(_NUMBER.unpack_from(payload, 1)[0]) if len(payload) > 4 else None
        if route is None:
            ordinary(relay.connection, payload)
        else:
            _pass_on(relay, route, payload)

    return handle


def _pass_on(relay: Relay, route: Route, payload: memoryview) -> None:
    number = payload[0]
    if number == messages.CHANNEL_OPEN_CONFIRMATION:
        message = messages.ChannelOpenConfirmation.decode(payload)
        program = route.program
        if route.peer >= 0 or (program is not None and message.sender in program.routes):
            raise RemoteProtocolError(f"channel {route.number} was confirmed before")
        route.peer = message.sender
        if program is None:
            relay.close_route(route)
            return
        program.confirmed(route)
    elif (number == messages.CHANNEL_OPEN_FAILURE) != (route.peer < 0):
        raise RemoteProtocolError(f"message {number} for channel {route.number}, which is not open")
    program = route.program
    if number == messages.CHANNEL_OPEN_FAILURE:
        relay.forget(route)
        if program is not None:
            program.pending -= 1
    elif number == messages.CHANNEL_CLOSE:
        if route.close_received:
            raise RemoteProtocolError(f"channel {route.number} was closed before")
        route.close_received = True
    if program is not None:
        program.send(b"".join((payload[:1], _NUMBER.pack(route.theirs), payload[5:])))
    if number == messages.CHANNEL_CLOSE:
        if program is None:
            relay.close_route(route)
        if route.close_sent and route.number in relay.routes:
            relay.forget(route)


_WITH_CHANNEL = range(messages.CHANNEL_OPEN_CONFIRMATION, messages.CHANNEL_FAILURE + 1)
RELAYING = table(
    "after the login, from a server",
    COMMON,
    PING_HANDLERS,
    through("connection", BOTH),
    {number: _passing(BOTH[number]) for number in _WITH_CHANNEL},
    {messages.CHANNEL_OPEN: Relay.open_requested},
    unknown=UNKNOWN,
    logged_in=True,
)
