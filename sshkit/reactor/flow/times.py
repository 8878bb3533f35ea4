"""Limits of time: how long a connection may be silent, and how long it may last.

Data in either direction counts as life.  The timer is not moved at each event: it looks, when it fires, when
the last one was.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sshkit_keys.errors import SSHKitError

from sshkit.interfaces.transport import Writable

from .wrapper import Wrapper, Wrapping, clock_of

if TYPE_CHECKING:
    from sshkit.interfaces import Clock, Transport


class IdleTimeout(SSHKitError, TimeoutError):
    """Nothing was received or written for too long: `connection_lost` is told."""


class TotalTimeout(SSHKitError, TimeoutError):
    """The connection has lasted too long: `connection_lost` is told."""


class TimeLimits(Wrapping):
    """End connections that are silent for `idle` seconds, or last `total` seconds; None: no limit."""

    __slots__ = ("clock", "idle", "total")

    def __init__(
        self,
        factory: Callable[[], Any],
        *,
        idle: float | None = None,
        total: float | None = None,
        clock: "Clock | None" = None,
    ) -> None:
        super().__init__(factory)
        for seconds in (idle, total):
            if seconds is not None and not seconds > 0:
                raise ValueError(f"a limit of {seconds} seconds would end each connection at once")
        self.idle = idle
        self.total = total
        self.clock = clock

    def __call__(self) -> "Timed":
        """Make the protocol of one connection."""
        return Timed(self.factory(), clock_of(self.clock), self.idle, self.total)


class Timed(Wrapper):
    """One connection with an end."""

    __slots__ = ("_calls", "_clock", "_error", "_idle", "_last", "_total")

    def __init__(self, protocol: Any, clock: "Clock", idle: float | None, total: float | None) -> None:
        super().__init__(protocol)
        self._clock = clock
        self._idle = idle
        self._total = total
        self._last = 0.0
        self._error: BaseException | None = None
        self._calls: list[Any] = [None, None]

    def connection_made(self, transport: "Transport") -> None:
        """Start the clocks."""
        self._last = self._clock.seconds()
        if self._idle is not None:
            self._calls[0] = self._clock.call_later(self._idle, self._look)
        if self._total is not None:
            self._calls[1] = self._clock.call_later(self._total, self._too_long)
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Note the time."""
        self._last = self._clock.seconds()
        super().data_received(data)

    def write(self, data: Writable) -> None:
        """Note the time."""
        self._last = self._clock.seconds()
        self.transport.write(data)

    def _look(self) -> None:
        assert self._idle is not None
        left = self._last + self._idle - self._clock.seconds()
        if left > 0:
            self._calls[0] = self._clock.call_later(left, self._look)
        else:
            self._end(IdleTimeout(f"the connection was silent for {self._idle:g} seconds"))

    def _too_long(self) -> None:
        self._end(TotalTimeout(f"the connection has lasted {self._total:g} seconds"))

    def _end(self, error: BaseException) -> None:
        self._error = error
        self.transport.abort()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Stop the clocks; the limit that ended the connection is the error."""
        for call in self._calls:
            if call is not None:
                call.cancel()
        super().connection_lost(self._error or exc)
