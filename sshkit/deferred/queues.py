"""A queue, a lock, a semaphore and an event made of Deferreds.

Called by whoever has more than one coroutine or callback at the same thing.  Those that wait are served in
the order in which they came.  Cancelling a wait takes it out of the line; a coroutine that is cancelled
after its turn came and before it could see it gives the turn, or the item, back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, overload

from sshkit.deferred.deferred import Deferred
from sshkit.deferred.errors import DeferredError, QueueOverflow, QueueUnderflow
from sshkit.deferred.make import maybe_deferred, succeed

if TYPE_CHECKING:
    from types import TracebackType

T = TypeVar("T")
P = ParamSpec("P")


class Wait(Deferred[T]):
    """One place in a line; knows how to give back what it was given, if nobody saw it."""

    __slots__ = ("_give_back",)

    def __init__(self, line: deque[Wait[T]], give_back: Callable[[T], object]) -> None:
        super().__init__(line.remove)  # type: ignore[arg-type]  # called with self, which is in it
        self._give_back = give_back

    def undelivered(self, value: T) -> None:
        """Give the value back: the coroutine that it was for was cancelled."""
        self._give_back(value)


class DeferredQueue(Generic[T]):
    """Items put in, Deferreds of items taken out.  `size` and `backlog` limit what may lie and wait."""

    __slots__ = ("_items", "_waiting", "backlog", "size")

    def __init__(self, size: int | None = None, backlog: int | None = None) -> None:
        self.size = size
        self.backlog = backlog
        self._items: deque[T] = deque()
        self._waiting: deque[Wait[T]] = deque()

    def __len__(self) -> int:
        return len(self._items)

    @property
    def waiting(self) -> int:
        """How many wait for an item."""
        return len(self._waiting)

    def put(self, item: T) -> None:
        """Give `item` to whoever waits longest, or keep it; QueueOverflow where `size` of them lie here."""
        if self._waiting:
            self._waiting.popleft().callback(item)
        elif self.size is None or len(self._items) < self.size:
            self._items.append(item)
        else:
            raise QueueOverflow(f"the queue holds {len(self._items)} items, as many as it may")

    def get(self) -> Deferred[T]:
        """Return the Deferred of the next item; QueueUnderflow where `backlog` of them wait already."""
        if not self._items and self.backlog is not None and len(self._waiting) >= self.backlog:
            raise QueueUnderflow(f"{len(self._waiting)} wait for the queue, as many as may")
        wait = Wait(self._waiting, self._put_back)
        if self._items:
            wait.callback(self._items.popleft())
        else:
            self._waiting.append(wait)
        return wait

    def __aiter__(self) -> DeferredQueue[T]:
        """Give the items as they come, for ever: ``async for item in queue``."""
        return self

    def __anext__(self) -> Deferred[T]:
        return self.get()

    def _put_back(self, item: T) -> None:
        if self._waiting:
            self._waiting.popleft().callback(item)
        else:
            self._items.appendleft(item)


class DeferredSemaphore:
    """So many may hold it at once; the others wait."""

    __slots__ = ("_waiting", "limit", "tokens")

    def __init__(self, tokens: int) -> None:
        if tokens < 1:
            raise ValueError(f"a semaphore of {tokens} tokens would let nobody in")
        self.limit = tokens
        #: How many more may take it now.
        self.tokens = tokens
        self._waiting: deque[Wait[None]] = deque()

    @property
    def waiting(self) -> int:
        """How many wait for their turn."""
        return len(self._waiting)

    def acquire(self) -> Deferred[None]:
        """Return the Deferred that fires when it is the caller's; `release` must follow."""
        wait = Wait(self._waiting, self._give_back)
        if self.tokens:
            self.tokens -= 1
            wait.callback(None)
        else:
            self._waiting.append(wait)
        return wait

    def release(self) -> None:
        """Let the one that waits longest have it."""
        if self._waiting:
            self._waiting.popleft().callback(None)
        elif self.tokens < self.limit:
            self.tokens += 1
        else:
            raise DeferredError("released more often than acquired")

    def _give_back(self, _: None) -> None:
        self.release()

    @overload
    def run(self, function: Callable[P, Deferred[T]], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]: ...
    @overload
    def run(
        self, function: Callable[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs
    ) -> Deferred[T]: ...
    @overload
    def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]: ...
    def run(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Deferred[Any]:
        """Call `function` holding it, until the Deferred or coroutine that it returns has ended."""

        def held(_: None) -> Deferred[Any]:
            return maybe_deferred(function, *args, **kwargs).add_both(release)

        def release(outcome: Any) -> Any:
            self.release()
            return outcome

        return self.acquire().add_callback(held)

    async def __aenter__(self) -> None:
        await self.acquire()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()


class DeferredLock(DeferredSemaphore):
    """One may hold it; the others wait."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(1)

    @property
    def locked(self) -> bool:
        """True while somebody holds it."""
        return not self.tokens


class DeferredEvent:
    """A flag to wait for."""

    __slots__ = ("_waiting", "is_set")

    def __init__(self) -> None:
        self.is_set = False
        self._waiting: deque[Deferred[None]] = deque()

    @property
    def waiting(self) -> int:
        """How many wait for the flag."""
        return len(self._waiting)

    def set(self) -> None:
        """Raise the flag and let go everybody that waits for it."""
        self.is_set = True
        waiting, self._waiting = self._waiting, deque()
        for deferred in waiting:
            deferred.callback(None)

    def clear(self) -> None:
        """Lower the flag."""
        self.is_set = False

    def wait(self) -> Deferred[None]:
        """Return the Deferred that fires when the flag is up; at once if it is."""
        if self.is_set:
            return succeed(None)
        deferred: Deferred[None] = Deferred(self._forget)
        self._waiting.append(deferred)
        return deferred

    def _forget(self, deferred: Deferred[None]) -> None:
        if deferred in self._waiting:
            self._waiting.remove(deferred)
