"""The deadline of one Deferred, on a clock that is handed in.

Called by `Deferred.add_timeout` only.  The clock is the reactor's, or a test's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sshkit.deferred.failure import Failure

if TYPE_CHECKING:
    from collections.abc import Callable

    from sshkit.deferred.deferred import Deferred
    from sshkit.interfaces import Clock, DelayedCall


class Timeout:
    """One deadline: cancels its Deferred when it passes, and says so in place of what the cancelling left."""

    __slots__ = ("call", "deferred", "expired", "on_timeout", "seconds", "what")

    def __init__(
        self,
        deferred: Deferred[Any],
        seconds: float,
        clock: Clock,
        on_timeout: Callable[[Failure, float], Any] | None,
        what: str,
    ) -> None:
        self.expired = False
        self.seconds = seconds
        self.on_timeout = on_timeout
        self.what = what
        self.deferred: Deferred[Any] | None = deferred
        self.call: DelayedCall | None = clock.call_later(seconds, self.expire)

    def expire(self) -> None:
        """The deadline has passed."""
        deferred = self.deferred
        if deferred is not None:
            self.expired = True
            deferred.cancel()

    def passed(self, outcome: Any) -> Any:
        """See the outcome pass: stop the clock; after the deadline a failure becomes the time-out's."""
        self.deferred = None
        call, self.call = self.call, None
        if not self.expired:
            if call is not None and call.active:
                call.cancel()
            return outcome
        if not isinstance(outcome, Failure):
            return outcome
        if self.on_timeout is not None:
            return self.on_timeout(outcome, self.seconds)
        raise TimeoutError(f"{self.what} did not end within {self.seconds:g} s") from outcome.exception


def add_timeout(
    deferred: Deferred[Any],
    seconds: float,
    clock: Clock,
    on_timeout: Callable[[Failure, float], Any] | None,
    what: str,
) -> Deferred[Any]:
    """Give `deferred` a deadline."""
    timeout = Timeout(deferred, seconds, clock, on_timeout, what)
    return deferred.add_both(timeout.passed)
