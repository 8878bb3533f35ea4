"""The engine of one upload: WRITEs in flight, read from the disk into one buffer that is used again.

`transfer.py` and `tree.py` drive it.  The header is packed before the data in the same buffer, so a WRITE
is one read and one write; the channel copies what it cannot send at once, and says when it has enough.
"""

import errno
import os
from mmap import mmap
from typing import TYPE_CHECKING, Any

from sshkit.deferred import Deferred
from sshkit.sftp import messages as m
from sshkit.sftp import status
from sshkit.sftp.client_session import Answer, Session
from sshkit.sftp.errors import SFTPProtocolError, error_for
from sshkit.sftp.file import write_size
from sshkit.sftp.transfer_get import Window

if TYPE_CHECKING:
    from collections.abc import Callable

    from sshkit.deferred import Failure

PAGE = 4096
SLOW = 0.005  #: seconds of one read that show that the disk blocks; threads read from then on
NOWAIT: int = getattr(os, "RWF_NOWAIT", 0)
_FREE: list[mmap] = []  #: buffers that were used before: making one costs more than a small file
MAX_FREE = 4


class Written(Answer):
    """One WRITE of an upload."""

    __slots__ = ("offset", "owner", "size")

    def __init__(self, owner: "Upload", offset: int, size: int) -> None:
        self.owner = owner
        self.offset = offset
        self.size = size

    def answered(self, kind: int, payload: memoryview) -> None:
        if kind != m.STATUS:
            raise SFTPProtocolError(f"an answer of kind {kind} to WRITE")
        code, words = m.unpack_status(payload)
        if code == status.OK:
            self.owner.stored(self)
        else:
            self.owner.fail(error_for(code, words, self.owner.path))

    def failed(self, error: BaseException) -> None:
        self.owner.fail(error)


