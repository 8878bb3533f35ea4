"""A worker: the process that speaks with clients, from the first byte to the login and through their keys.

It has no rights, no private host key and no user's data at rest: signatures and verdicts come from the
monitor, and who is logged in is served by a process of his own, which `relay` passes packets to.  Where
privileges are not separated (a server of one user), a worker serves everything itself.
"""

import os
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sshkit.deferred import Deferred, fail
from sshkit.server.connection import LoginTimedOut, ServerConnection
from sshkit.server.login_rules import is_prohibited
from sshkit.server.penalties import REFUSE_CONNECTION
from sshkit.server.server import Arrival, Server
from sshkit.server.workers import messages
from sshkit.server.workers.link import Link, LinkBroken
from sshkit.server.workers.relay import Relay
from sshkit.server.workers.remote_policy import RemotePolicy
from sshkit.ssh.authentication.server import ServerAuthentication

if TYPE_CHECKING:
    from sshkit_keys import PublicKey

    from sshkit.interfaces import Reactor, Transport
    from sshkit.server.accounts import Account
    from sshkit.server.configured import Plan
    from sshkit.ssh.authentication.verdicts import Grant
    from sshkit.ssh.messages.record import Message
    from sshkit.ssh.transport.layer import TransportLayer

#: Makes a question of its number and the connection's.
Question = Callable[[int, int], "Message"]


class SigningRefused(LinkBroken):
    """The monitor does not sign."""


class RemoteKey:
    """A host key of one connection: the monitor has it signed."""

    __slots__ = ("_connection", "public")

    def __init__(self, connection: "WorkerConnection", public: "PublicKey") -> None:
        self._connection = connection
        self.public = public

    def sign(self, algorithm: str, data: bytes) -> Deferred[bytes]:
        """Return the signature, as soon as it is there."""

        def take(answered: "tuple[messages.Answer, list[int]]") -> bytes:
            answer, _ = answered
            if answer.kind != messages.SIGNATURE:
                raise SigningRefused(answer.body.decode("utf-8", "replace"))
            return answer.body

        asked = self._connection.ask(lambda request, number: messages.Sign(request, number, algorithm, data))
        return asked.add_callback(take)


class WorkerConnection(ServerConnection):
    """A client whose login the monitor decides about."""

    __slots__ = ("_asked", "_relay", "authentication", "number")
    server: "WorkerServer"
    policy: RemotePolicy

    def __init__(self, server: "WorkerServer", number: int) -> None:
        self.number = number  #: what the monitor calls it
        self._relay: Relay | None = None
        self._asked: set[int] = set()
        self.authentication: ServerAuthentication
        super().__init__(server)

    def make_policy(self) -> Any:
        return RemotePolicy(self)

    def host_keys(self) -> Any:
        return {name: RemoteKey(self, key.public) for name, key in self.server.host_keys.items()}

    def transport_ready(self) -> None:
        self.authentication = ServerAuthentication(self.layer, self.policy)

    def let_in(self, grant: "Grant", fd: int) -> None:
        """Pass packets on from here."""
        self.end_grace()
        self.grant = grant
        self._relay = Relay(self.layer, self.server.reactor, socket.socket(fileno=fd))
        self.server.clock.call_soon(self.layer.rest)
        self.server.logged_in(self)

    def transport_lost(self, error: BaseException) -> None:
        self.policy.drop()
        if self._relay is not None:
            self._relay.ended()
        for request in self._asked:
            self.server.forget(request)
        cause = "" if self.grant is not None else _punished(self, error)
        self.tell(_ended(self.number, cause, self.layer))
        super().transport_lost(error)

    def ask(self, question: Question) -> "Deferred[tuple[messages.Answer, list[int]]]":
        """Ask the monitor; fires with its answer and the descriptors that came with it."""
        return self.server.ask(self._asked, lambda request: question(request, self.number))

    def tell(self, message: "Message") -> None:
        """Tell the monitor."""
        self.server.tell(message)


def _punished(connection: ServerConnection, error: BaseException) -> str:
    """Return what an end before the login is punished for (PerSourcePenalties)."""
    if isinstance(error, LoginTimedOut):
        return "grace_exceeded"
    if isinstance(error, Exception) and not hasattr(error, "reason"):
        return "crash"
    return "noauth"


