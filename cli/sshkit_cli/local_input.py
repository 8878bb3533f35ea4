"""Standard input, read in large pieces while somebody wants it.

Called by the session.  Terminals, pipes and sockets are waited for; files are always ready and are read a
few pieces at a turn, so that the network has its turn as well.
"""

import mmap
import os
from collections.abc import Callable
from errno import EIO
from typing import TYPE_CHECKING

from sshkit.reactor.transports.stdio import unblocked

if TYPE_CHECKING:
    from sshkit.interfaces import DelayedCall
    from sshkit.reactor.core import ReactorCore

#: Bytes of one read: what figures show to cost least for pipes and files.
READ_SIZE = 256 * 1024
#: Reads in one turn.
READS_A_TURN = 4


class LocalInput:
    """Reads a descriptor and hands over views, valid during the call only."""

    __slots__ = (
        "_buffer",
        "_data",
        "_ended",
        "_fd",
        "_note",
        "_polled",
        "_reactor",
        "_restore",
        "_tick",
        "_wanted",
    )

    def __init__(
        self,
        reactor: "ReactorCore",
        number: int,
        data: Callable[[memoryview], None],
        ended: Callable[[], None],
        note: Callable[[str], None],
    ) -> None:
        self._reactor = reactor
        self._data = data
        self._ended = ended
        self._note = note
        self._buffer: memoryview | None = None
        self._wanted = False
        self._polled = True
        self._tick: DelayedCall | None = None
        self._restore: Callable[[], None] = _nothing
        try:
            self._fd, self._restore = unblocked(number, os.O_RDONLY)
        except OSError:  # closed before we were started: that is the end of input
            self._fd = -1

    def resume(self) -> None:
        """Read."""
        if self._wanted:
            return
        self._wanted = True
        if self._fd < 0:
            self._reactor.call_soon(self._ended)
            return
        if self._polled:
            try:
                self._reactor.add_reader(self._fd, self._readable)
                return
            except PermissionError:  # a file: epoll does not wait for what is always ready
                self._polled = False
        self._tick = self._reactor.call_later(0.0, self._turn)

    def pause(self) -> None:
        """Read nothing."""
        if not self._wanted:
            return
        self._wanted = False
        if self._tick is not None:
            self._tick.cancel()
            self._tick = None
        elif self._fd >= 0 and self._polled:
            self._reactor.remove_reader(self._fd)

    def close(self) -> None:
        """Read nothing any more."""
        self.pause()
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
        self._buffer = None
        self._restore()

    def _turn(self) -> None:
        self._tick = None
        self._readable()
        if self._wanted and self._fd >= 0:
            self._tick = self._reactor.call_later(0.0, self._turn)

    def _readable(self) -> None:
        buffer = self._buffer
        if buffer is None:
            buffer = self._buffer = memoryview(
                mmap.mmap(-1, READ_SIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            )
        for _ in range(READS_A_TURN):
            try:
                size = os.readv(self._fd, (buffer,))
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                if error.errno != EIO:  # that a terminal has gone is its end
                    self._note(f"standard input: {error.strerror}")
                size = 0
            if not size:
                self._ended()
                return
            self._data(buffer[:size])
            if size < READ_SIZE or not self._wanted:
                return


def _nothing() -> None:
    """Nothing was changed."""
