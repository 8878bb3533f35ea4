"""Agents behind an agent: listed, asked, never waited for without end."""

from typing import Any

from sshkit_keys.wire import string

from sshkit.deferred import Deferred, fail, succeed
from sshkit.ssh.agent import messages
from sshkit.ssh.agent.client import AgentClient
from sshkit.ssh.agent.destinations import Destination, Hop, HostKey
from sshkit.ssh.agent.errors import AgentRefused, AgentUnavailable
from sshkit.ssh.agent.upstreams import TIMEOUT
from sshkit.testing import connect_in_memory
from tests.ssh.agent.world import ECDSA, ED25519, HOST, OTHER_HOST, RSA, World, bind, login


class Chain(World):
    """An agent with others behind it."""

    def __init__(self, *behind: Any, **options: Any) -> None:
        self.made: list[AgentClient] = []
        super().__init__(upstreams=[self._connector(one) for one in behind], **options)

    def _connector(self, behind: Any) -> Any:
        def connect() -> Deferred[AgentClient]:
            client = AgentClient(self.clock, "upstream")
            behind.clock = behind.agent.clock = self.clock
            self.pairs.append(connect_in_memory(client, behind.agent.make_protocol(), self.clock))
            self.made.append(client)
            return succeed(client)

        return connect if isinstance(behind, World) else behind


def comments(world: World, client: AgentClient) -> list[str]:
    return [key.comment for key in world.result(client.list_keys())]


def test_keys_of_all_are_listed_and_sign() -> None:
    first, second = World(), World()
    first.keyring.add(ECDSA, comment="first")
    second.keyring.add(ECDSA, comment="second")
    second.keyring.add(RSA, comment="second rsa")
    world = Chain(first, second)
    world.keyring.add(ED25519, comment="own")
    client = world.connect()
    assert comments(world, client) == ["own", "first", "second rsa"]
    for key in (ED25519, ECDSA, RSA):
        world.result(client.sign(key.public, b"data"))
    assert len(world.made) == 2
    assert [event.request.key for event in world.events if event.request.action == "sign"] == [
        ED25519.public,
        ECDSA.public,
        RSA.public,
    ]


def test_a_signature_needs_no_listing_before_it() -> None:
    behind = World()
    behind.keyring.add(ECDSA)
    world = Chain(behind)
    client = world.connect()
    world.result(client.sign(ECDSA.public, b"data"))
    assert isinstance(world.error(client.sign(RSA.public, b"data")), AgentRefused)


def test_keys_are_added_and_removed_here_only() -> None:
    behind = World()
    behind.keyring.add(ECDSA)
    world = Chain(behind)
    client = world.connect()
    world.result(client.add(ED25519))
    assert isinstance(world.error(client.remove(ECDSA.public)), AgentRefused)
    world.result(client.remove_all())
    assert comments(world, client) == ["ec"]
    assert len(behind.keyring) == 1


def test_the_policy_holds_for_the_keys_behind() -> None:
    behind = World()
    behind.keyring.add(ECDSA)
    world = Chain(behind, policy=lambda request: request.action == "list")
    client = world.connect()
    assert comments(world, client) == ["ec"]
    assert isinstance(world.error(client.sign(ECDSA.public, b"data")), AgentRefused)


def test_a_locked_agent_hides_those_behind() -> None:
    behind = World()
    behind.keyring.add(ECDSA)
    world = Chain(behind)
    client = world.connect()
    world.result(client.lock(b"x"))
    assert comments(world, client) == []
    assert isinstance(world.error(client.sign(ECDSA.public, b"data")), AgentRefused)


def test_an_agent_that_is_away_or_silent_is_left_out() -> None:
    silent: Deferred[AgentClient] = Deferred()
    world = Chain(lambda: fail(AgentUnavailable("nobody at /run/x")), lambda: silent)
    world.keyring.add(ED25519)
    client = world.connect()
    listing = client.list_keys()
    world.settle()
    assert not listing.called
    world.clock.advance(TIMEOUT + 1)
    assert len(world.result(listing)) == 1
    reasons = [reason for _, outcome, reason in world.outcomes if outcome == "failed"]
    assert reasons == [
        "an agent behind this one: nobody at /run/x",
        f"an agent behind this one: connecting did not end within {TIMEOUT:g} s",
    ]


