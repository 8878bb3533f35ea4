"""kqueue, for macOS and the BSDs.

Two filters a descriptor instead of one mask; EV_EOF on either counts as a fault, so that the transport
reads (or writes) and finds out.  Not exercised on Linux.
"""

import select
import sys
from collections.abc import Sequence

from .base import FAULT, MAX_EVENTS, READ, WRITE


class KQueue:
    """Remembers what was asked for, to add and delete filters one by one."""

    __slots__ = ("_interest", "_kqueue")

    name = "kqueue"

    @staticmethod
    def available() -> bool:
        """Whether this platform has kqueue."""
        return hasattr(select, "kqueue")

    if sys.platform != "linux" and sys.platform != "win32":  # pragma: no cover - no such kernel here

        def __init__(self) -> None:
            self._kqueue = select.kqueue()
            self._interest: dict[int, int] = {}

        def register(self, fd: int, interest: int) -> None:
            """Add a descriptor."""
            self._change(fd, 0, interest)

        def modify(self, fd: int, interest: int) -> None:
            """Change its interest."""
            self._change(fd, self._interest[fd], interest)

        def unregister(self, fd: int) -> None:
            """Take a descriptor out."""
            self._change(fd, self._interest[fd], 0)

        def _change(self, fd: int, before: int, after: int) -> None:
            changes = []
            for bit, kind in ((READ, select.KQ_FILTER_READ), (WRITE, select.KQ_FILTER_WRITE)):
                if (before ^ after) & bit:
                    action = select.KQ_EV_ADD if after & bit else select.KQ_EV_DELETE
                    changes.append(select.kevent(fd, kind, action))
            if changes:
                self._kqueue.control(changes, 0)
            if after:
                self._interest[fd] = after
            else:
                self._interest.pop(fd, None)

        def poll(self, timeout: float | None) -> Sequence[tuple[int, int]]:
            """Wait."""
            masks: dict[int, int] = {}
            for event in self._kqueue.control(None, MAX_EVENTS, timeout):
                mask = READ if event.filter == select.KQ_FILTER_READ else WRITE
                if event.flags & select.KQ_EV_EOF and event.filter == select.KQ_FILTER_WRITE:
                    mask |= FAULT
                masks[event.ident] = masks.get(event.ident, 0) | mask
            return list(masks.items())

        def fileno(self) -> int:
            """The kernel queue's own descriptor."""
            return self._kqueue.fileno()

        def close(self) -> None:
            """Give the kernel queue back."""
            self._kqueue.close()
            self._interest.clear()
