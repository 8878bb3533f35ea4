"""Linux's epoll, level-triggered."""

import select
from collections.abc import Sequence

from .base import MAX_EVENTS


class Epoll:
    """All but `poll` are the kernel object's own."""

    __slots__ = ("_poll", "close", "fileno", "modify", "register", "unregister")

    name = "epoll"

    @staticmethod
    def available() -> bool:
        """Whether this platform has epoll."""
        return hasattr(select, "epoll")

    def __init__(self) -> None:
        epoll = select.epoll()
        self.register = epoll.register
        self.modify = epoll.modify
        self.unregister = epoll.unregister
        self.close = epoll.close
        self.fileno = epoll.fileno
        self._poll = epoll.poll

    def poll(self, timeout: float | None) -> Sequence[tuple[int, int]]:
        """Wait; epoll rounds the time-out up to a millisecond."""
        return self._poll(timeout, MAX_EVENTS)
