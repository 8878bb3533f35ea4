"""The thread that runs the reactor for everybody who blocks."""

import threading
from collections.abc import Callable
from typing import Any, TypeVar, cast

from sshkit.deferred import Deferred
from sshkit.interfaces import Reactor
from sshkit.reactor import new_reactor

T = TypeVar("T")
START_TIMEOUT = 10.0  #: seconds for the thread to come up


class ReactorThread:
    """A reactor in a daemon thread: it never keeps the interpreter from ending."""

    def __init__(self) -> None:
        self.reactor = cast("Reactor", new_reactor("native"))
        up = threading.Event()
        self.reactor.call_soon(up.set)
        self._thread = threading.Thread(target=self.reactor.run, name="sshkit-reactor", daemon=True)
        self._thread.start()
        if not up.wait(START_TIMEOUT):
            raise TimeoutError(f"the reactor thread did not start within {START_TIMEOUT:g} seconds")

    @property
    def is_alive(self) -> bool:
        """The thread runs; after a fork it does not, in the child."""
        return self._thread.is_alive()

    def call(self, function: Callable[..., Deferred[T]], *args: Any, timeout: float | None) -> T:
        """Call `function(*args)` in the reactor's thread and wait for its Deferred.

        After `timeout` seconds the Deferred is cancelled and TimeoutError raised; None waits for ever, for
        calls that have a deadline of their own.
        """
        return cast("T", self.reactor.blocking_call_from_thread(function, *args, timeout=timeout))

    def do(self, function: Callable[..., None], *args: Any) -> None:
        """Call `function(*args)` in the reactor's thread; it does not wait for anything there."""
        self.reactor.blocking_call_from_thread(function, *args, timeout=START_TIMEOUT)

    def stop(self) -> None:
        """Stop the reactor and wait for the thread."""
        self.reactor.call_from_thread(self.reactor.stop)
        self._thread.join(START_TIMEOUT)


_lock = threading.Lock()
_shared: ReactorThread | None = None


def shared() -> ReactorThread:
    """Return the thread that all share, started when first wanted and again after a fork."""
    global _shared
    with _lock:
        if _shared is None or not _shared.is_alive:
            _shared = ReactorThread()
        return _shared
