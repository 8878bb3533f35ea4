"""Agent forwarding at the client: each channel that the server opens for it is joined to an agent here.

`ClientConnection` makes one when a session asks for it, and hands it channels of this kind from then on, and
no earlier (R27).  Before anything of the server's reaches an agent, the agent's connection is tied to the SSH
session with the mark "forwarded" (OpenSSH's PROTOCOL.agent, session-bind), so that keys that were limited to
destinations stay so.
"""

import os
from typing import TYPE_CHECKING, Any, cast

from sshkit_keys.errors import WireError

from sshkit.deferred import Deferred, Failure, succeed
from sshkit.forwarding.connecting import CONNECT_FAILED, CONNECT_TIMEOUT, RESOURCE_SHORTAGE
from sshkit.forwarding.errors import NoAgent
from sshkit.forwarding.pump import Pump, SocketEnd, Tally
from sshkit.ssh.agent import messages
from sshkit.ssh.agent.client import AgentClient
from sshkit.ssh.agent.framing import Frames
from sshkit.ssh.connection.protocol import ChannelProtocol
from sshkit.ssh.errors import ChannelOpenFailed

if TYPE_CHECKING:
    from sshkit.interfaces import Reactor, Transport
    from sshkit.ssh.connection.channel import Channel
    from sshkit.ssh.transport.layer import TransportLayer

MAX_AGENTS = 64  #: channels to the agent that are open at once
_FAILURE = messages.Failure().encode()


#: What a program forwards: True is the agent that SSH_AUTH_SOCK names, else a socket's path, or a client that
#: is connected already, whose keys can then be listed and used for signatures, and nothing else.
ForwardedAgent = bool | str | os.PathLike[str] | AgentClient


class AgentForwarding:
    """The agent that one connection's server may use."""

    __slots__ = ("_agent", "_bound", "_layer", "_reactor", "tally")

    def __init__(self, layer: "TransportLayer", reactor: Any, agent: ForwardedAgent) -> None:
        """Raise NoAgent where there is none to be found."""
        self._layer = layer
        self._reactor = cast("Reactor", reactor)
        self._agent = _place_of(agent)
        self._bound: Deferred[None] | None = None
        self.tally = Tally(MAX_AGENTS)  #: counts the channels

    def replace(self, agent: ForwardedAgent) -> None:
        """Forward another agent from now on; channels that are open stay with theirs."""
        self._agent = _place_of(agent)
        self._bound = None

    def channel_requested(self) -> "ChannelProtocol | Deferred[ChannelProtocol]":
        """Join a channel to the agent, or raise ChannelOpenFailed."""
        tally = self.tally
        if tally.is_full:
            tally.refused += 1
            raise ChannelOpenFailed(RESOURCE_SHORTAGE, f"{tally.limit} connections to the agent are open")
        agent = self._agent
        if isinstance(agent, AgentClient):
            return self._relay(agent)
        tally.connecting += 1
        client = _Binding(self._reactor, agent)

        def joined(_: object) -> Pump:
            tally.connecting -= 1
            end = SocketEnd(tally)
            transport = client.transport
            transport.set_protocol(end)
            end.connection_made(transport)
            return Pump(end)

        def failed(failure: Failure) -> Failure:
            tally.connecting -= 1
            tally.refused += 1
            client.abort()
            return Failure(ChannelOpenFailed(CONNECT_FAILED, "the agent does not answer"))

        connecting: Deferred[Any] = self._reactor.connect_unix(agent, lambda: client, timeout=CONNECT_TIMEOUT)
        return connecting.add_callback(lambda _: self._bind(client)).add_callbacks(joined, failed)

    def connection_lost(self) -> None:
        """End everything with the connection."""
        self.tally.abort_all()

    def _relay(self, agent: AgentClient) -> "Deferred[ChannelProtocol]":
        if self._bound is None or agent.lost:
            self._bound = self._bind(agent)
        waiting: Deferred[ChannelProtocol] = Deferred()

        def bound(outcome: object) -> object:
            if agent.lost:
                waiting.errback(ChannelOpenFailed(CONNECT_FAILED, "the agent has gone"))
            else:
                waiting.callback(AgentRelay(agent, self.tally))
            return outcome

        self._bound.add_both(bound).add_errback(lambda _: None)
        return waiting

    def _bind(self, client: AgentClient) -> Deferred[None]:
        """Tie the agent's connection to this session; one that does not know how is joined all the same."""
        layer = self._layer
        if layer.host_key is None:  # unreachable in a connection that is logged in
            return succeed(None)
        bound = client.bind_session(layer.host_key.blob, layer.session_id, layer.host_key_signature, True)

        def failed(failure: Failure) -> Failure | None:
            return failure if client.lost else None

        return bound.add_errback(failed)


