"""The engine of one download: READs in flight, data written where it belongs as it arrives.

`transfer.py` and `tree.py` drive it.  Nothing is put together: each piece of a DATA packet goes from the
receive buffer to the file with one pwrite.  How much is in flight follows the path: it doubles each round
trip for as long as that makes the transfer faster.
"""

import os
from typing import TYPE_CHECKING

from sshkit.deferred import Deferred
from sshkit.sftp import messages as m
from sshkit.sftp import status
from sshkit.sftp.client_session import Answer, Session
from sshkit.sftp.errors import SFTPProtocolError, error_for
from sshkit.sftp.file import read_size
from sshkit.sftp.progress import TransferError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sshkit.sftp.packets import PieceHandler

FIRST_WINDOW = 4 * 1024 * 1024  #: bytes in flight to begin with
MAX_WINDOW = 16 * 1024 * 1024  #: bytes in flight at most, of all transfers of a session together
BATCH = 4  #: READs that leave together
MAX_RETRIES = 3  #: times a place is asked for again that was said to be beyond the end, and is not
GROWTH = 1.1  #: times faster a round must be for the next one to be larger
ZEROS = bytes(256 * 1024)


class Window:
    """How many bytes to have in flight; `round_over` is told of each round trip."""

    __slots__ = ("_best", "_bytes", "_clock", "_since", "_tired", "session", "size")

    def __init__(self, session: Session) -> None:
        self.session = session
        self.size = FIRST_WINDOW
        self._clock = session.clock
        self._since = self._clock.seconds()
        self._bytes = 0
        self._best = 0.0
        self._tired = 0

    def limit(self) -> int:
        """Return the bytes that may be in flight now: a fair share of all."""
        return min(self.size, MAX_WINDOW // max(self.session.transfers, 1))

    def round_over(self, done: int) -> None:
        """`done` bytes have arrived by now; widen the window if that round was faster than all before."""
        now = self._clock.seconds()
        taken = now - self._since
        if taken <= 0:
            return
        rate = (done - self._bytes) / taken
        self._since, self._bytes = now, done
        if rate > self._best * GROWTH:
            self._best = rate
            self._tired = 0
            self.size = min(self.size * 2, MAX_WINDOW)
        elif self._tired < 2:  # one slow round may be an accident
            self._tired += 1
            self.size = min(self.size * 2, MAX_WINDOW)


class Chunk(Answer):
    """One READ of a download."""

    __slots__ = ("expected", "got", "offset", "owner", "retries", "size")

    def __init__(self, owner: "Download", offset: int, size: int) -> None:
        self.owner = owner
        self.offset = offset
        self.size = size
        self.got = 0
        self.expected = 0
        self.retries = 0

    def begin(self, size: int) -> "PieceHandler | None":
        if size > self.size or self.owner.over:
            return None
        self.expected = size
        return self._piece

    def _piece(self, view: memoryview) -> None:
        owner = self.owner
        if not owner.over:
            try:
                owner.store(view, self.offset + self.got)
            except Exception as error:
                owner.fail(error)
                return
            self.got += len(view)
            if self.got == self.expected:
                owner.arrived(self)

    def answered(self, kind: int, payload: memoryview) -> None:
        owner = self.owner
        if kind == m.DATA:
            data = m.unpack_string(payload)
            if not 0 < len(data) <= self.size:
                raise SFTPProtocolError(f"{len(data)} bytes of data, {self.size} were asked for")
            self.expected = len(data)
            self._piece(data)
        elif kind == m.STATUS:
            code, words = m.unpack_status(payload)
            if code == status.OK:
                raise SFTPProtocolError("OK in answer to READ")
            if not owner.over:
                if code == status.EOF:
                    owner.end_at(self)
                else:
                    owner.fail(error_for(code, words, owner.path))
        else:
            raise SFTPProtocolError(f"an answer of kind {kind} to READ")

    def failed(self, error: BaseException) -> None:
        self.owner.fail(error)


class Download:
    """One file on its way here.  `run` fires with the size of the file when all of it is in place."""

    __slots__ = (
        "_asked",
        "_base",
        "_chunk",
        "_chunks",
        "_descriptor",
        "_end",
        "_finished",
        "_flying",
        "_handle",
        "_highest",
        "_layout",
        "_next",
        "_round",
        "_session",
        "_size",
        "_sparse",
        "_stop_at",
        "_told",
        "_window",
        "over",
        "path",
        "received",
    )

    def __init__(
        self,
        session: Session,
        handle: bytes,
        path: bytes,
        descriptor: int,
        size: int | None,
        *,
        offset: int = 0,
        base: int = 0,
        stop_at: int | None = None,
        sparse: bool = False,
        told: "Callable[[int], object] | None" = None,
    ) -> None:
        """`size` is what the server said; `told` gets the number of new bytes each time some have arrived.

        What lies at `base` there goes to the beginning of the file here; with `stop_at` nothing from there on
        is asked for.
        """
        self._base = base
        self._stop_at = stop_at
        self._session = session
        self._handle = handle
        self._layout = m.read_packer(handle)
        self._descriptor = descriptor
        #: 0 is what files say that do not know; nor does it matter where the end is told.
        self._size = None if stop_at is not None or offset > (size or 0) else size or None
        self._sparse = sparse
        self._told = told
        self._chunk = read_size(session)
        self._chunks: dict[Chunk, None] = {}
        self._next = offset
        self._flying = 0
        self._asked = False  # the READ behind the end that the server told is on its way
        self._end: int | None = None  # where the server said that nothing follows
        self._highest = offset
        self._round = -1
        self._window = Window(session)
        self._finished: Deferred[int] = Deferred(lambda _: self._stop())
        self.path = path
        self.over = False
        self.received = 0  #: bytes that arrived

    def run(self) -> Deferred[int]:
        """Begin."""
        self._session.transfers += 1
        if self._session.lost is not None:
            self.fail(self._session.lost)
        else:
            self._pump()
            self._finish()  # an empty range
        return self._finished

    @property
    def low(self) -> int:
        """Every byte below this offset is in place."""
        return min((chunk.offset + chunk.got for chunk in self._chunks), default=self._highest)

    def _pump(self) -> None:
        """Ask for as much as may be in flight."""
        limit = self._window.limit()
        size = self._chunk
        while self._end is None and (self._flying < limit or not self._flying):
            # The last READ asks for more than there should be: a short answer shows the end without
            # another one.  Only where the size is a multiple is one more needed.
            if self._size is not None and self._next >= self._size:
                if self._asked or self._next > self._size:
                    return
                self._asked = True
            if self._stop_at is not None:
                size = min(size, self._stop_at - self._next)
                if size <= 0:
                    self._end = self._stop_at
                    break
            chunk = Chunk(self, self._next, size)
            self._next += size
            self._ask(chunk)
            if self.over:
                return

    def _ask(self, chunk: Chunk) -> None:
        self._chunks[chunk] = None
        self._flying += chunk.size
        if self._round < 0:
            self._round = chunk.offset
        number = self._session.next_id()
        packet = m.pack_read(self._layout, number, self._handle, chunk.offset, chunk.size)
        self._session.send(number, packet, chunk)

    def store(self, view: memoryview, offset: int) -> None:
        """Write what arrived; zeros are left out of a sparse file."""
        size = len(view)
        offset -= self._base
        if self._sparse and view == ZEROS[:size]:
            pass
        else:
            done = os.pwrite(self._descriptor, view, offset)
            while done < size:
                done += os.pwrite(self._descriptor, view[done:], offset + done)
        self.received += size

    def arrived(self, chunk: Chunk) -> None:
        """All that this READ's answer holds is stored."""
        got = chunk.got
        del self._chunks[chunk]
        self._flying -= chunk.size
        end = chunk.offset + got
        if end > self._highest:
            self._highest = end
            if self._end is not None and end > self._end:  # what lies between would be a hole
                self.fail(TransferError(f"the file ends at {self._end}, and does not", self.path))
                return
        if self._told is not None:
            self._told(got)
            if self.over:
                return
        if self._round >= 0 and chunk.offset >= self._round:
            self._round = -1
            self._window.round_over(self.received)
        if got < chunk.size:
            if end == self._size:
                self._end = end
            else:
                self._ask(Chunk(self, end, chunk.size - got))
        elif self._size is not None and end > self._size:
            self._size = None  # it grew: go on until the end
        # With many transfers the share of each is less than a batch: then one READ follows another.
        flying = self._flying
        if self._end is None and (not flying or flying + BATCH * self._chunk <= self._window.limit()):
            self._pump()
        self._finish()

    def end_at(self, chunk: Chunk) -> None:
        """The server says that there is nothing at this offset."""
        del self._chunks[chunk]
        self._flying -= chunk.size
        if chunk.offset < self._highest:  # though there was something behind: it grew meanwhile
            if chunk.retries >= MAX_RETRIES:
                self.fail(TransferError(f"the file ends at {chunk.offset}, and does not", self.path))
                return
            again = Chunk(self, chunk.offset, chunk.size)
            again.retries = chunk.retries + 1
            self._ask(again)
            return
        if self._end is None or chunk.offset < self._end:
            self._end = chunk.offset
        self._finish()

    def _finish(self) -> None:
        if self._chunks or self.over or self._end is None:
            return
        self._stop()
        self._finished.callback(max(self._highest, 0))

    def fail(self, error: BaseException) -> None:
        """End with an error; what else arrives is dropped."""
        if not self.over:
            self._stop()
            self._finished.errback(error)

    def _stop(self) -> None:
        self.over = True
        self._session.transfers -= 1
