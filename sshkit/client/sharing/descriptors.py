"""The input that another process has handed over, joined to a channel.

Called by `passenger`; `sshkit.client.output` is for output.  Data goes from descriptor to channel without
streams in between; back-pressure holds.  The descriptors share their flags with the program that sent them,
so they are opened anew where the system lets us (`sshkit.reactor.transports.stdio`).
"""

import os
from collections.abc import Callable
from errno import EIO
from typing import TYPE_CHECKING, cast

from sshkit.reactor.transports.ends import ReadEnd
from sshkit.reactor.transports.stdio import unblocked
from sshkit.reactor.transports.tcp import READS_A_TURN

if TYPE_CHECKING:
    from sshkit.reactor.core import ReactorCore


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


def core_of(reactor: object) -> "ReactorCore":
    """Return a reactor as its own parts know it."""
    return cast("ReactorCore", reactor)
