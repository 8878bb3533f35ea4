"""`recording`: a middleware that writes each session to a file of asciinema's format.

Output is recorded as the client gets it; input only where asked for, and then only what the session echoed,
so that no password gets into a file.  Resizes, markers and the end are recorded too.
"""

import os
from codecs import getincrementaldecoder
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, cast

from sshkit_keys.text import printable

from sshkit.deferred import CancelledError
from sshkit.server.middleware.chain import Middleware, call, clock_of, describe, refuse, say
from sshkit.server.middleware.tap import Tap, Watcher, tap
from sshkit.server.recordings.file import RecordingFile
from sshkit.server.recordings.format import (
    EXIT,
    INPUT,
    MARKER,
    OUTPUT,
    RESIZE,
    Header,
    RecordingError,
    format_event,
    format_header,
)
from sshkit.ssh.channels.session import ExitSignal, ExitStatus

if TYPE_CHECKING:
    from sshkit.interfaces import Clock, TerminalSize
    from sshkit.server.handler import Handler, Session

InputChoice = Literal["no", "echoed", "all"]
MAX_HELD = 1024  #: bytes of input that wait for their echo
PLAIN_KEYS = b"\r\n\x03\x04"  #: return, Ctrl-C and Ctrl-D say nothing secret
UNRECORDED = 1  #: the status of a session that must be recorded and cannot be


class Recorder(Watcher):
    """Turns what passes through one session into events."""

    __slots__ = (
        "_begin",
        "_clock",
        "_decoders",
        "_ended",
        "_file",
        "_held",
        "_input",
        "_last",
        "_status",
        "_version",
        "failure",
        "tap",
    )

    def __init__(self, clock: "Clock", version: int, input: InputChoice) -> None:
        self._clock = clock
        self._begin = clock.seconds()
        self._last = 0.0
        self._version = version
        self._input = input
        self._held = b""
        self._file: RecordingFile | None = None
        decoder = getincrementaldecoder("utf-8")
        self._decoders = {code: decoder("replace") for code in ("o", "e", "i")}
        self._status: int | str | None = None
        self._ended = False
        self.failure: RecordingError | None = None
        self.tap: Tap | None = None

    def begin(self, file: RecordingFile, header: Header) -> None:
        """Write the header."""
        self._file = file
        file.write(format_header(header))

    def mark(self, label: str = "") -> None:
        """Put a marker here, which players can jump to."""
        self._event(MARKER, label)

    # What passes.

    def output_passed(self, data: "bytes | bytearray | memoryview", extended: bool) -> None:
        if self._held:
            self._look_for_echo(bytes(data[:MAX_HELD]))
        self._text(OUTPUT, "e" if extended else "o", data)

    def input_passed(self, data: memoryview) -> None:
        if self._input == "all":
            self._text(INPUT, "i", data)
        elif self._input == "echoed":
            if self._held:  # typed ahead, before an echo of the last: nobody knows
                self._drop()
            if len(data) <= MAX_HELD:
                self._held = bytes(data)

    def resized(self, size: "TerminalSize") -> None:
        self._event(RESIZE, f"{size.columns}x{size.rows}")

    def ending(self, kind: str, body: bytes) -> None:
        if kind == "exit-status":
            self._status = ExitStatus.decode(body).status
        else:
            self._status = printable(str(ExitSignal.decode(body).name), 40)

    def end(self, status: int | None) -> Any:
        """Write how the session ended (None: the client went) and close; fires when that is on disk."""
        if self._held:
            self._drop()
        ended = status if self._status is None else self._status
        if ended is not None:
            if self._version == 3:
                self._event(EXIT, str(ended))
            else:
                self._event(MARKER, f"exit {ended}")
        assert self._file is not None
        return self._file.close()

    # Inside.

    def _text(self, code: str, stream: str, data: "bytes | bytearray | memoryview") -> None:
        text = self._decoders[stream].decode(bytes(data))
        if text:
            self._event(code, text)

    def _event(self, code: str, data: str) -> None:
        file = self._file
        if file is None or file.is_closed:
            return
        now = max(self._clock.seconds() - self._begin, self._last)
        time = now - self._last if self._version == 3 else now
        # What a reader adds up must not drift from the clock: count what was written, not what was meant.
        self._last = self._last + round(time, 6) if self._version == 3 else now
        file.write(format_event(time, code, data))

    def _look_for_echo(self, shown: bytes) -> None:
        """Record what was typed if this begins with it: then everybody could see it."""
        held = self._held
        typed = held.rstrip(b"\r\n")
        if typed and shown.startswith(typed) and typed.isascii() and typed.decode().isprintable():
            self._held = b""
            self._text(INPUT, "i", held)
        else:
            self._drop()

    def _drop(self) -> None:
        """Record of what was typed unseen only the keys that end a line or a program."""
        held, self._held = self._held, b""
        plain = bytes(key for key in held if key in PLAIN_KEYS)
        if plain and held.rstrip(b"\r\n\x03\x04") == b"":
            self._text(INPUT, "i", plain)
        elif held.endswith((b"\r", b"\n")):
            self._text(INPUT, "i", held[-1:])


