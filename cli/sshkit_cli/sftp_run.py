"""One run of sshkit-sftp: connect, then do the lines of a batch file, of standard input, or of a user.

Called by `sftp`.  ^C ends the command in work, not the session.
"""

import os
import stat
from typing import TYPE_CHECKING, Any

from sshkit_keys.errors import SSHKitError

from sshkit.deferred import CancelledError, Deferred, ensure_deferred

from .sftp_commands import Quit, Settings, Shell
from .sftp_connect import FAILED, Command, CommandLog
from .sftp_meter import Meter
from .sftp_options import CommandLine
from .sftp_pipes import Limiter, words_of
from .sftp_remote import absolute, is_folder, shown

if TYPE_CHECKING:
    from sshkit.sftp.client import SFTPClient

MAX_LINE = 65536


class Run:
    """One session."""

    def __init__(self, typed: CommandLine, log: CommandLog) -> None:
        self._typed = typed
        self._log = log
        self._quiet = (typed.quiet or typed.batch is not None) and not typed.loud
        self._lines: Lines | None = None
        self._command = Command(log)
        self._job: Deferred[bool] | None = None

    def run(self) -> int:
        """Do it all; returns the exit status."""
        typed = self._typed
        if typed.batch is not None and typed.batch != "-":
            try:
                fd = os.open(typed.batch, os.O_RDONLY | os.O_CLOEXEC)
            except OSError as error:
                self._log.plain(f"{error.strerror} ({shown(typed.batch)}).")
                return FAILED
        else:
            fd = 0
        try:
            self._lines = Lines(self._command.reactor, fd)
            self._command.interrupted = self._interrupt
            return self._command.run(self._main())
        finally:
            if fd:
                os.close(fd)

    async def _main(self) -> int:
        typed, log = self._typed, self._log
        client = await self._connect()
        if not self._quiet:
            where = f"Attached to {shown(typed.direct)}" if typed.direct else f"Connected to {self._host()}"
            log.info(f"{where}.")
        if typed.buffer:
            limits = client.session.limits
            client.session.limits = limits._replace(read=typed.buffer, write=typed.buffer)
        start = await client.realpath(".")
        meter = Meter(
            self._command.reactor,
            log,
            enabled=typed.batch is None and not typed.quiet,
            possible=Meter.is_possible(),
        )
        settings = Settings(self._quiet, typed.resume, typed.sync, typed.preserve, typed.recursive)
        shell = Shell(self._command, client, settings, meter, start)
        if typed.place is not None and typed.place.path is not None:
            path = absolute(typed.place.path, start)
            if typed.target is not None or not await is_folder(client, path):
                return await self._get_one(shell, path)
            if not self._quiet:
                log.output(f"Changing to: {shown(path)}\n")
            shell.folder = await client.realpath(os.fsencode(path))
        try:
            await self._loop(shell)
        except Quit:
            pass
        except BatchAborted:
            return 1
        return 0

    def _host(self) -> str:
        place = self._typed.place
        return shown(place.host) if place is not None else ""

    async def _connect(self) -> "SFTPClient":
        typed, command = self._typed, self._command
        limiter = Limiter(command.reactor, typed.limit * 1024) if typed.limit else None
        if typed.direct is not None:
            return await command.sftp_program(words_of(typed.direct), limiter)
        place = typed.place
        assert place is not None
        port = [] if typed.port is None else [f"-oPort={typed.port}"]
        if typed.ssh is not None:
            from .sftp_connect import PLAIN

            server = typed.server or "sftp"
            argv = [*words_of(typed.ssh), *PLAIN, *typed.program, *port]
            argv += ["-l", place.user] if place.user else []
            argv += [] if "/" in server else ["-s"]
            return await command.sftp_program([*argv, "--", place.host, server], limiter, own_session=False)
        connection = await command.connect([*port, *typed.client], place.host, place.user)
        return await command.sftp_over(connection, typed.server, limiter)

    async def _get_one(self, shell: Shell, path: str) -> int:
        """Fetch what the command line names, and end."""
        from .sftp_words import escape

        target = self._typed.target
        line = f"get {escape_quotes(path)}" + (f" {escape(target)}" if target is not None else "")
        return 0 if await self._do(shell, line) else 1

    async def _loop(self, shell: Shell) -> None:
        """Do line after line."""
        typed = self._typed
        if typed.batch is None and os.isatty(0) and os.isatty(1):
            from .sftp_interactive import interact

            await interact(self._command, shell, lambda line: self._do(shell, line))
            return
        assert self._lines is not None
        batch = typed.batch is not None
        asks = not batch and os.isatty(0)
        while True:
            if asks:
                self._log.output("sftp> ")
            waiting = self._lines.next()
            line = await until_lost(waiting, shell.client)
            if line is None:
                if asks:
                    self._log.output("\n")
                return
            if not asks and not is_silent(line):
                self._log.output(f"sftp> {line}\n")
            if not await self._do(shell, line) and batch:
                raise BatchAborted("")

    async def _do(self, shell: Shell, line: str) -> bool:
        """Do one line, which ^C may end."""
        job = self._job = ensure_deferred(shell.do(line))
        try:
            return await job
        except CancelledError:
            if not job.called or self._job is not None:
                raise
            return False
        finally:
            self._job = None

    def _interrupt(self) -> bool:
        """End the command in work; tell whether there was one."""
        job, self._job = self._job, None
        if job is None:
            return False
        self._log.notice("\rInterrupt  \n")
        job.cancel()
        return True


