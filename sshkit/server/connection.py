"""One connection of a server, from accept to its end.

It owns the transport layer and the policy of the login, and decides which channels and requests a client
gets.  `Server` makes it and lends it what all its connections share.
"""

from typing import TYPE_CHECKING, Any, NamedTuple

from sshkit_keys.text import printable

from sshkit.deferred import Deferred, Failure
from sshkit.server.host_key_rotation import PROVE
from sshkit.server.login_policy import LoginPolicy
from sshkit.server.session import SessionSetup
from sshkit.ssh.authentication.methods.public_key import HOST_BOUND_EXTENSION
from sshkit.ssh.authentication.server import ServerAuthentication
from sshkit.ssh.authentication.verdicts import Grant
from sshkit.ssh.channels.session import NO_MORE_SESSIONS
from sshkit.ssh.connection.connection import Connection
from sshkit.ssh.connection.keepalive import Keepalive
from sshkit.ssh.errors import ChannelOpenFailed, RemoteProtocolError
from sshkit.ssh.transport.layer import TransportLayer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sshkit_keys import PublicKey

    from sshkit.server.forwards import ServerForwards
    from sshkit.server.login_records import LastLogin
    from sshkit.server.server import Server
    from sshkit.server.unused_timeout import UnusedTimeout
    from sshkit.server.users import Logins
    from sshkit.ssh.connection.channel import Channel
    from sshkit.ssh.connection.channel_timeouts import ChannelTimeouts
    from sshkit.ssh.connection.protocol import ChannelProtocol
    from sshkit.ssh.transport.exchange import HostSigner

FORWARD_REQUESTS = frozenset(
    (
        "tcpip-forward",
        "cancel-tcpip-forward",
        "streamlocal-forward@openssh.com",
        "cancel-streamlocal-forward@openssh.com",
    )
)


class Beginning(NamedTuple):
    """What the sessions of a client begin with."""

    last_login: "LastLogin | None"
    shown: str  #: by PAM's modules
    environment: "Mapping[str, str]"  #: of PAM's modules


NOTHING_BEFORE = Beginning(None, "", {})


class LoginTimedOut(RemoteProtocolError):
    """The login was not done within the grace time (R42)."""


