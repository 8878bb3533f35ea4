"""One run of sshkit-client: connect, log in, run the session, and end with its status.

Called by `client`.  It runs on the native engine.  Every way of ending goes through `_end`: the status of
the command, 255 for an error of ours, or the signal that ended us, delivered once more with its default
action after the terminal was put back.
"""

import os
import signal
from typing import TYPE_CHECKING, Final, cast

from sshkit_keys.errors import SSHKitError
from sshkit_keys.text import printable

from sshkit.client.configured import make_connection, open_target, tune_socket
from sshkit.client.connection import ClientConnection
from sshkit.client.host_keys import HostKeyChanged
from sshkit.client.target import Target
from sshkit.config.parser import ConfigError
from sshkit.deferred import Deferred, Failure, set_unhandled_handler
from sshkit.reactor.engines.native import NativeReactor
from sshkit.ssh.errors import ClosedByApplication, ConnectionLost
from sshkit.ssh.transport.weak_choices import weak_choices

from .client_agent import allow_agent
from .client_forwards import Forwards, address_of
from .client_setup import (
    command_of,
    direct_of,
    environment_of,
    tell_settings,
    wants_terminal,
)
from .local_terminal import LocalTerminal, go_to_background
from .log import DEBUG
from .prompts import Prompter
from .questions import Questions
from .session import ClientSession, DirectSession, Plan

if TYPE_CHECKING:
    from sshkit.forwarding.x11 import X11Grant
    from sshkit.interfaces import Reactor

    from .client_sharing import Master
    from .escapes import EscapeFilter
    from .log import Log
    from .options import CommandLine

FAILED: Final = 255
RIDE_TIMEOUT: Final = 10.0  #: seconds for a master to answer (-O proxy)
ENDING_SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)


class CommandReactor(NativeReactor):
    """A reactor whose faults are told in the command's own words, without a traceback."""

    def __init__(self, log: "Log") -> None:
        super().__init__()
        self.log = log

    def report(self, what: str, error: BaseException) -> None:
        """Tell a fault of our own code; the loop goes on."""
        self.log.error(f"internal error: {what}: {printable(f'{type(error).__name__}: {error}', 1000)}")


