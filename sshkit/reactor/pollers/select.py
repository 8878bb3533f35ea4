"""select(2): the last resort, for up to FD_SETSIZE (1024) descriptors."""

import select
from collections.abc import Sequence

from .base import READ, WRITE


class Select:
    """Two sets of descriptors."""

    __slots__ = ("_readers", "_writers")

    name = "select"

    @staticmethod
    def available() -> bool:
        """select is everywhere."""
        return True

    def __init__(self) -> None:
        self._readers: set[int] = set()
        self._writers: set[int] = set()

    def register(self, fd: int, interest: int) -> None:
        """Add a descriptor."""
        self.modify(fd, interest)

    def modify(self, fd: int, interest: int) -> None:
        """Change its interest."""
        (self._readers.add if interest & READ else self._readers.discard)(fd)
        (self._writers.add if interest & WRITE else self._writers.discard)(fd)

    def unregister(self, fd: int) -> None:
        """Take a descriptor out."""
        self.modify(fd, 0)

    def poll(self, timeout: float | None) -> Sequence[tuple[int, int]]:
        """Wait."""
        readable, writable, _ = select.select(self._readers, self._writers, (), timeout)
        masks = dict.fromkeys(readable, READ)
        for fd in writable:
            masks[fd] = masks.get(fd, 0) | WRITE
        return list(masks.items())

    def fileno(self) -> int:
        """There is none."""
        return -1

    def close(self) -> None:
        """Nothing to give back."""
        self._readers.clear()
        self._writers.clear()
