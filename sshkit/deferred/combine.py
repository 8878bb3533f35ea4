"""Several Deferreds as one: all of them, the first outcome, the first success, a list of outcomes.

Called by whoever starts several things at once.  What is not needed any more is cancelled, and the
combined Deferred fires when all the others have ended: no work goes on behind the caller's back.  The
inputs keep their values; their failures count as taken.
"""

from __future__ import annotations

import functools
from collections.abc import Coroutine, Iterable
from typing import Any, Generic, Literal, TypeAlias, TypeVar, cast, overload

from sshkit.deferred.cancelled import CancelledError
from sshkit.deferred.coroutines import ensure_deferred
from sshkit.deferred.deferred import CALLED, PATIENT, Deferred
from sshkit.deferred.errors import FirstError
from sshkit.deferred.failure import Failure
from sshkit.deferred.waiter import PENDING

T = TypeVar("T")
R = TypeVar("R")
T1 = TypeVar("T1")
T2 = TypeVar("T2")
T3 = TypeVar("T3")
T4 = TypeVar("T4")
T5 = TypeVar("T5")

#: What the combinators take: a coroutine is run to its first wait.
Awaits: TypeAlias = Deferred[T] | Coroutine[Any, Any, T]


class Combined(Deferred[T]):
    """The Deferred of several.  A subclass says in `_seen` what one outcome means for the whole.

    Once `_decide` was called the others are cancelled; when all have ended, what was decided is the outcome.
    """

    __slots__ = ("_decided", "_left", "_parts")

    def __init__(self, parts: Iterable[Awaits[Any]]) -> None:
        super().__init__()
        self._state |= PATIENT
        self._decided: Any = PENDING
        self._parts: list[Deferred[Any]] = [ensure_deferred(part) for part in parts]
        self._left = len(self._parts)

    def _watch_parts(self) -> None:
        for index, part in enumerate(tuple(self._parts)):
            part.watch(functools.partial(self._ended, index))

    def _ended(self, index: int, outcome: Any) -> Deferred[T] | None:
        self._left -= 1
        if self._decided is PENDING:
            self._seen(index, outcome)
        if self._left or self._state & CALLED:  # fired inside `_seen`, when the rest were cancelled
            return None
        if self._decided is PENDING:
            self._decided = self._last()
        self._parts.clear()
        return self.resolve(self._decided)

    def _seen(self, index: int, outcome: Any) -> None:
        """Take the outcome of one, and `_decide` if it settles the matter."""

    def _last(self) -> Any:
        """Return the outcome, where all have ended and none of them decided."""

    def _decide(self, outcome: Any) -> None:
        self._decided = outcome
        for part in tuple(self._parts):
            part.cancel()

    def _cancel_work(self) -> None:
        if self._decided is PENDING:
            self._decided = Failure(CancelledError())
        self._decide(self._decided)


class Gather(Combined[tuple[Any, ...]]):
    """All values, in order; or the first failure."""

    __slots__ = ("_outcomes", "_return_exceptions")

    def __init__(self, parts: Iterable[Awaits[Any]], return_exceptions: bool) -> None:
        super().__init__(parts)
        self._outcomes: list[Any] = [None] * self._left
        self._return_exceptions = return_exceptions
        self._watch_parts()

    def _seen(self, index: int, outcome: Any) -> None:
        if not isinstance(outcome, Failure):
            self._outcomes[index] = outcome
        elif self._return_exceptions:
            self._outcomes[index] = outcome.exception
        else:
            self._decide(outcome)

    def _last(self) -> tuple[Any, ...]:
        return tuple(self._outcomes)


class Race(Combined[T]):
    """The first outcome."""

    __slots__ = ()

    def __init__(self, parts: Iterable[Awaits[T]]) -> None:
        super().__init__(parts)
        if not self._parts:
            raise ValueError("a race of nothing would never end")
        self._watch_parts()

    def _seen(self, index: int, outcome: Any) -> None:
        self._decide(outcome)


class FirstSuccess(Combined[T]):
    """The first value; or all failures."""

    __slots__ = ("_failures",)

    def __init__(self, parts: Iterable[Awaits[T]]) -> None:
        super().__init__(parts)
        if not self._parts:
            raise ValueError("nothing was given that could succeed")
        self._failures: list[BaseException] = []
        self._watch_parts()

    def _seen(self, index: int, outcome: Any) -> None:
        if isinstance(outcome, Failure):
            self._failures.append(outcome.exception)
        else:
            self._decide(outcome)

    def _last(self) -> Failure:
        failures = self._failures
        return Failure(BaseExceptionGroup(f"none of {len(failures)} succeeded", failures))


