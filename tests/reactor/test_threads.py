"""Threads: work out of the loop and calls into it."""

import contextvars
import threading
from collections.abc import Callable
from typing import Any

import pytest

from sshkit.deferred import CancelledError, Deferred, gather
from sshkit.reactor import ReactorClosed, ReactorError, new_reactor, thread_pool

from .helpers import later

Run = Callable[[Any], Any]


def test_a_function_runs_in_another_thread_and_its_result_comes_back_here(run: Run) -> None:
    async def main(reactor: Any) -> None:
        here = threading.get_ident()
        there = await reactor.defer_to_thread(threading.get_ident)
        assert there != here
        assert await reactor.defer_to_thread(int, "ff", base=16) == 255
        assert threading.get_ident() == here

    run(main)


def test_what_a_function_raises_is_the_deferreds_failure(run: Run) -> None:
    async def main(reactor: Any) -> None:
        with pytest.raises(ZeroDivisionError):
            await reactor.defer_to_thread(divmod, 1, 0)

    run(main)


def test_the_function_sees_the_callers_context(run: Run) -> None:
    variable = contextvars.ContextVar("variable", default="outside")

    async def main(reactor: Any) -> None:
        variable.set("inside")
        assert await reactor.defer_to_thread(variable.get) == "inside"

    run(main)


def test_many_functions_share_a_bounded_number_of_threads(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thread_pool, "MAX_THREADS", 3)

    async def main(reactor: Any) -> None:
        seen = list(await gather(*(reactor.defer_to_thread(threading.get_ident) for _ in range(200))))
        seen.append(await reactor.defer_to_thread(threading.get_ident))
        assert 1 <= len(set(seen)) <= 3

    run(main)


def test_blocked_threads_do_not_keep_others_waiting(run: Run) -> None:
    async def main(reactor: Any) -> None:
        release = threading.Event()
        slow = reactor.defer_to_thread(release.wait, 30)
        assert await reactor.defer_to_thread(lambda: 1) == 1
        release.set()
        assert await slow

    run(main)


def test_a_cancelled_wait_drops_the_late_result(run: Run) -> None:
    async def main(reactor: Any) -> None:
        release = threading.Event()
        waiting = reactor.defer_to_thread(release.wait, 30)
        waiting.cancel()
        with pytest.raises(CancelledError):
            await waiting
        release.set()
        await later(reactor, 0.002)

    run(main)


def test_call_from_thread_wakes_the_reactor(run: Run) -> None:
    async def main(reactor: Any) -> None:
        called: Deferred[int] = Deferred()
        here = threading.get_ident()
        thread = threading.Thread(
            target=reactor.call_from_thread,
            args=(lambda number: called.callback(threading.get_ident() - here + number), 5),
        )
        thread.start()
        assert await called == 5
        thread.join()

    run(main)


def test_no_call_of_many_threads_is_lost(run: Run) -> None:
    count, each = 8, 500

    async def main(reactor: Any) -> None:
        all_called: Deferred[None] = Deferred()
        seen: list[int] = []

        def called(number: int) -> None:
            seen.append(number)
            if len(seen) == count * each:
                all_called.callback(None)

        def work() -> None:
            for number in range(each):
                reactor.call_from_thread(called, number)

        workers = [threading.Thread(target=work) for _ in range(count)]
        for worker in workers:
            worker.start()
        await all_called
        for worker in workers:
            worker.join()
        assert sorted(seen) == sorted(list(range(each)) * count)

    run(main)


def test_a_blocking_call_waits_for_the_result_or_for_its_deferred(run: Run) -> None:
    async def main(reactor: Any) -> None:
        def work() -> tuple[Any, ...]:
            async def slow(number: int) -> int:
                await later(reactor, 0.001)
                return number * 2

            plain = reactor.blocking_call_from_thread(lambda: threading.get_ident())
            return plain, reactor.blocking_call_from_thread(slow, 21)

        assert await reactor.defer_to_thread(work) == (threading.get_ident(), 42)

    run(main)


def test_a_blocking_call_raises_what_the_function_raised(run: Run) -> None:
    async def main(reactor: Any) -> None:
        def work() -> None:
            with pytest.raises(ZeroDivisionError):
                reactor.blocking_call_from_thread(divmod, 1, 0)

        await reactor.defer_to_thread(work)

    run(main)


def test_a_blocking_call_has_a_deadline_that_cancels(run: Run) -> None:
    async def main(reactor: Any) -> None:
        cancelled: Deferred[None] = Deferred()

        def never() -> Deferred[None]:
            return Deferred(lambda _: cancelled.callback(None))

        def work() -> None:
            with pytest.raises(TimeoutError, match=r"no answer within 0.01 seconds"):
                reactor.blocking_call_from_thread(never, timeout=0.01)

        await reactor.defer_to_thread(work)
        await cancelled

    run(main)


def test_a_blocking_call_in_the_reactors_own_thread_is_an_error_and_no_deadlock(run: Run) -> None:
    async def main(reactor: Any) -> None:
        with pytest.raises(ReactorError, match="own thread"):
            reactor.blocking_call_from_thread(lambda: None)

    run(main)


@pytest.mark.parametrize("engine", ["native", "direct"])
def test_a_closing_reactor_answers_those_who_wait_for_it(engine: str) -> None:
    reactor = new_reactor(engine)
    asked = threading.Event()
    answers: list[BaseException] = []

    def work() -> None:
        try:
            reactor.blocking_call_from_thread(Deferred, timeout=None)
        except ReactorClosed as error:
            answers.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    while not reactor.blocked_threads:
        pass
    asked.set()
    reactor.close()
    thread.join(30)
    assert len(answers) == 1
    for call in (reactor.blocking_call_from_thread, reactor.call_from_thread, reactor.defer_to_thread):
        with pytest.raises(ReactorClosed):
            call(lambda: None)


def test_a_result_for_a_closed_reactor_is_dropped() -> None:
    reactor = new_reactor("native")
    release = threading.Event()
    seen: list[threading.Thread] = []
    began = threading.Event()

    def work() -> None:
        seen.append(threading.current_thread())
        began.set()
        release.wait(30)

    async def main() -> None:
        reactor.defer_to_thread(work)

    reactor.run_until(main())
    assert began.wait(30)
    reactor.close()
    release.set()
    seen[0].join(30)
    assert not seen[0].is_alive()


def test_a_late_cancel_for_a_closed_reactor_is_only_a_time_out() -> None:
    reactor = new_reactor("native")
    caught: list[str] = []

    class Closing(threading.Event):
        """Lets the time pass, and the reactor close meanwhile."""

        def wait(self, timeout: float | None = None) -> bool:
            reactor.blocked_threads.clear()
            reactor.close()
            return False

    def work() -> None:
        original = threading.Event
        threading.Event = Closing  # type: ignore[misc]
        try:
            reactor.blocking_call_from_thread(lambda: None, timeout=5)
        except TimeoutError as error:
            caught.append(str(error))
        finally:
            threading.Event = original  # type: ignore[misc]

    work()
    assert caught == ["the reactor gave no answer within 5 seconds"]
