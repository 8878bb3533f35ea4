"""The network in memory: its transports behave as real ones, its clock moves when told, its loop ends."""

from collections.abc import Awaitable
from typing import Any

import pytest
from sshkit_keys import generate_private_key
from zope.interface.verify import verifyObject

import sshkit
from sshkit.deferred import Deferred, fail, succeed
from sshkit.interfaces import IClock, ITransport
from sshkit.reactor.errors import ConnectError, ListenError
from sshkit.testing import Deadlock, MemoryClock, MemoryReactor, MemoryTransport, connect_in_memory
from sshkit.testing import reactor as reactor_module
from sshkit.testing import transport as transport_module
from sshkit.testing.transport import HIGH_WATER


class Stream:
    """A plain stream protocol that writes down what it is told."""

    def __init__(self, keep_open: bool = False) -> None:
        self.data = bytearray()
        self.events: list[Any] = []
        self.transport: Any = None
        self.keep_open = keep_open

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.data += data

    def eof_received(self) -> bool:
        self.events.append("eof")
        return self.keep_open

    def connection_lost(self, error: Exception | None) -> None:
        self.events.append(error)

    def pause_writing(self) -> None:
        self.events.append("pause")

    def resume_writing(self) -> None:
        self.events.append("resume")


class Buffered(Stream):
    """The same with a buffer of its own, of `size` bytes."""

    def __init__(self, size: int = 10) -> None:
        super().__init__()
        self.room = memoryview(bytearray(size))

    def get_buffer(self, sizehint: int) -> memoryview:
        return self.room

    def buffer_updated(self, nbytes: int) -> None:
        self.data += self.room[:nbytes]


def joined(client: Any = None, server: Any = None) -> Any:
    client, server = client or Stream(), server or Stream()
    return client, server, connect_in_memory(client, server, MemoryClock())


def test_it_is_a_transport_and_a_clock() -> None:
    verifyObject(ITransport, MemoryTransport(Stream()))
    verifyObject(IClock, MemoryClock())


@pytest.mark.parametrize("make", [Stream, Buffered])
def test_bytes_arrive_in_pieces_of_any_size(make: Any) -> None:
    client, server, pair = joined(server=make())
    client.transport.writelines([b"abc", bytearray(b"def"), memoryview(b"ghi")])
    pair.chop = lambda: 2
    pair.pump()
    assert server.data == b"ab"
    pair.settle()
    assert server.data == b"abcdefghi"
    assert client.transport.total == 9
    assert client.transport.get_write_buffer_size() == 0


def test_a_writer_is_paused_over_the_mark_and_resumed_below_the_other() -> None:
    client, _, pair = joined()
    client.transport.write(bytes(HIGH_WATER))
    client.transport.write(b"x")
    client.transport.write(b"x")
    assert client.events == ["pause"]
    pair.settle()
    assert client.events == ["pause", "resume"]
    client.transport.set_write_buffer_limits(4, 2)
    client.transport.write(b"12345")
    pair.client.deliver(2)
    assert client.events[2:] == ["pause"]
    pair.client.deliver(1)
    assert client.events[2:] == ["pause", "resume"]
    client.transport.set_write_buffer_limits()
    client.transport.set_write_buffer_limits(8)
    client.transport.write(b"123456789")
    assert client.events[-1] == "pause"


def test_a_paused_reader_gets_nothing_not_even_the_rest_of_a_piece() -> None:
    class Pausing(Buffered):
        def buffer_updated(self, nbytes: int) -> None:
            super().buffer_updated(nbytes)
            self.transport.pause_reading()

    client, server, pair = joined(server=Pausing(4))
    client.transport.write(b"0123456789")
    client.transport.close()
    pair.settle()
    assert server.data == b"0123"
    for expected in (b"01234567", b"0123456789"):
        server.transport.resume_reading()
        pair.settle()
        assert server.data == expected
    assert server.events == []
    server.transport.resume_reading()
    pair.settle()
    assert server.events == ["eof", None]
    assert client.events == [None]


