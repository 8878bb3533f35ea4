from __future__ import annotations

import contextvars
import subprocess
import sys
import types
from collections.abc import Callable, Generator
from typing import Any

import pytest

from sshkit.deferred import (
    CancelledError,
    Deferred,
    Failure,
    NoSchedulerError,
    as_deferred,
    coroutines,
    ensure_deferred,
    fail,
    maybe_deferred,
    set_scheduler,
    succeed,
)
from sshkit.deferred.coroutines import CoroutineDeferred

from .conftest import HandClock


async def wait_for(deferred: Deferred[Any]) -> Any:
    return await deferred


@types.coroutine
def give_turn() -> Generator[None, None, None]:
    yield


@types.coroutine
def wait_on_nonsense() -> Generator[Any, Any, Any]:
    return (yield "nonsense")


def test_a_coroutine_runs_at_once_to_its_first_wait_and_on_within_the_firing_call() -> None:
    waited: Deferred[int] = Deferred()
    seen: list[Any] = []

    async def work() -> str:
        seen.append("started")
        seen.append(await waited)
        return "done"

    deferred = ensure_deferred(work())
    assert seen == ["started"]
    waited.callback(5)
    assert seen == ["started", 5]
    assert deferred.result() == "done"


def test_awaiting_what_has_fired_does_not_wait_and_leaves_the_value_in_place() -> None:
    async def twice() -> list[int]:
        value = succeed(3)
        return [await value, await value, value.add_callback(lambda v: v + 1).result()]

    assert ensure_deferred(twice()).result() == [3, 3, 4]


def test_a_callback_added_after_an_await_still_sees_the_value() -> None:
    waited: Deferred[int] = Deferred()
    deferred = ensure_deferred(wait_for(waited))
    seen: list[int] = []
    waited.add_callback(seen.append)
    waited.callback(1)
    assert (deferred.result(), seen) == (1, [1])


def test_the_value_awaited_is_the_one_at_that_place_among_the_callbacks() -> None:
    waited: Deferred[int] = Deferred()
    waited.add_callback(lambda v: v + 1)
    deferred = ensure_deferred(wait_for(waited))
    waited.add_callback(lambda v: v + 10)
    waited.callback(1)
    assert (deferred.result(), waited.result()) == (2, 12)


def test_a_failure_is_raised_at_the_await_with_its_own_traceback() -> None:
    def origin() -> None:
        raise KeyError("deep")

    async def work(waited: Deferred[Any]) -> str:
        try:
            await waited
        except KeyError as error:
            names = []
            trace = error.__traceback__
            while trace is not None:
                names.append(trace.tb_frame.f_code.co_name)
                trace = trace.tb_next
            return names[-1]
        return "nothing raised"

    assert ensure_deferred(work(maybe_deferred(origin))).result() == "origin"
    waited: Deferred[Any] = Deferred()
    waited.add_callback(lambda _: origin())
    deferred = ensure_deferred(work(waited))
    waited.callback(1)
    assert deferred.result() == "origin"


def test_two_coroutines_may_await_the_same_failure() -> None:
    waited: Deferred[Any] = Deferred()
    one, other = ensure_deferred(wait_for(waited)), ensure_deferred(wait_for(waited))
    waited.errback(ValueError("both"))
    for deferred in (one, other):
        with pytest.raises(ValueError, match="both"):
            deferred.result()


def test_an_exception_of_a_coroutine_fails_its_deferred() -> None:
    async def work() -> None:
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        ensure_deferred(work()).result()


def test_100000_coroutines_in_a_row_end_without_recursion() -> None:
    first: Deferred[int] = Deferred()
    last: Deferred[int] = first
    for _ in range(100_000):
        last = ensure_deferred(wait_for(last))
    first.callback(7)
    assert last.result() == 7


def test_100000_awaits_of_fired_deferreds_use_no_stack() -> None:
    async def work() -> int:
        return sum([await succeed(1) for _ in range(100_000)])

    assert ensure_deferred(work()).result() == 100_000


def test_a_coroutine_that_awaits_a_paused_deferred_goes_on_when_it_is_unpaused() -> None:
    waited = succeed(1)
    waited.pause()
    deferred = ensure_deferred(wait_for(waited))
    assert not deferred.called
    waited.unpause()
    assert deferred.result() == 1


