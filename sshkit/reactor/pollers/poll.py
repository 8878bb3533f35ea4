"""poll(2): for systems without epoll and kqueue."""

import select
from collections.abc import Sequence
from math import ceil

from .base import FAULT, READ, WRITE

#: Its numbers are Linux's everywhere but for the odd system; translated where they differ.
_SAME = hasattr(select, "poll") and (select.POLLIN, select.POLLOUT, select.POLLERR | select.POLLHUP) == (
    READ,
    WRITE,
    FAULT,
)


class Poll:
    """poll's own list of descriptors."""

    __slots__ = ("_poll",)

    name = "poll"

    @staticmethod
    def available() -> bool:
        """Whether this platform has poll with the usual numbers."""
        return _SAME

    def __init__(self) -> None:
        self._poll = select.poll()

    def register(self, fd: int, interest: int) -> None:
        """Add a descriptor."""
        self._poll.register(fd, interest)

    def modify(self, fd: int, interest: int) -> None:
        """Change its interest."""
        self._poll.modify(fd, interest)

    def unregister(self, fd: int) -> None:
        """Take a descriptor out."""
        self._poll.unregister(fd)

    def poll(self, timeout: float | None) -> Sequence[tuple[int, int]]:
        """Wait; POLLNVAL (a descriptor closed behind our back) reads as a fault."""
        events = self._poll.poll(None if timeout is None else ceil(timeout * 1000))
        return [(fd, FAULT if mask & select.POLLNVAL else mask) for fd, mask in events]

    def fileno(self) -> int:
        """There is none."""
        return -1

    def close(self) -> None:
        """Nothing to give back."""
