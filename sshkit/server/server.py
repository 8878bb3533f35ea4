"""`sshkit.serve`: listen, and give every session to a handler."""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from sshkit.deferred import Deferred, Failure
from sshkit.opening import Opening
from sshkit.server.connection import ServerConnection
from sshkit.server.forward_policy import ForwardPolicy, policy_of
from sshkit.server.handler import Handler, Session
from sshkit.server.limits import MaxStartups, Startups
from sshkit.server.session import DEFAULT_ACCEPT_ENV, Program, SessionRequest, StartProgram
from sshkit.server.users import EveryUser, Users
from sshkit.ssh.algorithms import SERVER_DEFAULT, Algorithms
from sshkit.ssh.errors import LocalProtocolError
from sshkit.ssh.transport.identification import IDENTIFICATION
from sshkit.ssh.transport.rekeying import RekeyLimits

if TYPE_CHECKING:
    from sshkit_keys import CertifiedKey, PrivateKey, PublicKey

    from sshkit.interfaces import Clock, DelayedCall, Listener, Reactor, Transport
    from sshkit.server.host_key_rotation import HostKeyRotation
    from sshkit.server.sftp import SFTPService
    from sshkit.sftp.backends.interface import Backend
    from sshkit.ssh.transport.exchange import HostSigner

    #: A backend for all, or what makes one for each session (None refuses); True: this process' files.
    SFTPChoice = Backend | SFTPService | bool | Callable[[SessionRequest], Backend | SFTPService | None]


REST_AFTER = 5.0  #: seconds without a byte after which a connection gives up what it can make again


class Settings(NamedTuple):
    """What holds for every connection of a server.  Times are seconds; 0 switches one off."""

    algorithms: Algorithms = SERVER_DEFAULT
    rekey_limits: RekeyLimits = RekeyLimits()
    grace_time: float = 120.0  #: from accept to the end of the login
    max_tries: int = 6  #: failed tries to log in, a connection
    max_startups: MaxStartups = MaxStartups()
    max_startups_per_source: int | None = None
    source_blocks: tuple[int, int] = (32, 128)  #: bits of IPv4 and IPv6 addresses that tell sources apart
    max_sessions: int = 10  #: open at once, a connection
    keepalive: float = 0.0  #: seconds of silence before a client is asked whether it is there
    keepalive_count: int = 3
    banner: str = ""
    accept_env: tuple[str, ...] = DEFAULT_ACCEPT_ENV
    permit_terminal: bool = True
    version_addendum: str = ""  #: follows our version in the identification
    forwards: ForwardPolicy | None = None  #: None: no forwards are served
    channel_timeouts: tuple[tuple[str, float], ...] = ()  #: patterns of channels' kinds; the first that fits
    unused_timeout: float = 0.0  #: seconds without a channel after which a client has to go
    #: Algorithms of keys that clients hear of before they say who they are; None: those that they may use.
    announced_user_keys: tuple[str, ...] | None = None
    announce_keys: bool = True  #: clients are told of all host keys, and may ask for proof of them


Log = Callable[[str, str, "BaseException | None"], object]