def test_a_coroutine_that_returns_a_deferred_is_refused() -> None:
    async def work() -> Any:
        return succeed(1)

    with pytest.raises(TypeError, match="await it"):
        ensure_deferred(work()).result()


def test_ensure_deferred_takes_deferreds_and_refuses_the_rest() -> None:
    deferred = succeed(1)
    assert ensure_deferred(deferred) is deferred
    with pytest.raises(TypeError, match="neither"):
        ensure_deferred(3)  # type: ignore[arg-type]


def test_as_deferred_keeps_name_and_arguments() -> None:
    @as_deferred
    async def add(a: int, *, b: int) -> int:
        """Add."""
        return a + b

    assert add.__name__ == "add"
    assert add.__doc__ == "Add."
    assert add(1, b=2).result() == 3


def test_maybe_deferred_takes_whatever_a_function_returns_or_raises() -> None:
    async def coroutine(x: int) -> int:
        return x

    deferred = succeed(1)
    assert maybe_deferred(lambda: deferred) is deferred
    assert maybe_deferred(coroutine, 2).result() == 2
    assert maybe_deferred(int, "3").result() == 3
    with pytest.raises(ValueError, match="invalid literal"):
        maybe_deferred(int, "x").result()
    with pytest.raises(KeyError):
        maybe_deferred(lambda: Failure(KeyError())).result()


def test_what_a_coroutine_cannot_wait_for_is_raised_in_it() -> None:
    async def work() -> str:
        try:
            await wait_on_nonsense()
        except TypeError as error:
            return str(error)
        return ""

    assert "'nonsense'" in ensure_deferred(work()).result()


def test_every_coroutine_has_a_context_of_its_own() -> None:
    variable = contextvars.ContextVar("variable", default="outside")
    waited: Deferred[None] = Deferred()

    async def work(name: str) -> str:
        variable.set(name)
        await waited
        return variable.get()

    one, other = ensure_deferred(work("one")), ensure_deferred(work("other"))
    waited.callback(None)
    assert (one.result(), other.result(), variable.get()) == ("one", "other", "outside")


# A turn for others


async def two_turns() -> str:
    await give_turn()
    await give_turn()
    return "done"


def test_a_bare_yield_goes_on_by_the_scheduler_given() -> None:
    turns: list[Callable[[], object]] = []
    deferred = ensure_deferred(two_turns(), call_soon=turns.append)
    while turns:
        assert not deferred.called
        turns.pop()()
    assert deferred.result() == "done"


def test_a_bare_yield_goes_on_by_the_scheduler_of_the_context(clock: HandClock) -> None:
    token = set_scheduler(clock.call_soon)
    deferred = ensure_deferred(two_turns())
    set_scheduler(None)
    clock.advance(0)
    clock.advance(0)
    assert deferred.result() == "done"
    assert token.old_value is token.MISSING


def test_a_bare_yield_that_nobody_can_serve_raises() -> None:
    with pytest.raises(NoSchedulerError):
        ensure_deferred(two_turns()).result()


# Cancelling


def test_cancelling_raises_at_the_wait_and_cancels_what_is_waited_for() -> None:
    stopped: list[Any] = []
    seen: list[str] = []
    waited: Deferred[int] = Deferred(stopped.append)

    async def work() -> None:
        try:
            await waited
        except CancelledError:
            seen.append("cancelled")
            raise

    deferred = ensure_deferred(work())
    deferred.cancel()
    assert (stopped, seen) == ([waited], ["cancelled"])
    with pytest.raises(CancelledError):
        deferred.result()


@pytest.mark.parametrize("outcome", ["value", ValueError("other")])
def test_a_canceller_that_fires_with_something_else_does_not_undo_the_cancelling(outcome: Any) -> None:
    def fire(deferred: Deferred[Any]) -> None:
        if isinstance(outcome, Exception):
            deferred.errback(outcome)
        else:
            deferred.callback(outcome)

    deferred = ensure_deferred(wait_for(Deferred(fire)))
    deferred.cancel()
    with pytest.raises(CancelledError):
        deferred.result()


