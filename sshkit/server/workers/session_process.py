"""The process of one client who is logged in: everything of his happens here, with his rights.

The monitor makes it, as a copy of itself that becomes the user; the worker passes the client's packets to it.
Shells, commands, SFTP, forwards, agent and X11 sockets are made here and end here, with the connection.
"""

import os
import socket
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from sshkit.deferred import Deferred, fail
from sshkit.server.connection import Beginning, ServerConnection
from sshkit.server.server import Server
from sshkit.server.workers import messages
from sshkit.server.workers.link import Link, LinkBroken
from sshkit.ssh.transport.bare import BareLayer
from sshkit.ssh.transport.layer import TransportLayer

if TYPE_CHECKING:
    from sshkit_keys import PublicKey

    from sshkit.interfaces import Reactor
    from sshkit.server.accounts import Account
    from sshkit.server.configured import Plan
    from sshkit.server.event_log import EventLog
    from sshkit.server.login_records import LastLogin
    from sshkit.server.session_keeper import KeptSession
    from sshkit.server.system_users import SystemLogin
    from sshkit.server.workers.monitor import MonitoredLogin
    from sshkit.ssh.authentication.verdicts import Grant
    from sshkit.ssh.messages.record import Message


PATIENCE: Final = 2.0  #: seconds for programs to end with their client
LOOK: Final = 0.02


class SessionLayer(BareLayer):
    """The layer of the frames that the worker passes on."""

    __slots__ = ()
    gone = "the client has gone"

    def disconnect(self, error: BaseException | None = None) -> None:
        """End the connection; the worker tells the client why."""
        TransportLayer.disconnect(self, error)


class MonitorKeys:
    """The host keys, as a session's process has them: the monitor has proofs signed."""

    def __init__(self, reactor: "Reactor", sock: socket.socket) -> None:
        self._link = Link(reactor, sock, self._received, self._gone)
        self._asked: dict[int, Deferred[bytes]] = {}
        self._last = 0

    def tell(self, message: "Message") -> None:
        """Tell the monitor."""
        self._link.send(message.encode())

    def key(self, public: "PublicKey") -> "MonitorKey":
        """Return the one with this public half."""
        return MonitorKey(self, public)

    def sign(self, algorithm: str, data: bytes) -> "Deferred[bytes]":
        """Ask for a signature."""
        if self._link.closed:
            return fail(LinkBroken("the monitor has gone"))
        self._last += 1
        answer: Deferred[bytes] = Deferred()
        self._asked[self._last] = answer
        self._link.send(messages.Sign(self._last, 0, algorithm, data).encode())
        return answer

    def _received(self, data: bytes, fds: list[int]) -> None:
        answer = messages.Answer.decode(data)
        asked = self._asked.pop(answer.request)
        if answer.kind == messages.SIGNATURE:
            asked.callback(answer.body)
        else:
            asked.errback(LinkBroken(answer.body.decode("utf-8", "replace")))

    def _gone(self, error: BaseException) -> None:
        waiting, self._asked = self._asked, {}
        for asked in waiting.values():
            asked.errback(error)


class MonitorKey:
    """One host key."""

    __slots__ = ("_keys", "public")

    def __init__(self, keys: MonitorKeys, public: "PublicKey") -> None:
        self._keys = keys
        self.public = public

    def sign(self, algorithm: str, data: bytes) -> "Deferred[bytes]":
        """Return the signature, as soon as it is there."""
        return self._keys.sign(algorithm, data)


class KnownUser:
    """The policy of somebody whose login was decided already."""

    __slots__ = ("settings", "users")

    def __init__(self, users: "SystemLogin", settings: Any) -> None:
        self.users = users
        self.settings = settings


class SessionConnection(ServerConnection):
    """The client, from his login on."""

    __slots__ = ("_keys", "_login")

    def __init__(self, server: Server, login: "MonitoredLogin", grant: "Grant", keys: MonitorKeys) -> None:
        self._login = login
        self._keys = keys
        super().__init__(server)
        self.end_grace()
        self.source = login.source
        self.grant = grant
        self.layer.peer_identification = login.identification
        self.layer.session_id = login.session_id

    def make_policy(self) -> Any:
        login = self._login
        return KnownUser(cast("SystemLogin", login.policy.users), login.policy.settings)

    def make_layer(self) -> TransportLayer:
        return SessionLayer(self, self.server.clock, is_client=False)

    def addresses(self) -> tuple[str, int, str, int]:
        return self._login.addresses()

    def terminal_opened(self, name: str) -> None:
        self._keys.tell(messages.Terminal(name))

    def transport_ready(self) -> None:
        grant = self.grant
        assert grant is not None
        self.granted(grant)


