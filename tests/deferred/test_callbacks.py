from __future__ import annotations

import itertools
from typing import Any

import pytest
from sshkit_keys.errors import SSHKitError

from sshkit.deferred import (
    AlreadyCalledError,
    Deferred,
    Failure,
    NotFiredError,
    WaitsForItselfError,
    fail,
    succeed,
)


def boom(value: Any) -> Any:
    raise ValueError(f"boom {value}")


def test_callbacks_run_in_order_each_with_what_the_one_before_returned() -> None:
    deferred: Deferred[int] = Deferred()
    seen: list[Any] = []
    deferred.add_callback(lambda v: v + 1).add_callback(lambda v: seen.append(v) or str(v)).add_callback(
        seen.append
    )
    assert not deferred.called
    deferred.callback(1)
    assert deferred.called
    assert seen == [2, "2"]
    assert deferred.result() is None


def test_more_arguments_reach_callback_errback_and_both() -> None:
    seen: list[Any] = []
    succeed(1).add_callback(lambda *a, **k: seen.append((a, k)), 2, x=3)
    fail(ValueError()).add_errback(lambda f, *a, **k: seen.append((a, k)), 4, y=5)
    succeed(6).add_both(lambda *a, **k: seen.append((a, k)), 7)
    succeed(8).add_both(lambda *a, **k: seen.append((a, k)), z=9)
    assert seen == [((1, 2), {"x": 3}), ((4,), {"y": 5}), ((6, 7), {}), ((8,), {"z": 9})]


def test_a_callback_added_after_firing_is_called_at_once() -> None:
    seen: list[int] = []
    succeed(1).add_callback(seen.append)
    assert seen == [1]


def test_an_exception_skips_callbacks_until_an_errback_returns_a_value() -> None:
    deferred: Deferred[int] = Deferred()
    seen: list[Any] = []
    deferred.add_callback(boom).add_callback(seen.append).add_errback(lambda f: f.check(ValueError))
    deferred.add_errback(seen.append).add_callback(seen.append)
    deferred.callback(1)
    assert seen == [ValueError]


def test_an_errback_that_returns_the_failure_or_raises_passes_it_on() -> None:
    seen: list[Failure] = []
    deferred = fail(KeyError("a")).add_errback(lambda f: f).add_errback(boom).add_errback(seen.append)
    assert deferred.result() is None
    assert "boom" in str(seen[0])


def test_a_callback_that_returns_a_failure_fails() -> None:
    failure = Failure(ValueError("x"))
    deferred = succeed(1).add_callback(lambda _: failure)
    with pytest.raises(ValueError, match="x"):
        deferred.result()


def test_callback_with_a_failure_fails() -> None:
    deferred: Deferred[Any] = Deferred()
    deferred.callback(Failure(ValueError("x")))
    with pytest.raises(ValueError, match="x"):
        deferred.result()


def test_add_callbacks_calls_one_of_the_two() -> None:
    assert succeed(1).add_callbacks(lambda v: v + 1, lambda f: 0).result() == 2
    assert fail(ValueError()).add_callbacks(lambda v: v + 1, lambda f: 0).result() == 0
    assert succeed(1).add_callbacks(boom, lambda f: 0).add_errback(lambda f: 5).result() == 5


def test_firing_twice_is_a_local_error() -> None:
    deferred = succeed(1)
    with pytest.raises(AlreadyCalledError, match="fired with int") as info:
        deferred.callback(2)
    assert isinstance(info.value, SSHKitError)
    with pytest.raises(AlreadyCalledError):
        deferred.errback(ValueError())
    assert deferred.result() == 1


def test_firing_with_a_deferred_or_failing_without_an_exception_is_refused() -> None:
    deferred: Deferred[Any] = Deferred()
    with pytest.raises(TypeError, match="chain"):
        deferred.callback(succeed(1))
    with pytest.raises(TypeError, match="not str"):
        deferred.errback("no exception")  # type: ignore[arg-type]
    assert not deferred.called


def test_a_callback_added_by_a_callback_of_the_same_deferred_comes_last() -> None:
    deferred: Deferred[int] = Deferred()
    seen: list[Any] = []

    def first(value: int) -> str:
        deferred.add_callback(lambda v: seen.append(("third", v)))
        seen.append("first")
        return "x"

    deferred.add_callback(first).add_callback(lambda v: seen.append("second") or v + "y")
    deferred.callback(1)
    assert seen == ["first", "second", ("third", "xy")]


