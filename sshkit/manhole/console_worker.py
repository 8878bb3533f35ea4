"""Questions about a namespace that must not hold the echo of a key: in a thread, with a deadline.

Called by console_completion and console_hints.  One question at a time for each worker: a completer that
never answers costs its session one thread, and its further questions get no answer until it has.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from asyncio import Future

_T = TypeVar("_T")

DEADLINE = 2.0  #: seconds; an answer that comes later is of no use to who types


class Worker:
    """Asks in a thread."""

    __slots__ = ("__weakref__", "busy")

    def __init__(self) -> None:
        self.busy = False

    async def ask(self, function: Callable[[], _T], deadline: float = DEADLINE) -> _T | None:
        """Return what `function` returns; None if it raises, is too slow or another still runs."""
        import asyncio
        import threading

        if self.busy:
            return None
        self.busy = True
        loop = asyncio.get_running_loop()
        future: Future[Any] = loop.create_future()

        def answered(value: Any) -> None:
            self.busy = False
            if not future.done():
                future.set_result(value)

        def work() -> None:
            value: Any
            try:
                value = function()
            except Exception:
                value = None  # a completer's own error must not disturb who types
            try:
                loop.call_soon_threadsafe(answered, value)
            except RuntimeError:
                pass  # the loop has closed in the meantime

        timer = loop.call_later(deadline, _expire, future)
        try:
            threading.Thread(target=work, name="manhole completion", daemon=True).start()
            value: _T | None = await future
            return value
        finally:
            timer.cancel()


def _expire(future: "Future[Any]") -> None:
    if not future.done():
        future.set_result(None)
