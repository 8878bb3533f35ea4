"""How many may knock at once: limits on connections that are not logged in (R42).

`Startups` decides as sshd does; `DropLog` tells of it without letting a flood fill the log.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sshkit_keys.text import printable

from sshkit.server.source_blocks import block_of

if TYPE_CHECKING:
    from sshkit.interfaces import Clock

REMIND: Final = 300.0  #: seconds between two lines that say that the throttling goes on
PENALTY_BURST: Final = 8  #: connections of penalised sources that are logged one by one
PENALTY_REMIND: Final = 120.0  #: seconds between lines about those beyond
PAST_LIMIT: Final = "past MaxStartups"
#: What a client gets that is dropped, in place of an identification; as sshd says it.
NOT_ALLOWED: Final = b"Not allowed at this time\r\n"


class MaxStartups(NamedTuple):
    """From `start` connections on, refuse `rate` percent of new ones, rising to all at `full`."""

    start: int = 10
    rate: int = 30
    full: int = 100


class Startups:
    """Counts the connections that are not logged in, in all and by source address."""

    __slots__ = ("_blocks", "_by_source", "_per_source", "_random_bytes", "count", "limit")

    def __init__(
        self,
        limit: MaxStartups,
        per_source: int | None,
        random_bytes: Callable[[int], bytes],
        blocks: tuple[int, int] = (32, 128),
    ) -> None:
        self.limit = limit
        self._blocks = blocks
        self._per_source = per_source
        self._random_bytes = random_bytes
        self._by_source: dict[str, int] = {}
        self.count = 0

    @property
    def start(self) -> int:
        """The number from which on chance decides."""
        return self.limit.start

    def refusal(self, source: str) -> str | None:
        """Return why a new connection from `source` may not start now, or None."""
        return self.source_refusal(source) or self.common_refusal()

    def source_refusal(self, source: str) -> str | None:
        """Return why there may be no more of this source, or None."""
        if self._per_source is not None and self._by_source.get(self._block(source), 0) >= self._per_source:
            return f"{self._per_source} connections of {source} are not logged in"
        return None

    def common_refusal(self) -> str | None:
        """Return why there may be no more of anybody, or None; chance decides about some."""
        limit = self.limit
        if self.count < limit.start:
            return None
        if self.count < limit.full:
            # Whole percents, rounded down, as sshd has them.
            span = limit.full - limit.start
            percent = limit.rate + (100 - limit.rate) * (self.count - limit.start) // span
            if int.from_bytes(self._random_bytes(4), "big") % 100 >= percent:
                return None
        return f"{self.count} connections are not logged in"

    def begin(self, source: str) -> None:
        """Count a connection."""
        self.count += 1
        source = self._block(source)
        self._by_source[source] = self._by_source.get(source, 0) + 1

    def end(self, source: str) -> None:
        """Count it no more: it logged in or ended."""
        self.count -= 1
        source = self._block(source)
        left = self._by_source.get(source, 1) - 1
        if left:
            self._by_source[source] = left
        else:
            self._by_source.pop(source, None)

    def _block(self, source: str) -> str:
        """Return the network that counts as one source."""
        return block_of(source, self._blocks)


class DropLog:
    """Tells of connections that were dropped before a word: each at level verbose, floods at level info.

    `log` takes a level and a text.  `peer` and `local` are what transports say of their ends.
    """

    __slots__ = ("_clock", "_dropped", "_first", "_last", "_log", "_penalised", "_reminded", "_start")

    def __init__(self, clock: "Clock", log: Callable[[str, str], object], start: int) -> None:
        self._clock = clock
        self._log = log
        self._start = start  # of MaxStartups
        self._first = 0.0
        self._last: float | None = None  # when a connection was dropped in the present throttling
        self._dropped = 0
        self._penalised = 0  # connections since the last line about them
        self._reminded: float | None = None

    def accepted(self, count: int) -> None:
        """Take note of a connection that may start, where `count` others are not logged in."""
        if self._last is not None and count < self._start - 1:
            seconds = self._clock.seconds() - self._first
            self._last = None
            self._log(
                "info",
                f"exited MaxStartups throttling after {timeframe(seconds)}, "
                f"{self._dropped} connections dropped",
            )

    def refused(self, count: int, peer: Any, local: Any) -> None:
        """Tell of one for which there was no room."""
        now = self._clock.seconds()
        level = "verbose"
        if self._last is None:
            self._log("error", "beginning MaxStartups throttling")
            level, self._first, self._dropped = "info", now, 0
        elif now - self._last > REMIND:
            length = timeframe(now - self._first)
            self._log(
                "error", f"in MaxStartups throttling for {length}, {self._dropped + 1} connections dropped"
            )
            level = "info"
        self._last = now
        self._dropped += 1
        self._tell(level, count, peer, local, PAST_LIMIT)

    def penalised(self, count: int, peer: Any, local: Any, reason: str) -> None:
        """Tell of one whose source is penalised, for `reason`; of a flood now and then only."""
        now = self._clock.seconds()
        if self._reminded is None or now - self._reminded > PENALTY_REMIND:
            if self._penalised > PENALTY_BURST:
                beyond = self._penalised - PENALTY_BURST
                self._log("info", f"{beyond} more connections of penalised sources were dropped")
            self._reminded, self._penalised = now, 0
        self._penalised += 1
        level = "info" if self._penalised <= PENALTY_BURST else "debug"
        self._tell(level, count, peer, local, reason)

    def _tell(self, level: str, count: int, peer: Any, local: Any, reason: str) -> None:
        self._log(level, f"drop connection #{count} from {_place(peer)} on {_place(local)} {reason}")


def timeframe(seconds: float) -> str:
    """Return a length of time as sshd writes it: 00:01:05, 2d03h04m, 1w02d03h."""
    left, second = divmod(int(seconds), 60)
    left, minute = divmod(left, 60)
    left, hour = divmod(left, 24)
    weeks, days = divmod(left, 7)
    if weeks:
        return f"{weeks}w{days:02d}d{hour:02d}h"
    if days:
        return f"{days}d{hour:02d}h{minute:02d}m"
    return f"{hour:02d}:{minute:02d}:{second:02d}"


def _place(address: Any) -> str:
    """Return "[host]:port"; sshd's words where there is no address."""
    if isinstance(address, tuple) and len(address) >= 2:
        return f"[{printable(str(address[0]))}]:{address[1]}"
    return "[UNKNOWN]:65535"
