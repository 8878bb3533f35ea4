"""ConnectionPool: Deferreds over any DB-API 2.0 driver (PEP 249).

Called by programs.  All of its state is changed in the reactor's thread; threads with a connection each
(`worker`) are added while there is work for them, and end when they had none for a while.
"""

import os
from collections import deque
from collections.abc import Callable
from functools import partial
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from sshkit.deferred import CancelledError, Deferred
from sshkit.reactor.current import current

from .errors import DatabaseError, DatabaseTimeout, PoolClosed
from .transaction import MARK, Transaction, repeatable
from .work import Work

if TYPE_CHECKING:
    from .worker import Worker

_T = TypeVar("_T")
_P = ParamSpec("_P")

#: Seconds after which a thread without work closes its connection and ends.
IDLE_SECONDS = 60.0

#: Seconds between two requests to stop: one that comes just before the statement begins has no effect.
ASK_AGAIN = 0.05

#: What a forked child must not close: connections that are its parent's.
_inherited: list[Any] = []


@repeatable
def _query(transaction: Transaction, sql: Any, parameters: Any) -> list[Any]:
    return transaction.execute(sql, parameters).fetchall()


@repeatable
def _operation(transaction: Transaction, sql: Any, parameters: Any) -> int:
    return transaction.execute(sql, parameters).rowcount


