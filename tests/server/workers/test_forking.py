"""Copies of the monitor: what they keep, how they end; and a worker's main function."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from sshkit.reactor import engines
from sshkit.reactor.engines import new_reactor
from sshkit.server import privileges
from sshkit.server.accounts import own_account
from sshkit.server.workers import forking
from sshkit.server.workers.forking import FAILED, close_others, fork, leave
from sshkit.server.workers.link import pair
from sshkit.server.workers.worker import run_worker
from tests.server.workers.parts import Log, make_key, make_plan


def status_of(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_child_ends_with_what_its_function_returns() -> None:
    assert status_of(fork(lambda: 5, (), "child")) == 5


def test_a_child_has_the_descriptors_that_it_keeps_only() -> None:
    kept, other = os.pipe()

    def count() -> int:
        return len(set(map(int, os.listdir("/proc/self/fd"))) - {0, 1, 2, kept})

    assert status_of(fork(count, (kept,), "child")) == 1  # the folder that is listed
    os.close(kept)
    os.close(other)


class Ended(BaseException):
    """In the place of the end of a process."""


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Be the child, in this process."""
    seen: list[Any] = []

    def end(status: int) -> None:
        seen.append(status)
        raise Ended

    monkeypatch.setattr(os, "fork", lambda: 0)
    monkeypatch.setattr(os, "_exit", end)
    monkeypatch.setattr(os, "write", lambda fd, data: seen.append(data))
    monkeypatch.setattr(os, "closerange", lambda low, high: seen.append((low, high)))
    monkeypatch.setattr(os, "sysconf", lambda name: 100)
    monkeypatch.setattr(signal, "set_wakeup_fd", seen.append)
    monkeypatch.setattr(signal, "signal", lambda number, action: None)
    return seen


def test_what_a_child_closes(here: list[Any]) -> None:
    with pytest.raises(Ended):
        fork(lambda: 3, (7, 5, 0), "child")
    assert here == [-1, (3, 5), (6, 7), (8, 100), 3]


def test_an_error_in_a_child_is_told_in_one_line(here: list[Any]) -> None:
    def fail() -> int:
        raise ValueError("two\nlines")

    with pytest.raises(Ended):
        fork(fail, (), "child")
    assert here[-2:] == [b"sshkit-server: child: ValueError: two\\nlines\n", FAILED]


def test_an_error_that_nobody_can_be_told_ends_the_child(
    here: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise OSError(32, "Broken pipe")

    monkeypatch.setattr(os, "write", broken)
    forking._tell("nobody reads")
    with pytest.raises(Ended):
        leave(4)
    assert here == [4]
    close_others((3,))
    assert here[1:] == [(3, 3), (4, 100)]


@pytest.mark.parametrize("separated", [True, False])
def test_a_worker_ends_with_its_monitor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, separated: bool
) -> None:
    make_key(tmp_path, "host")
    done: list[str] = []
    for name in ("confine", "become", "hide"):
        monkeypatch.setattr(privileges, name, lambda *_, name=name: done.append(name))
    monkeypatch.setattr(signal, "signal", lambda number, action: None)
    monkeypatch.setattr(engines, "new_reactor", lambda _: new_reactor("native"))
    ours, theirs = pair()
    ours.close()
    log = Log()
    plan = make_plan(tmp_path)
    assert run_worker(theirs, plan, log, own_account() if separated else None) == 0
    assert done == (["confine", "become", "hide"] if separated else [])
    assert "the monitor has gone" in log.text
