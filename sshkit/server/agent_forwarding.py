"""The client's agent, as sessions of a server reach it.

`AgentSocket` is what the processes of sshkit-server get: a UNIX socket in a folder that is theirs alone,
named by SSH_AUTH_SOCK, each of whose connections becomes a channel to the client.  `open_agent` is what
handlers in Python get: a client of the agent over one such channel.  `ServerForwards` makes both, after a
session asked for the agent and was granted it (R27, R28); everything ends with the connection.
"""

import os
from typing import TYPE_CHECKING, Any

from sshkit.deferred import Deferred, Failure
from sshkit.forwarding.addresses import UnixPlace
from sshkit.forwarding.listening import Arrival, ChannelSource, listen
from sshkit.forwarding.pump import Tally
from sshkit.opening import Opening
from sshkit.ssh.agent.client import AgentClient
from sshkit.ssh.channels.agent import KIND
from sshkit.ssh.connection.protocol import ChannelProtocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from sshkit.interfaces import Clock, Listener, Reactor
    from sshkit.ssh.connection.channel import Channel
    from sshkit.ssh.connection.connection import Connection

MAX_AGENTS = 64  #: connections to the socket that are open at once
OPEN_TIMEOUT = 30.0  #: seconds for the client to open the channel


class AgentSocket:
    """A listening socket at `path`; raises OSError where its folder cannot be made."""

    __slots__ = ("_closed", "_folder", "_listener", "path", "tally")

    def __init__(
        self, connection: "Connection", reactor: "Reactor", failed: "Callable[[Failure], object]"
    ) -> None:
        from tempfile import mkdtemp

        self._folder = mkdtemp(prefix="sshkit-agent-")  # with the permissions 0700
        self.path = os.path.join(self._folder, f"agent.{os.getpid()}")
        self._closed = False
        self._listener: Listener | None = None
        self.tally = Tally(MAX_AGENTS)
        source = ChannelSource(connection, KIND, b"", self.tally, named=False)
        binding = listen(reactor, UnixPlace(self.path), lambda: Arrival(source))
        binding.add_callback(self._listening).add_errback(failed)

    def close(self) -> None:
        """Listen no more, end what is open, and leave nothing behind."""
        self._closed = True
        if self._listener is not None:
            self._listener.close()
        self.tally.abort_all()
        try:
            os.rmdir(self._folder)
        except OSError:
            pass  # the user has put something there, or has removed it

    def _listening(self, listener: "Listener") -> None:
        self._listener = listener
        if self._closed:
            self.close()


class AgentChannel(ChannelProtocol):
    """Channel and transport of an AgentClient."""

    __slots__ = ("_channel", "client")

    def __init__(self, client: AgentClient) -> None:
        self.client = client
        self._channel: Channel | None = None

    # Called by the channel.

    def channel_opened(self, channel: "Channel", body: bytes) -> None:
        self._channel = channel
        self.client.connection_made(self)  # type: ignore[arg-type]  # the part of a transport that it uses

    def data_received(self, data: memoryview) -> None:
        self.client.data_received(bytes(data))

    def eof_received(self) -> None:
        self.close()

    def channel_closed(self, error: BaseException | None) -> None:
        self._channel = None
        self.client.connection_lost(error)

    # Called by the client.

    def write(self, data: bytes) -> None:
        """Send a request."""
        if self._channel is not None:
            self._channel.write(data)

    def close(self) -> None:
        """End the channel."""
        if self._channel is not None:
            self._channel.close()

    def abort(self) -> None:
        """End the channel at once."""
        if self._channel is not None:
            self._channel.abort()


def open_agent(connection: "Connection", clock: "Clock") -> Opening[AgentClient]:
    """Open a channel to the client's agent; fails with ChannelOpenFailed where it has none for us."""
    client = AgentClient(clock, "the client's agent")
    opened: Deferred[Any] = connection.open_channel(KIND, b"", AgentChannel(client))
    opening: Opening[AgentClient] = Opening(lambda _: opened.cancel())

    def failed(failure: Failure) -> None:
        if not opening.called:
            opening.errback(failure)

    opened.add_callbacks(lambda _: opening.callback(client), failed)
    opening.add_timeout(OPEN_TIMEOUT, clock, what="a channel to the client's agent")
    return opening
