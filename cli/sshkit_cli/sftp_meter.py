"""The progress line of sshkit-sftp and sshkit-scp: name, share, bytes, rate, time to go.

It is drawn once a second on the terminal of standard output, like scp's.
"""

import os
from typing import TYPE_CHECKING, Any

from .sftp_listing import terminal_width
from .sftp_remote import shown

if TYPE_CHECKING:
    from sshkit.interfaces import Clock

    from .log import Log

STALLED = 5.0  #: seconds without a byte
MAX_WIDTH = 512
RIGHT = 36  #: columns right of the name


class Meter:
    """One file's, or one tree's, progress."""

    def __init__(self, clock: "Clock", log: "Log", *, enabled: bool = True, possible: bool = True) -> None:
        """`possible`: there is a terminal to draw it on."""
        self._clock = clock
        self._log = log
        self.enabled = enabled
        self._possible = possible
        self._timer: Any = None
        self._name = ""
        self._total = 0
        self._done = 0
        self._began = self._changed = self._drawn_at = 0.0
        self._drawn = 0
        self._rate = 0.0

    @staticmethod
    def is_possible() -> bool:
        """Standard output is a terminal that we are in the foreground of."""
        try:
            return os.isatty(1) and os.tcgetpgrp(1) == os.getpgrp()
        except OSError:
            return os.isatty(1)

    def start(self, name: str | bytes, total: int = 0) -> None:
        """Begin a line."""
        if not (self.enabled and self._possible):
            return
        self.stop()
        self._name = shown(name)
        self._total = total
        self._done = self._drawn = 0
        self._rate = 0.0
        self._began = self._changed = self._drawn_at = self._clock.seconds()
        self._draw()
        self._timer = self._clock.call_later(1.0, self._tick)

    def name(self, name: str | bytes) -> None:
        """Show another name on the same line."""
        self._name = shown(name)

    def at(self, done: int, total: int | None = None) -> None:
        """Note how far it is."""
        if self._timer is None:
            return
        if done != self._done:
            self._changed = self._clock.seconds()
        self._done = done
        if total is not None:
            self._total = total

    def stop(self) -> None:
        """Draw the line for the last time."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
            self._draw(last=True)
            self._log.output("\n")

    def _tick(self) -> None:
        self._draw()
        self._timer = self._clock.call_later(1.0, self._tick)

    def _draw(self, *, last: bool = False) -> None:
        now = self._clock.seconds()
        elapsed = now - self._drawn_at
        if last:
            whole = max(now - self._began, 1e-6)
            self._rate = self._done / whole
        elif elapsed > 0:
            current = (self._done - self._drawn) / elapsed
            self._rate = current if not self._rate else 0.9 * self._rate + 0.1 * current
        self._drawn, self._drawn_at = self._done, now
        width = min(terminal_width(1), MAX_WIDTH)
        self._log.output("\r" + self.line(now, width, last=last))

    def line(self, now: float, width: int, *, last: bool = False) -> str:
        """Return the line for a terminal of so many columns."""
        room = width - RIGHT
        name = self._name[: max(room, 0)].ljust(max(room, 0))
        share = min(100 * self._done // self._total, 100) if self._total else 100
        text = f"{name}{share:4d}% {_amount(self._done)} {_amount(self._rate)}/s "
        if last:
            text += f"{_time(now - self._began)}    "
        elif now - self._changed >= STALLED:
            text += "- stalled -"
        elif self._rate <= 0 and self._done < self._total:
            text += "  --:-- ETA"
        else:
            left = max(self._total - self._done, 0) / self._rate if self._rate > 0 else 0.0
            text += f"{_time(left)} ETA"
        return text[: max(width - 1, 0)]


def _amount(number: float) -> str:
    """Return bytes in seven characters: ` 123KB`, `  1.5MB`."""
    unit = 0
    while number >= 1000 and unit < 5:
        number /= 1024
        unit += 1
    if not unit:
        return f"{int(number):6d}B"
    return f"{number:5.1f}{' KMGTP'[unit]}B"


def _time(seconds: float) -> str:
    whole = int(seconds)
    hours, rest = divmod(whole, 3600)
    if hours:
        return f"{hours}:{rest // 60:02d}:{rest % 60:02d}"
    return f"  {rest // 60:02d}:{rest % 60:02d}"