@overload
def gather(first: Awaits[T1], /, *, return_exceptions: Literal[False] = ...) -> Deferred[tuple[T1]]: ...
@overload
def gather(
    first: Awaits[T1], second: Awaits[T2], /, *, return_exceptions: Literal[False] = ...
) -> Deferred[tuple[T1, T2]]: ...
@overload
def gather(
    first: Awaits[T1], second: Awaits[T2], third: Awaits[T3], /, *, return_exceptions: Literal[False] = ...
) -> Deferred[tuple[T1, T2, T3]]: ...
@overload
def gather(
    first: Awaits[T1],
    second: Awaits[T2],
    third: Awaits[T3],
    fourth: Awaits[T4],
    /,
    *,
    return_exceptions: Literal[False] = ...,
) -> Deferred[tuple[T1, T2, T3, T4]]: ...
@overload
def gather(
    first: Awaits[T1],
    second: Awaits[T2],
    third: Awaits[T3],
    fourth: Awaits[T4],
    fifth: Awaits[T5],
    /,
    *,
    return_exceptions: Literal[False] = ...,
) -> Deferred[tuple[T1, T2, T3, T4, T5]]: ...
@overload
def gather(*parts: Awaits[T], return_exceptions: Literal[False] = ...) -> Deferred[tuple[T, ...]]: ...
@overload
def gather(
    first: Awaits[T1], second: Awaits[T2], /, *, return_exceptions: Literal[True]
) -> Deferred[tuple[T1 | BaseException, T2 | BaseException]]: ...
@overload
def gather(
    first: Awaits[T1], second: Awaits[T2], third: Awaits[T3], /, *, return_exceptions: Literal[True]
) -> Deferred[tuple[T1 | BaseException, T2 | BaseException, T3 | BaseException]]: ...
@overload
def gather(
    *parts: Awaits[T], return_exceptions: Literal[True]
) -> Deferred[tuple[T | BaseException, ...]]: ...
def gather(*parts: Awaits[Any], return_exceptions: bool = False) -> Deferred[Any]:
    """Wait for all; fire with the tuple of their values, in the order given.

    The first failure cancels the rest, and is the outcome when the rest have ended.  With
    `return_exceptions` the exceptions stand among the values instead, and nothing is cancelled.
    """
    gathered = Gather(parts, return_exceptions)
    if not parts:
        gathered.callback(())
    return gathered


def race(*parts: Awaits[T]) -> Deferred[T]:
    """Fire with the first outcome, value or failure; the others are cancelled, and have ended by then."""
    return Race(parts)


def first_success(*parts: Awaits[T]) -> Deferred[T]:
    """Fire with the first value; the others are cancelled, and have ended by then.

    If none succeeds, fail with an exception group of all their exceptions, in the order of failing.
    """
    return FirstSuccess(parts)


class DeferredList(Deferred[R], Generic[R]):
    """A list of (success, value or Failure), one for each Deferred; or the first of a kind.

    Nothing is cancelled but by `cancel`, and the Deferreds keep their outcomes.  With `consume_errors`
    their failures become None once they are in the list; else each is still for its own Deferred to handle.
    """

    __slots__ = ("_consume_errors", "_left", "_on_error", "_on_result", "_outcomes", "_parts")

    @overload
    def __init__(
        self: DeferredList[list[tuple[bool, Any]]],
        deferreds: Iterable[Deferred[Any]],
        *,
        fire_on_one_result: Literal[False] = ...,
        fire_on_one_error: bool = ...,
        consume_errors: bool = ...,
    ) -> None: ...
    @overload
    def __init__(
        self: DeferredList[tuple[Any, int] | list[tuple[bool, Any]]],
        deferreds: Iterable[Deferred[Any]],
        *,
        fire_on_one_result: bool,
        fire_on_one_error: bool = ...,
        consume_errors: bool = ...,
    ) -> None: ...
    def __init__(
        self,
        deferreds: Iterable[Deferred[Any]],
        *,
        fire_on_one_result: bool = False,
        fire_on_one_error: bool = False,
        consume_errors: bool = False,
    ) -> None:
        """Fire with the list when all have; with (value, index) at the first value, with FirstError at the
        first failure, if so asked."""
        super().__init__()
        self._state |= PATIENT
        self._parts = list(deferreds)
        self._outcomes: list[Any] = [None] * len(self._parts)
        self._left = len(self._parts)
        self._on_result = fire_on_one_result
        self._on_error = fire_on_one_error
        self._consume_errors = consume_errors
        for index, part in enumerate(tuple(self._parts)):
            part.add_both(self._ended, index)
        if not self._outcomes and not fire_on_one_result:
            self.callback(cast("R", []))

    def _ended(self, outcome: Any, index: int) -> Any:
        failed = isinstance(outcome, Failure)
        self._outcomes[index] = (not failed, outcome)
        self._left -= 1
        if not self.called:
            if failed and self._on_error:
                self.errback(FirstError(index, outcome))
            elif not failed and self._on_result:
                self.callback(cast("R", (outcome, index)))
            elif not self._left:
                self.callback(cast("R", self._outcomes))
        return None if failed and self._consume_errors else outcome

    def _cancel_work(self) -> None:
        for part in self._parts:
            part.cancel()
