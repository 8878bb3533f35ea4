"""Calls made later and again and again, on a clock that the test moves."""

from typing import Any

import pytest

from sshkit.deferred import CancelledError, Deferred, DeferredError, Failure, ensure_deferred
from sshkit.deferred.periodic import LoopingCall, defer_later, ticks
from sshkit.testing import MemoryClock


def outcome(deferred: Deferred[Any]) -> Any:
    got: list[Any] = []
    deferred.add_both(lambda result: got.append(result.exception if isinstance(result, Failure) else result))
    return got[0] if got else "nothing"


def test_a_call_is_made_later_and_gives_its_result() -> None:
    clock = MemoryClock()

    def add(first: int, *, second: int) -> int:
        return first + second

    later = defer_later(clock, 5, add, 1, second=2)
    clock.advance(4.9)
    assert not later.called
    clock.advance(0.1)
    assert outcome(later) == 3

    async def coroutine() -> str:
        return "awaited"

    awaited = defer_later(clock, 1, coroutine)
    clock.advance(1)
    assert outcome(awaited) == "awaited"


def test_a_cancelled_call_is_not_made() -> None:
    clock = MemoryClock()
    calls: list[int] = []
    later = defer_later(clock, 5, calls.append, 1)
    later.cancel()
    clock.advance(10)
    assert isinstance(outcome(later), CancelledError)
    assert calls == []
    assert clock.next_due() is None


def test_times_are_exact_multiples_however_long_the_calls_take() -> None:
    clock = MemoryClock()
    times: list[float] = []

    def call() -> None:
        times.append(clock.seconds())
        clock._now += 0.03  # the call takes some time

    loop = LoopingCall(clock, 0.1, call)
    loop.start()
    clock.advance(100)
    assert len(times) in (1000, 1001)
    assert all(abs(time - round(time * 10) / 10) < 1e-9 for time in times)
    assert loop.missed == 0


def test_times_that_pass_during_a_call_are_missed_and_counted() -> None:
    clock = MemoryClock()
    works: list[Deferred[None]] = []

    def call() -> Deferred[None]:
        works.append(Deferred())
        return works[-1]

    loop = LoopingCall(clock, 1, call)
    loop.start()
    clock.advance(3.5)
    assert len(works) == 1
    works[0].callback(None)
    assert (loop.calls, loop.missed) == (1, 3)
    clock.advance(0.5)
    assert (loop.calls, loop.missed) == (2, 3)
    clock.advance(1)  # to the very moment of the next
    works[1].callback(None)
    clock.advance(0)
    assert (loop.calls, loop.missed) == (3, 3)


def test_a_loop_ends_when_it_is_stopped() -> None:
    clock = MemoryClock()
    loop = LoopingCall(clock, 1, lambda: None)
    loop.stop()
    ended = loop.start(now=False)
    assert loop.running
    with pytest.raises(DeferredError, match="runs already"):
        loop.start()
    clock.advance(2.5)
    assert loop.calls == 2
    loop.stop()
    assert outcome(ended) is None
    clock.advance(10)
    assert loop.calls == 2
    loop.start()
    assert loop.calls == 1
    loop.stop()


def test_a_call_that_fails_ends_the_loop() -> None:
    clock = MemoryClock()

    def call() -> None:
        raise ValueError("no more")

    loop = LoopingCall(clock, 1, call)
    ended = loop.start(now=False)
    clock.advance(1)
    assert str(outcome(ended)) == "no more"
    assert not loop.running


def test_stopping_inside_a_call_and_cancelling_during_one() -> None:
    clock = MemoryClock()
    loop = LoopingCall(clock, 1, lambda: loop.stop())
    assert outcome(loop.start()) is None
    work: Deferred[None] = Deferred()
    waits = LoopingCall(clock, 1, lambda: work)
    ended = waits.start()
    ended.cancel()
    assert isinstance(outcome(ended), CancelledError)
    assert work.called
    idle = LoopingCall(clock, 1, lambda: None)
    ended = idle.start()
    ended.cancel()
    assert isinstance(outcome(ended), CancelledError)
    assert clock.next_due() is None


def test_a_reset_counts_from_now() -> None:
    clock = MemoryClock()
    loop = LoopingCall(clock, 10, lambda: None)
    loop.reset()
    loop.start(now=False)
    clock.advance(9)
    loop.reset()
    clock.advance(9)
    assert loop.calls == 0
    clock.advance(1)
    assert loop.calls == 1
    inside = LoopingCall(clock, 10, lambda: inside.reset())
    inside.start()
    clock.advance(10)
    assert inside.calls == 2


def test_an_interval_of_nothing_calls_in_every_turn() -> None:
    clock = MemoryClock()
    loop = LoopingCall(clock, 0, lambda: loop.stop() if loop.calls == 3 else None)
    assert loop.start() is not None
    clock.advance(0)
    assert loop.calls == 3
    with pytest.raises(ValueError, match="an interval of -1"):
        LoopingCall(clock, -1, lambda: None)


def test_ticks_keep_step_and_count_what_was_missed() -> None:
    clock = MemoryClock()
    got: list[tuple[float, int]] = []
    waits: list[Deferred[None]] = []

    async def run() -> None:
        async for missed in ticks(clock, 1):
            got.append((clock.seconds(), missed))
            waits.append(Deferred())
            await waits[-1]

    running = ensure_deferred(run())
    clock.advance(1)
    clock.advance(0.5)
    waits[0].callback(None)
    clock.advance(0.5)
    clock.advance(3.25)
    waits[1].callback(None)
    assert got == [(1, 0), (2, 0), (5.25, 2)]
    running.cancel()
    assert isinstance(outcome(running), CancelledError)
    with pytest.raises(ValueError, match="an interval of 0"):
        ticks(clock, 0)
