"""One channel: two windows, two ends, and requests in order (RFC 4254 section 5).

`Connection` parses packets and calls in; whoever uses the channel is its `ChannelProtocol`.  `write`
is the hot path of sending: one call into the PacketWriter where window and network allow.
"""

from collections import deque
from struct import Struct
from typing import TYPE_CHECKING

from sshkit.deferred import Deferred, Failure, fail
from sshkit.ssh.connection import channel_states as states
from sshkit.ssh.connection.window import INITIAL, MAX_WINDOW, grown, shrunk, threshold
from sshkit.ssh.errors import ChannelClosed, ChannelRequestFailed, LocalProtocolError, RemoteProtocolError
from sshkit.ssh.messages.connection import (
    CHANNEL_CLOSE,
    CHANNEL_EOF,
    ChannelFailure,
    ChannelRequest,
    ChannelSuccess,
    ChannelWindowAdjust,
)

if TYPE_CHECKING:
    from sshkit.ssh.connection.connection import Connection
    from sshkit.ssh.connection.protocol import ChannelProtocol

HIGH_WATER = 64 * 1024  #: bytes that wait to be sent: above it the producer is paused
LOW_WATER = 16 * 1024
MAX_UNANSWERED = 128  #: requests of the peer whose answers are not decided yet
MAX_PIECES = 64  #: pieces that wait for a paused reader in the order of both streams; then each grows alone
UNKNOWN_KIND = 2  #: any kind of extended data that means nothing: counted, and dropped
pack_number = Struct(">BI").pack  #: the whole of EOF and CLOSE: number, recipient
END = -1  #: stands where the kind of a piece would be: the peer's EOF


