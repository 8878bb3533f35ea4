"""The channels and global requests of one connection (RFC 4254).

It is the target of the last phase: after SUCCESS its methods are the handlers.  Its owner (a client or
a server) says which channels the peer may open and which global requests it may make.
"""

from collections import deque
from struct import Struct
from typing import TYPE_CHECKING, Protocol

from sshkit_keys.text import printable

from sshkit.deferred import Deferred, Failure
from sshkit.ssh.connection import channel_states as states
from sshkit.ssh.connection.channel import Channel
from sshkit.ssh.connection.protocol import ChannelProtocol
from sshkit.ssh.connection.window import INITIAL, MAX_PACKET
from sshkit.ssh.errors import (
    ChannelOpenFailed,
    ChannelRequestFailed,
    LocalProtocolError,
    RemoteProtocolError,
)
from sshkit.ssh.messages import authentication as authentication_messages
from sshkit.ssh.messages import connection as messages
from sshkit.ssh.transport.layer import COMMON, UNKNOWN
from sshkit.ssh.transport.phases import table

if TYPE_CHECKING:
    from sshkit.ssh.transport.layer import TransportLayer

MAX_CHANNELS = 1024  #: channels open at once, all kinds together; owners have lower limits a kind (R26)
MAX_GLOBAL_REQUESTS = 64  #: of the peer, not answered yet (R26)
MAX_PEER_PACKET = 128 * 1024  #: bytes of data in one packet of ours, however much the peer would take
TWO = Struct(">II")
unpack_two = TWO.unpack_from
DATA_OVERHEAD = 9  #: bytes of CHANNEL_DATA before the data: number, recipient, size


class ConnectionOwner(Protocol):
    """Who decides what the peer may ask for."""

    def channel_requested(self, kind: str, body: bytes) -> "ChannelProtocol | Deferred[ChannelProtocol]":
        """Return the protocol for a channel that the peer opens, or raise ChannelOpenFailed."""
        ...

    def global_requested(self, kind: str, body: bytes) -> "bytes | Deferred[bytes] | None":
        """Act on a global request; return the answer's body, or None where it is refused."""
        ...

    def channel_ended(self, channel: Channel) -> None:
        """Count one channel less."""
        ...


