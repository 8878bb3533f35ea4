"""Reads recordings, line by line, and refuses damaged ones with file and line.

Called by `play` and by programs: ``with open_recording(path) as recording: for event in recording: ...``.
"""

import os
from collections.abc import Iterator
from typing import BinaryIO

from sshkit.server.recordings.format import Event, Header, RecordingError, parse_event, parse_header

MAX_LINE = 8 * 1024 * 1024  #: bytes; an event has a screen or two, not more


class Recording:
    """An open recording: its header, and an iterator over its events."""

    __slots__ = ("_file", "_last", "_line", "_source", "header")

    header: Header

    def __init__(self, file: BinaryIO, source: str) -> None:
        """Read the header; raises RecordingError."""
        self._file = file
        self._source = source
        self._line = 1
        self._last = 0.0
        first = self._read()
        if not first:
            raise RecordingError(f"{source}:1: empty")
        self.header = parse_header(first, source)

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        while True:
            line = self._read()
            if not line:
                raise StopIteration
            self._line += 1
            if not line.strip() or (self.header.version == 3 and line.startswith(b"#")):
                continue
            event = parse_event(line, self.header.version, self._last, f"{self._source}:{self._line}")
            self._last = event.time
            return event

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> "Recording":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _read(self) -> bytes:
        try:
            line = self._file.readline(MAX_LINE + 1)
        except OSError as error:
            raise RecordingError(f"{self._source}: {error.strerror}") from error
        if len(line) > MAX_LINE:
            raise RecordingError(f"{self._source}:{self._line}: a line over {MAX_LINE} bytes")
        return line


def open_recording(path: "str | os.PathLike[str]") -> Recording:
    """Open a recording and read its header; raises RecordingError naming file and line."""
    source = os.fspath(path)
    try:
        file = open(source, "rb")  # noqa: SIM115 - the Recording closes it
    except OSError as error:
        raise RecordingError(f"{source}: {error.strerror}") from error
    try:
        return Recording(file, source)
    except BaseException:
        file.close()
        raise
