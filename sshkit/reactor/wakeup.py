"""Waking the loop from another thread or a signal handler: a pipe to itself.

Used by the polling engines; the guest engine uses its host loop's own way.
"""

import os


class Wakeup:
    """A pollable whose reading end belongs to the loop.  `wake` may be called from anywhere."""

    __slots__ = ("_asleep", "interest", "read_fd", "write_fd")

    def __init__(self) -> None:
        self.read_fd, self.write_fd = os.pipe()
        os.set_blocking(self.read_fd, False)
        os.set_blocking(self.write_fd, False)
        self.interest = 0
        self._asleep = True

    def wake(self) -> None:
        """End the present or the next wait.  One byte in the pipe is enough for any number of calls."""
        if self._asleep:
            self._asleep = False
            try:
                os.write(self.write_fd, b"\0")
            except BlockingIOError:  # pragma: no cover - full of signals' bytes: it wakes
                pass

    def read_ready(self) -> None:
        """Empty the pipe.  First the flag: a wake that comes in between writes again."""
        self._asleep = True
        try:
            os.read(self.read_fd, 4096)
        except BlockingIOError:  # pragma: no cover - another turn has read it
            pass

    def write_ready(self) -> None:
        """Never asked for."""

    def reactor_closed(self, error: BaseException) -> None:
        """Close both ends."""
        os.close(self.read_fd)
        os.close(self.write_fd)
