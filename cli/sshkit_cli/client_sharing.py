"""sshkit-client as a master: other programs ride its connection (ControlMaster and ControlPersist).

Called by `client_run` after the login, where the connection is to be shared.  `client_control` is the other
side.  A master stays while programs ride its connection; with ControlPersist it stays in the background.
"""

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, cast

from sshkit_keys.text import printable

from sshkit.client.sharing.errors import SharingError
from sshkit.client.sharing.information import information
from sshkit.client.sharing.master import Extras, SharedConnection
from sshkit.config.forwards import DYNAMIC, LOCAL, Forward
from sshkit.config.shown import shown_character
from sshkit.deferred import Deferred, succeed
from sshkit.ssh.channels.agent import REQUEST as AGENT_REQUEST
from sshkit.ssh.channels.x11 import REQUEST as X11_REQUEST

from .client_control import path_of
from .client_escapes import connections_of
from .escapes import EscapeFilter

if TYPE_CHECKING:
    from sshkit.client.connection import ClientConnection
    from sshkit.client.sharing.messages import SessionRequest
    from sshkit.client.sharing.peer import Peer
    from sshkit.forwarding.forward import Forward as RunningForward
    from sshkit.forwarding.x11 import X11Grant
    from sshkit.interfaces import DelayedCall, Reactor

    from .client_run import Run

ASKING: Final = ("ask", "autoask")
HELP: Final = """\
Supported escape sequences:
 {0}.   - end the session
 {0}B   - send a BREAK to the remote system
 {0}R   - exchange new keys
 {0}#   - list forwarded connections
 {0}?   - this text
 {0}{0}   - send the escape character by typing it twice
(Escapes are only recognized immediately after newline.)
"""


def start_master(run: "Run", connection: "ClientConnection", end: Callable[[int], object]) -> "Master | None":
    """Share a connection as the configuration wants it; None where it does not, or where that fails."""
    path = path_of(run.target)
    if path is None or run.target.options.control_master.value == "no":
        return None
    try:
        return Master(run, connection, path, end)
    except SharingError as error:
        run.log.error(str(error))
        return None


