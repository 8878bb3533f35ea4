"""A pool of threads for what blocks: Deferreds of calls; threads come with the work and go with it.

Every reactor has one (`defer_to_thread`), and a program makes its own for work that shall not wait behind the
rest.  A thread cannot be stopped: cancelling and deadlines take what has not begun off the queue, and else
only the result is dropped; the error's text says which.  Not concurrent.futures: its import costs a command
more than this whole file runs.
"""

import contextvars
import os
import threading
from _thread import allocate_lock
from collections import deque
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, ParamSpec, Self, TypeVar

from sshkit.deferred import CancelledError, Deferred, fail

from .current import current
from .errors import ReactorClosed, ReactorError

if TYPE_CHECKING:
    from sshkit.interfaces import DelayedCall

    from .core import ReactorCore

_T = TypeVar("_T")
_P = ParamSpec("_P")

#: Threads of one pool: name look-ups and slow files wait more than they work.
MAX_THREADS = min(32, (os.cpu_count() or 1) + 8)

#: Seconds after which a thread without work ends.
IDLE_SECONDS = 10.0

#: Calls that may wait for a thread: far more means that nothing is done any more.
MAX_QUEUED = 65_536

#: Seconds that `wait_closed` gives to what still runs.
CLOSE_TIMEOUT = 30.0

#: The reactor whose work this thread does.
working = threading.local()


class ThreadPoolFull(ReactorError):
    """As many calls wait for a thread as may."""


class ThreadPoolClosed(ReactorClosed):
    """The pool was closed before the call, or before it began."""


class ThreadTimeout(ReactorError, TimeoutError):
    """The deadline of a call passed; the text says what becomes of it."""


class ThreadsStillRun(ReactorError, TimeoutError):
    """Threads of a closed pool have not ended in time; the text names their calls."""


class PoolStatistics(NamedTuple):
    """A pool at one moment, and since it was made."""

    threads: int
    busy: int
    queued: int
    largest: int  #: threads at one time
    done: int  #: calls that ended
    dropped: int  #: calls that were taken off the queue


class Job:
    """One call and its Deferred; `thread` is the name of the one that runs it, None before."""

    __slots__ = ("context", "deadline", "deferred", "function", "given_up", "pool", "reactor", "thread")

    def __init__(self, pool: "ThreadPool", reactor: "ReactorCore", function: Callable[[], Any]) -> None:
        self.pool = pool
        self.reactor = reactor
        self.function = function
        self.context = contextvars.copy_context()
        self.deferred: Deferred[Any] = Deferred(lambda _: self.give_up(CancelledError, "cancelled"))
        self.deadline: DelayedCall | None = None
        self.thread: str | None = None
        self.given_up = False

    @property
    def what(self) -> str:
        """The function's name, for a message."""
        function: Any = self.function
        while isinstance(function, partial):
            function = function.func
        return str(getattr(function, "__qualname__", type(function).__name__))

    def run(self) -> None:
        """Make the call; in the thread."""
        working.reactor = self.reactor
        failed = False
        result: Any
        try:
            result = self.context.run(self.function)
            if isinstance(result, Deferred):
                raise TypeError(f"{self.what} ran in a thread and must return a plain value, not a Deferred")
        except BaseException as error:
            failed, result = True, error
        try:
            self.reactor.call_from_thread(self.ended, failed, result)
        except (ReactorClosed, RuntimeError):  # nobody is there to hear it
            pass
        finally:
            del result

    def ended(self, failed: bool, result: Any) -> None:
        """Give the outcome to whoever still wants it; in the reactor's thread."""
        if self.given_up:
            if failed:
                import logging

                text = "%s failed in a thread after it had been given up: %s"
                logging.getLogger("sshkit.reactor").info(text, self.what, result, exc_info=result)
            return
        if self.deadline is not None:
            self.deadline.cancel()
        (self.deferred.errback if failed else self.deferred.callback)(result)

    def give_up(self, kind: type[BaseException], why: str) -> None:
        """Fail the Deferred now, with what becomes of the call."""
        fate = "it had not begun"
        if not self.pool.drop(self):
            fate = f"it runs in {self.thread} and cannot be stopped: what comes of it is dropped"
        self.given_up = True
        if self.deadline is not None:
            self.deadline.cancel()
        self.deferred.errback(kind(f"{self.what}: {why}; {fate}"))


