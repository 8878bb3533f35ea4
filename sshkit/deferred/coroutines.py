"""Our own driver of coroutines: each is a Deferred that fires with what the coroutine returns.

Called by the reactor's `run`, by the combinators and by whoever writes `async def`.  A coroutine runs at
once to its first wait, and goes on within the call that fires what it waits for: no turn of the reactor
is lost.  It may wait for our Deferreds, for asyncio's futures and tasks, and yield its turn
(`asyncio.sleep(0)`).  Where an asyncio loop runs, it is asyncio's current task while it steps (task.py).

Nothing here imports asyncio: a program that has it, has it in `sys.modules`.
"""

from __future__ import annotations

import contextvars
import functools
import sys
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from sshkit.deferred.cancelled import CancelledError
from sshkit.deferred.deferred import CALLED, EXITS, PATIENT, WATCH, Deferred, run
from sshkit.deferred.errors import NoSchedulerError
from sshkit.deferred.failure import Failure
from sshkit.deferred.waiter import Waiter

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future

    from sshkit.deferred.task import CurrentTask

T = TypeVar("T")
P = ParamSpec("P")

#: Whoever gives a coroutine another turn: `call_soon(callback)`.
CallSoon = Callable[[Callable[[], object]], object]

_scheduler: contextvars.ContextVar[CallSoon | None] = contextvars.ContextVar("scheduler", default=None)


def set_scheduler(call_soon: CallSoon | None) -> contextvars.Token[CallSoon | None]:
    """Let coroutines that yield their turn go on by `call_soon`, in the present context and its copies.

    A reactor without asyncio sets it when it begins to run.  One in each thread: contexts are not shared.
    """
    return _scheduler.set(call_soon)


_get_running_loop: Callable[[], AbstractEventLoop | None] | None = None


def running_loop() -> AbstractEventLoop | None:
    """Return the asyncio loop that runs in this thread, if any; never imports asyncio."""
    global _get_running_loop
    if _get_running_loop is None:
        # Not there before asyncio.events has been run to its end, where it becomes the C function.
        _get_running_loop = getattr(sys.modules.get("asyncio"), "_get_running_loop", None)
        if _get_running_loop is None:
            return None
    return _get_running_loop()


def is_future(thing: object) -> bool:
    """True for asyncio's futures and tasks and what stands for them."""
    return getattr(type(thing), "_asyncio_future_blocking", None) is not None


