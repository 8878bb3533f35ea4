"""The way to a host that cannot be reached directly: through other hosts, or through a command.

Called by `configured` for ProxyJump and ProxyCommand, and by `connect` for ``jump=`` and ``proxy_command=``.
"""

import os
import signal
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, cast

from sshkit_keys.errors import SSHKitError
from sshkit_keys.text import printable

from sshkit.client.connection import ClientConnection
from sshkit.client.destination import InvalidDestination, parse_destination
from sshkit.client.tunnel import ChannelTransport
from sshkit.config.parser import ConfigError, Setting
from sshkit.deferred import Deferred, Failure, succeed
from sshkit.reactor.reaper import watch_exit
from sshkit.reactor.spawning import spawn
from sshkit.ssh.errors import ChannelOpenFailed, ConnectionLost, LocalProtocolError

if TYPE_CHECKING:
    from sshkit.client.configured import Asking
    from sshkit.client.target import Target
    from sshkit.interfaces import Reactor
    from sshkit.interfaces.process import ExitStatus
    from sshkit.reactor.core import ReactorCore

#: Hosts on the way to a host, those that their own configurations add with them.
MAX_HOPS = 16
#: Seconds that an ending proxy command has to say how it ended.
EXIT_PATIENCE = 1.0


class ProxyFailed(ConnectionLost):
    """The way to the host did not come about: the message names the host or command that failed."""


class Way(Protocol):
    """Connects a connection's layer."""

    def connect(self) -> "Deferred[Any]":
        """Fires when the layer is connected."""
        ...

    def explain(self, failure: Failure) -> Any:
        """Return why the login failed: `failure`, or what the way knows better, perhaps as a Deferred."""
        ...


def way_of(
    connection: ClientConnection, target: "Target", reactor: "Reactor", asking: "Asking", depth: int = 0
) -> Way | None:
    """Return the way that a target's configuration names; None: there is none, it is reached directly."""
    options = target.options
    command = options.proxy_command
    if command.value is not None:
        text = target.tokens.expand(command.value, command.place, "%hnpr")
        return ThroughCommand(connection, text, reactor, use_fdpass=options.proxy_use_fdpass.value)
    setting = options.proxy_jump
    hops = [load_hop(hop, setting.place, target) for hop in setting.value]
    if hops and _is_same(hops[-1], target):
        asking.debug(f"ProxyJump: {hops[-1].place} is where we go, and no way there")
        hops = []
    if not hops:
        return None
    if depth + len(hops) > MAX_HOPS:
        raise ConfigError(f"more than {MAX_HOPS} hosts on the way", setting.place)
    hop, before = hops[-1], hops[:-1]
    if before:  # the way was named as a whole; what the hop's own configuration says of it does not count
        hop.options.proxy_jump = Setting(tuple(_spelled(each) for each in before), setting.place)
        hop.options.proxy_command = Setting(None)

    def log_in() -> Deferred[ClientConnection]:
        from sshkit.client.configured import make_connection, open_target

        asking.debug(f"by way of {hop.place}")
        others = asking.for_target(hop)
        outer = make_connection(hop, reactor, others)
        return open_target(outer, hop, reactor, others, depth + len(hops))

    return ThroughHost(connection, log_in, target.hostname, target.port)


def chosen_way(
    connection: ClientConnection,
    host: str,
    port: int,
    reactor: "Reactor",
    jump: "str | ClientConnection | None",
    command: str | None,
    hop: "Callable[[str, str | None], Deferred[ClientConnection]]",
) -> Way:
    """Return the way that a program names: a connection, hosts that `hop` logs in to, or a command."""
    if jump is None:
        assert command is not None
        return ThroughCommand(connection, command, reactor)
    if command is not None:
        raise LocalProtocolError("either hosts to go through or a command, not both")
    if isinstance(jump, ClientConnection):
        outer = jump
        return ThroughHost(connection, lambda: succeed(outer), host, port, keep=True)
    before, _, last = jump.rpartition(",")
    if jump.count(",") >= MAX_HOPS:
        raise InvalidDestination(f"more than {MAX_HOPS} hosts on the way")
    for text in jump.split(","):
        parse_destination(text.strip())
    return ThroughHost(connection, lambda: hop(last.strip(), before or None), host, port)


def load_hop(hop: str, place: Any, target: "Target") -> "Target":
    """Return a host on the way as the configuration files know it."""
    from sshkit.client.target import load_target

    try:
        return load_target(hop, files=target.files, facts=target.tokens.facts._replace(command=""))
    except InvalidDestination as error:
        raise ConfigError(f"ProxyJump: {error}", place) from None


def _is_same(hop: "Target", target: "Target") -> bool:
    return (hop.original, hop.hostname, hop.port) == (target.original, target.hostname, target.port)


def _spelled(hop: "Target") -> str:
    host = f"[{hop.original}]" if ":" in hop.original else hop.original
    return f"{hop.user}@{host}:{hop.port}"


