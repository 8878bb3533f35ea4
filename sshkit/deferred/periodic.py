"""A call made again and again, and one made later, on a clock that is handed in.

Called by programs, with the reactor as the clock, and by tests with one that they move.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

from sshkit.deferred.deferred import Deferred
from sshkit.deferred.errors import DeferredError
from sshkit.deferred.failure import Failure
from sshkit.deferred.make import maybe_deferred, succeed

if TYPE_CHECKING:
    from sshkit.interfaces import Clock, DelayedCall

T = TypeVar("T")
P = ParamSpec("P")


@overload
def defer_later(
    clock: Clock, seconds: float, function: Callable[P, Deferred[T]], *args: P.args, **kwargs: P.kwargs
) -> Deferred[T]: ...
@overload
def defer_later(
    clock: Clock,
    seconds: float,
    function: Callable[P, Coroutine[Any, Any, T]],
    *args: P.args,
    **kwargs: P.kwargs,
) -> Deferred[T]: ...
@overload
def defer_later(
    clock: Clock, seconds: float, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
) -> Deferred[T]: ...
def defer_later(
    clock: Clock, seconds: float, function: Callable[..., Any], *args: Any, **kwargs: Any
) -> Deferred[Any]:
    """Call `function` in `seconds`; fires with what it, or the Deferred or coroutine that it returns, gives.

    Cancelling before the time makes no call.
    """
    waiting: Deferred[None] = Deferred(lambda _: call.cancel())
    call = clock.call_later(seconds, waiting.callback, None)
    return waiting.add_callback(lambda _: maybe_deferred(function, *args, **kwargs))


class LoopingCall:
    """Call `function` every `interval` seconds, at times that are exact multiples of it from the start.

    No call begins while the last one, if it returned a Deferred or coroutine, goes on: the times that passed
    meanwhile are counted in `missed`.  An interval of 0 calls again in the next turn.
    """

    __slots__ = (
        "_args",
        "_call",
        "_clock",
        "_ended",
        "_function",
        "_last",
        "_origin",
        "_work",
        "calls",
        "interval",
        "missed",
    )

    def __init__(self, clock: Clock, interval: float, function: Callable[..., Any], *args: Any) -> None:
        if not interval >= 0:
            raise ValueError(f"an interval of {interval} seconds")
        self._clock = clock
        self._function = function
        self._args = args
        self._call: DelayedCall | None = None
        self._ended: Deferred[None] | None = None
        self._work: Deferred[Any] | None = None
        self._origin = 0.0
        self._last = 0  # the multiple at which the last call was made
        self.interval = interval
        #: Calls made, and times at which none was.
        self.calls = 0
        self.missed = 0

    @property
    def running(self) -> bool:
        """Whether it is started and not stopped."""
        return self._ended is not None

    def start(self, *, now: bool = True) -> Deferred[None]:
        """Begin, at once or with `now` false after one interval.

        Fires when it is stopped; when a call fails, it stops and fails.  Cancelling stops it and the call
        that goes on.
        """
        if self._ended is not None:
            raise DeferredError("the looping call runs already")
        ended: Deferred[None] = Deferred(self._cancelled)
        self._ended = ended
        self._origin = self._clock.seconds()
        self._last = 0
        self.calls = self.missed = 0
        if now:
            self._fire(0)
        else:
            self._next()
        return ended

    def stop(self) -> None:
        """Make no more calls; one that goes on is left to end.  Harmless when it does not run."""
        ended, self._ended = self._ended, None
        if self._call is not None:
            self._call.cancel()
            self._call = None
        if ended is not None:
            ended.callback(None)

    def reset(self) -> None:
        """Begin to count from now: the next call is one interval away."""
        if self._ended is not None:
            self._origin = self._clock.seconds()
            self._last = 0
            if self._call is not None:
                self._call.cancel()
                self._next()

    def _cancelled(self, _: object) -> None:
        self._ended = None
        if self._call is not None:
            self._call.cancel()
            self._call = None
        if self._work is not None:
            self._work.cancel()

    def _fire(self, number: int) -> None:
        self._call = None
        self._last = number
        self.calls += 1
        ended = self._ended
        work = self._work = maybe_deferred(self._function, *self._args)
        work.add_both(lambda outcome: self._done(outcome, ended))

    def _done(self, outcome: Any, ended: Deferred[None] | None) -> None:
        self._work = None
        if ended is None or self._ended is not ended:  # stopped meanwhile
            return
        if isinstance(outcome, Failure):
            self._ended = None
            ended.errback(outcome)
        else:
            self._next()

    def _next(self) -> None:
        """Have the next call made at the first multiple that has not passed."""
        if not self.interval:
            self._call = self._clock.call_later(0.0, self._fire, 0)
            return
        now = self._clock.seconds() - self._origin
        number = max(self._last + 1, int(now / self.interval) + 1)
        if (number - 1) * self.interval >= now and number - 1 > self._last:
            number -= 1  # exactly at a multiple: that one is not missed
        self.missed += number - self._last - 1
        # By the multiple, not by adding up: so no error adds up either.
        self._call = self._clock.call_later(number * self.interval - now, self._fire, number)


class Ticks:
    """``async for missed in ticks(clock, interval)``: a turn at each multiple of the interval.

    Gives how many were missed because the body of the loop took longer.
    """

    __slots__ = ("_clock", "_interval", "_last", "_origin")

    def __init__(self, clock: Clock, interval: float) -> None:
        if not interval > 0:
            raise ValueError(f"an interval of {interval} seconds")
        self._clock = clock
        self._interval = interval
        self._origin = clock.seconds()
        self._last = 0

    def __aiter__(self) -> Ticks:
        return self

    def __anext__(self) -> Deferred[int]:
        now = self._clock.seconds() - self._origin
        number = max(self._last + 1, int(now / self._interval))
        missed = number - self._last - 1
        self._last = number
        wait = number * self._interval - now
        if wait <= 0:
            return succeed(missed)
        return defer_later(self._clock, wait, lambda: missed)


def ticks(clock: Clock, interval: float) -> Ticks:
    """Iterate in step with the clock, the first time after one interval."""
    return Ticks(clock, interval)
