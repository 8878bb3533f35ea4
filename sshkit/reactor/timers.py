"""Delayed calls: a heap of deadlines.

Used by every engine.  A cancelled call stays in the heap until it comes up (or until dead ones are the
majority); a call moved to a later time is pushed again only when its old time comes, so a time-out
that every packet resets costs one comparison a reset.
"""

from collections.abc import Callable
from heapq import heapify, heappop, heappush
from time import monotonic
from typing import Any

from sshkit.interfaces.clock import IDelayedCall
from sshkit.interfaces.derive import implementer

#: Below this many entries a heap is not worth cleaning.
CLEAN_FROM = 64


@implementer(IDelayedCall)
class DelayedCall:
    """One call to come; made by `Timers.call_later`."""

    __slots__ = ("_args", "_callback", "_entry_order", "_timers", "when")

    def __init__(
        self, timers: "Timers", when: float, callback: Callable[..., object], args: tuple[Any, ...]
    ) -> None:
        self._timers = timers
        self._callback: Callable[..., object] | None = callback
        self._args = args
        self._entry_order = (
            0  # of the one heap entry that counts; a call moved earlier leaves a stale one behind
        )
        self.when = when

    @property
    def active(self) -> bool:
        """Whether the call is still to come."""
        return self._callback is not None

    def cancel(self) -> None:
        """Do not make the call."""
        if self._callback is not None:
            self._callback = None
            self._args = ()
            self._timers.count_dead()

    def reset(self, seconds: float) -> None:
        """Make the call `seconds` from now instead."""
        if self._callback is None:
            return
        before = self.when
        self.when = monotonic() + seconds
        if self.when < before:
            self._timers.move_earlier(self)

    def __repr__(self) -> str:
        return f"<DelayedCall {self._callback!r} at {self.when:.3f}>"


class Timers:
    """All delayed calls of one reactor."""

    __slots__ = ("_dead", "_order", "_sooner", "heap")

    def __init__(self, sooner: Callable[[], None] | None = None) -> None:
        """`sooner` is called when the first deadline has moved forward."""
        #: (when, order, call): read by engines for the first deadline, which may be a dead call's.
        self.heap: list[tuple[float, int, DelayedCall]] = []
        self._order = 0
        self._dead = 0
        self._sooner = sooner

    def call_later(
        self, seconds: float, callback: Callable[..., object], args: tuple[Any, ...]
    ) -> DelayedCall:
        """Add a call."""
        call = DelayedCall(self, monotonic() + seconds, callback, args)
        self._push(call)
        return call

    def move_earlier(self, call: DelayedCall) -> None:
        """Enter a call again whose time now lies before its entry's; that entry becomes stale."""
        self._push(call)
        self.count_dead()

    def _push(self, call: DelayedCall) -> None:
        self._order = call._entry_order = self._order + 1
        heappush(self.heap, (call.when, self._order, call))
        if self._sooner is not None and self.heap[0][2] is call:
            self._sooner()

    def count_dead(self) -> None:
        """Note that an entry became useless; sweep when most are."""
        self._dead += 1
        heap = self.heap
        if self._dead > CLEAN_FROM and self._dead * 2 > len(heap):
            heap[:] = [entry for entry in heap if entry[2].active and entry[1] == entry[2]._entry_order]
            heapify(heap)
            self._dead = 0

    def due(self, now: float) -> list[DelayedCall]:
        """Take out and return the calls due at `now`, in order.  What they add waits for the next turn."""
        heap = self.heap
        ready: list[DelayedCall] = []
        while heap and heap[0][0] <= now:
            _, order, call = heappop(heap)
            if call._callback is None or order != call._entry_order:
                self._dead -= self._dead > 0
            elif call.when > now:
                self._push(call)
            else:
                ready.append(call)
        return ready

    def clear(self) -> None:
        """Forget all calls."""
        for _, _, call in self.heap:
            call._callback = None
        self.heap.clear()


def fire(call: DelayedCall) -> None:
    """Make a call that `due` returned, unless another of the same turn has cancelled or moved it."""
    callback = call._callback
    if callback is None:
        return
    if call.when > monotonic():
        call._timers._push(call)
        return
    args = call._args
    call._callback = None
    call._args = ()
    callback(*args)
