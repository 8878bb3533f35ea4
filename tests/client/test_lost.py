"""Connections that break, fall silent or never come to be, in every phase."""

from collections.abc import Callable
from typing import Any

import pytest

import sshkit
from sshkit.testing import MemoryPair, MemoryReactor
from tests.client.world import HOST_KEY, USER_KEY, World, echo, hang


async def half(session: sshkit.Session) -> None:
    """Write something, and hang."""
    session.stdout.write("half")
    session.stderr.write("some")
    await hang(session)


async def run(connection: sshkit.ClientConnection) -> Any:
    return await connection.run("x")


async def run_checked(connection: sshkit.ClientConnection) -> Any:
    return await connection.run("x", check=True)


async def communicate(connection: sshkit.ClientConnection) -> Any:
    return await (await connection.start("x")).communicate()


async def wait(connection: sshkit.ClientConnection) -> Any:
    return await (await connection.start("x")).wait()


async def read_all(connection: sshkit.ClientConnection) -> Any:
    return await (await connection.start("x")).stdout.read()


async def read_exactly(connection: sshkit.ClientConnection) -> Any:
    return await (await connection.start("x")).stdout.read_exactly(1000)


async def read_lines(connection: sshkit.ClientConnection) -> Any:
    process = await connection.start("x")
    lines = []
    async for line in process.stdout:
        lines.append(line)
    return lines


async def drain(connection: sshkit.ClientConnection) -> Any:
    process = await connection.start("x")
    while True:
        process.stdin.write(bytes(1 << 20))
        await process.stdin.drain()


@pytest.mark.parametrize(
    "work", [run, run_checked, communicate, wait, read_all, read_exactly, read_lines, drain]
)
@pytest.mark.parametrize("how", ["cut", "server closes", "client closes", "server disconnects"])
def test_r30_a_connection_lost_in_the_middle_is_an_error_of_each_call(
    world: World, work: Callable[[sshkit.ClientConnection], Any], how: str
) -> None:
    async def main(connection: sshkit.ClientConnection) -> None:
        ends = {
            "cut": world.pair.cut,
            "server closes": world.pair.server.close,
            "client closes": lambda: connection.close(),
            "server disconnects": lambda: servers[0].close(),
        }
        world.network.call_later(5, ends[how])
        expected: Any = sshkit.ClosedByApplication if how == "client closes" else sshkit.ConnectionLost
        with pytest.raises(expected):
            await work(connection)
        assert connection.is_closed
        for call in (connection.run("y"), connection.start("y"), connection.subsystem("y")):
            with pytest.raises(expected):
                await call

    servers: list[sshkit.Server] = []

    async def body() -> None:
        async with world.serve(half) as server:
            servers.append(server)
            async with world.connect() as connection:
                await main(connection)

    world.run(body())
    world.is_clean()


def test_the_error_says_what_happened(world: World) -> None:
    async def main() -> None:
        async with world.serve(half) as server:
            for end, words in (
                (lambda: world.pair.cut(), "the connection was lost: the connection was cut"),
                (lambda: world.pair.server.close(), "the peer closed the connection"),
                (lambda: server.close(), "the peer disconnected: the connection was closed (code 11)"),
            ):
                if server.closing:
                    break
                connection = await world.connect()
                world.network.call_later(1, end)
                with pytest.raises(sshkit.ConnectionLost) as lost:
                    await connection.run("x")
                assert str(lost.value) == words

    world.run(main())
    world.is_clean()


def test_what_came_before_the_end_can_still_be_read(world: World) -> None:
    async def main(connection: sshkit.ClientConnection) -> None:
        process = await connection.start("x")
        await world.settled()
        world.pair.cut()
        assert await process.stdout.read(10) == b"half"
        with pytest.raises(sshkit.ConnectionLost):
            await process.stdout.read(10)
        with pytest.raises(sshkit.ConnectionLost):
            await process.wait()
        assert (process.exit_status, process.exit_signal) == (None, None)

    world.with_server(main, half)


def test_a_dead_peer_is_noticed_by_its_silence(world: World) -> None:
    async def main(connection: sshkit.ClientConnection) -> None:
        world.pair.server.reading_paused = True  # nothing arrives there any more
        before = world.network.seconds()
        with pytest.raises(sshkit.ConnectionLost, match=r"^the peer answered nothing for 40 seconds$"):
            await connection.run("x", timeout=None)
        assert 30 <= world.network.seconds() - before <= 50
        world.pair.server.reading_paused = False

    world.with_server(main, hang, keepalive=10, keepalive_count=3)


def test_a_silent_peer_that_lives_is_kept(world: World) -> None:
    async def main(connection: sshkit.ClientConnection) -> None:
        with pytest.raises(TimeoutError):
            await connection.run("x", timeout=500)
        assert not connection.is_closed

    world.with_server(main, hang, keepalive=10, keepalive_count=1)


def test_without_keepalive_nobody_asks(world: World) -> None:
    async def main(connection: sshkit.ClientConnection) -> None:
        sent = world.pair.client.total
        await world.sleep(600)
        assert world.pair.client.total == sent

    world.with_server(main, keepalive=0)


# Getting connected.


class Mute:
    """A server that says so much and no more."""

    def __init__(self, first: bytes = b"") -> None:
        self._first = first

    def connection_made(self, transport: Any) -> None:
        transport.write(self._first)

    def data_received(self, data: bytes) -> None:
        """Hear it, and say nothing."""

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """Good bye."""

    def pause_writing(self) -> None:
        """Nothing is written."""

    def resume_writing(self) -> None:
        """Nothing is written."""


