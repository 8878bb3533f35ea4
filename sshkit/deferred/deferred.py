"""Deferred: a value that comes later, and the callbacks that wait for it.

Called by everything above: whoever starts something that takes time returns a Deferred, and fires it with
`callback` or `errback` when it is done.  Not safe across threads: the reactor that made it fires it.

The outcome walks down one list of callbacks; what each returns or raises is the outcome for the next.  A
callback that returns a Deferred stops the walk until that one has fired.  `run` does all of it in one loop,
whatever the depth, so chains of any length need no stack.

The value stays where it is: awaiting or chaining a Deferred reads the outcome and leaves it in place.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Concatenate,
    Final,
    Generic,
    ParamSpec,
    TypeVar,
    cast,
    overload,
)

from sshkit.deferred.cancelled import CancelledError
from sshkit.deferred.errors import AlreadyCalledError, NotFiredError, WaitsForItselfError
from sshkit.deferred.failure import Carrier, Failure, Note, report, stack_text
from sshkit.deferred.waiter import Waiter

if TYPE_CHECKING:
    from collections.abc import Generator

    from sshkit.interfaces import Clock

T = TypeVar("T")
U = TypeVar("U")
V = TypeVar("V")
P = ParamSpec("P")

# The state is one int, so that the common question, "is this one fresh?", is one test.
CALLED: Final = 1  # it was fired
GIVEN: Final = 2  # its failure was raised in a coroutine or passed to another Deferred
SWALLOW: Final = 4  # it was cancelled without its canceller's help: one late result is dropped
PATIENT: Final = 8  # cancel asks, and the outcome comes when the work has ended (coroutines, combinators)
DEBUG: Final = 16  # it notes where it was made and fired
RUNNING: Final = 32  # its callbacks run just now
PAUSED: Final = 64  # counted from this bit up: `pause`, or waiting for another Deferred
# So `state & CALLED and state < RUNNING` says: the outcome is here and no callback is left.

# The third place of a callback entry says what it is: None is a plain call, (args, kwargs) a call with more.
CHAIN: Final = 1  # the first place is the Deferred that waits for this one
WATCH: Final = 2  # the first place is called with the outcome and may return a Deferred that it has settled

EXITS: Final = (KeyboardInterrupt, SystemExit)  # become a Failure like any other, and are raised as well


class Deferred(Carrier, Generic[T]):
    """A value of type T that comes later."""

    __slots__ = ("_callbacks", "_canceller", "_note", "_result", "_state", "_waits_for")

    #: Debug mode: note where each Deferred made from now on is made and fired.  Slow.
    debug: ClassVar[bool] = bool(os.environ.get("SSHKIT_DEBUG"))

    def __init__(self, canceller: Callable[[Deferred[T]], object] | None = None) -> None:
        """`canceller` is called by `cancel`, with the Deferred, and should stop the work behind it."""
        self._state = 0
        self._result: Any = None
        self._callbacks: list[tuple[Any, Any, Any]] | None = None
        self._canceller = canceller
        self._waits_for: Deferred[Any] | None = None
        self._note: Note | None = None
        if Deferred.debug:
            self._state = DEBUG
            self._note = Note(stack_text(2))

    # Firing

    @property
    def called(self) -> bool:
        """True once it was fired, even if its callbacks wait for something."""
        return self._state & CALLED != 0

    def callback(self, value: T) -> None:
        """Fire with a value: run the callbacks, each with what the one before returned."""
        if self._state or isinstance(value, Carrier):
            if self.resolve(value) is None:
                return
        else:
            self._state = CALLED
            self._result = value
            self._canceller = None
            if self._callbacks is None:
                return
        run(self)
        del self  # a traceback in a Failure holds this frame; the same wherever it is done below

    def errback(self, failure: BaseException | Failure) -> None:
        """Fire with a failure: run the errbacks until one returns a value."""
        if self.resolve(failure if isinstance(failure, Failure) else Failure(failure)) is not None:
            run(self)
        del self, failure

    def resolve(self, outcome: Any) -> Deferred[T] | None:
        """Take a value or a Failure without running anything; return self if `run` has work then.

        For the driver and the combinators, which hand it to the loop that called them.
        """
        state = self._state
        if state & CALLED:
            if state & SWALLOW:
                self._state = state - SWALLOW
                return None
            places = "" if self._note is None else self._note.places()
            raise AlreadyCalledError(f"{self!r} was fired already. {places}".rstrip())
        if isinstance(outcome, Deferred):
            raise TypeError("fire a Deferred with a value, not with a Deferred: other.chain(this) links them")
        self._state = state | CALLED
        self._result = outcome
        self._canceller = None
        if state & DEBUG and self._note is not None:
            self._note.fired = stack_text(3)
        if self._callbacks is None and not isinstance(outcome, Failure):
            return None
        return self

    # Callbacks

    @overload
    def add_callback(
        self, callback: Callable[Concatenate[T, P], Deferred[U]], *args: P.args, **kwargs: P.kwargs
    ) -> Deferred[U]: ...
    @overload
    def add_callback(
        self, callback: Callable[Concatenate[T, P], Failure | U], *args: P.args, **kwargs: P.kwargs
    ) -> Deferred[U]: ...
    def add_callback(self, callback: Callable[..., Any], *args: Any, **kwargs: Any) -> Deferred[Any]:
        """Call `callback(value, *args, **kwargs)` when there is a value; return this same Deferred.

        Where it has fired already, the call is made at once.  A failure passes by.
        """
        entry = (callback, None, (args, kwargs) if args or kwargs else None)
        if self._callbacks is None:
            self._callbacks = [entry]
        else:
            self._callbacks.append(entry)
        try:
            if self._state & CALLED:
                run(self)
            return self
        finally:
            del self

    @overload
    def add_errback(
        self, errback: Callable[Concatenate[Failure, P], Deferred[U]], *args: P.args, **kwargs: P.kwargs
    ) -> Deferred[T | U]: ...
    @overload
    def add_errback(
        self, errback: Callable[Concatenate[Failure, P], Failure], *args: P.args, **kwargs: P.kwargs
    ) -> Deferred[T]: ...
    @overload
    def add_errback(
        self, errback: Callable[Concatenate[Failure, P], Failure | U], *args: P.args, **kwargs: P.kwargs
    ) -> Deferred[T | U]: ...
    def add_errback(self, errback: Callable[..., Any], *args: Any, **kwargs: Any) -> Deferred[Any]:
        """Call `errback(failure, *args, **kwargs)` if the outcome is a failure; return this same Deferred.

        What it returns is a value again; to pass the failure on, return it.
        """
        try:
            return self._add(None, errback, (args, kwargs) if args or kwargs else None)
        finally:
            del self

    @overload
    def add_both(
        self, function: Callable[Concatenate[Any, P], Deferred[U]], *args: P.args, **kwargs: P.kwargs
    ) -> Deferred[U]: ...
    @overload
    def add_both(
        self, function: Callable[Concatenate[Any, P], Failure | U], *args: P.args, **kwargs: P.kwargs
    ) -> Deferred[U]: ...
    def add_both(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Deferred[Any]:
        """Call `function(outcome, *args, **kwargs)` with the value or the Failure; return this Deferred."""
        try:
            return self._add(function, function, (args, kwargs) if args or kwargs else None)
        finally:
            del self

    def add_callbacks(
        self,
        callback: Callable[[T], Deferred[U] | Failure | U],
        errback: Callable[[Failure], Deferred[V] | Failure | V],
    ) -> Deferred[U | V]:
        """Call `callback` with a value or `errback` with a failure, never both; return this same Deferred."""
        try:
            return self._add(callback, errback, None)
        finally:
            del self

    def _add(self, on_value: Any, on_failure: Any, extra: Any) -> Deferred[Any]:
        callbacks = self._callbacks
        if callbacks is None:
            self._callbacks = [(on_value, on_failure, extra)]
        else:
            callbacks.append((on_value, on_failure, extra))
        try:
            if self._state & CALLED:
                run(self)
            return self
        finally:
            del self

    def watch(self, function: Callable[[Any], Deferred[Any] | None]) -> None:
        """Call `function` with the outcome when its turn comes, and leave the outcome as it is.

        A failure counts as taken.  `function` must not raise, and may return a Deferred that it has settled
        with `resolve`: the loop runs that one's callbacks next.
        """
        self._add(function, None, WATCH)

    def chain(self, other: Deferred[T]) -> Deferred[T]:
        """Give the outcome to `other` as well, which nobody else may fire then; its `cancel` cancels this."""
        if other is self:
            raise WaitsForItselfError(f"{self!r} cannot wait for itself")
        if other._state & CALLED:
            raise AlreadyCalledError(f"{other!r} was fired already, nothing can be chained to it")
        other._state = (other._state | CALLED) + PAUSED
        other._canceller = None
        other._waits_for = self
        return self._add(other, None, CHAIN)

    # Holding up, giving up

    def pause(self) -> None:
        """Run no callbacks until `unpause` was called as often."""
        self._state += PAUSED

    def unpause(self) -> None:
        """Take one `pause` back; at the last one the callbacks that wait are run."""
        if self._state < PAUSED * (2 if self._waits_for is not None else 1):
            raise NotFiredError(f"{self!r} is not paused")
        self._state -= PAUSED
        if self._state & CALLED:
            run(self)
        del self

    def cancel(self) -> None:
        """Stop the work behind it, or behind the Deferred that it waits for; nothing if there is an outcome.

        The canceller may fire the Deferred with what fits; if it does not, it fails with CancelledError, and
        one result that comes later is dropped.
        """
        last: Deferred[Any] = self
        while last._state & CALLED:
            inner = last._waits_for
            if inner is None:
                return
            last = inner
        try:
            last._cancel_work()
        finally:
            del self, last

    def _cancel_work(self) -> None:
        canceller, self._canceller = self._canceller, None
        failure: Failure | None = None
        if canceller is not None:
            try:
                canceller(self)
            except (Exception, CancelledError) as error:
                failure = Failure(error)
        if not self._state & (CALLED | PATIENT):
            self.resolve(failure or Failure(CancelledError()))
            self._state |= SWALLOW
            run(self)
        elif failure is not None:
            report(failure, "")
        del self, failure

    def undelivered(self, value: T) -> None:
        """Called when a coroutine was cancelled after this fired for it and before it saw `value`.

        Whoever gives out what must not get lost (a lock, an item of a queue) overrides it to take it back.
        """

    @overload
    def add_timeout(self, seconds: float, clock: Clock, *, what: str = ...) -> Deferred[T]: ...
    @overload
    def add_timeout(
        self, seconds: float, clock: Clock, on_timeout: Callable[[Failure, float], U], *, what: str = ...
    ) -> Deferred[T | U]: ...
    def add_timeout(
        self,
        seconds: float,
        clock: Clock,
        on_timeout: Callable[[Failure, float], Any] | None = None,
        *,
        what: str = "the operation",
    ) -> Deferred[Any]:
        """Cancel after `seconds`; the failure by that becomes TimeoutError, or what `on_timeout` returns.

        `what` names the work in the error's message.
        """
        from sshkit.deferred.timeouts import add_timeout

        return add_timeout(self, seconds, clock, on_timeout, what)

    # Reading

    def result(self) -> T:
        """Return the value, or raise the failure's exception; NotFiredError while there is no outcome."""
        if not self._state & CALLED or self._state >= RUNNING:
            raise NotFiredError(f"{self!r} has no outcome yet")
        outcome = self._result
        if isinstance(outcome, Failure):
            self._give()
            error = outcome.exception.with_traceback(outcome.traceback)
            del self, outcome
            try:
                raise error
            finally:
                del error
        return cast("T", outcome)

    def __await__(self) -> Generator[Any, None, T]:
        if self._state & CALLED and self._state < RUNNING:
            outcome = self._result
            if outcome.__class__ is Failure:
                self._give()
                del self
        else:
            waiter = Waiter(self)
            try:
                yield waiter
                outcome = waiter.outcome
            finally:
                del waiter, self
        if isinstance(outcome, Failure):
            error = outcome.exception.with_traceback(outcome.traceback)
            del outcome
            try:
                raise error
            finally:
                del error
        return cast("T", outcome)

    def _give(self) -> None:
        """Note that somebody has taken the failure: it is not reported when this Deferred is dropped."""
        self._state |= GIVEN
        if self._note is not None:
            self._note.failure = None

    def __repr__(self) -> str:
        state = self._state
        if not state & CALLED:
            text = "not fired"
        elif self._waits_for is not None:
            text = f"waits for a Deferred at {id(self._waits_for):#x}"
        elif isinstance(self._result, Failure):
            text = f"failed with {type(self._result.exception).__qualname__}"
        else:
            text = f"fired with {type(self._result).__qualname__}"
        return f"<{type(self).__qualname__} at {id(self):#x}: {text}>"


