"""One program in proxy mode, on the master's side: what it says is checked, given new numbers and passed on.

Made by `peer` when a program asks for proxy mode; `relay` has the other direction.  Nothing is passed on that
could touch more than the program's own channels and forwards.
"""

from collections import deque
from struct import Struct
from typing import TYPE_CHECKING, Any

from sshkit_keys.errors import WireError

from sshkit.deferred import Failure
from sshkit.ssh.channels import forwarded_tcpip, streamlocal
from sshkit.ssh.errors import ChannelRequestFailed, RemoteProtocolError
from sshkit.ssh.messages import connection as messages
from sshkit.ssh.transport.bare import BareOpener, BareSealer
from sshkit.ssh.transport.packet_reader import LIMIT, PacketReader
from sshkit.ssh.transport.packet_writer import PacketWriter
from sshkit.ssh.transport.phases import table

if TYPE_CHECKING:
    from collections.abc import Callable

    from sshkit.client.sharing.relay import Relay, Route
    from sshkit.interfaces import Reactor, Transport

MAX_CHANNELS = 128  #: of one program
MAX_FORWARDS = 64
MAX_REQUESTS = 64  #: global ones that are not answered yet
#: Bytes a program may leave unread before we stop to read from it, so that it grants no more windows...
MAX_UNREAD = 1024 * 1024
#: ... and before it is cut off: the windows that it has granted may not fill our memory.
TOO_MUCH_UNREAD = 64 * 1024 * 1024
_NUMBER = Struct(">I")


