"""The lines of a recording: a header, then an event each (asciicast, versions 2 and 3).

Source: the published descriptions of asciicast v2 and v3.  Version 2 has times since the begin and the size
as width and height; version 3 has the time since the event before, the size in ``term``, and an exit event.
`parse_*` are called by `reader`, `format_*` by `recorder`.
"""

import json
from math import isfinite
from typing import Any, NamedTuple

from sshkit_keys.errors import SSHKitError
from sshkit_keys.text import printable, quoted

OUTPUT, INPUT, MARKER, RESIZE, EXIT = "o", "i", "m", "r", "x"
MAX_SIDE = 10_000  #: columns or rows
MAX_SECONDS = 10 * 365 * 86400.0  #: no recording is longer; a larger number is damage


class RecordingError(SSHKitError):
    """A recording cannot be made or read; the message has file and line."""


class Header(NamedTuple):
    """What the first line says."""

    version: int
    columns: int
    rows: int
    timestamp: int | None = None  #: seconds since 1970
    command: str | None = None
    title: str | None = None
    terminal: str = ""  #: the value of TERM
    idle_limit: float | None = None
    environment: dict[str, str] = {}  # noqa: RUF012 - never changed


class Event(NamedTuple):
    """One line: `time` is seconds since the begin, in every version."""

    time: float
    code: str
    data: str

    @property
    def size(self) -> tuple[int, int]:
        """Columns and rows of a resize."""
        columns, _, rows = self.data.partition("x")
        return int(columns), int(rows)


def format_header(header: Header) -> str:
    """Return the first line."""
    fields: dict[str, Any] = {"version": header.version}
    if header.version == 2:
        fields.update(width=header.columns, height=header.rows)
    else:
        term: dict[str, Any] = {"cols": header.columns, "rows": header.rows}
        if header.terminal:
            term["type"] = header.terminal
        fields["term"] = term
    for name, value in (
        ("timestamp", header.timestamp),
        ("idle_time_limit", header.idle_limit),
        ("command", header.command),
        ("title", header.title),
    ):
        if value is not None:
            fields[name] = value
    environment = dict(header.environment)
    if header.terminal and header.version == 2:
        environment["TERM"] = header.terminal
    if environment:
        fields["env"] = environment
    return _line(fields)


def format_event(time: float, code: str, data: str) -> str:
    """Return the line of an event; `time` as the version has it."""
    return _line([round(time, 6), code, data])


def parse_header(line: bytes, source: str) -> Header:
    """Return what the first line says; raises RecordingError."""
    place = f"{source}:1"
    fields = _value(line, place)
    if not isinstance(fields, dict):
        raise RecordingError(f"{place}: no header of a recording")
    version = fields.get("version")
    if version not in (2, 3) or isinstance(version, bool):
        raise RecordingError(f"{place}: version {printable(repr(version), 40)}; 2 and 3 are known")
    if version == 2:
        width, height, terminal = fields.get("width"), fields.get("height"), ""
    else:
        term = fields.get("term")
        if not isinstance(term, dict):
            raise RecordingError(f"{place}: no 'term'")
        width, height, terminal = term.get("cols"), term.get("rows"), term.get("type") or ""
    columns, rows = (_side(side, place) for side in (width, height))
    environment = fields.get("env") or {}
    if not isinstance(environment, dict) or not all(isinstance(v, str) for v in environment.values()):
        raise RecordingError(f"{place}: 'env' has no texts by name")
    stamp = fields.get("timestamp")
    return Header(
        version,
        columns,
        rows,
        None if stamp is None else int(_number(stamp, "timestamp", place, 1e12)),
        _text(fields, "command", place),
        _text(fields, "title", place),
        str(terminal or environment.get("TERM", "")),
        None
        if fields.get("idle_time_limit") is None
        else _number(fields["idle_time_limit"], "idle_time_limit", place),
        environment,
    )


def parse_event(line: bytes, version: int, last: float, place: str) -> Event:
    """Return an event; `last` is the time of the one before.  Raises RecordingError."""
    fields = _value(line, place)
    if not isinstance(fields, list) or len(fields) != 3:
        raise RecordingError(f"{place}: no event [time, code, data]")
    seconds, code, data = fields
    time = _number(seconds, "the time", place)
    if not isinstance(code, str) or len(code) != 1 or not code.isprintable():
        raise RecordingError(f"{place}: {printable(repr(code), 40)} is no code of an event")
    if not isinstance(data, str):
        raise RecordingError(f"{place}: the data is no text")
    # Of two that were written at the same time by two hands, the later line may have the earlier time.
    time = max(time, last) if version == 2 else last + time
    if time > MAX_SECONDS:
        raise RecordingError(f"{place}: a time of {time:g} seconds")
    event = Event(time, code, data)
    if code == RESIZE:
        words = data.split("x")
        if len(words) != 2 or not all(word.isascii() and word.isdigit() and len(word) < 6 for word in words):
            raise RecordingError(f"{place}: {quoted(data, 40)} is no size")
        for word in words:
            _side(int(word), place)
    return event


def _line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(", ", ": ")) + "\n"


def _value(line: bytes, place: str) -> Any:
    def no_constant(word: str) -> Any:
        raise ValueError(f"{word} is no number")

    try:
        return json.loads(line.decode(), parse_constant=no_constant)
    except (ValueError, RecursionError) as error:
        raise RecordingError(f"{place}: not JSON: {printable(str(error), 100)}") from None


def _number(value: Any, name: str, place: str, most: float = MAX_SECONDS) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise RecordingError(f"{place}: {name} is no number")
    if not 0 <= value <= most or not isfinite(value):
        raise RecordingError(f"{place}: {name} is out of range")
    return float(value)


def _side(value: Any, place: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= MAX_SIDE:
        raise RecordingError(f"{place}: the terminal has no size from 1 to {MAX_SIDE}")
    return value


def _text(fields: dict[str, Any], name: str, place: str) -> str | None:
    value = fields.get(name)
    if value is not None and not isinstance(value, str):
        raise RecordingError(f"{place}: {name!r} is no text")
    return value
