"""An open remote file, async: reads ahead, writes behind.

`SFTPClient.open` makes it; the blocking twin stands on it.  Reading in order asks for more than was
wanted, twice as much each time the reader comes back for it; writing goes on while answers are awaited, and
an error of such a write surfaces at the next call, at `flush` and at `close`.
"""

import os
from collections import deque
from typing import TYPE_CHECKING, Any

from sshkit_keys.wire import string

from sshkit.deferred import Deferred, as_deferred, gather, succeed
from sshkit.opening import Opening
from sshkit.sftp import messages as m
from sshkit.sftp import status
from sshkit.sftp.attributes import Attributes
from sshkit.sftp.client_requests import StatVFS, read_statvfs
from sshkit.sftp.client_session import Answer, Session
from sshkit.sftp.errors import SFTPError, SFTPOpUnsupported, SFTPProtocolError, error_for

if TYPE_CHECKING:
    from sshkit.deferred import Failure

MAX_AHEAD = 2 * 1024 * 1024  #: bytes asked for before they are wanted
MAX_BEHIND = 2 * 1024 * 1024  #: bytes written that are not answered yet


class Piece(Answer):
    """One READ: what it asked for and what came."""

    __slots__ = ("data", "deferred", "offset", "path", "size")

    def __init__(self, offset: int, size: int, path: bytes) -> None:
        self.offset = offset
        self.size = size
        self.path = path
        self.data = b""
        self.deferred: Deferred[bytes] = Deferred()

    def answered(self, kind: int, payload: memoryview) -> None:
        if kind == m.DATA:
            data = bytes(m.unpack_string(payload))
            if not 0 < len(data) <= self.size:
                raise SFTPProtocolError(f"{len(data)} bytes of data, {self.size} were asked for")
            self._came(data)
        elif kind == m.STATUS:
            code, words = m.unpack_status(payload)
            if code == status.EOF:
                self._came(b"")
            elif code == status.OK:
                raise SFTPProtocolError("OK in answer to READ")
            else:
                self.failed(error_for(code, words, self.path))
        else:
            raise SFTPProtocolError(f"an answer of kind {kind} to READ")

    def _came(self, data: bytes) -> None:
        self.data = data
        if not self.deferred.called:
            self.deferred.callback(data)

    def failed(self, error: BaseException) -> None:
        if not self.deferred.called:
            self.deferred.errback(error)


