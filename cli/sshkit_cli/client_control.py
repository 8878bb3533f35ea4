"""sshkit-client over another program's connection: sessions that ride it, and the commands of -O.

Called by `client` where there is a ControlPath, before anything of the SSH protocol is loaded: this side of a
shared connection hands its descriptors over and waits.  `client_sharing` is the other side.
"""

import os
import signal
from typing import TYPE_CHECKING, Any, Final

from sshkit_keys.errors import SSHKitError
from sshkit_keys.text import printable

from sshkit.client.sharing.errors import MasterRefused, NoMaster, SharingError
from sshkit.client.sharing.messages import SessionRequest
from sshkit.client.sharing.place import remove_stale
from sshkit.client.sharing.rider import Rider, variables
from sshkit.config.forwards import DYNAMIC, LOCAL, REMOTE, Endpoint, Forward

from .client_setup import command_of, direct_of, environment_of, tell_settings, wants_terminal

if TYPE_CHECKING:
    from types import FrameType

    from sshkit.client.target import Target

    from .local_terminal import LocalTerminal
    from .log import Log
    from .options import CommandLine

FAILED: Final = 255
COMMANDS: Final = ("cancel", "channels", "check", "conninfo", "exit", "forward", "proxy", "stop")
ENDING_SIGNALS: Final = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
NO_SESSION: Final = -1  #: -N: there is none to wait for, only the master's end
#: The order in which OpenSSH asks for forwards.
_ORDER: Final = {LOCAL: 0, DYNAMIC: 0, REMOTE: 1}


class Signalled(BaseException):
    """A signal that ends the command; not an Exception, so that nothing takes it for a mistake."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def path_of(target: "Target") -> str | None:
    """Return where connections to a target are shared; None: nowhere."""
    path = target.options.control_path.value
    return None if path is None or path.lower() == "none" else path


def ride(typed: "CommandLine", target: "Target", log: "Log", *, persisting: bool = False) -> int | None:
    """Do what is wanted by way of a master, if there is one; None where a connection of our own is needed.

    `persisting`: the master is of our own making, and has the forwards already.
    """
    log.level = target.options.log_level.value
    mode = target.options.control_master.value
    path = path_of(target)
    if typed.control is not None and typed.control not in COMMANDS:
        log.error(f"-O: {printable(typed.control)} is none of {', '.join(COMMANDS)}")
        return FAILED
    if path is None:
        if typed.control is not None:
            log.error("-O: no ControlPath (-S) says where the master is")
            return FAILED
        return None
    if typed.control == "proxy" or (typed.control is None and mode in ("yes", "ask") and not persisting):
        return None
    try:
        rider = Rider(path)
    except SSHKitError as error:
        return _no_master(error, path, typed, mode, log)
    with rider:
        if typed.control is not None:
            return _control(rider, typed.control, target, log)
        tell_settings(target, log)
        return _session(rider, typed, target, log, path, with_forwards=not persisting)


def _no_master(error: SSHKitError, path: str, typed: "CommandLine", mode: str, log: "Log") -> int | None:
    """Tell why nobody is ridden, and go on alone where that is possible."""
    if typed.control is not None:
        log.error(str(error))
        return FAILED
    if isinstance(error, NoMaster):
        if error.stale and mode in ("auto", "autoask") and remove_stale(path):
            log.debug(f"{error}; removed")
            return None
        if error.missing:
            log.debug(str(error))
            return None
    log.error(f"{error}; going on without it")
    return None


# The commands of -O.


def _control(rider: Rider, command: str, target: "Target", log: "Log") -> int:
    """Carry out one command; its exit status."""
    try:
        if command == "check":
            log.notice(f"Master running (pid={rider.alive()})\r\n")
        elif command == "exit":
            rider.terminate()
            _confirm(log, "Exit request sent.")
        elif command == "stop":
            rider.stop_listening()
            _confirm(log, "Stop listening request sent.")
        elif command == "forward":
            return _forwards(rider, target, log)
        elif command == "cancel":
            _cancel(rider, target, log)
        else:
            kind = "connection" if command == "conninfo" else "channels"
            log.output(printable_lines(rider.information(kind)))
    except SSHKitError as error:
        log.error(f"-O {command}: {error}")
        return FAILED
    return 0


def _confirm(log: "Log", text: str) -> None:
    if log.level > 0:
        log.notice(f"{text}\r\n")


def _forwards(rider: Rider, target: "Target", log: "Log", *, show_ports: bool = True) -> int:
    """Ask for the forwards that are named; 255 if the master has refused one."""
    status = 0
    for forward in _named(target):
        try:
            port = rider.forward(forward)
        except MasterRefused as error:
            log.error(f"{forward.kind} forward {printable(str(forward))}: the master refused: {error}")
            status = FAILED
            continue
        if port is not None:
            if show_ports:
                log.output(f"{port}\n")
            log.verbose(f"Allocated port {port} for remote forward to {forward.target or 'SOCKS'}")
    return status


def _cancel(rider: Rider, target: "Target", log: "Log") -> None:
    for forward in _named(target):
        try:
            rider.cancel(forward)
        except MasterRefused as error:
            log.error(f"{forward.kind} forward {printable(str(forward))}: {error}")


def _named(target: "Target") -> list[Forward]:
    if target.options.clear_all_forwardings.value:
        return []
    return sorted((setting.value for setting in target.options.forwards), key=lambda each: _ORDER[each.kind])


# Sessions.


def _session(
    rider: Rider,
    typed: "CommandLine",
    target: "Target",
    log: "Log",
    path: str,
    *,
    with_forwards: bool,
) -> int | None:
    """Run a session, or what stands in its place; None where the master will not have it."""
    options = target.options
    direct = None if typed.direct is None else direct_of(typed.direct)
    request: SessionRequest | None = None
    terminal: LocalTerminal | None = None
    number = NO_SESSION
    if direct is None and options.session_type.value != "none":
        request, terminal = _request(typed, target, log)
    try:
        pid = rider.alive()
        log.debug(f"riding the connection of process {pid}")
        if with_forwards and _forwards(rider, target, log, show_ports=False):
            log.error("the master has not begun all forwards; going on without it")
            return None
        if request is not None or direct is not None:
            number = _open(rider, request, direct, options.stdin_null.value)
    except SharingError as error:
        if typed.direct is not None:
            log.error(f"the master refused: {error}")
            return FAILED
        log.error(f"the master refused: {error}; going on without it")
        return None
    except SSHKitError as error:
        log.error(f"{error}; going on without it")
        return None
    if options.fork_after_authentication.value:
        from .local_terminal import go_to_background

        go_to_background()
        terminal = None
    return _wait(rider, number, terminal, pid, target, log, path)


def _open(rider: Rider, request: SessionRequest | None, direct: Endpoint | None, no_input: bool) -> int:
    """Hand our descriptors over; returns the session's number."""
    given = os.open("/dev/null", os.O_RDONLY) if no_input else 0
    try:
        if request is not None:
            return rider.open_session(request, (given, 1, 2))
        assert direct is not None
        return rider.open_stdio(direct, (given, 1))
    finally:
        if given:
            os.close(given)


