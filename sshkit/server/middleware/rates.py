"""`rate_limit`: so many sessions at once, then so many a minute, for each user, key or address.

A token bucket each: it holds `burst` and gains `per_minute`.  Memory is bounded: a full bucket is the same as
none, and of too many the one that was used longest ago, which is the fullest, is forgotten.
"""

from collections import OrderedDict
from collections.abc import Callable
from math import ceil
from typing import TYPE_CHECKING

from sshkit.server.middleware.chain import Middleware, call, check_by, clock_of, refuse, who

if TYPE_CHECKING:
    from sshkit.server.handler import Handler, Session

MAX_SOURCES = 10_000  #: buckets that one middleware keeps
MAX_NAME = 256  #: characters of what is counted by


class Buckets:
    """Token buckets by name."""

    __slots__ = ("_buckets", "_burst", "_limit", "_rate")

    def __init__(self, rate: float, burst: int, limit: int) -> None:
        self._rate = rate  # tokens a second
        self._burst = burst
        self._limit = limit
        # By name: tokens, and when they were counted; the one used last is last.
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, name: str, now: float) -> float:
        """Take a token and return 0, or return the seconds until there is one."""
        name = name[:MAX_NAME]
        tokens, counted = self._buckets.pop(name, (float(self._burst), now))
        tokens = min(self._burst, tokens + (now - counted) * self._rate)
        taken = tokens >= 1
        self._buckets[name] = (tokens - 1 if taken else tokens, now)
        self._forget(now)
        return 0.0 if taken else (1 - tokens) / self._rate

    def _forget(self, now: float) -> None:
        """Drop from the old end what has filled up, and whatever is too many."""
        buckets = self._buckets
        while buckets:
            name, (tokens, counted) = next(iter(buckets.items()))
            if len(buckets) <= self._limit and tokens + (now - counted) * self._rate < self._burst:
                break
            del buckets[name]


def rate_limit(
    per_minute: float,
    burst: int = 1,
    *,
    by: "str | Callable[[Session], str]" = "user",
    max_sources: int = MAX_SOURCES,
    message: str = "too many sessions, try again in {seconds} s",
) -> Middleware:
    """Let through `burst` sessions at once and `per_minute` on average, for each of `by`.

    `by` is "user", "key" (the user where none was used), "address", or a function of the session.
    """
    if per_minute <= 0 or burst < 1 or max_sources < 1:
        raise ValueError("per_minute must be over 0, burst and max_sources at least 1")
    check_by(by)
    buckets = Buckets(per_minute / 60, burst, max_sources)

    def middleware(handler: "Handler") -> "Handler":
        async def limited(session: "Session") -> int | None:
            wait = buckets.take(who(session, by), clock_of(session).seconds())
            if wait:
                text = message.replace("{seconds}", str(ceil(wait)))
                return refuse(session, text, f"over {per_minute:g} sessions a minute")
            return await call(handler, session)

        return limited

    return middleware
