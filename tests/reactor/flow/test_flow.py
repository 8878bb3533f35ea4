"""Wrappers around protocols: in memory, on a clock that the test moves."""

from collections.abc import Callable
from typing import Any

import pytest
from zope.interface.verify import verifyObject

from sshkit.interfaces import ITransport
from sshkit.reactor.current import current
from sshkit.reactor.flow import (
    Bucket,
    ConnectionLimits,
    IdleTimeout,
    RateLimit,
    TimeLimits,
    TotalTimeout,
    TrafficLog,
    Wrapper,
)
from sshkit.testing import MemoryClock, MemoryPair, connect_in_memory

from ..helpers import BufferedRecorder, Echo, Recorder


class Talk:
    """A wrapped protocol and its peer."""

    def __init__(self, factory: Callable[[], Any], clock: MemoryClock, **options: Any) -> None:
        self.clock = clock
        self.peer = Recorder()
        self.wrapper = factory()
        self.pair: MemoryPair = connect_in_memory(self.peer, self.wrapper, clock, **options)

    @property
    def inner(self) -> Any:
        return self.wrapper.protocol

    def settle(self) -> None:
        self.pair.settle()

    def advance(self, seconds: float, step: float = 0.01) -> None:
        for _ in range(round(seconds / step)):
            self.clock.advance(step)
            self.pair.settle()


class Keen(Recorder):
    """A recorder that may be paused often."""

    def pause_writing(self) -> None:
        self.events.append("pause")

    def resume_writing(self) -> None:
        self.events.append("resume")


@pytest.mark.parametrize("kind", [Recorder, BufferedRecorder])
def test_a_wrapper_passes_everything_on(kind: Any) -> None:
    talk = Talk(lambda: Wrapper(kind()), MemoryClock())
    wrapper, inner = talk.wrapper, talk.inner
    assert verifyObject(ITransport, wrapper)
    assert inner.transport is wrapper
    assert wrapper.copies_on_write
    assert wrapper.get_extra_info("peername") == ("192.0.2.1", 50000)
    assert wrapper.get_protocol() is inner
    talk.peer.transport.write(b"hello")
    wrapper.writelines([b"good", b"bye"])
    assert wrapper.get_write_buffer_size() == 7
    wrapper.pause_reading()
    talk.settle()
    assert inner.received == b""
    assert talk.peer.received == b"goodbye"
    wrapper.resume_reading()
    talk.settle()
    assert inner.received == b"hello"
    wrapper.set_write_buffer_limits(10, 5)
    wrapper.write(b"x" * 20)
    talk.settle()
    assert inner.events[-2:] == ["pause", "resume"]
    other = Recorder()
    wrapper.set_protocol(other)
    talk.peer.transport.write_eof()
    talk.settle()
    assert other.events == ["eof", "lost"]
    assert wrapper.is_closing()
    assert wrapper.can_write_eof()
    wrapper.write_eof()
    wrapper.abort()


def test_a_reader_with_a_rate_takes_no_more_than_that() -> None:
    clock = MemoryClock()
    talk = Talk(RateLimit(Recorder, reading=Bucket(1000, 100, clock), clock=clock), clock)
    for _ in range(10):
        talk.peer.transport.write(b"x" * 50)
        talk.settle()
    received = len(talk.inner.received)
    assert received == 150  # the burst, and what came before the transport could pause
    assert talk.pair.server.reading_paused
    talk.wrapper.pause_reading()
    talk.advance(0.2)
    assert len(talk.inner.received) == received
    talk.wrapper.resume_reading()
    talk.settle()
    assert len(talk.inner.received) == 500
    talk.wrapper.resume_reading()  # while it is in debt
    assert talk.pair.server.reading_paused
    talk.advance(1)
    assert not talk.pair.server.reading_paused


def test_a_writer_with_a_rate_sends_that_much_a_second() -> None:
    clock = MemoryClock()
    talk = Talk(RateLimit(Keen, writing=10_000, clock=clock), clock)
    talk.wrapper.write(b"x" * 70_000)
    talk.wrapper.write(b"")
    assert talk.inner.events == ["made", "pause"]
    talk.settle()
    assert len(talk.peer.received) == 2500  # a quarter of a second's, at once
    assert talk.wrapper.get_write_buffer_size() == 67_500
    talk.advance(2)
    assert 22_000 <= len(talk.peer.received) <= 22_600
    talk.wrapper.write_eof()
    talk.wrapper.write(b"too late")
    talk.advance(5)
    assert "resume" in talk.inner.events
    assert len(talk.peer.received) == 70_000
    assert "eof" in talk.peer.events


