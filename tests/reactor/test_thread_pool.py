"""Pools of threads: how they grow and shrink, what cancelling can do, the queue's bound, end, fork."""

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from sshkit.deferred import CancelledError, Deferred, gather
from sshkit.reactor import ReactorClosed, ReactorError, new_reactor
from sshkit.reactor.thread_pool import Job, Worker
from sshkit.reactor.threads import (
    ThreadPool,
    ThreadPoolClosed,
    ThreadPoolFull,
    ThreadsStillRun,
    ThreadTimeout,
    from_thread,
)

from .helpers import later

Run = Callable[[Any], Any]
WAIT = 30.0


class Gate:
    """Work that stays in its thread until it is let go."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.inside = threading.Semaphore(0)

    def work(self, value: Any = None) -> Any:
        self.inside.release()
        assert self.open.wait(WAIT)
        if isinstance(value, Exception):
            raise value
        return value

    def entered(self, count: int = 1) -> None:
        for _ in range(count):
            assert self.inside.acquire(timeout=WAIT)


def end(pool: ThreadPool) -> None:
    """Close a pool of no reactor, and wait for its threads."""
    threads = [thread for thread in threading.enumerate() if thread.name.startswith(pool.name + "-")]
    pool.close()
    for thread in threads:
        thread.join(WAIT)
        assert not thread.is_alive()


def test_a_pool_grows_to_its_maximum_and_counts(run: Run) -> None:
    async def main(reactor: Any) -> None:
        gate = Gate()
        async with ThreadPool(2, name="grow") as pool:
            assert pool.statistics() == (0, 0, 0, 0, 0, 0)
            first, second, third = (pool.defer_to_thread(gate.work, number) for number in range(3))
            gate.entered(2)
            assert pool.statistics() == (2, 2, 1, 2, 0, 0)
            gate.open.set()
            assert list(await gather(first, second, third)) == [0, 1, 2]
            names = {await pool.defer_to_thread(lambda: threading.current_thread().name) for _ in range(5)}
            assert names <= {"grow-1", "grow-2"}
        assert pool.statistics()[:4] == (0, 0, 0, 2)
        assert pool.statistics().done == 8
        with pytest.raises(ThreadPoolClosed):
            pool.defer_to_thread(int)

    run(main)


def test_a_thread_that_is_idle_is_used_before_another_is_made(run: Run) -> None:
    async def main(reactor: Any) -> None:
        async with ThreadPool(4, name="reuse") as pool:
            await pool.defer_to_thread(int)
            while pool.statistics().busy:
                await later(reactor)
            await pool.defer_to_thread(int)
            assert pool.statistics().largest == 1

    run(main)


def test_a_thread_without_work_ends_and_another_takes_later_work(run: Run) -> None:
    async def main(reactor: Any) -> None:
        async with ThreadPool(2, idle_seconds=0.001) as pool:
            for number in (1, 2):
                thread = await pool.defer_to_thread(threading.current_thread)
                assert thread.name == f"sshkit-worker-{number}"
                thread.join(WAIT)
                assert not thread.is_alive()
                assert pool.statistics().threads == 0

    run(main)


def test_a_thread_whose_time_is_over_takes_the_job_that_comes_just_then() -> None:
    pool = ThreadPool(1, name="late", idle_seconds=0.0)
    reactor: Any = None
    worker = Worker("late-1", Job(pool, reactor, int))

    class Wake:
        """The job comes when the wait has just timed out."""

        def acquire(self, timeout: float = -1) -> bool:
            if timeout == 0.0:
                pool._idle.remove(worker)
                worker.job = job
                return False
            return True

    job = Job(pool, reactor, int)
    worker.wake = Wake()  # type: ignore[assignment]
    pool._workers.add(worker)
    pool._next(worker)
    assert worker.job is job
    assert pool._workers == {worker}


def test_cancelling_before_the_beginning_takes_the_call_off_the_queue(run: Run) -> None:
    async def main(reactor: Any) -> None:
        gate = Gate()
        called: list[int] = []
        async with ThreadPool(1) as pool:
            running = pool.defer_to_thread(gate.work, 1)
            gate.entered()
            waiting = pool.defer_to_thread(called.append, 1)
            waiting.cancel()
            with pytest.raises(CancelledError, match=r"append: cancelled; it had not begun"):
                await waiting
            assert pool.statistics()[2:] == (0, 1, 0, 1)
            gate.open.set()
            assert await running == 1
        assert called == []

    run(main)


def test_cancelling_what_runs_drops_its_result_and_logs_its_error(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "sshkit.reactor")

    async def main(reactor: Any) -> None:
        gate = Gate()
        async with ThreadPool(2, name="busy") as pool:
            good, bad = pool.defer_to_thread(gate.work, 1), pool.defer_to_thread(gate.work, OSError("disk"))
            gate.entered(2)
            for deferred in (good, bad):
                deferred.cancel()
                with pytest.raises(
                    CancelledError, match=r"work: cancelled; it runs in busy-\d and cannot be stopped"
                ):
                    await deferred
            gate.open.set()

    run(main)
    assert [record.getMessage() for record in caplog.records] == [
        "Gate.work failed in a thread after it had been given up: disk"
    ]


def test_a_deadline_says_what_becomes_of_the_call(run: Run) -> None:
    async def main(reactor: Any) -> None:
        gate = Gate()
        async with ThreadPool(1, name="slow", timeout=0.01) as pool:
            running, waiting = pool.defer_to_thread(gate.work), pool.defer_to_thread(gate.work)
            with pytest.raises(ThreadTimeout, match=r"within 0.01 s; it runs in slow-1 and cannot be"):
                await running
            with pytest.raises(TimeoutError, match=r"Gate.work: not done within 0.01 s; it had not begun"):
                await waiting
            gate.open.set()
            pool.timeout = WAIT
            assert await pool.defer_to_thread(int, "7") == 7

    run(main)


def test_a_full_queue_is_an_error(run: Run) -> None:
    async def main(reactor: Any) -> None:
        gate = Gate()
        async with ThreadPool(1, queue_limit=1) as pool:
            calls = [pool.defer_to_thread(gate.work, number) for number in range(2)]
            with pytest.raises(ThreadPoolFull, match="work: 1 calls wait for 1 threads already"):
                await pool.defer_to_thread(gate.work)
            gate.open.set()
            assert list(await gather(*calls)) == [0, 1]

    run(main)


@pytest.mark.parametrize("options", [{"maximum": 0}, {"queue_limit": -1}, {"idle_seconds": -1.0}])
def test_a_pool_that_makes_no_sense_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ReactorError, match="wanted are 1, 0 and 0 or more"):
        ThreadPool(**options)


def test_a_close_that_takes_too_long_names_what_still_runs(run: Run) -> None:
    async def main(reactor: Any) -> None:
        gate = Gate()
        pool = ThreadPool(1, name="stuck")
        running, waiting = pool.defer_to_thread(gate.work, 1), pool.defer_to_thread(gate.work)
        gate.entered()
        pool.close()
        words = r"within 0.01 s: Gate.work in stuck-1; 1 calls had not begun"
        with pytest.raises(ThreadsStillRun, match=words):
            await pool.wait_closed(0.01)
        with pytest.raises(ThreadPoolClosed, match="had not begun"):
            await waiting
        gate.open.set()
        assert await running == 1
        await pool.wait_closed()
        await pool.wait_closed()

    run(main)


def test_whoever_waits_for_a_pool_that_is_closed_later_is_told(run: Run) -> None:
    async def main(reactor: Any) -> None:
        pool = ThreadPool(1)
        closed, given_up = pool.wait_closed(), pool.wait_closed()
        given_up.cancel()
        with pytest.raises(CancelledError):
            await given_up
        pool.close()
        await closed

    run(main)


def test_a_wait_that_was_given_up_has_no_deadline_any_more(run: Run) -> None:
    async def main(reactor: Any) -> None:
        gate = Gate()
        pool = ThreadPool(1)
        call = pool.defer_to_thread(gate.work)
        wait = pool.wait_closed(0.001)
        wait.cancel()
        with pytest.raises(CancelledError):
            await wait
        await later(reactor, 0.002)
        gate.open.set()
        await call
        pool.close()
        await pool.wait_closed()

    run(main)


def test_the_end_of_a_pool_whose_reactor_has_gone_is_told_to_nobody() -> None:
    pool = ThreadPool(1, name="orphan")
    gate = Gate()
    reactor = new_reactor("native")

    async def main() -> None:
        pool.defer_to_thread(gate.work)
        pool.wait_closed()
        gate.entered()

    reactor.run_until(main())
    reactor.close()
    gate.open.set()
    end(pool)
    assert pool.statistics().threads == 0


def test_a_function_that_returns_a_deferred_is_told_that_it_must_not(run: Run) -> None:
    async def main(reactor: Any) -> None:
        with pytest.raises(TypeError, match="must return a plain value, not a Deferred"):
            await reactor.defer_to_thread(Deferred)

    run(main)


class NoThread(threading.Thread):
    """The system has no room for it."""

    def start(self) -> None:
        raise RuntimeError("can't start new thread")


def test_a_system_without_room_for_threads_is_an_error_or_a_wait(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main(reactor: Any) -> None:
        gate = Gate()
        async with ThreadPool(2) as pool:
            with monkeypatch.context() as patch:
                patch.setattr(threading, "Thread", NoThread)
                with pytest.raises(ReactorError, match="int: no thread can be started: can't start"):
                    pool.defer_to_thread(int)
            running = pool.defer_to_thread(gate.work, 1)
            gate.entered()
            with monkeypatch.context() as patch:
                patch.setattr(threading, "Thread", NoThread)
                waiting = pool.defer_to_thread(partial(gate.work, 2))
            assert pool.statistics()[:3] == (1, 1, 1)
            gate.open.set()
            assert list(await gather(running, waiting)) == [1, 2]

    run(main)


def test_from_thread_calls_into_the_reactor_that_gave_the_work(run: Run) -> None:
    async def main(reactor: Any) -> None:
        here = threading.get_ident()

        async def in_reactor(number: int) -> tuple[int, int]:
            await later(reactor)
            return threading.get_ident(), number

        assert await reactor.defer_to_thread(from_thread, in_reactor, 5) == (here, 5)
        with pytest.raises(TimeoutError, match="no answer within"):
            await reactor.defer_to_thread(from_thread, Deferred, timeout=0.001)
        with pytest.raises(ReactorError, match="own thread would wait for itself"):
            from_thread(int)

    run(main)


def test_from_thread_in_a_thread_of_nobodys_is_an_error() -> None:
    with pytest.raises(ReactorError, match="no reactor"):
        from_thread(int)


def test_a_closed_reactors_pool_takes_nothing_more() -> None:
    reactor = new_reactor("native")
    pool = ThreadPool()
    reactor.close()
    pool.close()
    with pytest.raises(ReactorClosed):
        pool.defer(reactor, int)


FORKING = """
import os, sys, threading, sshkit
from sshkit.reactor.threads import ThreadPool

