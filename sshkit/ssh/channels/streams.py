"""Streams at the end of a channel: what programs read from and write to.

`StreamReader` is fed by a channel protocol; `StreamWriter` writes to a channel.  Every call that may have
to wait returns a Deferred, which a coroutine awaits.  A reader that is full asks its owner to stop the
channel; the owner does so unless somebody waits for its other stream, so the two never deadlock.
"""

from collections import deque
from collections.abc import Callable

from sshkit_keys.errors import SSHKitError

from sshkit.deferred import Deferred, fail, succeed
from sshkit.ssh.connection.channel import Channel
from sshkit.ssh.errors import ChannelClosed, LocalProtocolError

JOIN_BELOW = 1024  #: bytes; smaller pieces are put together, or each would cost more than it holds
FULL_AT = 256 * 1024  #: bytes that a reader holds before it asks for a pause
MOST = 64 * 1024 * 1024  #: bytes that a reader holds because the other stream is waited for; then it fails
MOST_WANTED = 256 * 1024 * 1024  #: bytes that it holds for a read to the end, or of so many; then it fails


class StreamOverflow(SSHKitError):
    """A stream holds too much: nobody reads it while the other one is waited for, or it has no end."""


class StreamReader:
    """Bytes that come from a channel.  One reader at a time may wait.

    What came lies in `_chunks` as it came.  `_head`, which lies before them, takes what is searched for a
    separator and what was read in part: taking from its front does not copy the rest.
    """

    __slots__ = ("_changed", "_chunks", "_error", "_head", "_searched", "_wanted", "_wanter", "ended", "size")

    def __init__(self, changed: Callable[[], object]) -> None:
        self._changed = changed  # told when bytes were taken, or somebody starts to wait
        self._head = bytearray()
        self._searched = 0  # bytes of the head in which the separator does not begin
        self._chunks: deque[bytes] = deque()
        self.size = 0  #: bytes that are here and not read
        self.ended = False
        self._error: BaseException | None = None
        self._wanter: Deferred[bytes] | None = None
        self._wanted: Callable[[], bytes | None] = bytes  # asked while there is a wanter

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
        """Read up to `size` bytes as soon as there are any; -1 reads to the end.  b"" is the end.

        Where the connection broke, -1 fails at once: half of the output is not taken for all of it.
        """
        if size < 0:
            return self._want(self._take_all)
        if size == 0:
            return succeed(b"")
        return self._want(lambda: self._take_some(size) if self.size or self.ended else None)

    def read_exactly(self, size: int) -> Deferred[bytes]:
        """Read `size` bytes; EOFError with what there was if the stream ends before."""
        return self._want(lambda: self._take_exactly(size))

    def read_line(self) -> Deferred[bytes]:
        """Read to the next newline, which stays at the end; without one, the rest."""
        return self.read_until(b"\n")

    def read_until(self, separator: bytes) -> Deferred[bytes]:
        """Read to `separator`, which stays at the end; without one, the rest."""
        self._searched = 0
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
        """Take bytes that came; those behind an overflow are dropped."""
        if self._error is not None:
            return
        chunks = self._chunks
        if chunks and len(chunks[-1]) < JOIN_BELOW:
            chunks[-1] += data
        else:
            chunks.append(data)
        self.size += len(data)
        if self._wanter is not None:
            self._serve()
            if self._wanter is not None and self.size > MOST_WANTED:
                self.fail(StreamOverflow(f"{self.size} bytes came, and not yet what is waited for"))
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

    def _take_all(self) -> bytes | None:
        if self._error is not None:
            raise self._error
        return self._take(self.size) if self.ended else None

    def _take_some(self, size: int) -> bytes:
        if self._head or not self._chunks or len(self._chunks[0]) > size:
            return self._take(size)
        data = self._chunks.popleft()
        self.size -= len(data)
        return data

    def _take(self, size: int) -> bytes:
        head, chunks = self._head, self._chunks
        size = min(size, self.size)
        self.size -= size
        self._searched = 0
        data = bytes(head[:size])
        del head[:size]
        parts = [data]
        left = size - len(data)
        while left:
            chunk = chunks.popleft()
            if len(chunk) > left:
                head += chunk
                chunk = bytes(head[:left])
                del head[:left]
            parts.append(chunk)
            left -= len(chunk)
        return data if len(parts) == 1 else b"".join(parts)

    def _take_exactly(self, size: int) -> bytes | None:
        if self.size >= size:
            return self._take(size)
        if self.ended:
            raise self._error or EOFError(f"{size} bytes wanted, {self.size} before the end")
        return None

    def _take_until(self, separator: bytes) -> bytes | None:
        head, chunks = self._head, self._chunks
        while True:
            found = head.find(separator, self._searched)
            if found >= 0:
                return self._take(found + len(separator))
            self._searched = max(len(head) - len(separator) + 1, 0)
            if not chunks:
                break
            head += chunks.popleft()
        if self.ended or self.size > MOST:
            return self._take(self.size)
        return None


class StreamWriter:
    """Bytes that go to a channel: standard input of a command, standard output or error of a session."""

    __slots__ = ("_channel", "_extended", "_paused", "_refused", "_waiters")

    def __init__(self, channel: Channel, extended: bool = False) -> None:
        self._channel = channel
        self._extended = extended
        self._paused = False
        self._refused: BaseException | None = None  # the peer takes no more of this
        self._waiters: list[Deferred[None]] = []

    def write(self, data: bytes | bytearray | memoryview | str) -> None:
        """Send bytes, or text as UTF-8.  Does not wait: call `drain` now and then when sending much."""
        if isinstance(data, str):
            data = data.encode()
        if self._refused is not None:
            return
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
        if self._refused is not None:
            return fail(self._refused)
        if not self._paused:
            return succeed(None)
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

    def refuse(self, error: BaseException) -> None:
        """Drop what is written from now on, and let `drain` fail: the peer takes no more of it."""
        self._refused = error
        self.fail(error)

    def fail(self, error: BaseException) -> None:
        """Wake whoever waits in `drain`, with an error."""
        self._paused = False
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            waiter.errback(error)