class ProxiedProgram(PacketReader):
    """The protocol of its control socket."""

    __slots__ = (
        "_answers",
        "_ended",
        "_left",
        "_offers",
        "_relay",
        "_throttled",
        "pending",
        "routes",
        "transport",
    )

    def __init__(self, reactor: "Reactor", relay: "Relay", left: "Callable[[BaseException | None], object]"):
        super().__init__(BareOpener(), PROGRAM, self, PacketWriter(reactor.call_soon))
        self.packet_limit = LIMIT
        self.writer.sealer = BareSealer()
        self._relay = relay
        self._left = left
        self.transport: Transport | None = None
        self.routes: dict[int, Route] = {}  #: open channels by the server's number
        self.pending = 0  #: channels that are not confirmed yet
        self._offers: set[int] = set()  # the server's numbers of channels that wait for the program's word
        self._answers: deque[list[Any]] = deque()  # [body, or None: refused, or ...: not decided; wanted?]
        self._ended = self._throttled = False

    # As the protocol of its socket.

    def connection_made(self, transport: "Transport") -> None:
        self.transport = transport
        self.writer.transport = transport
        self.writer.copies = not getattr(transport, "copies_on_write", False)
        self.writer.unblock()
        self._relay.add(self)

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, error: BaseException | None) -> None:
        self.transport = None
        self._leave(error)

    def pause_writing(self) -> None:
        self.writer.pause()

    def resume_writing(self) -> None:
        self.writer.unpause()
        self._throttled = False
        self.go_on()

    # For the relay.

    def send(self, payload: bytes) -> None:
        """Pass a message of the server on."""
        self.writer.send(payload)
        transport = self.transport
        if transport is not None and transport.get_write_buffer_size() > TOO_MUCH_UNREAD:
            self.failed(RemoteProtocolError(f"more than {TOO_MUCH_UNREAD} bytes are left unread"))

    def offer(self, number: int, payload: memoryview) -> None:
        """Pass on that the server opens a channel."""
        self._offers.add(number)
        self.send(bytes(payload))

    def confirmed(self, route: "Route") -> None:
        """A channel of the program is open."""
        self.pending -= 1
        self.routes[route.peer] = route

    def go_on(self) -> None:
        """Read on: the network takes data again, and the program too."""
        if self.suspended and not (self._ended or self._throttled) and self._relay.layer.writer.ready:
            if self.transport is not None:
                self.transport.resume_reading()
            super().resume()

    def end(self) -> None:
        """Cut it off."""
        self._leave(None)

    # What the reader calls.

    def throttle(self) -> None:
        """Read no more while the program leaves so much unread."""
        transport = self.transport
        if transport is not None and transport.get_write_buffer_size() > MAX_UNREAD:
            self._throttled = True
            self._rest()

    def rekey_due(self) -> None:
        """There are no keys."""

    def failed(self, error: BaseException) -> None:
        """End this program, and nothing else, for what it has done."""
        self._leave(error)

    # Handlers of what the program says.

    def channel_open(self, payload: memoryview) -> None:
        """Open a channel under a number of our own."""
        message = messages.ChannelOpen.decode(payload)
        if len(self.routes) + self.pending >= MAX_CHANNELS:
            refusal = messages.ChannelOpenFailure(message.sender, 4, b"too many channels", b"")
            self.writer.send(refusal.encode())
            return
        route = self._relay.reserve(message.sender, self)
        self.pending += 1
        message.sender = route.number
        self._pass(message.encode())

    def channel_confirmed(self, payload: memoryview) -> None:
        """Take a channel that the server opens."""
        message = messages.ChannelOpenConfirmation.decode(payload)
        self._take_offer(message.recipient)
        route = self._relay.reserve(message.sender, self)
        route.peer = message.recipient
        self.routes[route.peer] = route
        message.sender = route.number
        self._pass(message.encode())

    def channel_refused(self, payload: memoryview) -> None:
        """Refuse a channel that the server opens."""
        self._take_offer(messages.ChannelOpenFailure.decode(payload).recipient)
        self._pass(bytes(payload))

    def channel_message(self, payload: memoryview) -> None:
        """Pass a message of an open channel on."""
        if len(payload) < 5:
            raise RemoteProtocolError("a message without a channel")
        route = self.routes.get(_NUMBER.unpack_from(payload, 1)[0])
        if route is None or route.close_sent:
            if route is None or payload[0] == messages.CHANNEL_CLOSE:
                raise RemoteProtocolError(f"message {payload[0]} for a channel that is not this program's")
            return
        self._pass(bytes(payload))
        if payload[0] == messages.CHANNEL_CLOSE:
            self._relay.close_sent(route)

    def global_request(self, payload: memoryview) -> None:
        """Pass on what begins or ends a forward; all else is refused here, also keepalives."""
        message = messages.GlobalRequest.decode(payload)
        if len(self._answers) >= MAX_REQUESTS:
            raise RemoteProtocolError(f"more than {MAX_REQUESTS} global requests at a time")
        entry: list[Any] = [..., message.want_reply]
        self._answers.append(entry)
        key = self._key_of(message)
        forwards = self._relay.forwards
        if message.kind in (forwarded_tcpip.FORWARD, streamlocal.FORWARD) and key is not None:
            if key in forwards or sum(1 for holder in forwards.values() if holder is self) >= MAX_FORWARDS:
                key = None
        elif key is not None:
            if forwards.get(key) is self:
                del forwards[key]
            else:
                key = None
        if key is None:
            entry[0] = None
            self._send_answers()
            return

        def granted(body: bytes) -> None:
            entry[0] = body
            self._granted(message, key, body)

        def refused(failure: Failure) -> None:
            if isinstance(failure.exception, ChannelRequestFailed):
                entry[0] = None
                self._send_answers()

        self._relay.connection.global_request(message.kind, message.body).add_callbacks(granted, refused)

    # Inside.

    def _key_of(self, message: messages.GlobalRequest) -> "tuple[str, int] | bytes | None":
        """Return what a forward is known by; None where the request is of another kind."""
        if message.kind in (forwarded_tcpip.FORWARD, forwarded_tcpip.CANCEL):
            forward = forwarded_tcpip.TcpipForward.decode(message.body)
            return forward.host, forward.port
        if message.kind in (streamlocal.FORWARD, streamlocal.CANCEL):
            return streamlocal.StreamlocalForward.decode(message.body).path
        return None

    def _granted(self, message: messages.GlobalRequest, key: "tuple[str, int] | bytes", body: bytes) -> None:
        """Note a forward that is in force now, and answer."""
        if message.kind in (forwarded_tcpip.FORWARD, streamlocal.FORWARD):
            if isinstance(key, tuple) and not key[1]:
                try:
                    key = (key[0], forwarded_tcpip.BoundPort.decode(body).port)
                except WireError:  # the program will see for itself
                    pass
            self._relay.forwards[key] = self
            if self._ended:
                self._relay.cancel(key)
        self._send_answers()

    def _send_answers(self) -> None:
        answers = self._answers
        while answers and answers[0][0] is not ...:
            body, wanted = answers.popleft()
            if wanted:
                answer = messages.RequestFailure() if body is None else messages.RequestSuccess(body)
                self.writer.send(answer.encode())

    def _take_offer(self, number: int) -> None:
        try:
            self._offers.remove(number)
        except KeyError:
            raise RemoteProtocolError(f"an answer about channel {number}, which was not offered") from None

    def _pass(self, payload: bytes) -> None:
        """Send to the server; where that takes no more, rest until it does."""
        writer = self._relay.layer.writer
        writer.send(payload)
        if not writer.ready:
            self._rest()

    def _rest(self) -> None:
        super().suspend()
        if self.transport is not None:
            self.transport.pause_reading()

    def _leave(self, error: BaseException | None) -> None:
        if self._ended:
            return
        self._ended = True
        self.release()
        self.writer.flush()
        self.writer.release()
        transport, self.transport = self.transport, None
        if transport is not None:
            transport.close()
        layer = self._relay.layer
        offered, self._offers = self._offers, set()
        if layer.lost is None:
            for number in offered:
                layer.send(messages.ChannelOpenFailure(number, 2, b"the program has gone", b"").encode())
            self._relay.remove(self)
        self._relay.programs.discard(self)
        self._left(error)


_MESSAGES = range(messages.CHANNEL_WINDOW_ADJUST, messages.CHANNEL_FAILURE + 1)
PROGRAM = table(
    "from a program in proxy mode",
    {
        messages.GLOBAL_REQUEST: ProxiedProgram.global_request,
        messages.CHANNEL_OPEN: ProxiedProgram.channel_open,
        messages.CHANNEL_OPEN_CONFIRMATION: ProxiedProgram.channel_confirmed,
        messages.CHANNEL_OPEN_FAILURE: ProxiedProgram.channel_refused,
    },
    dict.fromkeys(_MESSAGES, ProxiedProgram.channel_message),
)
