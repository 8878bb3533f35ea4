"""Delayed calls: order, cancelling, moving; and call_soon."""

from collections.abc import Callable
from typing import Any

import pytest
from zope.interface.verify import verifyObject

from sshkit.deferred import Deferred
from sshkit.interfaces import IDelayedCall
from sshkit.reactor import timers
from sshkit.reactor.core import EXTRA_CALLBACKS
from sshkit.reactor.timers import CLEAN_FROM, Timers, fire

from .helpers import later

Run = Callable[[Any], Any]


class Time:
    """The clock that the module under test sees."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(timers, "monotonic", lambda: self.now)


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    return Time(monkeypatch)


def fired(wheel: Timers, now: float) -> None:
    for call in wheel.due(now):
        fire(call)


def test_calls_come_by_time_and_equal_times_in_the_order_of_asking(time: Time) -> None:
    wheel, order = Timers(), list[str]()
    for name, seconds in (("c", 3), ("a", 1), ("b1", 2), ("b2", 2), ("b3", 2)):
        wheel.call_later(seconds, order.append, (name,))
    time.now = 102.0
    fired(wheel, time.now)
    assert order == ["a", "b1", "b2", "b3"]
    time.now = 103.0
    fired(wheel, time.now)
    assert order[-1] == "c"
    assert wheel.heap == []


def test_a_cancelled_call_is_not_made_and_may_be_cancelled_again(time: Time) -> None:
    wheel = Timers()
    call = wheel.call_later(1, pytest.fail, ("made",))
    assert verifyObject(IDelayedCall, call)
    assert call.active
    assert "101.000" in repr(call)
    call.cancel()
    call.cancel()
    call.reset(0)
    assert not call.active
    time.now = 102.0
    fired(wheel, time.now)


def test_a_call_cancelled_by_another_of_the_same_turn_is_not_made(time: Time) -> None:
    wheel = Timers()
    victim: list[Any] = []
    wheel.call_later(1, lambda: victim[0].cancel(), ())
    victim.append(wheel.call_later(1, pytest.fail, ("made",)))
    time.now = 101.0
    fired(wheel, time.now)
    assert not victim[0].active


def test_a_call_moved_by_another_of_the_same_turn_is_made_later(time: Time) -> None:
    wheel, made = Timers(), list[int]()
    moved: list[Any] = []
    wheel.call_later(1, lambda: moved[0].reset(5), ())
    moved.append(wheel.call_later(1, made.append, (1,)))
    time.now = 101.0
    fired(wheel, 101.0)
    assert made == []
    time.now = 106.0
    fired(wheel, 106.0)
    assert made == [1]


def test_a_time_out_that_is_always_reset_stays_one_entry(time: Time) -> None:
    wheel, made = Timers(), list[int]()
    call = wheel.call_later(10, made.append, (1,))
    for second in range(1, 30):
        time.now = 100.0 + second
        fired(wheel, time.now)
        call.reset(10)
        assert len(wheel.heap) == 1
    assert made == []
    assert call.when == 139.0
    time.now = 139.0
    fired(wheel, time.now)
    assert made == [1]


def test_a_call_moved_earlier_is_made_then_and_once(time: Time) -> None:
    wheel, made = Timers(), list[int]()
    call = wheel.call_later(10, made.append, (1,))
    call.reset(1)
    time.now = 101.0
    fired(wheel, time.now)
    assert made == [1]
    time.now = 120.0
    fired(wheel, time.now)
    assert made == [1]


def test_dead_entries_do_not_pile_up(time: Time) -> None:
    wheel = Timers()
    keep = wheel.call_later(5, lambda: None, ())
    for _ in range(100 * CLEAN_FROM):
        wheel.call_later(10, pytest.fail, ("made",)).cancel()
    assert len(wheel.heap) <= 2 * CLEAN_FROM + 2
    assert keep.active


def test_the_host_is_told_when_the_first_deadline_moves_forward_only(time: Time) -> None:
    told: list[float] = []
    wheel = Timers(lambda: told.append(wheel.heap[0][0]))
    wheel.call_later(10, lambda: None, ())
    wheel.call_later(20, lambda: None, ())
    wheel.call_later(5, lambda: None, ())
    assert told == [110.0, 105.0]


def test_cleared_calls_are_not_active(time: Time) -> None:
    wheel = Timers()
    call = wheel.call_later(1, pytest.fail, ("made",))
    wheel.clear()
    assert not call.active
    assert wheel.heap == []


def test_delayed_calls_are_made_in_order_on_every_engine(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[Any] = []

    async def main(reactor: Any) -> None:
        done: Deferred[None] = Deferred()
        start = reactor.seconds()
        with monkeypatch.context() as patch:
            patch.setattr(timers, "monotonic", lambda: start)  # they are all asked for at one time
            reactor.call_later(0.003, order.append, 3)
            reactor.call_later(0.001, order.append, 1)
            reactor.call_later(0.002, order.append, 2)
            reactor.call_later(0.0025, order.append, "never").cancel()
            last = reactor.call_later(30, done.callback, None)
            last.reset(0.004)
            reactor.call_later(-1, order.append, 0)
        await done
        assert reactor.seconds() - start >= 0.004

    run(main)
    assert order == [0, 1, 2, 3]


def test_a_call_of_no_delay_made_by_a_delayed_call_waits_for_the_next_turn(run: Run) -> None:
    order: list[str] = []

    async def main(reactor: Any) -> None:
        def first() -> None:
            order.append("first")
            reactor.call_later(0, order.append, "second")
            reactor.call_soon(lambda: order.append("soon"))

        reactor.call_later(0, first)
        while len(order) < 3:
            await later(reactor)

    run(main)
    assert order == ["first", "soon", "second"]


def test_call_soon_is_not_made_inside_the_call_and_keeps_its_order(run: Run) -> None:
    order: list[int] = []

    async def main(reactor: Any) -> None:
        done: Deferred[None] = Deferred()
        reactor.call_soon(lambda: order.append(1))
        reactor.call_soon(lambda: order.append(2))
        reactor.call_soon(lambda: done.callback(None))
        order.append(0)
        await done

    run(main)
    assert order == [0, 1, 2]


def test_a_callback_that_adds_itself_for_ever_does_not_keep_the_others_waiting(run: Run) -> None:
    async def main(reactor: Any) -> int:
        count = 0
        stopped = False

        def again() -> None:
            nonlocal count
            count += 1
            if not stopped:
                reactor.call_soon(again)

        reactor.call_soon(again)
        await later(reactor, 0.001)
        stopped = True
        return count

    assert run(main) >= EXTRA_CALLBACKS


def test_r41_a_callback_that_fails_is_reported_and_the_reactor_goes_on(run: Run, reports: list[str]) -> None:
    def fail() -> None:
        raise RuntimeError("bug")

    async def main(reactor: Any) -> None:
        reactor.call_soon(fail)
        reactor.call_later(0, fail)
        await later(reactor, 0.001)

    run(main)
    assert sorted(report.split(" ")[0] for report in reports) == ["callback", "delayed"]
