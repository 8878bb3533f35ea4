"""The thread of a session in threaded mode: runs one piece of code at a time, and can be interrupted.

Used by the interpreter.  An interruption is an exception that CPython raises in the thread between two
bytecodes (PyThreadState_SetAsyncExc): a runaway `while True` ends, a call that waits inside C code ends only
when it comes back to Python.  The lock sees to it that it reaches the code it was meant for.
"""

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, NamedTuple

from sshkit.deferred import Deferred

if TYPE_CHECKING:
    from sshkit.interfaces import Threads


class Ended(NamedTuple):
    """How a piece of code ended."""

    value: Any
    error: BaseException | None


#: Jumps backwards in which an exception that was sent arrives; the first does.
ROUNDS = 100


def raise_in_thread(thread: int, error: type[BaseException]) -> None:
    """Have CPython raise `error` in the thread."""
    import ctypes

    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(error))


class SessionThread:
    """One thread, made at the first call.  A daemon: code that never ends keeps no program alive."""

    __slots__ = ("_jobs", "_lock", "_name", "_prepare", "_reactor", "_running", "_sent", "_thread")

    def __init__(self, name: str, reactor: "Threads", prepare: Callable[[], object]) -> None:
        """`prepare` is called first in the new thread."""
        self._name = name
        self._reactor = reactor
        self._prepare = prepare
        self._jobs: SimpleQueue[tuple[Callable[[], Any], Deferred[Ended]] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._running = False  # code of the user's runs, which may be interrupted
        self._sent = False  # an exception is on its way to that code
        self._thread: threading.Thread | None = None

    @property
    def ident(self) -> int | None:
        """The thread's number, once there is one."""
        return None if self._thread is None else self._thread.ident

    def call(self, function: Callable[[], Any]) -> Deferred[Ended]:
        """Run `function` in the thread; the Deferred fires in the reactor's with how it ended."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
            self._thread.start()
        ended: Deferred[Ended] = Deferred()
        self._jobs.put((function, ended))
        return ended

    def interrupt(self, error: type[BaseException] = KeyboardInterrupt) -> bool:
        """Raise `error` in the code that runs; False if none does."""
        with self._lock:
            thread = self.ident
            if thread is None or not self._running:
                return False
            self._sent = True
            raise_in_thread(thread, error)
            return True

    def close(self) -> None:
        """End the thread after what runs; whoever wants that stopped interrupts first."""
        self._jobs.put(None)

    def _work(self) -> None:
        self._prepare()
        while (job := self._jobs.get()) is not None:
            function, deferred = job
            ended = self._run(function)
            try:
                self._reactor.call_from_thread(deferred.callback, ended)
            except Exception:  # the reactor is closed: nobody is there to hear it
                return
            del job, function, deferred, ended

    def _run(self, function: Callable[[], Any]) -> Ended:
        value: Any = None
        error: BaseException | None = None
        late = True
        with self._lock:
            self._running = True
        try:
            try:
                value = function()
            except BaseException as raised:
                error = raised
            late = False
            self._quiet()
        except BaseException as interruption:  # it came between the code's end and `_quiet`
            if late:
                error = interruption
            self._quiet()
        return Ended(value, error)

    def _quiet(self) -> None:
        with self._lock:
            self._running = False
            sent, self._sent = self._sent, False
        if sent:
            # What was sent and has not come yet comes at the next jump backwards.  Taking it back by NULL
            # would leave CPython's signal set for ever, and a traced thread of 3.11 then never goes on.
            try:
                for _ in range(ROUNDS):
                    pass
            except BaseException:
                pass