def test_an_errback_added_by_an_errback_of_the_same_deferred_comes_last() -> None:
    deferred: Deferred[int] = Deferred()
    seen: list[Any] = []

    def first(failure: Failure) -> Failure:
        deferred.add_errback(lambda f: seen.append(f.check(KeyError)))
        return Failure(KeyError())

    deferred.add_errback(first)
    deferred.errback(ValueError())
    assert seen == [KeyError]


def test_result_before_there_is_an_outcome_is_an_error() -> None:
    deferred: Deferred[int] = Deferred()
    with pytest.raises(NotFiredError, match="not fired"):
        deferred.result()
    deferred.add_callback(lambda _: Deferred())
    deferred.callback(1)
    with pytest.raises(NotFiredError, match="waits for a Deferred"):
        deferred.result()


# Waiting for another Deferred


def test_a_callback_that_returns_a_deferred_holds_the_rest_until_it_fires() -> None:
    outer: Deferred[int] = Deferred()
    inner: Deferred[str] = Deferred()
    seen: list[Any] = []
    outer.add_callback(lambda _: inner).add_callback(seen.append)
    outer.callback(1)
    assert seen == []
    inner.add_callback(lambda v: v + "!")
    inner.callback("x")
    assert seen == ["x"]


def test_an_inner_deferred_that_has_fired_is_taken_at_once_and_keeps_its_value() -> None:
    inner = succeed("x")
    assert succeed(1).add_callback(lambda _: inner).result() == "x"
    assert inner.result() == "x"
    failed = fail(ValueError("y"))
    assert succeed(1).add_callback(lambda _: failed).add_errback(str).result() == "ValueError: y"


def test_the_failure_of_an_inner_deferred_reaches_the_outer_errback_only() -> None:
    inner: Deferred[int] = Deferred()
    outer = succeed(1).add_callback(lambda _: inner).add_errback(lambda f: str(f.exception))
    inner.errback(ValueError("y"))
    assert outer.result() == "y"
    assert "ValueError" in repr(inner)


def test_callbacks_of_the_inner_deferred_added_later_come_after_the_outer_ones() -> None:
    inner: Deferred[int] = Deferred()
    outer: Deferred[int] = Deferred()
    seen: list[str] = []
    outer.add_callback(lambda _: inner).add_callback(lambda _: seen.append("outer"))
    outer.callback(0)
    second: Deferred[int] = Deferred()
    second.add_callback(lambda _: inner).add_callback(lambda _: seen.append("second"))
    second.callback(0)
    inner.add_callback(lambda v: seen.append(f"inner {v}"))
    inner.callback(5)
    assert seen == ["outer", "second", "inner 5"]


def test_an_outer_callback_may_finish_the_inner_deferred_that_is_half_way() -> None:
    inner: Deferred[int] = Deferred()
    outer = succeed(1).add_callback(lambda _: inner)
    seen: list[int] = []
    outer.add_callback(lambda v: inner.add_callback(lambda w: seen.append(w)) and None)
    inner.add_callback(lambda v: v + 1)
    inner.callback(1)
    assert seen == [2]


def test_an_inner_deferred_whose_callbacks_are_running_is_waited_for() -> None:
    inner: Deferred[int] = Deferred()
    seen: list[Any] = []

    def start(value: int) -> int:
        succeed(0).add_callback(lambda _: inner).add_callback(seen.append)
        return value

    inner.add_callback(start).add_callback(lambda v: v + 1)
    inner.callback(1)
    assert seen == [2]


def test_a_callback_that_returns_its_own_deferred_fails() -> None:
    deferred: Deferred[int] = Deferred()
    deferred.add_callback(lambda _: deferred)
    deferred.callback(1)
    with pytest.raises(WaitsForItselfError):
        deferred.result()


def test_100000_deferreds_chained_forwards_fire_without_recursion() -> None:
    deferreds: list[Deferred[int]] = [Deferred() for _ in range(100_000)]
    for one, following in itertools.pairwise(deferreds):
        one.add_callback(lambda _, following=following: following)
    for one in deferreds[:-1]:
        one.callback(0)
    deferreds[-1].callback(7)
    assert deferreds[0].result() == 7
    del one, following
    deferreds.clear()


def test_100000_deferreds_chained_backwards_fire_and_are_dropped_without_recursion() -> None:
    deferred = first = Deferred[int]()
    for _ in range(100_000):
        deferred = succeed(0).add_callback(lambda _, inner=deferred: inner)
    first.callback(7)
    assert deferred.result() == 7


