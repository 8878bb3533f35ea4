"""ChannelTimeout: what stands still is closed, and what moves is not."""

from typing import Any

import pytest
from sshkit_keys.wire import string

import sshkit
from sshkit.client.process import ClientProcess
from sshkit.ssh.connection.channel_timeouts import ChannelTimeouts
from tests.client.world import World, echo


def run(main: Any, timeouts: tuple[tuple[str, float], ...], handler: Any = echo) -> None:
    world = World()

    async def body(connection: sshkit.ClientConnection) -> None:
        watch = ChannelTimeouts(connection.core, world.network, timeouts)
        connection._channel_timeouts = watch
        await main(world, connection)

    world.with_server(body, handler=handler, keepalive=0)


@pytest.mark.parametrize("pattern", ["session", "sess*", "session:command", "*"])
def test_a_channel_on_which_nothing_moves_is_closed(pattern: str) -> None:
    async def main(world: World, connection: sshkit.ClientConnection) -> None:
        process = Kind("cat", world.network)
        channel = await connection.open_session(process)
        await channel.request("exec", string("cat"))
        await world.sleep(50)
        assert not process.closed
        process.stdin.write("moves")
        await world.sleep(70)
        assert not process.closed
        await world.sleep(60)
        assert process.closed
        assert process.exit_status is None

    run(main, (("direct-tcpip", 1), (pattern, 100)))


class Kind(ClientProcess):
    """A process that says what it is for."""

    session_kind = "session:command"


def test_the_first_pattern_counts_and_zero_is_never() -> None:
    async def main(world: World, connection: sshkit.ClientConnection) -> None:
        process = await connection.start("cat")
        await world.sleep(1000)
        assert not process.closed

    run(main, (("session", 0), ("session", 10), ("x11-connection", 10)))


def test_global_closes_all_when_nothing_moves_anywhere() -> None:
    async def main(world: World, connection: sshkit.ClientConnection) -> None:
        first = await connection.start("cat")
        second = await connection.start("cat")
        for _ in range(5):
            await world.sleep(60)
            first.stdin.write("x")
        assert not second.closed
        await world.sleep(120)
        assert first.closed
        assert second.closed
        later = await connection.start("cat")
        await world.sleep(50)
        assert not later.closed

    run(main, (("global", 100),))


def test_no_seconds_are_no_watch_and_a_number_may_be_used_again() -> None:
    async def main(world: World, connection: sshkit.ClientConnection) -> None:
        process = await connection.start("cat")
        await world.sleep(10_000)
        assert not process.closed

    run(main, (("session", 0),))

    async def busy(world: World, connection: sshkit.ClientConnection) -> None:
        for _ in range(20):
            assert (await connection.run("exit 3")).exit_status == 3
            await world.sleep(1)
        connection.core._next_number = 0

    run(busy, (("*", 4),))
