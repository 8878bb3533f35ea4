"""TCP and UNIX streams: the same on every engine."""

import errno
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from zope.interface.verify import verifyObject

from sshkit.deferred import gather
from sshkit.interfaces import ITransport
from sshkit.reactor.errors import ReactorClosed
from sshkit.reactor.transports.flow_control import HIGH_MARK, marks

from .helpers import BufferedRecorder, Echo, HalfOpen, Recorder, connected, later, socket_pair

Run = Callable[[Any], Any]
BIG = 4 * 1024 * 1024


def test_what_is_written_arrives_in_order_and_whole(run: Run) -> None:
    async def main(reactor: Any) -> None:
        server, client = await connected(reactor, Echo)
        pattern = os.urandom(1 << 16) * (BIG >> 16)
        client.transport.write(pattern[:10])
        client.transport.writelines([pattern[10:20], bytearray(pattern[20:30]), memoryview(pattern)[30:]])
        assert await client.bytes_received(BIG) == pattern
        assert verifyObject(ITransport, client.transport)
        client.transport.close()
        assert await client.lost is None
        assert await server.lost is None
        assert server.events[-2:] == ["eof", "lost"]

    run(main)


def test_a_buffered_protocol_receives_into_its_own_buffer(run: Run) -> None:
    async def main(reactor: Any) -> None:
        server, client = await connected(reactor, BufferedRecorder)
        client.transport.write(bytes(range(256)) * 10)
        assert await server.bytes_received(2560) == bytes(range(256)) * 10
        assert set(server.hints) == {-1}
        client.transport.abort()
        await gather(client.lost, server.lost)

    run(main)


def test_a_full_buffer_does_not_keep_the_other_descriptors_waiting(run: Run) -> None:
    """With a buffer of 16 bytes and a megabyte to come, the other connection's byte comes in between."""

    async def main(reactor: Any) -> None:
        busy, busy_client = await connected(reactor, BufferedRecorder)
        other, other_client = await connected(reactor)
        busy_client.transport.write(bytes(1 << 18))
        other_client.transport.write(b"x")
        await other.bytes_received(1)
        assert len(busy.received) < 1 << 18
        for protocol in (busy_client, other_client):
            protocol.transport.abort()
        await gather(busy.lost, other.lost, busy_client.lost, other_client.lost)

    run(main)


def test_the_callers_buffer_may_be_reused_after_write(run: Run) -> None:
    async def main(reactor: Any) -> None:
        server, client = await connected(reactor)
        server.transport.pause_reading()
        data = bytearray(b"a" * BIG)
        client.transport.write(data)
        assert client.transport.get_write_buffer_size() > 0
        data[:] = b"b" * BIG
        server.transport.resume_reading()
        assert await server.bytes_received(BIG) == b"a" * BIG
        assert client.transport.get_write_buffer_size() == 0
        client.transport.close()
        await gather(client.lost, server.lost)

    run(main)


def test_a_reader_that_stops_pauses_the_writer_and_then_resumes_it(run: Run) -> None:
    async def main(reactor: Any) -> None:
        server, client = await connected(reactor)
        server.transport.pause_reading()
        server.transport.pause_reading()
        client.transport.write(bytes(BIG))
        client.transport.write(b"last")
        assert client.events == ["made", "pause"]
        server.transport.resume_reading()
        await client.resumed
        await server.bytes_received(BIG + 4)
        assert client.events == ["made", "pause", "resume"]
        assert server.received.endswith(b"last")
        client.transport.close()
        await gather(client.lost, server.lost)

    run(main)


def test_the_marks_can_be_moved_and_count_at_once(run: Run) -> None:
    async def main(reactor: Any) -> None:
        server, client = await connected(reactor)
        server.transport.pause_reading()
        client.transport.set_write_buffer_limits(high=2 * BIG)
        client.transport.write(bytes(BIG))
        assert "pause" not in client.events
        client.transport.set_write_buffer_limits(high=1000, low=500)
        assert client.events[-1] == "pause"
        client.transport.set_write_buffer_limits(low=BIG)
        assert client.events[-1] == "resume"
        server.transport.resume_reading()
        client.transport.abort()
        await gather(client.lost, server.lost)

    run(main)


