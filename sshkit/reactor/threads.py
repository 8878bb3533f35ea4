"""Threads and the reactor: calls into it from outside, and the pool for what blocks.

Used by every reactor's `defer_to_thread` and `blocking_call_from_thread`; loaded on first use.  The pool
itself is in `thread_pool`.
"""

import threading
from _thread import get_ident
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from sshkit.deferred import Deferred, Failure, maybe_deferred
from sshkit.interfaces.threads import BLOCKING_TIMEOUT

from .current import running_asyncio_loop, running_reactors
from .errors import ReactorClosed, ReactorError
from .thread_pool import (
    PoolStatistics,
    ThreadPool,
    ThreadPoolClosed,
    ThreadPoolFull,
    ThreadsStillRun,
    ThreadTimeout,
    working,
)

if TYPE_CHECKING:
    from .core import ReactorCore

__all__ = [
    "PoolStatistics",
    "ThreadPool",
    "ThreadPoolClosed",
    "ThreadPoolFull",
    "ThreadTimeout",
    "ThreadsStillRun",
    "blocking_call",
    "from_thread",
]


def from_thread(function: Callable[..., Any], *args: Any, timeout: float | None = BLOCKING_TIMEOUT) -> Any:
    """Have the reactor that gave this thread its work call `function(*args)`, and wait for its outcome.

    Called in functions that run by `defer_to_thread`; elsewhere, and in a reactor's own thread, it is a
    ReactorError.  The function may be a coroutine function or return a Deferred; after `timeout` seconds it
    is cancelled and TimeoutError raised.
    """
    if get_ident() in running_reactors or running_asyncio_loop() is not None:
        raise ReactorError("from_thread in a reactor's own thread would wait for itself; await instead")
    reactor = getattr(working, "reactor", None)
    if reactor is None:
        raise ReactorError(
            "this thread was given its work by no reactor: call reactor.blocking_call_from_thread(...)"
        )
    return blocking_call(reactor, partial(function, *args), timeout)


def blocking_call(reactor: "ReactorCore", function: Callable[[], Any], timeout: float | None) -> Any:
    """Run `function` in the reactor's thread and wait here for its result."""
    if reactor.in_own_thread():
        raise ReactorError("a blocking call in the reactor's own thread would wait for itself; await instead")
    done = threading.Event()
    outcome: list[Any] = []
    waiting: list[Deferred[Any]] = []

    def finish(result: Any) -> None:
        if not outcome:
            outcome.append(result)
            reactor.blocked_threads.discard(give_up)
            done.set()

    def give_up(error: BaseException) -> None:
        finish(Failure(error))

    def start() -> None:
        if not outcome:
            deferred = maybe_deferred(function)
            waiting.append(deferred)
            deferred.add_both(finish)

    def cancel() -> None:
        for deferred in waiting:
            deferred.cancel()

    reactor.blocked_threads.add(give_up)  # first: a reactor that closes after this answers all it finds here
    try:
        reactor.call_from_thread(start)
        answered = done.wait(timeout)
    finally:
        reactor.blocked_threads.discard(give_up)
    if not answered:
        give_up(TimeoutError())
        try:
            reactor.call_from_thread(cancel)
        except ReactorClosed:
            pass
        raise TimeoutError(f"the reactor gave no answer within {timeout:g} seconds")
    result = outcome[0]
    if isinstance(result, Failure):
        result.raise_exception()
    return result
