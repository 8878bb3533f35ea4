"""The forwards of one client of a server: connections made for him, and places listened at for him.

`ServerConnection` makes one when the client first asks.  Every request is held against the server's policy
and against what the key or certificate of the login allows (R28); everything ends with the connection.
"""

import os
from typing import TYPE_CHECKING, Any, cast

from sshkit_keys.text import printable
from sshkit_keys.wire import string, uint32

from sshkit.deferred import Deferred, Failure
from sshkit.forwarding.addresses import (
    LOOPBACK,
    Place,
    TcpPlace,
    UnixPlace,
    path_bytes,
    tcp_place,
    unix_place,
)
from sshkit.forwarding.connecting import CONNECT_FAILED, connect_channel
from sshkit.forwarding.errors import ForwardRefused, InvalidAddress, NoTunnel
from sshkit.forwarding.listening import Arrival, ChannelSource, listen
from sshkit.forwarding.permits import permits_listen, permits_open
from sshkit.forwarding.pump import Tally
from sshkit.forwarding.tun import ANY_UNIT, ETHERNET, MAX_UNIT, MODES, Tunnel, TunOpen, open_device
from sshkit.forwarding.tun import KIND as TUNNEL
from sshkit.server.forward_policy import ForwardPolicy, ForwardRequest
from sshkit.ssh.channels import direct_tcpip, forwarded_tcpip, streamlocal
from sshkit.ssh.errors import ChannelOpenFailed

if TYPE_CHECKING:
    from sshkit.interfaces import Listener, Reactor
    from sshkit.opening import Opening
    from sshkit.server.agent_forwarding import AgentSocket
    from sshkit.server.connection import ServerConnection
    from sshkit.server.x11 import X11Display
    from sshkit.ssh.agent.client import AgentClient
    from sshkit.ssh.channels.x11 import X11Request
    from sshkit.ssh.connection.channel import Channel
    from sshkit.ssh.connection.connection import Connection
    from sshkit.ssh.connection.protocol import ChannelProtocol

PROHIBITED = 1  #: RFC 4250 section 4.3
MAX_TUNNELS = 8  #: a connection
OPENS = (direct_tcpip.KIND, streamlocal.DIRECT, TUNNEL)
REQUESTS = (forwarded_tcpip.FORWARD, forwarded_tcpip.CANCEL, streamlocal.FORWARD, streamlocal.CANCEL)


