"""What a server forwards for a client, and what it does not (R26, R28)."""

from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest
from sshkit_keys.wire import string, uint32

import sshkit
from sshkit import ForwardPolicy
from sshkit.server.key_limits import KeyLimits
from sshkit.ssh.connection.protocol import ChannelProtocol
from tests.client.world import USER_KEY
from tests.forwarding.world import ForwardWorld

Main = Callable[[sshkit.ClientConnection], Awaitable[Any]]


class Limited(sshkit.EveryUser):
    """Lets in with limits."""

    def __init__(self, **limits: Any) -> None:
        super().__init__([USER_KEY.public])
        self.limits = KeyLimits("here:1", **limits)

    def check_key(self, user: str, key: Any) -> Any:
        return self.limits if super().check_key(user, key) else False


async def can_open(connection: sshkit.ClientConnection, destination: str) -> int:
    """Return the code of the refusal, 0 where there is none."""
    try:
        async with connection.open_connection(destination):
            return 0
    except sshkit.ChannelOpenFailed as error:
        return error.code


async def can_listen(connection: sshkit.ClientConnection, place: str) -> bool:
    try:
        async with connection.forward_remote(place, "t:7000"):
            return True
    except sshkit.ForwardRefused:
        return False


def test_a_server_forwards_nothing_unless_it_is_told_to(world: ForwardWorld) -> None:
    async def main(connection: sshkit.ClientConnection) -> None:
        assert await can_open(connection, "t:7000") == 1
        assert await can_open(connection, "/run/socket") == 1
        assert not await can_listen(connection, "8080")
        assert not await can_listen(connection, "/tmp/never")

    world.with_forwards(main, forwards=False)


POLICIES: list[tuple[ForwardPolicy, bool, bool]] = [
    (ForwardPolicy(), True, True),
    (ForwardPolicy(open_tcp=False), False, True),
    (ForwardPolicy(listen_tcp=False), True, False),
    (ForwardPolicy(permit_open=()), False, True),
    (ForwardPolicy(permit_open=(("t", 7000),)), True, True),
    (ForwardPolicy(permit_open=(("t", 7001), ("T", 7000))), False, True),
    (ForwardPolicy(permit_open=(("*", 7000),)), True, True),
    (ForwardPolicy(permit_open=(("t", None),)), True, True),
    (ForwardPolicy(permit_listen=()), True, False),
    (ForwardPolicy(permit_listen=(("local*", 8080),)), True, True),
    (ForwardPolicy(permit_listen=(("*", 8081), ("other", None))), True, False),
    (ForwardPolicy(max_connections=0), False, True),
    (ForwardPolicy(max_listeners=0), True, False),
    (ForwardPolicy(permit=lambda request: request.kind == "open"), True, False),
    (ForwardPolicy(permit=lambda request: str(request.place) == "localhost:8080"), False, True),
]


@pytest.mark.parametrize(("policy", "opens", "listens"), POLICIES)
def test_r28_the_policy_holds(world: ForwardWorld, policy: ForwardPolicy, opens: bool, listens: bool) -> None:
    async def main(connection: sshkit.ClientConnection) -> None:
        assert (await can_open(connection, "t:7000") == 0) is opens
        assert await can_listen(connection, "8080") is listens

    world.with_forwards(main, forwards=policy)


LIMITS: list[tuple[dict[str, Any], bool, bool]] = [
    ({}, True, True),
    ({"permit_port_forwarding": False}, False, False),
    ({"permit_open": ((("t", 7000),),)}, True, True),
    ({"permit_open": ((("t", 7000),), (("u", 7000),))}, False, True),
    ({"permit_listen": ((("*", 8080),),)}, True, True),
    ({"permit_listen": ((("*", 8081),),)}, True, False),
]