def test_closing_lets_the_data_out_and_ends_both_sides() -> None:
    client, server, pair = joined()
    client.transport.write(b"last words")
    client.transport.close()
    client.transport.write(b"dropped")
    assert client.transport.is_closing()
    assert client.events == []
    pair.settle()
    assert server.data == b"last words"
    assert server.events == ["eof", None]
    assert client.events == [None]


def test_half_closing_leaves_the_other_direction_open() -> None:
    client, server, pair = joined(server=Stream(keep_open=True))
    assert client.transport.can_write_eof()
    client.transport.write_eof()
    client.transport.write(b"dropped")
    pair.settle()
    assert server.events == ["eof"]
    server.transport.write(b"answer")
    server.transport.close()
    pair.settle()
    assert client.data == b"answer"
    assert client.events == ["eof", None]
    assert server.events == ["eof", None]


def test_aborting_drops_what_is_in_flight_and_the_peer_sees_a_reset() -> None:
    client, server, pair = joined()
    client.transport.write(b"dropped")
    client.transport.abort()
    pair.settle()
    assert server.data == b""
    assert isinstance(server.events[0], ConnectionResetError)
    assert client.events == [None]


def test_aborting_while_bytes_arrive_stops_them() -> None:
    class Aborting(Buffered):
        def buffer_updated(self, nbytes: int) -> None:
            super().buffer_updated(nbytes)
            client.transport.abort()

    client, server, pair = joined(server=Aborting(4))
    client.transport.write(b"0123456789")
    pair.settle()
    assert server.data == b"0123"


def test_bytes_for_an_end_that_has_closed_are_dropped() -> None:
    client, server, pair = joined()
    server.transport.close()
    client.transport.write(b"x")
    pair.settle()
    assert server.data == b""
    assert client.events == ["eof", None]


def test_cutting_tells_both_ends_once() -> None:
    client, server, pair = joined()
    client.transport.write(b"x")
    pair.cut()
    pair.cut()
    pair.settle()
    for end in (client, server):
        assert [type(event) for event in end.events] == [ConnectionResetError]
    assert server.data == b""


def test_an_empty_buffer_is_a_mistake_and_not_an_endless_loop() -> None:
    client, _, pair = joined(server=Buffered(0))
    client.transport.write(b"x")
    with pytest.raises(AssertionError, match="empty buffer"):
        pair.settle()


def test_facts_and_protocols_of_a_transport() -> None:
    client, server, pair = joined()
    assert client.transport.get_extra_info("peername") == ("192.0.2.2", 22)
    assert client.transport.get_extra_info("nothing", 5) == 5
    other = Stream()
    pair.server.set_protocol(other)
    assert pair.server.get_protocol() is other
    client.transport.write(b"x")
    pair.settle()
    assert (server.data, other.data) == (b"", b"x")
    alone = MemoryTransport(Stream())
    alone.write(b"x")
    assert alone.deliver() == 0
    assert not alone.finish()


def test_ends_that_never_stop_talking_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Echo(Stream):
        def data_received(self, data: bytes) -> None:
            self.transport.write(data)

    monkeypatch.setattr(transport_module, "MAX_TURNS", 50)
    client, _, pair = joined(Echo(), Echo())
    client.transport.write(b"x")
    with pytest.raises(AssertionError, match="still talk"):
        pair.settle()


# The clock


def test_calls_are_made_in_order_of_time_and_only_when_time_passes() -> None:
    clock = MemoryClock()
    made: list[Any] = []
    clock.call_later(2, made.append, "two")
    clock.call_later(1, made.append, "one")
    clock.call_later(-5, made.append, "now")
    cancelled = clock.call_later(1, made.append, "never")
    cancelled.cancel()
    clock.call_soon(lambda: made.append("soon"))
    assert made == []
    clock.advance(0)
    assert made == ["soon", "now"]
    clock.advance(1.5)
    assert made == ["soon", "now", "one"]
    assert clock.seconds() == 1.5
    clock.advance(10)
    assert made[3:] == ["two"]
    assert clock.next_due() is None