class ServerForwards:
    """All forwards of one client."""

    __slots__ = (
        "_agent",
        "_behind",
        "_connection",
        "_displays",
        "_ended",
        "_listeners",
        "_owner",
        "_policy",
        "_reactor",
        "_tunnels",
        "tally",
    )

    def __init__(self, owner: "ServerConnection", connection: "Connection", policy: ForwardPolicy) -> None:
        self._owner = owner
        self._connection = connection
        self._policy = policy
        self._reactor = cast("Reactor", owner.server.clock)
        # By what the client names them; None where binding is under way.
        self._listeners: dict[Place, Listener | None] = {}
        self._behind: list[Deferred[None]] = []  # what waits until none is under way
        self._ended = False
        self._agent: AgentSocket | None = None
        self._displays: dict[int, X11Display] = {}  # by the number of the session's channel
        self._tunnels: set[Tunnel] = set()
        self.tally = Tally(policy.max_connections)

    # What the client asks for.

    def channel_requested(self, kind: str, body: bytes) -> "ChannelProtocol | Deferred[ChannelProtocol]":
        """Connect a direct channel to its destination, or raise ChannelOpenFailed."""
        if kind == TUNNEL:
            return self._tunnel(body)
        try:
            if kind == direct_tcpip.KIND:
                wanted = direct_tcpip.DirectTcpip.decode(body)
                place: Place = tcp_place(wanted.host, wanted.port)
            else:
                path = streamlocal.DirectStreamlocal.decode(body).path
                place = unix_place(os.fsdecode(path))
        except InvalidAddress as error:
            self._log("info", f"a connection was refused: {error}")
            raise ChannelOpenFailed(PROHIBITED, "this is no address to connect to") from None
        refusal = self._refusal("open", place)
        if refusal is not None:
            self._log("info", f"a connection to {shown(place)} was refused: {refusal}")
            raise ChannelOpenFailed(PROHIBITED, "open failed")
        return connect_channel(self._reactor, place, self.tally)

    def global_requested(self, kind: str, body: bytes) -> "bytes | Deferred[bytes] | None":
        """Begin or end to listen; None refuses."""
        try:
            if kind in (forwarded_tcpip.FORWARD, forwarded_tcpip.CANCEL):
                wanted = forwarded_tcpip.TcpipForward.decode(body)
                # The client's own words name the forward; "" and "*" stay apart.
                place: Place = TcpPlace(wanted.host, wanted.port)
                tcp_place(wanted.host, wanted.port, True)
            else:
                place = unix_place(os.fsdecode(streamlocal.StreamlocalForward.decode(body).path))
            if kind in (forwarded_tcpip.CANCEL, streamlocal.CANCEL):
                return self._cancel(place)
            refusal = self._refusal("listen", place)
            if refusal is not None:
                raise ForwardRefused(refusal)
            return self._listen(place)
        except (InvalidAddress, ForwardRefused) as error:
            self._log("info", f"a listening socket was refused: {error}")
            return None

    def binding(self) -> "Deferred[None] | None":
        """Fires when every place that was asked for so far is bound or refused; None where all are."""
        if None not in self._listeners.values():
            return None
        done: Deferred[None] = Deferred()
        self._behind.append(done)
        return done

    # What sessions ask for, which were granted it.

    @property
    def agent_path(self) -> str:
        """The socket by which processes reach the client's agent; "" where none can be made."""
        if self._agent is None and not self._ended:
            from sshkit.server.agent_forwarding import AgentSocket

            def failed(failure: Failure) -> None:
                self._log("error", f"no socket for the agent: {printable(str(failure.exception))}")

            try:
                self._agent = AgentSocket(self._connection, self._reactor, failed)
            except OSError as error:
                self._log("error", f"no socket for the agent: {error.strerror}")
        return "" if self._agent is None else self._agent.path

    def open_agent(self) -> "Opening[AgentClient]":
        """Open a channel to the client's agent."""
        from sshkit.server.agent_forwarding import open_agent

        return open_agent(self._connection, self._reactor)

    def open_display(self, wanted: "X11Request", session: "Channel") -> "Deferred[X11Display]":
        """Make a display for a session; fails with NoDisplay."""
        from sshkit.server.x11 import X11Display

        policy = self._policy.x11
        assert policy is not None
        display = X11Display(
            self._connection, self._reactor, policy, wanted, lambda text: self._log("info", text)
        )
        self._displays[session.number] = display

        def failed(failure: Failure) -> Failure:
            display.close()
            self._log("info", f"no display for the session: {printable(str(failure.exception))}")
            return failure

        return display.open().add_callbacks(lambda _: display, failed)

    def session_ended(self, session: "Channel") -> None:
        """Take a session's display back."""
        display = self._displays.get(session.number)
        if display is not None:
            display.close()
            if not display.tally.open:
                del self._displays[session.number]

    # The end.

    def ended(self) -> None:
        """Close everything: the connection has ended."""
        self._ended = True
        self._behind.clear()
        if self._agent is not None:
            self._agent.close()
        for display in self._displays.values():
            display.abort()
        for tunnel in tuple(self._tunnels):
            tunnel.close()
        listeners, self._listeners = self._listeners, {}
        for listener in listeners.values():
            if listener is not None:
                listener.close()
        self.tally.abort_all()

    # Inside.

    def _tunnel(self, body: bytes) -> Tunnel:
        """Open a device for the client, or raise ChannelOpenFailed."""
        wanted = TunOpen.decode(body)
        allowed = self._policy.tunnel
        options = self._owner.grant.options if self._owner.grant is not None else None
        if wanted.mode not in MODES.values() or allowed not in (
            "yes",
            "ethernet" if wanted.mode == ETHERNET else "point-to-point",
        ):
            raise ChannelOpenFailed(PROHIBITED, "tunnels of this kind are not permitted")
        if not getattr(options, "permit_port_forwarding", True) or len(self._tunnels) >= MAX_TUNNELS:
            raise ChannelOpenFailed(PROHIBITED, "a tunnel is not permitted")
        if wanted.unit > MAX_UNIT and wanted.unit != ANY_UNIT:
            raise ChannelOpenFailed(PROHIBITED, "there is no such device")
        only = getattr(options, "tunnel", None)  # that of the key's line
        if only is not None and wanted.unit not in (only, ANY_UNIT):
            raise ChannelOpenFailed(PROHIBITED, "a tunnel of this device is not permitted")
        unit = only if wanted.unit == ANY_UNIT else wanted.unit
        try:
            fd, name = open_device(wanted.mode, unit)
        except NoTunnel as error:
            self._log("info", f"no tunnel: {error}")
            raise ChannelOpenFailed(CONNECT_FAILED, "the device cannot be opened") from None
        self._log("info", f"tunnel {name} for the client")
        tunnel = Tunnel(self._reactor, wanted.mode, fd, name, self._tunnels.discard)
        self._tunnels.add(tunnel)
        return tunnel

    def _listen(self, place: Place) -> "Deferred[bytes]":
        if place in self._listeners:
            raise ForwardRefused(f"{shown(place)} is listened at already")
        if len(self._listeners) >= self._policy.max_listeners:
            raise ForwardRefused(f"{self._policy.max_listeners} listening sockets are open")
        self._listeners[place] = None
        source = self._source(place)
        policy = self._policy
        binding = listen(
            self._reactor,
            self._bound(place),
            lambda: Arrival(source),
            mask=policy.bind_mask,
            unlink=policy.unlink,
        )

        def listening(listener: "Listener") -> bytes:
            self._listeners.pop(place, None)
            bound, answer = place, b""
            if isinstance(place, TcpPlace) and not place.port:
                port = int(listener.address[1])
                bound, answer = TcpPlace(place.host, port), forwarded_tcpip.BoundPort(port).encode()
                source.head = string(place.host) + uint32(port)
            if self._ended or bound in self._listeners:
                listener.close()
                raise ForwardRefused("the connection has ended")
            self._listeners[bound] = listener
            self._log("verbose", f"listening at {shown(bound)} for the client")
            return answer

        def failed(failure: Failure) -> Failure:
            self._listeners.pop(place, None)
            self._log("info", f"a listening socket was refused: {printable(str(failure.exception))}")
            return failure

        def settled(outcome: Any) -> Any:
            if None not in self._listeners.values():
                behind, self._behind = self._behind, []
                for done in behind:
                    done.callback(None)
            return outcome

        return binding.add_callbacks(listening, failed).add_both(settled)

    def _cancel(self, place: Place) -> bytes | None:
        listener = self._listeners.get(place)
        if listener is None:
            return None
        del self._listeners[place]
        listener.close()
        self._log("verbose", f"no longer listening at {shown(place)}")
        return b""

    def _source(self, place: Place) -> ChannelSource:
        if isinstance(place, TcpPlace):
            head = string(place.host) + uint32(place.port)
            return ChannelSource(self._connection, forwarded_tcpip.KIND, head, self.tally)
        head = streamlocal.ForwardedStreamlocal(path_bytes(place), b"").encode()
        return ChannelSource(self._connection, streamlocal.FORWARDED, head, self.tally, named=False)

    def _bound(self, place: Place) -> Place:
        """Return where to listen for what a client asked for: loopback, unless the policy says more."""
        if isinstance(place, UnixPlace):
            return place
        gateway, host = self._policy.gateway, place.host
        if gateway == "no":
            return TcpPlace(LOOPBACK, place.port)
        everywhere = gateway == "yes" or host in ("", "*")
        return TcpPlace("" if everywhere else host, place.port)

    def _refusal(self, kind: Any, place: Place) -> str | None:
        """Return why a forward is not allowed, or None."""
        policy = self._policy
        options = self._owner.grant.options if self._owner.grant is not None else None
        if not getattr(options, "permit_port_forwarding", True):
            return "the key may not forward"
        unix = isinstance(place, UnixPlace)
        if not getattr(policy, f"{kind}_{'unix' if unix else 'tcp'}"):
            return "the server's policy"
        lists = [getattr(policy, f"permit_{kind}"), *getattr(options, f"permit_{kind}", ())]
        allows = permits_open if kind == "open" else permits_listen
        for permitted in lists:
            if isinstance(place, TcpPlace):
                if not allows(permitted, place.host, place.port):
                    return "not in the list of permitted addresses"
            elif permitted is not None:  # such a list names no UNIX socket
                return "only addresses of a list are permitted"
        if policy.permit is not None:
            try:
                if not policy.permit(ForwardRequest(self._owner, kind, place)):
                    return "the program refused it"
            except Exception as error:
                self._owner.log_error("the forward policy failed", error)
                return "the program failed"
        return None

    def _log(self, level: str, text: str) -> None:
        owner = self._owner
        owner.server.log(level, f"{owner.source}: {owner.user!r}: {text}")


def shown(place: Place) -> str:
    """Return a place that a peer named, fit to be shown."""
    return printable(str(place))
