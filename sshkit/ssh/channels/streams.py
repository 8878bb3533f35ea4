"""Streams at the end of a channel: what programs read from and write to.

`StreamReader` is fed by a channel protocol; `StreamWriter` writes to a channel.  Every call that may have
to wait returns a Deferred, which a coroutine awaits.  A reader that is full asks its owner to stop the
channel; the owner does so unless somebody waits for its other stream, so the two never deadlock.
"""

from collections import deque
from collections.abc import Callable

from sshkit_keys.errors import SSHKitError

from sshkit.deferred import Deferred, succeed
from sshkit.ssh.connection.channel import Channel
from sshkit.ssh.errors import ChannelClosed, LocalProtocolError

FULL_AT = 256 * 1024  #: bytes that a reader holds before it asks for a pause
MOST = 64 * 1024 * 1024  #: bytes that a reader holds because the other stream is waited for; then it fails
DRAINED = succeed(None)


class StreamOverflow(SSHKitError):
    """Nobody read this stream while its sister stream was waited for, and it holds too much now."""


class StreamReader:
    """Bytes that come from a channel.  One reader at a time may wait."""

    __slots__ = ("_changed", "_chunks", "_error", "_wanted", "_wanter", "ended", "size")

    def __init__(self, changed: Callable[[], object]) -> None:
        self._changed = changed  # told when bytes were taken, or somebody starts to wait
        self._chunks: deque[bytes] = deque()
        self.size = 0  #: bytes that are here and not read
        self.ended = False
        self._error: BaseException | None = None
        self._wanter: Deferred[bytes] | None = None
        self._wanted: Callable[[], bytes | None] = _nothing

    @property
    def is_full(self) -> bool:
        """It holds more than it likes."""
        return self.size >= FULL_AT

    @property
    def is_waited_for(self) -> bool:
        """Somebody waits for bytes that are not here."""
        return self._wanter is not None

    # For readers.

    def read(self, size: int = -1) -> Deferred[bytes]:
        """Read up to `size` bytes as soon as there are any; -1 reads to the end.  b"" is the end."""
        if size < 0:
            return self._want(lambda: self._take(self.size) if self.ended else None)
        if size == 0:
            return succeed(b"")
        return self._want(lambda: self._take_some(size) if self._chunks or self.ended else None)

    def read_exactly(self, size: int) -> Deferred[bytes]:
        """Read `size` bytes; EOFError with what there was if the stream ends before."""
        return self._want(lambda: self._take_exactly(size))

    def read_line(self) -> Deferred[bytes]:
        """Read to the next newline, which stays at the end; without one, the rest."""
        return self.read_until(b"\n")

    def read_until(self, separator: bytes) -> Deferred[bytes]:
        """Read to `separator`, which stays at the end; without one, the rest."""
        return self._want(lambda: self._take_until(separator))

    def __aiter__(self) -> "StreamReader":
        return self

    async def __anext__(self) -> bytes:
        line = await self.read_line()
        if not line:
            raise StopAsyncIteration
        return line

    # For the channel's protocol.

    def feed(self, data: bytes) -> None:
        """Take bytes that came."""
        self._chunks.append(data)
        self.size += len(data)
        if self._wanter is not None:
            self._serve()
        elif self.size > MOST:
            self.fail(StreamOverflow(f"{self.size} bytes wait in a stream that nobody reads"))

    def end(self) -> None:
        """Nothing more comes."""
        self.ended = True
        if self._wanter is not None:
            self._serve()

    def fail(self, error: BaseException) -> None:
        """Nothing more comes because of `error`; what is here can still be read, then it is raised."""
        if not self.ended:
            self._error = error
        self.ended = True
        if self._wanter is not None:
            self._serve()

    # Inside.

    def _want(self, wanted: Callable[[], bytes | None]) -> Deferred[bytes]:
        if self._wanter is not None:
            raise LocalProtocolError("two readers wait for the same stream")
        reader: Deferred[bytes] = Deferred(self._gave_up)
        self._wanter, self._wanted = reader, wanted
        self._serve()
        if self._wanter is not None:
            self._changed()
        return reader

    def _gave_up(self, reader: Deferred[bytes]) -> None:
        self._wanter = None

    def _serve(self) -> None:
        wanter = self._wanter
        assert wanter is not None
        try:
            data = self._wanted()
            if data is None:
                return
            if not data and self._error is not None:
                raise self._error
        except Exception as error:
            self._wanter = None
            wanter.errback(error)
            return
        self._wanter = None
        self._changed()
        wanter.callback(data)

    def _take_some(self, size: int) -> bytes:
        if not self._chunks:
            return b""
        if len(self._chunks[0]) > size:
            return self._take(size)
        data = self._chunks.popleft()
        self.size -= len(data)
        return data

    def _take(self, size: int) -> bytes:
        parts: list[bytes] = []
        while size and self._chunks:
            chunk = self._chunks.popleft()
            if len(chunk) > size:
                self._chunks.appendleft(chunk[size:])
                chunk = chunk[:size]
            parts.append(chunk)
            size -= len(chunk)
            self.size -= len(chunk)
        return b"".join(parts)

    def _take_exactly(self, size: int) -> bytes | None:
        if self.size >= size:
            return self._take(size)
        if self.ended:
            raise self._error or EOFError(f"{size} bytes wanted, {self.size} before the end")
        return None

    def _take_until(self, separator: bytes) -> bytes | None:
        if len(self._chunks) > 1:
            self._chunks = deque((b"".join(self._chunks),))
        data = self._chunks[0] if self._chunks else b""
        found = data.find(separator)
        if found >= 0:
            return self._take(found + len(separator))
        if self.ended or self.size > MOST:
            return self._take(self.size)
        return None


def _nothing() -> None:
    return None


class StreamWriter:
    """Bytes that go to a channel: standard input of a command, standard output or error of a session."""

    __slots__ = ("_channel", "_extended", "_paused", "_waiters")

    def __init__(self, channel: Channel, extended: bool = False) -> None:
        self._channel = channel
        self._extended = extended
        self._paused = False
        self._waiters: list[Deferred[None]] = []

    def write(self, data: bytes | bytearray | memoryview | str) -> None:
        """Send bytes, or text as UTF-8.  Does not wait: call `drain` now and then when sending much."""
        if isinstance(data, str):
            data = data.encode()
        if self._extended:
            self._channel.write_extended(data)
        else:
            self._channel.write(data)

    def drain(self) -> Deferred[None]:
        """Wait until the peer takes more; fails with ChannelClosed where it never will."""
        if self._channel.is_closing():
            failed: Deferred[None] = Deferred()
            failed.errback(ChannelClosed("the channel is closed"))
            return failed
        if not self._paused:
            return DRAINED
        waiter: Deferred[None] = Deferred()
        self._waiters.append(waiter)
        return waiter

    def write_eof(self) -> None:
        """Say that nothing more comes: the command sees the end of its standard input."""
        self._channel.write_eof()

    # For the channel's protocol.

    def pause(self) -> None:
        """Let `drain` wait."""
        self._paused = True

    def resume(self) -> None:
        """Let whoever waits in `drain` go on."""
        self._paused = False
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            waiter.callback(None)

    def fail(self, error: BaseException) -> None:
        """Wake whoever waits in `drain`, with an error."""
        self._paused = False
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            waiter.errback(error)
