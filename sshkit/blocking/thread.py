"""The thread that runs the reactor for everybody who blocks."""

import os
import threading
from collections.abc import Callable
from typing import Any, TypeVar, cast

from sshkit.deferred import Deferred
from sshkit.interfaces import Reactor
from sshkit.reactor import ReactorClosed, new_reactor

T = TypeVar("T")
START_TIMEOUT = 10.0  #: seconds for the thread to come up, and for what does not wait for the peer
PATIENCE = 10.0  #: seconds beyond a deadline until the reactor's thread itself is taken to be stuck


class ReactorThread:
    """A reactor in a daemon thread: it never keeps the interpreter from ending."""

    def __init__(self, engine: str = "native") -> None:
        self._reactor = new_reactor(engine)
        self.reactor = cast("Reactor", self._reactor)
        up = threading.Event()
        self.reactor.call_soon(up.set)
        self._thread = threading.Thread(target=self._run, name="sshkit-reactor", daemon=True)
        self._thread.start()
        if not up.wait(START_TIMEOUT):
            raise TimeoutError(f"the reactor thread did not start within {START_TIMEOUT:g} seconds")

    def _run(self) -> None:
        try:
            self._reactor.run()
        finally:
            self._reactor.close()  # whoever waits in `call` is told

    @property
    def is_alive(self) -> bool:
        """The thread runs; after a fork it does not, in the child."""
        return self._thread.is_alive()

    def call(self, function: Callable[..., Deferred[T]], *args: Any, timeout: float | None) -> T:
        """Call `function(*args)` in the reactor's thread and wait for its Deferred.

        After `timeout` seconds the Deferred is cancelled and TimeoutError raised; None waits for ever, for
        calls that have a deadline of their own.  The deadline is kept over there, so that nothing that came
        in time gets lost between two threads.
        """
        reactor = self.reactor

        def start() -> Deferred[T]:
            deferred = function(*args)
            return deferred if timeout is None else deferred.add_timeout(timeout, reactor)

        self._check()
        patience = None if timeout is None else timeout + PATIENCE
        return cast("T", reactor.blocking_call_from_thread(start, timeout=patience))

    def do(self, function: Callable[..., None], *args: Any) -> None:
        """Call `function(*args)` in the reactor's thread; it does not wait for anything there."""
        self._check()
        self.reactor.blocking_call_from_thread(function, *args, timeout=START_TIMEOUT)

    def stop(self) -> None:
        """Stop the reactor and wait for the thread; every connection on it ends."""
        if self.is_alive:
            self.reactor.call_from_thread(self.reactor.stop)
            self._thread.join(START_TIMEOUT)

    def _check(self) -> None:
        if not self.is_alive:
            raise ReactorClosed(
                "the reactor's thread does not run: it was stopped, or is of the parent process"
            )


_lock = threading.Lock()
_shared: ReactorThread | None = None


def shared() -> ReactorThread:
    """Return the thread that all share, started when first wanted and again after a fork."""
    global _shared
    with _lock:
        if _shared is None or not _shared.is_alive:
            _shared = ReactorThread()
        return _shared


def _forked() -> None:
    """In a child process: forget what only the parent has, also a lock that another thread held."""
    global _lock
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_forked)