def test_a_connector_that_breaks_harms_nobody() -> None:
    def connect() -> Deferred[AgentClient]:
        raise ZeroDivisionError

    world = Chain(connect)
    world.keyring.add(ED25519)
    assert comments(world, world.connect()) == ["ed"]
    assert world.outcomes[0][2].endswith("ZeroDivisionError")


def test_an_agent_that_is_locked_while_it_waits_for_another_lists_nothing_of_it() -> None:
    behind = World()
    behind.keyring.add(ECDSA)
    waiting: Deferred[AgentClient] = Deferred()
    world = Chain(lambda: waiting)
    listing = world.connect().list_keys()
    world.settle()
    world.keyring.lock(b"x")
    upstream = Chain(behind)
    waiting.callback(upstream._connector(behind)().result())
    upstream.settle()
    assert world.result(listing) == []


def test_an_agent_that_answers_nothing_is_left_out_and_asked_anew() -> None:
    dead = AgentClient(World().clock)

    class Hole:
        """Takes everything."""

        def write(self, data: bytes) -> None: ...

        def close(self) -> None:
            dead.connection_lost(None)

    hole: Any = Hole()
    dead.connection_made(hole)
    world = Chain(lambda: succeed(dead))
    client = world.connect()
    listing = client.list_keys()
    world.settle()
    world.clock.advance(TIMEOUT + 1)
    assert world.result(listing) == []
    assert dead.lost


def test_a_lost_connection_is_made_again() -> None:
    behind = World()
    behind.keyring.add(ECDSA)
    world = Chain(behind)
    client = world.connect()
    for _ in range(2):
        assert comments(world, client) == ["ec"]
    world.made[0].close()
    world.settle()
    assert comments(world, client) == ["ec"]
    assert len(world.made) == 2


def test_connections_behind_end_with_the_one_in_front() -> None:
    behind = World()
    world = Chain(behind)
    client = world.connect()
    comments(world, client)
    client.close()
    world.settle()
    assert world.made[0].lost


def test_a_connection_behind_that_comes_too_late_is_closed() -> None:
    behind = World()
    late: Deferred[AgentClient] = Deferred(lambda _: None)
    world = Chain(lambda: late)
    client = world.connect()
    listing = client.list_keys()
    world.settle()
    connector = Chain(behind)._connector(behind)
    upstream = connector().result()
    world.server.upstreams.close()
    late.callback(upstream)
    assert upstream._transport.closed
    world.clock.advance(TIMEOUT + 1)
    assert world.result(listing) == []


def test_bindings_are_passed_on_so_that_limits_hold_behind() -> None:
    behind = World()
    to = Destination(Hop(), Hop("alpha", (HostKey(HOST.public),)))
    behind.keyring.add(ECDSA, destinations=[to])
    world = Chain(behind)
    before, here, there = world.connect(), world.connect(), world.connect()
    assert comments(world, before) == ["ec"]
    for client, host in ((before, OTHER_HOST), (here, HOST), (there, OTHER_HOST)):
        world.result(client.bind_session(*bind(host, b"session")))
    assert comments(world, before) == []
    assert comments(world, here) == ["ec"]
    world.result(here.sign(ECDSA.public, login(ECDSA, b"session")))
    assert comments(world, there) == []
    assert isinstance(world.error(there.sign(ECDSA.public, login(ECDSA, b"session"))), AgentRefused)


def test_a_key_of_an_unknown_type_is_passed_on() -> None:
    blob = string("ssh-new@example.com") + b"key"

    class New:
        """Answers as an agent of the future."""

        def __init__(self) -> None:
            self.client = AgentClient(World().clock)

        def write(self, data: bytes) -> None:
            if data[4] == messages.REQUEST_IDENTITIES:
                answer = messages.IdentitiesAnswer(1, string(blob) + string("new")).encode()
            else:
                answer = messages.SignResponse(b"signature").encode()
            self.client.data_received(string(answer))

        def close(self) -> None: ...

    new: Any = New()
    new.client.connection_made(new)
    world = Chain(lambda: succeed(new.client))
    client = world.connect()
    (found,) = world.result(client.list_keys())
    assert (found.public, found.comment) == (None, "new")
    answer = world.raw().ask(messages.SignRequest(blob, b"data", 0).encode())
    assert messages.SignResponse.decode(answer).signature == b"signature"
    assert world.events[-1].to_dict()["key_type"] == "ssh-new@example.com"
