"""What a poller is: the one wait for events under the native and the direct engine.

Interests are READ and WRITE; events are (descriptor, mask) with Linux's poll numbers, in which FAULT
(error, hang-up) may be set without having been asked for.
"""

from collections.abc import Sequence
from typing import Protocol

READ = 1  #: EPOLLIN
WRITE = 4  #: EPOLLOUT
FAULT = 8 | 16  #: EPOLLERR | EPOLLHUP

#: Events taken in one wait: enough to be worth the call, few enough to look at timers in between.
MAX_EVENTS = 512


class Poller(Protocol):
    """A set of descriptors and the wait on it."""

    name: str

    @staticmethod
    def available() -> bool:
        """Whether this platform has it."""
        ...

    def register(self, fd: int, interest: int) -> None:
        """Add a descriptor.  PermissionError where its kind cannot be waited for (epoll: regular files)."""
        ...

    def modify(self, fd: int, interest: int) -> None:
        """Change the interest, which is not 0, of a descriptor that was added."""
        ...

    def unregister(self, fd: int) -> None:
        """Take a descriptor out."""
        ...

    def poll(self, timeout: float | None) -> Sequence[tuple[int, int]]:
        """Wait at most `timeout` seconds (None: no limit) and return what happened."""
        ...

    def fileno(self) -> int:
        """Return a descriptor that is readable while `poll` would find something; -1 if there is none."""
        ...

    def close(self) -> None:
        """Give the poller's own descriptor back."""
        ...
