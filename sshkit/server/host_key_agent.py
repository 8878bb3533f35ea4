"""Host keys that an agent holds (HostKeyAgent of sshd_config(5)).

The server knows the public halves only; `AgentHostKey` is what it gets for a private key.  Every signature
of a key exchange, and every proof of `host_key_rotation`, is asked of the agent and comes as a Deferred.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sshkit.deferred import Deferred, Failure
from sshkit.ssh.agent.errors import AgentLost
from sshkit.ssh.agent.key_blobs import plain_algorithm, plain_key

if TYPE_CHECKING:
    from sshkit_keys import PublicKey

    from sshkit.interfaces import Reactor
    from sshkit.ssh.agent.client import AgentClient

#: Makes a connection to the agent.
Connect = Callable[[], "Deferred[AgentClient]"]


class HostKeyAgent:
    """One agent for all connections of a server: connected at the first use, and again where it was lost."""

    __slots__ = ("_client", "_connect", "_connecting", "_waiting")

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._client: AgentClient | None = None
        self._connecting: Deferred[Any] | None = None
        self._waiting: list[Deferred[AgentClient]] = []

    def key(self, public: "PublicKey") -> "AgentHostKey":
        """Return the host key whose public half, or certificate, is `public`."""
        return AgentHostKey(self, public)

    def missing(self, *keys: "PublicKey") -> "Deferred[list[PublicKey]]":
        """Return those of the keys that the agent does not hold; for a warning at the start."""

        def ask(client: "AgentClient") -> "Deferred[list[PublicKey]]":
            def compare(held: Any) -> "list[PublicKey]":
                blobs = {key.blob for key in held}
                return [key for key in keys if plain_key(key).blob not in blobs]

            return client.list_keys().add_callback(compare)

        return self._connected().add_callback(ask)

    def sign(self, key: "PublicKey", algorithm: str, data: bytes) -> Deferred[bytes]:
        """Return the agent's signature, verified; errors as AgentClient.sign."""

        def ask(client: "AgentClient") -> Deferred[bytes]:
            return client.sign(key, data, algorithm)

        return self._connected().add_callback(ask)

    def close(self) -> None:
        """Close the connection; whoever waits gets an error."""
        if self._connecting is not None:
            self._connecting.cancel()
        if self._client is not None:
            self._client.close()
            self._client = None

    def _connected(self) -> "Deferred[AgentClient]":
        """Return the connection; however many wait for it, one is made."""
        client = self._client
        ready: Deferred[AgentClient] = Deferred()
        if client is not None and not client.lost:
            ready.callback(client)
            return ready
        self._waiting.append(ready)
        if self._connecting is None:
            connecting = self._connecting = self._connect()
            connecting.add_callbacks(self._made, self._failed)
        return ready

    def _made(self, client: "AgentClient") -> None:
        self._client = client
        self._connecting = None
        waiting, self._waiting = self._waiting, []
        for ready in waiting:
            if not ready.called:  # cancelled: its connection has ended
                ready.callback(client)

    def _failed(self, failure: Failure) -> None:
        self._connecting = None
        waiting, self._waiting = self._waiting, []
        for ready in waiting:
            if not ready.called:
                error = AgentLost(str(failure.exception) or "the connection to the agent was given up")
                error.__cause__ = failure.exception
                ready.errback(error)


class AgentHostKey:
    """A host key in an agent, in the place of a private key; see `HostSigner`."""

    __slots__ = ("_agent", "public")

    def __init__(self, agent: HostKeyAgent, public: "PublicKey") -> None:
        self._agent = agent
        self.public = public

    def sign(self, algorithm: str, data: bytes) -> Deferred[bytes]:
        """Have the agent sign; the label of a certificate's algorithm is that of its key."""
        return self._agent.sign(plain_key(self.public), plain_algorithm(algorithm), data)

    def __repr__(self) -> str:
        return f"<AgentHostKey {self.public.key_type} {self.public.fingerprint()}>"


def host_key_agent(path: str, reactor: "Reactor") -> HostKeyAgent:
    """Return the agent at the socket `path`; "SSH_AUTH_SOCK" means the one that the environment names."""

    def connect() -> "Deferred[AgentClient]":
        from sshkit.agent.connect import connect_agent

        return connect_agent(None if path == "SSH_AUTH_SOCK" else path, reactor=reactor)

    return HostKeyAgent(connect)
