"""Programs run to their end: what they wrote, and that nothing of them stays behind."""

import errno
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sshkit.deferred import CancelledError, ensure_deferred
from sshkit.interfaces import ExitStatus
from sshkit.reactor import (
    Completed,
    ProcessFailed,
    ProcessTimeout,
    SpawnError,
    TooMuchOutput,
    run_process,
    spawning,
)
from sshkit.reactor.running_programs import how_it_ended

from .helpers import later

Run = Callable[[Any], Any]


def lives(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def gone(reactor: Any, pid: int) -> None:
    while lives(pid):
        await later(reactor, 0.005)


async def written(reactor: Any, path: Path) -> int:
    while not (path.exists() and path.read_text().endswith("\n")):
        await later(reactor, 0.005)
    return int(path.read_text())


def test_a_program_gets_its_input_and_its_output_comes_back(run: Run, tmp_path: Path) -> None:
    data = os.urandom(1 << 20)

    async def main(reactor: Any) -> None:
        done = await run_process(["cat"], input=data)
        assert done == Completed(("cat",), ExitStatus(code=0), data, b"")
        script = "pwd; echo $A >&2; exit 3"
        done = await run_process(["sh", "-c", script], cwd=str(tmp_path), env={"A": "b"}, timeout=None)
        assert (done.stdout, done.stderr) == (f"{tmp_path}\n".encode(), b"b\n")
        assert done.exit_status == ExitStatus(code=3)
        with pytest.raises(SpawnError, match="cannot start /no/such: No such file or directory"):
            await run_process(["/no/such"], reactor=reactor)

    run(main)


def test_a_status_other_than_zero_is_an_error_where_asked(run: Run) -> None:
    async def main(reactor: Any) -> None:
        with pytest.raises(ProcessFailed, match=r"sh exited with 3: no \\x1b\[31m disk") as caught:
            await run_process(["sh", "-c", r"printf 'no \033[31m disk\n' >&2; exit 3"], check=True)
        assert caught.value.completed.exit_status.code == 3
        with pytest.raises(ProcessFailed, match="sh was ended by SIGKILL"):
            await run_process(["sh", "-c", "kill -9 $$"], check=True)
        assert (await run_process(["true"], check=True)).exit_status.code == 0

    run(main)


def test_ends_without_a_name_have_words_too() -> None:
    assert how_it_ended(Completed(("x",), ExitStatus(), b"", b"")).startswith("has ended in an unknown way: ")
    assert how_it_ended(Completed(("x",), ExitStatus(signal=200), b"", b"")) == "was ended by signal 200"


def test_a_program_that_takes_too_long_is_ended_with_its_children(run: Run, tmp_path: Path) -> None:
    child = tmp_path / "child"

    async def main(reactor: Any) -> None:
        child.unlink(missing_ok=True)
        running = run_process(["sh", "-c", f"sleep 1000 & echo $! > {child}; wait"], timeout=0.5)
        with pytest.raises(ProcessTimeout, match=r"sh took longer than 0.5 seconds"):
            await running
        await gone(reactor, await written(reactor, child))

    run(main)


def test_a_program_that_ignores_sigterm_is_killed(run: Run, tmp_path: Path) -> None:
    child = tmp_path / "child"

    async def main(reactor: Any) -> None:
        child.unlink(missing_ok=True)
        script = f"trap '' TERM; echo $$ > {child}; while :; do sleep 0.01; done"
        running = run_process(["sh", "-c", script], kill_after=0.05)
        pid = await written(reactor, child)
        running.cancel()
        with pytest.raises(CancelledError):
            await running
        await gone(reactor, pid)

    run(main)


def test_output_past_the_limit_ends_the_program(run: Run) -> None:
    async def main(reactor: Any) -> None:
        with pytest.raises(TooMuchOutput, match="yes wrote more than 100000 bytes"):
            await run_process(["yes"], max_output=100000)

    run(main)


def test_a_grandchild_that_holds_the_output_open_does_not_hold_us(run: Run, tmp_path: Path) -> None:
    child = tmp_path / "child"

    async def main(reactor: Any) -> None:
        child.unlink(missing_ok=True)
        with pytest.raises(ProcessTimeout):
            await run_process(
                ["setsid", "sh", "-c", f"sleep 1000 & echo $! > {child}"], timeout=0.3, kill_after=0.05
            )
        pid = await written(reactor, child)
        if lives(pid):
            os.kill(pid, signal.SIGKILL)

    run(main)


def test_what_the_system_says_misleadingly_is_said_clearly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "script"
    script.write_text("#!/no/such/interpreter\n")
    script.chmod(0o755)

    from sshkit.reactor import new_reactor

    reactor = new_reactor("native")
    with pytest.raises(SpawnError, match=r"its interpreter, .*, does not exist"):
        run_process([str(script)], reactor=reactor)

    def too_many(*args: Any) -> int:
        raise OSError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(spawning, "start", too_many)
    with pytest.raises(SpawnError, match="cannot start true: too many processes or threads run already"):
        run_process(["true"], reactor=reactor)
    reactor.close()


def test_cancelling_from_a_coroutine_ends_the_program(run: Run, tmp_path: Path) -> None:
    child = tmp_path / "child"

    async def main(reactor: Any) -> None:
        child.unlink(missing_ok=True)

        async def wait() -> None:
            await run_process(["sh", "-c", f"echo $$ > {child}; exec sleep 1000"], reactor=reactor)

        waiting = ensure_deferred(wait())
        pid = await written(reactor, child)
        waiting.cancel()
        with pytest.raises(CancelledError):
            await waiting
        await gone(reactor, pid)

    run(main)
