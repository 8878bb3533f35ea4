"""The four kinds of forwards between our own client and server, in memory."""

from typing import Any

import pytest

import sshkit
from sshkit.forwarding.stream import ForwardStream
from sshkit.testing import MemoryReactor
from tests.forwarding.world import Echo, End, ForwardWorld

HELLO5 = b"\x05\x01\x00"
TO_7000 = b"\x05\x01\x00\x01\x7f\x00\x00\x01" + (7000).to_bytes(2, "big")
GRANTED5 = b"\x05\x00" + b"\x05\x00\x00\x01\0\0\0\0\0\0"


def test_a_local_forward_leads_from_here_to_the_servers_side(world: ForwardWorld) -> None:
    async def main(connection: sshkit.ClientConnection) -> None:
        async with connection.forward_local("0", "target:7000") as forward:
            assert forward.address == ("localhost", forward.port)
            assert (forward.kind, str(forward.destination)) == ("local", "target:7000")
            end = await world.dial(forward.port, b"hello", keep_open=False)
            await world.settled()
            assert (forward.open, forward.total, forward.refused) == (1, 1, 0)
            assert bytes(end.data) == b"hello"
            assert (forward.bytes_out, forward.bytes_in) == (5, 5)
            end.transport.write_eof()
            await world.settled()
            assert world.targets[0].ended
            assert end.ended
            assert forward.open == 0
            assert "open, 0 of 1 open" in repr(forward)
        assert forward.closed
        with pytest.raises(sshkit.ConnectError):
            await world.dial(forward.port)

    world.with_forwards(main)


def test_a_remote_forward_leads_from_the_server_to_this_side(world: ForwardWorld) -> None:
    async def main(connection: sshkit.ClientConnection) -> None:
        async with connection.forward_remote("0", "127.0.0.1:7000") as forward:
            assert forward.kind == "remote"
            assert forward.port
            end = await world.dial(forward.port, b"hello")
            await world.settled()
            assert bytes(end.data) == b"hello"
            assert (forward.bytes_out, forward.bytes_in, forward.open) == (5, 5, 1)
            end.transport.abort()
            await world.settled()
            assert forward.open == 0
        assert forward.closed
        with pytest.raises(sshkit.ConnectError):
            await world.dial(forward.port)

    world.with_forwards(main)


def test_a_remote_forward_may_lead_to_a_function(world: ForwardWorld) -> None:
    seen = []

    async def handler(stream: ForwardStream, originator: tuple[str, int]) -> None:
        seen.append(originator)
        line = await stream.readuntil()
        stream.write(line.upper())
        await stream.drain()

    async def main(connection: sshkit.ClientConnection) -> None:
        async with connection.forward_remote("8080", handler) as forward:
            assert forward.port == 8080
            end = await world.dial(8080, b"hello\nrest")
            await world.settled()
            assert (forward.open, forward.total) == (0, 1)
            assert (forward.bytes_in, forward.bytes_out) == (10, 6)
        assert bytes(end.data) == b"HELLO\n"
        assert end.ended
        assert seen[0][0] == "127.0.0.1"

    world.with_forwards(main)


def test_an_error_in_the_function_closes_its_connection_only(
    world: ForwardWorld, unhandled: list[sshkit.Failure]
) -> None:
    def handler(stream: ForwardStream, originator: tuple[str, int]) -> None:
        raise ValueError("on purpose")

    async def main(connection: sshkit.ClientConnection) -> None:
        async with connection.forward_remote("8080", handler):
            for _ in range(2):
                end = await world.dial(8080, keep_open=False)
                await world.settled()
                assert end.ended

    world.with_forwards(main)
    assert [str(failure.exception) for failure in unhandled] == ["on purpose"] * 2
    unhandled.clear()


def test_the_function_hears_of_a_lost_connection(world: ForwardWorld) -> None:
    caught = []

    async def handler(stream: ForwardStream, originator: tuple[str, int]) -> None:
        try:
            await stream.read()
        except sshkit.ConnectionLost as error:
            caught.append(error)
            raise

    async def main() -> None:
        async with world.serve(forwards=True), world.connect() as connection:
            pair = world.pair
            forward = await connection.forward_remote("8080", handler)
            await world.dial(8080, b"half")
            await world.settled()
            pair.cut()
            await forward.wait_closed()
            await forward.close()

    world.run(main())
    assert len(caught) == 1


