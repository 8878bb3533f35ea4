"""Signals as ordinary events of the loop.

The handler that Python calls only queues the callback and wakes the loop (rule R41); the callback runs
in a turn, where it may do anything.  Used by the polling engines; the guest engine asks its host loop.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .errors import ReactorError

if TYPE_CHECKING:
    from .core import ReactorCore


class Signals:
    """The handlers that one reactor has installed, and what was there before."""

    __slots__ = ("_callbacks", "_old_wakeup", "_previous", "_reactor", "_wakeup_fd")

    def __init__(self, reactor: "ReactorCore", wakeup_fd: int) -> None:
        self._reactor = reactor
        self._wakeup_fd = wakeup_fd
        self._callbacks: dict[int, Callable[[], object]] = {}
        self._previous: dict[int, Any] = {}
        self._old_wakeup = -1

    def add(self, signum: int, callback: Callable[[], object]) -> None:
        """Install a handler, or replace ours."""
        import signal

        if signum not in self._callbacks:
            try:
                if not self._callbacks:
                    # Another thread may be the one that the signal reaches: the C handler's byte wakes us.
                    self._old_wakeup = signal.set_wakeup_fd(self._wakeup_fd, warn_on_full_buffer=False)
                self._previous[signum] = signal.signal(signum, self._on_signal)
            except (ValueError, OSError) as error:
                if not self._callbacks:
                    self._restore_wakeup()
                raise ReactorError(f"signal {signum} cannot be handled here: {error}") from error
        self._callbacks[signum] = callback

    def _on_signal(self, number: int, frame: object) -> None:
        callback = self._callbacks.get(number)
        if callback is not None:
            self._reactor.soon.append(callback)
            self._reactor.wake()

    def remove(self, signum: int) -> bool:
        """Put back what was there."""
        import signal

        if self._callbacks.pop(signum, None) is None:
            return False
        previous = self._previous.pop(signum)
        signal.signal(signum, signal.SIG_DFL if previous is None else previous)
        if not self._callbacks:
            self._restore_wakeup()
        return True

    def _restore_wakeup(self) -> None:
        import signal

        try:
            signal.set_wakeup_fd(self._old_wakeup)
        except (ValueError, OSError):  # not the main thread, or the old descriptor was closed meanwhile
            pass

    def close(self) -> None:
        """Put everything back."""
        for signum in tuple(self._callbacks):
            self.remove(signum)
