"""A Deferred of something that can be closed: awaited, chained, or used with ``async with``.

`connect` and `serve` return one, so the same call works in all four ways of holding it.
"""

from typing import Any, Generic, Protocol, TypeVar

from sshkit.deferred import Deferred


class Closable(Protocol):
    """What an Opening opens."""

    def close(self) -> Deferred[None]:
        """Close it; fires when that is done."""
        ...


C = TypeVar("C", bound=Closable)


class Opening(Deferred[C], Generic[C]):
    """Fires with what was opened; as an async context manager it opens on entry and closes on exit."""

    __slots__ = ("_opened",)

    async def __aenter__(self) -> C:
        self._opened: C = await self
        return self._opened

    async def __aexit__(self, *exception: Any) -> None:
        await self._opened.close()
