"""`deadline` and `concurrency`: how long a session may last, and how many may at once."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sshkit.deferred import CancelledError
from sshkit.server.middleware.chain import Middleware, call, check_by, clock_of, refuse, say, who
from sshkit.server.middleware.tap import Watcher, tap

if TYPE_CHECKING:
    from sshkit.deferred import Deferred
    from sshkit.interfaces import Clock, DelayedCall
    from sshkit.server.handler import Handler, Session

TIMED_OUT = 124  #: the status of a session that took too long, as timeout(1) has it


class Deadline(Watcher):
    """The two clocks of one session."""

    __slots__ = ("_idle", "_idle_call", "_total_call", "reason", "running")

    def __init__(self, clock: "Clock", total: float | None, idle: float | None) -> None:
        self.running: Deferred[Any] | None = None
        self.reason = ""
        self._idle = idle
        self._idle_call: DelayedCall | None = None
        self._total_call: DelayedCall | None = None
        if total is not None:
            self._total_call = clock.call_later(total, self._over, f"it may last {total:g} seconds")
        if idle is not None:
            self._idle_call = clock.call_later(idle, self._over, f"nothing moved for {idle:g} seconds")

    def input_passed(self, data: memoryview) -> None:
        self._moved()

    def output_passed(self, data: "bytes | bytearray | memoryview", extended: bool) -> None:
        self._moved()

    def stop(self) -> None:
        """Stop both."""
        for timer in (self._idle_call, self._total_call):
            if timer is not None:
                timer.cancel()

    def _moved(self) -> None:
        if self._idle_call is not None and self._idle is not None:
            self._idle_call.reset(self._idle)

    def _over(self, reason: str) -> None:
        self.reason = reason
        self.stop()
        if self.running is not None:
            self.running.cancel()


def deadline(
    total: float | None = None,
    idle: float | None = None,
    *,
    message: str = "the session is over: {reason}",
    status: int = TIMED_OUT,
) -> Middleware:
    """End a session after `total` seconds, or when for `idle` seconds nothing went either way.

    The handler is cancelled; the client gets `message` and `status`.
    """
    for seconds in (total, idle):
        if seconds is not None and seconds <= 0:
            raise ValueError("a deadline is over 0 seconds")

    def middleware(handler: "Handler") -> "Handler":
        async def timed(session: "Session") -> int | None:
            watch = Deadline(clock_of(session), total, idle)
            try:
                if idle is not None:
                    tap(session, watch)
                watch.running = call(handler, session)
                result = await watch.running
            except CancelledError:
                if not watch.reason:
                    raise
                say(session, message.replace("{reason}", watch.reason))
                return status
            finally:
                watch.stop()
            return status if watch.reason else result

        return timed

    return middleware


def concurrency(
    limit: int,
    *,
    by: "str | Callable[[Session], str]" = "user",
    message: str = "too many sessions are open",
) -> Middleware:
    """Let at most `limit` sessions run at once for each of `by`: "user", "key", "address" or a function."""
    if limit < 1:
        raise ValueError("limit must be at least 1")
    check_by(by)
    running: dict[str, int] = {}

    def middleware(handler: "Handler") -> "Handler":
        async def counted(session: "Session") -> int | None:
            name = who(session, by)
            if running.get(name, 0) >= limit:
                return refuse(session, message, f"{limit} sessions are open")
            running[name] = running.get(name, 0) + 1
            try:
                return await call(handler, session)
            finally:
                running[name] -= 1
                if not running[name]:
                    del running[name]

        return counted

    return middleware