class Server:
    """A listening server.  `address` is where; `close` stops it and ends its connections."""

    def __init__(
        self,
        clock: "Clock",
        *,
        host_keys: "Sequence[HostSigner]",
        users: Users,
        start_program: StartProgram,
        settings: Settings = Settings(),  # noqa: B008 - immutable
        random_bytes: Callable[[int], bytes] = os.urandom,
        log: Log | None = None,
    ) -> None:
        if not host_keys:
            raise LocalProtocolError("a server needs a host key")
        self.clock = clock
        self.users = users
        self.start_program = start_program
        self.settings = settings
        self.random_bytes = random_bytes
        self.host_keys: dict[str, HostSigner] = {
            name: key for key in reversed(host_keys) for name in key.public.signature_algorithms
        }
        self._all_keys = tuple(host_keys)
        self._rotation: HostKeyRotation | None = None
        addendum = settings.version_addendum
        self.identification = IDENTIFICATION + (f" {addendum}".encode() if addendum else b"")
        self.startups = Startups(
            settings.max_startups, settings.max_startups_per_source, random_bytes, settings.source_blocks
        )
        self.connections: set[ServerConnection] = set()
        self._sweep: DelayedCall | None = None
        self.listeners: list[Listener] = []
        self._log = log
        self._closed_waiters: list[Deferred[None]] = []
        self.closing = False

    @property
    def address(self) -> Any:
        """Where the server listens first: (host, port)."""
        if not self.listeners:
            raise LocalProtocolError("the server does not listen")
        return self.listeners[0].address

    @property
    def rotation(self) -> "HostKeyRotation":
        """What tells clients of the host keys, and proves them."""
        if self._rotation is None:
            from sshkit.server.host_key_rotation import HostKeyRotation

            self._rotation = HostKeyRotation(self._all_keys)
        return self._rotation

    def make_protocol(self) -> Any:
        """Return the protocol for one accepted connection."""
        return Arrival(self, lambda: ServerConnection(self))

    def refusal(self, source: str) -> str | None:
        """Return why a connection from `source` is not taken now, or None."""
        return "the server closes" if self.closing else self.startups.refusal(source)

    def close(self) -> Deferred[None]:
        """Stop listening and end every connection; fires when all have ended."""
        self.stop_listening()
        for connection in tuple(self.connections):
            connection.close()
        return self.wait_closed()

    def stop_listening(self) -> None:
        """Take no new connections; those that are here go on."""
        self.closing = True
        for listener in self.listeners:
            listener.close()
        self._tell_closed()

    def _let_rest(self) -> None:
        """Let connections rest that were idle since the last time."""
        self._sweep = None
        for connection in self.connections:
            connection.rest_if_idle()
        self._sweep_later()

    def _sweep_later(self) -> None:
        if self._sweep is None and self.connections:
            self._sweep = self.clock.call_later(REST_AFTER, self._let_rest)

    def wait_closed(self) -> Deferred[None]:
        """Wait until no connection is left and none can come."""
        waiter: Deferred[None] = Deferred()
        if self.closing and not self.connections:
            waiter.callback(None)
        else:
            self._closed_waiters.append(waiter)
        return waiter

    async def __aenter__(self) -> "Server":
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    # Called by connections.

    def logged_in(self, connection: ServerConnection) -> None:
        """Count one more that is let in."""
        self.startups.end(connection.source)
        self._sweep_later()
        grant = connection.grant
        assert grant is not None
        self.log("info", f"{connection.source}: {grant.user!r} logged in by {grant.method} {grant.key or ''}")

    def login_failed(self, connection: ServerConnection, user: str, method: str) -> None:
        """Count one more refusal."""

    def connection_ended(self, connection: ServerConnection, error: BaseException) -> None:
        """Forget a connection."""
        self.connections.discard(connection)
        if connection.grant is None:
            self.startups.end(connection.source)
        if isinstance(error, Exception) and not hasattr(error, "reason"):
            self.log("error", f"{connection.source}: internal error", error)
        else:
            self.log("info", f"{connection.source}: ended: {error}")
        self._tell_closed()

    def _tell_closed(self) -> None:
        if self.closing and not self.connections:
            waiters, self._closed_waiters = self._closed_waiters, []
            for waiter in waiters:
                waiter.callback(None)

    def log(self, level: str, text: str, error: BaseException | None = None) -> None:
        """Log one event; `level` is "error", "info", "verbose" or "debug"."""
        if self._log is not None:
            self._log(level, text, error)
        elif level == "error":
            import logging

            logging.getLogger("sshkit.server").error(text, exc_info=error)