class Connection:
    """One connection after the login."""

    __slots__ = ("_answers", "_next_number", "_opening", "_replies", "channels", "layer", "owner", "waiting")

    def __init__(self, layer: "TransportLayer", owner: ConnectionOwner) -> None:
        self.layer = layer
        self.owner = owner
        self.channels: dict[int, Channel] = {}  #: by our number
        self.waiting: dict[int, Channel] = {}  #: those with data that only the network holds back
        self._next_number = 0
        self._opening: dict[int, Deferred[Channel]] = {}
        # Both queues are made when wanted: an empty one costs more than the rest of this object.
        self._replies: deque[Deferred[bytes]] | None = None
        self._answers: deque[list[bytes | bool | None]] | None = None
        layer.set_phase(RUNNING_CLIENT if layer.is_client else RUNNING_SERVER, self)

    # What users of the connection call.

    def open_channel(self, kind: str, body: bytes, protocol: ChannelProtocol) -> Deferred[Channel]:
        """Open a channel; fails with ChannelOpenFailed where the peer refuses (RFC 4254 section 5.1)."""
        opened: Deferred[Channel] = Deferred()
        if self.layer.lost is not None:
            opened.errback(self.layer.lost)
            return opened
        channel = self._new_channel(kind, protocol)
        self._opening[channel.number] = opened
        self.layer.send(messages.ChannelOpen(kind, channel.number, INITIAL, MAX_PACKET, body).encode())
        return opened

    def global_request(self, kind: str, body: bytes = b"") -> Deferred[bytes]:
        """Make a global request; fires with the body of the answer (RFC 4254 section 4)."""
        reply: Deferred[bytes] = Deferred()
        if self.layer.lost is not None:
            reply.errback(self.layer.lost)
            return reply
        if self._replies is None:
            self._replies = deque()
        self._replies.append(reply)
        self.layer.send(messages.GlobalRequest(kind, True, body).encode())
        return reply

    def lost(self, error: BaseException) -> None:
        """End everything: the layer has ended."""
        opening, self._opening = self._opening, {}
        replies, self._replies = self._replies, None
        self.waiting = {}
        for channel in list(self.channels.values()):
            if channel.number in opening:
                del self.channels[channel.number]
            else:
                channel.ended(error)
        for opened in opening.values():
            opened.errback(error)
        for reply in replies or ():
            reply.errback(error)

    def writable(self) -> None:
        """Let the channels go on that waited for the network or for new keys."""
        waiting, self.waiting = self.waiting, {}
        for channel in waiting.values():
            if self.layer.writer.ready:
                channel.drain()
            else:
                self.waiting[channel.number] = channel

    def forget(self, channel: Channel) -> None:
        """Let a channel's number go."""
        self.waiting.pop(channel.number, None)
        if self.channels.pop(channel.number, None) is not None:
            self.owner.channel_ended(channel)

    # Handlers, the hot ones first.

    def channel_data(self, payload: memoryview) -> None:
        """Take one CHANNEL_DATA packet (RFC 4254 section 5.2).

        `payload` points into the receive buffer and is valid during this call only; copy it to keep it.
        Raises RemoteProtocolError past the granted window (bytes).
        """
        try:
            number, size = unpack_two(payload, 1)
            channel = self.channels[number]
        except Exception:
            raise RemoteProtocolError("data for a channel that does not exist") from None
        window = channel.receive_window - size
        if size != len(payload) - DATA_OVERHEAD or window < 0 or size > MAX_PACKET:
            raise RemoteProtocolError(
                f"window {channel.receive_window}, packet {MAX_PACKET}; "
                f"peer sent {len(payload) - DATA_OVERHEAD} and said {size}"
            )
        if channel.reading_paused or channel.state != states.OPEN or channel.peer < 0:
            self._find(number).data_arrived(0, payload[DATA_OVERHEAD:])
            return
        channel.receive_window = window
        channel.protocol.data_received(payload[DATA_OVERHEAD:])
        if window < channel.adjust_at and not channel.reading_paused:
            channel.refill()

    def window_adjust(self, payload: memoryview) -> None:
        if len(payload) != 9:
            raise RemoteProtocolError(f"WINDOW_ADJUST of {len(payload)} bytes")
        number, size = unpack_two(payload, 1)
        self._find(number).window_adjusted(size)

    def extended_data(self, payload: memoryview) -> None:
        message = messages.ChannelExtendedData.decode(payload)
        if len(message.data) > MAX_PACKET:
            raise RemoteProtocolError(f"packet {MAX_PACKET}, peer sent {len(message.data)}")
        self._find(message.recipient).data_arrived(message.kind, memoryview(message.data))

    def channel_eof(self, payload: memoryview) -> None:
        self._find(messages.ChannelEof.decode(payload).recipient).eof_arrived()

    def channel_close(self, payload: memoryview) -> None:
        self._find(messages.ChannelClose.decode(payload).recipient).close_arrived()

    def channel_request(self, payload: memoryview) -> None:
        message = messages.ChannelRequest.decode(payload)
        channel = self._find(message.recipient)
        channel.request_arrived(message.kind, message.want_reply, message.body)

    def channel_success(self, payload: memoryview) -> None:
        self._find(messages.ChannelSuccess.decode(payload).recipient).reply_arrived(True)

    def channel_failure(self, payload: memoryview) -> None:
        self._find(messages.ChannelFailure.decode(payload).recipient).reply_arrived(False)

    def open_confirmed(self, payload: memoryview) -> None:
        message = messages.ChannelOpenConfirmation.decode(payload)
        opened = self._opening.pop(message.recipient, None)
        if opened is None:
            raise RemoteProtocolError(f"confirmation of channel {message.recipient}, which was not asked for")
        if not message.max_packet:
            raise RemoteProtocolError("a channel whose packets may hold 0 bytes")
        channel = self.channels[message.recipient]
        channel.opened(message.sender, message.window, min(message.max_packet, MAX_PEER_PACKET))
        channel.protocol.channel_opened(channel, message.body)
        opened.callback(channel)

    def open_failed(self, payload: memoryview) -> None:
        message = messages.ChannelOpenFailure.decode(payload)
        opened = self._opening.pop(message.recipient, None)
        if opened is None:
            raise RemoteProtocolError(f"refusal of channel {message.recipient}, which was not asked for")
        self.forget(self.channels[message.recipient])
        opened.errback(ChannelOpenFailed(message.code, printable(message.description)))

    def open_requested(self, payload: memoryview) -> None:
        """Let the owner decide on a channel that the peer wants; nothing stays of a refused one (R26)."""
        message = messages.ChannelOpen.decode(payload)
        try:
            if not message.max_packet:
                raise ChannelOpenFailed(2, "packets of 0 bytes")
            if len(self.channels) >= MAX_CHANNELS:
                raise ChannelOpenFailed(4, f"{MAX_CHANNELS} channels are open")
            protocol = self.owner.channel_requested(message.kind, message.body)
        except ChannelOpenFailed as error:
            self._refuse_open(message.sender, error)
            return
        if not isinstance(protocol, Deferred):
            self._confirm_open(message, protocol)
            return
        number = self._next_free()
        self.channels[number] = Channel(
            self, number, message.kind, ChannelProtocol()
        )  # counted while it waits

        def decided(protocol: ChannelProtocol) -> None:
            if self.layer.lost is None:
                self.channels.pop(number, None)
                self._confirm_open(message, protocol)

        def failed(failure: Failure) -> None:
            self.channels.pop(number, None)
            error = failure.exception
            if self.layer.lost is None:
                known = isinstance(error, ChannelOpenFailed)
                self._refuse_open(message.sender, error if known else ChannelOpenFailed(2, "internal error"))  # type: ignore[arg-type]

        protocol.add_callbacks(decided, failed)

    def global_requested(self, payload: memoryview) -> None:
        message = messages.GlobalRequest.decode(payload)
        answer = self.owner.global_requested(message.kind, message.body)
        entry: list[bytes | bool | None] = [False]
        if message.want_reply:
            if self._answers is None:
                self._answers = deque()
            if len(self._answers) >= MAX_GLOBAL_REQUESTS:
                raise RemoteProtocolError(f"more than {MAX_GLOBAL_REQUESTS} global requests at a time")
            self._answers.append(entry)

        def decided(body: bytes | None) -> None:
            entry[0] = body
            self._send_answers()

        if isinstance(answer, Deferred):
            answer.add_callbacks(decided, lambda _: decided(None))
        else:
            decided(answer)

    def request_succeeded(self, payload: memoryview) -> None:
        self._next_reply().callback(messages.RequestSuccess.decode(payload).body)

    def request_failed(self, payload: memoryview) -> None:
        messages.RequestFailure.decode(payload)
        self._next_reply().errback(ChannelRequestFailed("the peer refused a global request"))

    def late_login(self, payload: memoryview) -> None:
        """Ignore what a client sent before it knew that it was let in (RFC 4252 section 5.1)."""

    # Inside.

    def _next_reply(self) -> Deferred[bytes]:
        if not self._replies:
            raise RemoteProtocolError("an answer to a global request that was not made")
        reply = self._replies.popleft()
        if not self._replies:
            self._replies = None
        return reply

    def _find(self, number: int) -> Channel:
        channel = self.channels.get(number)
        if channel is None or channel.peer < 0:
            raise RemoteProtocolError(f"a message for channel {number}, which is not open")
        return channel

    def _next_free(self) -> int:
        number = self._next_number
        while number in self.channels:
            number = (number + 1) & 0xFFFFFFFF
        self._next_number = (number + 1) & 0xFFFF  # small numbers, and not reused at once
        return number

    def _new_channel(self, kind: str, protocol: ChannelProtocol) -> Channel:
        if len(self.channels) >= MAX_CHANNELS:
            raise LocalProtocolError(f"{MAX_CHANNELS} channels are open")
        channel = Channel(self, self._next_free(), kind, protocol)
        self.channels[channel.number] = channel
        return channel

    def _confirm_open(self, message: messages.ChannelOpen, protocol: ChannelProtocol) -> None:
        channel = self._new_channel(message.kind, protocol)
        channel.opened(message.sender, message.window, min(message.max_packet, MAX_PEER_PACKET))
        self.layer.send(
            messages.ChannelOpenConfirmation(
                message.sender, channel.number, INITIAL, MAX_PACKET, b""
            ).encode()
        )
        protocol.channel_opened(channel, message.body)

    def _refuse_open(self, sender: int, error: ChannelOpenFailed) -> None:
        self.layer.send(
            messages.ChannelOpenFailure(sender, error.code, error.description.encode(), b"").encode()
        )

    def _send_answers(self) -> None:
        answers = self._answers
        while answers and answers[0][0] is not False:
            body = answers.popleft()[0]
            if isinstance(body, bytes):
                self.layer.send(messages.RequestSuccess(body).encode())
            else:
                self.layer.send(messages.RequestFailure().encode())
        if not answers:
            self._answers = None


