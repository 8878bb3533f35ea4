"""Waking the loop from another thread or a signal handler: a pipe to itself.

Used by the polling engines; the guest engine uses its host loop's own way.
"""

import os
from _thread import RLock


class Wakeup:
    """A pollable whose reading end belongs to the loop.  `wake` may be called from anywhere.

    The lock keeps a thread from writing to a descriptor that is being closed, and that may be another's
    next; it lets in its own thread twice, for a signal handler runs in the middle of anything.
    """

    __slots__ = ("_asleep", "_lock", "interest", "read_fd", "write_fd")

    def __init__(self) -> None:
        self.read_fd, self.write_fd = os.pipe()
        os.set_blocking(self.read_fd, False)
        os.set_blocking(self.write_fd, False)
        self.interest = 0
        self._asleep = True
        self._lock = RLock()

    def wake(self) -> None:
        """End the present or the next wait.  One byte in the pipe is enough for any number of calls."""
        if not self._asleep:
            return
        with self._lock:
            self._asleep = False
            if self.write_fd >= 0:
                try:
                    os.write(self.write_fd, b"\0")
                except BlockingIOError:  # full of the bytes of signals, so it wakes all the same
                    pass

    def read_ready(self) -> None:
        """Empty the pipe, then ask for bytes again.

        In this order: who wakes in between finds the flag down and writes nothing, but what it queued
        before is seen in this turn.  The other way round its byte could be read, and the flag stay down.
        """
        try:
            os.read(self.read_fd, 4096)
        except BlockingIOError:  # a readiness of before, read in between
            pass
        self._asleep = True

    def renew(self) -> None:
        """Be a pipe of this process alone, under the same numbers: the old one is the parent's of a fork."""
        ends = os.pipe()
        for new, old in zip(ends, (self.read_fd, self.write_fd), strict=True):
            os.dup2(new, old, inheritable=False)
            os.close(new)
            os.set_blocking(old, False)
        self._lock = RLock()
        self._asleep = True

    def write_ready(self) -> None:
        """Never asked for."""

    def reactor_closed(self, error: BaseException) -> None:
        """Close both ends."""
        with self._lock:
            fd, self.write_fd = self.write_fd, -1
            os.close(fd)
            os.close(self.read_fd)
