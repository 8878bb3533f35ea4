"""The life of a reactor that owns its loop: start, run, stop, run again.

Base of the native and the direct engine.  A run is: startup triggers, the main awaitable if there is
one, shutdown triggers, end.  Ctrl-C cancels the main awaitable first, and only a second one interrupts.
"""

from _thread import get_ident
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from sshkit.deferred import Deferred, Failure, ensure_deferred, gather, set_scheduler

from .current import running_asyncio_loop, running_reactors
from .errors import ReactorClosed, ReactorError
from .pollers import Poller
from .serving import ServingReactor

_T = TypeVar("_T")

#: Seconds that shutdown waits for the Deferreds of "before" triggers.
SHUTDOWN_TIMEOUT = 30.0


class LivingReactor(ServingReactor):
    """A reactor with `run`."""

    def __init__(self, poller: Poller | None = None) -> None:
        super().__init__(poller)
        self._thread: int | None = None
        self._stopping = False
        self._interrupted = False
        self._main: Deferred[Any] | None = None

    def _loop(self) -> None:
        """Turn until `_end_loop`."""
        raise NotImplementedError

    def _end_loop(self) -> None:
        """Make `_loop` return after this turn."""
        raise NotImplementedError

    @property
    def running(self) -> bool:
        """Whether the reactor runs, in whatever thread."""
        return self._thread is not None

    def in_own_thread(self) -> bool:
        """Whether the caller is in the thread in which this reactor runs."""
        return self._thread == get_ident()

    def run(self) -> None:
        """Run until `stop`."""
        self._run(None)

    def run_until(self, awaitable: Awaitable[_T]) -> _T:
        """Run until the coroutine or Deferred has its result; return it or raise its error."""
        outcome: list[Any] = []
        started: list[Deferred[Any]] = []

        def start() -> None:
            begin: Deferred[None] = Deferred()
            main = self._main = as_deferred_result(awaitable, begin)
            started.append(main)
            main.add_both(finish)
            begin.callback(None)

        def finish(result: Any) -> None:
            outcome.append(result)
            self._main = None
            if self._thread is not None:
                self.stop()

        try:
            self._run(start)
        finally:
            if not started:
                close_unstarted(awaitable)
        if not outcome:
            raise ReactorError("the reactor was stopped before the awaitable had its result")
        result = outcome[0]
        if isinstance(result, Failure):
            result.raise_exception()
        return result  # type: ignore[no-any-return]

    def _run(self, start: Callable[[], object] | None) -> None:
        if self.closed:
            raise ReactorClosed(f"the {self.name} reactor is closed; make a new one")
        if self._thread is not None:
            raise ReactorError("the reactor runs already; await, or use call_from_thread")
        thread = get_ident()
        outer = running_reactors.get(thread)
        if outer is not None and not outer.of_parent:
            raise ReactorError("another reactor runs in this thread; await, or run in a thread of its own")
        if running_asyncio_loop() is not None:
            raise ReactorError("an asyncio loop runs in this thread; await, or run in a thread of its own")
        self._thread = thread
        running_reactors[thread] = self
        self._stopping = self._interrupted = False
        restore_interrupt = self._catch_interrupt()
        scheduler = set_scheduler(self.call_soon)
        self.soon.appendleft(lambda: self._start(start))
        try:
            try:
                self._loop()
            except BaseException:
                self._leave()
                raise
        finally:
            scheduler.var.reset(scheduler)
            restore_interrupt()
            self._thread = self._main = None
            running_reactors.pop(thread, None)  # a child process may have forgotten it
        if self._interrupted:
            raise KeyboardInterrupt

    def _leave(self) -> None:
        """Stop in order after an exception that the loop does not catch: an exit, or a second Ctrl-C."""
        if not self._stopping:
            self._cancel_main()
        self.call_later(SHUTDOWN_TIMEOUT, self._end_loop)
        self._loop()

    def _start(self, start: Callable[[], object] | None) -> None:
        def go_on(_: object = None) -> None:
            if self._stopping:
                return
            for phase in ("during", "after"):
                self._triggers.fire(phase, "startup")
            if start is not None:
                start()

        self._after(self._triggers.fire("before", "startup"), go_on)

    def stop(self) -> None:
        """Fire the shutdown triggers, wait for them, then end `run`."""
        if self._thread is None:
            raise ReactorError("the reactor does not run")
        if not self._stopping:
            self._stopping = True
            self.call_soon(self._shut_down)

    def _shut_down(self) -> None:
        if not self._stopping:  # of a run that an exception ended
            return

        def go_on(_: object = None) -> None:
            for phase in ("during", "after"):
                self._triggers.fire(phase, "shutdown")
            self._end_loop()

        self._after(self._triggers.fire("before", "shutdown"), go_on)

    def _after(self, waits: list[Deferred[Any]], go_on: Callable[[object], None]) -> None:
        """Call `go_on` when all `waits` have fired, or time is up."""
        if not waits:
            go_on(None)
            return
        everything = gather(*waits, return_exceptions=True)
        everything.add_timeout(SHUTDOWN_TIMEOUT, self)
        everything.add_errback(lambda failure: self.report("waiting for a trigger failed", failure.exception))
        everything.add_callback(go_on)

    def _catch_interrupt(self) -> Callable[[], None]:
        """Make the first Ctrl-C an event of the loop; return what puts the old handler back."""
        import threading

        if threading.current_thread() is not threading.main_thread():
            return _nothing
        import signal

        if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
            return _nothing

        def on_interrupt(number: int, frame: object) -> None:
            if self._interrupted:
                raise KeyboardInterrupt
            self._interrupted = True
            self.soon.append(self._cancel_main)
            self.wake()

        signal.signal(signal.SIGINT, on_interrupt)

        def restore() -> None:
            if signal.getsignal(signal.SIGINT) is on_interrupt:
                signal.signal(signal.SIGINT, signal.default_int_handler)

        return restore

    def _cancel_main(self) -> None:
        if self._main is not None:
            self._main.cancel()
        else:
            self.stop()


def as_deferred_result(awaitable: Awaitable[_T], begin: Deferred[None]) -> Deferred[_T]:
    """Return the Deferred of whatever can be awaited; a coroutine begins when `begin` fires."""
    if isinstance(awaitable, Deferred):
        return awaitable

    async def wait() -> _T:
        await begin
        return await awaitable

    return ensure_deferred(wait())


def close_unstarted(awaitable: Awaitable[Any]) -> None:
    """Close a coroutine that will never begin, so that there is no warning about it."""
    close = getattr(awaitable, "close", None)
    if close is not None:
        close()


def _nothing() -> None:
    """No handler was installed."""
