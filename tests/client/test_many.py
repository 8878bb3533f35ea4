"""One command on many hosts: bounds, deadlines, tries, and outcomes in their order."""

import json

import pytest

import sshkit
from sshkit.client.many import RETRY_PAUSE, HostRun
from tests.client.world import HOST_KEY, USER_KEY, World, echo, hang


def started(world: World, hosts: list[str], command: str = "x", **options: object) -> HostRun:
    options.setdefault("identities", [USER_KEY])
    options.setdefault("host_keys", [HOST_KEY.public])
    return sshkit.run_on_hosts(hosts, command, reactor=world.network, **options)  # type: ignore[arg-type]


def test_all_outcomes_come_in_the_order_of_the_hosts(world: World) -> None:
    async def main() -> None:
        async with world.serve(), world.serve(address="other:2200"):
            outcomes = await started(world, ["me@host", "me@nobody:1", "me@other:2200", "me@host"])
        assert [outcome.host for outcome in outcomes] == ["me@host", "me@nobody:1", "me@other:2200"]
        assert [outcome.ok for outcome in outcomes] == [True, False, True]
        assert outcomes[0].result is not None
        assert outcomes[0].result.stdout == b"out x\n"
        assert isinstance(outcomes[1].error, sshkit.ConnectError)
        assert "ConnectError" in repr(outcomes[1])
        assert json.loads(json.dumps(outcomes[0].as_dict()))["stdout"] == "out x\n"
        assert outcomes[1].as_dict()["stdout"] is None

    world.run(main())
    world.is_clean()


def test_no_more_than_the_limit_run_at_a_time_and_each_comes_as_it_ends(world: World) -> None:
    running = most = 0

    async def handler(session: sshkit.Session) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await world.sleep(1)
        running -= 1
        return 0

    async def main() -> None:
        hosts = [f"me@host:{number}" for number in range(100, 107)]
        servers = [await world.serve(handler, f"host:{number}") for number in range(100, 107)]
        run = started(world, hosts, limit=3)
        seen = []
        async for outcome in run:
            seen.append(outcome.host)
            assert run.left == 7 - len(run.outcomes)
        assert sorted(seen) == hosts
        assert most == 3
        for server in servers:
            await server.close()

    world.run(main())


def test_a_host_that_hangs_has_its_deadline(world: World) -> None:
    async def main() -> None:
        async with world.serve(hang):
            before = world.network.seconds()
            (outcome,) = await started(world, ["me@host"], timeout=9, retries=2)
            assert isinstance(outcome.error, TimeoutError)
            assert outcome.attempts == 3
            assert world.network.seconds() - before == pytest.approx(27 + 2 * RETRY_PAUSE)
            assert outcome.seconds == pytest.approx(27 + 2 * RETRY_PAUSE)

    world.run(main())
    world.is_clean()


def test_a_refused_login_is_not_tried_again_and_a_host_that_comes_back_is(world: World) -> None:
    async def main() -> None:
        async with world.serve(authorized_keys=[HOST_KEY.public]):
            (outcome,) = await started(world, ["me@host"], retries=5)
            assert isinstance(outcome.error, sshkit.AuthenticationFailed)
            assert outcome.attempts == 1
        run = started(world, ["me@host"], retries=1)
        await world.sleep(RETRY_PAUSE / 2)
        async with world.serve(echo):
            (outcome,) = await run
        assert (outcome.ok, outcome.attempts) == (True, 2)

    world.run(main())


def test_closing_ends_what_runs_and_starts_nothing_more(world: World) -> None:
    async def main() -> None:
        async with world.serve(hang):
            async with started(world, ["me@host", "me@nobody:1", "me@other"], limit=1, retries=3) as run:
                await world.sleep(1)
            assert run.left == 0
            assert await run == []
            assert [outcome async for outcome in run] == []
            async with started(world, ["me@nobody:1"], retries=3) as run:
                await world.sleep(RETRY_PAUSE / 2)
            assert await run == []

    world.run(main())
    world.is_clean()


def test_two_hundred_connections_at_nine_a_time_are_no_trouble(world: World) -> None:
    async def main() -> None:
        async with world.serve():
            run = started(world, [f"user{number}@host" for number in range(200)], limit=9)
            outcomes = await run
        assert all(outcome.ok for outcome in outcomes)
        assert len(outcomes) == 200

    world.run(main())


def test_connections_may_be_made_by_the_program_itself(world: World) -> None:
    async def main() -> None:
        async with world.serve():
            run = started(world, ["a", "b"], connect_to=lambda host: world.connect(f"{host}@host"))
            outcomes = await run
        assert [outcome.ok for outcome in outcomes] == [True, True]
        assert await started(world, []) == []

    world.run(main())