class ConnectionPool:
    """Up to `size` connections, each in a thread of its own.

    `timeout` bounds each call, waiting for a connection included.  `retries` says how often work is done
    again whose connection was lost: single statements, and functions marked `repeatable`; never after its
    commit began, and never where each statement commits by itself.
    """

    def __init__(
        self,
        module_name_or_connect: "str | ModuleType | Callable[..., Any]" = "sqlite3",
        *args: Any,
        size: int = 5,
        reactor: Any = None,
        retries: int = 1,
        timeout: float = 60.0,
        **kwargs: Any,
    ) -> None:
        """All other arguments are the driver's `connect`'s; for one of our names, hand in a function."""
        if size < 1 or retries < 0 or not timeout > 0:
            raise DatabaseError(
                f"size {size}, retries {retries}, timeout {timeout}: wanted are 1, 0 and above 0 s or more"
            )
        driver: Any = module_name_or_connect
        if isinstance(driver, str):
            from importlib import import_module

            driver = import_module(driver)
        if isinstance(driver, ModuleType):
            self.name = driver.__name__
            self.connect: Callable[..., Any] = driver.connect
        else:
            self.name = getattr(driver, "__qualname__", repr(driver))
            self.connect = driver
        self.arguments = args
        self.keywords = kwargs
        self.size = size
        self.retries = retries
        self.timeout = timeout
        self.idle_seconds: float | None = IDLE_SECONDS  #: None: threads do not end before the pool closes
        self.closed = False
        self._given_reactor = reactor
        self._start()

    def _start(self) -> None:
        self._pid = os.getpid()
        self._reactor: Any = self._given_reactor
        self._workers: set[Worker] = set()
        self._idle: list[Worker] = []  # the one used last comes last, and is used next
        self._waiting: deque[Work] = deque()
        self._closers: list[Deferred[None]] = []

    # -- what programs call -----------------------------------------------------------------------

    @property
    def threads(self) -> int:
        """How many threads there are now."""
        return len(self._workers)

    def run_query(self, sql: Any, parameters: Any = ()) -> "Deferred[list[tuple[Any, ...]]]":
        """Run one statement; fires with its rows."""
        return self._submit(Work(_query, (sql, parameters), sql, False))

    def run_operation(self, sql: Any, parameters: Any = ()) -> Deferred[int]:
        """Run one statement for its effect; fires with the number of rows changed (-1: not known)."""
        return self._submit(Work(_operation, (sql, parameters), sql, False))

    def run_interaction(
        self, function: Callable[Concatenate[Transaction, _P], _T], *args: _P.args, **kwargs: _P.kwargs
    ) -> Deferred[_T]:
        """Call `function(transaction, *args)` in a thread; commit when it returns, roll back if it raises."""
        return self._submit(Work(_bind(function, kwargs), args, None, False))

    def run_with_connection(
        self, function: Callable[Concatenate[Any, _P], _T], *args: _P.args, **kwargs: _P.kwargs
    ) -> Deferred[_T]:
        """Call `function(connection, *args)` with the driver's connection; commit or roll back likewise."""
        return self._submit(Work(_bind(function, kwargs), args, None, True))

    def close(self) -> Deferred[None]:
        """Give up all work; fires when the threads have ended, or fails where one has not in `timeout` s."""
        reactor = self._here()
        self.closed = True
        waiting = list(self._waiting)
        working = [worker.work for worker in self._workers if worker.work is not None]
        for worker in self._workers:
            worker.end()
        self._idle.clear()
        for work in [*waiting, *working]:
            if not work.unwanted:
                self._give_up(work, PoolClosed, "the pool was closed")
        done: Deferred[None] = Deferred(lambda _: None)
        if not self._workers:
            done.callback(None)
            return done
        self._closers.append(done)
        return done.add_timeout(self.timeout, reactor, self._close_late)

    def _close_late(self, _failure: Any, seconds: float) -> None:
        works = ", ".join(worker.work.what for worker in self._workers if worker.work is not None)
        raise DatabaseTimeout(
            f"{len(self._workers)} threads have not ended within {seconds:g} s; still at: {works or 'end'}"
        )

    async def __aenter__(self) -> "ConnectionPool":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    # -- in the reactor's thread ------------------------------------------------------------------

    def _here(self) -> Any:
        """Return the reactor; in a forked child begin anew: threads and connections are the parent's."""
        if self._pid != os.getpid():
            _inherited.extend((worker, worker.connection) for worker in self._workers)
            self._start()
        if self._reactor is None:
            self._reactor = current()
        return self._reactor

    def _submit(self, work: Work) -> Deferred[Any]:
        reactor = self._here()
        if self.closed:
            raise PoolClosed(f"{work.what}: the pool is closed")
        work.deferred = Deferred(lambda _: self._give_up(work, CancelledError, "cancelled"))
        work.deadline = reactor.call_later(self.timeout, self._late, work, self.timeout)
        self._waiting.append(work)
        self._feed()
        return work.deferred

    def _feed(self) -> None:
        from .worker import Worker

        while self._waiting and not self.closed:
            if self._idle:
                worker = self._idle.pop()
            elif len(self._workers) < self.size:
                worker = Worker(self, self._reactor)
                self._workers.add(worker)
            else:
                return
            worker.give(self._waiting.popleft())

    def _late(self, work: Work, seconds: float) -> None:
        self._give_up(work, DatabaseTimeout, f"not done within {seconds:g} s")

    def _give_up(self, work: Work, error: type[BaseException], why: str) -> None:
        """Fail the caller's Deferred now, with what becomes of the work; stop it where that can be done."""
        if work.deadline is not None:
            work.deadline.cancel()
        try:
            self._waiting.remove(work)
        except ValueError:
            fate = self._stop(work)
        else:
            fate = "it had not begun"
            work.give_up()
        work.deferred.errback(error(f"{work.what}: {why}; {fate}"))

    def _stop(self, work: Work) -> str:
        (worker,) = (worker for worker in self._workers if worker.work is work)
        if work.give_up():
            return "its commit had begun and cannot be stopped: whether it took effect is not known"
        if worker.connection is None:
            return "it waits for its connection, which cannot be stopped, and will not begin"
        if worker.stopper()[0] is None:
            return (
                f"{self.name} cannot stop a statement: it goes on in its thread, which is not free until it "
                "has ended; what is not committed by then is rolled back"
            )
        self._ask(worker, work)
        return (
            "its statement was asked to stop, a function is stopped at its next one; "
            "what is not committed is rolled back"
        )

    def _ask(self, worker: "Worker", work: Work) -> None:
        """Ask the driver to stop the present statement, until the work has ended."""
        if worker.work is not work or self._reactor.closed:
            return
        stop, slow = worker.stopper()
        if stop is not None and not worker.stopping:
            if slow:  # it speaks with the server, on a connection of its own
                worker.stopping += 1
                self._reactor.defer_to_thread(stop).add_both(partial(self._asked, worker))
            else:
                try:
                    stop()
                except Exception:  # the connection was closed just now, which ends the statement as well
                    pass
        work.asked = self._reactor.call_later(ASK_AGAIN, self._ask, worker, work)

    def _asked(self, worker: "Worker", _outcome: Any) -> None:
        worker.stopping -= 1
        self._free(worker)

    def done(self, worker: "Worker", work: Work, failed: bool, result: Any) -> None:
        """A thread has done its work."""
        for call in (work.deadline, work.asked):
            if call is not None:
                call.cancel()
        worker.work = None
        self._free(worker)
        if not work.unwanted:
            (work.deferred.errback if failed else work.deferred.callback)(result)

    def _free(self, worker: "Worker") -> None:
        if worker.work is None and not worker.stopping and not self.closed:
            self._idle.append(worker)
            self._feed()

    def idled(self, worker: "Worker") -> None:
        """A thread had no work for `idle_seconds`: it may end, unless it was given some just now."""
        if worker in self._idle:
            self._idle.remove(worker)
            worker.end()

    def ended(self, worker: "Worker") -> None:
        """A thread has closed its connection, and ends."""
        self._workers.discard(worker)
        self._feed()
        if not self._workers:
            closers, self._closers = self._closers, []
            for done in closers:
                if not done.called:
                    done.callback(None)


def _bind(function: Callable[..., Any], keywords: dict[str, Any]) -> Callable[..., Any]:
    if not keywords:
        return function
    bound = partial(function, **keywords)
    setattr(bound, MARK, getattr(function, MARK, False))
    bound.__qualname__ = getattr(function, "__qualname__", repr(function))  # type: ignore[attr-defined]
    return bound
