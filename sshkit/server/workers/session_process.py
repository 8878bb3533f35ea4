"""The process of one client who is logged in: everything of his happens here, with his rights.

The monitor makes it, as a copy of itself that becomes the user; the worker passes the client's packets to it.
Shells, commands, SFTP, forwards, agent and X11 sockets are made here and end here, with the connection.
"""

import os
import socket
from typing import TYPE_CHECKING, Any, cast

from sshkit.server.connection import ServerConnection
from sshkit.server.server import Server
from sshkit.ssh.transport.bare import BareLayer
from sshkit.ssh.transport.layer import TransportLayer

if TYPE_CHECKING:
    from sshkit.interfaces import Reactor
    from sshkit.server.configured import Plan
    from sshkit.server.event_log import EventLog
    from sshkit.server.system_users import SystemLogin
    from sshkit.server.workers.monitor import MonitoredLogin
    from sshkit.ssh.authentication.verdicts import Grant


class SessionLayer(BareLayer):
    """The layer of the frames that the worker passes on."""

    __slots__ = ()
    gone = "the client has gone"

    def disconnect(self, error: BaseException | None = None) -> None:
        """End the connection; the worker tells the client why."""
        TransportLayer.disconnect(self, error)


class KnownUser:
    """The policy of somebody whose login was decided already."""

    __slots__ = ("settings", "users")

    def __init__(self, users: "SystemLogin", settings: Any) -> None:
        self.users = users
        self.settings = settings


class SessionConnection(ServerConnection):
    """The client, from his login on."""

    __slots__ = ("_login",)

    def __init__(self, server: Server, login: "MonitoredLogin", grant: "Grant") -> None:
        self._login = login
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

    def transport_ready(self) -> None:
        grant = self.grant
        assert grant is not None
        self.granted(grant)


class SessionServer(Server):
    """The server of one connection: it has no port, and ends with the connection."""

    def logged_in(self, connection: ServerConnection) -> None:
        """Say nothing: the monitor has said it."""
        self._sweep_later()

    def connection_ended(self, connection: ServerConnection, error: BaseException) -> None:
        """Stop when all is done."""
        self.connections.discard(connection)
        if isinstance(error, Exception) and not hasattr(error, "reason"):
            self.log("error", f"{connection.source}: internal error", error)
        cast("Reactor", self.clock).stop()


def run_session(
    sock: socket.socket, plan: "Plan", login: "MonitoredLogin", grant: "Grant", log: "EventLog"
) -> int:
    """Be the process; returns its exit status."""
    from signal import SIGHUP, SIGTERM

    from sshkit.reactor.engines import new_reactor
    from sshkit.server.privileges import become

    users = cast("SystemLogin", login.policy.users)
    become(users.account)
    os.umask(0o022)
    reactor = cast("Reactor", new_reactor("native"))
    server = SessionServer(
        reactor,
        host_keys=plan.host_keys,
        users=plan.users,
        start_program=plan.sessions(reactor),
        settings=login.policy.settings,
        log=log,
    )
    connection = SessionConnection(server, login, grant)
    server.connections.add(connection)

    def end() -> None:
        connection.close()

    for number in (SIGTERM, SIGHUP):
        reactor.add_signal_handler(number, end)
    reactor.call_soon(lambda: reactor.adopt_socket(sock, lambda: connection.layer))
    try:
        reactor.run()
    finally:
        reactor.close()
    return 0
