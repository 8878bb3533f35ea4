"""`ForwardStream`: one forwarded connection held by a program instead of a socket.

`connection.open_connection(...)` answers with one; the handler of a remote forward gets one.
"""

from typing import TYPE_CHECKING

from sshkit.deferred import Deferred, succeed
from sshkit.ssh.channels.streams import StreamReader, StreamWriter
from sshkit.ssh.connection.protocol import ChannelProtocol
from sshkit.ssh.errors import ChannelClosed

if TYPE_CHECKING:
    from sshkit.ssh.connection.channel import Channel


class ForwardStream(ChannelProtocol):
    """Bytes in both directions.  `reader` and `writer` have more ways to read and write."""

    __slots__ = ("_channel", "_closed", "_waiters", "reader", "writer")

    writer: StreamWriter

    def __init__(self) -> None:
        self._channel: Channel | None = None
        self._closed = False
        self._waiters: list[Deferred[None]] = []
        self.reader = StreamReader(self._changed)

    def read(self, size: int = -1) -> Deferred[bytes]:
        """Read up to `size` bytes as soon as there are any; -1 reads to the end.  b"" is the end."""
        return self.reader.read(size)

    def readexactly(self, size: int) -> Deferred[bytes]:
        """Read `size` bytes; EOFError with what there was if the stream ends before."""
        return self.reader.read_exactly(size)

    def readuntil(self, separator: bytes = b"\n") -> Deferred[bytes]:
        """Read to `separator`, which stays at the end; without one, the rest."""
        return self.reader.read_until(separator)

    def write(self, data: bytes | bytearray | memoryview | str) -> None:
        """Send bytes, or text as UTF-8.  Does not wait: call `drain` now and then when sending much."""
        self.writer.write(data)

    def drain(self) -> Deferred[None]:
        """Wait until the peer takes more; fails with ChannelClosed where it never will."""
        return self.writer.drain()

    def write_eof(self) -> None:
        """Say that nothing more comes; reading goes on."""
        self.writer.write_eof()

    def close(self) -> Deferred[None]:
        """Close after what was written has left; fires when the peer has closed too."""
        if self._channel is not None:
            self._channel.write_eof()
            self._channel.resume_reading()
            self._channel.close()
        return self.wait_closed()

    def wait_closed(self) -> Deferred[None]:
        """Wait until the channel has ended."""
        if self._closed:
            return succeed(None)
        waiter: Deferred[None] = Deferred()
        self._waiters.append(waiter)
        return waiter

    async def __aenter__(self) -> "ForwardStream":
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    # Called by the channel.

    def channel_opened(self, channel: "Channel", body: bytes) -> None:
        self._channel = channel
        self.writer = StreamWriter(channel)

    def data_received(self, data: memoryview) -> None:
        self.reader.feed(bytes(data))
        if self.reader.is_full:
            self._changed()

    def eof_received(self) -> None:
        self.reader.end()

    def pause_writing(self) -> None:
        self.writer.pause()

    def resume_writing(self) -> None:
        self.writer.resume()

    def channel_closed(self, error: BaseException | None) -> None:
        self._closed = True
        if error is None:
            self.reader.end()  # many peers close without EOF where all has been sent
        else:
            self.reader.fail(error)
        self.writer.fail(error or ChannelClosed("the peer closed the channel"))
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            waiter.callback(None)

    # Inside.

    def _changed(self) -> None:
        channel = self._channel
        if channel is None:
            return
        if self.reader.is_full and not self.reader.is_waited_for:
            channel.pause_reading()
        elif channel.reading_paused:
            channel.resume_reading()
