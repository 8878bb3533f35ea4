"""Lines with a delay, a rate and an end, and datagrams that get lost: all of it in virtual time."""

from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import sshkit
from sshkit.testing import Line, MemoryClock, MemoryDatagrams, MemoryHost, MemoryReactor, connect_in_memory
from tests.testing.test_memory import Stream


def joined(line: Line) -> tuple[Any, Stream, Stream, MemoryReactor]:
    network = MemoryReactor(line=line)
    client, server = Stream(), Stream()
    network.listen_tcp(None, 22, lambda: server)
    network.connect_tcp("host", 22, lambda: client)
    (pair,) = network.pairs
    return pair, client, server, network


def test_what_is_written_arrives_after_the_delay() -> None:
    _, client, server, network = joined(Line(latency=0.05))
    client.transport.write(b"hello")
    network.settle()
    assert server.data == b""
    network.advance(0.049)
    network.settle()
    assert server.data == b""
    network.advance(0.001)
    network.settle()
    assert server.data == b"hello"


def test_a_rate_is_kept_and_the_writer_waits() -> None:
    _, client, server, network = joined(Line(bandwidth=100_000))
    client.transport.write(bytes(200_000))
    assert client.events == ["pause"]
    for _ in range(1000):
        network.settle()
        network.advance(0.001)
    assert len(server.data) == pytest.approx(100_000, rel=0.05)
    for _ in range(1100):
        network.settle()
        network.advance(0.001)
    assert len(server.data) == 200_000
    assert client.events[:2] == ["pause", "resume"]


@given(
    st.lists(st.binary(max_size=4000), max_size=12),
    st.sampled_from([0.0, 0.01, 3.0]),
    st.sampled_from([None, 2000, 100_000]),
)
def test_a_line_changes_no_byte_and_no_order(
    pieces: list[bytes], latency: float, bandwidth: float | None
) -> None:
    _, client, server, network = joined(Line(latency, bandwidth))
    for piece in pieces:
        client.transport.write(piece)
    client.transport.close()

    async def wait() -> None:
        while "eof" not in server.events:
            pause: Any = sshkit.Deferred()
            network.call_later(0.5, pause.callback, None)
            await pause

    network.run(wait())
    assert bytes(server.data) == b"".join(pieces)


def test_a_reader_that_pauses_holds_what_is_on_its_way() -> None:
    pair, client, server, network = joined(Line(latency=0.1))
    pair.server.pause_reading()
    client.transport.write(b"held")
    network.settle()
    network.advance(1)
    network.settle()
    assert server.data == b""
    pair.server.resume_reading()
    network.settle()
    assert server.data == b"held"


@pytest.mark.parametrize("line", [Line(cut_after=3), Line(latency=0.01, cut_after=3)])
def test_a_connection_is_cut_after_so_many_bytes(line: Line) -> None:
    _, client, server, network = joined(line)
    client.transport.write(b"abcdef")
    network.settle()
    network.advance(1)
    network.settle()
    assert bytes(server.data).startswith(b"abc")
    assert isinstance(client.events[-1], ConnectionResetError)
    assert isinstance(server.events[-1], ConnectionResetError)


def test_a_command_over_a_slow_line_takes_its_time() -> None:
    host = MemoryHost({"whoami": "tester\n"}, network=MemoryReactor(line=Line(latency=0.5)))

    async def main() -> float:
        async with host.connect() as connection:
            began = host.network.seconds()
            await connection.run("whoami")
            return host.network.seconds() - began

    assert 1.0 <= host.run(main()) <= 2.5


def test_a_deadline_ends_a_line_that_is_too_slow() -> None:
    host = MemoryHost({"whoami": "tester\n"}, network=MemoryReactor(line=Line(latency=100.0)))

    async def main() -> None:
        await host.connect(timeout=30)

    with pytest.raises(sshkit.ConnectionLost, match="did not end within 120 seconds"):
        host.run(main())
    assert host.network.seconds() == 120


# Datagrams.


class Datagrams:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.got: list[tuple[bytes, Any]] = []
        self.errors: list[Exception] = []
        self.lost = False
        self.transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, address: Any) -> None:
        self.got.append((data, address))

    def error_received(self, error: Exception) -> None:
        self.errors.append(error)

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = True


def test_datagrams_arrive_with_their_senders_address() -> None:
    clock = MemoryClock()
    network = MemoryDatagrams(clock, delay=0.1)
    server = network.open(Datagrams, ("127.0.0.1", 53))
    client = network.open(Datagrams, remote=("127.0.0.1", 53))
    client.sendto(b"question")
    assert server.protocol.got == []
    clock.advance(0.1)
    assert server.protocol.got == [(b"question", client.address)]
    server.sendto(b"answer", client.address)
    clock.advance(0.1)
    assert client.protocol.got == [(b"answer", server.address)]
    assert client.get_extra_info("peername") == ("127.0.0.1", 53)
    assert client.get_extra_info("nothing", 5) == 5
    stranger = network.open(Datagrams)
    stranger.sendto(b"spoof", client.address)
    clock.advance(1)
    assert client.protocol.got == [(b"answer", server.address)]


def test_the_same_seed_makes_the_same_faults() -> None:
    def run(seed: int) -> list[bytes]:
        clock = MemoryClock()
        network = MemoryDatagrams(clock, loss=0.2, reorder=0.2, duplicate=0.2, random=Random(seed))
        server = network.open(Datagrams, ("127.0.0.1", 53))
        client = network.open(Datagrams, remote=("127.0.0.1", 53))
        for number in range(200):
            client.sendto(bytes((number,)))
        clock.advance(1)
        assert network.lost > 0
        assert network.delivered == len(server.protocol.got)
        return [data for data, _ in server.protocol.got]

    first = run(7)
    assert first == run(7)
    assert first != run(8)
    assert first != sorted(first)
    assert len(set(first)) < len(first)
    assert len(set(first)) < 200


def test_faults_of_datagrams_are_told_as_a_network_does() -> None:
    clock = MemoryClock()
    network = MemoryDatagrams(clock)
    client = network.open(Datagrams, remote=("127.0.0.1", 9))
    client.sendto(b"x")
    clock.advance(1)
    (error,) = client.protocol.errors
    assert isinstance(error, ConnectionRefusedError)
    with pytest.raises(ValueError, match="65507 bytes at most"):
        client.sendto(bytes(70_000))
    with pytest.raises(ValueError, match="not connected"):
        network.open(Datagrams).sendto(b"x")
    taken = network.open(Datagrams, ("127.0.0.1", 53))
    with pytest.raises(OSError, match="in use"):
        network.open(Datagrams, ("127.0.0.1", 53))
    taken.close()
    taken.close()
    assert taken.is_closing()
    assert taken.protocol.lost
    taken.sendto(b"x", client.address)
    clock.advance(1)
    assert client.protocol.got == []
    network.open(Datagrams, ("127.0.0.1", 53))


def test_pairs_joined_by_hand_have_lines_too() -> None:
    clock = MemoryClock()
    client, server = Stream(), Stream()
    pair = connect_in_memory(client, server, clock)
    assert pair.line.is_plain
    pair.line = Line(latency=1.0)
    client.transport.write(b"late")
    pair.settle()
    assert server.data == b""
    clock.advance(1.0)
    pair.settle()
    assert server.data == b"late"
    client.transport.write(b"gone")
    client.transport.abort()
    pair.settle()
    assert server.data == b"late"
    assert isinstance(server.events[-1], ConnectionResetError)