class Run:
    """One connection and its session."""

    def __init__(self, typed: "CommandLine", log: "Log", target: Target, ready: int | None = None) -> None:
        """`ready` is a descriptor of whoever waits until the connection is shared (`client_persist`)."""
        self.log = log
        self.target = target
        self._proxied = typed.control == "proxy"
        self._ready = ready
        self._master: Master | None = None
        log.level = target.options.log_level.value
        self._direct = None if typed.direct is None else direct_of(typed.direct)
        self._plan = self._make_plan(typed)
        self._terminal = LocalTerminal(0)
        self.reactor = CommandReactor(log)
        self._done: Deferred[int] = Deferred()
        self.session: ClientSession | None = None
        self.connection: ClientConnection | None = None
        self.forwards: Forwards | None = None
        self._died_by: int | None = None
        self._had_terminal = False
        self._prompter = Prompter(cast("Reactor", self.reactor), log.info, os.environ)

    def run(self) -> int:
        """Do it all; returns the exit status.  Raises SSHKitError for what a user is to be told."""
        reactor, log = self.reactor, self.log
        tell_settings(self.target, log)
        before = set_unhandled_handler(lambda failure, places: log.debug(f"unhandled: {failure}"))
        try:
            self._catch_signals()
            self._connect()
            return reactor.run_until(self._done)
        finally:
            self._clean_up()
            set_unhandled_handler(before)

    # Getting there.

    def _connect(self) -> None:
        target, log = self.target, self.log
        options = target.options
        reactor = cast("Reactor", self.reactor)
        if self._proxied:
            from sshkit.client.sharing.proxied import ride

            riding = ride(
                options.control_path.value or "", target.hostname, target.user, reactor, RIDE_TIMEOUT
            )
            riding.add_callback(self._joined).add_errback(self._failed)
            return
        asking = Questions(target, self._prompter, log)
        self.connection = connection = make_connection(target, reactor, asking)
        if log.level >= DEBUG:
            connection.layer.trace = log.debug
        patience = float(options.connect_timeout.value)
        if patience:
            self.reactor.call_later(patience, self._check_answered, patience)
        opening = open_target(connection, target, reactor, asking)
        opening.add_callback(self._logged_in).add_errback(self._failed)

    def _check_answered(self, seconds: float) -> None:
        """End a connection on which the server has not said who it is within ConnectTimeout."""
        connection = self.connection
        if connection is not None and not connection.layer.peer_identification:
            connection.layer.abort(ConnectionLost(f"no answer within {seconds:g} seconds (ConnectTimeout)"))

    def _logged_in(self, connection: ClientConnection) -> None:
        log = self.log
        tune_socket(connection, self.target, self._plan.terminal is not None)
        log.debug(f"server: {printable(connection.layer.peer_identification)}")
        log.debug(f"algorithms: {connection.negotiated.summary()}")
        log.debug(f"host key: {connection.host_key.key_type} {connection.host_key.fingerprint()}")
        for attempt in connection.trail:
            log.debug(f"login: {attempt}")
        if self.target.options.warn_weak_crypto.value:
            for text in weak_choices(connection.negotiated):
                log.info(f"Warning: {self.target.place}: {text}")
        log.verbose(f"Authenticated to {self.target.place} as {printable(connection.user)}.")
        self._run_local_command()
        self._begin_forwards(connection)

    def _joined(self, connection: ClientConnection) -> None:
        """Go on over another program's connection, which has logged in (-O proxy)."""
        self.connection = connection
        self._begin_forwards(connection)

    def _begin_forwards(self, connection: ClientConnection) -> None:
        self.forwards = Forwards(connection, self.target, self.log)
        self.forwards.start().add_callback(self._start_session, connection).add_errback(self._failed)

    def _start_session(self, _: object, connection: ClientConnection) -> None:
        """Go on now that each forward has its answer."""
        log, options = self.log, self.target.options
        if options.control_master.value != "no" and not self._proxied:
            self._share(connection)
            if self._master is not None and options.control_persist.value is not None:
                self._stay_behind(self._master)
                connection.wait_closed().add_callback(self._lost)
                return
        if options.fork_after_authentication.value:
            self._go_to_background()
        if self._direct is not None:
            self.session = direct = DirectSession(self.reactor, log, self._plan)
            direct.finished.add_callbacks(self._session_over, self._failed)
            connection.open_direct(address_of(self._direct), direct).add_errback(self._failed)
            return
        if options.session_type.value == "none":
            if options.fork_after_authentication.value:
                self._leave_standard_descriptors()
            connection.wait_closed().add_callback(self._lost)
            return
        self._plan.forward_agent = allow_agent(connection, self.target, log)
        if not options.forward_x11.value:
            self._open_session(None, connection)
            return
        from .client_x11 import allow_x11

        asked = allow_x11(connection, self.target, log)
        asked.add_callback(self._open_session, connection).add_errback(self._failed)

    def _open_session(self, x11: "X11Grant | None", connection: ClientConnection) -> None:
        """Open the session; its requests leave with the answer."""
        plan, options = self._plan, self.target.options
        plan.x11 = None if x11 is None else x11.body
        plan.keystroke_interval = options.obscure_keystroke_timing.value / 1000
        escapes = None
        if plan.terminal is not None:
            self._had_terminal = True
            escapes = self._make_escapes()
        self.session = session = ClientSession(self.reactor, self.log, plan, escapes)
        self.reactor.add_signal_handler(signal.SIGWINCH, self._resized)
        session.finished.add_callbacks(self._session_over, self._failed)
        opening = connection.open_session(session)
        if options.control_master.value == "no":
            opening.add_callback(lambda _: connection.no_more_sessions())
        opening.add_errback(self._failed)

    def _share(self, connection: ClientConnection) -> None:
        """Let other programs ride the connection (ControlMaster)."""
        from .client_sharing import start_master

        self._master = start_master(self, connection, self._end)
        if self._master is not None:
            self.reactor.add_signal_handler(signal.SIGWINCH, self._resized)

    def _stay_behind(self, master: "Master") -> None:
        """Serve riders in the background; the session that was wanted is one of them (ControlPersist)."""
        if self._ready is None:
            self._go_to_background()
        else:
            from .client_persist import READY

            os.setsid()
            os.write(self._ready, READY)
            os.close(self._ready)
        self._plan.terminal = None
        self._leave_standard_descriptors()
        master.persist()

    def _leave_standard_descriptors(self) -> None:
        """Let go of what the user's shell gave us; but what -v tells is told on."""
        null = os.open("/dev/null", os.O_RDWR)
        for number in (0, 1) if self.log.level >= DEBUG else (0, 1, 2):
            os.dup2(null, number)
        os.close(null)

    def _resized(self) -> None:
        """A terminal has another size: ours, or one of a program that rides our connection."""
        if self.session is not None:
            self.session.resized()
        if self._master is not None:
            self._master.shared.resized()

    def _make_plan(self, typed: "CommandLine") -> Plan:
        """Decide on the command, and on a terminal as ssh does."""
        target, log = self.target, self.log
        options = target.options
        plan = Plan()
        plan.command = command_of(target, typed)
        plan.subsystem = options.session_type.value == "subsystem"
        if plan.subsystem and plan.command is None:
            raise SSHKitError("no subsystem was named")
        plan.environment = environment_of(target, os.environ)
        plan.input = not options.stdin_null.value
        if wants_terminal(target, plan.command, log):
            plan.terminal = LocalTerminal(0)
            plan.terminal_type = os.environ.get("TERM", "")
        return plan

    def _make_escapes(self) -> "EscapeFilter | None":
        character = self.target.options.escape_char.value
        if character is None:
            return None
        from .client_escapes import make_escapes

        return make_escapes(self, character)

    # What escapes do.

    def end(self) -> None:
        """End the connection."""
        self._end(FAILED)

    def suspend(self) -> None:
        """Stop until the user's shell lets us go on."""
        self.leave_raw()
        os.kill(os.getpid(), signal.SIGTSTP)
        self.enter_raw()
        if self.session is not None:
            self.session.resized()

    def background(self) -> None:
        """Give the terminal back; what is open is served on by another process."""
        self.leave_raw()
        self._had_terminal = False
        if self.forwards is not None:
            self.forwards.stop_listening()
        self._go_to_background()
        if self.session is not None:
            self.session.leave_terminal()

    def leave_raw(self) -> None:
        """Let the terminal be as the user's shell left it."""
        self._put_terminal_back()

    def enter_raw(self) -> None:
        """Let every key through again."""
        if self.session is not None and self._plan.terminal is not None:
            self.log.raw = self._plan.terminal.enter_raw()

    def _run_local_command(self) -> None:
        """Run LocalCommand, and wait for it (ssh_config(5), PermitLocalCommand)."""
        setting = self.target.options.local_command
        if setting.value is None or not self.target.options.permit_local_command.value:
            return
        import subprocess

        command = self.target.tokens.expand(setting.value, setting.place)
        self.log.debug(f"local command: {printable(command, 1000)}")
        status = subprocess.call([os.environ.get("SHELL") or "/bin/sh", "-c", command])
        if status:
            self.log.info(f"Warning: LocalCommand ended with status {status}")

    def _go_to_background(self) -> None:
        """Let the user's shell go on (-f); what we are now is another process, without a terminal."""
        go_to_background()
        self.reactor.forked()

    # Ending.

    def _session_over(self, _: object) -> None:
        session = self.session
        assert session is not None
        if session.exit_signal is not None:
            core = f": {session.exit_message}" if session.exit_message else ""
            self.log.info(f"The command was ended by signal {session.exit_signal}{core}.")
        # Without a status nobody knows whether it worked (R30).
        status = FAILED if session.exit_status is None else session.exit_status & 0xFF
        connection = self.connection
        if connection is None or connection.is_closed:
            self._end(status)
            return
        if self._master is not None:
            self._put_terminal_back()
            self._master.end_when_unused(status)
            return
        if not connection.core.channels:
            self._end(status)
            return
        self.log.debug("forwarded connections are open; waiting for their end")
        self._put_terminal_back()
        connection.wait_idle().add_callback(lambda _: self._end(status))

    def _lost(self, _: object) -> None:
        connection = self.connection
        error = None if connection is None else connection.layer.lost
        self._failed(Failure(error or ClosedByApplication("the connection was closed")))

    def _failed(self, failure: Failure) -> None:
        """End with an error, unless we are ending already."""
        if not self._done.called:
            self._done.errback(failure.exception)

    def _end(self, status: int) -> None:
        if not self._done.called:
            self._done.callback(status)

    def _catch_signals(self) -> None:
        for number in ENDING_SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup(1) wants it so

                def ended(number: int = number) -> None:
                    self._signalled(number)

                self.reactor.add_signal_handler(number, ended)

    def _signalled(self, number: int) -> None:
        """End: with 255 in a session, as ssh does, else by the signal itself."""
        if self.session is None:
            self._died_by = number
        else:
            self.log.verbose(f"Killed by signal {number}.")
        self._end(FAILED)

    def _put_terminal_back(self) -> None:
        if self._plan.terminal is not None:
            self._plan.terminal.restore()
        self.log.raw = False

    def _clean_up(self) -> None:
        """Put everything back, whatever has happened."""
        self._prompter.restore()
        self._put_terminal_back()
        if self.session is not None:
            self.session.close()
        if self._master is not None:
            self._master.close()
        if self.connection is not None:
            self.connection.layer.disconnect()
        self.reactor.close()
        if self._had_terminal:
            self.log.info(f"Connection to {printable(self.target.hostname)} closed.")
        if self._died_by is not None:
            signal.signal(self._died_by, signal.SIG_DFL)
            os.kill(os.getpid(), self._died_by)


