"""Deferreds in asyncio programs, on asyncio's own loop and on uvloop."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import weakref
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from sshkit.deferred import (
    CancelledError,
    Deferred,
    DeferredLock,
    DeferredQueue,
    NotFiredError,
    ensure_deferred,
    fail,
    from_future,
    gather,
    maybe_deferred,
    succeed,
)
from sshkit.deferred.failure import Failure
from sshkit.deferred.waiter import Waiter

Runner = Callable[[Callable[[], Coroutine[Any, Any, Any]]], Any]


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Runner:
    if request.param == "uvloop":
        import uvloop

        factory = uvloop.new_event_loop
    else:
        factory = asyncio.new_event_loop

    def start(main: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        with asyncio.Runner(loop_factory=factory) as runner:
            return runner.run(main())

    return start


def later(function: Callable[..., object], *args: Any) -> None:
    asyncio.get_running_loop().call_soon(function, *args)


async def wait_for(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


# A Task awaits a Deferred


def test_a_task_awaits_a_deferred_and_the_value_stays(run: Runner) -> None:
    async def main() -> None:
        deferred: Deferred[int] = Deferred()
        later(deferred.callback, 5)
        assert await deferred == 5
        assert await deferred == 5
        assert deferred.add_callback(lambda v: v + 1).result() == 6

    run(main)


def test_a_task_gets_the_failure_with_its_traceback(run: Runner) -> None:
    def origin(_: int) -> None:
        raise KeyError("deep")

    async def main() -> list[str]:
        deferred: Deferred[Any] = Deferred()
        deferred.add_callback(origin)
        later(deferred.callback, 5)
        try:
            await deferred
        except KeyError as error:
            trace = error.__traceback__
            names = []
            while trace is not None:
                names.append(trace.tb_frame.f_code.co_name)
                trace = trace.tb_next
            return names
        return []

    names = run(main)
    assert names[0] == "main"
    assert names[-1] == "origin"


def test_a_task_is_woken_through_the_loop_and_never_inside_the_firing_call(run: Runner) -> None:
    async def main() -> None:
        deferred: Deferred[int] = Deferred()
        seen: list[str] = []

        async def work() -> None:
            await deferred
            seen.append("woken")

        task = asyncio.create_task(work())
        await asyncio.sleep(0)
        deferred.callback(1)
        assert seen == []
        await task
        assert seen == ["woken"]

    run(main)


def test_a_woken_task_keeps_its_context(run: Runner) -> None:
    variable = contextvars.ContextVar("variable", default="")

    async def work(name: str, deferred: Deferred[None]) -> str:
        variable.set(name)
        await deferred
        return variable.get()

    async def main() -> None:
        deferred: Deferred[None] = Deferred()
        later(deferred.callback, None)
        assert await asyncio.gather(work("a", deferred), work("b", deferred)) == ["a", "b"]

    run(main)


def test_cancelling_the_task_cancels_the_deferred(run: Runner) -> None:
    async def main() -> None:
        stopped: list[Any] = []
        deferred: Deferred[int] = Deferred(stopped.append)
        task = asyncio.create_task(wait_for(deferred))
        await asyncio.sleep(0)
        task.cancel("by the test")
        with pytest.raises(asyncio.CancelledError, match="by the test"):
            await task
        assert stopped == [deferred]

    run(main)


def test_cancelling_the_deferred_cancels_the_task(run: Runner) -> None:
    async def main() -> None:
        deferred: Deferred[int] = Deferred()
        task = asyncio.create_task(wait_for(deferred))
        await asyncio.sleep(0)
        deferred.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelled()

    run(main)


@pytest.mark.parametrize("outcome", ["value", ValueError("other")])
def test_a_cancelled_task_gets_the_cancellation_whatever_the_canceller_fires(
    run: Runner, outcome: Any
) -> None:
    def fire(deferred: Deferred[Any]) -> None:
        if isinstance(outcome, Exception):
            deferred.errback(outcome)
        else:
            deferred.callback(outcome)

    async def main() -> None:
        task = asyncio.create_task(wait_for(Deferred(fire)))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(main)


def test_asyncio_timeout_around_a_deferred_raises_timeout_error(run: Runner) -> None:
    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await Deferred[None]()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(Deferred[None](), 0)

    run(main)


def test_a_task_waits_for_the_cleaning_up_of_our_coroutine(run: Runner) -> None:
    async def main() -> None:
        cleaned: Deferred[None] = Deferred()

        async def work() -> None:
            try:
                await Deferred[None]()
            finally:
                await cleaned

        task = asyncio.create_task(wait_for(ensure_deferred(work())))
        await asyncio.sleep(0)
        task.cancel("why")
        await asyncio.sleep(0)
        assert not task.done()
        cleaned.callback(None)
        with pytest.raises(asyncio.CancelledError, match="why"):
            await task

    run(main)


@pytest.mark.parametrize("times", [1, 2])
def test_an_item_or_lock_whose_task_is_cancelled_before_it_sees_it_goes_back(run: Runner, times: int) -> None:
    async def main() -> None:
        queue: DeferredQueue[int] = DeferredQueue()
        lock = DeferredLock()
        await lock.acquire()
        tasks = [asyncio.create_task(wait_for(queue.get())), asyncio.create_task(wait_for(lock.acquire()))]
        await asyncio.sleep(0)
        queue.put(1)
        lock.release()
        assert lock.locked
        for task in tasks:
            for _ in range(times):
                task.cancel()
        for task in tasks:
            with pytest.raises(asyncio.CancelledError):
                await task
        assert len(queue) == 1
        assert not lock.locked

    run(main)


def test_an_item_given_by_the_canceller_goes_back_when_the_task_is_cancelled(run: Runner) -> None:
    returned: list[int] = []

    class Given(Deferred[int]):
        def undelivered(self, value: int) -> None:
            returned.append(value)

    async def main() -> None:
        task = asyncio.create_task(wait_for(Given(lambda d: d.callback(1))))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert returned == [1]

    run(main)


def test_a_deferred_fired_after_the_loop_was_closed_wakes_nobody() -> None:
    deferred: Deferred[int] = Deferred()
    loop = asyncio.new_event_loop()
    coroutine = wait_for(deferred)
    task = loop.create_task(coroutine)
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    deferred.callback(1)
    assert not task.done()
    task._log_destroy_pending = False  # type: ignore[attr-defined]
    coroutine.close()


def test_the_waiter_answers_like_a_future() -> None:
    async def main() -> None:
        deferred: Deferred[int] = Deferred()
        waiter = Waiter(deferred)
        seen: list[Any] = []
        assert waiter.get_loop() is asyncio.get_running_loop()
        for ask in (waiter.result, waiter.exception):
            with pytest.raises(NotFiredError):
                ask()
        waiter.add_done_callback(seen.append)
        assert (waiter.remove_done_callback(seen.append), waiter.remove_done_callback(seen.append)) == (1, 0)
        waiter.add_done_callback(seen.append)
        waiter.add_done_callback(seen.append)
        assert not waiter.done()
        deferred.callback(3)
        assert (waiter.done(), waiter.cancelled(), waiter.result(), waiter.exception()) == (
            True,
            False,
            3,
            None,
        )
        await asyncio.sleep(0)
        assert seen == [waiter, waiter]
        waiter.add_done_callback(seen.append)
        await asyncio.sleep(0)
        assert len(seen) == 3
        assert not waiter.cancel()

        failed = Waiter(fail(error := ValueError("x")))
        failed.add_done_callback(seen.append)
        assert failed.exception() is error
        with pytest.raises(ValueError, match="x"):
            failed.result()
        assert not failed.cancel()

        cancelled = Waiter(Deferred())
        cancelled.add_done_callback(seen.append)
        assert cancelled.cancel("m")
        with pytest.raises(CancelledError, match="m"):
            cancelled.exception()

    asyncio.run(main())


# Our driver in an asyncio program


def test_our_coroutine_awaits_asyncio_futures_tasks_and_sleeps(run: Runner) -> None:
    async def work() -> list[Any]:
        future = asyncio.get_running_loop().create_future()
        later(future.set_result, 1)
        found = [await future, await asyncio.create_task(asyncio.sleep(0, 2))]
        await asyncio.sleep(0)
        await asyncio.sleep(0.001)
        return found

    async def main() -> None:
        assert await ensure_deferred(work()) == [1, 2]

    run(main)


def test_an_asyncio_future_that_fails_raises_in_our_coroutine(run: Runner) -> None:
    async def main() -> None:
        future = asyncio.get_running_loop().create_future()
        deferred = ensure_deferred(wait_for(future))
        future.set_exception(ValueError("x"))
        with pytest.raises(ValueError, match="x"):
            await deferred

    run(main)


def test_our_coroutine_is_the_current_task_only_while_it_steps(run: Runner) -> None:
    async def main() -> None:
        outside = asyncio.current_task()
        seen: list[Any] = []
        deferred: Deferred[None] = Deferred()

        async def inner() -> None:
            seen.append(asyncio.current_task())

        async def work() -> None:
            seen.append(asyncio.current_task())
            await ensure_deferred(inner())
            seen.append(asyncio.current_task())
            await deferred
            seen.append(asyncio.current_task())

        result = ensure_deferred(work())
        assert asyncio.current_task() is outside
        later(deferred.callback, None)  # from the loop: no task at all runs then
        await result
        assert asyncio.current_task() is outside
        assert outside not in seen
        assert seen[0] is seen[2] is seen[3]
        assert seen[0] is not seen[1]

    run(main)


def test_asyncio_timeout_works_inside_our_coroutine_on_a_deferred_a_future_and_a_sleep(run: Runner) -> None:
    async def work(awaitable: Awaitable[Any]) -> str:
        try:
            async with asyncio.timeout(0):
                await awaitable
        except TimeoutError:
            return "timed out"
        return "ended"

    async def main() -> None:
        future = asyncio.get_running_loop().create_future()
        found = await gather(
            ensure_deferred(work(Deferred())),
            ensure_deferred(work(future)),
            ensure_deferred(work(asyncio.sleep(10))),
        )
        assert found == ("timed out",) * 3
        assert future.cancelled()

    run(main)


def test_a_task_group_works_inside_our_coroutine(run: Runner) -> None:
    async def boom() -> None:
        raise ValueError("child")

    async def work() -> list[int]:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(asyncio.sleep(0, n)) for n in range(3)]
        return [task.result() for task in tasks]

    async def broken() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(boom())
            await Deferred[None]()

    async def main() -> None:
        assert await ensure_deferred(work()) == [0, 1, 2]
        with pytest.raises(ExceptionGroup) as info:
            await ensure_deferred(broken())
        assert info.group_contains(ValueError, match="child")

    run(main)


def test_a_cancel_from_asyncio_does_not_resume_the_coroutine_inside_the_call(run: Runner) -> None:
    async def main() -> None:
        tasks: list[Any] = []
        seen: list[Any] = []

        async def work() -> None:
            tasks.append(asyncio.current_task())
            try:
                await Deferred[None]()
            except asyncio.CancelledError as error:
                seen.append(error.args)
                raise

        deferred = ensure_deferred(work())
        assert tasks[0].cancel("from asyncio")
        assert tasks[0].cancelling() == 1
        assert seen == []
        with pytest.raises(asyncio.CancelledError):
            await deferred
        assert seen == [("from asyncio",)]
        assert not tasks[0].cancel()

    run(main)


def test_the_message_of_a_cancel_survives_a_slow_wait_and_is_not_kept_for_another(run: Runner) -> None:
    async def main() -> None:
        tasks: list[Any] = []
        cleaned: Deferred[None] = Deferred()
        other: Deferred[None] = Deferred()

        async def inner() -> str:
            try:
                await Deferred[None]()
            except asyncio.CancelledError:
                await cleaned
                if not tasks[1:]:
                    raise
            return "kept"

        async def work() -> Any:
            tasks.append(asyncio.current_task())
            found: list[Any] = []
            for awaited in (ensure_deferred(inner()), other):
                try:
                    found.append(await awaited)
                except asyncio.CancelledError as error:
                    found.append(error.args)
            return found

        for keep in (False, True):
            tasks.clear()
            other = Deferred()
            cleaned = Deferred()
            deferred = ensure_deferred(work())
            if keep:
                tasks.append("keep")
            tasks[0].cancel("message")
            await asyncio.sleep(0)
            cleaned.callback(None)
            other.cancel()
            assert await deferred == ["kept" if keep else ("message",), ()]

    run(main)


def test_a_value_that_comes_between_an_asyncio_cancel_and_its_delivery_goes_back(run: Runner) -> None:
    async def main() -> None:
        tasks: list[Any] = []
        queue: DeferredQueue[int] = DeferredQueue()

        async def work() -> int:
            tasks.append(asyncio.current_task())
            return await queue.get()

        deferred = ensure_deferred(work())
        tasks[0].cancel()
        queue.put(1)
        with pytest.raises(asyncio.CancelledError):
            await deferred
        assert len(queue) == 1
        await asyncio.sleep(0)

    run(main)


def test_a_coroutine_that_cancels_its_own_task_sees_it_at_the_next_wait(run: Runner) -> None:
    async def work(awaitable: Awaitable[Any]) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await awaitable

    async def main() -> None:
        for awaitable in (Deferred[None](), asyncio.get_running_loop().create_future(), asyncio.sleep(0)):
            with pytest.raises(asyncio.CancelledError):
                await ensure_deferred(work(awaitable))
        await asyncio.sleep(0)

    run(main)


def test_cancelling_our_deferred_cancels_the_asyncio_future_it_waits_for(run: Runner) -> None:
    async def main() -> None:
        future = asyncio.get_running_loop().create_future()
        deferred = ensure_deferred(wait_for(future))
        deferred.cancel()
        assert future.cancelled()
        with pytest.raises(asyncio.CancelledError):
            await deferred

    run(main)


def test_a_future_that_is_done_when_our_coroutine_is_cancelled_does_not_undo_it(run: Runner) -> None:
    async def main() -> None:
        future = asyncio.get_running_loop().create_future()
        deferred = ensure_deferred(wait_for(future))
        future.set_result(1)
        deferred.cancel()
        with pytest.raises(asyncio.CancelledError):
            await deferred

    run(main)


def test_the_stand_in_answers_like_a_task(run: Runner) -> None:
    async def main() -> None:
        found: list[Any] = []
        deferred: Deferred[int] = Deferred()

        async def work() -> int:
            found.append(asyncio.current_task())
            return await deferred

        result = ensure_deferred(work())
        [task] = found
        seen: list[Any] = []
        assert task.get_name().endswith("work")
        task.set_name("named")
        assert task.get_name() == "named"
        assert repr(task) == "<CurrentTask 'named'>"
        assert task.get_loop() is asyncio.get_running_loop()
        assert task.get_coro().__name__ == "work"
        assert isinstance(task.get_context(), contextvars.Context)
        assert task._fut_waiter is not None
        assert not task._must_cancel
        assert not task.done()
        assert not task.cancelled()
        assert task.uncancel() == 0
        for ask in (task.result, task.exception):
            with pytest.raises(NotFiredError):
                ask()
        task.add_done_callback(seen.append)
        task.add_done_callback(seen.append)
        assert task.remove_done_callback(seen.append) == 2
        task.add_done_callback(seen.append)
        deferred.callback(1)
        assert (await result, task.result(), task.exception(), task.done()) == (1, 1, None, True)
        task.add_done_callback(seen.append)
        await asyncio.sleep(0)
        assert seen == [task, task]
        assert task.get_context() is task._fut_waiter is None
        assert not task._must_cancel
        assert repr(task) == "<CurrentTask 'named' done>"
        gone = weakref.ref(task)
        del task, ask, found[:], seen[:]
        gc.collect()
        assert gone() is None

    run(main)


def test_the_stand_in_of_a_failed_coroutine_answers_like_a_task(run: Runner) -> None:
    async def main() -> None:
        found: list[Any] = []

        async def work(error: BaseException) -> None:
            found.append(asyncio.current_task())
            raise error

        ensure_deferred(work(ValueError("x"))).add_errback(lambda f: None)
        ensure_deferred(work(asyncio.CancelledError())).add_errback(lambda f: None)
        failed, cancelled = found
        assert isinstance(failed.exception(), ValueError)
        with pytest.raises(ValueError, match="x"):
            failed.result()
        assert not failed.cancelled()
        assert cancelled.cancelled()
        with pytest.raises(asyncio.CancelledError):
            cancelled.exception()

    run(main)


# Futures as Deferreds


def test_from_future_passes_value_failure_and_cancellation_on(run: Runner) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        good, bad, gone = (loop.create_future() for _ in range(3))
        deferreds = [from_future(good), maybe_deferred(lambda: bad), ensure_deferred(gone)]
        good.set_result(1)
        bad.set_exception(ValueError("x"))
        gone.cancel()
        assert await deferreds[0] == 1
        with pytest.raises(ValueError, match="x"):
            await deferreds[1]
        with pytest.raises(asyncio.CancelledError):
            await deferreds[2]

    run(main)


def test_cancelling_the_deferred_of_a_future_cancels_the_future(run: Runner) -> None:
    async def main() -> None:
        future = asyncio.get_running_loop().create_future()
        deferred = from_future(future)
        deferred.cancel()
        assert future.cancelled()
        with pytest.raises(asyncio.CancelledError):
            await deferred

    run(main)


def test_asyncio_run_until_complete_and_gather_take_deferreds(run: Runner) -> None:
    async def main() -> None:
        assert await asyncio.gather(succeed(1), wait_for(succeed(2))) == [1, 2]
        assert await asyncio.ensure_future(succeed(3)) == 3

    run(main)


def test_an_unhandled_failure_taken_by_a_task_is_not_reported(
    run: Runner, unhandled: list[tuple[Failure, str]]
) -> None:
    async def main() -> None:
        with pytest.raises(ValueError, match="x"):
            await fail(ValueError("x"))
        gc.collect()
        assert unhandled == []

    run(main)
