"""Descriptors that another process has handed over, joined to a channel.

Called by `passenger`.  Data goes between descriptor and channel without streams in between; back-pressure
holds both ways.  The descriptors share their flags with the program that sent them, so they are opened anew
where the system lets us (`sshkit.reactor.transports.stdio`).
"""

import os
from collections.abc import Callable
from errno import EIO
from typing import TYPE_CHECKING, cast

from sshkit.reactor.transports.ends import ReadEnd, WriteEnd
from sshkit.reactor.transports.stdio import unblocked
from sshkit.reactor.transports.tcp import READS_A_TURN

if TYPE_CHECKING:
    from sshkit.reactor.core import ReactorCore

#: Output that may wait for its reader before the channel is stopped.
HIGH_MARK = 1024 * 1024
LOW_MARK = 256 * 1024


class Input(ReadEnd):
    """Reads a descriptor, and hands over views that are valid during the call only."""

    __slots__ = ("_data", "_ended", "_restore")

    def __init__(
        self,
        reactor: "ReactorCore",
        fd: int,
        data: Callable[[memoryview], object],
        ended: Callable[[], object],
    ) -> None:
        own, restore = unblocked(fd, os.O_RDONLY)
        super().__init__(reactor, own, self)
        self._data = data
        self._ended = ended
        self._restore = restore

    def read_ready(self) -> None:
        """Read, and again while the buffer is filled."""
        view, large = self._reactor.receive_views()
        for _ in range(READS_A_TURN):
            if not self._wanted:
                return
            try:
                size = os.readv(self.fd, (view,))
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                # EIO: the terminal has gone.
                self._finish(None if error.errno == EIO else error)
                return
            if not size:
                self._finish(None)
                return
            self._data(view[:size])
            if size < len(view) and self._polled:
                return
            view = large

    def close(self) -> None:
        """Give the descriptor back."""
        if self.fd >= 0:
            super().close()
            self._restore()

    def end_data(self, end: ReadEnd, data: bytes) -> None:
        """Never called: `read_ready` hands over views."""

    def end_finished(self, end: ReadEnd, error: BaseException | None) -> None:
        self._ended()


class Output:
    """Writes to a descriptor."""

    __slots__ = ("_end", "_flushed", "_gone", "_restore", "_room", "full")

    def __init__(
        self, reactor: "ReactorCore", fd: int, room: Callable[[], object], gone: Callable[[], object]
    ) -> None:
        own, self._restore = unblocked(fd, os.O_WRONLY)
        self._room = room
        self._gone = gone
        self._flushed: Callable[[], object] = _nothing
        self.full = False
        self._end: WriteEnd | None = WriteEnd(reactor, own, self)
        self._end.set_marks(HIGH_MARK, LOW_MARK)

    @property
    def busy(self) -> bool:
        """It is not closed, nor flushed to its end."""
        return self._end is not None

    def write(self, data: memoryview) -> None:
        """Write; drop what nobody reads."""
        if self._end is not None:
            self._end.write(data)

    def finish(self, flushed: Callable[[], object]) -> None:
        """Close when all is written, and call `flushed`."""
        self._flushed = flushed
        if self._end is not None:
            self._end.close_when_flushed()

    def close(self) -> None:
        """Drop what waits."""
        end, self._end = self._end, None
        if end is not None:
            end.close()
            self._restore()

    # Called by the end.

    def end_full(self) -> None:
        self.full = True
        self._room()

    def end_room(self) -> None:
        self.full = False
        self._room()

    def end_flushed(self) -> None:
        self.close()
        self._flushed()

    def end_broken(self, error: OSError) -> None:
        self.full = False
        self.close()
        self._gone()
        self._flushed()


def core_of(reactor: object) -> "ReactorCore":
    """Return a reactor as its own parts know it."""
    return cast("ReactorCore", reactor)


def _nothing() -> None:
    """Nobody waits."""
