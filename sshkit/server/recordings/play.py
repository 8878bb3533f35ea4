"""`play`: shows a recording in a session, at its own speed or another.

Called by handlers.  What is shown was written by a program: its control sequences reach the terminal as they
did when they were recorded, so play recordings of people whose sessions may be seen.
"""

import os
from itertools import islice
from typing import TYPE_CHECKING, Any

from sshkit.deferred import Deferred, race
from sshkit.server.middleware.chain import clock_of
from sshkit.server.recordings.format import OUTPUT, Event
from sshkit.server.recordings.reader import Recording, open_recording

if TYPE_CHECKING:
    from sshkit.server.handler import Session

BATCH = 64  #: events that are read at a time
LEAVE = b"q\x03\x04"  #: keys that end it: q, Ctrl-C, Ctrl-D
RESTORE = "\x1b[0m\x1b[?25h\x1b[?1049l"  #: plain letters, a cursor, the main screen


async def play(
    session: "Session",
    path: "str | os.PathLike[str]",
    *,
    speed: float = 1.0,
    idle_limit: float | None = None,
) -> int:
    """Show the recording at `path` and return 0; the client may leave it with q or Ctrl-C.

    No pause is longer than `idle_limit` seconds (None: what the file says).  Raises RecordingError naming
    file and line, when what is before it has been shown.
    """
    if speed <= 0 or (idle_limit is not None and idle_limit < 0):
        raise ValueError("speed is over 0, idle_limit not below it")
    threads: Any = clock_of(session)
    opened: Recording = await threads.defer_to_thread(open_recording, path)
    with opened as recording:
        await race(_show(session, recording, speed, idle_limit), left(session))
    if session.terminal is not None:
        session.stdout.write(RESTORE)
    return 0


async def left(session: "Session") -> None:
    """Wait until the client presses a key that leaves; without a terminal, for ever."""
    while session.terminal is not None:
        keys = await session.stdin.read(1024)
        if not keys or any(key in LEAVE for key in keys):
            return
    await Deferred()


async def _show(session: "Session", recording: Recording, speed: float, idle_limit: float | None) -> None:
    clock = clock_of(session)
    threads: Any = clock
    limit = recording.header.idle_limit if idle_limit is None else idle_limit
    shown = 0.0  # the time of the event before
    due = clock.seconds()
    while True:
        events: list[Event] = await threads.defer_to_thread(_some, recording)
        if not events:
            return
        for event in events:
            pause = event.time - shown
            shown = event.time
            due += (pause if limit is None else min(pause, limit)) / speed
            wait = due - clock.seconds()
            if wait > 0:
                await _sleep(session, wait)
            if event.code == OUTPUT:
                session.stdout.write(event.data.encode("utf-8", "replace"))
                await session.stdout.drain()


def _some(recording: Recording) -> list[Event]:
    return list(islice(recording, BATCH))


def _sleep(session: "Session", seconds: float) -> "Deferred[None]":
    waiter: Deferred[None] = Deferred(lambda _: call.cancel())
    call = clock_of(session).call_later(seconds, waiter.callback, None)
    return waiter