class _Binding(AgentClient):
    """The first words to an agent; then its transport is somebody else's."""

    __slots__ = ("transport",)
    transport: "Transport"

    def connection_made(self, transport: "Transport") -> None:
        self.transport = transport
        super().connection_made(transport)

    def abort(self) -> None:
        """Give the connection up, if there is one."""
        transport = getattr(self, "transport", None)
        if transport is not None:
            transport.abort()


class AgentRelay(ChannelProtocol):
    """A channel whose requests go to a client of an agent: lists and signatures; all else is refused."""

    __slots__ = ("_busy", "_channel", "_client", "_ended", "_frames", "_tally", "_working")

    def __init__(self, client: AgentClient, tally: Tally) -> None:
        self._client = client
        self._tally = tally
        self._frames = Frames()
        self._channel: Channel | None = None
        self._busy = False  # an answer is waited for
        self._working = False  # `_work` runs, further up the stack
        self._ended = False

    @property
    def transport(self) -> "AgentRelay":
        """What is aborted when the connection ends."""
        return self

    def abort(self) -> None:
        """The channel has ended already."""

    def channel_opened(self, channel: "Channel", body: bytes) -> None:
        self._channel = channel
        self._tally.ends.add(self)
        self._tally.total += 1

    def data_received(self, data: memoryview) -> None:
        self._tally.bytes_in += len(data)
        self._frames.feed(bytes(data))
        self._work()

    def eof_received(self) -> None:
        self._ended = True
        self._work()

    def channel_closed(self, error: BaseException | None) -> None:
        self._channel = None
        self._tally.ends.discard(self)
        self._frames.clear()

    def _work(self) -> None:
        """Pass requests on one after the other: an agent answers in their order."""
        if self._working:
            return
        self._working = True
        try:
            while not self._busy and (payload := self._frames.next()) is not None:
                self._busy = True
                self._ask(payload).add_both(self._answer)
        except WireError:
            self._close()
        finally:
            self._working = False
        channel = self._channel
        if channel is None:
            return
        if self._busy:
            channel.pause_reading()
            return
        channel.resume_reading()  # which may bring the next request
        if self._ended and not self._busy:
            self._close()

    def _close(self) -> None:
        if self._channel is not None:
            self._channel.close()

    def _ask(self, payload: bytes) -> "Deferred[bytes]":
        client = self._client
        number = payload[0]
        if number == messages.REQUEST_IDENTITIES:

            def listed(keys: Any) -> bytes:
                from sshkit_keys.wire import string

                body = b"".join(string(key.blob) + string(key.comment) for key in keys)
                return messages.IdentitiesAnswer(len(keys), body).encode()

            return client.list_keys().add_callback(listed)
        if number == messages.SIGN_REQUEST:
            request = messages.SignRequest.decode(payload)
            signing = client.request_signature(request.key, request.data, request.flags)
            return signing.add_callback(lambda signature: messages.SignResponse(signature).encode())
        if number == messages.EXTENSION:
            extension = messages.Extension.decode(payload)
            if extension.kind == messages.SESSION_BIND:
                done = messages.Success().encode()
                return client.extension(extension.kind, extension.body).add_callback(lambda _: done)
        return succeed(_FAILURE)

    def _answer(self, outcome: "bytes | Failure") -> None:
        answer = _FAILURE if isinstance(outcome, Failure) else outcome
        self._busy = False
        channel = self._channel
        if channel is not None:
            frame = messages.frame(answer)
            self._tally.bytes_out += len(frame)
            channel.write(frame)
            self._work()


def _place_of(agent: ForwardedAgent) -> str | AgentClient:
    if isinstance(agent, AgentClient):
        return agent
    place = os.environ.get("SSH_AUTH_SOCK", "") if isinstance(agent, bool) else os.fspath(agent)
    if not place:
        raise NoAgent("SSH_AUTH_SOCK names no agent that could be forwarded")
    return place