@pytest.mark.parametrize(
    "first", [b"", b"SSH-2.0-mute\r\n", b"one line\r\n"], ids=["nothing", "name", "line"]
)
def test_r20_a_server_that_falls_silent_before_the_login_is_given_up(world: World, first: bytes) -> None:
    async def main() -> None:
        await world.network.listen_tcp("host", 22, lambda: Mute(first))
        with pytest.raises(sshkit.SSHKitError) as lost:
            await world.connect(login_timeout=9)
        assert str(lost.value) == "host: the key exchange did not end within 9 seconds"
        assert world.network.seconds() == 9

    world.run(main())


def test_a_login_that_takes_too_long_is_given_up(world: World) -> None:
    class Slow(sshkit.Users):
        def check_key(self, user: str, key: Any) -> Any:
            return sshkit.Deferred()

    async def main() -> None:
        async with world.serve(users=Slow()):
            with pytest.raises(
                sshkit.ConnectionLost, match=r"^host: the login did not end within 9 seconds$"
            ):
                await world.connect(login_timeout=9)
            assert world.network.seconds() == 9

    world.run(main())
    world.is_clean()


def test_the_time_for_the_login_counts_from_the_connection_on(world: World) -> None:
    class Slow(sshkit.Users):
        def check_key(self, user: str, key: Any) -> Any:
            return world.sleep(8)

    class Network(MemoryReactor):
        def connect_tcp(self, host: str, port: int, factory: Any, **options: Any) -> Any:
            made: sshkit.Deferred[Any] = sshkit.Deferred()
            connect = super().connect_tcp
            self.call_later(20, lambda: connect(host, port, factory, **options).chain(made))
            return made

    world.network = Network()

    async def main() -> None:
        async with world.serve(users=Slow()):
            with pytest.raises(sshkit.AuthenticationFailed):
                await world.connect(login_timeout=9, timeout=30)
            assert world.network.seconds() == 28

    world.run(main())


def test_the_question_about_the_host_key_has_a_deadline(world: World, tmp_path: Any) -> None:
    async def main() -> None:
        async with world.serve():
            with pytest.raises(sshkit.SSHKitError):
                await world.connect(
                    known_hosts=tmp_path / "known_hosts",
                    host_key_policy="ask",
                    ask_host_key=lambda key, text: sshkit.Deferred(),
                    login_timeout=9,
                )
            assert world.network.seconds() == 9

    world.run(main())
    world.is_clean()


@pytest.mark.parametrize("steps", range(30))
@pytest.mark.parametrize("how", ["cancel", "timeout", "cut"])
def test_connecting_given_up_at_any_moment_leaves_nothing_behind(world: World, steps: int, how: str) -> None:
    async def main() -> None:
        async with world.serve() as server:
            opening = world.connect()
            for _ in range(steps):
                await world.tick()
            done = opening.called
            if how == "cut":
                world.pair.cut()
                expected: Any = sshkit.ConnectionLost
            elif how == "cancel":
                opening.cancel()
                expected = sshkit.CancelledError
            else:
                world.pair.server.reading_paused = True
                opening.add_timeout(0, world.network)
                expected = TimeoutError
            try:
                connection = await opening
                assert done or how == "timeout"
                await connection.close()
            except expected:
                assert not done
            world.pair.server.reading_paused = False
            await world.settled()
            assert not server.connections
            assert (world.network.next_due() or 0) < world.network.seconds() + 6

    world.run(main())
    world.is_clean()


def test_cancelling_before_there_is_a_connection_ends_it_as_soon_as_there_is_one(world: World) -> None:
    factories: list[Any] = []
    waiting: sshkit.Deferred[Any] = sshkit.Deferred()

    class Network(MemoryReactor):
        def connect_tcp(self, host: str, port: int, factory: Any, **options: Any) -> Any:
            factories.append(factory)
            return waiting

    world.network = network = Network()

    async def main() -> None:
        async with world.serve():
            opening = world.connect()
            opening.cancel()
            with pytest.raises(sshkit.CancelledError):
                await opening
            assert waiting.called
            MemoryReactor.connect_tcp(network, "host", 22, factories[0])  # it was too late to stop it

    world.run(main())
    world.is_clean()


def test_nothing_listens_there(world: World) -> None:
    async def main() -> None:
        with pytest.raises(sshkit.ConnectError, match="host port 22: nothing listens in memory"):
            await world.connect()

    world.run(main())
    assert world.network.next_due() is None


def test_bytes_that_come_one_by_one_are_enough(world: World) -> None:
    def slowly(pair: MemoryPair) -> None:
        pair.chop = lambda: 1

    world.network.on_connect = slowly

    async def main(connection: sshkit.ClientConnection) -> None:
        assert (await connection.run("x")).stdout == b"out x\n"

    world.with_server(main, echo)


def test_the_end_of_a_program_in_its_block_closes_the_connection(world: World) -> None:
    async def main() -> None:
        async with world.serve(host_keys=[HOST_KEY], authorized_keys=[USER_KEY.public]):
            with pytest.raises(ZeroDivisionError):
                async with world.connect():
                    raise ZeroDivisionError
            assert world.pair.client.closed

    world.run(main())
    world.is_clean()