class Worker:
    """One thread: the job that it has, or is given while it waits for `wake`."""

    __slots__ = ("job", "name", "wake")

    def __init__(self, name: str, job: Job) -> None:
        self.name = name
        self.job: Job | None = job
        self.wake = allocate_lock()
        self.wake.acquire()


class ThreadPool:
    """Up to `maximum` threads, made while all others are busy; each ends after `idle_seconds` without work.

    They are daemons: a look-up that hangs keeps no program.  `timeout` bounds each call of `defer_to_thread`,
    waiting included; None: nothing does.  In a forked child the pool begins anew, without the parent's calls.
    """

    __slots__ = (
        "_closed",
        "_ended",
        "_idle",
        "_lock",
        "_made",
        "_pid",
        "_queue",
        "_workers",
        "done",
        "dropped",
        "idle_seconds",
        "largest",
        "maximum",
        "name",
        "queue_limit",
        "timeout",
    )

    def __init__(
        self,
        maximum: int | None = None,
        *,
        name: str = "sshkit-worker",
        idle_seconds: float | None = None,
        queue_limit: int | None = None,
        timeout: float | None = None,
    ) -> None:
        """Threads are named `name`-1, `name`-2 and so on."""
        self.maximum = MAX_THREADS if maximum is None else maximum
        self.queue_limit = MAX_QUEUED if queue_limit is None else queue_limit
        self.idle_seconds = IDLE_SECONDS if idle_seconds is None else idle_seconds
        if self.maximum < 1 or self.queue_limit < 0 or not self.idle_seconds >= 0:
            raise ReactorError(
                f"a thread pool of {self.maximum} threads, {self.queue_limit} waiting calls and "
                f"{self.idle_seconds} idle seconds: wanted are 1, 0 and 0 or more"
            )
        self.name = name
        self.timeout = timeout
        self._closed = False
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._workers: set[Worker] = set()
        self._idle: list[Worker] = []  # the one used last comes last, and is used next
        self._queue: deque[Job] = deque()
        self._ended: list[Callable[[], object]] = []
        self._made = self.largest = self.done = self.dropped = 0

    def _here(self) -> None:
        """In a forked child begin anew: the threads, and perhaps the lock, are the parent's."""
        if self._pid != os.getpid():
            self._begin()

    # -- what programs call -----------------------------------------------------------------------

    def defer_to_thread(
        self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs
    ) -> Deferred[_T]:
        """Call the function in a thread, in a copy of the present context; fires with what it returns.

        Fails with ThreadPoolFull, ThreadTimeout, or what the function raised; ThreadPoolClosed is raised.
        """
        return self.defer(current(), partial(function, *args, **kwargs), self.timeout)

    def defer(
        self, reactor: "ReactorCore", function: Callable[[], Any], timeout: float | None = None
    ) -> Deferred[Any]:
        """Call `function` in a thread, for `reactor`, in whose thread this is called."""
        self._here()
        job = Job(self, reactor, function)
        try:
            self._submit(job)
        except ThreadPoolFull as error:
            return fail(error)
        if timeout is not None:
            job.deadline = reactor.call_later(
                timeout, job.give_up, ThreadTimeout, f"not done within {timeout:g} s"
            )
        return job.deferred

    def statistics(self) -> PoolStatistics:
        """Return how many threads there are, and what they did."""
        self._here()
        with self._lock:
            threads, queued = len(self._workers), len(self._queue)
            return PoolStatistics(
                threads, threads - len(self._idle), queued, self.largest, self.done, self.dropped
            )

    def close(self) -> None:
        """Take no more calls; threads end when they have done what is queued.  Does not wait."""
        self._here()
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
            for worker in idle:
                worker.wake.release()
            self._tell()

    def wait_closed(self, timeout: float = CLOSE_TIMEOUT) -> Deferred[None]:
        """Fire when all threads of a closed pool have ended.

        After `timeout` seconds what is still queued is dropped, and this fails with ThreadsStillRun.
        """
        self._here()
        reactor = current()
        done: Deferred[None] = Deferred(lambda _: None)

        def ended() -> None:
            if not done.called:
                deadline.cancel()
                done.callback(None)

        deadline = reactor.call_later(timeout, self._late, done, timeout)
        with self._lock:
            if self._workers or not self._closed:
                self._ended.append(partial(reactor.call_from_thread, ended))
                return done
        ended()
        return done

    def _late(self, done: Deferred[None], seconds: float) -> None:
        if done.called:
            return
        with self._lock:
            running = sorted(f"{worker.job.what} in {worker.name}" for worker in self._workers if worker.job)
            queued = list(self._queue)
        for job in queued:
            job.give_up(ThreadPoolClosed, "the thread pool was closed")
        more = f"; {len(queued)} calls had not begun" if queued else ""
        names = ", ".join(running) or "threads that are about to end"
        done.errback(ThreadsStillRun(f"not ended within {seconds:g} s: {names}{more}"))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        await self.wait_closed()

    # -- the queue --------------------------------------------------------------------------------

    def _submit(self, job: Job) -> None:
        with self._lock:
            if self._closed:
                raise ThreadPoolClosed("the thread pool is closed")
            if self._idle:
                worker = self._idle.pop()
                worker.job = job
                job.thread = worker.name
                worker.wake.release()
            elif len(self._workers) >= self.maximum or not self._start(job):
                if len(self._queue) >= self.queue_limit:
                    raise ThreadPoolFull(
                        f"{job.what}: {len(self._queue)} calls wait for {len(self._workers)} threads already"
                    )
                self._queue.append(job)

    def _start(self, job: Job) -> bool:
        """Make one more thread; say whether the system allowed it, or raise where there is none at all."""
        self._made += 1
        worker = Worker(f"{self.name}-{self._made}", job)
        job.thread = worker.name
        try:
            threading.Thread(target=self._work, args=(worker,), name=worker.name, daemon=True).start()
        except RuntimeError as error:
            job.thread = None
            if not self._workers:
                raise ReactorError(f"{job.what}: no thread can be started: {error}") from error
            return False
        self._workers.add(worker)
        self.largest = max(self.largest, len(self._workers))
        return True

    def drop(self, job: Job) -> bool:
        """Take a job off the queue; say whether it was there."""
        with self._lock:
            try:
                self._queue.remove(job)
            except ValueError:
                return False
            self.dropped += 1
            return True

    # -- in the threads ---------------------------------------------------------------------------

    def _work(self, worker: Worker) -> None:
        while worker.job is not None:
            worker.job.run()
            self._next(worker)

    def _next(self, worker: Worker) -> None:
        """Give the thread its next job, however long that takes; or none, and then it ends."""
        worker.job = None
        with self._lock:
            self.done += 1
            if self._queue:
                job = worker.job = self._queue.popleft()
                job.thread = worker.name
                return
            if self._closed:
                self._leave(worker)
                return
            self._idle.append(worker)
        if not worker.wake.acquire(timeout=self.idle_seconds):
            with self._lock:
                if worker in self._idle:
                    self._idle.remove(worker)
                    self._leave(worker)
                    return
            worker.wake.acquire()  # a job is coming just now, or the end
        if worker.job is None:
            with self._lock:
                self._leave(worker)

    def _leave(self, worker: Worker) -> None:
        self._workers.discard(worker)
        self._tell()

    def _tell(self) -> None:
        """Once the last thread of a closed pool has ended, tell those who wait for it."""
        if self._closed and not self._workers:
            calls, self._ended = self._ended, []
            for call in calls:
                try:
                    call()
                except (ReactorClosed, RuntimeError):  # nobody waits any more
                    pass