class SessionServer(Server):
    """The server of one connection: it has no port, and ends with the connection."""

    def logged_in(self, connection: ServerConnection) -> None:
        """Say nothing: the monitor has said it."""
        self._sweep_later()

    def _leave(self, left: float) -> None:
        """Stop when the programs have ended, which were hung up; who does not mind that is left behind."""
        if left > 0 and _has_children():
            self.clock.call_later(LOOK, self._leave, left - LOOK)
        else:
            cast("Reactor", self.clock).stop()

    def connection_ended(self, connection: ServerConnection, error: BaseException) -> None:
        """Stop when all is done."""
        self.connections.discard(connection)
        if isinstance(error, Exception) and not hasattr(error, "reason"):
            self.log("error", f"{connection.source}: internal error", error)
        elif str(error) != SessionLayer.gone:  # else the worker has told why
            self.log("info", f"{connection.source}: ended: {error}")
        self._leave(PATIENCE)


class Session(NamedTuple):
    """What a session's process is made of."""

    sock: socket.socket  #: to the worker
    asks: socket.socket  #: to the monitor
    plan: "Plan"
    login: "MonitoredLogin"
    grant: "Grant"
    log: "EventLog"
    log_descriptors: tuple[int, ...] = ()
    last_login: "LastLogin | None" = None


def run_session(session: Session) -> int:
    """Be the process; returns its exit status.

    With PAM it becomes two: one that stays root and closes PAM's session after the other, the user's.
    """
    login = session.login
    users = cast("SystemLogin", login.policy.users)
    service = users.terms.rules.pam
    os.umask(0o022)
    if service is None or os.geteuid():
        return _serve(session, Beginning(session.last_login, "", {}))
    from sshkit.server.pam import PamFacts
    from sshkit.server.session_keeper import SessionRefused, with_pam_session

    def run(kept: "KeptSession") -> int:
        shown = "\n".join(text for text in (users.shown, kept.shown) if text)
        return _serve(session, Beginning(session.last_login, shown, kept.environment), kept.groups)

    try:
        return with_pam_session(
            run,
            users.account,
            login.source,
            PamFacts(users.account.name, login.source, service),
            users.pam_environment,
            keep=session.log_descriptors,
        )
    except SessionRefused as error:
        session.log("info", f"{login.source}: no session for {session.grant.user!r}: {error}")
        return 0


def _serve(session: Session, beginning: Beginning, groups: tuple[int, ...] = ()) -> int:
    from signal import SIGHUP, SIGTERM

    from sshkit.reactor.engines import new_reactor
    from sshkit.server.privileges import become, change_root

    login, log, plan = session.login, session.log, session.plan
    users = cast("SystemLogin", login.policy.users)
    account, terms = users.account, users.terms.sessions
    if terms is not None and terms.root is not None and os.geteuid() == 0:
        change_root(expanded_root(terms.root, account))
    become(account, groups)
    reactor = cast("Reactor", new_reactor("native"))
    keys = MonitorKeys(reactor, session.asks)
    server = SessionServer(
        reactor,
        host_keys=[keys.key(key.public) for key in plan.host_keys],
        users=plan.users,
        start_program=plan.sessions(reactor),
        settings=login.policy.settings,
        log=log,
    )
    connection = SessionConnection(server, login, session.grant, keys)
    connection.beginning = beginning
    server.connections.add(connection)
    exposed = _expose(login, log) if terms is not None and terms.expose_methods else ""
    connection.auth_info = exposed

    def end() -> None:
        connection.close()

    for number in (SIGTERM, SIGHUP):
        reactor.add_signal_handler(number, end)

    def begin() -> None:
        try:
            reactor.adopt_socket(session.sock, lambda: connection.layer)
        except BaseException:
            reactor.stop()  # nobody would ever end this process
            raise

    reactor.call_soon(begin)
    try:
        reactor.run()
    finally:
        reactor.close()
        if exposed:
            from sshkit.server.auth_info import remove_auth_info

            remove_auth_info(exposed)
    return 0


def _has_children() -> bool:
    """Say whether a process of ours runs, or was not reaped yet."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def expanded_root(pattern: str, account: "Account") -> str:
    """Return ChrootDirectory with its tokens replaced (sshd_config(5))."""
    from sshkit.server.accounts import key_paths

    return key_paths((pattern,), account, "ChrootDirectory")[0]


def _expose(login: "MonitoredLogin", log: "EventLog") -> str:
    """Write down how the user has logged in; returns the path, "" where that cannot be done."""
    from sshkit.server.auth_info import auth_line, write_auth_info

    text = "".join(auth_line(method, key=key) for method, key in login.policy.passed)
    try:
        return write_auth_info(text, os.urandom)
    except OSError as error:
        log("error", f"{login.source}: SSH_USER_AUTH: {error.strerror}")
        return ""