class LinkedServer(Server):
    """What both kinds of workers have: connections that the monitor hands over."""

    def __init__(self, reactor: "Reactor", plan: "Plan", sock: socket.socket, log: Any) -> None:
        super().__init__(
            reactor,
            host_keys=plan.host_keys,
            users=plan.users,
            start_program=plan.sessions(reactor),
            settings=plan.settings,
            log=log,
        )
        self.reactor = reactor
        self._proxies: str = plan.options.proxy_protocol.value
        self._trusted_proxies = plan.options.proxy_protocol_from.value or ()
        self._link = Link(reactor, sock, self.received, self.monitor_gone)
        self.tell(messages.Ready())

    def tell(self, message: "Message") -> None:
        """Tell the monitor."""
        self._link.send(message.encode())

    def make_connection(self, number: int) -> ServerConnection:
        """Return what serves the connection that the monitor calls `number`."""
        raise NotImplementedError

    def refusal(self, source: str) -> str | None:
        """Refuse nobody: the monitor has let him come."""
        return None

    def received(self, data: bytes, fds: list[int]) -> None:
        """Obey the monitor."""
        number = data[0]
        if number == messages.NewConnection.number:
            self._serve(messages.NewConnection.decode(data).connection, fds)
        elif number == messages.Drain.number:
            self.stop_listening()
            if messages.Drain.decode(data).now:
                for connection in tuple(self.connections):
                    if connection.grant is None:
                        connection.close()
        elif number == messages.Drop.number:
            wanted = messages.Drop.decode(data).connection
            for connection in tuple(self.connections):
                if getattr(connection, "number", None) == wanted and connection.grant is None:
                    connection.close()
        elif number == messages.End.number:
            self.close()

    def monitor_gone(self, error: BaseException) -> None:
        """End everything: nobody decides any more."""
        self.log("error", f"the monitor has gone: {error}")
        self.close()

    def _bad_header(self, peer: Any, why: str) -> None:
        self.log("info", f"{peer[0] if isinstance(peer, tuple) else 'local'}: PROXY header: {why}")

    def _serve(self, number: int, fds: list[int]) -> None:
        if not fds:
            self.log("error", "no descriptor is left for another connection")
            self.tell(messages.Ended(number, "", 0, 0, ""))
            return
        arrival: Any = Arrival(self, lambda: self.make_connection(number))
        if self._proxies != "no":
            from sshkit.server.proxy_protocol import ProxyGate

            inner = ProxiedArrival(self, number)
            arrival = ProxyGate(
                lambda: inner,
                self.reactor,
                self._proxies,
                self._bad_header,
                trusted=self._trusted_proxies,
                on_gone=lambda refused: self.tell(
                    messages.Ended(number, messages.BAD_PROXY_HEADER if refused else "", 0, 0, "")
                ),
            ).make_protocol()
        if len(fds) == 1:
            self.reactor.adopt_socket(socket.socket(fileno=fds[0]), lambda: arrival)
        else:
            self.reactor.open_pipes(arrival, fds[0], fds[1])


class ProxiedArrival(Arrival):
    """The first protocol of a connection behind a proxy: the monitor learns whom the proxy speaks for.

    It does before anything else is told of the connection: who ends it at once is punished, not the proxy.
    """

    __slots__ = ("_linked", "_number")

    def __init__(self, server: LinkedServer, number: int) -> None:
        super().__init__(server, lambda: server.make_connection(number))
        self._linked = server
        self._number = number

    def connection_made(self, transport: "Transport") -> None:
        found: list[Any] = []
        for name in ("peername", "sockname"):
            place = transport.get_extra_info(name)
            found += place[:2] if isinstance(place, tuple) else ("UNKNOWN", 65535)
        self._linked.tell(messages.Address(self._number, *found))
        super().connection_made(transport)


