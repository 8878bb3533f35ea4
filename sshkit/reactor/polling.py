"""One turn of the loop: what the native and the direct engine share.

A turn: the call_soon queue, one wait, the descriptors that are ready, delayed calls, the queue
again.  The native engine turns by itself; the direct engine turns inside asyncio's `select`.
"""

from time import monotonic
from typing import Any

from .errors import ReactorClosed
from .life import LivingReactor
from .pollers import READ, Poller
from .signals import Signals
from .wakeup import Wakeup


class PollingReactor(LivingReactor):
    """A reactor that owns its turns."""

    def __init__(self, poller: Poller | None = None) -> None:
        super().__init__(poller)
        self._wakeup = Wakeup()
        self.wake = self._wakeup.wake  # type: ignore[method-assign]
        self.set_interest(self._wakeup.read_fd, self._wakeup, READ)
        self._signals = Signals(self, self._wakeup.write_fd)

    def after_fork(self) -> None:
        """In a child process: do not wake the parent, nor take what wakes it."""
        super().after_fork()
        if not self.closed:
            self._wakeup.renew()

    def turn(self, timeout: float | None) -> None:
        """Wait at most `timeout` seconds (None: as long as nothing happens) and serve what is ready."""
        soon = self.soon
        heap = self.timers.heap
        if soon:
            self.run_soon()
            timeout = 0.0
        elif heap:
            left = heap[0][0] - monotonic()
            if timeout is None or left < timeout:
                timeout = left if left > 0.0 else 0.0
        self.serve(timeout)
        if heap:
            now = monotonic()
            if heap[0][0] <= now:
                self.run_timers(now)
        if soon:
            self.run_soon()

    def add_signal_handler(self, signum: int, callback: Any) -> None:
        """Call `callback()` in a turn after a signal."""
        self._signals.add(signum, callback)

    def remove_signal_handler(self, signum: int) -> bool:
        """Undo `add_signal_handler`."""
        return self._signals.remove(signum)

    def close(self) -> None:
        """Abort what is open and give all descriptors back."""
        if self.closed:
            return
        if self.running:
            raise ReactorClosed("a running reactor cannot be closed; stop it first")
        self._signals.close()
        self.close_pollables()
        self.release()