@pytest.mark.parametrize("remote", [False, True])
def test_a_dynamic_forward_leads_where_socks_says(world: ForwardWorld, remote: bool) -> None:
    async def main(connection: sshkit.ClientConnection) -> None:
        opening = connection.forward_remote_dynamic("0") if remote else connection.forward_dynamic("0")
        async with opening as forward:
            assert forward.destination is None
            assert "SOCKS" in repr(forward)
            early = await world.dial(forward.port, HELLO5 + TO_7000 + b"early")
            await world.settled()
            assert bytes(early.data) == GRANTED5 + b"early"
            slow = await world.dial(forward.port, HELLO5)
            await world.settled()
            assert bytes(slow.data) == GRANTED5[:2]
            slow.transport.write(TO_7000)
            await world.settled()
            slow.transport.write(b"data")
            await world.settled()
            assert bytes(slow.data) == GRANTED5 + b"data"
            assert (forward.open, forward.total, forward.refused) == (2, 2, 0)
            for end in (early, slow):
                end.transport.write_eof()
            await world.settled()
            assert forward.open == 0

    world.with_forwards(main)


@pytest.mark.parametrize("remote", [False, True])
def test_what_socks_cannot_have_is_refused_in_its_words(world: ForwardWorld, remote: bool) -> None:
    async def main(connection: sshkit.ClientConnection) -> None:
        opening = connection.forward_remote_dynamic("0") if remote else connection.forward_dynamic("0")
        async with opening as forward:
            answers = []
            for request in (
                HELLO5 + TO_7000[:-2] + (7001).to_bytes(2, "big"),  # nobody listens there
                HELLO5 + b"\x05\x03" + TO_7000[2:],  # UDP ASSOCIATE
                b"\x04\x01" + (7001).to_bytes(2, "big") + b"\x7f\0\0\x01\0",
                b"GET / HTTP/1.0\r\n\r\n",
            ):
                end = await world.dial(forward.port, request)
                await world.settled()
                assert end.ended
                answers.append(bytes(end.data))
            assert answers[0][:4] == b"\x05\x00\x05\x05"  # connection refused
            assert answers[1][:4] == b"\x05\x07\x00\x01"  # command not supported
            assert answers[2][:2] == b"\x00\x5b"
            assert answers[3] == b""
            assert forward.refused == 4
            assert forward.open == 0

    world.with_forwards(main)


@pytest.mark.parametrize("remote", [False, True])
def test_who_never_says_where_to_go_is_closed_in_time(world: ForwardWorld, remote: bool) -> None:
    async def main(connection: sshkit.ClientConnection) -> None:
        opening = connection.forward_remote_dynamic("0") if remote else connection.forward_dynamic("0")
        async with opening as forward:
            silent = await world.dial(forward.port, b"\x05")
            gone = await world.dial(forward.port, b"\x05", keep_open=False)
            await world.settled()
            gone.transport.close()
            await world.sleep(31)
            assert silent.ended or silent.lost
            assert forward.open == 0

    world.with_forwards(main)


def test_permit_remote_open_names_the_destinations(world: ForwardWorld) -> None:
    async def main(connection: sshkit.ClientConnection) -> None:
        async with connection.forward_remote_dynamic("0", ["127.0.0.1:7000", "*:25"]) as forward:
            allowed = await world.dial(forward.port, HELLO5 + TO_7000)
            refused = await world.dial(forward.port, HELLO5 + TO_7000[:-2] + b"\0\x50")
            await world.settled()
            assert bytes(allowed.data) == GRANTED5
            assert bytes(refused.data)[2:4] == b"\x05\x02"  # not allowed
            allowed.transport.close()
            await world.settled()

    world.with_forwards(main)


def test_each_direction_ends_by_itself(world: ForwardWorld) -> None:
    async def main(connection: sshkit.ClientConnection) -> None:
        async with connection.forward_local("0", "target:7000") as forward:
            end = await world.dial(forward.port, b"question")
            end.transport.write_eof()
            await world.settled()
            target = world.targets[0]
            assert (bytes(target.data), target.ended, end.ended) == (b"question", True, False)
            target.transport.write(b"late answer")
            await world.settled()
            assert bytes(end.data) == b"late answer"
            target.transport.write_eof()
            await world.settled()
            assert end.ended
            assert forward.open == 0
            # And the other way round.
            end = await world.dial(forward.port)
            await world.settled()
            target = world.targets[1]
            target.transport.write_eof()
            await world.settled()
            assert end.ended
            end.transport.write(b"still")
            await world.settled()
            assert bytes(target.data) == b"still"
            end.transport.close()
            await world.settled()
            assert target.ended
            assert forward.open == 0

    world.with_forwards(main, kind=End)


def test_r24_who_does_not_read_stops_who_sends(world: ForwardWorld) -> None:
    async def main(connection: sshkit.ClientConnection) -> None:
        async with connection.forward_local("0", "target:7000") as forward:
            end = await world.dial(forward.port)
            await world.settled()
            target = world.targets[0]
            target.transport.pause_reading()
            sent = 0
            for _ in range(400):
                end.transport.write(b"x" * 65536)
                sent += 65536
                await world.tick()
            await world.settled()
            assert end.paused
            assert forward.bytes_out <= 8 << 20  # a window, and little more
            target.transport.resume_reading()
            end.transport.write_eof()
            await world.settled()
            assert len(target.data) == sent
            assert target.ended
            target.transport.close()
            await world.settled()

    world.with_forwards(main, kind=End)