def test_a_slow_peer_and_a_rate_are_both_waited_for() -> None:
    clock = MemoryClock()
    talk = Talk(RateLimit(Keen, writing=1_000_000, clock=clock), clock)
    talk.wrapper.set_write_buffer_limits(1000, 100)
    talk.peer.transport.pause_reading()
    talk.wrapper.write(b"x" * 2000)
    assert talk.inner.events == ["made", "pause"]
    talk.wrapper.write(b"y" * 10)
    talk.advance(0.1)
    assert talk.wrapper.get_write_buffer_size() == 2010
    talk.peer.transport.resume_reading()
    talk.settle()
    assert talk.inner.events == ["made", "pause", "resume"]
    talk.settle()
    assert len(talk.peer.received) == 2010
    free = Talk(RateLimit(Keen, reading=5, clock=clock), clock)
    free.peer.transport.pause_reading()
    free.wrapper.write(b"x" * 100_000)
    assert free.inner.events == ["made", "pause"]
    free.peer.transport.resume_reading()
    free.settle()
    assert free.inner.events == ["made", "pause", "resume"]


def test_closing_sends_what_waits_and_aborting_does_not() -> None:
    clock = MemoryClock()
    for act, size in (("close", 5000), ("abort", 0)):
        talk = Talk(RateLimit(Recorder, writing=1000, clock=clock), clock)
        talk.wrapper.write(b"x" * 5000)
        getattr(talk.wrapper, act)()
        talk.wrapper.close()
        talk.wrapper.write(b"dropped")
        assert talk.wrapper.is_closing()
        talk.peer.transport.write(b"not delivered")
        talk.advance(6)
        assert len(talk.peer.received) == size
        assert talk.inner.received == b""
        assert talk.inner.events[-1] == "lost"
    talk = Talk(RateLimit(Recorder, writing=1000, reading=1000, clock=clock), clock)
    talk.wrapper.write_eof()
    talk.wrapper.close()
    talk.wrapper.data_received(b"late")
    talk.settle()
    assert talk.inner.events[-1] == "lost"


def test_connections_share_a_bucket() -> None:
    clock = MemoryClock()
    limit = RateLimit(Recorder, writing=Bucket(1000, 100, clock), clock=clock)
    one, other = Talk(limit, clock), Talk(limit, clock)
    for talk in (one, other):
        talk.wrapper.write(b"x" * 5000)
    for _ in range(100):
        clock.advance(0.01)
    one.settle()
    other.settle()
    assert 1050 <= len(one.peer.received) + len(other.peer.received) <= 1101


@pytest.mark.parametrize("rate", [0, -1, float("nan")])
def test_a_rate_that_lets_nothing_through_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="would let nothing through"):
        RateLimit(Recorder, reading=rate)
    with pytest.raises(ValueError, match="would let nothing through"):
        Bucket(5, 0)


def test_a_silent_connection_ends_and_a_living_one_does_not() -> None:
    clock = MemoryClock()
    talk = Talk(TimeLimits(Echo, idle=10, clock=clock), clock)
    for _ in range(5):
        clock.advance(6)
        talk.peer.transport.write(b"x")
        talk.settle()
    assert talk.peer.received == b"xxxxx"
    clock.advance(6)
    talk.wrapper.write(b"y")
    clock.advance(9)
    talk.settle()
    assert not talk.inner.lost.called
    clock.advance(1)
    talk.settle()
    error: Any = []
    talk.inner.lost.add_callback(error.append)
    assert isinstance(error[0], IdleTimeout)
    assert str(error[0]) == "the connection was silent for 10 seconds"
    assert talk.peer.events[-1] == "lost"


def test_a_connection_ends_after_its_time_however_lively() -> None:
    clock = MemoryClock()
    talk = Talk(TimeLimits(Echo, total=10, clock=clock), clock)
    for _ in range(10):
        clock.advance(1)
        talk.peer.transport.write(b"x")
        talk.settle()
    error: Any = []
    talk.inner.lost.add_callback(error.append)
    assert isinstance(error[0], TotalTimeout)
    closed = Talk(TimeLimits(Echo, idle=1, total=2, clock=clock), clock)
    closed.wrapper.close()
    closed.settle()
    clock.advance(5)
    assert closed.inner.events == ["made", "lost"]
    with pytest.raises(ValueError, match="would end each connection at once"):
        TimeLimits(Echo, idle=0)


