"""What a session starts: the user's shell, a command, or a subsystem's command; forced ones come first.

`LoginSessions` is the `start_program` of the command sshkit-server.  Programs are started with an
argument vector; the user's own shell reads the command, as with sshd (R29).
"""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple, cast

from sshkit_keys.errors import SSHKitError
from sshkit_keys.text import quoted

from sshkit.server.login_environment import login_environment
from sshkit.server.processes import ProcessProgram
from sshkit.server.session import Program, SessionRequest

if TYPE_CHECKING:
    from sshkit.interfaces import Reactor
    from sshkit.server.system_users import SystemLogin

INTERNAL_SFTP = "internal-sftp"


class NotOffered(SSHKitError):
    """The client asked for a program that this server does not start."""


class SessionTerms(NamedTuple):
    """What the configuration says about the sessions of one user."""

    subsystems: Mapping[str, str] = {}
    forced_command: str | None = None
    environment: Mapping[str, str] | None = None  #: SetEnv
    root: str | None = None  #: ChrootDirectory, with its tokens
    expose_methods: bool = False  #: sessions may know how their user logged in (SSH_USER_AUTH)


class LoginSessions:
    """Starts programs as the account's owner, which this process has become."""

    __slots__ = ("_reactor",)

    def __init__(self, reactor: "Reactor") -> None:
        self._reactor = reactor

    def __call__(self, request: SessionRequest) -> Program | None:
        """Start what was asked for, or refuse and log why."""
        connection = request.connection
        log = connection.server.log
        try:
            command, original = self._choose(request)
            program = self._start(request, command, original)
        except SSHKitError as error:
            log("info", f"{connection.source}: {_wanted(request)} of {connection.user!r} refused: {error}")
            return None
        log("verbose", f"{connection.source}: {connection.user!r} starts {_wanted(request)}")
        return program

    def _choose(self, request: SessionRequest) -> tuple[str | None, str | None]:
        """Return the command to run (None: the login shell), and the one it was forced on."""
        wanted = request.command
        terms = _login(request).terms.sessions or SessionTerms()
        if request.subsystem is not None:
            wanted = terms.subsystems.get(request.subsystem)
            if wanted is None:
                raise NotOffered("no such subsystem")
        grant = request.connection.grant
        forced = terms.forced_command or getattr(grant and grant.options, "command", None)
        command = wanted if forced is None else forced
        return command, wanted if forced is not None else None

    def _start(self, request: SessionRequest, command: str | None, original: str | None) -> Program:
        account = _login(request).account
        terms = _login(request).terms.sessions or SessionTerms()
        if command is not None and command.split(" ", 1)[0] == INTERNAL_SFTP:
            from sshkit.server.sftp import start_internal

            try:
                return start_internal(request, self._reactor, account, command)
            except OSError as error:
                raise NotOffered(f"internal-sftp: {error.strerror}") from None
        shell = account.shell
        name = os.path.basename(shell)
        argv = (f"-{name}",) if command is None else (name, "-c", command)
        environment = login_environment(account, request, original, terms.environment)
        terminal = request.terminal

        def prepare_terminal(descriptor: int) -> None:
            from sshkit.terminal.modes import apply_modes

            environment["SSH_TTY"] = os.ttyname(descriptor)
            apply_modes(descriptor, terminal.modes if terminal is not None else b"")

        return ProcessProgram(
            request,
            self._reactor,
            argv,
            executable=shell,
            env=environment,
            cwd=account.home if os.path.isdir(account.home) else "/",
            prepare_terminal=prepare_terminal,
        )


def _login(request: SessionRequest) -> "SystemLogin":
    return cast("SystemLogin", request.connection.users)


def _wanted(request: SessionRequest) -> str:
    """Return what was asked for, fit for a log."""
    if request.subsystem is not None:
        return f"subsystem {quoted(request.subsystem)}"
    if request.command is not None:
        return f"command {quoted(request.command)}"
    return "a shell"