class Upload:
    """One file on its way there.  `run` fires with its size when the server has taken all of it."""

    __slots__ = (
        "_all_sent",
        "_buffer",
        "_chunk",
        "_descriptor",
        "_finished",
        "_flying",
        "_handle",
        "_layout",
        "_map",
        "_next",
        "_read_all",
        "_reading",
        "_round",
        "_session",
        "_sparse",
        "_start",
        "_told",
        "_unanswered",
        "_wait_mode",
        "_window",
        "over",
        "path",
        "sent",
    )

    def __init__(
        self,
        session: Session,
        handle: bytes,
        path: bytes,
        descriptor: int,
        *,
        offset: int = 0,
        sparse: bool = False,
        told: "Callable[[int], object] | None" = None,
        all_sent: "Callable[[int], object] | None" = None,
    ) -> None:
        """`told` gets the number of bytes that were stored; `all_sent` the size, behind the last WRITE."""
        self._all_sent = all_sent
        self._session = session
        self._handle = handle
        self._layout = m.write_header(handle)
        self._descriptor = descriptor
        self._sparse = sparse
        self._told = told
        self._chunk = write_size(session)
        self._map: mmap | None = None
        self._buffer = memoryview(b"")
        self._start = PAGE - self._layout.size  # data begins on a page: copies from the cache like that
        self._next = offset
        self._flying = 0
        self._unanswered = 0
        self._round = -1
        self._reading = False  # a thread reads
        self._read_all = False
        self._wait_mode = 0  # 0: ask with RWF_NOWAIT; 1: inline while it is fast; 2: in a thread
        self._window = Window(session)
        self._finished: Deferred[int] = Deferred(lambda _: self._stop())
        self.path = path
        self.over = False
        self.sent = 0

    def run(self) -> Deferred[int]:
        """Begin."""
        self._session.transfers += 1
        self._session.writers.append(self)
        self._map = _FREE.pop() if _FREE else mmap(-1, PAGE + 256 * 1024)
        self._buffer = memoryview(self._map)
        self.pump()
        return self._finished

    def pump(self) -> None:
        """Read and send for as long as the window and the channel take it."""
        session = self._session
        if session.lost is not None:
            self.fail(session.lost)
        if self._reading or self._read_all or self.over:
            return
        try:
            while (
                session.writable
                and not self.over
                and (self._flying < self._window.limit() or not self._flying)
            ):
                wanted = self._skip_hole() if self._sparse else self._chunk
                size = self._read(PAGE, wanted) if wanted else 0
                if size < 0:  # it would block
                    self._read_in_thread(wanted)
                    return
                if not size:
                    self._end()
                    return
                self._send(size)
        except Exception as error:
            self.fail(error)

    def _read(self, at: int, wanted: int) -> int:
        """Read to the buffer; -1 where that would block."""
        target = self._buffer[at : at + wanted]
        mode = self._wait_mode
        if mode == 0 and NOWAIT:
            try:
                return os.preadv(self._descriptor, [target], self._next, NOWAIT)
            except BlockingIOError:
                return -1
            except OSError as error:
                if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS):
                    raise
                mode = self._wait_mode = 1
        if mode == 2:
            return -1
        clock = self._session.clock
        before = clock.seconds()
        size = os.preadv(self._descriptor, [target], self._next)
        if clock.seconds() - before > SLOW:
            self._wait_mode = 2
        return size

    def _read_in_thread(self, wanted: int) -> None:
        target = self._buffer[PAGE : PAGE + wanted]
        self._reading = True

        def read(size: int) -> None:
            self._reading = False
            if self.over:
                self._release()
            elif size:
                self._send(size)
                self.pump()
            else:
                self._end()

        def failed(failure: "Failure") -> None:
            self._reading = False
            if self.over:
                self._release()
            else:
                self.fail(failure.exception)

        reading: Deferred[Any] = self._session.defer_to_thread(
            os.preadv, self._descriptor, [target], self._next
        )
        reading.add_callback(read).add_errback(failed)

    def _skip_hole(self) -> int:
        """Move to the next data; return how much to read there, 0 at the end."""
        try:
            self._next = os.lseek(self._descriptor, self._next, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                self._next = os.lseek(self._descriptor, 0, os.SEEK_END)
                return 0
            self._sparse = False
            return self._chunk
        hole = os.lseek(self._descriptor, self._next, os.SEEK_HOLE)
        return min(self._chunk, hole - self._next)

    def _send(self, size: int) -> None:
        session = self._session
        answer = Written(self, self._next, size)
        number = session.next_id()
        start = self._start
        m.pack_write_header(self._layout, self._buffer, start, number, self._handle, self._next, size)
        if self._round < 0:
            self._round = self._next
        self._next += size
        self._flying += size
        self._unanswered += 1
        session.write_through(number, self._buffer[start : PAGE + size], answer)

    def stored(self, answer: Written) -> None:
        """The server has taken one WRITE."""
        size = answer.size
        self._flying -= size
        self._unanswered -= 1
        if self.over:
            return
        self.sent += size
        if self._told is not None:
            self._told(size)
            if self.over:
                return
        if self._round >= 0 and answer.offset >= self._round:
            self._round = -1
            self._window.round_over(self.sent)
        if self._read_all:
            self._finish()
        elif self._session.writable:
            self.pump()

    def _end(self) -> None:
        """All was read and sent."""
        self._read_all = True
        if self._all_sent is not None:
            self._all_sent(self._next)
        self._finish()

    def _finish(self) -> None:
        if not self._unanswered and not self.over:
            self._stop()
            self._finished.callback(self._next)

    def fail(self, error: BaseException) -> None:
        """End with an error."""
        if not self.over:
            self._stop()
            self._finished.errback(error)

    def _stop(self) -> None:
        self.over = True
        self._session.transfers -= 1
        self._session.writers.remove(self)
        if not self._reading:
            self._release()

    def _release(self) -> None:
        buffer, self._map = self._map, None
        assert buffer is not None  # it is let go once: at the end, or when the thread has done with it
        self._buffer = memoryview(b"")
        if len(_FREE) < MAX_FREE:
            _FREE.append(buffer)
