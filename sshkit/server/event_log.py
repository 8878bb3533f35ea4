"""The server's log: one line an event, to standard error, a file or syslog.

The command sshkit-server hands an EventLog to `Server`.  Every line is escaped as a whole, whatever a peer
put into it (R36); an error of our own is shown with its place, and its traceback in a debug log only.
"""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from sshkit_keys.text import printable

if TYPE_CHECKING:
    from types import TracebackType

#: As sshd's LogLevel numbers them.
LEVELS = {"fatal": 1, "error": 2, "info": 3, "verbose": 4, "debug": 5}
DEBUG = 5
MAX_LINE = 8192  #: characters

Sink = Callable[[int, str], object]


class EventLog:
    """Called with a level, a text and perhaps the error behind it."""

    __slots__ = ("level", "sink")

    def __init__(self, level: int, sink: Sink) -> None:
        self.level = level
        self.sink = sink

    def __call__(self, level: str, text: str, error: BaseException | None = None) -> None:
        number = LEVELS[level]
        if number > self.level:
            return
        if error is not None and error.__traceback__ is not None:
            text = f"{text} ({_place(error.__traceback__)})"
        self.sink(number, printable(text, MAX_LINE))
        if error is not None and self.level >= DEBUG:
            from traceback import format_exception

            for part in format_exception(error):
                for line in part.rstrip().splitlines():
                    self.sink(DEBUG, printable(line, MAX_LINE))


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
