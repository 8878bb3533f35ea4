"""Sessions of a manhole over SSH: which of its faces a session gets.

A terminal without a command is a console; a command is one input, whose value is printed; neither is a
script on standard input; the subsystem "manhole" speaks JSON lines.  The commands ``%sessions``,
``%watch N`` and ``%join N`` (with ``ssh -t``) list, show and share consoles.
"""

import os
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sshkit_keys.text import printable

from sshkit.deferred import race
from sshkit.manhole.settings import ManholeSettings, Namespaces, NotLetIn, Person
from sshkit.server.handler import Session
from sshkit.server.middleware.chain import call, chain, fingerprint_of, refuse, say
from sshkit.server.recordings.live import LiveSessions, NoSuchSession

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sshkit.manhole.access import Access
    from sshkit.manhole.audit import Audit
    from sshkit.manhole.interpreter import Interpreter
    from sshkit.server.handler import Handler

SUBSYSTEM = "manhole"
#: The commands of `ssh -t host ...` that are about other sessions.
ABOUT_SESSIONS = re.compile(r"%(sessions|watch|join)(?:\s+(\d{1,9}))?\s*")
LEAVE = b"\x1d"  #: ctrl-], telnet's: ends a `%join`; every other key is the console's


class ManholeSessions:
    """The handler of all sessions of one manhole."""

    def __init__(self, names: dict[str, Any], settings: ManholeSettings) -> None:
        self.settings = settings
        self.namespaces = Namespaces(names, settings.names)
        self.live = LiveSessions()
        self.open = 0  #: sessions that run
        self._audit: Audit | None = None
        middlewares = [self.live.offer()]
        if settings.recordings is not None:
            from sshkit.server.recordings import recording

            middlewares.append(recording(settings.recordings, required=True))
        self._console: Handler = chain(self._run_console, *middlewares)

    @property
    def audit(self) -> "Audit | None":
        """Where inputs are written down."""
        if self._audit is None and self.settings.audit is not None:
            from sshkit.manhole.audit import Audit

            given = self.settings.audit
            self._audit = given if isinstance(given, Audit) else Audit(given)
        return self._audit

    async def __call__(self, session: Session) -> int | None:
        """Serve one session."""
        person = person_of(session)
        try:
            access = self.settings.access_of(person)
            with self.entered(person, session.subsystem or session.command or "shell"):
                return await self._serve(session, person, access)
        except NotLetIn as error:
            return refuse(session, str(error), "manhole")

    @contextmanager
    def entered(self, person: Person, what: str) -> "Iterator[None]":
        """Count a session and write it down; raises NotLetIn where it is one too many."""
        if self.open >= self.settings.max_sessions:
            raise NotLetIn(f"{self.open} sessions are open: no more are taken")
        if self.audit is not None:
            self.audit.noted(str(person), f"session begins: {what}")
        self.open += 1
        try:
            yield
        finally:
            self.open -= 1
            if self.audit is not None:
                self.audit.noted(str(person), "session ends")

    async def _serve(self, session: Session, person: Person, access: "Access") -> int | None:
        command = session.command
        if session.subsystem is not None:
            return await self._subsystem(session, person, access)
        if command is not None and (about := ABOUT_SESSIONS.fullmatch(command.strip())):
            return await self._about_sessions(session, access, about[1], about[2])
        if command is None and session.terminal is not None:
            return await call(self._console, session)
        return await self._script(session, person, access)

    # Without a terminal.

    async def _subsystem(self, session: Session, person: Person, access: "Access") -> int:
        if session.subsystem != SUBSYSTEM:
            return refuse(session, f"the only subsystem here is {SUBSYSTEM}", "unknown subsystem")
        from sshkit.manhole.json_lines import JSONSession

        lines = JSONSession(session)
        interpreter = self._interpreter(person, access, write=lines.write, drained=lines.drained)
        try:
            return await lines.serve(interpreter)
        finally:
            interpreter.close()

    async def _script(self, session: Session, person: Person, access: "Access") -> int:
        from sshkit.manhole.scripts import run_expression, run_script

        stdout = session.stdout
        end = "\r\n" if session.terminal is not None else "\n"

        def write(text: str) -> None:
            stdout.write(text.replace("\n", end))

        interpreter = self._interpreter(person, access, write=write, drained=stdout.drain)
        try:
            if session.command is not None:
                return await run_expression(session, interpreter, session.command)
            return await run_script(session, interpreter)
        finally:
            interpreter.close()

    # With one.

    async def _run_console(self, session: Session) -> int:
        return await self.run_terminal(session, person_of(session))

    async def run_terminal(self, session: Session, person: Person) -> int:
        """Run a console in a session that has a terminal, of SSH or of telnet."""
        from sshkit.manhole.console import ConsoleOptions, Screen, run_console
        from sshkit.server.terminal_programs import colours_of, prompt_toolkit_session

        settings = self.settings
        coloured = settings.colours and "NO_COLOR" not in session.environment and colours_of(session) > 2
        screen = Screen(drain=session.stdout.drain, colours=coloured)
        options = ConsoleOptions(
            banner=settings.banner,
            history=self._history(person.user),
            vi=settings.vi,
            mouse=settings.mouse,
            colours=coloured,
            idle=settings.idle,
            title=settings.title,
            complete_as_typing=settings.complete_as_typing,
        )
        interpreter = self._interpreter(
            person,
            settings.access_of(person),
            write=screen.write,
            drained=screen.drained,
            read_line=screen.read_line,
        )
        interpreter.colours = coloured
        try:
            async with prompt_toolkit_session(session):
                return await run_console(interpreter, options, screen)
        finally:
            interpreter.close()

    def _history(self, user: str) -> str | None:
        folder = self.settings.history
        if folder is None:
            return None
        name = re.sub(r"[^\w.@-]", "_", user)[:100].lstrip(".") or "_"
        return os.path.join(os.path.expanduser(os.fspath(folder)), f"{name}.history")

    # About other sessions.

    async def _about_sessions(self, session: Session, access: "Access", word: str, number: str | None) -> int:
        if access.kind != "full":
            return refuse(session, f"%{word} is for those who may do everything", "access")
        if word == "sessions":
            for live in self.live:
                who = printable(str(person_of(live.session)))
                session.stdout.write(f"{live.number:4} {who}, {live.watchers} watching\n")
            return 0
        if session.terminal is None:
            return refuse(session, f"%{word} needs a terminal: connect with ssh -t", "no terminal")
        try:
            chosen = self._chosen(number)
            if word == "watch":
                return await self.live.watch(session, chosen)
            return await self._join(session, chosen)
        except NoSuchSession as error:
            say(session, str(error))
            return 1

    def _chosen(self, number: str | None) -> int:
        if number is not None:
            return int(number)
        running = [live.number for live in self.live]
        if len(running) != 1:
            names = ", ".join(str(each) for each in running) or "none"
            raise NoSuchSession(f"say which session, of {names}")
        return running[0]

    async def _join(self, session: Session, number: int) -> int:
        """Share a console: what both see is one screen, and the keys of both reach it."""
        from sshkit.server.recordings.live import View

        live = self.live.find(number)
        say(session, f"session {number} of {printable(live.session.user)}: ctrl-] leaves it")

        async def keys() -> None:
            while data := await session.stdin.read(1024):
                typed, left, _ = data.partition(LEAVE)
                if typed:
                    live.session.data_received(memoryview(typed))
                if left:
                    return

        watching = View(live, session)
        await race(watching.watch_only(), keys())
        say(session, "")
        return 0

    # Both.

    def _interpreter(self, person: Person, access: "Access", **ends: Any) -> "Interpreter":
        from sshkit.manhole.interpreter import Interpreter

        settings = self.settings
        if settings.limits is not None:
            ends["limits"] = settings.limits
        return Interpreter(
            self.namespaces.of(person.user),
            access=access,
            threaded=settings.threaded,
            audit=self.audit,
            person=str(person),
            **ends,
        )


def person_of(session: Session) -> Person:
    """Return who is at the other end of a session."""
    return Person(session.user, fingerprint_of(session) or None, session.connection.source)
