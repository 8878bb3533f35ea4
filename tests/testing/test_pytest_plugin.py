"""The pytest plug-in, in a run of pytest of its own."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from sshkit.deferred import fail
from sshkit.testing.leftovers import LeftBehind, Leftovers

SUITE = """
import os, threading, asyncio
import pytest, sshkit
from sshkit.testing import Answer

@pytest.mark.sshkit(engines=("direct", "native", "memory"))
async def test_engines(sshkit_engine):
    pause = sshkit.Deferred()
    if sshkit_engine != "memory":
        sshkit.current_reactor().call_later(0.001, pause.callback, 1)
        assert await pause == 1

@pytest.mark.sshkit
async def test_default(tmp_path):
    assert sshkit.current_reactor()
    await asyncio.sleep(0)

@pytest.mark.sshkit(engines=["memory"])
async def test_host(sshkit_host):
    host = sshkit_host({"date": Answer("today")})
    async with host.connect() as connection:
        assert (await connection.run("date")).stdout == b"today"

@pytest.mark.sshkit
def test_plain_functions_stay_what_they_are(sshkit_network):
    assert sshkit_network.seconds() == 0

@pytest.mark.sshkit
async def test_a_failure_is_a_failure():
    assert 1 == 2

@pytest.mark.sshkit_leftovers
def test_descriptor():
    os.pipe()

@pytest.mark.sshkit_leftovers
def test_thread():
    threading.Thread(target=threading.Event().wait, name="forgotten", daemon=True).start()

@pytest.mark.sshkit_leftovers
def test_unhandled():
    sshkit.deferred_of = None
    from sshkit.deferred import fail
    fail(ValueError("nobody cares"))

@pytest.mark.sshkit_leftovers
@pytest.mark.sshkit
async def test_clean(sshkit_host):
    with open(os.devnull):
        pass
"""


def run(folder: Path, *options: str) -> str:
    path = folder / "test_suite.py"
    path.write_text(SUITE)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rA", "-p", "no:cacheprovider", *options, str(path)],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
        cwd=folder,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    return done.stdout + done.stderr


def test_async_tests_run_on_every_engine_and_what_they_leave_is_found(tmp_path: Path) -> None:
    said = run(tmp_path)
    for name in (
        "test_engines[direct]",
        "test_engines[native]",
        "test_engines[memory]",
        "test_default[direct]",
        "test_host[memory]",
        "test_plain_functions_stay_what_they_are",
        "test_clean[direct]",
    ):
        assert f"PASSED test_suite.py::{name}" in said, said
    assert "FAILED test_suite.py::test_a_failure_is_a_failure[direct]" in said
    assert "FAILED test_suite.py::test_descriptor - sshkit.testing.leftovers.LeftBehind" in said
    assert "left behind: thread forgotten" in said
    assert "unhandled: ValueError: nobody cares" in said
    assert "4 failed, 7 passed" in said


def test_every_test_is_looked_at_where_the_configuration_says_so(tmp_path: Path) -> None:
    said = run(tmp_path, "-o", "sshkit_leftovers=true", "-k", "default or clean or engines")
    assert "5 passed" in said


def leaves_and_raises() -> None:
    with Leftovers(patience=0):  # the block's own error goes first
        fail(ValueError("nobody cares"))
        raise KeyError


def test_leftovers_are_for_any_block() -> None:
    ends: tuple[int, ...] = ()
    with Leftovers():
        pass
    with pytest.raises(LeftBehind, match=r"descriptor \d+ \(pipe"), Leftovers(patience=0):
        ends = os.pipe()
    for end in ends:
        os.close(end)
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait, name="forgotten")
    with pytest.raises(LeftBehind, match="thread forgotten"), Leftovers(patience=0):
        thread.start()
    stop.set()
    thread.join()
    with pytest.raises(LeftBehind, match="unhandled: ValueError: nobody cares"), Leftovers(patience=0):
        fail(ValueError("nobody cares"))
    with pytest.raises(KeyError):
        leaves_and_raises()


def test_a_reactor_that_runs_on_is_found() -> None:
    from sshkit.blocking.thread import ReactorThread

    started: list[ReactorThread] = []
    with pytest.raises(LeftBehind, match="descriptor"), Leftovers(patience=0):
        started.append(ReactorThread())
    started[0].stop()


def test_where_the_system_does_not_tell_of_descriptors_the_rest_is_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sshkit.testing.leftovers.FOLDER", "/nowhere")
    ends: tuple[int, ...] = ()
    with Leftovers(patience=0):
        ends = os.pipe()
    for end in ends:
        os.close(end)
