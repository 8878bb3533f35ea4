"""sshkit-manhole: a shell of its own on this terminal, and a runner of scripts."""

import os
import select
import subprocess
import sys
from pathlib import Path

import pytest
from sshkit_cli import manhole

from tests.cli.user import PtyUser

PROGRAM = [sys.executable, "-m", "sshkit_cli.manhole"]


def run(*argv: str, stdin: str = "", cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([*PROGRAM, *argv], input=stdin, capture_output=True, text=True, timeout=50, cwd=cwd)


def test_code_is_run_and_its_value_shown(capfd: pytest.CaptureFixture[str]) -> None:
    assert manhole.main(["-c", "6 * 7"]) == 0
    assert manhole.main(["-c", "import asyncio; await asyncio.sleep(0); print('waited')"]) == 0
    assert capfd.readouterr().out == "42\nwaited\n"


def test_the_status_says_whether_it_raised_or_what_it_gave_to_exit(capfd: pytest.CaptureFixture[str]) -> None:
    assert manhole.main(["-c", "1 / 0"]) == 1
    assert "ZeroDivisionError" in capfd.readouterr().out
    assert manhole.main(["-c", "exit(5)"]) == 5
    assert manhole.main(["--threaded", "-c", "import threading; threading.current_thread().name"]) == 0
    assert "manhole" in capfd.readouterr().out


def test_standard_input_that_is_no_terminal_is_a_script() -> None:
    done = run(
        "json:dumps", "os.path", stdin="def f(x):\n    return dumps(x)\n\nprint(f([1]), os.path.sep)\n"
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "[1] /\n", "")
    assert run(stdin="raise ValueError('no')").returncode == 1


def test_a_file_is_run_first_and_its_names_are_there(tmp_path: Path) -> None:
    (tmp_path / "first.py").write_text("x = 21\n")
    (tmp_path / "bad.py").write_text("exit(9)\n")
    (tmp_path / "mine.py").write_text("class Box:\n    lid = 'closed'\n")
    done = run("-i", "first.py", "-c", "x * 2, lid", "mine:Box.lid", cwd=tmp_path)
    assert done.stdout == "(42, 'closed')\n"
    assert run("-i", "bad.py", "-c", "print('never')", cwd=tmp_path).returncode == 9
    done = run("-i", "missing.py", cwd=tmp_path)
    assert done.returncode == 1
    assert "'missing.py' cannot be read" in done.stderr


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--what\x1b"], "no option '--what\\x1b'"),
        (["-c"], "-c wants an argument"),
        (["no_such_module"], "cannot be loaded: ModuleNotFoundError"),
        (["json:nothing"], "cannot be loaded: AttributeError"),
    ],
)
def test_what_makes_no_sense_is_told_with_usage(
    argv: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert manhole.main(argv) == 2
    err = capsys.readouterr().err
    assert words in err
    assert "usage:" in err


def test_help_and_version_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert manhole.main(["--help"]) == 0
    assert manhole.main(["-V"]) == 0
    assert "sshkit-manhole" in capsys.readouterr().out


def test_all_options_are_read() -> None:
    line = manhole.parse(["--vi", "--threaded", "-q", "--history=h", "-i", "f", "-i", "g", "--", "-x"])
    assert line == manhole.CommandLine(
        files=("f", "g"), objects=("-x",), vi=True, history="h", threaded=True, quiet=True
    )
    assert manhole.parse(["--history", "h"]).history == "h"


def at_terminal(user: PtyUser, *argv: str) -> "subprocess.Popen[bytes]":
    code = (
        "import fcntl, os, sys, termios\nos.setsid()\nfcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"
        "os.environ['TERM'] = 'xterm'\nos.execv(sys.argv[1], sys.argv[1:])\n"
    )
    user.resize(80, 24)
    return subprocess.Popen(
        [sys.executable, "-c", code, *PROGRAM, *argv], stdin=user.slave, stdout=user.slave, stderr=user.slave
    )


def wait_for_end(user: PtyUser, process: "subprocess.Popen[bytes]") -> int:
    """Read what it writes to the end, or it could not end."""
    try:
        user.wait_until(lambda: _drained(user) and process.poll() is not None)
    finally:
        process.kill()
        process.wait()
    return process.returncode


def _drained(user: PtyUser) -> bool:
    while select.select([user.master], [], [], 0)[0]:
        os.read(user.master, 65536)
    return True


def test_a_person_types_interrupts_and_leaves_and_the_terminal_is_as_before(user: PtyUser) -> None:
    before = user.modes
    process = at_terminal(user, "-q", "sys")
    user.expect("In [1]")
    user.type("'he' + 'llo'\r")
    user.expect("hello")
    user.expect("In [2]")
    user.type("while print('tur' + 'ning') is None: pass\r")
    user.expect("turning")
    user.type("\x03")
    user.expect("KeyboardInterrupt")
    user.expect("In [3]")
    user.type("import asyncio; print('wai' + 'ting'); await asyncio.sleep(1000)\r")
    user.expect("waiting")
    user.type("\x1a\x03")
    user.expect("KeyboardInterrupt")
    user.expect("In [")
    user.type("'typ' + 'ed'\rsys.exit(3)\r")
    user.expect("typed")
    assert wait_for_end(user, process) == 3
    assert user.modes == before


def test_a_window_that_changes_is_drawn_anew(user: PtyUser) -> None:
    process = at_terminal(user, "-q", "--vi")
    user.expect("In [1]")
    user.type("x = 1")
    user.expect("1")
    user.resize(40, 10)
    user.expect("x = ")
    user.type("\x15\x04")
    assert wait_for_end(user, process) == 0
