"""Which requests may run beside each other, where a backend answers later.  Used by SFTPServer.

Requests start in the order in which they came.  What changes something by path runs alone; what only looks
runs beside others that do; of one open file one request runs at a time, so its answers keep their order.
"""

from sshkit.sftp.server_requests import CHANGES, HANDLE, READS

MAX_AT_ONCE = 64  #: requests that run at a time in one session


class Work:
    """What runs in one session."""

    __slots__ = ("_alone", "_handles", "running")

    def __init__(self) -> None:
        self.running = 0
        self._alone = False
        self._handles: set[bytes] = set()

    def may_start(self, kind: int, handle: bytes) -> bool:
        """Tell whether a request may run now."""
        if not self.running:
            return True
        if self._alone or self.running >= MAX_AT_ONCE:
            return False
        if kind == HANDLE:
            return handle not in self._handles
        return kind == READS and not self._handles

    def start(self, kind: int, handle: bytes) -> None:
        """Note that a request runs."""
        self.running += 1
        if kind == HANDLE:
            self._handles.add(handle)
        elif kind == CHANGES:
            self._alone = True

    def end(self, kind: int, handle: bytes) -> None:
        """Note that it has ended."""
        self.running -= 1
        if kind == HANDLE:
            self._handles.discard(handle)
        elif kind == CHANGES:
            self._alone = False
