"""TLS in memory: bytes, ends, and who waits for whom."""

from typing import Any

import pytest
from OpenSSL import SSL
from zope.interface.verify import verifyObject

from sshkit.interfaces import ITransport
from sshkit.reactor.tls import (
    TLSBroken,
    TLSClientOptions,
    TLSServerOptions,
    TLSTruncated,
    wrap_client,
    wrap_server,
)
from sshkit.reactor.transports.tls import layer as layer_module
from sshkit.reactor.transports.tls import records
from sshkit.reactor.transports.tls.sending import CLOSE_TIMEOUT
from sshkit.testing import MemoryClock, connect_in_memory

from ..helpers import BufferedRecorder, Echo, Recorder
from .joined import AUTHORITY, CERTIFICATE, CLIENT, KEY, SERVER, HalfOpen, Joined, end_of


@pytest.fixture(params=[records.DirectRecords, records.PublicRecords])
def both_ways(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Drive OpenSSL the quick way, then the documented one."""
    monkeypatch.setattr(layer_module, "records_of", request.param)


BULK = bytes(range(256)) * 1000


@pytest.mark.usefixtures("both_ways")
@pytest.mark.parametrize("chop", [None, 1, 7, 1000])
def test_bytes_arrive_in_order_however_they_are_chopped(chop: int | None) -> None:
    ends = Joined(chop=chop, server_protocol=Echo)
    size = 3000 if chop in (1, 7) else len(BULK)
    ends.client.transport.write(BULK[:size])
    ends.settle()
    assert ends.client.received == BULK[:size]


@pytest.mark.usefixtures("both_ways")
@pytest.mark.parametrize("size", [1, 16, 5000, 70_000])
def test_a_buffered_protocol_gets_bytes_in_its_own_buffer(size: int) -> None:
    class Lender(BufferedRecorder):
        pass

    Lender.size = size
    ends = Joined(server_protocol=Lender)
    ends.client.transport.write(BULK[:40_000])
    ends.settle()
    assert ends.server.received == BULK[:40_000]


@pytest.mark.usefixtures("both_ways")
def test_a_clean_close_reaches_both_protocols_without_an_error() -> None:
    ends = Joined()
    ends.client.transport.write(b"last words")
    ends.client.transport.close()
    assert ends.client.transport.is_closing()
    ends.client.transport.close()
    ends.settle()
    assert ends.server.received == b"last words"
    assert ends.server.events == ["made", "eof", "lost"]
    assert ends.client.events == ["made", "lost"]
    assert (end_of(ends.client), end_of(ends.server)) == (None, None)
    assert ends.clock.next_due() is None


def test_nothing_is_delivered_after_close() -> None:
    ends = Joined()
    ends.client.transport.close()
    ends.server.transport.write(b"too late")
    ends.settle()
    assert not ends.client.received
    assert end_of(ends.client) is None


def test_each_direction_ends_by_itself() -> None:
    ends = Joined(client_protocol=HalfOpen, server_protocol=HalfOpen)
    assert ends.client.transport.can_write_eof()
    ends.client.transport.write(b"question")
    ends.client.transport.write_eof()
    ends.client.transport.write_eof()
    ends.client.transport.write(b"never sent")
    ends.settle()
    assert ends.server.events == ["made", "eof"]
    ends.server.transport.write(b"answer")
    ends.settle()
    assert (ends.server.received, ends.client.received) == (b"question", b"answer")
    ends.server.transport.write_eof()
    ends.settle()
    assert (end_of(ends.client), end_of(ends.server)) == (None, None)


def test_a_peer_that_has_ended_closes_a_protocol_that_does_not_stay() -> None:
    ends = Joined(client_protocol=HalfOpen)
    ends.client.transport.write_eof()
    ends.settle()
    assert end_of(ends.server) is None
    assert end_of(ends.client) is None


def test_an_end_without_close_notify_is_an_error() -> None:
    ends = Joined()
    ends.client.transport.write(b"half a le")
    ends.settle()
    ends.pair.client.write_eof()  # below TLS: what an attacker can do
    ends.settle()
    error = end_of(ends.server)
    assert isinstance(error, TLSTruncated)
    assert "close_notify" in str(error)
    assert "192.0.2.1:50000" in str(error)
    assert ends.server.events == ["made", "lost"]


def test_an_end_without_close_notify_is_told_after_what_a_pausing_protocol_had_not_seen() -> None:
    ends = Joined()
    ends.server.transport.pause_reading()
    ends.client.transport.write(b"before the cut")
    ends.settle()
    ends.server_layer.data_received(bytes(ends.pair.client.outgoing))
    ends.pair.client.outgoing.clear()
    assert ends.server_layer.eof_received()
    ends.server.transport.resume_reading()
    ends.settle()
    assert ends.server.received == b"before the cut"
    assert isinstance(end_of(ends.server), TLSTruncated)


def test_a_connection_lost_without_an_end_is_truncated() -> None:
    ends = Joined()
    ends.server_layer.connection_lost(None)
    assert isinstance(end_of(ends.server), TLSTruncated)


def test_a_reset_is_passed_on() -> None:
    ends = Joined()
    ends.pair.cut()
    assert isinstance(end_of(ends.server), ConnectionResetError)
    assert isinstance(end_of(ends.client), ConnectionResetError)


def test_a_reset_after_both_ends_is_no_error() -> None:
    ends = Joined(settle=True)
    ends.client.transport.close()
    ends.pair.client.deliver()
    assert ends.server.events == ["made", "eof"]
    ends.pair.server.outgoing.clear()
    ends.server_layer._end_below()
    ends.server_layer.connection_lost(ConnectionResetError("reset"))
    assert end_of(ends.server) is None


def test_an_abort_sends_no_close_notify() -> None:
    ends = Joined()
    ends.client.transport.abort()
    ends.client.transport.write(b"never sent")
    ends.settle()
    assert end_of(ends.client) is None
    assert isinstance(end_of(ends.server), ConnectionResetError)
    ends.client_layer.abort()


def test_a_peer_that_does_not_answer_a_close_is_waited_for_a_bounded_time() -> None:
    ends = Joined()
    ends.pair.server.reading_paused = True
    ends.client.transport.close()
    ends.settle()
    assert not ends.client.lost.called
    for _ in range(4):
        ends.pass_time(CLOSE_TIMEOUT)
    assert end_of(ends.client) is None


def test_a_peer_that_takes_what_waits_may_take_its_time() -> None:
    ends = Joined()
    ends.pair.chop = lambda: 0
    ends.client.transport.write(bytes(200_000))
    ends.client.transport.close()
    for _ in range(10):
        ends.clock.advance(CLOSE_TIMEOUT)
        ends.pair.client.deliver(10_000)
    assert not ends.client.lost.called
    ends.pair.chop = None
    ends.settle()
    assert len(ends.server.received) == 200_000
    assert end_of(ends.client) is None


def test_a_peer_that_takes_nothing_more_is_cut_off() -> None:
    ends = Joined()
    ends.pair.server.reading_paused = True
    ends.client.transport.write(bytes(200_000))
    ends.client.transport.close()
    for _ in range(4):
        ends.pass_time(CLOSE_TIMEOUT)
    assert ends.pair.client.aborted
    assert end_of(ends.client) is None


def test_a_slow_peer_pauses_the_writer() -> None:
    ends = Joined()
    ends.pair.server.reading_paused = True
    ends.client.transport.write(bytes(100_000))
    assert ends.client.events == ["made", "pause"]
    assert ends.client.transport.get_write_buffer_size() > 100_000
    ends.pair.server.reading_paused = False
    ends.settle()
    assert ends.client.events == ["made", "pause", "resume"]


def test_the_marks_are_those_below() -> None:
    ends = Joined()
    ends.client.transport.set_write_buffer_limits(high=10)
    ends.client.transport.write(b"x")
    assert ends.client.events == ["made", "pause"]


def test_a_pausing_reader_gets_nothing_until_it_resumes() -> None:
    class Pausing(Recorder):
        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if data:
                self.transport.pause_reading()
                self.transport.pause_reading()

    ends = Joined(server_protocol=Pausing)
    ends.client.transport.write(bytes(200_000))
    ends.settle()
    first = len(ends.server.received)
    assert 0 < first <= 65536
    ends.server.transport.resume_reading()
    ends.server.transport.resume_reading()
    ends.server.transport.pause_reading()
    ends.server.transport.resume_reading()
    ends.settle()
    assert first < len(ends.server.received) < 200_000
    for _ in range(20):
        ends.server.transport.resume_reading()
        ends.settle()
    assert len(ends.server.received) == 200_000


def test_closing_while_paused_still_takes_the_peers_close_notify() -> None:
    ends = Joined()
    ends.server.transport.pause_reading()
    ends.client.transport.write(b"unread")
    ends.client.transport.close()
    ends.settle()
    ends.server.transport.close()
    ends.server.transport.resume_reading()
    ends.settle()
    assert (end_of(ends.client), end_of(ends.server)) == (None, None)
    assert not ends.server.received


def test_a_resumed_reader_that_was_lost_meanwhile_is_left_alone() -> None:
    ends = Joined()
    ends.server.transport.pause_reading()
    ends.server.transport.resume_reading()
    ends.pair.cut()
    ends.settle()
    assert ends.server.events == ["made", "lost"]


def test_many_buffers_are_one_record_when_they_are_small() -> None:
    ends = Joined()
    ends.client.transport.writelines([b"one ", bytearray(b"two "), memoryview(b"three")])
    assert ends.client.transport.get_write_buffer_size() < 100
    ends.client.transport.writelines([b"a" * 10_000, b"b" * 10_000, b"c" * 100_000, b"d"])
    ends.client.transport.writelines([])
    ends.settle()
    assert ends.server.received == b"one two three" + b"a" * 10_000 + b"b" * 10_000 + b"c" * 100_000 + b"d"


def test_a_writer_may_use_its_buffer_again() -> None:
    ends = Joined()
    buffer = bytearray(b"first")
    ends.client.transport.write(memoryview(buffer))
    buffer[:] = b"other"
    ends.settle()
    assert ends.server.received == b"first"
    assert ends.client.transport.copies_on_write


def test_tls_runs_inside_tls() -> None:
    inner = [Recorder(), Recorder()]
    clock = MemoryClock()
    client = wrap_client(inner[0], CLIENT, clock=clock)
    server = wrap_server(inner[1], SERVER, clock=clock)
    outer = wrap_client(client, CLIENT, clock=clock)
    pair = connect_in_memory(outer, wrap_server(server, SERVER, clock=clock), clock)
    pair.settle()
    inner[0].transport.write(BULK)
    pair.settle()
    assert inner[1].received == BULK
    inner[0].transport.close()
    pair.settle()
    assert (end_of(inner[0]), end_of(inner[1])) == (None, None)


def test_a_transport_that_keeps_what_it_is_given_gets_copies() -> None:
    ends = Joined()
    ends.client_layer._below_copies = False
    ends.client.transport.write(b"x" * 1000)
    ends.settle()
    assert ends.server.received == b"x" * 1000


def test_the_facts_of_a_connection() -> None:
    options = TLSClientOptions("box.example", trust=[AUTHORITY.certificate], alpn=("irc",))
    ends = Joined(options, TLSServerOptions(CERTIFICATE, KEY, alpn=("h2", "irc")))
    fact = ends.client.transport.get_extra_info
    assert fact("peercert") == CERTIFICATE
    assert fact("peercert_chain")[0] == CERTIFICATE
    assert fact("alpn") == ends.server.transport.get_extra_info("alpn") == "irc"
    assert fact("tls_version") == "TLSv1.3"
    assert fact("cipher").startswith("TLS_")
    assert fact("session") is not None
    assert fact("session_reused") is False
    assert ends.server.transport.get_extra_info("server_name") == "box.example"
    assert ends.server.transport.get_extra_info("peercert", "none") == "none"
    assert fact("peername") == ("192.0.2.2", 22)
    assert fact("nothing", 5) == 5
    bare = wrap_client(Recorder(), CLIENT)
    assert bare.get_extra_info("peername", 1) == bare.get_extra_info("alpn", 1) == 1
    assert bare.is_closing()
    assert Joined().client.transport.get_extra_info("alpn") is None


def test_it_is_a_transport() -> None:
    ends = Joined()
    assert verifyObject(ITransport, ends.client.transport)
    assert ends.client.transport.get_protocol() is ends.client
    assert repr(ends.client.transport).startswith("<ClientLayer open on <")


def test_another_protocol_may_take_over() -> None:
    ends = Joined()
    other = Recorder()
    ends.server.transport.set_protocol(other)
    ends.client.transport.write(b"for the other")
    ends.settle()
    assert not ends.server.received
    assert other.received == b"for the other"


def test_a_handler_that_raises_ends_its_connection_in_a_later_turn_too() -> None:
    class Raising(Recorder):
        def data_received(self, data: bytes) -> None:
            raise RuntimeError("a fault of the handler")

    ends = Joined(server_protocol=Raising)
    ends.server.transport.pause_reading()
    ends.pair.server.reading_paused = False
    ends.client.transport.write(b"x")
    ends.settle()
    ends.server.transport.resume_reading()
    with pytest.raises(RuntimeError):
        ends.settle()
    ends.settle()
    assert isinstance(end_of(ends.server), RuntimeError)


@pytest.mark.parametrize("where", ["factory", "connection_made"])
def test_a_protocol_that_cannot_start_ends_its_connection(where: str) -> None:
    class Failing(Recorder):
        def connection_made(self, transport: Any) -> None:
            raise RuntimeError("cannot start")

    ends = Joined(settle=False)
    if where == "factory":
        ends.client_layer._factory = ends.server_layer._factory = lambda: 1 / 0
    else:
        ends.client_layer._factory = ends.server_layer._factory = Failing
    ends.settle()
    assert isinstance(ends.client_error, (RuntimeError, ZeroDivisionError))
    assert ends.pair.client.aborted


def test_a_protocol_that_closes_at_once_is_paused_by_nobody() -> None:
    class Brief(Recorder):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            transport.close()

    ends = Joined(client_protocol=Brief)
    ends.settle()
    assert ends.client.events == ["made", "lost"]


def test_a_pause_from_below_during_the_handshake_is_told_after_it() -> None:
    ends = Joined(settle=False)
    ends.client_layer.pause_writing()
    ends.settle()
    assert ends.client.events == ["made", "pause"]
    ends.client_layer.resume_writing()
    ends.client_layer.resume_writing()
    assert ends.client.events == ["made", "pause", "resume"]
    ends.client_layer.buffer_updated(0)


@pytest.mark.usefixtures("both_ways")
def test_a_forged_record_is_an_error_after_the_sound_ones_and_at_once() -> None:
    for sound in (b"sound", b""):
        ends = Joined()
        ends.client.transport.write(sound)
        ends.client.transport.write(b"forged")
        ends.pair.client.outgoing[-1] ^= 1
        ends.settle()
        assert ends.server.received == sound
        assert isinstance(end_of(ends.server), TLSBroken)


def test_a_writer_that_is_cut_off_in_the_middle_stops() -> None:
    class Cutting(Recorder):
        def pause_writing(self) -> None:
            super().pause_writing()
            ends.client_layer.connection_lost(ConnectionResetError("cut"))

    ends = Joined(client_protocol=Cutting)
    ends.client.transport.write(bytes(400_000))
    assert isinstance(end_of(ends.client), ConnectionResetError)
    ends.client_layer._flush()
    ends.client_layer.resume_writing()
    ends.client_layer.pause_writing()
    ends.client_layer.data_received(b"late")
    ends.client_layer.abort()
    assert ends.client_layer.eof_received() is False


def test_what_openssl_does_not_encrypt_ends_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Any, data: bytes) -> None:
        raise SSL.Error([("", "", "no more")])

    ends = Joined()
    monkeypatch.setattr(records.DirectRecords, "write", refuse)
    monkeypatch.setattr(SSL.Connection, "shutdown", refuse_shutdown)
    ends.client.transport.write(b"x")
    ends.server.transport.write_eof()
    ends.settle()
    assert isinstance(end_of(ends.client), TLSBroken)


def refuse_shutdown(self: Any) -> bool:
    raise SSL.Error([])


def test_our_end_after_the_peers_closes() -> None:
    ends = Joined(client_protocol=HalfOpen, server_protocol=HalfOpen)
    ends.client.transport.write_eof()
    ends.settle()
    ends.server.transport.pause_reading()
    ends.server.transport.write_eof()
    ends.settle()
    assert (end_of(ends.client), end_of(ends.server)) == (None, None)


def test_a_peer_that_half_closes_below_after_its_close_notify_still_hears_us() -> None:
    ends = Joined(client_protocol=HalfOpen, server_protocol=HalfOpen)
    ends.client.transport.write_eof()
    ends.pair.client.write_eof()
    ends.settle()
    ends.server.transport.write(b"answer")
    ends.settle()
    assert ends.client.received == b"answer"
    ends.server.transport.close()
    ends.settle()
    assert end_of(ends.server) is None


def test_the_documented_way_serves_where_pyopenssl_has_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    connection: Any = Joined().client_layer._connection
    assert isinstance(records.records_of(connection), records.DirectRecords)
    monkeypatch.setattr(records, "_lib", None)
    public = records.records_of(connection)
    assert isinstance(public, records.PublicRecords)
    assert public.resumed() is False


def test_a_protocol_that_writes_a_lot_at_once_is_paused_once() -> None:
    class Eager(Recorder):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            transport.write(bytes(1_000_000))

    ends = Joined(server_protocol=Eager)
    assert len(ends.client.received) == 1_000_000
    assert ends.server.events == ["made", "pause", "resume"]
