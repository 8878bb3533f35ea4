"""The agents behind an agent: listed and asked for signatures, never given keys.

One for each connection of the server, because destination constraints are kept by connection: what binds
the connection to a session is passed on, so that an agent behind it can enforce its own keys' limits.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from sshkit.deferred import Deferred, Failure, gather, maybe_deferred, succeed
from sshkit.ssh.agent.client import AgentClient, AgentKey
from sshkit.ssh.agent.messages import SESSION_BIND

if TYPE_CHECKING:
    from sshkit.interfaces import Clock

TIMEOUT = 5.0  #: seconds for an agent behind to be reached, and to list its keys; then it is left out

#: Connects to one agent behind this one.
Connect = Callable[[], "Deferred[AgentClient]"]


class Listing(NamedTuple):
    """What the agents behind have, and what went wrong with which."""

    keys: tuple[AgentKey, ...]
    problems: tuple[str, ...]


class Upstreams:
    """The connections to all agents behind, made when first needed."""

    __slots__ = ("_binds", "_clock", "_closed", "_found", "_links")

    def __init__(self, clock: "Clock", connects: Sequence[Connect]) -> None:
        self._clock = clock
        self._binds: list[bytes] = []
        self._links: list[tuple[Connect, list[AgentClient]]] = [(connect, []) for connect in connects]
        self._found: dict[bytes, tuple[AgentClient, AgentKey]] = {}
        self._closed = False

    def bind(self, body: bytes) -> None:
        """Pass a session-bind request on, valid or not: each agent judges for itself."""
        if self._links:
            self._binds.append(body)
            for _, clients in self._links:
                for client in clients:
                    _bind(client, body)

    def list_keys(self) -> Deferred[Listing]:
        """List the keys of all; one that does not answer in time is left out."""
        self._found.clear()
        asked = [self._list_one(*link) for link in self._links]
        return gather(*asked, return_exceptions=True).add_callback(self._listed)

    def find(self, blob: bytes) -> "Deferred[tuple[AgentClient, AgentKey] | None]":
        """Return the key and who has it."""
        if not self._links or blob in self._found:
            return succeed(self._found.get(blob))
        return self.list_keys().add_callback(lambda _: self._found.get(blob))

    def close(self) -> None:
        """End all connections."""
        self._closed = True
        for _, clients in self._links:
            while clients:
                clients.pop().close()

    def _list_one(
        self, connect: Connect, clients: list[AgentClient]
    ) -> "Deferred[tuple[AgentClient, list[AgentKey]]]":
        if clients:
            client = clients[0]
            if client.lost:
                clients.clear()
            else:
                return self._ask(client, clients)
        connecting = maybe_deferred(connect).add_timeout(TIMEOUT, self._clock, what="connecting")

        def connected(client: AgentClient) -> "Deferred[tuple[AgentClient, list[AgentKey]]]":
            if self._closed:
                client.close()
            clients.append(client)
            for body in self._binds:
                _bind(client, body)
            return self._ask(client, clients)

        return connecting.add_callback(connected)

    def _ask(
        self, client: AgentClient, clients: list[AgentClient]
    ) -> "Deferred[tuple[AgentClient, list[AgentKey]]]":
        def failed(failure: Failure) -> Failure:
            clients.clear()
            client.close()
            return failure

        listing = client.list_keys().add_timeout(
            TIMEOUT, self._clock, what=f"{client.name}: listing its keys"
        )
        listing.add_errback(failed)
        return listing.add_callback(lambda keys: (client, keys))

    def _listed(self, outcomes: tuple[Any, ...]) -> Listing:
        keys: list[AgentKey] = []
        problems: list[str] = []
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                problems.append(str(outcome) or type(outcome).__name__)
            else:
                client, found = outcome
                for key in found:
                    if key.blob not in self._found:
                        self._found[key.blob] = client, key
                        keys.append(key)
        return Listing(tuple(keys), tuple(problems))


def _bind(client: AgentClient, body: bytes) -> None:
    # An agent that does not know the extension has no keys that depend on it; one that refuses knows why.
    client.extension(SESSION_BIND, body).add_errback(lambda _: b"")