class CoroutineDeferred(Deferred[T]):
    """A coroutine and the Deferred of its result, in one object.

    `cancel` raises CancelledError inside the coroutine, where it waits; the Deferred fires when the
    coroutine has ended, which may take some more waiting in its `finally`.
    """

    __slots__ = ("_call_soon", "_context", "_coroutine", "_message", "_must_cancel", "_task", "_wait")

    def __init__(self, coroutine: Coroutine[Any, Any, T], call_soon: CallSoon | None = None) -> None:
        super().__init__()
        self._state |= PATIENT
        self._coroutine = coroutine
        self._context = contextvars.copy_context()
        self._call_soon = call_soon
        self._wait: Any = None  # a Waiter, an asyncio future, or None
        self._must_cancel = False
        self._message: Any = None
        self._task: CurrentTask | None = None

    # Going on

    def go_on(self, future: object = None) -> None:
        """Run the coroutine to its next wait, from a loop that gives it its turn."""
        try:
            if self._step() is not None:
                run(self)
        finally:
            del self  # a traceback in a Failure holds this frame; the same wherever it is done below

    def woken(self, outcome: Any) -> Deferred[Any] | None:
        """Run the coroutine to its next wait: the Deferred that it waits for has fired."""
        self._wait.outcome = outcome
        if isinstance(outcome, Failure) and isinstance(outcome.exception, CancelledError):
            # The wait raises it by itself; only the message of whoever cancelled would be missing.
            self._must_cancel = self._message is not None
        elif not self._must_cancel:
            self._message = None
        elif not isinstance(outcome, Failure):
            self._wait.deferred.undelivered(outcome)
        try:
            return self._step()
        finally:
            del self, outcome

    def _step(self) -> Deferred[Any] | None:
        """Run the coroutine to its next wait; return self if it has ended and there is something to run."""
        self._wait = None
        error: BaseException | None = None
        if self._must_cancel:
            error = self._cancellation()
        while True:
            loop = running_loop()
            try:
                if loop is not None:
                    yielded = self._step_as_task(loop, error)
                elif error is None:
                    yielded = self._context.run(self._coroutine.send, None)
                else:
                    yielded = self._context.run(self._coroutine.throw, error)
            except StopIteration as stop:
                return self._end(stop.value)
            except BaseException as raised:
                error = None
                try:
                    return self._fail(raised)
                finally:
                    del self
            if yielded.__class__ is Waiter:
                # Not fired, or it would not have been yielded: the entry needs no run.
                self._wait = yielded
                awaited = yielded.deferred
                if awaited._callbacks is None:
                    awaited._callbacks = [(self.woken, None, WATCH)]
                else:
                    awaited._callbacks.append((self.woken, None, WATCH))
                error = None
            else:
                error = self._wait_for(yielded)
            if error is None:
                if self._must_cancel:
                    self._cancel_wait()
                return None

    def _cancellation(self) -> CancelledError:
        message, self._message = self._message, None
        self._must_cancel = False
        return CancelledError() if message is None else CancelledError(message)

    def _step_as_task(self, loop: AbstractEventLoop, error: BaseException | None) -> Any:
        """Run the coroutine to its next wait, as the current task of asyncio's running loop."""
        task = self._task
        if task is None:
            from sshkit.deferred.task import CurrentTask

            task = self._task = CurrentTask(self, loop)
        tasks = sys.modules["asyncio.tasks"]
        before = tasks.current_task(loop)
        if before is not None:
            tasks._leave_task(loop, before)
        tasks._enter_task(loop, task)
        try:
            if error is None:
                return self._context.run(self._coroutine.send, None)
            return self._context.run(self._coroutine.throw, error)
        finally:
            tasks._leave_task(loop, task)
            if before is not None:
                tasks._enter_task(loop, before)
            del self, task, error

    def _wait_for(self, yielded: Any) -> BaseException | None:
        """Wait for what is no Deferred; where that is impossible return the error for the coroutine."""
        if yielded is None:
            call_soon = self._find_scheduler()
            if call_soon is None:
                return NoSchedulerError(
                    "a coroutine yielded its turn, but no reactor runs to give it another"
                )
            call_soon(self.go_on)
        elif getattr(yielded, "_asyncio_future_blocking", None):
            yielded._asyncio_future_blocking = False
            self._wait = yielded
            yielded.add_done_callback(self.go_on)
        else:
            return TypeError(f"a coroutine waits for {yielded!r:.100}: no Deferred and no asyncio future")
        return None

    def _find_scheduler(self) -> CallSoon | None:
        if self._call_soon is not None:
            return self._call_soon
        loop = running_loop()
        if loop is not None:
            return loop.call_soon
        return _scheduler.get() or self._context.get(_scheduler)

    def _end(self, outcome: Any) -> Deferred[Any] | None:
        task = self._task
        if task is not None:
            self._task = None
            task.ended(outcome)
        if self._state & CALLED:  # fired by hand: that outcome stands, and this one has nowhere to go
            return None
        if isinstance(outcome, Deferred):
            outcome = Failure(TypeError("a coroutine returned a Deferred: await it and return its value"))
        return self.resolve(outcome)

    def _fail(self, raised: BaseException) -> Deferred[Any] | None:
        try:
            settled = self._end(Failure(raised))
            if not isinstance(raised, EXITS):
                return settled
            if settled is not None:
                run(settled)
            raise raised
        finally:
            del self, raised

    # Giving up

    def _cancel_work(self) -> None:
        self.request_cancel(None)
        self._cancel_wait()

    def request_cancel(self, message: Any) -> None:
        """Have the next step raise CancelledError in the coroutine."""
        self._must_cancel = True
        self._message = message

    def deliver_cancel(self) -> None:
        """Carry out a `request_cancel`, from the loop."""
        if self._must_cancel and not self._state & CALLED:
            self._cancel_wait()

    def _cancel_wait(self) -> None:
        """Cancel what the coroutine waits for.  With no such thing it runs, or has its turn coming."""
        wait = self._wait
        if wait is None:
            return
        if wait.__class__ is not Waiter:
            if wait.cancel(self._message):
                self._must_cancel = False
            return
        wait.deferred.cancel()
        if self._wait is wait:  # it takes its time: its own outcome counts
            self._must_cancel = False


def ensure_deferred(
    awaitable: Coroutine[Any, Any, T] | Deferred[T] | Future[T], *, call_soon: CallSoon | None = None
) -> Deferred[T]:
    """Run a coroutine to its first wait and return the Deferred of its result.

    A Deferred is returned as it is, an asyncio future as a Deferred of its result.  `call_soon` gives the
    coroutine another turn after a bare yield; else the running asyncio loop does, or `set_scheduler`'s.
    """
    if isinstance(awaitable, Deferred):
        return awaitable
    if isinstance(awaitable, Coroutine):
        return _begin(CoroutineDeferred(awaitable, call_soon))
    if is_future(awaitable):
        return from_future(awaitable)
    raise TypeError(f"neither a coroutine nor a Deferred: {awaitable!r:.100}")


def as_deferred(function: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Deferred[T]]:
    """Make a function written `async def` one that returns a Deferred and has begun its work."""

    @functools.wraps(function)
    def start(*args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        return _begin(CoroutineDeferred(function(*args, **kwargs)))

    return start


def _begin(deferred: CoroutineDeferred[T]) -> Deferred[T]:
    try:
        deferred.go_on()
        return deferred
    finally:
        del deferred


def from_future(future: Future[T]) -> Deferred[T]:
    """Return a Deferred of an asyncio future's result; cancelling it cancels the future."""

    def done(future: Future[T]) -> None:
        if future.cancelled():
            deferred.errback(CancelledError())
        elif (error := future.exception()) is not None:
            deferred.errback(error)
        else:
            deferred.callback(future.result())

    deferred: Deferred[T] = Deferred(lambda _: future.cancel())
    deferred._state |= PATIENT
    future.add_done_callback(done)
    return deferred
