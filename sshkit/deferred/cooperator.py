"""Long work done in small pieces, so that everything else has its turn.

A piece of work is an iterator: each step does a little and yields; a step may yield a Deferred, which is
waited for.  The works of one cooperator take turns, one step each, until a slice of time is over; then the
reactor has its turn.  Called by programs, with the reactor as the clock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from sshkit.deferred.cancelled import CancelledError
from sshkit.deferred.deferred import Deferred
from sshkit.deferred.failure import Failure

if TYPE_CHECKING:
    from sshkit.interfaces import Clock, DelayedCall

#: Seconds that steps may take in one turn of the reactor.
SLICE = 0.005


class Work:
    """One iterator on its way to its end; made by `Cooperator.add`."""

    __slots__ = ("_cooperator", "_iterator", "_paused", "_waits", "done")

    def __init__(self, cooperator: Cooperator, iterator: Iterator[Any]) -> None:
        self._cooperator = cooperator
        self._iterator = iterator
        self._paused = False
        self._waits: Deferred[Any] | None = None
        #: Fires with None at the end; fails with what a step raised.  Cancelling ends the work.
        self.done: Deferred[None] = Deferred(lambda _: self._close())

    def pause(self) -> None:
        """Make no more steps until `resume`."""
        if not self._paused:
            self._paused = True
            self._cooperator._remove(self)

    def resume(self) -> None:
        """Go on."""
        if self._paused:
            self._paused = False
            if self._waits is None and not self.done.called:
                self._cooperator._put(self)

    def stop(self) -> None:
        """End the work, as `done.cancel()` does."""
        self.done.cancel()

    def step(self) -> bool:
        """Make one step; tell whether another may follow at once."""
        try:
            value = next(self._iterator)
        except StopIteration:
            self.done.callback(None)
            return False
        except (Exception, CancelledError) as error:
            self.done.errback(error)
            return False
        if isinstance(value, Deferred):
            self._waits = value
            value.add_both(self._waited)
            return False
        return not self.done.called and not self._paused

    def _waited(self, outcome: Any) -> None:
        if self._waits is None:  # closed meanwhile
            return
        self._waits = None
        if isinstance(outcome, Failure):
            self._close()
            self.done.errback(outcome)
        elif not self._paused:
            self._cooperator._put(self)

    def _close(self) -> None:
        self._cooperator._remove(self)
        waits, self._waits = self._waits, None
        close = getattr(self._iterator, "close", None)
        if waits is not None:
            waits.cancel()
        if close is not None and not getattr(self._iterator, "gi_running", False):
            close()


class Cooperator:
    """Works that take turns, `slice_seconds` in each turn of the clock."""

    __slots__ = ("_call", "_clock", "_slice", "_works")

    def __init__(self, clock: Clock, slice_seconds: float = SLICE) -> None:
        self._clock = clock
        self._slice = slice_seconds
        self._works: deque[Work] = deque()
        self._call: DelayedCall | None = None

    def __len__(self) -> int:
        """How many works could make a step now."""
        return len(self._works)

    def add(self, iterator: Iterator[Any]) -> Work:
        """Take a piece of work; its first step is made in the next turn."""
        work = Work(self, iterator)
        self._put(work)
        return work

    def run(self, iterator: Iterator[Any]) -> Deferred[None]:
        """Take a piece of work and return the Deferred of its end."""
        return self.add(iterator).done

    def _put(self, work: Work) -> None:
        self._works.append(work)
        if self._call is None:
            self._call = self._clock.call_later(0.0, self._turn)

    def _remove(self, work: Work) -> None:
        if work in self._works:
            self._works.remove(work)

    def _turn(self) -> None:
        self._call = None
        end = self._clock.seconds() + self._slice
        works = self._works
        while works:
            work = works.popleft()
            if work.step():
                works.append(work)
            if self._clock.seconds() >= end:
                break
        if works and self._call is None:
            self._call = self._clock.call_later(0.0, self._turn)
