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
    from sshkit.server.login_setup import Rc
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
    user_environment: str | None = None  #: PermitUserEnvironment: patterns of names; None: no
    user_rc: bool = True  #: ~/.ssh/rc runs before the program
    print_motd: bool = True
    print_last_login: bool = True


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
        connection, terminal = request.connection, request.terminal
        shell = account.shell
        name = os.path.basename(shell)
        argv: tuple[str, ...] = (f"-{name}",) if command is None else (name, "-c", command)
        extra = {**self._user_variables(request, terms), **(terms.environment or {})}
        environment = login_environment(account, request, original, extra)
        program = shell
        rc = self._rc(request, terms)
        if rc is not None:
            from sshkit.server.login_setup import with_rc

            program, argv, environment = with_rc(rc, shell, argv, environment)
        variables = environment

        def prepare_terminal(descriptor: int) -> None:
            from sshkit.terminal.modes import apply_modes

            variables["SSH_TTY"] = tty = os.ttyname(descriptor)
            apply_modes(descriptor, terminal.modes if terminal is not None else b"")
            connection.terminal_opened(tty)

        return ProcessProgram(
            request,
            self._reactor,
            argv,
            executable=program,
            env=variables,
            cwd=account.home if os.path.isdir(account.home) else "/",
            prepare_terminal=prepare_terminal,
            greeting=b"" if command is not None or terminal is None else self._greeting(request, terms),
        )

    def _user_variables(self, request: SessionRequest, terms: SessionTerms) -> dict[str, str]:
        """Return what the system, PAM's modules, the user's own file and his key's line want set."""
        from sshkit.server.login_setup import system_environment
        from sshkit.server.user_environment import user_environment

        connection = request.connection
        account = _login(request).account
        grant = connection.grant
        of_key = getattr(grant and grant.options, "environment", ())
        own, warnings = user_environment(account, terms.user_environment, of_key)
        for warning in warnings:
            connection.server.log("info", f"{connection.source}: {warning}")
        system = {} if _login(request).terms.rules.pam is not None else system_environment()
        return {**system, **connection.beginning.environment, **own}

    def _rc(self, request: SessionRequest, terms: SessionTerms) -> "Rc | None":
        """Return what runs before the program: ~/.ssh/rc, or the system's."""
        import sys

        from sshkit.server.login_setup import find_rc

        login, grant = _login(request), request.connection.grant
        of_key = getattr(grant and grant.options, "permit_user_rc", True)
        rc = find_rc(
            login.account,
            permit_user_rc=terms.user_rc and of_key and terms.forced_command is None,
            is_subsystem=request.subsystem is not None,
        )
        if rc is not None and not os.access(sys.executable, os.X_OK):
            connection = request.connection
            connection.server.log(
                "error", f"{connection.source}: no rc runs: {sys.executable} is out of reach"
            )
            return None
        return rc

    def _greeting(self, request: SessionRequest, terms: SessionTerms) -> bytes:
        from sshkit.server.login_setup import greeting

        beginning = request.connection.beginning
        return greeting(
            _login(request).account,
            print_motd=terms.print_motd,
            last_login=beginning.last_login if terms.print_last_login else None,
            shown=beginning.shown,
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