@pytest.mark.parametrize(("limits", "opens", "listens"), LIMITS)
def test_r28_the_limits_of_the_key_hold(
    world: ForwardWorld, limits: dict[str, Any], opens: bool, listens: bool
) -> None:
    async def main(connection: sshkit.ClientConnection) -> None:
        assert (await can_open(connection, "t:7000") == 0) is opens
        assert await can_listen(connection, "8080") is listens

    world.with_forwards(main, users=Limited(**limits))


def test_r28_a_list_of_addresses_permits_no_unix_socket(world: ForwardWorld) -> None:
    async def main(connection: sshkit.ClientConnection) -> None:
        assert await can_open(connection, "/run/socket") == 1
        assert not await can_listen(connection, "/tmp/never")

    world.with_forwards(main, users=Limited(permit_open=((("*", None),),), permit_listen=((("*", None),),)))
    assert any("only addresses of a list are permitted" in line for line in world.log)


@pytest.mark.parametrize(
    ("gateway", "asked", "bound"),
    [
        ("no", "8080", "localhost"),
        ("no", "*:8080", "localhost"),
        ("no", "192.0.2.1:8080", "localhost"),
        ("yes", "8080", "127.0.0.1"),  # the network in memory calls every address so
        ("yes", "192.0.2.1:8080", "127.0.0.1"),
        ("clientspecified", "8080", "localhost"),
        ("clientspecified", "*:8080", "127.0.0.1"),
        ("clientspecified", "192.0.2.1:8080", "192.0.2.1"),
    ],
)
def test_r28_where_to_listen_is_loopback_unless_the_policy_says_more(
    world: ForwardWorld, gateway: Any, asked: str, bound: str
) -> None:
    async def main(connection: sshkit.ClientConnection) -> None:
        async with connection.forward_remote(asked, "t:7000"):
            assert world.network.listeners[8080].address == (bound, 8080)
            end = await world.dial(8080, b"hello", keep_open=False)
            await world.settled()
            assert bytes(end.data) == b"hello"
            end.transport.close()
            await world.settled()

    world.with_forwards(main, forwards=ForwardPolicy(gateway=gateway))


async def ask(connection: sshkit.ClientConnection, kind: str, body: bytes) -> bytes | None:
    """Make a global request; None where it is refused."""
    raw = connection._connection
    assert raw is not None
    try:
        return await raw.global_request(kind, body)
    except sshkit.ChannelRequestFailed:
        return None


def test_r28_impossible_addresses_are_refused_and_logged_escaped(world: ForwardWorld) -> None:
    async def main(connection: sshkit.ClientConnection) -> None:
        raw = connection._connection
        assert raw is not None
        for host, port in (("t", 0), ("t", 65536), ("t", 1 << 31), ("", 80), ("a\x1b[2Jb", 80), ("-x", 80)):
            body = string(host) + uint32(port) + string("o") + uint32(1)
            with pytest.raises(sshkit.ChannelOpenFailed) as caught:
                await raw.open_channel("direct-tcpip", body, ChannelProtocol())
            assert caught.value.code == 1
        for path in (b"", b"a\0b"):
            body = string(path) + string(b"") + uint32(0)
            with pytest.raises(sshkit.ChannelOpenFailed):
                await raw.open_channel("direct-streamlocal@openssh.com", body, ChannelProtocol())
        for host, port in (("localhost", 65536), ("a b", 8080), ("x\ny", 8080)):
            assert await ask(connection, "tcpip-forward", string(host) + uint32(port)) is None
        assert await ask(connection, "streamlocal-forward@openssh.com", string(b"")) is None
        assert await ask(connection, "unknown-forward", b"") is None

    world.with_forwards(main)
    assert all(line.isprintable() for line in world.log if "refused" in line)