pool = ThreadPool(1, name="mine")
hold = threading.Event()

async def parent():
    running = pool.defer_to_thread(hold.wait, 30)
    pool.defer_to_thread(int)
    while pool.statistics().queued != 1:
        pass
    with pool._lock:  # the child finds it taken
        child = os.fork()
        if not child:
            return 0
    hold.set()
    await running
    return child

async def in_child():
    assert pool.statistics() == (0, 0, 0, 0, 0, 0)
    name = await pool.defer_to_thread(lambda: threading.current_thread().name)
    os.write(1, name.encode())
    pool.close()
    await pool.wait_closed()

child = sshkit.run(parent(), "native")
if not child:
    sshkit.run(in_child(), "native")
    os._exit(0)
print("", os.waitpid(child, 0)[1])
"""


def script(text: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", text], capture_output=True, text=True, check=True, timeout=60
    ).stdout


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_in_a_forked_child_a_pool_begins_anew() -> None:
    assert script(FORKING) == "mine-1 0\n"


def test_a_program_that_never_used_a_thread_has_none() -> None:
    text = """
import sys, sshkit
async def main():
    await sshkit.sleep(0.001)
    print("sshkit.reactor.threads" in sys.modules)
    import threading
    print(threading.active_count())
sshkit.run(main(), "native")
"""
    lines = script(text).splitlines()
    assert lines == ["False", "1"]
