"""What a session was shown that has no outcome yet: Deferreds, futures, coroutines nobody awaited.

Kept by the interpreter.  Each gets a number, and its outcome is shown when it comes; a session that closes
forgets them all.
"""

from collections.abc import Callable, Coroutine
from itertools import count
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakSet

from sshkit.deferred import Deferred, Failure
from sshkit.deferred.coroutines import is_future

from .display import guarded_repr, render

if TYPE_CHECKING:
    from .interpreter import Interpreter

#: How many one session may wait for; of more, only what they are is shown.
MOST_PENDING: Final = 1000


class Pending:
    """The numbered values of one session."""

    __slots__ = ("_interpreter", "_numbers", "_seen", "_waiting")

    def __init__(self, interpreter: "Interpreter") -> None:
        self._interpreter: Interpreter | None = interpreter
        self._numbers = count(1)
        self._waiting = 0
        self._seen: WeakSet[Any] = WeakSet()

    def note(self, value: Any) -> str | None:
        """Return how to show a value that comes later, and wait for it; None for any other."""
        if isinstance(value, Deferred):
            if value.called and not self._unfinished(value):
                return None
            return self._wait("Deferred", value, self._watch_deferred)
        if is_future(type(value)) or is_future(value):
            return None if value.done() else self._wait(type(value).__name__, value, self._watch_future)
        if isinstance(value, Coroutine):
            return f"{guarded_repr(value)}\n[a coroutine that nobody has awaited: `await _` runs it]"
        return None

    @staticmethod
    def _unfinished(deferred: Deferred[Any]) -> bool:
        return "waits for" in repr(deferred)

    def _wait(self, kind: str, value: Any, watch: Callable[[str, Any], None]) -> str:
        if self._waiting >= MOST_PENDING:
            return f"{guarded_repr(value)}\n[not watched: {MOST_PENDING} others are]"
        name = f"{kind} #{next(self._numbers)}"
        self._waiting += 1
        watch(name, value)
        return f"{name}: {guarded_repr(value)}"

    def _watch_deferred(self, name: str, deferred: Deferred[Any]) -> None:
        def fired(outcome: Any) -> Any:
            if isinstance(outcome, Failure):
                self._tell(name, outcome.exception, failed=True)
            else:
                self._tell(name, outcome, failed=False)
            return outcome

        deferred.add_both(fired)

    def _watch_future(self, name: str, future: Any) -> None:
        def done(future: Any) -> None:
            if future.cancelled():
                self._tell(name, "cancelled", failed=True)
            elif (error := future.exception()) is not None:
                self._tell(name, error, failed=True)
            else:
                self._tell(name, future.result(), failed=False)

        future.add_done_callback(done)

    def _tell(self, name: str, value: Any, *, failed: bool) -> None:
        self._waiting -= 1
        session = self._interpreter
        if session is None:
            return
        if not failed:
            text = render(value, session.limits, width=session.width, colours=session.colours).text
        elif isinstance(value, BaseException):
            from .tracebacks import one_line

            text = one_line(value)
        else:
            text = str(value)
        session.say(f"{name} {'failed' if failed else '->'} {text}")

    def close(self) -> None:
        """Forget them."""
        self._interpreter = None
