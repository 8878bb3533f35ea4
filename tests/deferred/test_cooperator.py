"""Works that take turns."""

from collections.abc import Iterator
from typing import Any

from sshkit.deferred import CancelledError, Deferred, Failure
from sshkit.deferred.cooperator import Cooperator
from sshkit.testing import MemoryClock


def outcome(deferred: Deferred[Any]) -> Any:
    got: list[Any] = []
    deferred.add_both(lambda result: got.append(result.exception if isinstance(result, Failure) else result))
    return got[0] if got else "nothing"


def steps(log: list[str], name: str, count: int, clock: MemoryClock | None = None) -> Iterator[None]:
    for number in range(count):
        log.append(f"{name}{number}")
        if clock is not None:
            clock._now += 0.00101
        yield


def test_works_take_turns_step_by_step() -> None:
    clock = MemoryClock()
    cooperator = Cooperator(clock)
    log: list[str] = []
    first, second = cooperator.run(steps(log, "a", 3)), cooperator.run(steps(log, "b", 2))
    assert log == []
    assert len(cooperator) == 2
    clock.advance(0)
    assert log == ["a0", "b0", "a1", "b1", "a2"]
    assert outcome(first) is None
    assert outcome(second) is None
    assert len(cooperator) == 0


def test_a_slice_of_time_ends_the_turn() -> None:
    clock = MemoryClock()
    cooperator = Cooperator(clock, 0.01)
    log: list[str] = []
    done = cooperator.run(steps(log, "a", 35, clock))
    turns = []
    while not done.called:
        before = len(log)
        due = clock.next_due()
        assert due is not None
        clock.advance(max(due - clock.seconds(), 0))
        turns.append(len(log) - before)
    assert max(turns) <= 10
    assert sum(turns) == 35


def test_a_step_that_yields_a_deferred_waits_for_it() -> None:
    clock = MemoryClock()
    cooperator = Cooperator(clock)
    waits: Deferred[None] = Deferred()
    log: list[str] = []

    def work() -> Iterator[Any]:
        log.append("before")
        yield waits
        log.append("after")

    done = cooperator.run(work())
    clock.advance(1)
    assert log == ["before"]
    waits.callback(None)
    clock.advance(1)
    assert log == ["before", "after"]
    assert outcome(done) is None


def test_a_work_that_fails_harms_no_other() -> None:
    clock = MemoryClock()
    cooperator = Cooperator(clock)
    log: list[str] = []

    def raises() -> Iterator[Any]:
        yield None
        raise ValueError("broken")

    def awaits() -> Iterator[Any]:
        failed: Deferred[None] = Deferred()
        failed.errback(ValueError("awaited"))
        yield failed
        log.append("never")

    one, other = cooperator.run(raises()), cooperator.run(awaits())
    well = cooperator.run(steps(log, "a", 3))
    clock.advance(1)
    assert str(outcome(one)) == "broken"
    assert str(outcome(other)) == "awaited"
    assert outcome(well) is None
    assert log == ["a0", "a1", "a2"]


def test_a_work_is_paused_resumed_and_stopped() -> None:
    clock = MemoryClock()
    cooperator = Cooperator(clock)
    log: list[str] = []
    work = cooperator.add(steps(log, "a", 3))
    work.pause()
    work.pause()
    clock.advance(1)
    assert log == []
    work.resume()
    work.resume()
    clock.advance(1)
    assert outcome(work.done) is None
    work.pause()
    work.resume()
    assert len(cooperator) == 0
    stopped = cooperator.add(iter(range(10**9)))
    stopped.stop()
    assert isinstance(outcome(stopped.done), CancelledError)
    assert len(cooperator) == 0


def test_a_work_may_pause_or_stop_itself() -> None:
    clock = MemoryClock()
    cooperator = Cooperator(clock)
    log: list[str] = []

    def pauses() -> Iterator[Any]:
        work.pause()
        yield None
        log.append("resumed")
        work.stop()
        yield None
        log.append("never")

    work = cooperator.add(pauses())
    clock.advance(1)
    assert log == []
    work.resume()
    clock.advance(1)
    assert log == ["resumed"]
    assert isinstance(outcome(work.done), CancelledError)


def test_a_work_that_waits_is_paused_and_cancelled() -> None:
    clock = MemoryClock()
    cooperator = Cooperator(clock)
    waits: Deferred[None] = Deferred()
    closed: list[bool] = []

    def awaits() -> Iterator[Any]:
        try:
            yield waits
            yield Deferred()
        finally:
            closed.append(True)

    work = cooperator.add(awaits())
    clock.advance(1)
    work.pause()
    waits.callback(None)
    assert len(cooperator) == 0
    work.resume()
    clock.advance(1)
    work.pause()
    work.resume()
    work.done.cancel()
    assert closed == [True]
    assert isinstance(outcome(work.done), CancelledError)


def test_a_work_added_by_a_step_has_its_turn() -> None:
    clock = MemoryClock()
    cooperator = Cooperator(clock, 0)
    log: list[str] = []

    def adds() -> Iterator[Any]:
        cooperator.run(steps(log, "b", 2))
        yield None
        log.append("a")

    cooperator.run(adds())
    clock.advance(1)
    assert sorted(log) == ["a", "b0", "b1"]


def test_a_work_may_stop_itself_while_another_waits() -> None:
    clock = MemoryClock()
    cooperator = Cooperator(clock)
    waits: Deferred[None] = Deferred(lambda deferred: deferred.callback(None))

    def awaits() -> Iterator[Any]:
        yield waits

    work = cooperator.add(awaits())
    clock.advance(1)
    work.stop()
    assert waits.called
    assert len(cooperator) == 0
    assert isinstance(outcome(work.done), CancelledError)
