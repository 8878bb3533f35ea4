"""Sleeping, and the lock that other processes see."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sshkit.deferred import CancelledError, Deferred, Failure, ensure_deferred
from sshkit.reactor.file_lock import FileLock, FileLocked
from sshkit.reactor.sleeping import sleep
from sshkit.testing import MemoryClock

Run = Callable[[Any], Any]

HOLDER = """
import sys
from sshkit.reactor.file_lock import FileLock
lock = FileLock(sys.argv[1])
print(lock.try_acquire(), flush=True)
sys.stdin.read()
"""


def outcome(deferred: Deferred[Any]) -> Any:
    got: list[Any] = []
    deferred.add_both(lambda result: got.append(result.exception if isinstance(result, Failure) else result))
    return got[0] if got else "nothing"


def test_sleeping_takes_its_time_and_can_be_cancelled(run: Run) -> None:
    async def main(reactor: Any) -> None:
        before = reactor.seconds()
        await sleep(0.01)
        assert reactor.seconds() >= before + 0.01
        long = sleep(1000)
        long.cancel()
        with pytest.raises(CancelledError):
            await long

    run(main)
    clock = MemoryClock()
    sleeping = sleep(5, clock)
    clock.advance(5)
    assert outcome(sleeping) is None


def test_a_file_is_locked_once(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    one, other = FileLock(path), FileLock(path)
    assert one.holder() is None
    assert one.try_acquire()
    assert not one.try_acquire()
    assert one.held
    assert not other.try_acquire()
    assert other.holder() == os.getpid()
    assert path.stat().st_mode & 0o777 == 0o600
    one.release()
    one.release()
    assert other.holder() is None
    assert other.try_acquire()
    other.release()


def test_a_waiting_lock_has_it_when_the_other_lets_go(tmp_path: Path) -> None:
    clock = MemoryClock()
    one, other = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock", clock=clock, timeout=1)
    assert one.try_acquire()
    waiting = other.acquire()
    clock.advance(0.5)
    assert not waiting.called
    cancelled = FileLock(tmp_path / "lock", clock=clock).acquire()
    cancelled.cancel()
    assert isinstance(outcome(cancelled), CancelledError)
    one.release()
    clock.advance(0.1)
    assert outcome(waiting) is None
    assert other.held
    late = FileLock(tmp_path / "lock", clock=clock, timeout=1).acquire()
    clock.advance(1)
    error = outcome(late)
    assert isinstance(error, FileLocked)
    assert str(error).endswith(f"lock is locked by process {os.getpid()}, also after 1 seconds")
    (tmp_path / "lock").write_bytes(b"nonsense\x1b")
    unnamed = FileLock(tmp_path / "lock", clock=clock, timeout=0).acquire()
    assert "locked by another" in str(outcome(unnamed))
    other.release()
    assert clock.next_due() is None


def test_a_file_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "target")
    for path, words in ((tmp_path / "no" / "lock", "No such file"), (tmp_path / "link", "symbolic links")):
        error = outcome(FileLock(path, clock=MemoryClock()).acquire())
        assert isinstance(error, OSError)
        assert words in str(error)
    assert not (tmp_path / "target").exists()


def test_the_lock_of_a_killed_process_is_taken_over(tmp_path: Path, run: Run) -> None:
    path = tmp_path / "lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"True\n"
        lock = FileLock(path)
        assert not lock.try_acquire()
        assert lock.holder() == holder.pid
        holder.send_signal(signal.SIGKILL)
        holder.wait()

    async def main(reactor: Any) -> None:
        async with FileLock(path) as held:
            assert held.holder() == os.getpid()

    run(main)


def test_a_lock_that_came_too_late_is_given_back(tmp_path: Path) -> None:
    clock = MemoryClock()
    one, other = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock", clock=clock)
    assert one.try_acquire()

    async def take() -> None:
        await other.acquire()

    async def main() -> None:
        task = asyncio.ensure_future(take())
        await asyncio.sleep(0)
        one.release()
        clock.advance(1)
        assert other.held
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert not other.held
    assert ensure_deferred(take()) is not None
    assert other.held
    other.release()