def test_a_cancelled_coroutine_may_take_its_time_to_clean_up() -> None:
    cleaned: Deferred[str] = Deferred()

    async def work() -> str:
        try:
            await Deferred[None]()
        finally:
            await cleaned
        return "never"

    deferred = ensure_deferred(work())
    outer = ensure_deferred(wait_for(deferred))
    outer.cancel()
    assert not deferred.called
    assert not outer.called
    cleaned.callback("")
    for one in (deferred, outer):
        with pytest.raises(CancelledError):
            one.result()


def test_a_coroutine_that_catches_the_cancelling_keeps_its_own_outcome() -> None:
    async def work() -> str:
        try:
            await Deferred[None]()
        except CancelledError:
            pass
        return "kept"

    deferred = ensure_deferred(work())
    deferred.cancel()
    assert deferred.result() == "kept"
    deferred.cancel()


def test_a_coroutine_may_cancel_itself_and_sees_it_at_its_next_wait() -> None:
    waited: Deferred[int] = Deferred()
    deferreds: list[Deferred[Any]] = []

    async def work() -> None:
        await waited
        deferreds[0].cancel()
        await Deferred[None]()

    deferreds.append(ensure_deferred(work()))
    waited.callback(1)
    with pytest.raises(CancelledError):
        deferreds[0].result()


def test_a_coroutine_that_waits_for_its_turn_is_cancelled_when_it_comes() -> None:
    turns: list[Callable[[], object]] = []
    deferred = ensure_deferred(two_turns(), call_soon=turns.append)
    deferred.cancel()
    turns.pop()()
    with pytest.raises(CancelledError):
        deferred.result()


def test_a_coroutine_whose_deferred_was_fired_by_hand_has_nowhere_to_go() -> None:
    waited: Deferred[int] = Deferred()
    deferred = ensure_deferred(wait_for(waited))
    deferred.callback("by hand")
    waited.callback(1)
    assert deferred.result() == "by hand"


def test_deadlines_work_on_coroutines(clock: HandClock) -> None:
    deferred = ensure_deferred(wait_for(Deferred())).add_timeout(1, clock)
    clock.advance(1)
    with pytest.raises(TimeoutError):
        deferred.result()


@pytest.mark.parametrize("settled", [True, False])
def test_an_exit_in_a_coroutine_is_raised_from_the_firing_call(settled: bool) -> None:
    waited: Deferred[int] = Deferred()

    async def work() -> None:
        await waited
        raise KeyboardInterrupt

    deferred = ensure_deferred(work())
    if settled:
        deferred.callback(None)
    with pytest.raises(KeyboardInterrupt):
        waited.callback(1)
    if not settled:
        with pytest.raises(KeyboardInterrupt):
            deferred.result()


def test_a_dropped_coroutine_is_closed() -> None:
    seen: list[str] = []

    async def work() -> None:
        try:
            await Deferred[None]()
        finally:
            seen.append("closed")

    coroutine = work()
    ensure_deferred(coroutine)
    coroutine.close()
    assert seen == ["closed"]


def test_where_asyncio_is_not_loaded_no_loop_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coroutines, "_get_running_loop", None)
    monkeypatch.delitem(sys.modules, "asyncio", raising=False)
    assert coroutines.running_loop() is None
    assert "asyncio" not in sys.modules


def test_nothing_here_imports_asyncio() -> None:
    code = """if True:
        import sys
        from sshkit.deferred import *
        async def work(d):
            return await d
        d = Deferred()
        e = gather(ensure_deferred(work(d)), DeferredQueue().get(), succeed(1))
        d.callback(1)
        e.cancel()
        try:
            e.result()
        except CancelledError:
            pass
        heavy = {"asyncio", "logging", "traceback", "inspect", "dataclasses", "socket", "threading"}
        print(sorted(heavy & set(sys.modules)))
    """
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_the_driver_is_a_deferred_of_moderate_size() -> None:
    deferred = ensure_deferred(wait_for(Deferred()))
    assert isinstance(deferred, CoroutineDeferred)
    assert sys.getsizeof(Deferred()) <= 80
    assert sys.getsizeof(deferred) <= 136
    assert not hasattr(deferred, "__dict__")
    fail(ValueError()).add_errback(lambda f: None)
