"""A connection over another program's: ``sshkit.connect(..., control_path=...)`` (PROTOCOL.mux, proxy mode).

There is no login and no key exchange of our own: packets go through the master's control socket in the clear,
and the master gives the channels new numbers.  `ProxyLayer` stands in for the transport layer;
`RidingConnection` is an ordinary ClientConnection on top of it.

OpenSSH's masters pass on one global request only, ``tcpip-forward``, keep its answer to themselves, and cut
off who makes another one: so nothing else is asked of them.  Masters of sshkit say in their HELLO that they
pass them all.
"""

from typing import TYPE_CHECKING, Any

from sshkit.client.connection import ClientConnection
from sshkit.client.credentials import FileCredentials
from sshkit.client.host_keys import HostKeyVerifier
from sshkit.client.sharing import messages
from sshkit.client.sharing.errors import MasterLost, MasterRefused, MuxProtocolError, SharingError
from sshkit.client.sharing.place import connect_control
from sshkit.deferred import Deferred, fail, succeed
from sshkit.opening import Opening
from sshkit.ssh.channels import forwarded_tcpip
from sshkit.ssh.connection.connection import Connection
from sshkit.ssh.errors import ChannelRequestFailed, LocalProtocolError
from sshkit.ssh.messages import connection as connection_messages
from sshkit.ssh.transport.bare import BareLayer
from sshkit.ssh.transport.layer import TransportLayer

if TYPE_CHECKING:
    from sshkit.interfaces import Clock, Reactor, Transport

GONE = "the master of the shared connection has gone"


class ProxyLayer(BareLayer):
    """The layer on a control socket."""

    __slots__ = ()
    gone = GONE
    gone_error = MasterLost


class RidingCore(Connection):
    """Channels and global requests by way of a master; `answers`: it passes every request and answer on."""

    __slots__ = ("answers",)

    def __init__(self, layer: TransportLayer, owner: Any, answers: bool) -> None:
        super().__init__(layer, owner)
        self.answers = answers

    def global_request(self, kind: str, body: bytes = b"") -> Deferred[bytes]:
        """Make a request, as far as the master passes it on."""
        if self.answers or self.layer.lost is not None:
            return super().global_request(kind, body)
        if kind != forwarded_tcpip.FORWARD:
            return fail(ChannelRequestFailed(f"the master of the shared connection passes no {kind} on"))
        if not forwarded_tcpip.TcpipForward.decode(body).port:
            text = "the master of the shared connection does not tell which port the server chooses"
            return fail(ChannelRequestFailed(text))
        self.layer.send(connection_messages.GlobalRequest(kind, False, body).encode())
        return succeed(b"")


class RidingConnection(ClientConnection):
    """A connection over another program's.  Closing it leaves that one as it is."""

    __slots__ = ("_answers",)

    def __init__(self, host: str, user: str, clock: "Clock", timeout: float) -> None:
        super().__init__(
            host,
            user,
            clock,
            random_bytes=bytes,
            verifier=HostKeyVerifier(host, 22, files=(), global_files=()),
            credentials=FileCredentials(()),
            login_timeout=timeout,
        )
        self.layer = ProxyLayer(self, clock, is_client=True)
        self._answers = False

    def master_has(self, extensions: tuple[bytes, ...]) -> None:
        """Take what the master said in its HELLO."""
        self._answers = messages.ANSWERS in extensions

    def no_more_sessions(self) -> None:
        """Do nothing: whether there are more sessions is the master's business."""

    def verify_host_key(self, key: Any) -> None:
        """Never asked: the master has verified it."""
        raise LocalProtocolError("the host key of a shared connection is the master's business")

    def transport_ready(self) -> None:
        """Begin with the connection protocol."""
        self._login_timer.cancel()
        self._connection = RidingCore(self.layer, self, self._answers)
        self.logged_in.callback(self)

    def _login_timed_out(self) -> None:
        within = f"{self._login_timeout:g} seconds"
        self.layer.abort(MasterLost(f"the master of the shared connection has not answered within {within}"))


class Handshake:
    """The first words on a control socket: HELLO and the wish for proxy mode; then the layer has it."""

    __slots__ = ("_buffer", "_connection", "_transport", "_welcome")

    def __init__(self, connection: RidingConnection) -> None:
        self._connection = connection
        self._buffer = bytearray()
        self._transport: Transport | None = None
        self._welcome = False

    def connection_made(self, transport: "Transport") -> None:
        self._transport = transport
        transport.write(messages.hello() + messages.packet(messages.PROXY, 0))
        if self._connection.layer.lost is not None:
            transport.abort()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        try:
            while self._transport is not None and self._step():
                pass
        except SharingError as error:
            self._fail(error)

    def eof_received(self) -> bool:
        self._fail(MasterLost(GONE))
        return False

    def connection_lost(self, error: BaseException | None) -> None:
        self._fail(MasterLost(f"{GONE}: {error}" if error else GONE))

    def pause_writing(self) -> None:
        """There is nothing to pause."""

    def resume_writing(self) -> None:
        """There is nothing to resume."""

    def _step(self) -> bool:
        buffer = self._buffer
        if len(buffer) < 4:
            return False
        size = int.from_bytes(buffer[:4], "big")
        if not 8 <= size <= messages.MAX_PACKET:
            raise MuxProtocolError(f"a packet of {size} bytes")
        if len(buffer) < 4 + size:
            return False
        payload = bytes(buffer[4 : 4 + size])
        del buffer[: 4 + size]
        if not self._welcome:
            self._welcome = True
            self._connection.master_has(messages.read_hello(payload))
            return True
        packet = messages.Packet(payload)
        if packet.number in (messages.FAILURE, messages.PERMISSION_DENIED):
            raise MasterRefused("the master does not know proxy mode")
        if packet.number != messages.PROXYING or packet.request:
            raise MuxProtocolError(f"message {packet.number:#x} as an answer")
        self._hand_over()
        return False

    def _hand_over(self) -> None:
        transport, self._transport = self._transport, None
        assert transport is not None
        layer = self._connection.layer
        transport.set_protocol(layer)
        rest = bytes(self._buffer)
        layer.connection_made(transport)
        if rest:
            layer.data_received(rest)

    def give_up(self, _: object = None) -> None:
        """Hang up, unless the layer has the socket by now."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()

    def _fail(self, error: BaseException) -> None:
        if self._transport is not None:
            self.give_up()
            self._connection.layer.abort(error)


def ride(path: str, host: str, user: str, reactor: "Reactor", timeout: float) -> "Opening[ClientConnection]":
    """Connect by way of the master at `path`; fires when channels can be opened, fails with SharingError."""
    opening: Opening[ClientConnection] = Opening(lambda _: connection.logged_in.cancel())
    try:
        sock = connect_control(path, blocking=False)
    except SharingError as error:
        opening.errback(error)
        return opening
    connection = RidingConnection(host, user, reactor, timeout)
    connection.logged_in.add_callbacks(opening.callback, opening.errback)
    handshake = reactor.adopt_socket(sock, lambda: Handshake(connection))
    connection.wait_closed().add_callback(handshake.give_up)
    return opening
