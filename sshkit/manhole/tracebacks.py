"""Tracebacks as a person wants them: the frames of their own code and of the program's, none of ours.

Called by the interpreter for what an input raised, and by `%tb`.
"""

from pathlib import Path
from types import TracebackType
from typing import Any, Final

from sshkit_keys.text import printable

from .display import Limits, render

_HERE: Final = Path(__file__).parent
#: Frames of files in these folders are how the code was run, not what it did.
_OURS: Final = (f"{_HERE}/", f"{_HERE.parent / 'deferred'}/")

#: Characters of one exception's text that are shown.
LONGEST_MESSAGE: Final = 20_000


def is_ours(filename: str) -> bool:
    """True for a file of the machinery."""
    return filename.startswith(_OURS)


def user_frames(error: BaseException) -> TracebackType | None:
    """Return the traceback from the first frame that is not the machinery's."""
    traceback = error.__traceback__
    while traceback is not None and is_ours(traceback.tb_frame.f_code.co_filename):
        traceback = traceback.tb_next
    return traceback


def without_ours(error: BaseException) -> BaseException:
    """Return the exception, its traceback beginning in the user's code."""
    return error.with_traceback(user_frames(error))


def one_line(error: BaseException) -> str:
    """Return the last line of a traceback."""
    try:
        said = str(error)
    except Exception:
        said = "<its text cannot be had>"
    name = type(error).__qualname__
    return f"{name}: {printable(said)}" if said else name


def traceback_text(error: BaseException, limits: Limits, *, show_locals: bool = False) -> str:
    """Return the traceback of an exception, with causes and groups, as Python prints them."""
    from traceback import TracebackException

    formatted = TracebackException.from_exception(error, compact=True)
    _clean(formatted, error, limits, show_locals, set())
    pieces: list[str] = []
    left = limits.characters
    for line in formatted.format():
        if left < len(line):
            pieces.append(line[: max(left, 0)] + "...\n[cut]\n")
            break
        pieces.append(line)
        left -= len(line)
    return "".join(pieces)


def _clean(formatted: Any, error: BaseException, limits: Limits, show_locals: bool, seen: set[int]) -> None:
    """Take our frames out of a formatted exception, its causes and the members of a group."""
    if id(error) in seen:
        return
    seen.add(id(error))
    if isinstance(error, SyntaxError) and error.__traceback__ is not None and not user_frames(error):
        formatted.stack.clear()
    if show_locals:
        _add_locals(formatted.stack, error.__traceback__, limits)
    formatted.stack[:] = [frame for frame in formatted.stack if not is_ours(frame.filename)]
    for inner, cause in (
        (formatted.__cause__, error.__cause__),
        (formatted.__context__, error.__context__),
    ):
        if inner is not None and cause is not None:
            _clean(inner, cause, limits, show_locals, seen)
    if formatted.exceptions is not None and isinstance(error, BaseExceptionGroup):
        for inner, member in zip(formatted.exceptions, error.exceptions, strict=False):
            _clean(inner, member, limits, show_locals, seen)


def _add_locals(stack: Any, traceback: TracebackType | None, limits: Limits) -> None:
    small = Limits(500, 5, min(limits.depth, 3), 10, limits.seconds)
    for frame in stack:
        if traceback is None:
            return
        frame.locals = {
            printable(name): render(value, small, width=70).text
            for name, value in list(traceback.tb_frame.f_locals.items())[: limits.items]
            if not name.startswith("__")
        }
        traceback = traceback.tb_next