class ServerConnection:
    """One client."""

    __slots__ = (
        "_connection",
        "_forwards",
        "_grace",
        "_keepalive",
        "_seen",
        "_sessions",
        "_sessions_over",
        "_timeouts",
        "_unused",
        "auth_info",
        "beginning",
        "grant",
        "layer",
        "policy",
        "server",
        "settings",
        "source",
    )

    def __init__(self, server: "Server") -> None:
        self.server = server
        self.source = ""  #: the client's address
        self.grant: Grant | None = None  #: who logged in, and how
        self.auth_info = ""  #: a file that tells sessions how, or nothing
        self.beginning = NOTHING_BEFORE  #: what sessions begin with
        self._connection: Connection | None = None
        self._forwards: ServerForwards | None = None
        self._keepalive: Keepalive | None = None
        self._timeouts: ChannelTimeouts | None = None
        self._unused: UnusedTimeout | None = None
        self._sessions = 0
        self._sessions_over = False
        self._seen = 0  # bytes in both directions when it was last looked at
        self.settings = settings = server.settings  #: what holds for this client
        self.policy = self.make_policy()
        self.layer = self.make_layer()
        self.layer.our_extensions = ((HOST_BOUND_EXTENSION, "0"),)
        self._grace = None
        if settings.grace_time:
            self._grace = server.clock.call_later(settings.grace_time, self._grace_over)

    def __repr__(self) -> str:
        return f"<ServerConnection {self.user or 'not logged in'} from {self.source}>"

    # What other kinds of connections make otherwise.

    def make_policy(self) -> Any:
        """Return who decides about the login."""
        return LoginPolicy(self, self.server.users.for_connection(self))

    def host_keys(self) -> "Mapping[str, HostSigner]":
        """Return the host keys by their signature algorithms."""
        return self.server.host_keys

    def make_layer(self) -> TransportLayer:
        """Return the transport layer."""
        server, settings = self.server, self.settings
        layer = TransportLayer(
            self,
            server.clock,
            server.random_bytes,
            algorithms=settings.algorithms,
            host_keys=self.host_keys(),
            rekey_limits=settings.rekey_limits,
            identification=server.identification,
        )
        layer.announced_keys = settings.announced_user_keys
        return layer

    @property
    def user(self) -> str:
        """Who logged in; empty before."""
        return self.grant.user if self.grant is not None else ""

    @property
    def permits_terminal(self) -> bool:
        """Sessions may have a terminal: the server's settings and the key's options allow it."""
        options = self.grant.options if self.grant is not None else None
        return self.settings.permit_terminal and getattr(options, "permit_terminal", True)

    @property
    def permits_agent(self) -> bool:
        """Sessions may use the client's agent: the policy and the key's options allow it."""
        policy = self.settings.forwards
        options = self.grant.options if self.grant is not None else None
        return policy is not None and policy.agent and getattr(options, "permit_agent_forwarding", True)

    @property
    def permits_x11(self) -> bool:
        """Sessions may have a display at the client: the policy and the key's options allow it."""
        policy = self.settings.forwards
        options = self.grant.options if self.grant is not None else None
        allowed = policy is not None and policy.x11 is not None
        return allowed and getattr(options, "permit_x11_forwarding", True)

    def addresses(self) -> tuple[str, int, str, int]:
        """Return host and port of the client, then of this side; "UNKNOWN" and 65535 where there is none."""
        transport = self.layer.transport
        found: list[str | int] = []
        for name in ("peername", "sockname"):
            place = transport.get_extra_info(name) if transport is not None else None
            found += place[:2] if isinstance(place, tuple) else ("UNKNOWN", 65535)
        return tuple(found)  # type: ignore[return-value]

    def terminal_opened(self, name: str) -> None:
        """Take note of a session's terminal ("/dev/pts/3")."""

    def close(self) -> None:
        """End the connection."""
        self.layer.disconnect()

    def rest_if_idle(self) -> None:
        """Give up what can be made again, if nothing happened since the last call."""
        layer = self.layer
        total = layer.bytes_received + layer.writer.bytes_sent
        if total == self._seen:
            layer.rest()
        self._seen = total

    def log_error(self, what: str, failure: "Failure | BaseException") -> None:
        """Log an error of this side."""
        error = failure.exception if isinstance(failure, Failure) else failure
        self.server.log("error", f"{self.source}: {what}: {type(error).__name__}: {error}", error)

    # The owner of the transport layer.

    def verify_host_key(self, key: "PublicKey") -> None:
        raise AssertionError("only clients verify host keys")

    def transport_ready(self) -> None:
        ServerAuthentication(self.layer, self.policy, self.settings.max_tries)

    def transport_lost(self, error: BaseException) -> None:
        if self._grace is not None:
            self._grace.cancel()
        if self._keepalive is not None:
            self._keepalive.stop()
        for watch in (self._timeouts, self._unused):
            if watch is not None:
                watch.stop()
        if self._connection is not None:
            self._connection.lost(error)
        if self._forwards is not None:
            self._forwards.ended()
        getattr(self.users, "connection_ended", lambda: None)()
        self.server.connection_ended(self, error)

    # The owner of the policy.

    @property
    def users(self) -> "Logins":
        """Who answers for this connection."""
        users: Logins = self.policy.users
        return users

    def log(self, level: str, text: str, error: BaseException | None = None) -> None:
        """Log one event of this connection."""
        self.server.log(level, text, error)

    def login_failed(self, user: str, method: str) -> None:
        """Count a refusal."""
        self.server.login_failed(self, user, method)

    def granted(self, grant: Grant) -> None:
        self.end_grace()
        self.grant = grant
        self.settings = settings = self.policy.settings
        self._connection = Connection(self.layer, self)
        if settings.keepalive:
            self._keepalive = Keepalive(self._connection, settings.keepalive, settings.keepalive_count)
        if settings.channel_timeouts:
            from sshkit.ssh.connection.channel_timeouts import ChannelTimeouts

            self._timeouts = ChannelTimeouts(self._connection, self.server.clock, settings.channel_timeouts)
        if settings.unused_timeout:
            from sshkit.server.unused_timeout import UnusedTimeout

            self._unused = UnusedTimeout(self._connection, self.server.clock, settings.unused_timeout)
        if settings.announce_keys:
            self.server.clock.call_soon(self._announce_keys)  # when SUCCESS has left
        # Many connections are idle from here on.  Resting at once, before the next one logs in, keeps the
        # memory of what both made from being scattered over a heap that never shrinks.
        self.server.clock.call_soon(self.layer.rest)
        self.server.logged_in(self)

    # The owner of the connection.

    def channel_requested(self, kind: str, body: bytes) -> "ChannelProtocol | Deferred[ChannelProtocol]":
        binding = self._forwards.binding() if self._forwards is not None else None
        if binding is None:
            return self._open(kind, body)

        def bound(_: object) -> Any:
            return self._open(kind, body)

        # A command may connect to what the client had us listen at just before.
        opening: Deferred[ChannelProtocol] = binding.add_callback(bound)
        return opening

    def _open(self, kind: str, body: bytes) -> "ChannelProtocol | Deferred[ChannelProtocol]":
        settings = self.settings
        if kind != "session":
            known = kind in ("direct-tcpip", "direct-streamlocal@openssh.com", "tun@openssh.com")
            if known and settings.forwards is not None:
                return self.forwards.channel_requested(kind, body)
            raise ChannelOpenFailed(1 if known else 3, f"{printable(kind)} is not offered")
        if self._sessions_over:
            raise RemoteProtocolError("a further session was asked for after no-more-sessions@openssh.com")
        if self._sessions >= settings.max_sessions:
            raise ChannelOpenFailed(4, f"{settings.max_sessions} sessions are open")
        self._sessions += 1
        return SessionSetup(self, self.server.start_program, settings.accept_env)

    def global_requested(self, kind: str, body: bytes) -> "bytes | Deferred[bytes] | None":
        """Serve requests for forwards; refuse all others, which is also the answer that a keepalive wants."""
        if self.settings.forwards is not None and kind in FORWARD_REQUESTS:
            return self.forwards.global_requested(kind, body)
        if kind == PROVE and self.settings.announce_keys:
            return self.server.rotation.prove(self.layer, body)
        if kind == NO_MORE_SESSIONS and not body:
            self._sessions_over = True
            return b""
        return None

    def _announce_keys(self) -> None:
        if self._connection is not None and self.layer.lost is None:
            self.server.rotation.announce(self._connection)

    def channel_ended(self, channel: "Channel") -> None:
        if self._unused is not None:
            self._unused.closed()
        if channel.kind == "session":
            self._sessions -= 1
            if self._forwards is not None:
                self._forwards.session_ended(channel)

    @property
    def forwards(self) -> "ServerForwards":
        """The forwards of this client, where the server serves any."""
        policy, connection = self.settings.forwards, self._connection
        assert policy is not None
        assert connection is not None
        if self._forwards is None:
            from sshkit.server.forwards import ServerForwards

            self._forwards = ServerForwards(self, connection, policy)
        return self._forwards

    def end_grace(self) -> None:
        """Have no end of patience any more: he is let in."""
        if self._grace is not None:
            self._grace.cancel()
            self._grace = None

    def _grace_over(self) -> None:
        seconds = self.settings.grace_time
        self.layer.disconnect(LoginTimedOut(f"no login within {seconds:g} seconds"))
