"""Threads and the reactor: what crosses between them.

Implemented by every reactor; the only methods of it that other threads may call are
`call_from_thread` and `blocking_call_from_thread`.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from .derive import interface

if TYPE_CHECKING:
    from sshkit.deferred import Deferred

_T = TypeVar("_T")

#: Seconds a blocking call waits unless told otherwise: no call hangs for ever by default.
BLOCKING_TIMEOUT = 60.0


class Threads(Protocol):
    """Work in other threads, and calls from them."""

    def defer_to_thread(self, function: Callable[..., _T], *args: Any, **kwargs: Any) -> "Deferred[_T]":
        """Run `function` in a thread of the reactor's pool, in a copy of the caller's context."""
        ...

    def call_from_thread(self, function: Callable[..., object], *args: Any) -> None:
        """Have the reactor call `function(*args)` soon.  Of any thread; does not wait."""
        ...

    def blocking_call_from_thread(
        self, function: Callable[..., Any], *args: Any, timeout: float | None = BLOCKING_TIMEOUT
    ) -> Any:
        """Have the reactor call `function(*args)`, and wait for its result, or that of its Deferred.

        Of any thread but the reactor's own.  After `timeout` seconds (None: never) the Deferred is cancelled
        and TimeoutError raised.
        """
        ...


IThreads = interface(Threads)