def test_r24_a_client_that_does_not_read_stops_the_target(world: ForwardWorld) -> None:
    async def main(connection: sshkit.ClientConnection) -> None:
        async with connection.forward_local("0", "target:7000") as forward:
            end = await world.dial(forward.port)
            await world.settled()
            end.transport.pause_reading()
            target = world.targets[0]
            for _ in range(400):
                target.transport.write(b"x" * 65536)
                await world.tick()
            await world.settled()
            assert target.paused
            assert forward.bytes_in <= 8 << 20
            end.transport.resume_reading()
            target.transport.close()
            await world.settled()
            assert len(end.data) == 400 * 65536
            end.transport.close()
            await world.settled()

    world.with_forwards(main, kind=End)


def test_a_destination_that_does_not_answer_refuses_the_connection(world: ForwardWorld) -> None:
    async def main(connection: sshkit.ClientConnection) -> None:
        async with connection.forward_local("0", "target:7001") as forward:
            end = await world.dial(forward.port, b"hello")
            await world.settled()
            assert isinstance(end.lost[0], ConnectionResetError)
            assert (forward.refused, forward.total, forward.open) == (1, 1, 0)
        async with connection.forward_remote("0", "here:7001") as forward:
            end = await world.dial(forward.port, b"hello")
            await world.settled()
            assert isinstance(end.lost[0], ConnectionResetError)
            assert forward.refused == 1

    world.with_forwards(main)


def test_connections_go_on_when_their_forward_closes_and_end_with_the_connection(
    world: ForwardWorld,
) -> None:
    ends = []

    async def main(connection: sshkit.ClientConnection) -> None:
        for opening in (connection.forward_local("0", "t:7000"), connection.forward_remote("0", "t:7000")):
            forward = await opening
            end = await world.dial(forward.port, b"one")
            await world.settled()
            await forward.close()
            await forward.close()
            await forward.wait_closed()
            end.transport.write(b" two")
            await world.settled()
            assert bytes(end.data) == b"one two"
            ends.append(end)
        await connection.close()
        await world.settled()
        assert all(end.lost for end in ends)

    world.with_forwards(main)


def test_a_lost_connection_resets_what_is_forwarded(world: ForwardWorld) -> None:
    async def main() -> None:
        target = await world.listen()
        async with world.serve(forwards=True), world.connect() as connection:
            pair = world.pair
            local = await connection.forward_local("0", "t:7000")
            remote = await connection.forward_remote("0", "t:7000")
            dynamic = await connection.forward_dynamic("0")
            ends = [await world.dial(forward.port, b"hello") for forward in (local, remote)]
            ends.append(await world.dial(dynamic.port, b"\x05"))
            await world.settled()
            pair.cut()
            await world.settled()
            assert all(isinstance(end.lost[0], ConnectionResetError) for end in ends)
            for forward in (local, remote, dynamic):
                assert forward.closed
                assert forward.open == 0
                await forward.wait_closed()
                await forward.close()
        target.close()

    world.run(main())
    world.is_clean()


def test_a_forward_that_is_cancelled_while_it_opens_is_not_left_behind(world: ForwardWorld) -> None:
    async def main(connection: sshkit.ClientConnection) -> None:
        opening = connection.forward_remote("8080", "t:7000")
        opening.cancel()
        with pytest.raises(sshkit.CancelledError):
            await opening
        await world.settled()
        with pytest.raises(sshkit.ConnectError):
            await world.dial(8080)

    world.with_forwards(main)


def test_a_port_in_use_is_an_error_that_names_it(world: ForwardWorld) -> None:
    async def main(connection: sshkit.ClientConnection) -> None:
        with pytest.raises(sshkit.ListenError, match="port 7000"):
            await connection.forward_local("7000", "t:7000")
        with pytest.raises(sshkit.ForwardRefused, match="the server does not listen at localhost:7000"):
            await connection.forward_remote("7000", "t:7000")
        for text in ("nonsense", "host:0", "a b:1", "[::1:1", ":1"):
            with pytest.raises(sshkit.InvalidAddress):
                connection.forward_local("0", text)

    world.with_forwards(main)


