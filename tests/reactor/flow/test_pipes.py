"""Bytes from one transport to another, with back-pressure."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from sshkit.deferred import CancelledError, Deferred, Failure
from sshkit.reactor.flow import join, pipe, produce
from sshkit.reactor.flow.pipes import PipeBroken
from sshkit.testing import MemoryClock, MemoryPair, connect_in_memory

from ..helpers import HalfOpen


class Keen(HalfOpen):
    """May be paused often."""

    def pause_writing(self) -> None:
        self.events.append("pause")

    def resume_writing(self) -> None:
        self.events.append("resume")


def pair() -> tuple[Any, Any, MemoryPair]:
    """A far end, a near end."""
    far, near = HalfOpen(), Keen()
    both = connect_in_memory(far, near, MemoryClock())
    return far, near, both


def outcome(deferred: Deferred[Any]) -> Any:
    got: list[Any] = []
    deferred.add_both(lambda result: got.append(result.exception if isinstance(result, Failure) else result))
    return got[0] if got else None


def settle(*pairs: MemoryPair) -> None:
    while any([both.pump() for both in pairs]):  # noqa: C419 - each
        pass


def test_a_pipe_leads_all_on_and_the_end_too() -> None:
    giver, source, first = pair()
    taker, sink, second = pair()
    count = pipe(source.transport, sink.transport)
    giver.transport.write(b"hello")
    taker.transport.write(b"for the old protocol")
    settle(first, second)
    assert taker.received == b"hello"
    assert sink.received == b"for the old protocol"
    giver.transport.write_eof()
    taker.transport.write_eof()
    settle(first, second)
    assert outcome(count) == 5
    assert "eof" in taker.events
    assert "eof" in sink.events
    assert giver.events[-1] == "eof"
    second.cut()
    assert sink.events[-1] == "lost"


def test_a_slow_sink_slows_the_source_down() -> None:
    giver, source, first = pair()
    taker, sink, second = pair()
    count = pipe(source.transport, sink.transport)
    taker.transport.pause_reading()
    for _ in range(100):
        giver.transport.write(b"x" * 10_000)
        settle(first, second)
    assert first.server.reading_paused
    assert second.server.get_write_buffer_size() <= 80_000
    assert sink.events == ["made", "pause"]
    taker.transport.resume_reading()
    settle(first, second)
    assert len(taker.received) == 1_000_000
    assert sink.events[-1] == "resume"
    giver.transport.close()
    settle(first, second)
    assert outcome(count) == 1_000_000


def test_a_pipe_fails_when_either_end_breaks() -> None:
    _giver, source, first = pair()
    taker, sink, second = pair()
    count = pipe(source.transport, sink.transport)
    first.cut()
    settle(first, second)
    assert isinstance(outcome(count), ConnectionResetError)
    assert taker.events[-1] == "lost"

    giver, source, first = pair()
    taker, sink, second = pair()
    count = pipe(source.transport, sink.transport)
    second.cut()
    settle(first, second)
    assert isinstance(outcome(count), ConnectionResetError)
    assert giver.events[-1] == "lost"

    giver, source, first = pair()
    taker, sink, second = pair()
    count = pipe(source.transport, sink.transport)
    sink.transport.close()
    settle(first, second)
    assert isinstance(outcome(count), PipeBroken)


def test_a_source_that_is_closed_here_ends_the_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    _giver, source, first = pair()
    taker, sink, second = pair()
    monkeypatch.setattr(type(sink.transport), "can_write_eof", lambda self: False)
    count = pipe(source.transport, sink.transport)
    source.transport.close()
    settle(first, second)
    assert outcome(count) == 0
    assert sink.transport.closed
    assert "eof" in taker.events


def test_a_cancelled_pipe_aborts_both() -> None:
    giver, source, first = pair()
    taker, sink, second = pair()
    count = pipe(source.transport, sink.transport)
    count.cancel()
    settle(first, second)
    assert isinstance(outcome(count), CancelledError)
    assert giver.events[-1] == taker.events[-1] == "lost"


def test_joined_transports_talk_until_both_have_ended() -> None:
    one, near_one, first = pair()
    other, near_other, second = pair()
    counts = join(near_one.transport, near_other.transport)
    one.transport.write(b"question")
    settle(first, second)
    one.transport.write_eof()
    settle(first, second)
    assert "eof" in other.events
    other.transport.write(b"the answer")
    settle(first, second)
    assert one.received == b"the answer"
    assert outcome(counts) is None
    other.transport.write_eof()
    settle(first, second)
    assert first.server.closed
    assert second.server.closed


def test_a_joined_transport_that_goes_takes_the_other_along() -> None:
    one, near_one, first = pair()
    other, near_other, second = pair()
    counts = join(near_one.transport, near_other.transport)
    near_one.transport.close()
    settle(first, second)
    assert outcome(counts) == (0, 0)
    one, near_one, first = pair()
    other, near_other, second = pair()
    counts = join(near_one.transport, near_other.transport)
    first.cut()
    settle(first, second)
    assert isinstance(outcome(counts), Exception)
    assert one.events[-1] == other.events[-1] == "lost"


def test_a_producer_is_asked_no_faster_than_the_peer_reads() -> None:
    far, near, both = pair()
    asked = 0

    def pieces() -> Iterator[bytes]:
        nonlocal asked
        for _ in range(100):
            asked += 1
            yield b"x" * 10_000

    far.transport.pause_reading()
    count = produce(near.transport, pieces())
    assert asked == 8
    assert near.events == ["made", "pause"]
    far.transport.write(b"still read")
    both.settle()
    assert near.received == b"still read"
    far.transport.resume_reading()
    both.settle()
    assert outcome(count) == 1_000_000
    assert near.transport.get_protocol() is near
    assert len(far.received) == 1_000_000


def test_an_async_producer_is_waited_for_and_a_lost_peer_ends_it() -> None:
    far, near, both = pair()
    turn: Deferred[None] = Deferred()

    async def pieces() -> AsyncIterator[bytes]:
        yield b"a"
        await turn
        yield b"b"

    count = produce(near.transport, pieces())
    both.settle()
    assert far.received == b"a"
    both.cut()
    turn.callback(None)
    assert isinstance(outcome(count), PipeBroken)
    assert near.events[-1] == "lost"


def test_a_producer_that_waits_hears_of_the_end() -> None:
    far, near, both = pair()
    far.transport.pause_reading()
    count = produce(near.transport, [b"x" * 70_000] * 3)
    far.transport.write_eof()
    both.settle()
    assert "eof" in near.events
    both.cut()
    with pytest.raises(PipeBroken, match="closed after 70000 bytes"):
        raise outcome(count)
