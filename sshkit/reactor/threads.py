"""Threads: a small pool for what blocks, and calls into the reactor from outside.

Used by every reactor's `defer_to_thread` and `blocking_call_from_thread`; loaded on first use.  Not
concurrent.futures: its import costs a command more than this whole file runs.
"""

import contextvars
import threading
from collections.abc import Callable
from os import cpu_count
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from sshkit.deferred import Deferred, Failure, maybe_deferred

from .errors import ReactorClosed, ReactorError

if TYPE_CHECKING:
    from .core import ReactorCore

#: Threads of one pool: name look-ups and slow files wait more than they work.
MAX_THREADS = min(32, (cpu_count() or 1) + 8)

#: Seconds after which a thread without work ends.
IDLE_SECONDS = 10.0

Job = Callable[[], None]


class ThreadPool:
    """Threads made when there is work for them.  They are daemons: a look-up that hangs keeps no program."""

    __slots__ = ("_closed", "_idle", "_lock", "_queue", "_threads", "_unclaimed")

    def __init__(self) -> None:
        self._queue: SimpleQueue[Job | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._threads = 0
        self._idle = 0  # threads that wait and have no job coming
        self._unclaimed = 0  # queued jobs for which no thread was free
        self._closed = False

    def defer(self, reactor: "ReactorCore", function: Callable[[], Any]) -> Deferred[Any]:
        """Run `function` in a thread, in a copy of the present context."""
        deferred: Deferred[Any] = Deferred(_forget_result)
        context = contextvars.copy_context()

        def job() -> None:
            try:
                result = context.run(function)
            except BaseException as error:
                answer: Callable[[Any], None] = deferred.errback
                result = error
            else:
                answer = deferred.callback
            try:
                reactor.call_from_thread(answer, result)
            except (ReactorClosed, RuntimeError):  # nobody is there to hear it
                pass

        self.submit(job)
        return deferred

    def submit(self, job: Job) -> None:
        """Queue a job; add a thread if none is idle."""
        with self._lock:
            if self._closed:
                raise ReactorClosed("the thread pool is closed")
            if self._idle:
                self._idle -= 1
            elif self._threads < MAX_THREADS:
                threading.Thread(target=self._work, name="sshkit-worker", daemon=True).start()
                self._threads += 1
            else:
                self._unclaimed += 1
            self._queue.put(job)

    def _work(self) -> None:
        while True:
            try:
                job = self._queue.get(timeout=IDLE_SECONDS)
            except Empty:
                with self._lock:
                    if self._idle:
                        self._idle -= 1
                        self._threads -= 1
                        return
                continue  # a job is coming just now
            if job is None:
                return
            job()
            del job
            with self._lock:
                if self._unclaimed:
                    self._unclaimed -= 1
                else:
                    self._idle += 1

    def close(self) -> None:
        """Let the threads end when their present job has; none is waited for."""
        with self._lock:
            self._closed = True
            for _ in range(self._threads):
                self._queue.put(None)


def _forget_result(deferred: Deferred[Any]) -> None:
    """A thread cannot be stopped; its late result is dropped."""


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