class ThroughHost:
    """By a channel of a connection to another host, made by `log_in`; `keep`: that one outlives ours."""

    __slots__ = ("_connection", "_host", "_keep", "_log_in", "_outer", "_port")

    def __init__(
        self,
        connection: ClientConnection,
        log_in: "Callable[[], Deferred[ClientConnection]]",
        host: str,
        port: int,
        *,
        keep: bool = False,
    ) -> None:
        self._connection = connection
        self._log_in = log_in
        self._host = host
        self._port = port
        self._keep = keep
        self._outer: ClientConnection | None = None

    def connect(self) -> "Deferred[Any]":
        return self._log_in().add_callback(self._logged_in).add_errback(self._failed)

    def explain(self, failure: Failure) -> Failure:
        """Leave the host on the way: it was for nothing."""
        self._leave()
        return failure

    def _logged_in(self, outer: ClientConnection) -> "Deferred[Any]":
        self._outer = outer
        connection = self._connection
        info = {"peername": (self._host, self._port), "jump": outer}
        connection.wait_closed().add_callback(self._leave)
        return outer.open_direct((self._host, self._port), ChannelTransport(connection.layer, info))

    def _leave(self, _: object = None) -> None:
        outer, self._outer = self._outer, None
        if outer is not None and not self._keep:
            outer.layer.disconnect()

    def _failed(self, failure: Failure) -> Failure:
        error = failure.exception
        if self._outer is None or not isinstance(error, ChannelOpenFailed):
            return failure
        goal = f"{printable(self._host)} port {self._port}"
        wrapped = ProxyFailed(
            f"{printable(self._outer.host)} could not connect to {goal}: {error.description}"
        )
        wrapped.__cause__ = error
        return Failure(wrapped)


class ThroughCommand:
    """By a command's standard input and output (ProxyCommand).

    With `use_fdpass` the command hands over a connected descriptor instead, and ends.
    """

    __slots__ = (
        "_command",
        "_connection",
        "_hung_up",
        "_pid",
        "_reactor",
        "_status",
        "_use_fdpass",
        "_waiter",
    )

    def __init__(
        self, connection: ClientConnection, command: str, reactor: "Reactor", *, use_fdpass: bool = False
    ) -> None:
        self._connection = connection
        self._command = command
        self._reactor = reactor
        self._use_fdpass = use_fdpass
        self._waiter: Deferred[None] | None = None
        self._pid = 0
        self._hung_up = False  # we ended it ourselves
        self._status: ExitStatus | None = None

    def connect(self) -> "Deferred[Any]":
        connection = self._connection
        if self._use_fdpass:
            ours, theirs = socket.socketpair()
            try:
                self._start(theirs.fileno(), theirs.fileno())
            except SSHKitError:
                ours.close()
                raise
            finally:
                theirs.close()
            ours.setblocking(False)
            return self._await_descriptor(ours)
        # Pipes, as ssh has them: programs may open /dev/stdin anew, which a socket does not let them.
        reads, its_output = os.pipe()
        its_input, writes = os.pipe()
        try:
            self._start(its_input, its_output)
        except SSHKitError:
            os.close(reads)
            os.close(writes)
            raise
        finally:
            os.close(its_input)
            os.close(its_output)
        connection.wait_closed().add_callback(self._hang_up)
        self._reactor.open_pipes(connection.layer, reads, writes)
        return succeed(connection.layer)

    def _start(self, stdin: int, stdout: int) -> None:
        shell = os.environ.get("SHELL") or "/bin/sh"
        self._pid = spawn([shell, "-c", f"exec {self._command}"], None, None, None, (stdin, stdout, 2), False)
        watch_exit(cast("ReactorCore", self._reactor), self._pid, self._exited)

    def explain(self, failure: Failure) -> Any:
        """Let the error name the command where it is the command that failed."""
        if type(failure.exception) is not ConnectionLost or not self._pid:  # the server itself said why
            return failure
        if self._status is None:
            waiter = self._waiter = Deferred()
            timer = self._reactor.call_later(EXIT_PATIENCE, waiter.callback, None)
            waiter.add_callback(lambda _: timer.cancel())
            return waiter.add_callback(lambda _: self._explained(failure))
        return self._explained(failure)

    def _explained(self, failure: Failure) -> Failure:
        status = self._status
        if status is None or (status.code == 0 and not status.signal):
            return failure
        if self._hung_up and status.signal == signal.SIGHUP:
            return failure
        how = f"status {status.code}" if status.code is not None else f"signal {status.signal}"
        wrapped = ProxyFailed(f"the proxy command ended with {how}: {printable(self._command, 200)}")
        wrapped.__cause__ = failure.exception
        return Failure(wrapped)

    def _exited(self, status: "ExitStatus") -> None:
        self._status = status
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.called:
            waiter.callback(None)

    def _hang_up(self, _: object) -> None:
        """End the command: nobody is there any more."""
        if self._status is None:
            self._hung_up = True
            try:
                os.kill(self._pid, signal.SIGHUP)
            except ProcessLookupError:  # it has ended just now
                pass

    def _await_descriptor(self, ours: socket.socket) -> "Deferred[Any]":
        """Take the descriptor that the command sends."""
        reactor, layer = self._reactor, self._connection.layer

        def stop(_: object = None) -> None:
            reactor.remove_reader(ours.fileno())
            ours.close()

        def readable() -> None:
            found: list[int] = []
            try:
                _, found, _, _ = socket.recv_fds(ours, 1, 1)
            except BlockingIOError:
                return
            except OSError:
                pass
            stop()
            if not found:
                connected.errback(ProxyFailed(f"no descriptor came from {printable(self._command, 200)}"))
                return
            sock = socket.socket(fileno=found[0])
            sock.setblocking(False)
            connected.callback(reactor.adopt_socket(sock, lambda: layer))

        connected: Deferred[Any] = Deferred(stop)
        reactor.add_reader(ours.fileno(), readable)
        return connected
