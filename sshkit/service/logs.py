"""Structured logs over the standard library's `logging`: formatters, and fields that hold for a while.

Imports `logging`: loaded by programs that log, through `run_service` or by name.
"""

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from sshkit_keys.text import printable

from .errors import OptionError

_context: ContextVar[Mapping[str, Any] | None] = ContextVar("log_context", default=None)

#: Fields that a record has of its own in JSON; a context may not hide them.
OWN_FIELDS = ("time", "level", "logger", "message", "process", "exception", "stack")

#: What `logging` itself puts on a record; everything else came by `extra=`.
_STANDARD = {*logging.makeLogRecord({}).__dict__, "message", "asctime", "taskName"}

MAX_MESSAGE = 64 * 1024  #: characters of one message of the text format


@contextmanager
def log_context(**fields: Any) -> Iterator[None]:
    """Give every record that is logged inside these fields, in this coroutine and those it starts."""
    taken = [name for name in fields if name in OWN_FIELDS]
    if taken:
        raise ValueError(f"log_context: {', '.join(taken)} is a field of every record; choose another name")
    token = _context.set({**(_context.get() or {}), **fields})
    try:
        yield
    finally:
        _context.reset(token)


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """Return the fields of the context, and over them those of `extra=`."""
    extra = {name: value for name, value in record.__dict__.items() if name not in _STANDARD}
    return {**(_context.get() or {}), **extra}


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")


class JSONFormatter(logging.Formatter):
    """One JSON object a line, in ASCII: time, level, logger, message, process, the fields, exception."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; a value that JSON does not know is written as text."""
        own: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "process": record.process,
        }
        if record.exc_info and record.exc_info[0] is not None:
            own["exception"] = self.formatException(record.exc_info)
        elif record.exc_text:
            own["exception"] = record.exc_text
        if record.stack_info:
            own["stack"] = self.formatStack(record.stack_info)
        fields = {name: value for name, value in fields_of(record).items() if name not in OWN_FIELDS}
        try:
            return json.dumps({**own, **fields}, default=str, allow_nan=False)
        except Exception:  # a cycle, a key of another type, NaN, a __str__ that raises
            return json.dumps({**own, **{name: _text(value) for name, value in fields.items()}})


class TextFormatter(logging.Formatter):
    """A line for people: time, level, logger, message and fields; control characters are escaped."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, and the traceback below it if there is one."""
        fields = "".join(f" {printable(name)}={_text(value)}" for name, value in fields_of(record).items())
        message = printable(record.getMessage(), MAX_MESSAGE)
        line = f"{_time(record)} {record.levelname} {record.name}: {message}{fields}"
        if record.exc_info and record.exc_info[0] is not None:
            line += "\n" + printable(self.formatException(record.exc_info), MAX_MESSAGE, keep="\n")
        return line


def _text(value: Any) -> str:
    try:
        return printable(value if isinstance(value, str) else repr(value))
    except Exception as error:
        return f"<{type(value).__name__}, whose repr raises {type(error).__name__}>"


class LogFile(logging.FileHandler):
    """A log in a file, which can be opened anew."""

    def __init__(self, path: str) -> None:
        super().__init__(path, encoding="utf-8", errors="backslashreplace")
        self.path = path

    def reopen(self) -> None:
        """Go on in the file of that path; OSError, and the old one stays, where that fails."""
        stream = self._open()
        self.acquire()
        try:
            old, self.stream = self.stream, stream
        finally:
            self.release()
        if old is not None:
            old.close()


def open_log(path: str | None, log_format: str) -> logging.Handler:
    """Return a handler that appends to the file, or writes to standard error; raises OptionError."""
    handler: logging.Handler
    try:
        handler = LogFile(path) if path else logging.StreamHandler()
    except OSError as error:
        raise OptionError(f"--log {printable(path or '', 4096)}: {error.strerror}") from error
    handler.setFormatter(JSONFormatter() if log_format == "json" else TextFormatter())
    return handler
