"""The file of a recording: made new, written by a thread, bounded in what waits.

Called by `recorder`.  Lines gather while a write is on its way, so a slow disk costs few large writes and
never a turn of the reactor.
"""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sshkit.deferred import Deferred, Failure, succeed
from sshkit.server.recordings.format import RecordingError

if TYPE_CHECKING:
    from sshkit.interfaces import Threads

HIGH_WATER = 256 * 1024  #: characters that wait; above it whoever writes shall pause
MOST = 8 * 1024 * 1024  #: characters that may wait at all: a handler that never drains ends its recording
FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0)


class RecordingFile:
    """One file, readable by its owner only, never in place of another."""

    __slots__ = (
        "_closed",
        "_descriptor",
        "_failed",
        "_lines",
        "_pause",
        "_paused",
        "_size",
        "_threads",
        "_waiter",
        "_writing",
        "path",
    )

    def __init__(
        self,
        path: "str | os.PathLike[str]",
        threads: "Threads",
        failed: Callable[[RecordingError], object],
        pause: Callable[[bool], object],
    ) -> None:
        """Make the file; raises RecordingError, also where there is one of this name.

        `failed(error)` is called once if it cannot be written to its end; `pause(True)` when too much waits,
        `pause(False)` when that was written.
        """
        self.path = os.fspath(path)
        try:
            self._descriptor = os.open(self.path, FLAGS, 0o600)
        except OSError as error:
            raise RecordingError(f"{self.path}: {error.strerror}") from error
        self._threads = threads
        self._failed = failed
        self._pause = pause
        self._paused = False
        self._lines: list[str] = []
        self._size = 0
        self._writing = False
        self._closed = False
        self._waiter: Deferred[None] | None = None

    @property
    def is_closed(self) -> bool:
        """Nothing is taken any more."""
        return self._closed

    def write(self, line: str) -> None:
        """Take a line; it is written soon."""
        if self._closed:
            return
        self._lines.append(line)
        self._size += len(line)
        if self._size > MOST:
            self._fail(RecordingError(f"{self.path}: {self._size} characters wait to be written"))
            return
        if self._size > HIGH_WATER and not self._paused:
            self._paused = True
            self._pause(True)
        if not self._writing:
            self._write_next()

    def close(self) -> Deferred[None]:
        """Write what waits and close; fires when that is done, whether it worked or not."""
        self._closed = True
        if self._descriptor < 0:
            return succeed(None)
        waiter: Deferred[None] = Deferred()
        self._waiter = waiter
        if not self._writing:
            self._write_next()
        return waiter

    def _write_next(self) -> None:
        lines, self._lines, self._size = self._lines, [], 0
        if not lines:
            if self._closed:
                self._end()
            return
        self._writing = True
        data = "".join(lines).encode("utf-8", "replace")
        descriptor = self._descriptor

        def write_all() -> None:
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]

        writing: Deferred[Any] = self._threads.defer_to_thread(write_all)
        writing.add_callbacks(self._written, self._not_written)

    def _written(self, _: object) -> None:
        self._writing = False
        self._write_next()
        # Last, since whoever may go on does so within the call, and writes.
        if self._paused and not self._size:
            self._paused = False
            self._pause(False)

    def _not_written(self, failure: Failure) -> None:
        self._writing = False
        error = failure.exception
        reason = error.strerror if isinstance(error, OSError) else type(error).__name__
        self._fail(RecordingError(f"{self.path}: {reason}"))

    def _fail(self, error: RecordingError) -> None:
        first = not self._closed or self._waiter is not None
        self._closed = True
        self._lines, self._size = [], 0
        if self._paused:
            self._paused = False
            self._pause(False)
        if not self._writing:
            self._end()
        if first:
            self._failed(error)

    def _end(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            waiter.callback(None)
