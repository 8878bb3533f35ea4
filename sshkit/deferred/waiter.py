"""Waiter: what a coroutine that awaits a Deferred yields to whoever runs it.

Made by `Deferred.__await__`, taken by our own driver (coroutines.py) or by an asyncio Task, which takes it
for a future: it looks for `_asyncio_future_blocking`, compares `get_loop()`, calls `add_done_callback`
with its context, `cancel(msg=...)` when it is cancelled itself, and `result()` when it is woken.

A Task is woken through `loop.call_soon`, as asyncio's futures do; our driver within the call that fired.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from sshkit.deferred.cancelled import CancelledError
from sshkit.deferred.errors import NotFiredError
from sshkit.deferred.failure import Failure

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable
    from contextvars import Context

    from sshkit.deferred.deferred import Deferred

PENDING: Any = type("Pending", (), {"__slots__": (), "__repr__": lambda self: "PENDING"})()


class Waiter:
    """One wait for one Deferred.  `outcome` is what it held when the wait's turn among its callbacks came."""

    __slots__ = (
        "_asyncio_future_blocking",
        "_callbacks",
        "_loop",
        "_message",
        "_reclaimed",
        "deferred",
        "outcome",
    )

    def __init__(self, deferred: Deferred[Any]) -> None:
        self._asyncio_future_blocking = True
        self.deferred = deferred
        self.outcome: Any = PENDING
        # The other places are for a Task, and filled by `get_loop`, its first question.

    # What follows is for asyncio's Task.

    def get_loop(self) -> AbstractEventLoop:
        """Return the loop that the awaiting Task runs in."""
        if not hasattr(self, "_loop"):
            self._loop: AbstractEventLoop = sys.modules["asyncio"].get_running_loop()
            self._callbacks: list[tuple[Callable[[Waiter], object], Context | None]] = []
            self._message: Any = None
            self._reclaimed = False
        return self._loop

    def add_done_callback(
        self, callback: Callable[[Waiter], object], *, context: Context | None = None
    ) -> None:
        """Have `callback` called by the loop once there is an outcome."""
        self.get_loop()
        self._callbacks.append((callback, context))
        if self.outcome is not PENDING:
            self.wake(self.outcome)
        elif len(self._callbacks) == 1:
            self.deferred.watch(self.wake)

    def wake(self, outcome: Any) -> None:
        """Take the Deferred's outcome, and have the loop make the calls."""
        self.outcome = outcome
        callbacks, self._callbacks = self._callbacks, []
        loop = self._loop
        if loop.is_closed():  # it runs nothing any more: its Tasks are lost with it
            return
        for callback, context in callbacks:
            loop.call_soon(callback, self, context=context)

    def remove_done_callback(self, callback: Callable[[Waiter], object]) -> int:
        """Forget `callback`; return how often it was there."""
        kept = [entry for entry in self._callbacks if entry[0] != callback]
        removed = len(self._callbacks) - len(kept)
        self._callbacks[:] = kept
        return removed

    def cancel(self, msg: Any = None) -> bool:
        """Cancel the Deferred; False where an outcome other than a cancellation is there already.

        By False the Task knows that it has to raise CancelledError itself.
        """
        if self.outcome is not PENDING:
            self._reclaim()
            return False
        self._message = msg
        self.deferred.cancel()
        if self.outcome is PENDING or self.cancelled():
            return True
        self._reclaim()
        return False

    def _reclaim(self) -> None:
        """Tell the Deferred, once, that the value it gave will not be seen."""
        if not self._reclaimed and not isinstance(self.outcome, Failure):
            self._reclaimed = True
            self.deferred.undelivered(self.outcome)

    def done(self) -> bool:
        """True once there is an outcome."""
        return self.outcome is not PENDING

    def cancelled(self) -> bool:
        """True if the outcome is a cancellation."""
        outcome = self.outcome
        return isinstance(outcome, Failure) and isinstance(outcome.exception, CancelledError)

    def exception(self) -> BaseException | None:
        """Return the exception of a failure, None of a value; raise a cancellation."""
        if self.cancelled():
            self.result()
        outcome = self.outcome
        if outcome is PENDING:
            raise NotFiredError("the Deferred has no outcome yet")
        return outcome.exception if isinstance(outcome, Failure) else None

    def result(self) -> Any:
        """Return the value or raise the failure's exception; a cancellation with the canceller's message."""
        outcome = self.outcome
        if outcome is PENDING:
            raise NotFiredError("the Deferred has no outcome yet")
        if not isinstance(outcome, Failure):
            return outcome
        error = outcome.exception.with_traceback(outcome.traceback)
        if self._message is not None and isinstance(error, CancelledError):
            error = CancelledError(self._message)
            error.__context__ = outcome.exception
        del self, outcome
        try:
            raise error
        finally:
            del error