def test_100000_deferreds_chained_are_cancelled_and_dropped_without_recursion() -> None:
    deferred: Deferred[int] = Deferred()
    for _ in range(100_000):
        deferred = succeed(0).add_callback(lambda _, inner=deferred: inner)
    deferred.add_errback(lambda f: "cancelled")
    deferred.cancel()
    assert deferred.result() == "cancelled"
    for _ in range(100_000):
        deferred = succeed(0).add_callback(lambda _, inner=deferred: inner)
    del deferred


def test_chain_gives_the_outcome_to_both() -> None:
    one: Deferred[int] = Deferred()
    other: Deferred[int] = Deferred()
    assert one.chain(other) is one
    with pytest.raises(AlreadyCalledError):
        other.callback(0)
    with pytest.raises(AlreadyCalledError, match="chained"):
        one.chain(other)
    with pytest.raises(WaitsForItselfError):
        one.chain(one)
    one.callback(5)
    assert (one.result(), other.result()) == (5, 5)


def test_cancelling_what_was_chained_to_cancels_the_source() -> None:
    seen: list[str] = []
    one: Deferred[int] = Deferred(lambda _: seen.append("cancelled"))
    other: Deferred[int] = Deferred()
    one.chain(other)
    other.cancel()
    assert seen == ["cancelled"]
    assert other.called


# Pausing


def test_a_paused_deferred_runs_nothing_until_unpaused_as_often() -> None:
    deferred: Deferred[int] = Deferred()
    seen: list[int] = []
    deferred.pause()
    deferred.pause()
    deferred.add_callback(seen.append)
    deferred.callback(1)
    deferred.unpause()
    assert seen == []
    deferred.unpause()
    assert seen == [1]


def test_unpausing_before_firing_runs_nothing() -> None:
    deferred: Deferred[int] = Deferred()
    deferred.pause()
    deferred.unpause()
    assert not deferred.called


def test_a_callback_may_pause_its_own_deferred() -> None:
    deferred: Deferred[int] = Deferred()
    seen: list[Any] = []
    deferred.add_callback(lambda v: deferred.pause() or v).add_callback(seen.append)
    deferred.callback(1)
    assert seen == []
    deferred.unpause()
    assert seen == [1]


def test_a_watcher_that_pauses_its_deferred_stops_it() -> None:
    deferred: Deferred[int] = Deferred()
    seen: list[Any] = []
    deferred.watch(lambda v: deferred.pause())
    deferred.add_callback(seen.append)
    deferred.callback(1)
    assert seen == []
    deferred.unpause()
    assert seen == [1]


def test_unpausing_what_is_not_paused_is_an_error() -> None:
    with pytest.raises(NotFiredError, match="not paused"):
        succeed(1).unpause()
    waiting = succeed(1).add_callback(lambda _: Deferred())
    with pytest.raises(NotFiredError, match="not paused"):
        waiting.unpause()


def test_an_outer_deferred_paused_meanwhile_goes_on_when_unpaused() -> None:
    inner: Deferred[int] = Deferred()
    outer = succeed(0).add_callback(lambda _: inner)
    seen: list[int] = []
    outer.add_callback(seen.append)
    outer.pause()
    inner.callback(5)
    assert seen == []
    outer.unpause()
    assert seen == [5]


# Leaving the program


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_an_exit_from_a_callback_becomes_a_failure_and_is_raised_after_the_others_ran(
    kind: type[BaseException],
) -> None:
    deferred: Deferred[int] = Deferred()
    seen: list[Any] = []

    def leave(_: int) -> None:
        raise kind

    deferred.add_callback(leave).add_errback(lambda f: seen.append(f.check(kind)))
    with pytest.raises(kind):
        deferred.callback(1)
    assert seen == [kind]
    assert deferred.result() is None


def test_repr_tells_the_state_and_not_the_value() -> None:
    assert "not fired" in repr(Deferred())
    assert "fired with str" in repr(succeed("secret"))
    assert "secret" not in repr(succeed("secret"))
    failed = fail(ValueError("secret"))
    assert "failed with ValueError" in repr(failed)
    failed.add_errback(lambda f: None)


def test_succeeding_with_a_deferred_or_a_failure_is_as_firing_with_it() -> None:
    inner: Deferred[int] = Deferred()
    with pytest.raises(TypeError, match="not with a Deferred"):
        succeed(inner)
    error = ValueError("no")
    with pytest.raises(ValueError, match="no"):
        succeed(Failure(error)).result()
