"""Packets of a client that is logged in, passed on to the process that serves his session, and back.

The worker keeps the transport layer with its keys; what belongs to the connection protocol goes through here,
in frames without keys.  Whoever is slow stops the other: a full network the process, a full socket the
client.
"""

from typing import TYPE_CHECKING, Any, cast

from sshkit.ssh.connection.connection import BOTH
from sshkit.ssh.errors import ConnectionLost, RemoteProtocolError
from sshkit.ssh.messages import authentication as authentication_messages
from sshkit.ssh.messages import transport as transport_messages
from sshkit.ssh.transport.bare import BEHIND, NOTHING, BareLayer
from sshkit.ssh.transport.layer import COMMON, PING_HANDLERS, UNKNOWN
from sshkit.ssh.transport.packet_reader import LIMIT
from sshkit.ssh.transport.phases import AFTER_LOGIN, table

if TYPE_CHECKING:
    import socket

    from sshkit.interfaces import Reactor
    from sshkit.ssh.transport.layer import TransportLayer


class SessionEnded(RemoteProtocolError):
    """What the session's process found wrong with the client, in its own words and with its code."""


class Relay:
    """Between a client's layer and the session's process; it is the target of the client's phase."""

    __slots__ = ("layer", "session")

    def __init__(self, layer: "TransportLayer", reactor: "Reactor", sock: "socket.socket") -> None:
        self.layer = layer
        self.session = SessionSide(self, reactor)
        layer.packet_limit = LIMIT
        layer.set_phase(RELAYED, self)
        reactor.adopt_socket(sock, lambda: self.session)

    def writable(self) -> None:
        """Let the process go on: the network takes more, or new keys are in force."""
        self.session.go_on()

    def ended(self) -> None:
        """The client has gone: so does his session."""
        self.session.disconnect()

    # The owner of the session's side.

    def transport_ready(self) -> None:
        """Nothing is to be said."""

    def transport_lost(self, error: BaseException) -> None:
        """End the connection: the process has ended it, or has died."""
        if self.layer.lost is None:
            self.layer.disconnect(ConnectionLost("the session has ended"))

    def verify_host_key(self, key: Any) -> None:
        raise AssertionError("there are no keys between processes")


class SessionSide(BareLayer):
    """The frames of the session's process."""

    __slots__ = ("_held",)
    gone = "the process of the session has gone"

    def __init__(self, owner: Relay, reactor: "Reactor") -> None:
        super().__init__(owner, reactor, is_client=True)
        self.packet_limit = LIMIT
        self._held = False  # the process waits for the network
        self.handlers, self.target = FROM_SESSION, owner

    def pause_writing(self) -> None:
        """Let the client wait: the process does not read."""
        super().pause_writing()
        self.client.suspend()

    def resume_writing(self) -> None:
        """Let it go on."""
        super().resume_writing()
        self.client.resume()

    @property
    def client(self) -> "TransportLayer":
        """The client's layer."""
        return cast("Relay", self.owner).layer

    def wait(self) -> None:
        """Take no more from the process, until the network takes more."""
        if not self._held:
            self._held = True
            self.suspend()

    def go_on(self) -> None:
        """Take more."""
        if self._held:
            self._held = False
            self.resume()


def _to_client(relay: Relay, payload: memoryview) -> None:
    layer = relay.layer
    if layer.lost is None:
        layer.writer.send(bytes(payload))
        if not layer.writer.ready:
            relay.session.wait()


def _to_session(relay: Relay, payload: memoryview) -> None:
    if relay.session.lost is None:
        relay.session.writer.send_now(bytes(payload))


def _drop(relay: Relay, payload: memoryview) -> None:
    """A late request to log in has no answer (RFC 4252 section 5.3)."""


def _farewell(relay: Relay, payload: memoryview) -> None:
    """Tell the client why the session's process ends the connection."""
    message = transport_messages.Disconnect.decode(payload)
    ended = SessionEnded(message.description.decode("utf-8", "replace"))
    ended.reason = message.code
    relay.layer.disconnect(ended)


_CHANNELS = range(AFTER_LOGIN, BEHIND)
_TO_CLIENT = NOTHING[:AFTER_LOGIN] + (_to_client,) * len(_CHANNELS) + NOTHING[BEHIND:]
_FAREWELL = transport_messages.DISCONNECT
FROM_SESSION = (*_TO_CLIENT[:_FAREWELL], _farewell, *_TO_CLIENT[_FAREWELL + 1 :])
RELAYED = table(
    "after the login, from a client",
    COMMON,
    PING_HANDLERS,
    dict.fromkeys(BOTH, _to_session),
    {authentication_messages.USERAUTH_REQUEST: _drop},
    unknown=UNKNOWN,
    logged_in=True,
)