class Arrival:
    """The first protocol of an accepted connection: refuses it, or hands it to a ServerConnection."""

    __slots__ = ("_make", "_server")

    def __init__(self, server: Server, make: Callable[[], ServerConnection]) -> None:
        self._server = server
        self._make = make

    def connection_made(self, transport: "Transport") -> None:
        server = self._server
        peer = transport.get_extra_info("peername")
        source = str(peer[0]) if isinstance(peer, tuple) and peer else "local"
        refusal = server.refusal(source)
        if refusal is not None:
            server.log("info", f"{source}: refused: {refusal}")
            transport.abort()
            return
        connection = self._make()
        connection.source = source
        server.startups.begin(source)
        server.connections.add(connection)
        transport.set_protocol(connection.layer)
        connection.layer.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Nothing comes to a connection that was refused."""

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """The refused connection has gone."""

    def pause_writing(self) -> None:
        """Nothing is written."""

    def resume_writing(self) -> None:
        """Nothing is written."""


def serve(
    address: "str | tuple[str, int]",
    handler: Handler,
    *,
    host_keys: "Sequence[PrivateKey | CertifiedKey | str | os.PathLike[str]]",
    users: "Users | None" = None,
    passwords: Mapping[str, str] | None = None,
    authorized_keys: "Sequence[PublicKey | str | os.PathLike[str]] | None" = None,
    settings: Settings = Settings(),  # noqa: B008 - immutable
    sftp: "SFTPChoice" = False,
    forwards: bool | ForwardPolicy = False,
    log: Log | None = None,
    reactor: "Reactor | None" = None,
) -> Opening[Server]:
    """Listen at ``host:port`` (port 0: any) and call `handler(session)` for every session.

    `sftp` answers the subsystem "sftp": a backend of `sshkit.sftp.backends` for all, an SFTPService, or a
    function that takes the SessionRequest and returns one of them for that session (None refuses).  True
    serves all files that this process may use, from its home; whoever logs in has them all.

    `forwards` says which ports and UNIX sockets clients may forward: True is all that a key's line does not
    forbid, listening at loopback addresses only; a ForwardPolicy says more.

    Who may log in: `users`, or `passwords` by user name, or keys that let in under every name
    (`authorized_keys`: keys, lines or files).  Host keys are keys or files.

    Fires with the Server; fails with ListenError, or a KeyFileError naming the file.
    """
    if reactor is None:
        from sshkit.reactor.current import current

        reactor = cast("Reactor", current())
    host, port = _address(address)

    threads = reactor

    def start_program(request: SessionRequest) -> Program | None:
        if sftp is not False and request.subsystem == "sftp":
            from sshkit.server.sftp import start_sftp

            return start_sftp(request, threads, sftp)
        return Session(request, handler)

    server = Server(
        reactor,
        host_keys=[_host_key(key) for key in host_keys],
        users=_users(users, passwords, authorized_keys),
        start_program=start_program,
        settings=settings._replace(forwards=policy_of(forwards)) if forwards is not False else settings,
        log=log,
    )
    return listen(server, host, port, reactor)


def listen(server: Server, host: str, port: int, reactor: "Reactor", family: int = 0) -> Opening[Server]:
    """Let a server listen at one more address; fires with it."""
    binding = reactor.listen_tcp(host, port, server.make_protocol, family=family)
    opening: Opening[Server] = Opening(lambda _: binding.cancel())

    def listening(listener: "Listener") -> None:
        server.listeners.append(listener)
        opening.callback(server)

    def failed(failure: Failure) -> None:
        if not opening.called:
            opening.errback(failure)

    binding.add_callbacks(listening, failed)
    return opening


def _address(address: str | tuple[str, int]) -> tuple[str, int]:
    if not isinstance(address, str):
        return address
    host, colon, port = address.rpartition(":")
    if not colon or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise LocalProtocolError(f"{address!r}: an address to listen at is host:port")
    return host.removeprefix("[").removesuffix("]"), int(port)


def _users(
    users: Users | None,
    passwords: Mapping[str, str] | None,
    keys: "Sequence[PublicKey | str | os.PathLike[str]] | None",
) -> Users:
    if sum(given is not None for given in (users, passwords, keys)) != 1:
        raise LocalProtocolError("say who may log in by exactly one of users, passwords and authorized_keys")
    if users is not None:
        return users
    return Users(passwords) if keys is None else EveryUser(keys)


def _host_key(key: "PrivateKey | CertifiedKey | str | os.PathLike[str]") -> "PrivateKey | CertifiedKey":
    if isinstance(key, (str, os.PathLike)):
        from sshkit_keys import load_private_key

        return load_private_key(os.path.expanduser(os.fspath(key)))
    return key
