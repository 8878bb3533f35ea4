"""The channels and global requests of one connection (RFC 4254).

It is the target of the last phase: after SUCCESS its methods are the handlers.  Its owner (a client or
a server) says which channels the peer may open and which global requests it may make.
"""

from collections import deque
from struct import Struct
from typing import TYPE_CHECKING, Any, Final, Protocol

from sshkit_keys.text import printable

from sshkit.deferred import Deferred, Failure, fail
from sshkit.deferred.failure import report
from sshkit.ssh.connection import channel_states as states
from sshkit.ssh.connection.channel import UNKNOWN_KIND, Channel
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
from sshkit.ssh.transport.layer import COMMON, PING_HANDLERS, UNKNOWN
from sshkit.ssh.transport.packet_reader import LIMIT
from sshkit.ssh.transport.phases import table

if TYPE_CHECKING:
    from sshkit.ssh.transport.layer import TransportLayer

MAX_CHANNELS = 1024  #: channels open at once, all kinds together; owners have lower limits a kind (R26)
MAX_GLOBAL_REQUESTS = 64  #: of the peer, not answered yet (R26)
MAX_PEER_PACKET = 128 * 1024  #: bytes of data in one packet of ours, however much the peer would take
TWO = Struct(">II")
unpack_two = TWO.unpack_from
unpack_one = Struct(">I").unpack_from
pack_confirmation = Struct(">BIIII").pack  #: without a body
UNDECIDED: Final = False  #: stands where the body of an answer will be
DATA_OVERHEAD = 9  #: bytes of CHANNEL_DATA before the data: number, recipient, size


class ConnectionOwner(Protocol):
    """Who decides what the peer may ask for."""

    def channel_requested(self, kind: str, body: bytes) -> "ChannelProtocol | Deferred[ChannelProtocol]":
        """Return the protocol for a channel that the peer opens, or raise ChannelOpenFailed.

        A Deferred is cancelled where the connection ends first; a protocol that comes nevertheless is
        told `channel_closed` and nothing else.
        """
        ...

    def global_requested(self, kind: str, body: bytes) -> "bytes | Deferred[bytes] | None":
        """Act on a global request; return the answer's body, or None where it is refused."""
        ...

    def channel_ended(self, channel: Channel) -> None:
        """Count one channel less: one that was open, whoever had opened it."""
        ...


