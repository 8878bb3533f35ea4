"""ObscureKeystrokeTiming: keys leave at fixed times, and others that mean nothing beside them (ssh_config).

Called by the session with what is typed on a terminal.  The first key leaves at once.  From then on
something of a key's size leaves at every tick: what was typed since, or a ping where the server answers
those (ping@openssh.com).  A while after the last key, which is not always as long, it stops.  What is too
much to be typed, text that was pasted, leaves at once and ends it as well.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sshkit.interfaces import Clock, DelayedCall

MOST_TYPED: Final = 255  #: bytes at a time that somebody may have typed
LEAST_CHAFF: Final = 1.024  #: seconds after the last key
MORE_CHAFF: Final = 2.048  #: seconds at most on top of that
JITTER: Final = 0.1  #: part of an interval by which a tick may be early or late
CHAFF: Final = b"PING!"  #: with its header as long as one key in its packet


class KeystrokeTiming:
    """One session's keys."""

    __slots__ = ("_chaff", "_clock", "_due", "_interval", "_random", "_send", "_tick", "_until", "_waiting")

    def __init__(
        self,
        clock: "Clock",
        interval: float,
        send: Callable[[bytes], object],
        chaff: Callable[[], object],
        random_bytes: Callable[[int], bytes],
    ) -> None:
        """`interval` is in seconds; `send` takes keys, `chaff` sends something like one."""
        self._clock = clock
        self._interval = interval
        self._send = send
        self._chaff = chaff
        self._random = random_bytes
        self._waiting = bytearray()
        self._tick: DelayedCall | None = None
        self._due = 0.0
        self._until = 0.0

    @property
    def active(self) -> bool:
        """Keys wait for their time."""
        return self._tick is not None

    def typed(self, data: bytes | memoryview) -> None:
        """Send keys when it is time."""
        if len(self._waiting) + len(data) > MOST_TYPED:
            self.stop()
            self._send(bytes(data))
            return
        now = self._clock.seconds()
        self._until = now + LEAST_CHAFF + MORE_CHAFF * self._fraction()
        if self._tick is not None:
            self._waiting += data
            return
        self._send(bytes(data))
        self._due = now
        self._next(self._interval * self._fraction())

    def stop(self) -> None:
        """Send what waits, and no more by the clock."""
        if self._tick is not None:
            self._tick.cancel()
            self._tick = None
        waiting, self._waiting = self._waiting, bytearray()
        if waiting:
            self._send(bytes(waiting))

    def _next(self, seconds: float) -> None:
        # From one time to the next, so that a late tick does not make the following ones late.
        now = self._clock.seconds()
        self._due = max(self._due + seconds, now)
        self._tick = self._clock.call_later(self._due - now, self._ticked)

    def _ticked(self) -> None:
        self._tick = None
        if self._waiting:
            waiting, self._waiting = self._waiting, bytearray()
            self._send(bytes(waiting))
        elif self._clock.seconds() >= self._until:
            return
        else:
            self._chaff()
        self._next(self._interval * (1 + JITTER * (2 * self._fraction() - 1)))

    def _fraction(self) -> float:
        """Return a number from 0 to 1 that nobody can foretell."""
        return int.from_bytes(self._random(4), "big") / (1 << 32)
