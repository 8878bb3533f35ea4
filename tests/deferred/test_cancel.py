from __future__ import annotations

import asyncio
from typing import Any

import pytest

from sshkit.deferred import AlreadyCalledError, CancelledError, Deferred, succeed
from sshkit.deferred.failure import Failure

from .conftest import HandClock


def test_cancelling_without_a_canceller_fails_with_cancelled_error() -> None:
    deferred: Deferred[int] = Deferred()
    deferred.cancel()
    with pytest.raises(asyncio.CancelledError):
        deferred.result()


def test_one_late_result_after_a_cancel_is_swallowed_and_a_second_refused() -> None:
    deferred: Deferred[int] = Deferred()
    deferred.cancel()
    deferred.callback(1)
    with pytest.raises(AlreadyCalledError):
        deferred.callback(2)


def test_a_canceller_that_does_not_fire_leaves_the_failing_and_the_late_result_to_us() -> None:
    seen: list[Any] = []
    deferred: Deferred[int] = Deferred(seen.append)
    deferred.cancel()
    assert seen == [deferred]
    deferred.errback(ValueError("late"))
    with pytest.raises(CancelledError):
        deferred.result()


def test_a_canceller_may_fire_the_deferred_with_what_fits() -> None:
    deferred: Deferred[int] = Deferred(lambda d: d.callback(5))
    deferred.cancel()
    assert deferred.result() == 5
    with pytest.raises(AlreadyCalledError):
        deferred.callback(6)


def test_the_canceller_is_called_once() -> None:
    seen: list[Any] = []
    deferred: Deferred[int] = Deferred(seen.append)
    deferred.cancel()
    deferred.cancel()
    assert len(seen) == 1


def test_an_exception_of_the_canceller_is_the_failure() -> None:
    def broken(_: object) -> None:
        raise ValueError("broken")

    deferred: Deferred[int] = Deferred(broken)
    deferred.cancel()
    with pytest.raises(ValueError, match="broken"):
        deferred.result()


def test_an_exception_of_a_canceller_that_has_fired_is_reported(unhandled: list[tuple[Failure, str]]) -> None:
    def broken(deferred: Deferred[int]) -> None:
        deferred.callback(1)
        raise ValueError("broken")

    deferred: Deferred[int] = Deferred(broken)
    deferred.cancel()
    assert deferred.result() == 1
    assert str(unhandled.pop()[0]) == "ValueError: broken"


def test_cancelling_what_has_an_outcome_does_nothing() -> None:
    deferred = succeed(1)
    deferred.cancel()
    assert deferred.result() == 1


def test_cancelling_an_outer_deferred_cancels_the_inner_one_it_waits_for() -> None:
    inner: Deferred[int] = Deferred(lambda d: d.errback(ValueError("stopped")))
    outer = succeed(0).add_callback(lambda _: inner)
    outer.cancel()
    with pytest.raises(ValueError, match="stopped"):
        outer.result()


# Time-outs


def test_a_deadline_cancels_and_tells_what_and_how_long(clock: HandClock) -> None:
    seen: list[Any] = []
    deferred: Deferred[int] = Deferred(seen.append)
    deferred.add_timeout(2.5, clock, what="the name look-up")
    clock.advance(2)
    assert seen == []
    clock.advance(1)
    with pytest.raises(TimeoutError, match=r"^the name look-up did not end within 2\.5 s$") as info:
        deferred.result()
    assert isinstance(info.value.__cause__, CancelledError)
    assert len(seen) == 1


def test_a_value_in_time_stops_the_clock(clock: HandClock) -> None:
    deferred: Deferred[int] = Deferred()
    deferred.add_timeout(1, clock)
    deferred.callback(3)
    assert not clock.calls[0].active
    assert deferred.result() == 3
    assert succeed(4).add_timeout(1, clock).result() == 4
    assert not clock.calls[1].active


def test_a_failure_in_time_stays_itself(clock: HandClock) -> None:
    deferred: Deferred[int] = Deferred()
    deferred.add_timeout(1, clock)
    deferred.errback(ValueError("mine"))
    with pytest.raises(ValueError, match="mine"):
        deferred.result()


def test_on_timeout_gives_the_value_instead(clock: HandClock) -> None:
    deferred: Deferred[int] = Deferred()
    deferred.add_timeout(1, clock, lambda failure, seconds: f"{failure} {seconds}")
    clock.advance(1)
    assert deferred.result() == "CancelledError 1"


def test_a_value_that_the_canceller_gives_at_the_deadline_is_kept(clock: HandClock) -> None:
    deferred: Deferred[int] = Deferred(lambda d: d.callback(9))
    deferred.add_timeout(1, clock)
    clock.advance(1)
    assert deferred.result() == 9


def test_a_deadline_that_passes_after_the_outcome_does_nothing(clock: HandClock) -> None:
    deferred: Deferred[int] = Deferred()
    deferred.add_timeout(1, clock)
    call = clock.calls[0]
    deferred.callback(1)
    call.function()
    assert deferred.result() == 1


def test_a_clock_whose_call_is_over_is_not_cancelled_again(clock: HandClock) -> None:
    deferred: Deferred[int] = Deferred()
    deferred.add_timeout(1, clock)
    clock.calls[0].active = False
    deferred.callback(1)
    assert deferred.result() == 1
