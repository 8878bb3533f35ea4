"""What real networks do, on a connection in memory: delay, a rate, chopping, a cut at any byte.

``network = MemoryReactor(line=Line(latency=0.05, bandwidth=1_000_000))`` for every connection, or
``pair.line = Line(...)`` for one.  Time is virtual: a minute of it takes no time.
"""

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from sshkit.testing.clock import MemoryClock
    from sshkit.testing.transport import MemoryTransport

QUANTUM = 0.01  #: seconds of the rate that leave in one piece
LEAST = 1460  #: bytes of the smallest such piece: what fits into one Ethernet frame


class Line(NamedTuple):
    """What lies between two ends.  Both directions are alike, and independent of each other."""

    latency: float = 0.0  #: seconds from one end to the other
    bandwidth: float | None = None  #: bytes a second each way; None: no limit
    cut_after: int | None = None  #: bytes from the client after which the connection is cut

    @property
    def is_plain(self) -> bool:
        """Bytes arrive as soon as they are written."""
        return not self.latency and self.bandwidth is None


PLAIN = Line()


class Way:
    """One direction of a line: what has left one end and has not come to the other."""

    __slots__ = ("_clock", "_free", "_line", "flying")

    def __init__(self, line: Line, clock: "MemoryClock") -> None:
        self._line = line
        self._clock = clock
        self._free = 0.0  # when the line takes the next piece
        self.flying: deque[tuple[float, bytes]] = deque()  #: when it arrives, and what

    def move(self, end: "MemoryTransport") -> int:
        """Let leave and arrive what is due; return how many bytes have arrived."""
        self._leave(end)
        return self._arrive(end)

    def _leave(self, end: "MemoryTransport") -> None:
        clock, line = self._clock, self._line
        while end.outgoing and self._free <= clock.seconds():
            size = len(end.outgoing)
            passing = 0.0
            if line.bandwidth is not None:
                size = min(size, max(LEAST, int(line.bandwidth * QUANTUM)))
                passing = size / line.bandwidth
            self._free = clock.seconds() + passing
            arrival = self._free + line.latency
            self.flying.append((arrival, end.leave(size)))
            clock.call_later(arrival - clock.seconds(), _nothing)  # so that time goes there
            if passing:
                clock.call_later(passing, _nothing)

    def _arrive(self, end: "MemoryTransport") -> int:
        moved = 0
        while self.flying and self.flying[0][0] <= self._clock.seconds() + 1e-9:
            arrival, data = self.flying.popleft()
            taken = end.arrive(data)
            moved += taken
            if taken < len(data):  # the reader has paused: the rest waits where it is
                self.flying.appendleft((arrival, data[taken:]))
                break
        return moved


def _nothing() -> None:
    """Time goes to where it is called."""
