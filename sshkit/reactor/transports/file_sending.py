"""Sending files: by sendfile(2) from a plain file to a plain socket, by reading and writing to anything else.

Called by `StreamTransport.send_file` and by `sshkit.reactor.files`.  Reading happens in the loop's thread: a
file that is not in the page cache makes the loop wait for the disk, a piece at a time.
"""

import errno
import os
import socket
import stat
from typing import Any

from sshkit.deferred import Deferred, fail

from ..errors import FileSendError
from .tcp import Special, StreamTransport

#: Bytes of a file sent in one step; then other descriptors have their turn.
PIECE = 256 * 1024

#: sendfile says so of a file or a system that it is not for.
_CANNOT = frozenset((errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOTSOCK))


class FileReader:
    """A part of a file, piece by piece."""

    __slots__ = ("_file", "count", "descriptor", "offset", "sent")

    def __init__(self, file: Any, offset: int, count: int | None) -> None:
        if offset < 0 or (count is not None and count < 0):
            raise ValueError(f"a file has no part from {offset} of {count} bytes")
        self._file = file
        self.offset = offset
        self.sent = 0
        self.descriptor = plain_descriptor(file)
        if self.descriptor is not None and count is None:
            count = max(os.fstat(self.descriptor).st_size - offset, 0)
        self.count = count

    @property
    def left(self) -> int:
        """Bytes of the next piece; 0: all was sent."""
        return PIECE if self.count is None else min(self.count - self.sent, PIECE)

    def read(self) -> bytes:
        """Return the next piece; nothing at the end.  Raises FileSendError for what is missing there."""
        if self.descriptor is None:
            if not self.sent and (self.offset or _seekable(self._file)):
                self._file.seek(self.offset)  # when its turn has come: the same file may be sent twice
            data: bytes = self._file.read(self.left)
        else:
            data = os.pread(self.descriptor, self.left, self.offset + self.sent)
        if not data and self.count is not None:
            raise self.short()
        return data

    def short(self) -> FileSendError:
        """Return the error of a file that has become shorter."""
        name = getattr(self._file, "name", "the file")
        return FileSendError(f"{name} has become shorter: {self.sent} of {self.count} bytes were sent")


def plain_descriptor(file: Any) -> int | None:
    """Return the descriptor of a regular file, else None.  What Python has buffered to write is flushed."""
    try:
        descriptor: int = file.fileno()
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        flush = getattr(file, "flush", None)
        if flush is not None:
            flush()
    except (AttributeError, OSError):  # io.UnsupportedOperation is an OSError
        return None
    return descriptor


def _seekable(file: Any) -> bool:
    seekable = getattr(file, "seekable", None)
    return seekable is not None and bool(seekable())


class FileSending(Special):
    """A file in the queue of a transport."""

    __slots__ = ("_failure", "_piece", "_plain", "_reader", "result")

    def __init__(self, transport: StreamTransport, reader: FileReader) -> None:
        self._reader = reader
        self._plain = reader.descriptor is not None and hasattr(os, "sendfile")
        self._piece = memoryview(b"")
        self._failure: BaseException | None = None
        self.result: Deferred[int] = Deferred(lambda _: transport.take_back(self))

    def send(self, sock: socket.socket) -> bool:
        """Send a piece; a fault of the file ends the sending, not the connection."""
        reader = self._reader
        if self._plain and reader.left:
            assert reader.descriptor is not None
            try:
                sent = os.sendfile(sock.fileno(), reader.descriptor, reader.offset + reader.sent, reader.left)
            except OSError as error:
                if error.errno not in _CANNOT:
                    raise
                self._plain = False
            else:
                if not sent:
                    self._failure = reader.short()
                    return True
                reader.sent += sent
                return not reader.left
        if not self._piece and reader.left:
            try:
                self._piece = memoryview(reader.read())
            except Exception as error:
                self._failure = error
                return True
        if not self._piece:
            return True
        sent = sock.send(self._piece)
        reader.sent += sent
        self._piece = self._piece[sent:]
        return not self._piece and not reader.left

    def finished(self) -> None:
        """Tell how many bytes there were, or what was wrong with the file."""
        if self._failure is not None:
            self.dropped(self._failure)
        elif not self.result.called:
            self.result.callback(self._reader.sent)

    def dropped(self, error: BaseException) -> None:
        """Tell that the rest will not be sent."""
        if not self.result.called:
            self.result.errback(error)


def send_file(transport: StreamTransport, file: Any, offset: int, count: int | None) -> Deferred[int]:
    """Queue a part of a file."""
    try:
        reader = FileReader(file, offset, count)
    except (OSError, ValueError) as error:
        return fail(error)
    sending = FileSending(transport, reader)
    transport.send_in_turn(sending)
    return sending.result
