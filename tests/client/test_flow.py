"""Much data: nothing deadlocks, and nothing is kept that nobody reads (R24)."""

from typing import Any

import pytest

import sshkit
from sshkit.ssh.channels import streams
from sshkit.ssh.connection.window import MAX_WINDOW
from tests.client.world import HOST_KEY, USER_KEY, World, echo

MUCH = 8 << 20
PIECE = bytes(64 * 1024)


async def write_both(session: sshkit.Session) -> int:
    """Fill the stream that the command names, then write a little into the other one."""
    first, second = session.stdout, session.stderr
    if session.command == "errors first":
        first, second = second, first
    for _ in range(MUCH // len(PIECE)):
        first.write(PIECE)
        await first.drain()
    second.write(b"the end")
    return 0


async def read_the_other(connection: sshkit.ClientConnection, command: str) -> None:
    """Read the stream that comes last before the one that is full."""
    process = await connection.start(command)
    full, little = process.stdout, process.stderr
    if command == "errors first":
        full, little = little, full
    assert await little.read() == b"the end"
    assert len(await full.read()) == MUCH
    assert (await process.wait()).exit_status == 0


async def both_at_once(connection: sshkit.ClientConnection, command: str) -> None:
    result = await connection.run(command)
    assert sorted((len(result.stdout), len(result.stderr))) == [7, MUCH]
    process = await connection.start(command)
    assert len((await process.communicate()).stdout + b"") in (7, MUCH)


@pytest.mark.parametrize("work", [read_the_other, both_at_once])
@pytest.mark.parametrize("command", ["output first", "errors first"])
def test_the_two_streams_never_deadlock_in_memory(world: World, work: Any, command: str) -> None:
    world.with_server(lambda connection: work(connection, command), write_both)


@pytest.mark.parametrize("work", [read_the_other, both_at_once])
@pytest.mark.parametrize("command", ["output first", "errors first"])
def test_the_two_streams_never_deadlock_on_sockets(work: Any, command: str) -> None:
    async def main() -> None:
        async with sshkit.serve(
            "127.0.0.1:0", write_both, host_keys=[HOST_KEY], authorized_keys=[USER_KEY.public]
        ) as server:
            where = f"me@127.0.0.1:{server.address[1]}"
            async with sshkit.connect(
                where, identities=[USER_KEY], host_keys=[HOST_KEY.public]
            ) as connection:
                await work(connection, command)

    sshkit.run(main())


def test_input_and_output_at_once_never_deadlock(world: World) -> None:
    data = bytes(range(256)) * (MUCH // 256)

    async def main(connection: sshkit.ClientConnection) -> None:
        assert (await connection.run("cat", input=data)).stdout == data
        process = await connection.start("cat")
        assert (await process.communicate(data)).stdout == data

    world.with_server(main, echo)


def test_r24_what_nobody_reads_is_bounded_and_the_peer_is_stopped(world: World) -> None:
    written = [0]

    async def flood(session: sshkit.Session) -> None:
        while True:
            session.stdout.write(PIECE)
            session.stderr.write(PIECE)
            written[0] += 2 * len(PIECE)
            await session.stdout.drain()

    async def main(connection: sshkit.ClientConnection) -> None:
        process = await connection.start("x")
        await world.sleep(60)
        kept = process.stdout.size + process.stderr.size
        assert kept <= 2 * streams.FULL_AT + 2 * len(PIECE)
        assert written[0] <= MAX_WINDOW
        first = written[0]
        await world.sleep(60)
        assert written[0] == first, "the peer was not stopped"
        assert (await process.stdout.read_exactly(4 * len(PIECE))) == 4 * PIECE
        process.close()

    world.with_server(main, flood)


def test_a_writer_waits_while_the_peer_reads_nothing(world: World) -> None:
    go_on: sshkit.Deferred[None] = sshkit.Deferred()

    async def lazy(session: sshkit.Session) -> int:
        await go_on
        return len(await session.stdin.read()) & 0xFF

    async def main(connection: sshkit.ClientConnection) -> None:
        process = await connection.start("x")
        sent = 0
        while True:
            process.stdin.write(PIECE)
            sent += len(PIECE)
            waiting = process.stdin.drain()
            if not waiting.called:
                await world.sleep(60)
                if not waiting.called:
                    break
        assert sent <= MAX_WINDOW
        go_on.callback(None)
        await waiting
        process.stdin.write(b"x" * 7)
        process.stdin.write_eof()
        assert (await process.wait()).exit_status == 7

    world.with_server(main, lazy)


def test_a_stopped_process_lets_the_others_of_its_connection_go_on(world: World) -> None:
    async def flood(session: sshkit.Session) -> int:
        if session.command != "flood":
            return await echo(session)
        while True:
            session.stdout.write(PIECE)
            await session.stdout.drain()

    async def main(connection: sshkit.ClientConnection) -> None:
        process = await connection.start("flood")
        await world.sleep(1)
        assert (await connection.run("cat", input=bytes(MUCH))).stdout == bytes(MUCH)
        process.close()

    world.with_server(main, flood)


def test_a_reader_that_gives_up_lets_its_stream_be_stopped_again(world: World) -> None:
    async def flood(session: sshkit.Session) -> None:
        while True:
            session.stdout.write(PIECE)
            await session.stdout.drain()

    async def main(connection: sshkit.ClientConnection) -> None:
        process = await connection.start("x")
        waiting = process.stderr.read(1)
        waiting.add_errback(lambda _: None)
        while process.stdout.size < 4 << 20:
            await world.tick()
        waiting.cancel()
        await world.sleep(1)
        held = process.stdout.size
        await world.sleep(60)
        assert process.stdout.size == held
        process.close()

    world.with_server(main, flood)
