"""Connections that are used again: at most so many to one endpoint, and those that rest are kept a while.

    async with pool.connection() as protocol:
        ...

What comes over a resting connection, data or its end, makes it unfit, and it is closed.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from sshkit.deferred import Deferred, DeferredSemaphore, Failure, fail

from ..errors import ConnectError
from ..flow.wrapper import Wrapper

if TYPE_CHECKING:
    from .base import ClientPlace

_P = TypeVar("_P")

#: Connections at once, and seconds that one may rest.
SIZE = 8
IDLE = 60.0


class PoolClosed(ConnectError):
    """The pool was closed."""


class _Pooled(Wrapper):
    """One connection of a pool."""

    __slots__ = ("_pool", "alive", "timer")

    def __init__(self, protocol: Any, pool: "ConnectionPool[Any]") -> None:
        super().__init__(protocol)
        self._pool = pool
        self.alive = True
        self.timer: Any = None  # runs while it rests

    def data_received(self, data: bytes) -> None:
        """Hand it on; nobody has asked a resting connection anything."""
        if self.timer is not None:
            self._pool.drop(self)
        else:
            super().data_received(data)

    def eof_received(self) -> bool | None:
        """Hand it on; the connection is used no more."""
        self.alive = False
        return super().eof_received()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Hand it on; the connection is used no more."""
        self.alive = False
        self._pool.forget(self)
        super().connection_lost(exc)


class _Lease(Deferred[_P]):
    """The Deferred of a connection, which goes back when its receiver was cancelled in the last moment."""

    __slots__ = ("_pool",)

    def __init__(self, pool: "ConnectionPool[_P]") -> None:
        super().__init__()
        self._pool = pool

    def undelivered(self, value: _P) -> None:
        """Nobody has it."""
        self._pool.release(value)


class Leased(Generic[_P]):
    """``async with pool.connection() as protocol``: given back at the end, closed after an error."""

    __slots__ = ("_pool", "_protocol")

    def __init__(self, pool: "ConnectionPool[_P]") -> None:
        self._pool = pool
        self._protocol: _P | None = None

    async def __aenter__(self) -> _P:
        protocol = self._protocol = await self._pool.acquire()
        return protocol

    async def __aexit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if self._protocol is not None:
            self._pool.release(self._protocol, reuse=kind is None)


class ConnectionPool(Generic[_P]):
    """At most `size` connections to `endpoint`, each with a protocol of `factory`; resting up to `idle` s."""

    def __init__(
        self,
        endpoint: "ClientPlace",
        factory: Callable[[], _P],
        *,
        size: int = SIZE,
        idle: float = IDLE,
        timeout: float | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.closed = False
        self._factory = factory
        self._idle = idle
        self._timeout = timeout
        self._room = DeferredSemaphore(size)
        self._resting: list[_Pooled] = []
        self._leased: dict[int, _Pooled] = {}

    @property
    def resting(self) -> int:
        """How many connections wait to be used again."""
        return len(self._resting)

    @property
    def leased(self) -> int:
        """How many connections are in use."""
        return len(self._leased)

    @property
    def waiting(self) -> int:
        """How many wait for one to come back."""
        return self._room.waiting

    def connection(self) -> Leased[_P]:
        """Return a connection for the length of an ``async with``."""
        return Leased(self)

    def acquire(self) -> Deferred[_P]:
        """Fire with a protocol that is connected; `release` must follow.

        Waits while all are in use, in the order of the calls; cancelling gives the place up.
        """
        if self.closed:
            return fail(PoolClosed(f"the pool of {self.endpoint.shown} is closed"))
        lease: _Lease[_P] = _Lease(self)
        self._room.acquire().add_callback(self._connect).chain(lease)
        return lease

    def _connect(self, _: None) -> Any:
        if self.closed:
            self._room.release()
            raise PoolClosed(f"the pool of {self.endpoint.shown} is closed")
        while self._resting:
            link = self._resting[-1]  # the one that rests the shortest
            self._rest_over(link)
            if link.alive and not link.transport.is_closing():
                return self._lend(link)
        try:
            connecting = self.endpoint.connect(lambda: _Pooled(self._factory(), self), self._timeout)
        except BaseException:
            self._room.release()
            raise
        return connecting.add_callbacks(self._lend, self._not_made)

    def _lend(self, link: _Pooled) -> Any:
        self._leased[id(link.protocol)] = link
        return link.protocol

    def _not_made(self, failure: Failure) -> Failure:
        self._room.release()
        return failure

    def release(self, protocol: _P, *, reuse: bool = True) -> None:
        """Take a connection back; without `reuse` it is closed.  Harmless the second time."""
        link = self._leased.pop(id(protocol), None)
        if link is None:
            return
        if reuse and link.alive and not self.closed and not link.transport.is_closing():
            link.timer = self.endpoint.reactor.call_later(self._idle, self.drop, link)
            self._resting.append(link)
        else:
            link.transport.close()
        self._room.release()

    def _rest_over(self, link: _Pooled) -> None:
        self._resting.remove(link)
        link.timer.cancel()
        link.timer = None

    def drop(self, link: _Pooled) -> None:
        """Close a resting connection; its time is over, or it has spoken unasked."""
        self.forget(link)
        link.transport.abort()

    def forget(self, link: _Pooled) -> None:
        """Rest no more; called by a connection that ends."""
        if link.timer is not None:
            self._rest_over(link)

    def close(self) -> None:
        """Close those that rest now, and those in use when they come back; nobody gets one any more."""
        self.closed = True
        for link in tuple(self._resting):
            self._rest_over(link)
            link.transport.close()

    async def __aenter__(self) -> "ConnectionPool[_P]":
        return self

    async def __aexit__(self, *exception: object) -> None:
        self.close()
