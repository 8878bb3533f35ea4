"""One descriptor for output, and what waits to be written to it.

Called by sshkit-client's session, for its own output and errors, and by `sharing.passenger`, for those of a
program that rides our connection.  What arrives is written from the receive buffer, without streams between;
back-pressure is the caller's: `changed` tells that an output is full or has room again.
"""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from sshkit.reactor.transports.ends import WriteEnd
from sshkit.reactor.transports.stdio import unblocked

if TYPE_CHECKING:
    from sshkit.reactor.core import ReactorCore

#: Output that may wait for whoever reads ours before the channel is stopped: several turns' worth, so that
#: a reader that is only scheduled later does not make the window shrink.
HIGH_MARK = 1024 * 1024
LOW_MARK = 256 * 1024


class Output:
    """Writes to a descriptor."""

    __slots__ = ("_changed", "_end", "_flushed", "_gone", "_restore", "full")

    def __init__(
        self, reactor: "ReactorCore", fd: int, changed: Callable[[], object], gone: Callable[[], object]
    ) -> None:
        """Take a descriptor, which stays its owner's; OSError where it is closed or not for writing.

        `changed` is called when `full` has changed, `gone` when whoever read the output has gone.
        """
        own, self._restore = unblocked(fd, os.O_WRONLY)
        self._changed = changed
        self._gone = gone
        self._flushed: Callable[[], object] = _nothing
        self.full = False
        self._end: WriteEnd | None = WriteEnd(reactor, own, self)
        self._end.set_marks(HIGH_MARK, LOW_MARK)

    @property
    def busy(self) -> bool:
        """It is neither closed nor flushed to its end."""
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
        self._changed()

    def end_room(self) -> None:
        self.full = False
        self._changed()

    def end_flushed(self) -> None:
        self.close()
        self._flushed()

    def end_broken(self, error: OSError) -> None:
        self.full = False
        self.close()
        self._gone()
        self._flushed()


def _nothing() -> None:
    """Nobody waits."""