def _request(
    typed: "CommandLine", target: "Target", log: "Log"
) -> "tuple[SessionRequest, LocalTerminal | None]":
    """Return what the session is to be, and the terminal that it is typed on."""
    options = target.options
    command = command_of(target, typed)
    subsystem = options.session_type.value == "subsystem"
    if subsystem and command is None:
        raise SSHKitError("no subsystem was named")
    terminal = _terminal() if wants_terminal(target, command, log) else None
    request = SessionRequest(
        os.fsencode(command or ""),
        terminal=terminal is not None,
        terminal_type=os.environ.get("TERM", ""),
        subsystem=subsystem,
        escape=options.escape_char.value,
        x11_wanted=options.forward_x11.value,
        agent_wanted=options.forward_agent.value is not None,
        environment=variables(environment_of(target, os.environ)),
    )
    return request, terminal


def _terminal() -> "LocalTerminal":
    from .local_terminal import LocalTerminal

    return LocalTerminal(0)


def _wait(
    rider: Rider,
    number: int,
    terminal: "LocalTerminal | None",
    pid: int,
    target: "Target",
    log: "Log",
    path: str,
) -> int:
    """Wait until the master says that the session is over; its exit status."""

    def refused() -> None:
        if terminal is not None:
            terminal.restore()
            log.raw = False
        log.info("The server has no terminal for us; going on without one.")

    before = _catch_signals(pid)
    status: int | None = None
    try:
        if terminal is not None:
            log.raw = terminal.enter_raw()
        status = rider.wait(number, refused)
    except Signalled as ended:
        log.verbose(f"Killed by signal {ended.number}.")
        return FAILED
    except SSHKitError as error:
        log.error(str(error))
        return FAILED
    finally:
        for each, handler in before:
            signal.signal(each, handler)
        if terminal is not None:
            terminal.restore()
            log.raw = False
            log.info(f"Shared connection to {printable(target.hostname)} closed.")
    if status is not None:
        return status
    if target.options.session_type.value == "none" and number != NO_SESSION:  # -W has no status
        return 0
    if _is_gone(path):
        log.error("the master of the shared connection has gone")
    else:
        log.info("The session has ended without an exit status.")
    return FAILED


def _is_gone(path: str) -> bool:
    """Tell whether the master has gone; one that is just going still has its socket, but does not answer."""
    try:
        Rider(path).close()
    except SSHKitError:
        return True
    return False


def _catch_signals(pid: int) -> list[tuple[int, Any]]:
    """End by a signal in order, and let the master know of a new size; return what was there before."""

    def end(number: int, frame: "FrameType | None") -> None:
        raise Signalled(number)

    def resized(number: int, frame: "FrameType | None") -> None:
        try:
            os.kill(pid, number)
        except OSError:  # it has gone, and we shall hear of it
            pass

    before: list[tuple[int, Any]] = []
    for number in ENDING_SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup(1) wants it so
            before.append((number, signal.signal(number, end)))
    if pid > 1:
        before.append((signal.SIGWINCH, signal.signal(signal.SIGWINCH, resized)))
    return before


def printable_lines(text: str) -> str:
    """Return a master's words with nothing in them that a terminal obeys."""
    return "".join(f"{printable(line, 4096)}\n" for line in text.splitlines())
