"""CurrentTask: what asyncio takes for the current task while our driver runs a coroutine.

Made by coroutines.py when a coroutine steps under a running asyncio loop, once a coroutine.  What cancels
(`asyncio.timeout`, TaskGroup, anyio) asks `asyncio.current_task()` for whom to cancel, and gets this.

A `cancel` from asyncio never runs the coroutine inside the call, as our own would: the caller is often code
that the coroutine is about to leave.  It notes the wish and has the loop carry it out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sshkit.deferred.cancelled import CancelledError
from sshkit.deferred.errors import NotFiredError
from sshkit.deferred.failure import Failure
from sshkit.deferred.waiter import PENDING

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable, Coroutine
    from contextvars import Context

    from sshkit.deferred.coroutines import CoroutineDeferred


class CurrentTask:
    """One coroutine, seen as an asyncio Task; lets go of it when it has ended."""

    __slots__ = (
        "__weakref__",
        "_callbacks",
        "_cancels",
        "_coroutine",
        "_driver",
        "_loop",
        "_name",
        "_outcome",
    )

    def __init__(self, driver: CoroutineDeferred[Any], loop: AbstractEventLoop) -> None:
        self._driver: CoroutineDeferred[Any] | None = driver
        self._coroutine = driver._coroutine
        self._loop = loop
        self._name = ""
        self._cancels = 0
        self._outcome: Any = PENDING
        self._callbacks: list[tuple[Callable[[CurrentTask], object], Context | None]] = []

    def ended(self, outcome: Any) -> None:
        """Take what the coroutine ended with, from the driver."""
        self._driver = None
        self._outcome = outcome
        callbacks, self._callbacks = self._callbacks, []
        for callback, context in callbacks:
            self._loop.call_soon(callback, self, context=context)

    # Cancelling

    def cancel(self, msg: Any = None) -> bool:
        """Have the loop raise CancelledError in the coroutine; False if it has ended."""
        driver = self._driver
        if driver is None:
            return False
        self._cancels += 1
        driver.request_cancel(msg)
        self._loop.call_soon(driver.deliver_cancel)
        return True

    def cancelling(self) -> int:
        """Return how many cancellations were asked for and not taken back."""
        return self._cancels

    def uncancel(self) -> int:
        """Take one cancellation back; return how many are left."""
        if self._cancels > 0:
            self._cancels -= 1
        return self._cancels

    # What else asyncio's Task can be asked

    @property
    def _must_cancel(self) -> bool:
        return self._driver is not None and self._driver._must_cancel

    @property
    def _fut_waiter(self) -> Any:
        return None if self._driver is None else self._driver._wait

    def get_loop(self) -> AbstractEventLoop:
        """Return the loop that the coroutine was first seen in."""
        return self._loop

    def get_coro(self) -> Coroutine[Any, Any, Any] | None:
        """Return the coroutine."""
        return self._coroutine

    def get_context(self) -> Context | None:
        """Return the coroutine's context."""
        return None if self._driver is None else self._driver._context

    def get_name(self) -> str:
        """Return its name: the coroutine's, if it was given none."""
        return self._name or getattr(self._coroutine, "__qualname__", "coroutine")

    def set_name(self, value: object) -> None:
        """Name it."""
        self._name = str(value)

    def done(self) -> bool:
        """True once the coroutine has ended."""
        return self._outcome is not PENDING

    def cancelled(self) -> bool:
        """True if it ended by a cancellation."""
        outcome = self._outcome
        return isinstance(outcome, Failure) and isinstance(outcome.exception, CancelledError)

    def result(self) -> Any:
        """Return what the coroutine returned, or raise what it raised."""
        outcome = self._outcome
        if outcome is PENDING:
            raise NotFiredError("the coroutine has not ended")
        if isinstance(outcome, Failure):
            outcome.raise_exception()
        return outcome

    def exception(self) -> BaseException | None:
        """Return what the coroutine raised, None if it returned; raise a cancellation."""
        outcome = self._outcome
        if outcome is PENDING or self.cancelled():
            self.result()
        return outcome.exception if isinstance(outcome, Failure) else None

    def add_done_callback(
        self, callback: Callable[[CurrentTask], object], *, context: Context | None = None
    ) -> None:
        """Have the loop call `callback` once the coroutine has ended."""
        if self._outcome is PENDING:
            self._callbacks.append((callback, context))
        else:
            self._loop.call_soon(callback, self, context=context)

    def remove_done_callback(self, callback: Callable[[CurrentTask], object]) -> int:
        """Forget `callback`; return how often it was there."""
        kept = [entry for entry in self._callbacks if entry[0] != callback]
        removed = len(self._callbacks) - len(kept)
        self._callbacks = kept
        return removed

    def __repr__(self) -> str:
        return f"<CurrentTask {self.get_name()!r}{' done' if self.done() else ''}>"
