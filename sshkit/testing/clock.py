"""A clock that stands still until a test moves it."""

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

from sshkit.interfaces import IClock, IDelayedCall, implementer


@implementer(IDelayedCall)
class MemoryCall:
    """A call that a MemoryClock will make."""

    __slots__ = ("_args", "_callback", "_clock", "active", "when")

    def __init__(self, clock: "MemoryClock", when: float, callback: Callable[..., object], args: Any) -> None:
        self._clock = clock
        self._callback = callback
        self._args = args
        self.when = when
        self.active = True

    def cancel(self) -> None:
        """Do not make the call."""
        self.active = False

    def reset(self, seconds: float) -> None:
        """Make the call `seconds` from now instead."""
        if self.active:
            self.when = self._clock.seconds() + max(seconds, 0.0)
            self._clock.add(self)

    def make(self) -> None:
        """Make the call; the clock's business."""
        self.active = False
        self._callback(*self._args)


@implementer(IClock)
class MemoryClock:
    """Time that passes in `advance` only; calls for "soon" are made by `turn`."""

    __slots__ = ("_calls", "_now", "_number", "_soon")

    def __init__(self) -> None:
        self._now = 0.0
        self._number = 0
        self._calls: list[tuple[float, int, MemoryCall]] = []
        self._soon: list[Callable[[], object]] = []

    def seconds(self) -> float:
        """Return the time of this clock."""
        return self._now

    def call_later(self, seconds: float, callback: Callable[..., object], *args: Any) -> MemoryCall:
        """Make the call when the clock has been advanced that far."""
        call = MemoryCall(self, self._now + max(seconds, 0.0), callback, args)
        self.add(call)
        return call

    def call_soon(self, callback: Callable[[], object]) -> None:
        """Make the call in the next `turn`."""
        self._soon.append(callback)

    def turn(self) -> bool:
        """Make the calls that wait for the end of the turn; tell whether there were any."""
        soon, self._soon = self._soon, []
        for callback in soon:
            callback()
        return bool(soon)

    def advance(self, seconds: float) -> None:
        """Let time pass and make every call that falls due, in order."""
        end = self._now + seconds
        self.turn()
        while self._calls and self._calls[0][0] <= end:
            when, _, call = heappop(self._calls)
            if call.active and call.when == when:
                self._now = when
                call.make()
                self.turn()
        self._now = end

    def next_due(self) -> float | None:
        """Return when the next call falls due, or None."""
        while self._calls and not (self._calls[0][2].active and self._calls[0][2].when == self._calls[0][0]):
            heappop(self._calls)
        return self._calls[0][0] if self._calls else None

    def add(self, call: MemoryCall) -> None:
        """Queue a call; the business of calls that were reset."""
        self._number += 1
        heappush(self._calls, (call.when, self._number, call))