def test_a_stream_reads_and_writes_like_a_socket(world: ForwardWorld) -> None:
    async def main(connection: sshkit.ClientConnection) -> None:
        async with connection.open_connection("target:7000", originator=("192.0.2.1", 5)) as stream:
            stream.write("line\n")
            stream.write(b"0123456789")
            await stream.drain()
            assert await stream.readuntil() == b"line\n"
            assert await stream.readexactly(4) == b"0123"
            assert await stream.read(100) == b"456789"
            stream.write(b"end")
            stream.write_eof()
            assert await stream.read() == b"end"
            await stream.close()
            await stream.wait_closed()
        with pytest.raises(sshkit.ChannelOpenFailed, match="connect failed"):
            await connection.open_connection("target:7001")

    world.with_forwards(main)


def test_a_stream_or_a_forward_that_is_there_may_be_used_in_a_block(world: ForwardWorld) -> None:
    async def main(connection: sshkit.ClientConnection) -> None:
        stream = await connection.open_connection("target:7000")
        async with stream:
            stream.write(b"all that is left")
            stream.write_eof()
            await world.settled()
        assert await stream.read() == b"all that is left"  # kept for who reads late
        await stream.wait_closed()
        forward = await connection.forward_local("0", "target:7000")
        async with forward as same:
            assert same is forward
        assert forward.closed

    world.with_forwards(main)


def test_a_stream_that_nobody_reads_stops_the_target(world: ForwardWorld) -> None:
    async def main(connection: sshkit.ClientConnection) -> None:
        stream = await connection.open_connection("target:7000")
        await world.settled()
        target = world.targets[0]
        for _ in range(400):
            target.transport.write(b"x" * 65536)
            await world.tick()
        await world.settled()
        assert target.paused
        target.transport.write_eof()
        assert len(await stream.read()) == 400 * 65536
        await stream.close()

    world.with_forwards(main, kind=End)


def test_drain_waits_until_the_target_reads(world: ForwardWorld) -> None:
    async def main(connection: sshkit.ClientConnection) -> None:
        stream = await connection.open_connection("target:7000")
        await world.settled()
        world.targets[0].transport.pause_reading()
        await world.settled()
        stream.write(bytes(8 << 20))
        drained = stream.drain()
        await world.settled()
        assert not drained.called
        world.targets[0].transport.resume_reading()
        await drained
        await stream.close()

    world.with_forwards(main, kind=End)


def test_a_stream_tells_that_the_connection_was_lost(world: ForwardWorld) -> None:
    async def main() -> None:
        target = await world.listen()
        async with world.serve(forwards=True), world.connect() as connection:
            pair = world.pair
            stream = await connection.open_connection("target:7000")
            reading = stream.read()
            pair.cut()
            with pytest.raises(sshkit.ConnectionLost):
                await reading
            await stream.close()
        target.close()

    world.run(main())


class SlowNetwork(MemoryReactor):
    """Where nothing answers any more once `slow` is set."""

    slow = False
    waiting: sshkit.Deferred[Any] | None = None

    def connect_tcp(self, host: str, port: int, factory: Any, **options: Any) -> sshkit.Deferred[Any]:
        if not self.slow:
            return super().connect_tcp(host, port, factory, **options)
        self.waiting = sshkit.Deferred()
        return self.waiting


def test_the_time_for_a_connection_is_limited(world: ForwardWorld) -> None:
    network = world.network = SlowNetwork()

    async def main(connection: sshkit.ClientConnection) -> None:
        network.slow = True
        with pytest.raises(TimeoutError, match="a connection to target:7000"):
            await connection.open_connection("target:7000", timeout=5)

    world.with_forwards(main)
    assert network.waiting is not None
    assert network.waiting.called  # given up with the connection


def test_a_connection_under_way_is_given_up_with_the_ssh_connection(world: ForwardWorld) -> None:
    network = world.network = SlowNetwork()

    async def main(connection: sshkit.ClientConnection) -> None:
        remote = await connection.forward_remote("0", "t:7000")
        dynamic = await connection.forward_remote_dynamic("0")
        local = await connection.forward_local("0", "t:7000")
        ports = [remote.port, local.port]
        ends = [await world.dial(port) for port in ports]
        ends.append(await world.dial(dynamic.port, HELLO5 + TO_7000))
        network.slow = True
        await world.settled()
        ends[2].transport.write(b"more")
        await world.settled()
        network.slow = False
        await connection.close()
        await world.settled()
        assert all(end.lost for end in ends)

    world.with_forwards(main)


def test_many_connections_leave_nothing_behind(world: ForwardWorld) -> None:
    async def main(connection: sshkit.ClientConnection) -> None:
        async with connection.forward_local("0", "target:7000") as forward:
            for _ in range(20):
                ends = [await world.dial(forward.port, b"x" * 100, keep_open=False) for _ in range(10)]
                await world.settled()
                for end in ends:
                    assert len(end.data) == 100
                    end.transport.write_eof()
                await world.settled()
            assert (forward.total, forward.open, forward.refused) == (200, 0, 0)

    world.with_forwards(main, kind=Echo)
