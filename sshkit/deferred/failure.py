"""Failure: an exception on its way through callbacks; and the last word on one nobody took.

Called by Deferred, which turns an exception into a Failure and hands it to the next errback.  The traceback
is the exception's own, whole, as it was when the Failure was made: a later `raise` of the same exception
lengthens the exception's traceback, not the Failure's.

A traceback holds its frames, a frame its variables and its callers.  What lives in a Failure therefore stays
alive as long as it does; the functions of this room clear their own variables, so that a Deferred, its
Failure and their frames make no circle and go at once when they are dropped.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NoReturn, final

from sshkit_keys.text import printable

from sshkit.deferred.cancelled import CancelledError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    #: Called with the failure and, in debug mode, where its Deferred was made and fired ("" otherwise).
    UnhandledHandler = Callable[["Failure", str], None]

#: Frames kept of the place where a Deferred was made or fired: deeper ones are the reactor's.
DEBUG_FRAMES = 12

#: Characters of a message, or of a line of a traceback, that are shown: more is no help to a reader.
LINE_LIMIT = 4096


class Carrier:
    """What a callback may return that is no plain value: the base of Failure and Deferred.

    One `isinstance` test in the callback loop instead of two.
    """

    __slots__ = ()


@final
class Failure(Carrier):
    """An exception and its traceback, as a value."""

    __slots__ = ("exception", "traceback")

    exception: BaseException
    traceback: TracebackType | None

    def __init__(self, exception: BaseException | None = None) -> None:
        """Hold `exception`, or the one that is being handled."""
        if exception is None:
            exception = sys.exception()
            if exception is None:
                raise TypeError("Failure() without an exception works inside an except clause only")
        elif not isinstance(exception, BaseException):
            raise TypeError(f"a Failure holds an exception, not {type(exception).__name__}")
        self.exception = exception
        self.traceback = exception.__traceback__

    def check(self, *types: type[BaseException]) -> type[BaseException] | None:
        """Return the first of `types` that the exception is an instance of, or None."""
        for kind in types:
            if isinstance(self.exception, kind):
                return kind
        return None

    def trap(self, *types: type[BaseException]) -> type[BaseException]:
        """Return the first of `types` that fits; raise the exception where none does."""
        kind = self.check(*types)
        if kind is None:
            self.raise_exception()
        return kind

    def raise_exception(self) -> NoReturn:
        """Raise the exception with the traceback that it came with."""
        error = self.exception.with_traceback(self.traceback)
        del self
        try:
            raise error
        finally:
            del error

    def text(self, *, traceback: bool = False) -> str:
        """Return the exception's type and message, control characters escaped; on request its traceback."""
        if not traceback:
            return str(self)
        from traceback import TracebackException

        report = TracebackException(type(self.exception), self.exception, self.traceback)
        return "".join(printable(line, LINE_LIMIT, keep="\n") for line in report.format())

    def __str__(self) -> str:
        message = printable(str(self.exception), LINE_LIMIT)
        name = type(self.exception).__qualname__
        return f"{name}: {message}" if message else name

    def __repr__(self) -> str:
        return f"<Failure {self}>"


class Note:
    """What is known about one Deferred beyond its value; there is none on the ordinary path.

    It exists in debug mode, and for a Deferred that ended in a failure.  `failure` is set while nobody has
    taken that failure: when the Deferred is dropped, its Note goes with it and reports.
    """

    __slots__ = ("failure", "fired", "made")

    def __init__(self, made: str = "") -> None:
        self.failure: Failure | None = None
        self.made = made
        self.fired = ""

    def places(self) -> str:
        """Return where the Deferred was made and fired, as far as it is known."""
        text = f"The Deferred was made at:\n{self.made}" if self.made else ""
        return f"{text}It was fired at:\n{self.fired}" if self.fired else text

    def __del__(self) -> None:
        failure = self.failure
        if failure is not None:
            self.failure = None
            report(failure, self.places())


def log_unhandled(failure: Failure, places: str) -> None:
    """Log one failure that nobody took, with its traceback, as an error of the logger `sshkit`."""
    try:
        import logging
    except ImportError:  # the interpreter is going down
        return
    error = failure.exception
    logging.getLogger("sshkit").error(
        "Unhandled failure in a Deferred: %s%s",
        failure,
        f"\n{places}" if places else "",
        exc_info=(type(error), error, failure.traceback),
    )


_handler: UnhandledHandler = log_unhandled


def set_unhandled_handler(handler: UnhandledHandler | None) -> UnhandledHandler:
    """Have failures that nobody took given to `handler` (None: logged again); return the one before.

    It is called while an object is destroyed, perhaps by garbage collection in another thread, and must
    not raise.
    """
    global _handler
    before = _handler
    _handler = log_unhandled if handler is None else handler
    return before


def report(failure: Failure, places: str) -> None:
    """Give a failure that nobody took to the handler; a cancellation is nobody's fault and goes silently."""
    if not isinstance(failure.exception, CancelledError):
        _handler(failure, places)


def stack_text(skip: int) -> str:
    """Return the calling frames, the innermost last, one a line; `skip` of our own left out."""
    lines: list[str] = []
    frame: Any = sys._getframe(skip)
    while frame is not None and len(lines) < DEBUG_FRAMES:
        code = frame.f_code
        lines.append(f"  {code.co_filename}:{frame.f_lineno} in {code.co_qualname}\n")
        frame = frame.f_back
    return "".join(reversed(lines))