class Master:
    """The owner of a shared connection.  `end` ends the command, with an exit status."""

    __slots__ = (
        "_asks",
        "_connection",
        "_end",
        "_environment",
        "_final_status",
        "_lasts",
        "_persist",
        "_run",
        "_timer",
        "_watching",
        "shared",
    )

    def __init__(
        self, run: "Run", connection: "ClientConnection", path: str, end: Callable[[int], object]
    ) -> None:
        options = run.target.options
        self._run = run
        self._connection = connection
        self._end = end
        self._asks = options.control_master.value in ASKING
        self._environment: Mapping[str, str] = os.environ
        self._persist = options.control_persist.value  # seconds; 0: for ever; None: not at all
        self._lasts = False  # the command stays in the background for others to ride
        self._final_status: int | None = None  # to end with when nobody rides any more
        self._timer: DelayedCall | None = None
        self._watching = False
        reactor = cast("Reactor", run.reactor)
        self.shared = SharedConnection(connection, path, self, reactor, debug=run.log.debug)
        run.log.debug(f"sharing this connection at {printable(path, 4096)}")

    def persist(self) -> None:
        """Stay until nobody has ridden for ControlPersist's time."""
        self._lasts = True
        self._check()

    def end_when_unused(self, status: int) -> None:
        """End the command with `status` when nobody rides any more."""
        self._final_status = status
        self._check()

    def close(self) -> None:
        """Share no more."""
        self._stop_timer()
        self._final_status = None
        self.shared.close()

    # What programs ask for.

    def allow(self, question: str) -> "bool | Deferred[bool]":
        """Ask the user, where ControlMaster says so: through SSH_ASKPASS, for the terminal is in use."""
        if not self._asks:
            return True
        from .askpass import ask_program
        from .prompts import askpass_rules

        program = self._environment.get("SSH_ASKPASS", "")
        allowed = askpass_rules(self._environment)[0]
        log = self._run.log
        if not (allowed and program):
            log.info("A program wants to ride this connection, and there is no SSH_ASKPASS to ask with.")
            return False
        environment = {**self._environment, "SSH_ASKPASS_PROMPT": "confirm"}
        asking = ask_program(cast("Reactor", self._run.reactor), program, question, environment, log.info)
        return asking.add_callback(
            lambda answer: answer is not None and answer.strip().lower() in ("", "yes")
        )

    def open_forward(self, forward: Forward) -> "Deferred[int | None]":
        """Begin a forward, as -L, -R and -D do."""
        forwards = self._run.forwards
        assert forwards is not None
        chosen = (
            forward.kind not in (LOCAL, DYNAMIC) and forward.listen.path is None and not forward.listen.port
        )

        def port(running: "RunningForward") -> int | None:
            return running.port if chosen else None

        running = forwards.running.get(forward)
        if running is not None:
            return succeed(port(running))
        return forwards.add(forward).add_callback(port)

    def close_forward(self, forward: Forward) -> "Deferred[None] | None":
        """End a forward, whoever began it."""
        forwards = self._run.forwards
        assert forwards is not None
        return forwards.cancel(forward.kind, forward.listen)

    def extras(self, request: "SessionRequest") -> "Extras | Deferred[Extras]":
        """Ask for the agent and the display, where the program wants them and our configuration allows it."""
        run = self._run
        extras: Extras = []
        if request.agent_wanted:
            from .client_agent import allow_agent

            if allow_agent(self._connection, run.target, run.log):
                extras.append((AGENT_REQUEST, b""))
        if not (request.x11_wanted and run.target.options.forward_x11.value):
            return extras
        from .client_x11 import allow_x11

        def granted(grant: "X11Grant | None") -> Extras:
            return extras if grant is None else [(X11_REQUEST, grant.body), *extras]

        return allow_x11(self._connection, run.target, run.log).add_callback(granted)

    def escapes(self, peer: "Peer", character: int) -> EscapeFilter:
        """Look for those escapes that mean something in a session of another program."""
        name = shown_character(character)
        actions: dict[int, Callable[[], object]] = {}

        def show(text: str) -> None:
            if peer.passenger is not None:
                peer.passenger.show(f"{name}{text}".replace("\n", "\r\n"))

        def end() -> None:
            show(".\n")
            peer.end()

        def send_break() -> None:
            show("B [sent BREAK]\n")
            if peer.passenger is not None:
                peer.passenger.send_break()

        def list_connections() -> None:
            lines = connections_of(self._run) or ["There are no forwarded connections."]
            show("#\n" + "".join(f"{line}\n" for line in lines))

        actions[ord(".")] = end
        actions[ord("B")] = send_break
        actions[ord("R")] = self._connection.rekey
        actions[ord("#")] = list_connections
        actions[ord("?")] = lambda: show(f"?\n{HELP.format(name)}")
        return EscapeFilter(character, actions)

    def information(self, kind: str) -> str | None:
        return information(self._connection, kind)

    def terminate(self) -> None:
        self._run.log.debug("a program has asked for the end of this connection")
        self._end(0)

    def stopped(self) -> None:
        """End with the last that rides, unless a session of our own goes on."""
        if self._lasts or self._run.target.options.session_type.value == "none":
            self.end_when_unused(0)

    def changed(self) -> None:
        self._check()

    # When to end.

    def _check(self) -> None:
        """See whether somebody still rides, and end if that is due."""
        if self._final_status is None and not self._lasts:
            return
        connection = self._connection
        if connection.is_closed:
            return
        if self.shared.is_used or connection.core.channels:
            self._stop_timer()
            if not self._watching and connection.core.channels:
                self._watching = True
                connection.wait_idle().add_callback(self._idle)
        elif self._final_status is not None:
            self._end(self._final_status)
        elif self._persist and self._timer is None:
            self._timer = self._run.reactor.call_later(float(self._persist), self._expired)

    def _idle(self, _: Any) -> None:
        self._watching = False
        self._check()

    def _expired(self) -> None:
        self._timer = None
        if self.shared.is_used or self._connection.core.channels:  # a forwarded connection, just now
            self._check()
        else:
            self._run.log.debug(f"nobody has used this connection for {self._persist} seconds")
            self._end(0)

    def _stop_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