def run(current: Deferred[Any]) -> None:
    """Run the callbacks of a Deferred that was fired, and of those that wait for it, in one loop.

    Where an entry settles another Deferred, that one's callbacks come next and the rest of the present
    ones after them: the order in which nested calls would have run.
    """
    above: list[Deferred[Any]] | None = None  # those with callbacks left, to go on with after this one
    leaving: BaseException | None = None
    settled: Any = None
    outcome: Any
    while True:
        if current._state < RUNNING:
            outcome = current._result
            failed = outcome.__class__ is Failure
            current._state += RUNNING
            entries = iter(current._callbacks or ())  # sees what is added while it is walked
            for on_value, on_failure, extra in entries:
                if extra is None or extra.__class__ is tuple:
                    if failed:
                        on_value = on_failure
                    if on_value is None:
                        continue
                    try:
                        if extra is None:
                            outcome = on_value(outcome)
                        else:
                            outcome = on_value(outcome, *extra[0], **extra[1])
                    except BaseException as error:
                        outcome = Failure(error)
                        current._state &= ~GIVEN
                        if isinstance(error, EXITS):
                            leaving = error
                    if isinstance(outcome, Carrier):
                        if isinstance(outcome, Deferred):
                            outcome = _follow(current, outcome)
                        failed = outcome.__class__ is Failure
                    else:
                        failed = False
                    if current._state < PAUSED:
                        continue
                else:
                    if failed:
                        current._state |= GIVEN
                    if extra is CHAIN:
                        settled = on_value
                        settled._result = outcome
                        settled._waits_for = None
                        settled._state -= PAUSED
                    else:
                        try:
                            settled = on_value(outcome)
                        except BaseException as error:
                            leaving = error
                    if settled is None and current._state < PAUSED:
                        continue
                current._callbacks = [*entries] or None
                break
            else:
                current._callbacks = None
            current._result = outcome
            current._state -= RUNNING
        if current._note is not None or current._result.__class__ is Failure:
            _note_outcome(current)
        if settled is not None:
            if current._callbacks is not None:
                if above is None:
                    above = [current]
                else:
                    above.append(current)
            current = settled
            settled = None
        elif above:
            current = above.pop()
        else:
            break
    # The traceback in a Failure holds this frame, which must not hold the Deferred in turn.
    current = above = entries = on_value = on_failure = extra = outcome = None  # type: ignore[assignment]
    if leaving is not None:
        try:
            raise leaving
        finally:
            del leaving


def _follow(current: Deferred[Any], inner: Deferred[Any]) -> Any:
    """Return the outcome of the Deferred that a callback returned, or have `current` wait for it."""
    if inner is current:
        return Failure(WaitsForItselfError(f"a callback of {current!r} returned that Deferred itself"))
    state = inner._state
    if state & CALLED and state < RUNNING:
        outcome = inner._result
        if outcome.__class__ is Failure:
            inner._give()
        return outcome
    current._waits_for = inner
    current._state += PAUSED
    if inner._callbacks is None:
        inner._callbacks = [(current, None, CHAIN)]
    else:
        inner._callbacks.append((current, None, CHAIN))
    return None


def _note_outcome(current: Deferred[Any]) -> None:
    """See to it that a failure nobody has taken is reported when `current` is dropped."""
    note = current._note
    outcome = current._result
    if current._state & RUNNING:
        return
    if outcome.__class__ is not Failure or current._state & GIVEN:
        if note is not None:
            note.failure = None
        return
    if note is None:
        note = current._note = Note()
    note.failure = outcome