def test_r26_what_is_listened_at_is_limited_and_named_once(world: ForwardWorld) -> None:
    async def main(connection: sshkit.ClientConnection) -> None:
        body = string("localhost") + uint32(8080)
        assert await ask(connection, "tcpip-forward", body) == b""
        assert await ask(connection, "tcpip-forward", body) is None
        assert await ask(connection, "tcpip-forward", string("localhost") + uint32(8081)) == b""
        assert await ask(connection, "tcpip-forward", string("localhost") + uint32(8082)) is None
        assert await ask(connection, "cancel-tcpip-forward", string("127.0.0.1") + uint32(8080)) is None
        assert await ask(connection, "cancel-tcpip-forward", body) == b""
        assert await ask(connection, "cancel-tcpip-forward", body) is None
        assert 8080 not in world.network.listeners
        assert 8081 in world.network.listeners  # ends with the connection

    world.with_forwards(main, forwards=ForwardPolicy(max_listeners=2))


def test_r26_connections_at_once_are_limited(world: ForwardWorld) -> None:
    async def main(connection: sshkit.ClientConnection) -> None:
        async with connection.open_connection("t:7000"), connection.open_connection("t:7000"):
            assert await can_open(connection, "t:7000") == 4
            async with connection.forward_remote("8080", "t:7000"):
                end = await world.dial(8080, b"hello")
                await world.settled()
                assert end.lost
        assert await can_open(connection, "t:7000") == 0

    world.with_forwards(main, forwards=ForwardPolicy(max_connections=2))


def test_r26_forwards_do_not_count_as_sessions(world: ForwardWorld) -> None:
    async def main(connection: sshkit.ClientConnection) -> None:
        for _ in range(3):
            assert await can_open(connection, "t:7000") == 0
            assert (await connection.run("hello")).exit_status == 0

    world.with_forwards(main, settings=sshkit.Settings(max_sessions=1))


def test_a_policy_that_fails_is_a_no_and_logged(world: ForwardWorld) -> None:
    def fail(request: sshkit.ForwardRequest) -> bool:
        raise ValueError("on purpose")

    async def main(connection: sshkit.ClientConnection) -> None:
        assert await can_open(connection, "t:7000") == 1

    world.with_forwards(main, forwards=ForwardPolicy(permit=fail))
    assert any("ValueError: on purpose" in line for line in world.log)


class SlowReactor:
    """Listens when `binding` is fired, and not before."""

    def __init__(self) -> None:
        self.binding: sshkit.Deferred[Any] = sshkit.Deferred()

    def listen_tcp(self, *words: Any, **options: Any) -> "sshkit.Deferred[Any]":
        return self.binding


class LateListener:
    address = ("127.0.0.1", 8080)
    addresses = (address,)

    def __init__(self) -> None:
        self.closed = False

    def close(self) -> None:
        self.closed = True


def test_a_listener_that_comes_after_the_end_is_closed(world: ForwardWorld) -> None:
    slow, listener = SlowReactor(), LateListener()

    async def main() -> None:
        async with world.serve(forwards=True) as server, world.connect() as connection:
            next(iter(server.connections)).forwards._reactor = cast("Any", slow)
            opening = connection.forward_remote("8080", "t:7000")
            opening.add_errback(lambda _: None)
            connection.open_connection("t:7000").add_errback(lambda _: None)
            await world.settled()
            await connection.close()
            await world.settled()
            slow.binding.callback(listener)
            await world.settled()

    world.run(main())
    assert listener.closed


def test_a_channel_waits_for_what_is_listened_at_before_it(world: ForwardWorld) -> None:
    slow, listener = SlowReactor(), LateListener()

    async def main() -> None:
        async with world.serve(forwards=True) as server, world.connect() as connection:
            target = await world.listen()
            forwards = next(iter(server.connections)).forwards
            memory, forwards._reactor = forwards._reactor, cast("Any", slow)
            listening = connection.forward_remote("8080", "t:7000")
            listening.add_callback(lambda _: done.append("listening"))
            done: list[str] = []
            opening = connection.open_connection("t:7000")
            opening.add_callback(lambda _: done.append("open"))
            await world.settled()
            assert done == []
            forwards._reactor = memory
            slow.binding.callback(listener)
            await world.settled()
            assert sorted(done) == ["listening", "open"]
            target.close()

    world.run(main())
    assert listener.closed
