"""One connection of a client, from the first byte to the last.

It owns the transport layer, lets the host key be verified, logs in, and then opens sessions.  `connect`
makes it; programs use its public methods; each takes a deadline and has a default one.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from sshkit_keys.text import printable

from sshkit.client.process import RUN_TIMEOUT, ClientProcess, Collector, Result
from sshkit.client.starting import checked, start_session
from sshkit.deferred import CancelledError, Deferred, Failure, maybe_deferred
from sshkit.interfaces import TerminalSize
from sshkit.ssh.algorithms import DEFAULT, Algorithms
from sshkit.ssh.authentication.client import ClientAuthentication
from sshkit.ssh.authentication.login_options import PLAIN, LoginOptions
from sshkit.ssh.channels.agent import KIND as AGENT_CHANNEL
from sshkit.ssh.channels.session import NO_MORE_SESSIONS
from sshkit.ssh.channels.x11 import KIND as X11_CHANNEL
from sshkit.ssh.connection.connection import Connection
from sshkit.ssh.connection.keepalive import Keepalive
from sshkit.ssh.errors import ChannelOpenFailed, ClosedByApplication, ConnectionLost, LocalProtocolError
from sshkit.ssh.transport.layer import TransportLayer
from sshkit.ssh.transport.rekeying import RekeyLimits

if TYPE_CHECKING:
    from sshkit_keys import PublicKey

    from sshkit.client.dialogue import Dialogue
    from sshkit.client.host_key_updates import HostKeyUpdates
    from sshkit.client.host_keys import HostKeyVerifier
    from sshkit.forwarding.addresses import Address
    from sshkit.forwarding.agent import AgentForwarding, ForwardedAgent
    from sshkit.forwarding.client import ClientForwards, StreamHandler
    from sshkit.forwarding.forward import Forward
    from sshkit.forwarding.stream import ForwardStream
    from sshkit.forwarding.tun import Mode, Tunnel
    from sshkit.forwarding.x11 import X11Forwarding, X11Grant, X11Options
    from sshkit.interfaces import Clock
    from sshkit.opening import Opening
    from sshkit.sftp.client import SFTPClient
    from sshkit.ssh.agent.client import AgentClient
    from sshkit.ssh.authentication.client import Credentials
    from sshkit.ssh.authentication.verdicts import Attempt
    from sshkit.ssh.connection.channel import Channel
    from sshkit.ssh.connection.channel_timeouts import ChannelTimeouts
    from sshkit.ssh.connection.protocol import ChannelProtocol
    from sshkit.ssh.transport.negotiation import Negotiated

LOGIN_TIMEOUT = 120.0  #: seconds from the first byte to the end of the login; questions to the user count
OPEN_TIMEOUT = 30.0  #: seconds for a channel to open and its requests to be answered
CLOSE_TIMEOUT = 10.0
MAX_OUTPUT = 256 * 1024 * 1024  #: bytes of output that `run` collects
T = TypeVar("T")
METHODS = ("publickey", "keyboard-interactive", "password", "none")
PASSWORDS = ("keyboard-interactive", "password")
HOST_KEYS_ANNOUNCED = "hostkeys-00@openssh.com"


class ClientConnection:
    """A connection to one host as one user.  Use it in ``async with``, or call `close`."""

    __slots__ = (
        "_agent_forwarding",
        "_channel_timeouts",
        "_closed_waiters",
        "_connection",
        "_forwards",
        "_idle_waiters",
        "_keepalive",
        "_keepalive_settings",
        "_login_timeout",
        "_login_timer",
        "address",
        "agent",
        "authentication",
        "channel_timeouts",
        "clock",
        "credentials",
        "host",
        "host_key_updates",
        "layer",
        "logged_in",
        "login_options",
        "methods",
        "shown_key",
        "user",
        "verifier",
        "was_let_in",
        "x11_forwarding",
    )

    def __init__(
        self,
        host: str,
        user: str,
        clock: "Clock",
        *,
        random_bytes: Callable[[int], bytes],
        verifier: "HostKeyVerifier",
        credentials: "Credentials",
        algorithms: Algorithms = DEFAULT,
        rekey_limits: RekeyLimits = RekeyLimits(),  # noqa: B008 - immutable
        login_timeout: float = LOGIN_TIMEOUT,
        keepalive: float = 0.0,
        keepalive_count: int = 3,
        methods: tuple[str, ...] = METHODS,
        login_options: LoginOptions = PLAIN,
    ) -> None:
        self.host = host
        self.user = user
        self.clock = clock
        self.verifier = verifier
        self.credentials = credentials
        self.methods = methods
        self.login_options = login_options
        self.host_key_updates: HostKeyUpdates | None = None  #: learns the server's other keys, if set
        self.layer = TransportLayer(
            self, clock, random_bytes, algorithms=algorithms, rekey_limits=rekey_limits
        )
        self.logged_in: Deferred[ClientConnection] = Deferred(self._cancelled)
        self.address = ""  #: where it is connected to, for people
        self.shown_key: PublicKey | None = None  #: the server's, verified or not
        self.was_let_in = False
        self.agent: AgentClient | None = None  #: signs for the login
        self.authentication: ClientAuthentication | None = None
        self._connection: Connection | None = None
        self._forwards: ClientForwards | None = None
        self._agent_forwarding: AgentForwarding | None = None
        #: Patterns of kinds of channels, and the seconds after which one on which nothing moves is closed.
        self.channel_timeouts: Sequence[tuple[str, float]] = ()
        self._channel_timeouts: ChannelTimeouts | None = None
        self.x11_forwarding: X11Forwarding | None = None  #: the displays that the server may use
        self._keepalive: Keepalive | None = None
        self._keepalive_settings = (keepalive, keepalive_count)
        self._closed_waiters: list[Deferred[None]] = []
        self._idle_waiters: list[Deferred[None]] = []  # of those who wait until no channel is open
        self._login_timeout = login_timeout
        self._login_timer = clock.call_later(login_timeout, self._login_timed_out)

    def __repr__(self) -> str:
        state = "closed" if self.layer.lost else "open" if self._connection else "logging in"
        return f"<ClientConnection {self.user}@{self.host} {state}>"

    # Facts.

    @property
    def negotiated(self) -> "Negotiated":
        """The algorithms in force."""
        if self.layer.negotiated is None:
            raise LocalProtocolError("no keys are in force yet")
        return self.layer.negotiated

    @property
    def host_key(self) -> "PublicKey":
        """The server's verified key."""
        if self.layer.host_key is None:
            raise LocalProtocolError("the host key is not verified yet")
        return self.layer.host_key

    @property
    def trail(self) -> "tuple[Attempt, ...]":
        """What was tried to log in, in order."""
        return tuple(self.authentication.trail) if self.authentication is not None else ()

    @property
    def is_closed(self) -> bool:
        """The connection has ended."""
        return self.layer.lost is not None

    @property
    def core(self) -> Connection:
        """The channels and global requests (RFC 4254), for what this class has no call for."""
        return self._require()

    # What programs call.

    def run(
        self,
        command: str | None = None,
        *,
        input: bytes | str | None = None,
        check: bool = False,
        environment: Mapping[str, str] | None = None,
        terminal: str | None = None,
        forward_agent: "ForwardedAgent" = False,
        timeout: float | None = RUN_TIMEOUT,
        max_output: int = MAX_OUTPUT,
    ) -> Deferred[Result]:
        """Run a command (None: the login shell) with `input`, and wait for all it writes.

        With `check`, an end without status 0 fails with CommandFailed.  `timeout` (seconds) covers all of it,
        and closes the channel.  Output over `max_output` bytes fails with OutputTooLarge.
        """
        collector = Collector(command, max_output)
        collector.opening = start_session(
            self,
            command,
            collector,
            environment=environment,
            terminal=terminal,
            input=input,
            forward_agent=forward_agent,
        )
        finished = collector.finished
        if timeout is not None:
            finished.add_timeout(timeout, self.clock, what=printable(repr(command)))
        if check:
            return finished.add_callback(checked)
        return finished

    def start(
        self,
        command: str | None = None,
        *,
        environment: Mapping[str, str] | None = None,
        terminal: str | None = None,
        size: TerminalSize = TerminalSize(),  # noqa: B008 - immutable
        modes: bytes = b"\0",
        forward_agent: "ForwardedAgent" = False,
        forward_x11: "bool | X11Options" = False,
        timeout: float = OPEN_TIMEOUT,
    ) -> Deferred[ClientProcess]:
        """Start a command (None: the login shell) and return its streams.

        `terminal` is a value for TERM and asks for a terminal of `size` with encoded `modes`.

        `forward_agent` lets the server use an agent from here while the connection lasts: the one that
        SSH_AUTH_SOCK names (True; NoAgent if none), that of a socket's path, or the keys of an AgentClient.
        `forward_x11` lets its programs draw here, untrusted unless X11Options say more; fails with NoDisplay.
        """
        process = ClientProcess(command, self.clock)
        started = start_session(
            self,
            command,
            process,
            environment=environment,
            terminal=terminal,
            size=size,
            modes=modes,
            forward_agent=forward_agent,
            forward_x11=forward_x11,
        )
        return started.add_timeout(
            timeout, self.clock, what=f"starting {printable(repr(command))}"
        ).add_callback(lambda _: process)

    def shell(
        self, *, terminal: str | None = "xterm", timeout: float = OPEN_TIMEOUT
    ) -> Deferred[ClientProcess]:
        """Start the login shell, on a terminal unless `terminal` is None."""
        return self.start(None, terminal=terminal, timeout=timeout)

    def subsystem(self, name: str, *, timeout: float = OPEN_TIMEOUT) -> Deferred[ClientProcess]:
        """Start a subsystem and return its streams (RFC 4254 section 6.5)."""
        process = ClientProcess(name, self.clock)
        started = start_session(self, name, process, subsystem=True)
        return started.add_timeout(
            timeout, self.clock, what=f"starting {printable(repr(name))}"
        ).add_callback(lambda _: process)

    def dialogue(
        self,
        command: str | None = None,
        *,
        terminal: str | None = "vt100",
        size: TerminalSize = TerminalSize(512, 24),  # noqa: B008 - immutable; wide, so that no line is broken
        **options: Any,
    ) -> "Opening[Dialogue]":
        """Start a command (None: the login shell) to talk with: `expect`, `send_line`, `command`.

        Options: `prompt`, `timeout` (seconds for each answer), `newline`, `pagers`.
        """
        from sshkit.client.dialogue import open_dialogue

        return open_dialogue(self.start(command, terminal=terminal, size=size), self.clock, options)

    def sftp(self, **options: Any) -> "Opening[SFTPClient]":
        """Open SFTP: await it, or ``async with connection.sftp() as sftp``.

        Options: `timeout` (seconds that the server may be silent while it owes an answer), `subsystem`, or
        `command` to start in its place.
        """
        from sshkit.client.sftp import open_sftp

        return open_sftp(self, **options)

    def open_session(self, protocol: "ChannelProtocol") -> "Deferred[Channel]":
        """Open a session channel for a protocol of one's own."""
        return self._require().open_channel("session", b"", protocol)

    # Forwards.

    @property
    def forwards(self) -> "ClientForwards":
        """The forwards of this connection."""
        if self._forwards is None:
            from sshkit.forwarding.client import ClientForwards

            self._forwards = ClientForwards(self._require(), self.clock)
        return self._forwards

    def forward_local(
        self,
        listen: "Address",
        destination: "Address",
        *,
        gateway: bool = False,
        unlink: bool = False,
        mask: int = 0o177,
        timeout: float = OPEN_TIMEOUT,
    ) -> "Opening[Forward]":
        """Listen at `listen` here; each connection goes on from the server to `destination`.

        Addresses are "host:port", "[v6]:port", (host, port), or the path of a UNIX socket ("/path", "./path",
        "unix:path").  To listen at, a port alone is one of the loopback interface, with `gateway` of all;
        port 0 is any that is free.  A UNIX socket lacks the permissions in `mask`; `unlink` removes one that
        lies there.  Fails with ListenError or InvalidAddress.
        """
        return self.forwards.local(listen, destination, gateway, unlink, mask, timeout)

    def forward_dynamic(
        self,
        listen: "Address",
        *,
        gateway: bool = False,
        unlink: bool = False,
        mask: int = 0o177,
        timeout: float = OPEN_TIMEOUT,
    ) -> "Opening[Forward]":
        """Listen at `listen` here for SOCKS 4, 4a and 5; the server connects to where the clients ask."""
        return self.forwards.dynamic(listen, gateway, unlink, mask, timeout)

    def forward_remote(
        self,
        listen: "Address",
        destination: "Address | StreamHandler",
        *,
        timeout: float = OPEN_TIMEOUT,
    ) -> "Opening[Forward]":
        """Let the server listen at `listen`; each connection goes on from here to `destination`.

        In place of a destination, ``handler(stream, originator)``, which may be a coroutine function, takes
        the connections; each is closed when it has ended.  Fails with ForwardRefused.
        """
        return self.forwards.remote_to(listen, destination, timeout)

    def forward_remote_dynamic(
        self, listen: "Address", permit: Sequence[str] | None = None, *, timeout: float = OPEN_TIMEOUT
    ) -> "Opening[Forward]":
        """Let the server listen for SOCKS 4, 4a and 5; this side connects to where the clients ask.

        `permit` has the destinations that may be asked for, "host:port" each with "*" for any; None is all.
        """
        return self.forwards.remote_dynamic(listen, permit, timeout)

    def forward_tunnel(
        self,
        local: int | None = None,
        remote: int | None = None,
        *,
        mode: "Mode" = "point-to-point",
        timeout: float = OPEN_TIMEOUT,
    ) -> "Deferred[Tunnel]":
        """Join a network device here with one at the server: tunN, or tapN with the mode "ethernet".

        None takes any device.  Fails with NoTunnel or ChannelOpenFailed; its addresses are others' business.
        """
        from sshkit.forwarding.tun import open_tunnel

        opening = open_tunnel(self._require(), self.clock, mode, local, remote)
        return opening.add_timeout(timeout, self.clock, what="opening a tunnel")

    def open_connection(
        self,
        destination: "Address",
        *,
        originator: tuple[str, int] = ("127.0.0.1", 0),
        timeout: float = OPEN_TIMEOUT,
    ) -> "Opening[ForwardStream]":
        """Let the server connect to `destination`; fires with a stream.  Fails with ChannelOpenFailed."""
        from sshkit.forwarding.client import open_stream

        return open_stream(self._require(), destination, originator, timeout, self.clock)

    def open_direct(
        self,
        destination: "Address",
        protocol: "ChannelProtocol",
        *,
        originator: tuple[str, int] = ("127.0.0.1", 0),
    ) -> "Deferred[Channel]":
        """Let the server connect to `destination`; the channel is for a protocol of one's own."""
        from sshkit.forwarding.client import open_direct

        return open_direct(self._require(), destination, protocol, originator)

    def allow_agent(self, agent: "ForwardedAgent" = True) -> None:
        """Let the server use an agent from here; sessions of one's own still have to ask for it.

        Raises NoAgent.  `start` and `run` do both with `forward_agent`.
        """
        from sshkit.forwarding.agent import AgentForwarding

        if self._agent_forwarding is None:
            self._require()
            self._agent_forwarding = AgentForwarding(self.layer, self.clock, agent)
        else:
            self._agent_forwarding.replace(agent)

    def allow_x11(self, options: "bool | X11Options" = True) -> "Deferred[X11Grant]":
        """Let the server use a display here; a session of one's own asks with ``x11-req``, the grant's body.

        Fails with NoDisplay.  `start` does both with `forward_x11`.
        """
        from sshkit.forwarding.x11 import X11Forwarding, X11Options

        if self.x11_forwarding is None:
            self._require()
            self.x11_forwarding = X11Forwarding(self.clock, self.layer.random_bytes)
        wanted = X11Options() if isinstance(options, bool) else options
        granted: Deferred[X11Grant] = maybe_deferred(self.x11_forwarding.grant, wanted)
        return granted

    def rekey(self) -> None:
        """Exchange new keys now."""
        self.layer.rekey()

    def close(self) -> Deferred[None]:
        """Close the connection; fires when that is done."""
        self.layer.disconnect()
        return self.wait_closed()

    def wait_closed(self) -> Deferred[None]:
        """Wait until the connection has ended."""
        waiter: Deferred[None] = Deferred()
        if self.layer.lost is not None:
            waiter.callback(None)
        else:
            self._closed_waiters.append(waiter)
        return waiter

    def wait_idle(self) -> Deferred[None]:
        """Wait until no session and no forwarded connection is open, or the connection has ended."""
        waiter: Deferred[None] = Deferred()
        if self.layer.lost is not None or not self.core.channels:
            waiter.callback(None)
        else:
            self._idle_waiters.append(waiter)
        return waiter

    def no_more_sessions(self) -> None:
        """Have the server refuse further sessions on this connection (OpenSSH's PROTOCOL, section 2.2)."""
        from sshkit.ssh.messages.connection import GlobalRequest

        self.layer.send(GlobalRequest(NO_MORE_SESSIONS, False, b"").encode())

    async def __aenter__(self) -> "ClientConnection":
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    # Called by `open_connection`.

    def connecting(self, seconds: float) -> None:
        """Let `seconds` pass before the time for the login counts."""
        self._login_timer.reset(seconds + self._login_timeout)

    def connected(self) -> None:
        """Count the time for the login from here."""
        transport = self.layer.transport
        peer = None if transport is None else transport.get_extra_info("peername")
        if isinstance(peer, tuple):
            self.address = f"{printable(str(peer[0]))} port {peer[1]}"
        self._login_timer.reset(self._login_timeout)

    # Called by the layers below.

    def verify_host_key(self, key: "PublicKey") -> Deferred[None] | None:
        self.shown_key = key
        transport = self.layer.transport
        peer = transport.get_extra_info("peername") if transport is not None else None
        if isinstance(peer, tuple):
            self.verifier.peer_address = str(peer[0])
            if self.verifier.address is None:
                self.verifier.address = self.verifier.peer_address
        return self.verifier.verify(key)

    def transport_ready(self) -> None:
        methods = self.methods
        if self.verifier.key_changed:
            # Somebody may sit in between: nothing is sent that would serve him elsewhere (R12).
            methods = tuple(name for name in methods if name not in PASSWORDS)
        self.authentication = ClientAuthentication(
            self.layer, self.user, self.credentials, methods, self.login_options
        )
        self.authentication.done.add_callbacks(self._let_in, self._refused)
        for path, cause in getattr(self.credentials, "problems", ()):
            self.authentication.note("publickey", path, cause)
        if self.agent is not None:
            self._bind(self.agent)
        self.authentication.start()

    def transport_lost(self, error: BaseException) -> None:
        self._login_timer.cancel()
        if self._keepalive is not None:
            self._keepalive.stop()
        if self._channel_timeouts is not None:
            self._channel_timeouts.stop()
        if self._connection is not None:
            self._connection.lost(error)
        if self._forwards is not None:
            self._forwards.connection_lost()
        if self._agent_forwarding is not None:
            self._agent_forwarding.connection_lost()
        if self.x11_forwarding is not None:
            self.x11_forwarding.connection_lost()
        if not isinstance(error, ClosedByApplication):
            from sshkit.client.steps import remember_steps

            remember_steps(error, self)
        if not self.logged_in.called:
            self.logged_in.errback(error)
        waiters, self._closed_waiters = self._closed_waiters, []
        for waiter in waiters:
            waiter.callback(None)
        self._tell_idle()

    def channel_requested(self, kind: str, body: bytes) -> "ChannelProtocol | Deferred[ChannelProtocol]":
        """Refuse, unless it is of a forward that was asked for (R27)."""
        if kind == AGENT_CHANNEL and self._agent_forwarding is not None:
            return self._agent_forwarding.channel_requested()
        if kind == X11_CHANNEL and self.x11_forwarding is not None:
            return self.x11_forwarding.channel_requested()
        if self._forwards is not None:
            found = self._forwards.channel_requested(kind, body)
            if found is not None:
                return found
        raise ChannelOpenFailed(1, "nothing was asked for that needs this channel")

    def global_requested(self, kind: str, body: bytes) -> bytes | None:
        """Hear of the server's keys; refuse everything else, which also answers a server's keepalive."""
        if kind == HOST_KEYS_ANNOUNCED and self.host_key_updates is not None:
            self.host_key_updates.received(body)
        return None

    def channel_ended(self, channel: "Channel") -> None:
        if self._idle_waiters and not self.core.channels:
            self._tell_idle()

    # Inside.

    def _bind(self, agent: "AgentClient") -> None:
        """Tell the agent whom its signatures will be for; one that does not know how signs all the same."""
        layer = self.layer
        assert layer.host_key is not None
        bound = agent.bind_session(layer.host_key.blob, layer.session_id, layer.host_key_signature, False)
        bound.add_errback(lambda _: None)

    def _let_in(self, _: object) -> None:
        self._login_timer.cancel()
        self.agent = None
        self._connection = Connection(self.layer, self)
        interval, count = self._keepalive_settings
        if interval:
            self._keepalive = Keepalive(self._connection, interval, count)
        if self.channel_timeouts:
            from sshkit.ssh.connection.channel_timeouts import ChannelTimeouts

            self._channel_timeouts = ChannelTimeouts(self._connection, self.clock, self.channel_timeouts)
        self.was_let_in = True
        self.logged_in.callback(self)

    def _tell_idle(self) -> None:
        waiters, self._idle_waiters = self._idle_waiters, []
        for waiter in waiters:
            waiter.callback(None)

    def _refused(self, failure: Failure) -> None:
        self.layer.disconnect(failure.exception)

    def _login_timed_out(self) -> None:
        phase = "the login" if self.authentication is not None else "the key exchange"
        within = f"within {self._login_timeout:g} seconds"
        self.layer.abort(ConnectionLost(f"{self.host}: {phase} did not end {within}"))

    def _cancelled(self, logged_in: "Deferred[ClientConnection]") -> None:
        logged_in.errback(CancelledError())  # first: what ends the layer is not what the caller asked for
        self.layer.abort(ClosedByApplication("connecting was given up"))

    def _require(self) -> Connection:
        if self._connection is None:
            raise LocalProtocolError("not logged in yet")
        return self._connection