class WorkerServer(LinkedServer):
    """The server of a worker whose privileges are separated."""

    def __init__(self, reactor: "Reactor", plan: "Plan", sock: socket.socket, log: Any) -> None:
        self._last = 0
        self._questions: dict[int, tuple[set[int], Deferred[Any]]] = {}
        users = plan.users
        methods = tuple(dict.fromkeys(chain[0].partition(":")[0] for chain in users.rules.chains))
        #: What holds for a name that is nobody's whatever the monitor would say.
        self.rules = messages.Rules(
            methods or users.methods(),
            True,
            plan.settings.max_tries,
            plan.settings.algorithms.user_keys,
            plan.settings.banner,
        )
        super().__init__(reactor, plan, sock, log)

    def make_connection(self, number: int) -> ServerConnection:
        return WorkerConnection(self, number)

    def logged_in(self, connection: ServerConnection) -> None:
        """Say nothing: the monitor knows it already."""
        self._sweep_later()

    def ask(self, asked: set[int], question: "Callable[[int], Message]") -> "Deferred[Any]":
        """Ask the monitor; `asked` has the numbers of what a connection waits for."""
        if self._link.closed:
            return fail(LinkBroken("the monitor has gone"))
        self._last = (self._last + 1) & 0xFFFFFFFF
        answer: Deferred[Any] = Deferred()
        asked.add(self._last)
        self._questions[self._last] = asked, answer
        self.tell(question(self._last))
        return answer

    def forget(self, request: int) -> None:
        """Want an answer no more."""
        self._questions.pop(request, None)

    def received(self, data: bytes, fds: list[int]) -> None:
        if data[0] != messages.Answer.number:
            super().received(data, fds)
            return
        answer = messages.Answer.decode(data)
        asked, waiting = self._questions.pop(answer.request, (None, None))
        if asked is None or waiting is None:
            for fd in fds:
                os.close(fd)
            return
        asked.discard(answer.request)
        waiting.callback((answer, fds))

    def monitor_gone(self, error: BaseException) -> None:
        questions, self._questions = self._questions, {}
        for _, waiting in questions.values():
            waiting.errback(error)
        super().monitor_gone(error)


class OwnConnection(ServerConnection):
    """A client of a worker that serves everything itself."""

    __slots__ = ("number",)

    def __init__(self, server: "OwnServer", number: int) -> None:
        self.number = number
        super().__init__(server)


class OwnServer(LinkedServer):
    """The server of a worker of one user: the monitor has the limits only."""

    def make_connection(self, number: int) -> ServerConnection:
        return OwnConnection(self, number)

    def logged_in(self, connection: ServerConnection) -> None:
        super().logged_in(connection)
        grant = connection.grant
        assert isinstance(connection, OwnConnection)
        assert grant is not None
        self.tell(messages.LoggedIn(connection.number, grant.user, grant.method))

    def login_failed(self, connection: ServerConnection, user: str, method: str) -> None:
        assert isinstance(connection, OwnConnection)
        self.tell(messages.Failed(connection.number, user, method, ""))
        if is_prohibited(connection.users):
            self.reactor.call_soon(connection.close)  # first he is told that this login has failed

    def connection_ended(self, connection: ServerConnection, error: BaseException) -> None:
        assert isinstance(connection, OwnConnection)
        cause = "" if connection.grant is not None else _punished(connection, error)
        if cause and is_prohibited(connection.users):
            cause = REFUSE_CONNECTION
        self.tell(_ended(connection.number, cause, connection.layer))
        super().connection_ended(connection, error)


def _ended(number: int, cause: str, layer: "TransportLayer") -> messages.Ended:
    negotiated = layer.negotiated
    method = "" if negotiated is None else negotiated.key_exchange.name
    return messages.Ended(number, cause, layer.bytes_received, layer.writer.bytes_sent, method)


def run_worker(sock: socket.socket, plan: "Plan", log: Any, account: "Account | None") -> int:
    """Be the process; returns its exit status.  `account`: who it becomes where privileges are separated."""
    import signal

    from sshkit.reactor.engines import new_reactor
    from sshkit.server.privileges import become, confine, hide

    # Whoever ends the server tells the monitor, from which everything else follows.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    if account is not None:
        confine()
        become(account)
        hide()
    reactor = new_reactor("native")
    kind = OwnServer if account is None else WorkerServer
    server = kind(reactor, plan, sock, log)  # type: ignore[arg-type]

    def wait() -> None:  # once it runs: the monitor may have gone already
        server.wait_closed().add_callback(lambda _: reactor.stop())

    reactor.call_soon(wait)
    try:
        reactor.run()
    finally:
        reactor.close()
    return 0
