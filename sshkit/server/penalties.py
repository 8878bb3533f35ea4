"""Penalties: sources that misbehaved are refused for a while (PerSourcePenalties of sshd_config(5), R42).

The server adds one when a connection ends badly, and asks before it lets the next one of the same source
begin.  Penalties of a source add up; it is refused once they are over the minimum.  At most `max_sources4`
and `max_sources6` sources are kept.
"""

from collections.abc import Callable, Sequence
from heapq import heappop, heappush, heapreplace
from typing import TYPE_CHECKING, Final, Protocol

from sshkit.server.source_blocks import block_of, plain_address

if TYPE_CHECKING:
    from sshkit.interfaces import Clock

CRASH: Final = "crash"
AUTHFAIL: Final = "authfail"
NOAUTH: Final = "noauth"
GRACE_EXCEEDED: Final = "grace_exceeded"
REFUSE_CONNECTION: Final = "refuseconnection"
INVALID_USER: Final = "invaliduser"
#: Of each cause: the attribute of the configuration, and what the log calls it.
CAUSES: Final = {
    CRASH: ("crash", "caused crash"),
    AUTHFAIL: ("authfail", "failed authentication"),
    NOAUTH: ("noauth", "connections without attempting authentication"),
    GRACE_EXCEEDED: ("grace_exceeded", "exceeded LoginGraceTime"),
    REFUSE_CONNECTION: ("refuse_connection", "connection prohibited by RefuseConnection"),
    INVALID_USER: ("invalid_user", "attempted authentication by invalid user"),
}
DENY_ALL: Final = "deny-all"
TOO_MANY: Final = "too many penalised addresses"


class PenaltyTimes(Protocol):
    """What the configuration says; times are seconds, of causes 0 means no penalty."""

    @property
    def crash(self) -> float: ...
    @property
    def authfail(self) -> float: ...
    @property
    def noauth(self) -> float: ...
    @property
    def grace_exceeded(self) -> float: ...
    @property
    def refuse_connection(self) -> float: ...
    @property
    def invalid_user(self) -> float: ...
    @property
    def max(self) -> float: ...
    @property
    def min(self) -> float: ...
    @property
    def max_sources4(self) -> int: ...
    @property
    def max_sources6(self) -> int: ...
    @property
    def overflow4(self) -> str: ...
    @property
    def overflow6(self) -> str: ...


class Penalty:
    """What one source has on its account."""

    __slots__ = ("active", "expiry", "reason")

    def __init__(self, expiry: float, reason: str) -> None:
        self.expiry = expiry
        self.reason = reason
        self.active = False


class _Family:
    """The penalties of IPv4 or of IPv6.

    The heap has one entry a source, under a time at which its penalty may have expired: a penalty grows
    without the heap being touched, and is put back with its new time when the old one comes.
    """

    __slots__ = ("by_source", "deny_all", "heap", "limit", "name")

    def __init__(self, name: str, limit: int, overflow: str) -> None:
        self.name = name
        self.limit = limit
        self.deny_all = overflow == DENY_ALL
        self.by_source: dict[str, Penalty] = {}
        self.heap: list[tuple[float, str]] = []

    def expire(self, now: float) -> None:
        """Forget those whose time has come."""
        heap = self.heap
        while heap and heap[0][0] < now:
            source = heap[0][1]
            expiry = self.by_source[source].expiry
            if expiry < now:
                heappop(heap)
                del self.by_source[source]
            else:
                heapreplace(heap, (expiry, source))

    def drop_soonest(self) -> None:
        """Forget the one that would expire first."""
        while True:
            planned, source = self.heap[0]
            expiry = self.by_source[source].expiry
            if expiry <= planned:
                heappop(self.heap)
                del self.by_source[source]
                return
            heapreplace(self.heap, (expiry, source))


class Penalties:
    """The penalties of a server.

    `blocks` are the bits of IPv4 and IPv6 addresses that tell sources apart, `exempt` patterns of addresses
    (CIDR or with wildcards; "!" takes out) that are never penalised.  `log` takes a level and a text.
    """

    __slots__ = ("_blocks", "_clock", "_exempt", "_families", "_log", "times")

    def __init__(
        self,
        times: PenaltyTimes,
        blocks: tuple[int, int],
        exempt: Sequence[str],
        clock: "Clock",
        log: Callable[[str, str], object] | None = None,
    ) -> None:
        self.times = times
        self._blocks = blocks
        self._exempt = tuple(exempt)
        self._clock = clock
        self._log = log
        self._families = (
            _Family("ipv4", times.max_sources4, times.overflow4),
            _Family("ipv6", times.max_sources6, times.overflow6),
        )

    def __len__(self) -> int:
        """Return how many sources have any, refused or not."""
        now = self._clock.seconds()
        for family in self._families:
            family.expire(now)
        return sum(len(family.by_source) for family in self._families)

    def add(self, source: str, cause: str) -> None:
        """Penalise `source`, an address, for one of CAUSES."""
        attribute, words = CAUSES[cause]
        seconds: float = getattr(self.times, attribute)
        family = self._family(source)
        if seconds <= 0 or family is None or self._is_exempt(source):
            return
        now = self._clock.seconds()
        family.expire(now)
        block = block_of(source, self._blocks)
        reason = f"penalty: {words}"
        penalty = family.by_source.get(block)
        if penalty is not None:
            penalty.expiry = min(penalty.expiry + seconds, now + self.times.max)
            penalty.reason = reason
            left = penalty.expiry - now
            if not penalty.active and left > self.times.min:
                penalty.active = True
                self._tell("info", f"{block}: activating {family.name} penalty of {left:.3f} seconds", reason)
            return
        if len(family.by_source) >= family.limit:
            if family.deny_all or not family.limit:
                self._tell("verbose", f"{family.name} penalty table full, cannot penalise {block}", reason)
                return
            family.drop_soonest()
        seconds = min(seconds, self.times.max)
        penalty = family.by_source[block] = Penalty(now + seconds, reason)
        heappush(family.heap, (penalty.expiry, block))
        penalty.active = seconds > self.times.min
        kind, level = ("active", "info") if penalty.active else ("deferred", "verbose")
        self._tell(level, f"{family.name}: new {block} {kind} penalty of {seconds:.3f} seconds", reason)

    def refusal(self, source: str) -> str | None:
        """Return why a connection of `source` may not begin, or None."""
        family = self._family(source)
        if family is None or not family.by_source:
            return None
        now = self._clock.seconds()
        family.expire(now)
        if family.deny_all and len(family.by_source) >= family.limit and not self._is_exempt(source):
            return TOO_MANY
        penalty = family.by_source.get(block_of(source, self._blocks))
        return penalty.reason if penalty is not None and penalty.active else None

    def _family(self, source: str) -> _Family | None:
        address = plain_address(source)
        if ":" in address:
            return self._families[1]
        return self._families[0] if "." in address else None  # None: a UNIX socket

    def _is_exempt(self, source: str) -> bool:
        if not self._exempt:
            return False
        from sshkit.server.key_limits import address_matches

        found = False
        address = plain_address(source)
        for pattern in self._exempt:
            if address_matches(address, pattern.removeprefix("!")):
                if pattern.startswith("!"):
                    return False
                found = True
        return found

    def _tell(self, level: str, text: str, reason: str) -> None:
        if self._log is not None:
            self._log(level, f"{text} for {reason}")
