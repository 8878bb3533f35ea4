"""`LiveSessions`: sessions that others may watch while they run.  Who may is the program's to decide.

``live = LiveSessions()``; ``chain(handler, live.offer())`` for those to be seen, ``await live.watch(session,
number)`` in a handler for those who look.  Watching is read only and costs the watched session nothing: who
is too slow misses output, and gets the screen anew when it can take it.
"""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from sshkit_keys.errors import SSHKitError
from sshkit_keys.text import printable

from sshkit.deferred import Deferred, race
from sshkit.server.middleware.chain import Middleware, call, describe, say
from sshkit.server.middleware.tap import Watcher, tap
from sshkit.server.recordings.play import RESTORE, left

if TYPE_CHECKING:
    from sshkit.interfaces import TerminalSize
    from sshkit.server.handler import Handler, Session

MAX_SCREEN = 256 * 1024  #: bytes of output that are kept for those who come later
MAX_BEHIND = 256 * 1024  #: bytes that may wait for a slow watcher
MAX_WATCHERS = 32  #: of one session
CLEAR = b"\x1b[0m\x1b[H\x1b[2J"
#: What empties the screen, or changes to the other one: nothing before it can be seen any more.
FRESH = re.compile(rb"\x1b\[\?(?:1049|1047|47)([hl])|\x1b\[2J|\x1bc")
LONGEST = 8  #: bytes of the longest of these


class NoSuchSession(SSHKitError):
    """No session of this number runs, or no more may watch it."""


class Screen:
    """The output that a terminal needs to show what can be seen now, bounded."""

    __slots__ = ("_bytes", "_other")

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._other = b""  # the sequence that changed to the alternate screen, while it is shown

    def add(self, data: bytes) -> None:
        """Take output."""
        kept = self._bytes
        start = max(len(kept) - LONGEST, 0)
        kept += data
        last = None
        for last in FRESH.finditer(kept, start):
            if last[1] is not None:
                self._other = last[0] if last[1] == b"h" else b""
        if last is not None:
            del kept[: last.end() if last[1] is not None or last[0] != b"\x1bc" else last.start()]
        if len(kept) > MAX_SCREEN:
            cut = kept.find(b"\n", len(kept) - MAX_SCREEN // 2)
            del kept[: cut + 1 if cut >= 0 else len(kept) - MAX_SCREEN // 2]

    def __bytes__(self) -> bytes:
        return self._other + CLEAR + bytes(self._bytes)


class LiveSession(Watcher):
    """One session that may be watched."""

    __slots__ = ("_screen", "_watchers", "ended", "number", "session")

    def __init__(self, number: int, session: "Session") -> None:
        self.number = number
        self.session = session
        self.ended = False
        self._screen = Screen()
        self._watchers: set[View] = set()

    def __repr__(self) -> str:
        return f"<LiveSession {self.number} {self.session.user!r}: {describe(self.session)}>"

    @property
    def watchers(self) -> int:
        """How many look."""
        return len(self._watchers)

    @property
    def size(self) -> "TerminalSize | None":
        """Of its terminal."""
        terminal = self.session.terminal
        return None if terminal is None else terminal.size

    @property
    def screen(self) -> bytes:
        """Output that lets a terminal show what can be seen now."""
        return bytes(self._screen)

    def output_passed(self, data: "bytes | bytearray | memoryview", extended: bool) -> None:
        data = bytes(data)
        self._screen.add(data)
        for view in tuple(self._watchers):
            view.show(data)

    def end(self) -> None:
        """Let everybody go who looks."""
        self.ended = True
        for view in tuple(self._watchers):
            view.end()

    def attach(self, view: "View") -> None:
        """Show it to one more; raises NoSuchSession where that is one too many, or it has ended."""
        if self.ended or len(self._watchers) >= MAX_WATCHERS:
            reason = "has ended" if self.ended else f"is watched by {MAX_WATCHERS} already"
            raise NoSuchSession(f"session {self.number} {reason}")
        self._watchers.add(view)

    def detach(self, view: "View") -> None:
        """Show it no more."""
        self._watchers.discard(view)


class View:
    """One who looks."""

    __slots__ = ("_behind", "_ended", "_live", "_session", "skipped")

    def __init__(self, live: LiveSession, session: "Session") -> None:
        self._live = live
        self._session = session
        self._behind: Deferred[None] | None = None  # fires when the screen may be sent anew
        self._ended: Deferred[None] = Deferred()
        self.skipped = 0  #: bytes that it has not seen

    def show(self, data: bytes) -> None:
        """Send output, if the client keeps up; else leave it out until all has been taken."""
        if self._behind is not None:
            self.skipped += len(data)
            return
        session = self._session
        if session.channel.get_write_buffer_size() + len(data) > MAX_BEHIND:
            self.skipped += len(data)
            self._behind = behind = session.stdout.drain()
            behind.add_callbacks(self._caught_up, lambda _: None)
            return
        session.stdout.write(data)

    def end(self) -> None:
        """There is nothing more to see."""
        if not self._ended.called:
            self._ended.callback(None)

    async def watch(self) -> None:
        """Show the screen so far, then what comes, until either side leaves."""
        await race(self.watch_only(), left(self._session))

    async def watch_only(self) -> None:
        """The same, until the session ends: keys are not looked at."""
        self._live.attach(self)
        try:
            self._session.stdout.write(self._live.screen)
            await self._ended
        finally:
            self._live.detach(self)

    def _caught_up(self, _: object) -> None:
        self._behind = None
        if not self._ended.called:
            self._session.stdout.write(self._live.screen)


class LiveSessions:
    """Those that run now, by number."""

    __slots__ = ("_last", "_sessions")

    def __init__(self) -> None:
        self._sessions: dict[int, LiveSession] = {}
        self._last = 0

    def __iter__(self) -> "Iterator[LiveSession]":
        return iter(tuple(self._sessions.values()))

    def __len__(self) -> int:
        return len(self._sessions)

    def find(self, number: int) -> LiveSession:
        """Return a session; raises NoSuchSession."""
        try:
            return self._sessions[number]
        except KeyError:
            raise NoSuchSession(f"no session {number} runs") from None

    def offer(self, *, terminals_only: bool = True) -> Middleware:
        """Return a middleware: what passes through it may be watched."""

        def middleware(handler: "Handler") -> "Handler":
            async def offered(session: "Session") -> int | None:
                if terminals_only and session.terminal is None:
                    return await call(handler, session)
                self._last += 1
                live = LiveSession(self._last, session)
                self._sessions[live.number] = live
                tap(session, live)
                try:
                    return await call(handler, session)
                finally:
                    del self._sessions[live.number]
                    live.end()

            return offered

        return middleware

    async def watch(self, session: "Session", number: int) -> int:
        """Show session `number` in `session` until it ends, or q or Ctrl-C is pressed; return the status.

        Raises NoSuchSession.  Whether `session` may is for its handler to decide, before.
        """
        live = self.find(number)
        if live.session is session:
            raise NoSuchSession("a session cannot watch itself")
        await View(live, session).watch()
        if session.terminal is not None:
            session.stdout.write(RESTORE)
        say(
            session,
            f"session {number} of {printable(live.session.user)} {'has ended' if live.ended else 'goes on'}",
        )
        return 0
