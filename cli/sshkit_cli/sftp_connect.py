"""What sshkit-sftp and sshkit-scp share: one run with its reactor, its signals and its connections.

A connection is made as sshkit-client makes it: the same options, files, questions and host key checks; or
another program's is ridden, where ControlPath leads to one; or a program (-S, -D) is started and spoken to
over its pipes.
"""

import os
import signal
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

from sshkit_keys.errors import SSHKitError
from sshkit_keys.text import printable

from sshkit.client.configured import make_connection, open_target
from sshkit.client.connection import ClientConnection
from sshkit.client.target import Target
from sshkit.deferred import CancelledError, Deferred, Failure, ensure_deferred, set_unhandled_handler
from sshkit.ssh.channels.session import ExecRequest, SubsystemRequest

from .client_control import path_of
from .client_run import RIDE_TIMEOUT, CommandReactor, tell_error
from .client_setup import load_target, tell_settings
from .log import ERROR, Log
from .options import parse
from .prompts import Prompter
from .questions import Questions
from .sftp_pipes import Limiter, Program, Throttled

if TYPE_CHECKING:
    from sshkit.interfaces import Reactor
    from sshkit.sftp.client import SFTPClient
    from sshkit.ssh.connection.channel import Channel
    from sshkit.ssh.connection.protocol import ChannelProtocol

FAILED: Final = 255
OPEN_PATIENCE: Final = 60.0  #: seconds for a channel and what is asked of it
#: What a copy never needs of a connection, whatever the files say.
PLAIN: Final = (
    "-oForwardAgent=no",
    "-oForwardX11=no",
    "-oPermitLocalCommand=no",
    "-oClearAllForwardings=yes",
)


class CommandLog(Log):
    """Messages by the name of the command, or plain where OpenSSH's are plain."""

    def __init__(self, program: str, level: int | None = None) -> None:
        super().__init__()
        self.program = program
        if level is not None:
            self.level = level

    def error(self, text: str) -> None:
        """Tell why the command fails."""
        if self.level >= ERROR:
            self._write(f"{self.program}: {text}\n")

    def plain(self, text: str) -> None:
        """Tell what went wrong with one file."""
        if self.level >= ERROR:
            self._write(f"{text}\n")