class SFTPFile:
    """One open file.  Use it in ``async with``, or call `close`; a position belongs to it, as to any file."""

    __slots__ = (
        "_ahead",
        "_append",
        "_behind",
        "_behind_size",
        "_error",
        "_layout",
        "_next",
        "_pieces",
        "_position",
        "_rest",
        "_waiting",
        "closed",
        "handle",
        "mode",
        "path",
        "session",
    )

    def __init__(self, session: Session, handle: bytes, path: bytes, mode: str) -> None:
        self.session = session
        self.handle = handle
        self.path = path
        self.mode = mode
        self.closed = False
        self._append = "a" in mode
        self._position = 0
        self._layout = m.read_packer(handle)
        self._pieces: deque[Piece] = deque()  # asked for ahead, in order
        self._next = 0  # where the next one would begin
        self._rest = b""  # what came and was not wanted yet; it ends where `_pieces` begins
        self._ahead = 0  # bytes to ask for ahead
        self._behind: set[Deferred[Any]] = set()
        self._behind_size = 0
        self._waiting: Deferred[None] | None = None
        self._error: BaseException | None = None

    def __repr__(self) -> str:
        state = " closed" if self.closed else ""
        return f"<SFTPFile {m.from_wire(self.path)!r} {self.mode}{state}>"

    @property
    def name(self) -> str:
        """The path that it was opened by."""
        return m.from_wire(self.path)

    def tell(self) -> int:
        """Return the position in bytes."""
        return self._position

    # Reading.

    @as_deferred
    async def read(self, size: int = -1) -> bytes:
        """Read `size` bytes, fewer at the end of the file; -1 reads all that is left."""
        self._check()
        if self._behind:
            await self.flush()
        if size < 0:
            parts = []
            while data := await self._read_some(self._chunk * 4):
                parts.append(data)
            return b"".join(parts)
        parts = []
        left = size
        while left:
            data = await self._read_some(left)
            if not data:
                break
            parts.append(data)
            left -= len(data)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    @as_deferred
    async def readinto(self, buffer: "bytearray | memoryview") -> int:
        """Fill `buffer` as far as the file goes; return how many bytes that was."""
        view = memoryview(buffer).cast("B")
        data = await self.read(len(view))
        view[: len(data)] = data
        return len(data)

    @as_deferred
    async def pread(self, size: int, offset: int) -> bytes:
        """Read up to `size` bytes at `offset`; the position stays, and many may be asked at once."""
        self._check()
        parts = []
        chunk = self._chunk
        if size > chunk:
            spans = [(offset + at, min(chunk, size - at)) for at in range(0, size, chunk)]
            for data in await gather(*(self.pread(length, at) for at, length in spans)):
                parts.append(data)
            return b"".join(parts)
        while size:
            data = await self._ask(offset, size).deferred
            if not data:
                break
            parts.append(data)
            offset += len(data)
            size -= len(data)
        return b"".join(parts)

    @property
    def _chunk(self) -> int:
        return read_size(self.session)

    async def _read_some(self, size: int) -> bytes:
        """Return some bytes at the position, at most `size`; b"" at the end."""
        if not self._rest:
            chunk = self._chunk
            if not self._pieces:
                self._next = self._position
                self._ahead = min(size, MAX_AHEAD)
            else:
                self._ahead = min(max(self._ahead * 2, size), MAX_AHEAD)
            goal = self._position + max(self._ahead, 1)
            while self._next < goal:
                length = min(chunk, max(goal - self._next, 4096))
                self._pieces.append(self._ask(self._next, length))
                self._next += length
            piece = self._pieces[0]
            data = await piece.deferred
            if not self._pieces or self._pieces[0] is not piece:
                return b""  # somebody has moved the position meanwhile
            self._pieces.popleft()
            if len(data) < piece.size:
                self._forget_ahead()  # a short read: what follows does not join on
            self._rest = data
        data = self._rest[:size]
        self._rest = self._rest[size:]
        self._position += len(data)
        return data

    def _ask(self, offset: int, size: int) -> Piece:
        piece = Piece(offset, size, self.path)
        number = self.session.next_id()
        packet = m.pack_read(self._layout, number, self.handle, offset, size)
        self.session.send(number, packet, piece)
        return piece

    def _forget_ahead(self) -> None:
        for piece in self._pieces:
            piece.deferred.add_errback(_ignored)
        self._pieces.clear()
        self._rest = b""

    # Writing.

    @as_deferred
    async def write(self, data: "bytes | bytearray | memoryview") -> int:
        """Write at the position.  Returns when the bytes are on their way; `flush` waits for the answers."""
        self._check()
        view = memoryview(data).cast("B")
        self._forget_ahead()
        size, chunk = len(view), write_size(self.session)
        for start in range(0, size, chunk):
            await self._room()
            self._send(view[start : start + chunk])
        return size

    def _send(self, view: memoryview) -> None:
        size = len(view)
        body = b"".join(
            (string(self.handle), self._position.to_bytes(8, "big"), size.to_bytes(4, "big"), view)
        )
        written = self.session.call(m.WRITE, body, path=self.path)
        self._position += size
        self._behind_size += size
        self._behind.add(written)

        def done(_: object) -> None:
            self._behind.discard(written)
            self._behind_size -= size
            self._wake()

        def failed(failure: "Failure") -> None:
            if self._error is None:
                self._error = failure.exception
            done(None)

        written.add_callbacks(done, failed)

    async def _room(self) -> None:
        while self._error is None and (self._behind_size >= MAX_BEHIND or not self.session.writable):
            await self._wait()
        self._raise()

    def _wait(self) -> Deferred[None]:
        waiting = self._waiting = Deferred()
        if not self.session.writable:
            self.session.writers.append(self)
        return waiting

    def pump(self) -> None:
        """Go on: the channel takes more."""
        self.session.writers.remove(self)
        self._wake()

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(None)

    def _raise(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error

    @as_deferred
    async def flush(self) -> None:
        """Wait until the server has taken all that was written; raise what went wrong with it."""
        while self._behind and self.session.lost is None:
            waiting = self._waiting = Deferred()
            await waiting
        self._raise()

    # The rest.

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> Deferred[int]:
        """Move the position; SEEK_END asks the server for the size."""
        if whence == os.SEEK_END:
            return self._seek_end(offset)
        position = offset + (self._position if whence == os.SEEK_CUR else 0)
        if position < 0 or whence not in (os.SEEK_SET, os.SEEK_CUR):
            raise ValueError(f"cannot seek to {position} (whence {whence})")
        self._move(position)
        return succeed(position)

    @as_deferred
    async def _seek_end(self, offset: int) -> int:
        await self.flush()
        size = (await self.stat()).size
        if size is None:
            raise SFTPOpUnsupported("the server does not tell the size", self.path)
        self._move(max(size + offset, 0))
        return self._position

    def _move(self, position: int) -> None:
        ahead = position - self._position
        if 0 <= ahead <= len(self._rest):
            self._rest = self._rest[ahead:]
        else:
            self._forget_ahead()
        self._position = position

    @as_deferred
    async def truncate(self, size: int | None = None) -> int:
        """Make the file `size` bytes long (None: as long as the position)."""
        await self.flush()
        length = self._position if size is None else size
        self._forget_ahead()
        await self.setstat(Attributes(size=length))
        return length

    def stat(self) -> Deferred[Attributes]:
        """Return the attributes of the open file."""
        self._check()
        dialect = self.session.dialect
        body = string(self.handle) + dialect.stat_tail
        return self.session.call(m.FSTAT, body, m.ATTRS, dialect.unpack_attrs, self.path)

    def setstat(self, attributes: Attributes) -> Deferred[None]:
        """Change attributes of the open file."""
        self._check()
        body = string(self.handle) + self.session.dialect.attributes(attributes)
        return self.session.call(m.FSETSTAT, body, path=self.path)

    def statvfs(self) -> Deferred[StatVFS]:
        """Return facts of the file system that the file lies on (`fstatvfs@openssh.com`)."""
        body = string("fstatvfs@openssh.com") + string(self.handle)
        return self.session.call(m.EXTENDED, body, m.EXTENDED_REPLY, read_statvfs, self.path)

    @as_deferred
    async def fsync(self) -> None:
        """Have the server put the file on its disk (`fsync@openssh.com`)."""
        await self.flush()
        if "fsync@openssh.com" not in self.session.extensions:
            raise SFTPOpUnsupported("the server does not offer fsync@openssh.com", self.path)
        await self.session.call(m.EXTENDED, string("fsync@openssh.com") + string(self.handle), path=self.path)

    @as_deferred
    async def close(self) -> None:
        """Wait for what was written, and close; raises what went wrong with a write that nobody has seen."""
        if self.closed:
            return
        self._forget_ahead()
        try:
            await self.flush()
        finally:
            self.closed = True
            if self.session.lost is None:
                await self.session.call(m.CLOSE, string(self.handle), path=self.path)

    async def __aenter__(self) -> "SFTPFile":
        return self

    async def __aexit__(self, *exception: object) -> None:
        if exception[0] is None:
            await self.close()
        elif not self.closed:
            try:
                await self.close()
            except (SFTPError, TimeoutError):
                pass  # what went wrong first is told

    def _check(self) -> None:
        if self.closed:
            raise ValueError(f"{self!r}: I/O on a closed file")
        self._raise()


class OpeningFile(Opening[SFTPFile]):
    """A file that is being opened; in ``async with`` an error of the block goes before one of the end."""

    __slots__ = ()

    async def __aexit__(self, *exception: Any) -> None:
        await self._opened.__aexit__(*exception)

    def undelivered(self, value: SFTPFile) -> None:
        """Close what was opened for a task that was cancelled meanwhile, and has not seen it."""
        value.closed = True
        value.session.close_handle(value.handle)


def _ignored(failure: "Failure") -> None:
    """Nobody wants it any more."""


def read_size(session: Session) -> int:
    """Return how many bytes one READ asks for."""
    from sshkit.sftp.client_session import MAX_DATA, SAFE_SIZE

    limit = session.limits.read
    if session.limits.packet:
        limit = min(limit or session.limits.packet, session.limits.packet - 1024)
    return max(min(limit, MAX_DATA), 1024) if limit > 0 else SAFE_SIZE


def write_size(session: Session) -> int:
    """Return how many bytes one WRITE carries."""
    from sshkit.sftp.client_session import MAX_DATA, SAFE_SIZE

    limit = session.limits.write
    if session.limits.packet:
        limit = min(limit or session.limits.packet, session.limits.packet - 1024)
    return max(min(limit, MAX_DATA), 1024) if limit > 0 else SAFE_SIZE
