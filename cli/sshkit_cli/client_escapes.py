"""What the escapes do: ``~.``, ``~#``, ``~&``, ``~C`` and the others (ssh(1), ESCAPE CHARACTERS).

Made by `client_run` for a session on a terminal; `escapes` finds them in what is typed.
"""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, cast

from sshkit_keys.errors import SSHKitError
from sshkit_keys.text import printable

from sshkit.config.forwards import DYNAMIC, LOCAL, REMOTE, InvalidForward, parse_forward
from sshkit.config.shown import shown_character
from sshkit.deferred import Failure

from .escapes import COMMANDS, HELP, EscapeFilter

if TYPE_CHECKING:
    from sshkit.client.connection import ClientConnection
    from sshkit.client.target import Target
    from sshkit.interfaces import Reactor

    from .client_forwards import Forwards
    from .log import Log
    from .session import ClientSession

KINDS = {"L": LOCAL, "R": REMOTE, "D": DYNAMIC}
#: How channels are called that belong to no forward.
OTHER_CHANNELS = {"auth-agent@openssh.com": "agent", "x11": "X client", "tun@openssh.com": "tunnel"}


class Host(Protocol):
    """What has a session, as far as escapes are concerned."""

    log: "Log"
    target: "Target"
    reactor: Any
    connection: "ClientConnection | None"
    session: "ClientSession | None"
    forwards: "Forwards | None"

    def end(self) -> None:
        """End the connection."""

    def suspend(self) -> None:
        """Stop until the user's shell lets us go on."""

    def background(self) -> None:
        """Give the terminal back, and serve what is open."""

    def leave_raw(self) -> None:
        """Let the terminal be as the user's shell left it."""

    def enter_raw(self) -> None:
        """Let every key through again."""


def make_escapes(host: Host, character: int) -> EscapeFilter:
    """Return the filter for a session."""
    actions = Escapes(host, shown_character(character))
    table: dict[int, Callable[[], object]] = {
        ord("."): actions.end,
        ord("#"): actions.list_connections,
        ord("&"): actions.background,
        ord("?"): actions.help,
        ord("B"): actions.send_break,
        ord("C"): actions.command_line,
        ord("R"): actions.rekey,
        ord("V"): lambda: actions.louder(-1),
        ord("v"): lambda: actions.louder(1),
        26: actions.suspend,
    }
    return EscapeFilter(character, table)


class Escapes:
    """The actions of one session."""

    __slots__ = ("_host", "_log", "_name")

    def __init__(self, host: Host, name: str) -> None:
        self._host = host
        self._log = host.log
        self._name = name

    def end(self) -> None:
        """``~.``"""
        self._show(".\n")
        self._host.end()

    def list_connections(self) -> None:
        """``~#``"""
        lines = connections_of(self._host)
        head = "Forwarded connections:" if lines else "There are no forwarded connections."
        self._show("#\n" + "".join(f"{line}\n" for line in (head, *(f"  {line}" for line in lines))))

    def background(self) -> None:
        """``~&``"""
        self._show("& [in the background]\n")
        self._host.background()

    def help(self) -> None:
        """``~?``"""
        self._show(f"?\n{HELP.format(self._name)}")

    def send_break(self) -> None:
        """``~B``"""
        session = self._host.session
        if session is not None:
            self._show("B [sent BREAK]\n")
            session.send_break()

    def rekey(self) -> None:
        """``~R``"""
        connection = self._host.connection
        if connection is not None:
            connection.rekey()

    def louder(self, step: int) -> None:
        """``~v`` and ``~V``"""
        log = self._log
        log.level = min(max(log.level + step, 0), 7)
        self._show(f"{'v' if step > 0 else 'V'} [log level {log.level}]\n")

    def suspend(self) -> None:
        """``~^Z``"""
        self._show("^Z [suspended]\n")
        self._host.suspend()

    def command_line(self) -> None:
        """``~C``"""
        host, log = self._host, self._log
        session = host.session
        if not host.target.options.enable_escape_commandline.value:
            self._show("C [switched off: EnableEscapeCommandline]\n")
            return
        if session is None:
            return
        from .prompts import NobodyToAsk, Prompter

        reactor = cast("Reactor", host.reactor)
        session.pause_typing()
        host.leave_raw()

        def answered(line: str | None) -> None:
            try:
                if line is not None and line.strip():
                    run_command(host, line.strip())
            finally:
                host.enter_raw()
                session.resume_typing()

        def failed(failure: Failure) -> None:
            host.enter_raw()
            session.resume_typing()
            log.info(str(failure.exception))

        prompter = Prompter(reactor, log.info, {}, _typed_on)
        try:
            prompter.ask("\r\nssh> ", echo=True).add_callbacks(answered, failed)
        except NobodyToAsk as error:
            failed(Failure(error))

    def _show(self, text: str) -> None:
        self._log.notice(f"{self._name}{text}")


def connections_of(host: Host) -> list[str]:
    """Return a line for each forward and each other channel that is open."""
    lines = [] if host.forwards is None else [printable(line, 1000) for line in host.forwards.connections()]
    connection = host.connection
    channels = () if connection is None else connection.core.channels.values()
    for channel in channels:
        name = OTHER_CHANNELS.get(channel.kind)
        if name is not None:
            lines.append(f"{name}: channel {channel.number}")
    return lines


def run_command(host: Host, line: str) -> None:
    """Carry out what was typed at ``ssh>``."""
    log = host.log
    if line.startswith("!"):
        _run_local(host, line[1:])
        return
    word = line.removeprefix("-")
    if word[:1] in ("h", "?", "H"):
        allowed = host.target.options.permit_local_command.value
        log.notice(COMMANDS + (" !command - run a command here\n" if allowed else ""))
        return
    cancels = word.startswith("K")
    kind = KINDS.get(word[1:2] if cancels else word[:1])
    forwards = host.forwards
    if kind is None or forwards is None:
        log.notice(f"No such command: {printable(line)}\n")
        return
    text = word[2 if cancels else 1 :].strip()
    try:
        wanted = parse_forward(text, DYNAMIC if cancels else kind)
    except InvalidForward as error:
        log.notice(f"{error}\n")
        return
    if cancels:
        ending = forwards.cancel(kind, wanted.listen)
        log.notice("There is no such forward.\n" if ending is None else "The forward is cancelled.\n")
        return

    def failed(failure: Failure) -> None:
        error = failure.exception
        if not isinstance(error, (SSHKitError, OSError)):
            failure.raise_exception()
        log.notice(f"{kind} forward {printable(text)}: {printable(str(error), 1000)}\n")

    def started(running: Any) -> None:
        log.notice(f"{kind} forward {printable(text)} is in force.\n")

    forwards.add(wanted).add_callbacks(started, failed)


def _run_local(host: Host, command: str) -> None:
    if not host.target.options.permit_local_command.value:
        host.log.notice("PermitLocalCommand does not allow this.\n")
        return
    import subprocess

    subprocess.call([os.environ.get("SHELL") or "/bin/sh", "-c", command.strip()])


def _typed_on() -> int:
    """Open the terminal once more that the session is typed on."""
    return os.open(os.ttyname(0), os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC | os.O_NONBLOCK)
