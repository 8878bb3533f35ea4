"""Questions in a thread: a deadline, and one at a time."""

import asyncio
import threading

import sshkit
from sshkit.manhole.console_worker import Worker


def test_an_answer_that_is_too_late_is_none_and_the_worker_is_free_when_it_has_come() -> None:
    async def main() -> None:
        release = threading.Event()
        worker = Worker()
        assert await worker.ask(lambda: 42) == 42
        assert await worker.ask(lambda: release.wait(20), deadline=0.01) is None
        assert worker.busy
        assert await worker.ask(lambda: 43) is None
        release.set()
        async with asyncio.timeout(20):
            while worker.busy:
                await asyncio.sleep(0)
        assert await worker.ask(lambda: 44) == 44

    sshkit.run(main())


def test_an_answer_after_the_end_of_the_loop_is_dropped() -> None:
    release, asked = threading.Event(), threading.Event()

    def slow() -> None:
        asked.set()
        release.wait(20)

    async def main() -> None:
        await Worker().ask(slow, deadline=0.01)

    asyncio.run(main())
    assert asked.is_set()
    release.set()
    for thread in threading.enumerate():
        if thread.name == "manhole completion":
            thread.join(20)
