"""Time, handed in: rooms without I/O take a Clock and never look at the time themselves.

Implemented by every reactor and by sshkit.testing's clock.
"""

from collections.abc import Callable
from typing import Any, Protocol

from .derive import interface


class DelayedCall(Protocol):
    """A call that a clock will make."""

    @property
    def active(self) -> bool:
        """Whether the call is still to come."""
        ...

    @property
    def when(self) -> float:
        """The clock's time, in seconds, at which it is due."""
        ...

    def cancel(self) -> None:
        """Do not make the call; harmless when it was made or cancelled before."""
        ...

    def reset(self, seconds: float) -> None:
        """Make the call `seconds` from now instead; cheap, so a time-out may be reset at each event.

        A call that is not active any more stays so.
        """
        ...


class Clock(Protocol):
    """A monotonic clock that makes calls."""

    def seconds(self) -> float:
        """Return monotonic seconds; only differences mean anything."""
        ...

    def call_later(self, seconds: float, callback: Callable[..., object], *args: Any) -> DelayedCall:
        """Call `callback(*args)` in `seconds` (not before; negative is 0).  Equal times keep their order."""
        ...

    def call_soon(self, callback: Callable[[], object], /) -> None:
        """Call `callback()` before the next wait for events, never inside this call.

        No arguments, no handle: an engine may bind this straight to a deque's append.  Of the reactor's own
        thread only; from others use `call_from_thread`.
        """
        ...


IDelayedCall = interface(DelayedCall)
IClock = interface(Clock)
