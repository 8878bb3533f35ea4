"""The audit log: every input of every session, with who it was, when, and what became of it.

Made by whoever serves a manhole, called by the interpreter.  One line an entry; control characters of the
source are escaped, so that nobody writes a line of his own into the log.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from os import O_APPEND, O_CLOEXEC, O_CREAT, O_WRONLY, PathLike, close, fsencode, write
from os import open as open_file
from typing import TYPE_CHECKING, Any, Final

from sshkit_keys.text import printable

if TYPE_CHECKING:
    from logging import Logger

    from .interpreter import Outcome

#: Characters of an input that one entry holds.
LONGEST_ENTRY: Final = 100_000

Log = Callable[[str], object]


class Audit:
    """Writes entries to a function, a `logging.Logger` (level INFO) or a file (appended, mode 0600)."""

    __slots__ = ("_log", "_now")

    def __init__(
        self,
        log: "Log | Logger | str | PathLike[str]",
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._log: Log = to_log(log)
        self._now = now

    def entered(self, person: str, source: str) -> None:
        """Note an input before it runs."""
        self._entry(person, "entered", printable(source, LONGEST_ENTRY))

    def ended(self, person: str, outcome: "Outcome") -> None:
        """Note what became of the input."""
        if outcome.exit_status is not None:
            what = f"exit {outcome.exit_status}"
        elif outcome.cancelled:
            what = "interrupted"
        else:
            what = "raised" if outcome.raised else "done"
        self._entry(person, "ended", what)

    def noted(self, person: str, what: str) -> None:
        """Note something else: a session that begins or ends, an input that is refused."""
        self._entry(person, "noted", printable(what, LONGEST_ENTRY))

    def _entry(self, person: str, kind: str, what: str) -> None:
        time = self._now().isoformat(timespec="milliseconds")
        self._log(f"{time} {printable(person or 'somebody')} {kind}: {what}")


def to_log(log: Any) -> Log:
    """Return the function that takes one line."""
    if isinstance(log, (str, PathLike)):
        return file_log(fsencode(log))
    info = getattr(log, "info", None)
    if info is None:
        if not callable(log):
            raise TypeError(f"an audit log is a function, a logger or a path, not {type(log).__name__}")
        taken: Log = log
        return taken

    def to_logger(line: str) -> object:
        return info("%s", line)

    return to_logger


def file_log(path: bytes) -> Log:
    """Return a function that appends a line to the file, opened for each: it may be rotated away."""

    def append(line: str) -> None:
        descriptor = open_file(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o600)
        try:
            write(descriptor, line.encode("utf-8", "backslashreplace") + b"\n")
        finally:
            close(descriptor)

    close(open_file(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o600))  # an error is of the caller's
    return append
