"""Ways to a host that is not reached directly: hosts on the way, in memory."""

from pathlib import Path

import pytest

import sshkit
from sshkit.client.destination import InvalidDestination
from sshkit.client.steps import steps_of
from tests.client.world import HOST_KEY, OTHER_KEY, USER_KEY, World, echo, hang, known_line

BEHIND = "me@behind:2200"


@pytest.fixture
def known(tmp_path: Path) -> Path:
    """A file that knows all hosts here."""
    names = ("host", "[second]:2022", "[behind]:2200")
    path = tmp_path / "known_hosts"
    path.write_text("".join(known_line(name, HOST_KEY) for name in names))
    return path


async def bastion(world: World) -> sshkit.Server:
    return await world.serve(echo, forwards=True)


def test_a_host_is_reached_through_another_and_both_end_together(world: World, known: Path) -> None:
    async def main() -> None:
        async with await bastion(world), world.serve(echo, "behind:2200"):
            connection = await world.connect(BEHIND, jump="me@host", known_hosts=known)
            assert (await connection.run("x")).stdout == b"out x\n"
            assert (await connection.run("cat", input=b"y" * 3_000_000)).stdout == b"y" * 3_000_000
            assert connection.layer.transport is not None
            outer = connection.layer.transport.get_extra_info("jump")
            assert outer.host == "host"
            assert connection.layer.transport.get_extra_info("nothing", 1) == 1
            await connection.close()
            await outer.wait_closed()

    world.run(main())
    world.is_clean()


def test_several_hosts_are_gone_through_in_their_order(world: World, known: Path) -> None:
    async def main() -> None:
        async with (
            await bastion(world),
            world.serve(echo, "second:2022", forwards=True),
            world.serve(echo, "behind:2200"),
        ):
            jump = "me@host, me@second:2022"
            async with world.connect(BEHIND, jump=jump, known_hosts=known) as connection:
                assert (await connection.run("x")).stdout == b"out x\n"
                assert connection.layer.transport is not None
                assert connection.layer.transport.get_extra_info("jump").host == "second"

    world.run(main())
    world.is_clean()


def test_a_connection_at_hand_may_be_the_way_and_outlives_what_goes_through_it(world: World) -> None:
    async def main() -> None:
        async with await bastion(world), world.serve(echo, "behind:2200"), world.connect() as outer:
            async with world.connect(BEHIND, jump=outer) as connection:
                assert (await connection.run("x")).stdout == b"out x\n"
            assert (await outer.run("y")).stdout == b"out y\n"

    world.run(main())
    world.is_clean()


def test_a_host_behind_that_is_not_there_is_told_with_the_name_of_both(world: World, known: Path) -> None:
    async def main() -> None:
        async with await bastion(world):
            with pytest.raises(sshkit.ProxyFailed, match=r"^host could not connect to behind port 2200: "):
                await world.connect(BEHIND, jump="me@host", known_hosts=known)

    world.run(main())
    world.is_clean()


def test_a_host_on_the_way_that_refuses_us_is_told_as_if_we_went_there(world: World, known: Path) -> None:
    async def main() -> None:
        async with world.serve(authorized_keys=[OTHER_KEY.public]):
            with pytest.raises(sshkit.AuthenticationFailed) as caught:
                await world.connect(BEHIND, jump="me@host", known_hosts=known)
            assert USER_KEY.public.fingerprint() in str(caught.value)
        async with await bastion(world), world.serve(echo, "behind:2200", authorized_keys=[OTHER_KEY.public]):
            with pytest.raises(sshkit.AuthenticationFailed):
                await world.connect(BEHIND, jump="me@host", known_hosts=known)

    world.run(main())
    world.is_clean()


def test_giving_up_leaves_nothing_on_the_way(world: World) -> None:
    async def main() -> None:
        async with await bastion(world):
            opening = world.connect(BEHIND, jump="me@host")
            opening.cancel()
            with pytest.raises(sshkit.CancelledError):
                await opening

    world.run(main())
    world.is_clean()


def test_the_way_that_breaks_ends_the_connection(world: World, known: Path) -> None:
    async def main() -> None:
        async with await bastion(world) as server, world.serve(hang, "behind:2200"):
            connection = await world.connect(BEHIND, jump="me@host", known_hosts=known)
            running = connection.run("x")
            await server.close()
            with pytest.raises(sshkit.ConnectionLost):
                await running

    world.run(main())


def test_ways_that_make_no_sense_are_refused_at_once(world: World) -> None:
    with pytest.raises(InvalidDestination):
        world.connect(BEHIND, jump="a;b")
    with pytest.raises(InvalidDestination, match="more than 16 hosts on the way"):
        world.connect(BEHIND, jump=",".join(f"host{number}" for number in range(17)))
    with pytest.raises(sshkit.LocalProtocolError, match="not both"):
        world.connect(BEHIND, jump="host", proxy_command="nc x 1")


def test_an_error_tells_the_steps_that_led_to_it(world: World) -> None:
    async def main() -> None:
        async with world.serve(authorized_keys=[OTHER_KEY.public]):
            with pytest.raises(sshkit.AuthenticationFailed) as caught:
                await world.connect()
            steps = steps_of(caught.value)
            assert [(step.name, step.ok) for step in steps][:4] == [
                ("address", True),
                ("identification", True),
                ("algorithms", True),
                ("host key", True),
            ]
            assert (steps[-1].name, steps[-1].ok) == ("login", False)
            assert "one of the keys that were given" in steps[3].text
            with pytest.raises(sshkit.HostKeyNotVerified) as wrong:
                await world.connect(host_keys=[OTHER_KEY.public])
            assert [(step.name, step.ok) for step in steps_of(wrong.value)][-1] == ("host key", False)
            assert str(steps_of(wrong.value)[-1]).startswith("FAILED host key: ")
        async with world.serve(hang), world.connect() as connection:
            assert [step.name for step in steps_of(connection)][-2:] == ["login", "login"]
            connection.layer.abort(sshkit.ConnectionLost("the cable was cut"))
            assert connection.layer.lost is not None
            assert steps_of(connection.layer.lost)[-1] == ("connection", False, "the cable was cut")
        assert steps_of(ValueError("x")) == ()

    world.run(main())