class Connection:
    """One connection after the login."""

    __slots__ = (
        "_answers",
        "_deciding",
        "_next_number",
        "_opening",
        "_replies",
        "channels",
        "layer",
        "owner",
        "waiting",
    )

    def __init__(self, layer: "TransportLayer", owner: ConnectionOwner) -> None:
        self.layer = layer
        self.owner = owner
        self.channels: dict[int, Channel] = {}  #: by our number
        self.waiting: dict[int, Channel] = {}  #: those with data that only the network holds back
        self._next_number = 0
        self._opening: dict[int, Deferred[Channel]] = {}
        # Both queues are made when wanted: an empty one costs more than the rest of this object.
        self._replies: deque[Deferred[bytes]] | None = None
        self._answers: deque[list[Any]] | None = None  # [body, or None: refused, or UNDECIDED; wanted?]
        self._deciding: dict[int, Deferred[Any]] | None = None  # channels that the owner thinks about
        layer.packet_limit = LIMIT
        layer.set_phase(RUNNING_CLIENT if layer.is_client else RUNNING_SERVER, self)

    # What users of the connection call.

    def open_channel(self, kind: str, body: bytes, protocol: ChannelProtocol) -> Deferred[Channel]:
        """Open a channel; fails with ChannelOpenFailed where the peer refuses (RFC 4254 section 5.1).

        `protocol` hears nothing of a channel that was refused, or cancelled before the peer's answer; such
        a one is closed as soon as it is open.
        """
        if self.layer.lost is not None:
            return fail(self.layer.lost)
        if len(self.channels) >= MAX_CHANNELS:
            raise LocalProtocolError(f"{MAX_CHANNELS} channels are open")
        number = self.next_free()
        self.layer.send(messages.ChannelOpen(kind, number, INITIAL, MAX_PACKET, body).encode())
        channel = self.channels[number] = Channel(self, number, kind, protocol)

        def give_up(_: Deferred[Channel]) -> None:
            channel.protocol = ChannelProtocol()

        opened = self._opening[number] = Deferred(give_up)
        return opened

    def global_request(self, kind: str, body: bytes = b"") -> Deferred[bytes]:
        """Make a global request; fires with the body of the answer (RFC 4254 section 4)."""
        if self.layer.lost is not None:
            return fail(self.layer.lost)
        self.layer.send(messages.GlobalRequest(kind, True, body).encode())
        reply: Deferred[bytes] = Deferred()
        if self._replies is None:
            self._replies = deque()
        self._replies.append(reply)
        return reply

    def lost(self, error: BaseException) -> None:
        """End everything: the layer has ended."""
        opening, self._opening = self._opening, {}
        replies, self._replies = self._replies, None
        deciding, self._deciding = self._deciding, None
        channels, self.channels = self.channels, {}
        self.waiting = {}
        self._answers = None
        for channel in channels.values():
            if channel.peer >= 0:
                try:
                    self.owner.channel_ended(channel)
                    channel.ended(error)
                except Exception as raised:  # of a protocol: the other channels end all the same
                    report(Failure(raised), "")
        for opened in opening.values():
            opened.errback(error)
        for reply in replies or ():
            reply.errback(error)
        for decision in (deciding or {}).values():
            decision.cancel()

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

    def next_free(self) -> int:
        """Return a number for a channel of ours; whoever asks puts it to use at once."""
        number = self._next_number
        while number in self.channels:
            number = (number + 1) & 0xFFFFFFFF
        self._next_number = (number + 1) & 0xFFFF  # small numbers, and not reused at once
        return number

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
        if channel.reading_paused or channel.state > states.EOF_SENT or channel.peer < 0:
            self._find(number).data_arrived(0, payload[DATA_OVERHEAD:])
            return
        channel.receive_window = window
        channel.protocol.data_received(payload[DATA_OVERHEAD:])
        if window < channel.adjust_at and not channel.reading_paused:
            channel.refill()

    def window_adjust(self, payload: memoryview) -> None:
        """Take one CHANNEL_WINDOW_ADJUST: the peer takes more data of one channel."""
        if len(payload) != 9:
            raise RemoteProtocolError(f"WINDOW_ADJUST of {len(payload)} bytes")
        number, size = unpack_two(payload, 1)
        self._find(number).window_adjusted(size)

    def extended_data(self, payload: memoryview) -> None:
        """Take one CHANNEL_EXTENDED_DATA; it counts against the same window."""
        message = messages.ChannelExtendedData.decode(payload)
        if len(message.data) > MAX_PACKET:
            raise RemoteProtocolError(f"packet {MAX_PACKET}, peer sent {len(message.data)}")
        kind = message.kind if message.kind == messages.EXTENDED_DATA_STDERR else UNKNOWN_KIND
        self._find(message.recipient).data_arrived(kind, memoryview(message.data))

    def channel_eof(self, payload: memoryview) -> None:
        """Take CHANNEL_EOF: no more data comes on this channel."""
        self._find(recipient_of(payload, messages.ChannelEof)).eof_arrived()

    def channel_close(self, payload: memoryview) -> None:
        """Take CHANNEL_CLOSE: the peer is done with this channel."""
        self._find(recipient_of(payload, messages.ChannelClose)).close_arrived()

    def channel_request(self, payload: memoryview) -> None:
        """Take one CHANNEL_REQUEST; the channel's protocol decides."""
        message = messages.ChannelRequest.decode(payload)
        channel = self._find(message.recipient)
        channel.request_arrived(message.kind, message.want_reply, message.body)

    def channel_success(self, payload: memoryview) -> None:
        """Take the answer to the oldest request of ours on this channel."""
        self._find(messages.ChannelSuccess.decode(payload).recipient).reply_arrived(True)

    def channel_failure(self, payload: memoryview) -> None:
        """Take the refusal of the oldest request of ours on this channel."""
        self._find(messages.ChannelFailure.decode(payload).recipient).reply_arrived(False)

    def open_confirmed(self, payload: memoryview) -> None:
        """Take CHANNEL_OPEN_CONFIRMATION: a channel that we asked for is open."""
        message = messages.ChannelOpenConfirmation.decode(payload)
        opened = self._opening.get(message.recipient)
        if opened is None:
            raise RemoteProtocolError(f"confirmation of channel {message.recipient}, which was not asked for")
        if not message.max_packet:
            raise RemoteProtocolError("a channel whose packets may hold 0 bytes")
        channel = self.channels[message.recipient]
        channel.opened(message.sender, message.window, min(message.max_packet, MAX_PEER_PACKET))
        channel.protocol.channel_opened(channel, message.body)
        del self._opening[message.recipient]
        if opened.called:  # cancelled meanwhile
            channel.close()
        opened.callback(channel)

    def open_failed(self, payload: memoryview) -> None:
        """Take CHANNEL_OPEN_FAILURE: a channel that we asked for was refused."""
        message = messages.ChannelOpenFailure.decode(payload)
        opened = self._opening.pop(message.recipient, None)
        if opened is None:
            raise RemoteProtocolError(f"refusal of channel {message.recipient}, which was not asked for")
        del self.channels[message.recipient]
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
        self._decide_later(message, protocol)

    def global_requested(self, payload: memoryview) -> None:
        """Take one GLOBAL_REQUEST; the owner decides, and answers leave in the order of the requests."""
        message = messages.GlobalRequest.decode(payload)
        if self._answers is not None and len(self._answers) >= MAX_GLOBAL_REQUESTS:
            raise RemoteProtocolError(f"more than {MAX_GLOBAL_REQUESTS} global requests at a time")
        answer = self.owner.global_requested(message.kind, message.body)
        if self._answers is None:
            self._answers = deque()
        if not isinstance(answer, Deferred):
            self._answers.append([answer, message.want_reply])
            self._send_answers()
            return
        entry: list[Any] = [UNDECIDED, message.want_reply]
        self._answers.append(entry)

        def decided(body: bytes | None) -> None:
            entry[0] = body
            self._send_answers()

        answer.add_callbacks(decided, lambda _: decided(None)).add_errback(self._broken)

    def request_succeeded(self, payload: memoryview) -> None:
        """Take the answer to our oldest global request."""
        self._next_reply().callback(messages.RequestSuccess.decode(payload).body)

    def request_failed(self, payload: memoryview) -> None:
        """Take the refusal of our oldest global request."""
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

    def _decide_later(self, message: messages.ChannelOpen, decision: "Deferred[ChannelProtocol]") -> None:
        number = self.next_free()
        self.channels[number] = Channel(self, number, message.kind, ChannelProtocol())  # holds the number
        if self._deciding is None:
            self._deciding = {}
        self._deciding[number] = decision

        def decided(protocol: ChannelProtocol) -> None:
            if self._deciding is None:  # the connection has ended
                protocol.channel_closed(self.layer.lost)
                return
            del self._deciding[number], self.channels[number]
            self._confirm_open(message, protocol)

        def failed(failure: Failure) -> None:
            if self._deciding is None:
                return
            del self._deciding[number], self.channels[number]
            error = failure.exception
            if not isinstance(error, ChannelOpenFailed):
                report(failure, "")
                error = ChannelOpenFailed(2, "internal error")
            self._refuse_open(message.sender, error)

        decision.add_callbacks(decided, failed).add_errback(self._broken)

    def _broken(self, failure: Failure) -> None:
        """End the connection for an exception in a late answer, as for one in a handler."""
        self.layer.failed(failure.exception)

    def _confirm_open(self, message: messages.ChannelOpen, protocol: ChannelProtocol) -> None:
        number = self.next_free()
        channel = self.channels[number] = Channel(self, number, message.kind, protocol)
        channel.opened(message.sender, message.window, min(message.max_packet, MAX_PEER_PACKET))
        self.layer.writer.send(
            pack_confirmation(messages.CHANNEL_OPEN_CONFIRMATION, message.sender, number, INITIAL, MAX_PACKET)
        )
        protocol.channel_opened(channel, message.body)

    def _refuse_open(self, sender: int, error: ChannelOpenFailed) -> None:
        self.layer.send(
            messages.ChannelOpenFailure(sender, error.code, error.description.encode(), b"").encode()
        )

    def _send_answers(self) -> None:
        answers = self._answers
        while answers and answers[0][0] is not UNDECIDED:
            body, wanted = answers.popleft()
            if not wanted:
                continue
            if body is not None:
                self.layer.send(messages.RequestSuccess(body).encode())
            else:
                self.layer.send(messages.RequestFailure().encode())
        if not answers:
            self._answers = None


def recipient_of(payload: memoryview, kind: type[messages.ChannelEof | messages.ChannelClose]) -> int:
    """Return the channel of a message that says nothing else."""
    if len(payload) != 5:
        return kind.decode(payload).recipient  # raises, and says what is wrong
    number: int = unpack_one(payload, 1)[0]
    return number


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
RUNNING_CLIENT = table(
    "after the login, from a server", COMMON, PING_HANDLERS, BOTH, unknown=UNKNOWN, logged_in=True
)
RUNNING_SERVER = table(
    "after the login, from a client",
    COMMON,
    PING_HANDLERS,
    BOTH,
    {authentication_messages.USERAUTH_REQUEST: Connection.late_login},
    unknown=UNKNOWN,
    logged_in=True,
)
