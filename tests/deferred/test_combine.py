from __future__ import annotations

from typing import Any

import pytest

from sshkit.deferred import (
    AlreadyCalledError,
    CancelledError,
    Deferred,
    DeferredList,
    Failure,
    FirstError,
    as_deferred,
    fail,
    first_success,
    gather,
    race,
    succeed,
)


@as_deferred
async def cleaning_up(cleaned: Deferred[Any]) -> None:
    """Wait for ever; when cancelled, for `cleaned`."""
    try:
        await Deferred[None]()
    finally:
        await cleaned


async def coroutine(value: int) -> int:
    return value


# gather


def test_gather_fires_with_all_values_in_order() -> None:
    parts: list[Deferred[int]] = [Deferred() for _ in range(3)]
    gathered = gather(*parts)
    for number in (2, 0, 1):
        assert not gathered.called
        parts[number].callback(number)
    assert gathered.result() == (0, 1, 2)
    assert parts[1].result() == 1


def test_gather_takes_coroutines_and_nothing_at_all() -> None:
    assert gather(coroutine(1), succeed("x")).result() == (1, "x")
    assert gather().result() == ()
    assert gather(return_exceptions=True).result() == ()


def test_the_first_failure_of_a_gather_cancels_the_rest_and_is_the_outcome() -> None:
    stopped: list[Any] = []
    first: Deferred[int] = Deferred()
    rest: Deferred[int] = Deferred(stopped.append)
    gathered = gather(first, rest)
    first.errback(ValueError("first"))
    assert stopped == [rest]
    with pytest.raises(ValueError, match="first"):
        gathered.result()


def test_a_failed_gather_fires_only_when_the_rest_have_ended() -> None:
    cleaned: Deferred[None] = Deferred()
    gathered = gather(cleaning_up(cleaned), fail(ValueError("first")))
    assert not gathered.called
    cleaned.errback(KeyError("second"))
    with pytest.raises(ValueError, match="first"):
        gathered.result()


def test_gather_with_return_exceptions_puts_them_among_the_values() -> None:
    error = ValueError()
    waiting: Deferred[int] = Deferred()
    gathered = gather(fail(error), waiting, return_exceptions=True)
    waiting.callback(1)
    assert gathered.result() == (error, 1)


@pytest.mark.parametrize("return_exceptions", [True, False])
def test_cancelling_a_gather_cancels_all_and_fires_when_they_have_ended(return_exceptions: bool) -> None:
    cleaned: Deferred[None] = Deferred()
    other: Deferred[None] = Deferred()
    gathered: Deferred[Any] = (
        gather(other, cleaning_up(cleaned), return_exceptions=True)
        if return_exceptions
        else gather(other, cleaning_up(cleaned))
    )
    gathered.cancel()
    assert other.called
    assert not gathered.called
    gathered.cancel()
    cleaned.callback(None)
    with pytest.raises(CancelledError):
        gathered.result()


def test_10000_gathers_inside_each_other_fire_without_recursion() -> None:
    first: Deferred[Any] = Deferred()
    last = first
    for _ in range(10_000):
        last = gather(last)
    seen: list[Any] = []
    last.add_callback(lambda value: seen.append(type(value)))
    first.callback(0)
    assert seen == [tuple]


# race, first_success


def test_the_first_value_wins_a_race_and_the_others_are_cancelled() -> None:
    slow: Deferred[int] = Deferred()
    fast: Deferred[str] = Deferred()
    raced = race(slow, fast)
    fast.callback("fast")
    assert raced.result() == "fast"
    with pytest.raises(CancelledError):
        slow.result()
    slow.callback(1)


def test_the_first_failure_ends_a_race_too() -> None:
    raced = race(Deferred[int](), fail(ValueError("lost")))
    with pytest.raises(ValueError, match="lost"):
        raced.result()


def test_a_race_whose_first_has_run_already_cancels_the_others() -> None:
    slow: Deferred[int] = Deferred()
    assert race(succeed(1), slow).result() == 1
    assert slow.called