def test_a_call_can_be_put_off_and_a_made_one_cannot() -> None:
    clock = MemoryClock()
    made: list[float] = []
    call = clock.call_later(1, lambda: made.append(clock.seconds()))
    clock.advance(0.5)
    call.reset(1)
    assert clock.next_due() == 1.5
    clock.advance(0.9)
    assert made == []
    clock.advance(1)
    assert made == [1.5]
    call.reset(1)
    assert not call.active
    assert clock.next_due() is None
    early = clock.call_later(1, made.append, 0.0)
    early.cancel()
    clock.call_later(2, made.append, 0.0)
    assert clock.next_due() == clock.seconds() + 2


def test_calls_for_soon_are_made_once_a_turn() -> None:
    clock = MemoryClock()
    made: list[str] = []
    clock.call_soon(lambda: clock.call_soon(lambda: made.append("second")))
    assert clock.turn()
    assert made == []
    assert clock.turn()
    assert made == ["second"]
    assert not clock.turn()


# The reactor


def test_a_server_and_its_clients_live_in_one_process_without_a_socket() -> None:
    host, user = generate_private_key("ed25519"), generate_private_key("ed25519")
    reactor = MemoryReactor()
    seen: list[Any] = []
    reactor.on_connect = seen.append

    async def handler(session: Any) -> int:
        session.stdout.write((await session.stdin.read()).upper())
        return 3

    async def main() -> None:
        async with (
            sshkit.serve(
                "127.0.0.1:0", handler, host_keys=[host], authorized_keys=[user.public], reactor=reactor
            ) as server,
            sshkit.connect(
                f"user@anywhere:{server.address[1]}",
                identities=[user],
                host_keys=[host.public],
                reactor=reactor,
            ) as connection,
        ):
            result = await connection.run("x", input=b"hello")
            assert (result.stdout, result.exit_status) == (b"HELLO", 3)

    reactor.run(main())
    assert seen == reactor.pairs
    assert len(seen) == 1


def test_what_a_run_awaits_is_its_result() -> None:
    reactor = MemoryReactor()
    assert reactor.run(succeed(3)) == 3
    with pytest.raises(ValueError, match="no"):
        reactor.run(fail(ValueError("no")))

    async def sleep() -> float:
        done: Deferred[None] = Deferred()
        reactor.call_later(3600, done.callback, None)
        await done
        return reactor.seconds()

    assert reactor.run(sleep()) == 3600

    async def in_thread() -> Any:
        return await reactor.defer_to_thread(pow, 2, 10)

    assert reactor.run(in_thread()) == 1024


def test_what_can_never_happen_is_a_deadlock_and_not_a_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    reactor = MemoryReactor()
    with pytest.raises(Deadlock, match="nothing is left"):
        reactor.run(Deferred())
    monkeypatch.setattr(reactor_module, "MAX_STEPS", 10)

    def again() -> None:
        reactor.call_later(1, again)

    again()
    with pytest.raises(Deadlock, match="after 10 steps"):
        reactor.run(Deferred())


def test_ports_are_taken_found_and_given_back() -> None:
    reactor = MemoryReactor()

    def outcome(awaitable: Awaitable[Any]) -> Any:
        return reactor.run(awaitable)

    listener = outcome(reactor.listen_tcp(None, 0, Stream))
    assert listener.address[0] == "127.0.0.1"
    assert listener.addresses == [listener.address]
    port = listener.address[1]
    with pytest.raises(ListenError):
        outcome(reactor.listen_tcp("127.0.0.1", port, Stream))
    listener.pause()
    listener.resume()
    client = outcome(reactor.connect_tcp("host", port, Stream, local_address=("192.0.2.9", 7)))
    client.transport.write(b"x")
    reactor.settle()
    assert client.transport.get_extra_info("sockname") == ("192.0.2.9", 7)
    assert reactor.pairs[0].server.get_protocol().data == b"x"
    listener.close()
    listener.close()
    with pytest.raises(ConnectError):
        outcome(reactor.connect_tcp("host", port, Stream))