def recording(
    path: "str | os.PathLike[str] | Callable[[Session], str | os.PathLike[str] | None]",
    *,
    version: Literal[2, 3] = 2,
    input: InputChoice = "no",
    required: bool = False,
    title: "Callable[[Session], str] | None" = None,
) -> Middleware:
    """Record each session into a new file.

    `path` is a folder, or a function that returns a file's path, or None for a session that is not to be
    recorded.  Files are made with mode 0600 and never in place of another.  `input`: "no", "echoed" (what the
    session showed), or "all", passwords included.  Where a recording cannot be made or goes on no more (a
    full disk), that is logged and the session goes on; with `required` it is refused, or ended.
    """
    if version not in (2, 3) or input not in ("no", "echoed", "all"):
        raise ValueError(f"version={version!r}, input={input!r}: say 2 or 3; 'no', 'echoed' or 'all'")

    def path_of(session: "Session") -> "str | os.PathLike[str] | None":
        return path(session) if callable(path) else os.path.join(path, file_name(session))

    def middleware(handler: "Handler") -> "Handler":
        async def recorded(session: "Session") -> int | None:
            where = path_of(session)
            if where is None:
                return await call(handler, session)
            header = header_of(session, version, title)
            clock = clock_of(session)
            recorder = Recorder(clock, version, input)
            running: Any = None

            def failed(error: RecordingError) -> None:
                recorder.failure = error
                session.connection.server.log(
                    "error", f"{session.connection.source}: recording ended: {error}"
                )
                if required and running is not None:
                    running.cancel()

            def pause(paused: bool) -> None:
                between = recorder.tap
                if between is not None:
                    (between.hold if paused else between.release)()

            try:
                file = RecordingFile(where, cast("Any", clock), failed, pause)
            except RecordingError as error:
                session.connection.server.log(
                    "error", f"{session.connection.source}: no recording of {describe(session)}: {error}"
                )
                if required:
                    return refuse(session, "the session cannot be recorded", "no recording")
                return await call(handler, session)
            recorder.begin(file, header)
            recorder.tap = tap(session, recorder)
            status: int | None = UNRECORDED
            try:
                running = call(handler, session)
                if required and recorder.failure is not None:
                    running.cancel()
                status = await running or 0
            except CancelledError:
                if not required or recorder.failure is None:
                    status = None
                    raise
                say(session, "the session is over: it cannot be recorded any more")
                status = UNRECORDED
            finally:
                await recorder.end(status)
            return status

        return recorded

    return middleware


def recorder_of(session: "Session") -> Recorder | None:
    """Return the recorder of a session, for markers; None where it is not recorded."""
    holder: Any = session.request.channel
    while isinstance(holder.protocol, Tap):
        holder = holder.protocol
        if isinstance(holder.watcher, Recorder):
            return holder.watcher
    return None


def file_name(session: "Session") -> str:
    """Return a name like 20260131-120000-ann-5f3a.cast; nothing of the user's gets into a path (R39)."""
    from time import gmtime, strftime

    user = "".join(c if c.isascii() and (c.isalnum() or c in "_-") else "_" for c in session.user[:64])
    unique = session.connection.server.random_bytes(8).hex()
    return f"{strftime('%Y%m%d-%H%M%S', gmtime())}-{user}-{unique}.cast"


def header_of(session: "Session", version: int, title: "Callable[[Session], str] | None") -> Header:
    """Return the header for a session that begins now."""
    from time import time

    terminal = session.terminal
    what = session.command if session.subsystem is None else f"subsystem {session.subsystem}"
    return Header(
        version,
        80 if terminal is None else terminal.size.columns,
        24 if terminal is None else terminal.size.rows,
        int(time()),
        None if what is None else printable(what, 4096),
        None if title is None else title(session),
        "" if terminal is None else terminal.name,
    )