def tell_error(error: SSHKitError | OSError, target: Target | None, log: "Log") -> None:
    """Say why the command failed: one line, and for a changed host key the whole story."""
    if isinstance(error, HostKeyChanged) and error.places:
        log.error(changed_key_text(error))
    elif isinstance(error, OSError) and not isinstance(error, SSHKitError):
        place = f"{printable(os.fsdecode(error.filename), 4096)}: " if error.filename else ""
        log.error(f"{place}{error.strerror or error}")
    else:
        text = str(error)
        # A mistake in a file is the file's, wherever one wanted to go.
        place = "" if target is None or isinstance(error, ConfigError) else target.place
        log.error(text if not place or place in text else f"{place}: {text}")


def changed_key_text(error: HostKeyChanged) -> str:
    """Return the warning about a changed host key."""
    files = sorted({place.rpartition(":")[0] for place in error.places})
    remove = "\n".join(f"        ssh-keygen -f {printable(file, 4096)!r} -R {error.name!r}" for file in files)
    places = ", ".join(printable(place, 4096) for place in error.places)
    return f"""\
{error.name}: HOST KEY CHANGED
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
@        WARNING: THE KEY OF THIS HOST HAS CHANGED!       @
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
Somebody may be listening in right now, or the host was set up anew.
    It shows now:    {error.shown}
    Known so far by: {places}
Ask whoever runs the host for its fingerprint. If the new key is right, remove the old one with
{remove}
and connect again. No login was tried."""