class Channel:
    """One channel of one connection, open from the moment its protocol hears of it."""

    __slots__ = (
        "_answers",
        "_close_wanted",
        "_eof_wanted",
        "_inbox",
        "_pending",
        "_pending_size",
        "_replies",
        "_writing_paused",
        "adjust_at",
        "connection",
        "kind",
        "max_packet",
        "number",
        "peer",
        "protocol",
        "reading_paused",
        "receive_size",
        "receive_window",
        "send_window",
        "state",
        "writer",
    )

    def __init__(self, connection: "Connection", number: int, kind: str, protocol: "ChannelProtocol") -> None:
        self.connection = connection
        self.writer = connection.layer.writer
        self.number = number
        self.kind = kind
        self.protocol = protocol
        self.peer = -1  #: the channel's number at the peer; -1 until it has one
        self.state = states.OPEN
        self.max_packet = 0  #: bytes of data in one packet to the peer
        self.send_window = 0
        self.receive_size = INITIAL
        self.receive_window = INITIAL
        self.adjust_at = threshold(INITIAL)
        self.reading_paused = False
        # What came while reading was paused, by kind (0: plain data).  Small packets are put together, so
        # that it holds little more than the window.
        self._inbox: deque[tuple[int, bytearray]] | None = None
        self._pending: deque[tuple[int, memoryview]] | None = None  # could not be sent yet
        self._pending_size = 0
        self._writing_paused = False
        self._eof_wanted = False
        self._close_wanted = False
        self._replies: deque[Deferred[None]] | None = None  # our requests, in order
        # The peer's requests that are not answered, since one of them is not decided: [answer, wanted?].
        self._answers: deque[list[bool | None]] | None = None

    def __repr__(self) -> str:
        return f"<Channel {self.number} {self.kind} {states.NAMES[self.state]}>"

    # Sending.

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send data; what the window does not take waits, and the protocol is paused over 64 KiB.

        `data` may be reused when this returns.
        """
        size = len(data)
        writer = self.writer
        if (
            self._pending is None
            and 0 < size <= self.send_window
            and size <= self.max_packet
            and writer.ready
        ) and states.SENDS[self.state]:
            self.send_window -= size
            writer.channel_data(self.peer, data)
            return
        self._write(0, data)

    def write_extended(self, data: bytes | bytearray | memoryview) -> None:
        """Send data of standard error; as `write`."""
        self._write(1, data)

    def write_eof(self) -> None:
        """Send no more data after what waits."""
        if not self._eof_wanted and states.SENDS[self.state]:
            self._eof_wanted = True
            self._finish()

    def close(self) -> None:
        """End the channel after what waits has left."""
        if not self._close_wanted and self.state < states.CLOSE_SENT:
            self._close_wanted = True
            self._finish()

    def abort(self) -> None:
        """End the channel now and drop what waits, also where `close` waits for that."""
        self._pending, self._pending_size = None, 0
        self._close_wanted = True
        self._finish()

    def is_closing(self) -> bool:
        """Tell whether the channel ends or has ended."""
        return self._close_wanted or self.state >= states.CLOSE_SENT

    def get_write_buffer_size(self) -> int:
        """Return how many bytes wait to be sent."""
        return self._pending_size

    def request(self, kind: str, body: bytes = b"") -> Deferred[None]:
        """Send a request; the Deferred fires when the peer has done it (RFC 4254 section 5.4).

        Fails with ChannelRequestFailed where the peer refuses, ChannelClosed where it never answers.
        """
        if self.state >= states.CLOSE_SENT:
            return fail(ChannelClosed(f"{kind}: the channel is closed"))
        self.writer.send(ChannelRequest(self.peer, kind, True, body).encode())
        reply: Deferred[None] = Deferred()
        if self._replies is None:
            self._replies = deque()
        self._replies.append(reply)
        return reply

    def notify(self, kind: str, body: bytes = b"") -> None:
        """Send a request that wants no answer; dropped when the channel is closed."""
        if self.state < states.CLOSE_SENT:
            self.writer.send(ChannelRequest(self.peer, kind, False, body).encode())

    # Receiving.

    def pause_reading(self) -> None:
        """Deliver nothing until `resume_reading`; the peer is stopped by its window."""
        self.reading_paused = True

    def resume_reading(self) -> None:
        """Deliver what came meanwhile, and more."""
        if not self.reading_paused:
            return
        self.reading_paused = False
        inbox = self._inbox
        while inbox and not self.reading_paused:
            kind, data = inbox.popleft()
            self._deliver(kind, data)
        if not inbox:
            self._inbox = None
        if not self.reading_paused and self.receive_window < self.adjust_at:
            self.receive_size = shrunk(self.receive_size)
            self._adjust()

    # What Connection calls.

    def opened(self, peer: int, window: int, max_packet: int) -> None:
        """Take what the peer said when it opened or confirmed the channel."""
        self.peer = peer
        self.send_window = window
        self.max_packet = max_packet

    def data_arrived(self, kind: int, data: memoryview) -> None:
        """Count data against the window and deliver it; Connection does so itself for plain data."""
        size = len(data)
        if size > self.receive_window:
            raise RemoteProtocolError(f"window {self.receive_window}, peer sent {size}")
        if not states.RECEIVES[self.state]:
            raise RemoteProtocolError(f"data on a channel that is: {states.NAMES[self.state]}")
        self.receive_window -= size
        if self.state == states.CLOSE_SENT:
            return
        if kind != UNKNOWN_KIND:
            if self.reading_paused:
                self._keep(kind, data)
                return
            self._deliver(kind, data)
        if self.receive_window < self.adjust_at and not self.reading_paused:
            self.refill()

    def refill(self) -> None:
        """Open the window again, wider: the reader kept up."""
        self.receive_size = grown(self.receive_size)
        self._adjust()

    def window_adjusted(self, size: int) -> None:
        """Send what waited for the window."""
        self.send_window += size
        if self.send_window > MAX_WINDOW:
            raise RemoteProtocolError(f"the window grew past {MAX_WINDOW}")
        if self._pending is not None or self._writing_paused:
            self.drain()

    def eof_arrived(self) -> None:
        """Pass EOF on behind the data that came before it."""
        state = self.state
        self.state = states.advance(state, states.RECEIVE_EOF)
        if state == states.CLOSE_SENT:
            return
        if self._inbox is not None:
            self._inbox.append((END, bytearray()))
        else:
            self.protocol.eof_received()

    def close_arrived(self) -> None:
        """Answer CLOSE with CLOSE, deliver what is left, and let the number go."""
        sent = self.state == states.CLOSE_SENT
        self.state = states.advance(self.state, states.RECEIVE_CLOSE)
        if not sent:
            self.writer.send(pack_number(CHANNEL_CLOSE, self.peer))
        self.ended(None)

    def request_arrived(self, kind: str, want_reply: bool, body: bytes) -> None:
        """Let the protocol decide; answers leave in the order of the requests."""
        if self.state == states.CLOSE_SENT:
            return
        if self._answers is not None and len(self._answers) >= MAX_UNANSWERED:
            raise RemoteProtocolError(f"more than {MAX_UNANSWERED} requests at a time on one channel")
        result = self.protocol.request_received(kind, body)
        if not isinstance(result, Deferred):
            if want_reply:
                self._answer(result)
            if result:
                self.protocol.request_granted(kind)
            return
        entry: list[bool | None] = [None, want_reply]
        if self._answers is None:
            self._answers = deque()
        self._answers.append(entry)

        def decided(ok: bool) -> None:
            entry[0] = bool(ok)
            self._send_answers()
            if ok and self.state != states.CLOSED:
                self.protocol.request_granted(kind)

        result.add_callbacks(decided, lambda _: decided(False)).add_errback(self._broken)

    def reply_arrived(self, ok: bool) -> None:
        """Fire the Deferred of our oldest request on this channel."""
        if not self._replies:
            raise RemoteProtocolError("an answer to a channel request that was not made")
        reply = self._replies.popleft()
        if ok:
            reply.callback(None)
        else:
            reply.errback(ChannelRequestFailed(f"the peer refused a request on its channel {self.peer}"))

    def ended(self, error: BaseException | None) -> None:
        """Tell everybody that the channel is over, once."""
        self.state = states.CLOSED
        self.connection.forget(self)
        inbox, self._inbox = self._inbox, None
        self._pending, self._pending_size = None, 0
        self._answers = None
        replies, self._replies = self._replies, None
        try:
            self.reading_paused = False
            for kind, data in inbox or ():
                self._deliver(kind, data)
        finally:
            unanswered = error or ChannelClosed("the channel was closed before the request was answered")
            for reply in replies or ():
                reply.errback(unanswered)
            self.protocol.channel_closed(error)

    def drain(self) -> None:
        """Send what waits, as far as window and network allow."""
        pending = self._pending
        writer = self.writer
        while pending and writer.ready and self.send_window:
            kind, data = pending[0]
            size = min(len(data), self.send_window, self.max_packet)
            self.send_window -= size
            self._pending_size -= size
            if size == len(data):
                pending.popleft()
            else:
                pending[0] = (kind, data[size:])
            if kind:
                writer.channel_extended_data(self.peer, data[:size])
            else:
                writer.channel_data(self.peer, data[:size])
        if pending:
            if not writer.ready:
                self.connection.waiting[self.number] = self
        else:
            self._pending = None
            self._finish()
        if self._writing_paused and self._pending_size <= LOW_WATER and self.state < states.CLOSE_SENT:
            self._writing_paused = False
            self.protocol.resume_writing()

    # Inside.

    def _write(self, kind: int, data: bytes | bytearray | memoryview) -> None:
        if self._eof_wanted or not states.SENDS[self.state]:
            if self.state >= states.CLOSE_SENT:
                return  # the peer has gone; the protocol hears of it by channel_closed
            raise LocalProtocolError("write after write_eof on a channel")
        if not len(data) or self._close_wanted:
            return
        if self._pending is None:
            self._pending = deque()
        view = memoryview(data)
        sent = 0
        if not self._pending:
            sent = self._send_now(kind, view)
        if sent < len(view):
            self._pending.append((kind, memoryview(bytes(view[sent:]))))
            self._pending_size += len(view) - sent
            if not self.writer.ready:
                self.connection.waiting[self.number] = self
            if self._pending_size > HIGH_WATER and not self._writing_paused:
                self._writing_paused = True
                self.protocol.pause_writing()
        else:
            self._pending = None

    def _send_now(self, kind: int, view: memoryview) -> int:
        """Send as much as window and network take now; return how much that was."""
        writer, sent, size = self.writer, 0, len(view)
        while sent < size and writer.ready and self.send_window:
            part = min(size - sent, self.send_window, self.max_packet)
            self.send_window -= part
            if kind:
                writer.channel_extended_data(self.peer, view[sent : sent + part])
            else:
                writer.channel_data(self.peer, view[sent : sent + part])
            sent += part
        return sent

    def _finish(self) -> None:
        """Send EOF and CLOSE once nothing waits before them."""
        if self._pending is not None:
            return
        if self._eof_wanted and states.SENDS[self.state]:
            self.state = states.advance(self.state, states.SEND_EOF)
            self.writer.send(pack_number(CHANNEL_EOF, self.peer))
        if self._close_wanted and self.state < states.CLOSE_SENT:
            self.state = states.advance(self.state, states.SEND_CLOSE)
            self.writer.send(pack_number(CHANNEL_CLOSE, self.peer))

    def _keep(self, kind: int, data: memoryview) -> None:
        """Put data into the inbox of a paused reader."""
        if self._inbox is None:
            self._inbox = deque()
        inbox = self._inbox
        if inbox and inbox[-1][0] == kind:
            inbox[-1][1].extend(data)
            return
        if len(inbox) >= MAX_PIECES:
            for other, piece in reversed(inbox):
                if other == kind:
                    piece.extend(data)
                    return
        inbox.append((kind, bytearray(data)))

    def _deliver(self, kind: int, data: bytearray | memoryview) -> None:
        if kind == END:
            self.protocol.eof_received()
        elif kind:
            self.protocol.extended_data_received(kind, memoryview(data))
        else:
            self.protocol.data_received(memoryview(data))

    def _adjust(self) -> None:
        size = self.receive_size - self.receive_window
        self.adjust_at = threshold(self.receive_size)
        if (
            size > 0
            and self.state < states.CLOSE_SENT
            and self.state not in (states.EOF_RECEIVED, states.EOF_BOTH)
        ):
            self.receive_window += size
            self.writer.send(ChannelWindowAdjust(self.peer, size).encode())

    def _answer(self, ok: bool) -> None:
        if self._answers is not None:
            self._answers.append([bool(ok), True])
            self._send_answers()
        elif self.state < states.CLOSE_SENT:
            self.writer.send((ChannelSuccess if ok else ChannelFailure)(self.peer).encode())

    def _send_answers(self) -> None:
        answers = self._answers
        while answers and answers[0][0] is not None:
            ok, wanted = answers.popleft()
            if wanted and self.state < states.CLOSE_SENT:
                self.writer.send((ChannelSuccess if ok else ChannelFailure)(self.peer).encode())
        if not answers:
            self._answers = None

    def _broken(self, failure: Failure) -> None:
        """End the connection for an exception in a late answer, as for one in a handler."""
        self.connection.layer.failed(failure.exception)
