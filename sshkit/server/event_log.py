"""The server's log: one line an event, to standard error, a file or syslog; as text or as JSON.

The command sshkit-server hands an EventLog to `Server`.  Every line is escaped as a whole, whatever a peer
put into it (R36); an error of our own is shown with its place, and its traceback in a debug log only.  In the
JSON form the facts of an event stand in fields of their own, beside the same text.
"""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from sshkit_keys.text import printable

if TYPE_CHECKING:
    from types import FrameType, TracebackType

#: As sshd's LogLevel numbers them.
LEVELS = {
    "fatal": 1,
    "error": 2,
    "info": 3,
    "verbose": 4,
    "debug": 5,
    "debug1": 5,
    "debug2": 6,
    "debug3": 7,
}
DEBUG = 5
MAX_LINE = 8192  #: characters
MAX_FIELDS: Final = 32
MAX_FIELD: Final = 1024  #: characters of one field
#: Never shown, whoever hands them over (R43).
SECRETS: Final = frozenset(("password", "passphrase", "secret", "private_key", "new_password", "answers"))
#: Functions that only pass an event on: the place of an event is who called them.
PASS_ON: Final = frozenset(("log", "log_error", "_log", "_tell", "__call__"))

Sink = Callable[[int, str], object]


class EventLog:
    """Called with a level, a text, perhaps the error behind it, and perhaps the facts in `fields`.

    `as_json` makes each line an object: `time` (RFC 3339, UTC), `level`, `event` and the fields.  Events of
    places that match `verbose` (LogVerbose: "file.py:function:line" with wildcards) are logged at any level.
    """

    __slots__ = ("_dumps", "_now", "_verbose", "level", "sink")

    def __init__(
        self,
        level: int,
        sink: Sink,
        *,
        as_json: bool = False,
        verbose: Sequence[str] = (),
        now: Callable[[], float] | None = None,
    ) -> None:
        self.level = level
        self.sink = sink
        self._verbose = tuple(verbose)
        self._now = now
        self._dumps: Callable[..., str] | None = None
        if as_json:
            from json import dumps

            self._dumps = dumps

    def __call__(
        self,
        level: str,
        text: str,
        error: BaseException | None = None,
        fields: Mapping[str, Any] | None = None,
    ) -> None:
        number = LEVELS[level]
        if number > self.level and not (self._verbose and self._is_wanted(sys._getframe(1))):
            return
        if self._dumps is not None:
            self._write_json(level, number, text, error, fields)
            return
        if error is not None and error.__traceback__ is not None:
            text = f"{text} ({_place(error.__traceback__)})"
        self.sink(number, printable(text, MAX_LINE))
        if error is not None and self.level >= DEBUG:
            for line in _traceback(error):
                self.sink(DEBUG, line)

    def _write_json(
        self,
        level: str,
        number: int,
        text: str,
        error: BaseException | None,
        fields: Mapping[str, Any] | None,
    ) -> None:
        assert self._dumps is not None
        record: dict[str, Any] = {"time": self._time(), "level": level, "event": printable(text, MAX_LINE)}
        for name in list(fields or ())[:MAX_FIELDS]:
            if fields and name not in record and fields[name] is not None:
                record[name] = "(not shown)" if name in SECRETS else _plain(fields[name])
        if error is not None:
            record["error"] = printable(f"{type(error).__name__}: {error}", MAX_FIELD)
            if error.__traceback__ is not None:
                record["place"] = _place(error.__traceback__)
            if self.level >= DEBUG:
                record["traceback"] = _traceback(error)
        self.sink(number, self._dumps(record))

    def _time(self) -> str:
        from time import gmtime, strftime, time

        seconds = time() if self._now is None else self._now()
        whole = int(seconds // 1)
        return f"{strftime('%Y-%m-%dT%H:%M:%S', gmtime(whole))}.{int((seconds - whole) * 1000):03d}Z"

    def _is_wanted(self, frame: "FrameType | None") -> bool:
        """Say whether LogVerbose names the place of an event."""
        from fnmatch import fnmatchcase

        while frame is not None and frame.f_code.co_name in PASS_ON:
            frame = frame.f_back
        if frame is None:
            return False
        code = frame.f_code
        place = f"{os.path.basename(code.co_filename)}:{code.co_name}():{frame.f_lineno}"
        return any(fnmatchcase(place, pattern) for pattern in self._verbose)


def _plain(value: Any) -> Any:
    """Return what JSON can hold: numbers and truth as they are, all else as text."""
    if isinstance(value, (bool, int, float)):
        return value
    return printable(value if isinstance(value, (str, bytes)) else str(value), MAX_FIELD)


def _traceback(error: BaseException) -> list[str]:
    from traceback import format_exception

    lines = [line for part in format_exception(error) for line in part.rstrip().splitlines()]
    return [printable(line, MAX_LINE) for line in lines]


def _place(traceback: "TracebackType") -> str:
    """Return where the error came from, "file.py:line"."""
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    return f"{os.path.basename(traceback.tb_frame.f_code.co_filename)}:{traceback.tb_lineno}"


def descriptor_sink(descriptor: int, stamped: bool) -> Sink:
    """Return a sink that writes to a descriptor, with the time in front where `stamped`."""

    def write(level: int, text: str) -> None:
        if stamped:
            from time import strftime

            text = f"{strftime('%Y-%m-%dT%H:%M:%S%z')} {text}"
        try:
            os.write(descriptor, f"{text}\n".encode())
        except OSError:
            pass  # a log that nobody can take any more must not end the server

    return write


def syslog_sink(facility: str) -> Sink:
    """Return a sink that writes to the system's log."""
    import syslog

    syslog.openlog("sshkit-server", syslog.LOG_PID, getattr(syslog, f"LOG_{facility.upper()}"))
    priorities = (syslog.LOG_CRIT, syslog.LOG_CRIT, syslog.LOG_ERR, syslog.LOG_INFO, syslog.LOG_INFO)

    def write(level: int, text: str) -> None:
        syslog.syslog(priorities[level] if level < len(priorities) else syslog.LOG_DEBUG, text)

    return write


def catch_library_logs(log: EventLog) -> None:
    """Send what modules report through `logging` to this log as well."""
    import logging

    class ToEventLog(logging.Handler):
        """Hands each record on."""

        def emit(self, record: logging.LogRecord) -> None:
            level = "error" if record.levelno >= logging.ERROR else "info"
            log(level, record.getMessage(), record.exc_info[1] if record.exc_info else None)

    root = logging.getLogger("sshkit")
    root.addHandler(ToEventLog())
    root.propagate = False
