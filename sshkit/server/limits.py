"""How many may knock at once: limits on connections that are not logged in (R42)."""

from collections.abc import Callable
from typing import NamedTuple


class MaxStartups(NamedTuple):
    """From `start` connections on, refuse `rate` percent of new ones, rising to all at `full`."""

    start: int = 10
    rate: int = 30
    full: int = 100


class Startups:
    """Counts the connections that are not logged in, in all and by source address."""

    __slots__ = ("_blocks", "_by_source", "_limit", "_per_source", "_random_bytes", "count")

    def __init__(
        self,
        limit: MaxStartups,
        per_source: int | None,
        random_bytes: Callable[[int], bytes],
        blocks: tuple[int, int] = (32, 128),
    ) -> None:
        self._limit = limit
        self._blocks = blocks
        self._per_source = per_source
        self._random_bytes = random_bytes
        self._by_source: dict[str, int] = {}
        self.count = 0

    def refusal(self, source: str) -> str | None:
        """Return why a new connection from `source` may not start now, or None."""
        if self._per_source is not None and self._by_source.get(self._block(source), 0) >= self._per_source:
            return f"{self._per_source} connections of {source} are not logged in"
        limit = self._limit
        if self.count < limit.start:
            return None
        if self.count < limit.full:
            span = max(limit.full - limit.start, 1)
            percent = limit.rate + (100 - limit.rate) * (self.count - limit.start) / span
            if self._random_bytes(1)[0] * 100 / 256 >= percent:
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
        if self._blocks == (32, 128):
            return source
        from ipaddress import ip_network

        bits = self._blocks[":" in source]
        try:
            return str(ip_network(f"{source.partition('%')[0]}/{bits}", strict=False))
        except ValueError:  # no address: a UNIX socket
            return source
