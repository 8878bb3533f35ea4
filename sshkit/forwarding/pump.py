"""The pump: a socket and a channel joined, with back-pressure and half closes in both directions (R24).

`SocketEnd` is the protocol of the socket's transport, `Pump` that of the channel.  Each passes on what it
gets by one call and without a copy of its own; what the other side does not take stays in the socket's
transport or in the channel, which pause whoever produces.
"""

from typing import TYPE_CHECKING, Any

from sshkit.interfaces import receive_into_buffer
from sshkit.ssh.connection.protocol import ChannelProtocol
from sshkit.ssh.transport.buffers import FREE_LARGE, FREE_SMALL, LARGE, SMALL, give, take

if TYPE_CHECKING:
    from sshkit.interfaces import Transport
    from sshkit.ssh.connection.channel import Channel

FIRST_READ = 64 * 1024  #: bytes asked of a socket until a read fills that
MAX_CONNECTIONS = 1024  #: of one forward at once; a connection has no more channels
BULK_READ = 128 * 1024  #: and from then on: one packet to a peer of ours


class Tally:
    """What went through one forward, and which sockets are open."""

    __slots__ = ("bytes_in", "bytes_out", "connecting", "ends", "limit", "refused", "total")

    def __init__(self, limit: int = MAX_CONNECTIONS) -> None:
        self.limit = limit  #: connections that may be open at once
        self.connecting = 0  #: those that are not there yet
        self.ends: set[Any] = set()  #: sockets that are open
        self.total = 0  #: connections so far
        self.refused = 0  #: connections that led nowhere
        self.bytes_in = 0  #: that came through the channel
        self.bytes_out = 0  #: that left by it

    @property
    def is_full(self) -> bool:
        """No further connection may be opened."""
        return len(self.ends) + self.connecting >= self.limit

    @property
    def open(self) -> int:
        """Connections that are open."""
        return len(self.ends)

    def abort_all(self) -> None:
        """Reset every open socket: the connection under them has ended."""
        for end in tuple(self.ends):
            end.transport.abort()


class SocketEnd:
    """The socket's side.  Reads nothing before its channel is open."""

    __slots__ = ("_buffer", "_reads", "channel", "ended", "finished", "tally", "transport")
    transport: "Transport"

    def __init__(self, tally: Tally) -> None:
        self.tally = tally
        self.channel: Channel | None = None  #: while it is open
        self.ended = False  #: the socket sends no more
        self.finished = False  #: the channel sends no more
        self._buffer: memoryview | None = None
        self._reads = FIRST_READ

    data_received = receive_into_buffer  #: for transports that know no `get_buffer`

    def connection_made(self, transport: "Transport") -> None:
        self.transport = transport
        self.tally.ends.add(self)
        self.tally.total += 1
        transport.pause_reading()

    def get_buffer(self, sizehint: int) -> memoryview:
        buffer = self._buffer
        if buffer is None:
            large = self._reads > FIRST_READ
            try:
                buffer = (FREE_LARGE if large else FREE_SMALL).pop()
            except IndexError:
                buffer = take(LARGE if large else SMALL)
            self._buffer = buffer
        return buffer[: self._reads]

    def buffer_updated(self, nbytes: int) -> None:
        buffer, self._buffer = self._buffer, None
        channel = self.channel
        if nbytes and channel is not None and buffer is not None:
            self.tally.bytes_out += nbytes
            channel.write(buffer[:nbytes])
        if buffer is not None:
            (FREE_LARGE if len(buffer) == LARGE else FREE_SMALL).append(buffer)
        if nbytes == self._reads:
            self._reads = BULK_READ

    def eof_received(self) -> bool:
        """Pass the end on; the other direction stays open."""
        self.ended = True
        self._give_back()
        channel = self.channel
        if channel is not None:
            channel.write_eof()
            if self.finished:
                channel.close()
                self.transport.close()
        return True

    def pause_writing(self) -> None:
        if self.channel is not None:
            self.channel.pause_reading()

    def resume_writing(self) -> None:
        if self.channel is not None:
            self.channel.resume_reading()

    def connection_lost(self, error: BaseException | None) -> None:
        self.tally.ends.discard(self)
        self._give_back()
        channel, self.channel = self.channel, None
        if channel is None:
            return
        if error is not None:
            channel.abort()
        channel.resume_reading()  # what it holds goes nowhere, and its window is no longer ours to keep
        channel.close()

    def begin(self) -> None:
        """Read: the channel is open."""
        self.transport.resume_reading()

    def _give_back(self) -> None:
        """Let go of a buffer into which nothing was received."""
        buffer, self._buffer = self._buffer, None
        if buffer is not None:
            give(buffer)

    def open_failed(self, failure: object) -> None:
        """Refuse: nobody is at the other end of the channel."""
        self.tally.refused += 1
        self.transport.abort()


class Pump(ChannelProtocol):
    """The channel's side of a connected socket."""

    __slots__ = ("end", "tally")

    def __init__(self, end: SocketEnd) -> None:
        self.end = end
        self.tally = end.tally

    def channel_opened(self, channel: "Channel", body: bytes) -> None:
        end = self.end
        if end.transport.is_closing():
            channel.close()
            return
        end.channel = channel
        end.begin()

    def data_received(self, data: memoryview) -> None:
        self.tally.bytes_in += len(data)
        self.end.transport.write(data)

    def eof_received(self) -> None:
        end = self.end
        end.finished = True
        if not end.ended:
            end.transport.write_eof()
            return
        end.transport.close()  # as good as an end of our direction, for a call of the system less
        if end.channel is not None:
            end.channel.close()

    def pause_writing(self) -> None:
        self.end.transport.pause_reading()

    def resume_writing(self) -> None:
        self.end.transport.resume_reading()

    def channel_closed(self, error: BaseException | None) -> None:
        end = self.end
        end.channel = None
        if error is None:
            end.transport.close()
        else:
            end.transport.abort()  # not the end of the data: nobody may take it for that