def test_marks_follow_each_other_and_must_be_in_order() -> None:
    assert marks(None, None) == (HIGH_MARK, HIGH_MARK // 4)
    assert marks(100, None) == (100, 25)
    assert marks(None, 100) == (400, 100)
    with pytest.raises(ValueError, match="high >= low"):
        marks(1, 2)


def test_each_direction_ends_by_itself(run: Run) -> None:
    async def main(reactor: Any) -> None:
        server, client = await connected(reactor, HalfOpen)
        assert client.transport.can_write_eof()
        client.transport.write(b"question")
        client.transport.write_eof()
        client.transport.write_eof()
        client.transport.write(b"too late")
        await server.ended
        assert server.received == b"question"
        server.transport.resume_reading()  # nothing comes any more: it must not matter
        server.transport.write(b"answer" * 100_000)
        server.transport.write_eof()
        assert len(await client.bytes_received(600_000)) == 600_000
        assert await server.lost is None
        assert await client.lost is None

    run(main)


def test_the_end_is_sent_after_everything_that_waits(run: Run) -> None:
    async def main(reactor: Any) -> None:
        server, client = await connected(reactor)
        client.transport.write(bytes(BIG))
        client.transport.write_eof()
        assert client.transport.get_write_buffer_size() > 0
        await server.lost
        assert len(server.received) == BIG
        await client.lost

    run(main)


def test_close_lets_everything_leave_first(run: Run) -> None:
    async def main(reactor: Any) -> None:
        server, client = await connected(reactor)
        client.transport.write(bytes(BIG))
        client.transport.close()
        client.transport.close()
        client.transport.write(b"dropped")
        assert client.transport.is_closing()
        assert client.events == ["made", "pause"]
        await server.lost
        assert len(server.received) == BIG
        assert await client.lost is None

    run(main)


def test_connection_lost_never_comes_inside_close_or_abort(run: Run) -> None:
    async def main(reactor: Any) -> None:
        server, client = await connected(reactor)
        client.transport.close()
        assert "lost" not in client.events
        await gather(client.lost, server.lost)
        server, client = await connected(reactor)
        client.transport.abort()
        client.transport.abort()
        assert "lost" not in client.events
        assert await client.lost is None
        assert client.transport.get_protocol() is None
        client.transport.close()
        await server.lost

    run(main)


def test_abort_drops_what_waits_and_resets(run: Run) -> None:
    async def main(reactor: Any) -> None:
        server, client = await connected(reactor)
        server.transport.pause_reading()
        client.transport.write(bytes(BIG))
        client.transport.abort()
        assert client.transport.get_write_buffer_size() == 0
        await client.lost
        server.transport.resume_reading()
        assert isinstance(await server.lost, ConnectionResetError)
        assert "eof" not in server.events

    run(main)


def test_nothing_is_received_after_close(run: Run) -> None:
    async def main(reactor: Any) -> None:
        server, client = await connected(reactor)
        client.transport.write(b"unwanted")
        server.transport.close()
        server.transport.resume_reading()
        await gather(server.lost, client.lost)
        assert server.received == b""

    run(main)


def test_closing_with_unread_data_does_not_reset_what_was_sent(run: Run) -> None:
    async def main(reactor: Any) -> None:
        server, client = await connected(reactor)
        server.transport.pause_reading()
        client.transport.write(b"unread" * 1000)
        await later(reactor)
        server.transport.write(b"the reason")
        server.transport.close()
        assert await client.lost is None
        assert client.received == b"the reason"

    run(main)


def test_what_the_peer_sent_before_it_went_is_read_although_a_write_fails(run: Run) -> None:
    async def main(reactor: Any) -> None:
        protocol, peer = socket_pair(reactor, Recorder())
        peer.send(b"goodbye")
        peer.close()
        protocol.transport.write(b"x")
        protocol.transport.write(b"y")
        assert isinstance(await protocol.lost, BrokenPipeError)
        assert protocol.received == b"goodbye"
        assert "eof" not in protocol.events

    run(main)


@pytest.mark.parametrize("paused_first", [True, False])
def test_a_failed_write_ends_a_connection_that_reads_nothing(run: Run, paused_first: bool) -> None:
    async def main(reactor: Any) -> None:
        protocol, peer = socket_pair(reactor, Recorder())
        peer.close()
        if paused_first:
            protocol.transport.pause_reading()
        protocol.transport.write(b"x")
        protocol.transport.pause_reading()
        assert isinstance(await protocol.lost, BrokenPipeError)

    run(main)


def test_what_waits_fails_when_the_peer_goes(run: Run) -> None:
    async def main(reactor: Any) -> None:
        protocol, peer = socket_pair(reactor, Recorder())
        protocol.transport.pause_reading()
        protocol.transport.write(bytes(BIG))
        peer.close()
        assert isinstance(await protocol.lost, OSError)
        assert protocol.transport.get_write_buffer_size() == 0

    run(main)


def test_paused_reading_delivers_nothing(run: Run) -> None:
    async def main(reactor: Any) -> None:
        protocol, peer = socket_pair(reactor, Recorder())
        protocol.transport.pause_reading()
        peer.send(b"early")
        await later(reactor)
        await later(reactor)
        assert protocol.received == b""
        protocol.transport.resume_reading()
        protocol.transport.resume_reading()
        await protocol.bytes_received(5)
        peer.close()
        await protocol.lost

    run(main)


def test_reading_paused_in_connection_made_stays_paused(run: Run) -> None:
    class Shy(Recorder):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            transport.pause_reading()

    async def main(reactor: Any) -> None:
        protocol, peer = socket_pair(reactor, Shy())
        peer.send(b"early")
        await later(reactor)
        await later(reactor)
        assert protocol.received == b""
        protocol.transport.close()
        await protocol.lost
        peer.close()

    run(main)


def test_a_read_that_closes_or_pauses_is_the_last(run: Run) -> None:
    class One(BufferedRecorder):
        def buffer_updated(self, nbytes: int) -> None:
            super().buffer_updated(nbytes)
            self.transport.pause_reading()

    async def main(reactor: Any) -> None:
        protocol, peer = socket_pair(reactor, One())
        peer.send(bytes(100))
        await protocol.bytes_received(16)
        await later(reactor)
        assert len(protocol.received) == 16
        protocol.transport.abort()
        await protocol.lost
        peer.close()

    run(main)


def test_a_new_protocol_gets_everything_from_then_on(run: Run) -> None:
    second = BufferedRecorder()

    class First(Recorder):
        def data_received(self, data: bytes) -> None:
            if data:
                self.transport.set_protocol(second)
            super().data_received(data)

    async def main(reactor: Any) -> None:
        protocol, peer = socket_pair(reactor, First())
        peer.send(b"first")
        await protocol.bytes_received(5)
        assert protocol.transport.get_protocol() is second
        peer.send(b"second")
        await second.bytes_received(6)
        peer.close()
        assert await second.lost is None
        assert protocol.events == ["made"]

    run(main)


def test_addresses_are_known_and_stay_so_after_the_end(run: Run) -> None:
    async def main(reactor: Any) -> None:
        server, client = await connected(reactor)
        ours, theirs = client.transport, server.transport
        assert ours.get_extra_info("peername") == theirs.get_extra_info("sockname")
        assert theirs.get_extra_info("peername") == ours.get_extra_info("sockname")
        assert isinstance(ours.get_extra_info("socket"), socket.socket)
        assert ours.get_extra_info("cipher", "none") == "none"
        assert "open" in repr(ours)
        ours.close()
        await gather(client.lost, server.lost)
        assert ours.get_extra_info("peername")[0] == "127.0.0.1"
        assert "closing" in repr(ours)

    run(main)


def test_an_unknown_address_is_the_default_after_the_end(run: Run) -> None:
    async def main(reactor: Any) -> None:
        protocol, peer = socket_pair(reactor, Recorder())
        peer.close()
        await protocol.lost
        await later(reactor)
        assert protocol.transport.get_extra_info("sockname", "gone") == "gone"

    run(main)


def test_tcp_sockets_send_small_packets_at_once(run: Run) -> None:
    async def main(reactor: Any) -> None:
        both = await connected(reactor)
        for protocol in both:
            sock = protocol.transport.get_extra_info("socket")
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert not sock.get_inheritable()
        both[0].transport.close()
        await gather(both[0].lost, both[1].lost)

    run(main)


FAULTS = ["data_received", "eof_received", "connection_lost", "pause_writing", "resume_writing"]


@pytest.mark.parametrize("method", FAULTS)
def test_r41_an_exception_in_one_connection_ends_that_connection_only(
    run: Run, method: str, reports: list[str]
) -> None:
    def fail(self: Any, *args: Any) -> None:
        raise RuntimeError("protocol bug")

    faulty = type("Faulty", (Recorder,), {method: fail})

    async def main(reactor: Any) -> None:
        healthy, healthy_peer = socket_pair(reactor, Recorder())
        protocol, peer = socket_pair(reactor, faulty())
        if method == "data_received":
            peer.send(b"x")
        elif method.endswith("writing"):
            protocol.transport.write(bytes(BIG))
            if method == "resume_writing":
                while protocol.transport.get_write_buffer_size():
                    try:
                        peer.recv(BIG)
                    except BlockingIOError:
                        await later(reactor)
        else:
            peer.shutdown(socket.SHUT_WR)
        if method == "connection_lost":
            while protocol.transport.get_protocol() is not None:
                await later(reactor)
        else:
            assert isinstance(await protocol.lost, RuntimeError)
        assert list(reports) == [f"{method} of Faulty failed: protocol bug"]
        healthy_peer.send(b"still here")
        await healthy.bytes_received(10)
        healthy.transport.close()
        await healthy.lost
        for sock in (peer, healthy_peer):
            sock.close()

    run(main)


@pytest.mark.parametrize("method", ["get_buffer", "buffer_updated"])
def test_r41_an_exception_in_a_buffered_connection_ends_that_connection_only(
    run: Run, method: str, reports: list[str]
) -> None:
    def fail(self: Any, *args: Any) -> None:
        raise RuntimeError("protocol bug")

    faulty = type("Faulty", (BufferedRecorder,), {method: fail})

    async def main(reactor: Any) -> None:
        protocol, peer = socket_pair(reactor, faulty())
        peer.send(b"x")
        assert isinstance(await protocol.lost, RuntimeError)
        assert list(reports) == [f"{method} of Faulty failed: protocol bug"]
        peer.close()

    run(main)


def test_an_empty_receive_buffer_is_a_fault_and_not_the_end_of_the_stream(
    run: Run, reports: list[str]
) -> None:
    class Empty(BufferedRecorder):
        size = 0

    async def main(reactor: Any) -> None:
        protocol, peer = socket_pair(reactor, Empty())
        peer.send(b"x")
        assert isinstance(await protocol.lost, ValueError)
        assert "eof" not in protocol.events
        peer.close()

    run(main)
    assert list(reports) == ["get_buffer of Empty failed: the buffer for receiving is empty"]


def test_connection_made_that_fails_closes_the_connection_and_tells_who_connected(run: Run) -> None:
    class Refusing(Recorder):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            raise RuntimeError("refused")

    async def main(reactor: Any) -> None:
        protocol = Refusing()
        ours, theirs = socket.socketpair()
        with pytest.raises(RuntimeError, match="refused"):
            reactor.adopt_socket(ours, lambda: protocol)
        assert isinstance(await protocol.lost, RuntimeError)
        theirs.close()
        listener = await reactor.listen_tcp("127.0.0.1", 0, Recorder)
        with pytest.raises(RuntimeError, match="refused"):
            await reactor.connect_tcp("127.0.0.1", listener.address[1], Refusing)
        listener.close()

    run(main)


def test_a_connection_over_a_unix_socket_is_the_same(run: Run, tmp_path: Path) -> None:
    async def main(reactor: Any) -> None:
        servers: list[Recorder] = []

        def factory() -> Recorder:
            servers.append(Echo())
            return servers[-1]

        path = str(tmp_path / "socket")
        listener = await reactor.listen_unix(path, factory)
        assert listener.address == path
        client = await reactor.connect_unix(path, Recorder)
        client.transport.write(bytes(BIG))
        assert await client.bytes_received(BIG) == bytes(BIG)
        client.transport.close()
        await gather(client.lost, servers[0].lost)
        listener.close()

    run(main)


@pytest.mark.parametrize("engine", ["native", "direct"])
def test_closing_the_reactor_ends_every_connection_with_a_reason(engine: str) -> None:
    from sshkit.reactor import new_reactor

    reactor = new_reactor(engine)
    protocols: list[Any] = []

    async def main() -> None:
        protocols.extend(await connected(reactor))
        protocols[0].transport.pause_reading()
        failed, peer = socket_pair(reactor, Recorder())
        peer.close()
        failed.transport.write(b"x")
        protocols.append(failed)
        closing, peer = socket_pair(reactor, Recorder())
        closing.transport.close()
        protocols.append(closing)
        peer.close()

    reactor.run_until(main())
    reactor.close()
    reasons = [protocol.lost.result() for protocol in protocols]
    assert isinstance(reasons[0], ReactorClosed)
    assert isinstance(reasons[1], ReactorClosed)
    assert isinstance(reasons[2], BrokenPipeError)
    for protocol in protocols:
        assert protocol.events.count("lost") == 1
        assert protocol.transport.get_extra_info("socket").fileno() == -1
        protocol.transport.write(b"x")
        protocol.transport.close()


def test_an_error_of_the_network_is_the_reason_of_the_loss(run: Run, monkeypatch: Any) -> None:
    class Broken:
        def __init__(self, sock: socket.socket) -> None:
            self._sock = sock

        def __getattr__(self, name: str) -> Any:
            return getattr(self._sock, name)

        def send(self, data: bytes) -> int:
            raise OSError(errno.EHOSTUNREACH, "No route to host")

        def setsockopt(self, *args: Any) -> None:
            raise OSError(errno.EINVAL, "Invalid argument")

        def shutdown(self, how: int) -> None:
            raise OSError(errno.ENOTCONN, "not connected")

        def recv_into(self, buffer: Any) -> int:
            raise InterruptedError

    async def main(reactor: Any) -> None:
        for fault in ("write", "abort", "write_eof"):
            ours, theirs = socket.socketpair()
            broken: Any = Broken(ours)
            protocol = reactor.adopt_socket(broken, Recorder)
            theirs.send(b"x")
            await later(reactor)
            if fault == "write":
                protocol.transport.write(b"x")
                error = await protocol.lost
                assert isinstance(error, OSError)
                assert error.errno == errno.EHOSTUNREACH
            else:
                getattr(protocol.transport, fault)()
                protocol.transport.close()
                assert await protocol.lost is None
            theirs.close()

    run(main)