class Command:
    """One run.  `interrupted` is called at ^C where there is something to interrupt; else the run ends."""

    def __init__(self, log: CommandLog) -> None:
        self.log = log
        self.reactor = CommandReactor(log)
        self.prompter = Prompter(cast("Reactor", self.reactor), log.info, os.environ)
        self.interrupted: Callable[[], bool] | None = None
        self.failed = FAILED  #: the exit status of a run that ends with an error
        self.target: Target | None = None  #: that of the connection that is being made
        self._connections: list[ClientConnection] = []
        self._programs: list[Program] = []
        self._done: Deferred[int] = Deferred()
        self._died_by: int | None = None

    def run(self, work: Coroutine[Any, Any, int]) -> int:
        """Do the work; returns the exit status.  Errors that are a user's to know are told."""
        before = set_unhandled_handler(lambda failure, places: self.log.debug(f"unhandled: {failure}"))
        try:
            for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self.reactor.add_signal_handler(number, lambda number=number: self._signalled(number))
            job = ensure_deferred(work)
            job.add_both(self._ended)
            try:
                return self.reactor.run_until(self._done)
            finally:
                if not job.called:
                    job.cancel()
        except (SSHKitError, OSError) as error:
            tell_error(error, self.target, self.log)
            return self.failed
        finally:
            self.prompter.restore()
            for connection in self._connections:
                connection.layer.disconnect()
            for program in self._programs:
                program.close()
            self.reactor.close()
            set_unhandled_handler(before)
            if self._died_by is not None:
                signal.signal(self._died_by, signal.SIG_DFL)
                os.kill(os.getpid(), self._died_by)

    def _ended(self, outcome: Any) -> None:
        if self._done.called:  # a signal came first
            return
        if isinstance(outcome, Failure):
            self._done.errback(outcome)
        else:
            self._done.callback(outcome)

    def _signalled(self, number: int) -> None:
        """Interrupt what is in work, or end by the signal once the terminal is as it was."""
        if number == signal.SIGINT and self.interrupted is not None and self.interrupted():
            return
        self._died_by = number
        if not self._done.called:
            self._done.callback(self.failed)

    # Connections.

    async def connect(self, arguments: Sequence[str], host: str, user: str | None) -> ClientConnection:
        """Connect and log in as sshkit-client would with these arguments."""
        words = [*PLAIN, *arguments, *(("-l", user) if user else ()), "--", host]
        self.target = target = load_target(parse(words))
        log = self.log
        log.level = target.options.log_level.value
        tell_settings(target, log)
        reactor = cast("Reactor", self.reactor)
        shared = await self._ride(target)
        if shared is not None:
            return shared
        asking = Questions(target, self.prompter, log)
        connection = make_connection(target, reactor, asking)
        self._connections.append(connection)
        await open_target(connection, target, reactor, asking)
        log.debug(f"algorithms: {connection.negotiated.summary()}")
        for attempt in connection.trail:
            log.debug(f"login: {attempt}")
        return connection

    async def _ride(self, target: Target) -> ClientConnection | None:
        """Join the connection of a program that shares it (ControlPath); None where there is none to join."""
        path = path_of(target)
        if path is None or target.options.control_master.value in ("yes", "ask"):
            return None
        from sshkit.client.sharing.errors import NoMaster
        from sshkit.client.sharing.proxied import ride

        shown = printable(path, 4096)
        try:
            connection = await ride(
                path, target.hostname, target.user, cast("Reactor", self.reactor), RIDE_TIMEOUT
            )
        except SSHKitError as error:
            if isinstance(error, NoMaster) and (error.missing or error.stale):
                self.log.debug(str(error))
            else:
                place = "" if shown in str(error) else f"control socket {shown}: "
                self.log.error(f"{place}{error}; going on without it")
            return None
        self._connections.append(connection)
        self.log.debug(f"riding the connection that is shared at {shown}")
        return connection

    # What is spoken to.

    async def sftp_over(
        self, connection: ClientConnection, server: str | None, limiter: Limiter | None
    ) -> "SFTPClient":
        """Start SFTP on a connection: a subsystem, or a program there if its name holds a slash."""
        client = self._client()
        name = server or "sftp"

        def begin(channel: "Channel") -> Deferred[None]:
            if "/" in name:
                started = channel.request("exec", ExecRequest(os.fsencode(name)).encode())
            else:
                started = channel.request("subsystem", SubsystemRequest(name).encode())
            client.session.start()  # in the same flush
            return started

        await self._open(connection, _limited(client.session, limiter, self.reactor), begin, name)
        await client.ready
        return client

    async def run_over(self, connection: ClientConnection, peer: Any, command: str) -> None:
        """Run a command on a connection, with a side of the legacy protocol at its pipes."""

        def begin(channel: "Channel") -> Deferred[None]:
            started = channel.request("exec", ExecRequest(os.fsencode(command)).encode())
            peer.begin()
            return started

        await self._open(connection, peer, begin, command)

    async def _open(
        self,
        connection: ClientConnection,
        protocol: "ChannelProtocol",
        begin: Callable[["Channel"], Deferred[None]],
        name: str,
    ) -> None:
        opened = connection.open_session(protocol).add_callback(begin)
        await opened.add_timeout(OPEN_PATIENCE, self.reactor, what=f"starting {name!r}")

    async def sftp_program(
        self, argv: Sequence[str], limiter: Limiter | None, *, own_session: bool = True
    ) -> "SFTPClient":
        """Start a program that speaks SFTP on its pipes."""
        client = self._client()
        self.program(argv, _limited(client.session, limiter, self.reactor), own_session=own_session)
        await client.ready
        return client

    def program(self, argv: Sequence[str], protocol: Any, *, own_session: bool = True) -> Program:
        """Start a program with a protocol at its pipes."""
        program = Program(protocol, self.log)
        self._programs.append(program)
        self.reactor.spawn_process(program, [*argv], new_session=own_session)
        return program

    def _client(self) -> "SFTPClient":
        from sshkit.sftp.client import SFTPClient

        return SFTPClient.over(
            self.reactor, defer_to_thread=self.reactor.defer_to_thread, random_bytes=os.urandom
        )


def _limited(session: Any, limiter: Limiter | None, reactor: Any) -> Any:
    return session if limiter is None else Throttled(session, limiter, reactor)


__all__ = ["CancelledError", "Command", "CommandLog"]