class BatchAborted(SSHKitError):
    """A command of a batch has failed."""


def is_silent(line: str) -> bool:
    """Tell whether a line begins with @, which wants no echo; - may stand beside it."""
    head = line.lstrip(" \t")
    return "@" in head[: len(head) - len(head.lstrip("-@ \t"))]


def escape_quotes(path: str) -> str:
    """Return a path as a word whose wildcards still are some."""
    return "".join(f"\\{char}" if char in "'\" \t#" else char for char in path)


async def until_lost(waiting: Deferred[Any], client: "SFTPClient") -> Any:
    """Wait for something, but no longer than the session lives."""
    if client.session.lost is not None:
        raise client.session.lost
    lost = Watcher(waiting)
    client.session.closed.append(lost)
    try:
        return await waiting
    except CancelledError:
        if client.session.lost is not None:
            raise client.session.lost from None
        raise
    finally:
        if lost in client.session.closed:
            client.session.closed.remove(lost)


class Watcher(Deferred[None]):
    """Cancels what is waited for when the session ends."""

    __slots__ = ()

    def __init__(self, waiting: Deferred[Any]) -> None:
        super().__init__()
        self.add_callback(lambda _: waiting.cancel())


class Lines:
    """Lines of a descriptor, read when they are asked for."""

    def __init__(self, reactor: Any, fd: int) -> None:
        self._reactor = reactor
        self._fd = fd
        self._data = bytearray()
        self._ended = False
        try:
            self._is_file = stat.S_ISREG(os.fstat(fd).st_mode)
        except OSError:
            self._is_file = True

    def next(self) -> Deferred[str | None]:
        """Return the next line without its newline; None at the end."""
        waiting: Deferred[str | None] = Deferred(lambda _: self._reactor.remove_reader(self._fd))

        def look() -> bool:
            line = self._take()
            if line is not None or self._ended:
                waiting.callback(line)
                return True
            return False

        def readable() -> None:
            self._read()
            if self._ended or b"\n" in self._data or len(self._data) > MAX_LINE:
                self._reactor.remove_reader(self._fd)  # first: who waits may ask for the next line at once
                look()

        while not look():
            if not self._is_file:
                try:
                    self._reactor.add_reader(self._fd, readable)
                    break
                except OSError:  # such as /dev/null, which epoll does not take
                    self._is_file = True
            self._read()
        return waiting

    def _read(self) -> None:
        try:
            data = os.read(self._fd, MAX_LINE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self._data += data
        self._ended = not data

    def _take(self) -> str | None:
        position = self._data.find(b"\n")
        if position < 0:
            if not self._data or not (self._ended or len(self._data) > MAX_LINE):
                return None
            position = len(self._data)
        line = bytes(self._data[:position])
        del self._data[: position + 1]
        return line.decode("utf-8", "surrogateescape")