def test_first_success_passes_over_failures() -> None:
    slow: Deferred[int] = Deferred()
    good: Deferred[int] = Deferred()
    result = first_success(fail(ValueError()), good, slow)
    good.callback(3)
    assert result.result() == 3
    assert slow.called


def test_first_success_fails_with_all_the_exceptions() -> None:
    result = first_success(fail(ValueError("a")), fail(KeyError("b")))
    with pytest.raises(ExceptionGroup, match="none of 2 succeeded") as info:
        result.result()
    assert [type(error) for error in info.value.exceptions] == [ValueError, KeyError]


@pytest.mark.parametrize("combine", [race, first_success])
def test_a_race_of_nothing_is_refused(combine: Any) -> None:
    with pytest.raises(ValueError, match="noth"):
        combine()


@pytest.mark.parametrize("combine", [race, first_success])
def test_cancelling_a_race_cancels_all(combine: Any) -> None:
    parts: list[Deferred[int]] = [Deferred(), Deferred()]
    raced = combine(*parts)
    raced.cancel()
    assert all(part.called for part in parts)
    with pytest.raises(CancelledError):
        raced.result()


def test_a_combined_deferred_cannot_be_fired_by_hand_twice() -> None:
    part: Deferred[int] = Deferred()
    gathered = gather(part)
    part.callback(1)
    with pytest.raises(AlreadyCalledError):
        gathered.callback((2,))


# DeferredList


def test_a_deferred_list_fires_with_every_outcome_in_order() -> None:
    later: Deferred[int] = Deferred()
    everything = DeferredList([later, fail(error := ValueError()), succeed(3)], consume_errors=True)
    assert not everything.called
    later.callback(1)
    [first, (success, failure), third] = everything.result()
    assert (first, success, third) == ((True, 1), False, (True, 3))
    assert failure.exception is error


def test_a_deferred_list_leaves_the_values_in_place() -> None:
    part: Deferred[int] = Deferred()
    DeferredList([part])
    part.callback(1)
    assert part.result() == 1


def test_a_deferred_list_that_does_not_consume_errors_leaves_them_to_their_deferreds() -> None:
    part: Deferred[int] = Deferred()
    everything = DeferredList([part])
    part.errback(ValueError("x"))
    assert everything.result()[0][0] is False
    with pytest.raises(ValueError, match="x"):
        part.result()


def test_a_deferred_list_that_consumes_errors_turns_them_to_none() -> None:
    part: Deferred[int] = Deferred()
    DeferredList([part], consume_errors=True)
    part.errback(ValueError())
    assert part.result() is None


def test_an_empty_deferred_list_fires_at_once_unless_it_waits_for_one_result() -> None:
    assert DeferredList([]).result() == []
    assert not DeferredList([], fire_on_one_result=True).called


def test_a_deferred_list_may_fire_on_one_result() -> None:
    parts: list[Deferred[str]] = [Deferred(), Deferred()]
    first = DeferredList(parts, fire_on_one_result=True)
    parts[1].callback("b")
    parts[0].callback("a")
    assert first.result() == ("b", 1)


def test_a_deferred_list_that_waits_for_one_result_gives_the_list_when_all_fail() -> None:
    first = DeferredList([fail(ValueError())], fire_on_one_result=True, consume_errors=True)
    [(success, failure)] = first.result()
    assert not success
    assert isinstance(failure, Failure)


def test_a_deferred_list_may_fail_on_one_error() -> None:
    waiting: Deferred[int] = Deferred()
    everything = DeferredList([waiting, fail(ValueError("x"))], fire_on_one_error=True, consume_errors=True)
    with pytest.raises(FirstError, match="Deferred number 1 failed: ValueError: x") as info:
        everything.result()
    assert info.value.index == 1
    assert info.value.failure.check(ValueError)
    assert not waiting.called


def test_cancelling_a_deferred_list_cancels_its_parts_and_gives_the_list() -> None:
    parts: list[Deferred[int]] = [Deferred(), Deferred()]
    everything = DeferredList(parts, consume_errors=True)
    everything.cancel()
    assert [success for success, _ in everything.result()] == [False, False]