def test_one_connection_too_many_is_reset_without_a_protocol() -> None:
    clock = MemoryClock()
    refused: list[str] = []
    limits = ConnectionLimits(Echo, total=3, each=2, refused=refused.append)
    talks = [Talk(limits, clock, client_address=("192.0.2.1", port)) for port in (1, 2, 3)]
    assert refused == ["192.0.2.1"]
    assert talks[2].inner is None
    talks[2].wrapper.data_received(b"x")
    assert talks[2].wrapper.eof_received() is None
    talks[2].settle()
    assert talks[2].peer.events == ["made", "lost"]
    third = Talk(limits, clock, client_address=("::ffff:192.0.2.9", 1))
    Talk(limits, clock, client_address=("192.0.2.10", 1)).settle()
    assert refused == ["192.0.2.1", "192.0.2.10"]
    assert (limits.count, limits.refusals) == (3, 2)
    for talk in (*talks[:2], third):
        talk.peer.transport.write(b"x")
        talk.settle()
        assert talk.peer.received == b"x"
        talk.peer.transport.write_eof()
        talk.settle()
    assert limits.count == 0
    assert limits._peers == {}
    quiet = ConnectionLimits(Echo, total=1)
    local: Any = "/run/socket"
    first = Talk(quiet, clock, client_address=local)
    Talk(quiet, clock, client_address=local).settle()
    assert quiet.refusals == 1
    first.pair.cut()
    assert quiet.count == 0


def test_the_log_shows_what_went_over_bounded_and_escaped() -> None:
    lines: list[str] = []
    log = TrafficLog(Echo, lines.append, piece=8, limit=20)
    talk = Talk(log, MemoryClock())
    talk.peer.transport.write(b"a\x1b[2J" + b"x" * 10)
    talk.settle()
    talk.peer.transport.write(b"y" * 10)
    talk.settle()
    talk.wrapper.write_eof()
    talk.peer.transport.write_eof()
    talk.settle()
    assert lines == [
        "connection 1: made, with 192.0.2.1:50000",
        "connection 1: < a\\x1b[2Jxxx and 7 bytes more",
        "connection 1: > a\\x1b[2Jxxx and 7 bytes more",
        "connection 1: < yyyy and 6 bytes more",
        "connection 1: >  and 10 bytes more",
        "connection 1: > end",
        "connection 1: < end",
        "connection 1: lost; 25 bytes received, 25 sent",
    ]


def test_the_log_in_hexadecimal_digits() -> None:
    lines: list[str] = []
    talk = Talk(TrafficLog(Recorder, lines.append, form="hex", piece=20), MemoryClock())
    talk.peer.transport.write(b"hello\0" * 4)
    talk.settle()
    talk.pair.cut()
    assert lines[1:] == [
        "connection 1: < 68 65 6c 6c 6f 00 68 65 6c 6c 6f 00 68 65 6c 6c  hello.hello.hell",
        "connection 1: < 6f 00 68 65                                      o.he",
        "connection 1: < and 4 bytes more",
        "connection 1: lost (ConnectionResetError: the connection was cut); 24 bytes received, 0 sent",
    ]
    short = Talk(TrafficLog(Recorder, lines.append, form="hex"), MemoryClock())
    short.wrapper.write(b"x")
    assert lines[-1] == f"connection 1: > {'78':<47}  x"
    with pytest.raises(ValueError, match="form 'xml'"):
        TrafficLog(Recorder, lines.append, form="xml")


def test_wrappers_wrap_wrappers_on_every_engine(run: Callable[[Any], Any]) -> None:
    async def main(reactor: Any) -> None:
        lines: list[str] = []
        factory = RateLimit(TimeLimits(TrafficLog(Echo, lines.append), idle=60), reading=1_000_000)
        listener = await reactor.listen_tcp("127.0.0.1", 0, ConnectionLimits(factory, each=10))
        connected = await reactor.connect_tcp(
            "127.0.0.1", listener.address[1], RateLimit(Recorder, writing=Bucket(1_000_000))
        )
        ours = connected.protocol
        ours.transport.write(b"hello")
        assert await ours.bytes_received(5) == b"hello"
        ours.transport.close()
        await ours.lost
        listener.close()
        assert len(lines) >= 3
        assert current() is reactor

    run(main)
