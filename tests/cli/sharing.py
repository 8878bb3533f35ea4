"""Masters and riders of sshkit-client for its tests."""

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.cli.user import PATIENCE, Outcome, run_here

HOST = "127.0.0.1"
Arguments = tuple[str, ...]
PROGRAM = str(Path(sys.executable).with_name("sshkit-client"))


def wait_until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        threading.Event().wait(0.005)


@contextlib.contextmanager
def a_master(
    arguments: Arguments, control: str, *more: str, command: str | None = None
) -> Iterator["subprocess.Popen[bytes]"]:
    """A master of ours in a process of its own."""
    words = [PROGRAM, *arguments, "-M", "-S", control, *more, HOST]
    words += ["-N"] if command is None else [command]
    with subprocess.Popen(
        words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as master:
        try:
            wait_until(lambda: os.path.exists(control) or master.poll() is not None)
            yield master
        finally:
            master.terminate()
            master.communicate(timeout=PATIENCE)


def ride(control: str, *words: str, stdin: bytes = b"") -> Outcome:
    return run_here("-F", "none", "-S", control, *words, stdin=stdin)


def beside(control: str, *words: str, stdin: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        [PROGRAM, "-F", "none", "-S", control, *words],
        input=stdin,
        capture_output=True,
        check=False,
        timeout=PATIENCE,
    )


def master_here(control: str, words: Arguments, script: Callable[[], object]) -> Outcome:
    """Run a master in this process while `script` rides it from another thread, and then ends it."""
    failures: list[BaseException] = []

    def play() -> None:
        try:
            wait_until(lambda: os.path.exists(control))
            script()
        except BaseException as error:
            failures.append(error)
        beside(control, "-O", "exit", "x")

    player = threading.Thread(target=play)
    player.start()
    outcome = run_here(*words)
    player.join()
    if failures:
        raise failures[0]
    return outcome
