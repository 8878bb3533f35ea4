"""What `connect` takes, parameter by parameter."""

import getpass
from typing import Any

import pytest

import sshkit
from tests.client.world import HOST_KEY, World, echo


def seen(world: World, *, address: str = "host:22", **options: Any) -> tuple[str, sshkit.ClientConnection]:
    """Connect; return the user's name as the server saw it, and the connection."""
    where = options.pop("where", "me@host")

    async def name(session: sshkit.Session) -> None:
        session.stdout.write(session.user)

    async def main() -> tuple[str, sshkit.ClientConnection]:
        async with (
            world.serve(name, address, settings=options.pop("settings", sshkit.Settings())),
            world.connect(where, **options) as connection,
        ):
            return (await connection.run("x")).text, connection

    outcome = world.run(main())
    world.is_clean()
    return outcome


def test_the_destination_names_the_user(world: World) -> None:
    assert seen(world)[0] == "me"
    assert seen(world, where="ssh://you@host")[0] == "you"


def test_the_users_name_may_be_given_apart(world: World) -> None:
    assert seen(world, where="host", user="ann")[0] == "ann"
    assert seen(world, where="joe@host", user="ann")[0] == "ann"


def test_without_a_name_it_is_the_local_users(world: World) -> None:
    assert seen(world, where="host")[0] == getpass.getuser()


def test_the_port_may_be_in_the_destination_or_given_apart(world: World) -> None:
    assert seen(world, where="me@host:2222", address="host:2222")[0] == "me"
    assert seen(world, where="me@host", port=2222, address="host:2222")[0] == "me"
    assert seen(world, where="me@host:22", port=2222, address="host:2222")[0] == "me"


@pytest.mark.parametrize(
    "options",
    [
        {"where": "me@-host"},
        {"user": "a;b"},
        {"user": ""},
        {"port": 0},
        {"port": 65536},
    ],
)
def test_r39_what_cannot_be_is_refused_at_once(world: World, options: dict[str, Any]) -> None:
    with pytest.raises(sshkit.InvalidDestination):
        world.connect(options.pop("where", "me@host"), **options)
    assert not world.network.pairs


def test_algorithms_are_those_that_were_given(world: World) -> None:
    algorithms = sshkit.Algorithms().edited(
        key_exchanges="curve25519-sha256", ciphers="aes256-ctr", macs="hmac-sha2-512-etm@openssh.com"
    )
    assert seen(world, algorithms=algorithms)[1].layer.negotiated is not None
    _, connection = seen(world, algorithms=algorithms)
    assert connection.negotiated.summary() == (
        "curve25519-sha256, ssh-ed25519, aes256-ctr, hmac-sha2-512-etm@openssh.com"
    )


def test_no_common_algorithm_is_an_error_with_both_lists(world: World) -> None:
    ours = sshkit.Algorithms().edited(ciphers="aes256-ctr")
    theirs = sshkit.Settings(algorithms=sshkit.Algorithms().edited(ciphers="aes128-gcm@openssh.com"))
    with pytest.raises(sshkit.KeyExchangeFailed) as failed:
        seen(world, algorithms=ours, settings=theirs)
    assert "aes256-ctr" in str(failed.value)
    assert "aes128-gcm@openssh.com" in str(failed.value)


def test_keys_are_exchanged_again_when_the_limits_say_so(world: World) -> None:
    async def main(connection: sshkit.ClientConnection) -> None:
        first = connection.negotiated
        await connection.run("cat", input=bytes(3 << 20))
        assert connection.negotiated is not first

    world.with_server(main, echo, rekey_limits=sshkit.RekeyLimits(bytes=1 << 20))


def test_a_connection_is_what_the_opening_fires_with(world: World) -> None:
    fired: list[Any] = []

    async def main() -> None:
        async with world.serve():
            opening = world.connect()
            opening.add_callback(fired.append)
            await opening
            assert isinstance(fired[0], sshkit.ClientConnection)
            await fired[0].close()

    world.run(main())
    world.is_clean()


def test_an_error_goes_to_the_errback(world: World) -> None:
    failures: list[sshkit.Failure] = []
    world.connect().add_errback(failures.append)
    assert isinstance(failures[0].exception, sshkit.ConnectError)


def test_without_a_reactor_it_needs_a_running_one() -> None:
    with pytest.raises(sshkit.SSHKitError, match="no reactor runs in this thread"):
        sshkit.connect("host", host_keys=[HOST_KEY.public])


def test_a_connection_may_be_closed_by_async_with_itself(world: World) -> None:
    async def main() -> None:
        async with world.serve():
            connection = await world.connect()
            async with connection as same:
                assert same is connection
            assert connection.is_closed

    world.run(main())
    world.is_clean()


@pytest.mark.parametrize("sessions", [300])
def test_three_hundred_sessions_at_once_over_several_connections(world: World, sessions: int) -> None:
    async def main() -> None:
        async with world.serve(settings=sshkit.Settings(max_sessions=100)) as server:
            connections = await sshkit.gather(*[world.connect() for _ in range(5)])
            results = await sshkit.gather(
                *[connections[number % 5].run("cat", input=f"{number} " * 1000) for number in range(sessions)]
            )
            for number, result in enumerate(results):
                assert result.text == f"{number} " * 1000
            assert len(server.connections) == 5
            for connection in connections:
                assert not connection._require().channels
                await connection.close()

    world.run(main())
    world.is_clean()