BOTH = {
    messages.GLOBAL_REQUEST: Connection.global_requested,
    messages.REQUEST_SUCCESS: Connection.request_succeeded,
    messages.REQUEST_FAILURE: Connection.request_failed,
    messages.CHANNEL_OPEN: Connection.open_requested,
    messages.CHANNEL_OPEN_CONFIRMATION: Connection.open_confirmed,
    messages.CHANNEL_OPEN_FAILURE: Connection.open_failed,
    messages.CHANNEL_WINDOW_ADJUST: Connection.window_adjust,
    messages.CHANNEL_DATA: Connection.channel_data,
    messages.CHANNEL_EXTENDED_DATA: Connection.extended_data,
    messages.CHANNEL_EOF: Connection.channel_eof,
    messages.CHANNEL_CLOSE: Connection.channel_close,
    messages.CHANNEL_REQUEST: Connection.channel_request,
    messages.CHANNEL_SUCCESS: Connection.channel_success,
    messages.CHANNEL_FAILURE: Connection.channel_failure,
}
RUNNING_CLIENT = table("after the login, from a server", COMMON, BOTH, unknown=UNKNOWN)
RUNNING_SERVER = table(
    "after the login, from a client",
    COMMON,
    BOTH,
    {authentication_messages.USERAUTH_REQUEST: Connection.late_login},
    unknown=UNKNOWN,
)
