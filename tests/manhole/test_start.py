"""A manhole in a program without a loop, and one opened in a program that runs already."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from sshkit_keys.key_files import write_private_key

from sshkit import blocking, manhole
from sshkit.manhole import attach as attaching
from sshkit.manhole.__main__ import main
from sshkit.manhole.attach import AttachError, attach
from tests.server.test_serve import HOST_KEY, KEY


def ask(port: int, host_keys: Any, source: str, user: str = "ann") -> str:
    """Evaluate one expression in a manhole."""
    with blocking.connect(f"{user}@127.0.0.1:{port}", identities=[KEY], host_keys=host_keys) as connection:
        return connection.run(source).stdout.decode()


def test_a_program_without_a_loop_has_a_manhole_beside_it() -> None:
    program = {"counter": 0}
    with manhole.start(program, authorized_keys=[KEY.public], host_key=HOST_KEY, names="shared") as door:
        assert door.address == ("127.0.0.1", door.port)
        assert ask(door.port, door.host_keys, "counter += 5; counter") == "5\n"
        assert program["counter"] == 5
        thread = ask(door.port, door.host_keys, "__import__('threading').current_thread().name")
        assert "MainThread" not in thread
    assert not door._thread.is_alive
    door.close()


def test_what_cannot_be_opened_leaves_no_thread() -> None:
    import threading

    before = threading.active_count()
    with pytest.raises(TypeError, match="no setting"):
        manhole.start({}, nothing=1, authorized_keys=[KEY.public], host_key=HOST_KEY)
    assert threading.active_count() == before


TARGET = """
import sys
secret = 41
print("ready", flush=True)
path = sys.stdin.readline().strip()
exec(compile(open(path).read(), path, "exec"), {})
sys.stdin.readline()
"""


@pytest.fixture
def target() -> Any:
    """A process that runs a script when it is told to, as CPython 3.14 does by `sys.remote_exec`."""
    process = subprocess.Popen(
        [sys.executable, "-c", TARGET], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    process.stdout.readline()
    yield process
    process.kill()
    process.wait()
    assert process.stdin is not None
    process.stdin.close()
    process.stdout.close()


def remote_exec(target: Any) -> Any:
    def run(pid: int, path: str) -> None:
        assert pid == target.pid
        target.stdin.write(f"{path}\n")
        target.stdin.flush()

    return run


def test_a_running_program_is_entered_where_the_interpreter_can(
    target: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "remote_exec", remote_exec(target), raising=False)
    attached = attach(target.pid, str(tmp_path))
    assert attached.port
    assert "127.0.0.1" in Path(attached.known_hosts).read_text()
    with blocking.connect(
        f"ann@127.0.0.1:{attached.port}", identities=[attached.key], known_hosts=[attached.known_hosts]
    ) as connection:
        assert connection.run("secret + 1").stdout == b"42\n"


def test_the_command_connects_and_leaves_nothing_behind(
    target: Any, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "remote_exec", remote_exec(target), raising=False)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    assert main([str(target.pid), "secret"]) == 0
    assert capfd.readouterr().out == "41\n"
    assert list(tmp_path.iterdir()) == []


def test_an_interpreter_that_cannot_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delattr(sys, "remote_exec", raising=False)
    assert main([str(os.getpid())]) == 1
    assert "from Python 3.14 on" in capsys.readouterr().err
    assert main(["nobody"]) == 2
    assert main([]) == 2


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (PermissionError(), "not permitted; be its user"),
        (RuntimeError("remote debugging is disabled"), "remote debugging is disabled"),
        (OSError("no"), "no"),
    ],
)
def test_a_process_that_cannot_be_entered_is_told_with_the_reason(
    error: Exception, told: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def run(pid: int, path: str) -> None:
        raise error

    monkeypatch.setattr(sys, "remote_exec", run, raising=False)
    with pytest.raises(AttachError, match=told):
        attach(os.getpid(), str(tmp_path))


def test_a_process_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "remote_exec", lambda pid, path: None, raising=False)
    gone = subprocess.Popen(["true"])
    gone.wait()
    with pytest.raises(AttachError, match="there is none"):
        attach(gone.pid, str(tmp_path))
    with pytest.raises(AttachError, match="no number of a process"):
        attach(1 << 70, str(tmp_path))

    def refuse(pid: int, signal: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", refuse)
    with pytest.raises(AttachError, match="another user's"):
        attach(1, str(tmp_path))


def test_a_program_that_never_comes_by_is_waited_for_with_a_deadline(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "remote_exec", lambda pid, path: None, raising=False)
    waited: list[float] = []
    with pytest.raises(AttachError, match="has not come by in 15 s"):
        attach(os.getpid(), str(tmp_path), wait=waited.append)
    assert sum(waited) == pytest.approx(attaching.DEADLINE)


def test_what_fails_over_there_is_told_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def run(pid: int, path: str) -> None:
        (tmp_path / attaching.ANSWER_NAME).write_text(json.dumps({"error": "ImportError: no cryptography"}))

    monkeypatch.setattr(sys, "remote_exec", run, raising=False)
    with pytest.raises(AttachError, match=r"process \d+: ImportError: no cryptography"):
        attach(os.getpid(), str(tmp_path))


def test_the_module_is_a_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "sshkit.manhole", "x"], capture_output=True, text=True, timeout=20, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith("usage: python -m sshkit.manhole PID")


def test_a_forked_child_of_the_program_has_no_manhole(tmp_path: Path) -> None:
    write_private_key(tmp_path / "host", HOST_KEY.to_openssh(random_bytes=os.urandom))
    with manhole.start({}, authorized_keys=[KEY.public], host_key=tmp_path / "host") as door:
        pid = os.fork()
        if not pid:
            os._exit(int(door._thread.is_alive))
        assert os.waitpid(pid, 0)[1] == 0
        assert ask(door.port, door.host_keys, "1") == "1\n"


def test_a_statement_that_never_ends_harms_nobody_else() -> None:
    with (
        manhole.start({}, authorized_keys=[KEY.public], host_key=HOST_KEY) as door,
        blocking.connect(
            f"ann@127.0.0.1:{door.port}", identities=[KEY], host_keys=door.host_keys
        ) as connection,
    ):
        runaway = connection.start("print('begun', flush=True)\nwhile True: pass")
        assert runaway.stdout.read_line() == b"begun\n"
        began = time.monotonic()
        assert ask(door.port, door.host_keys, "2") == "2\n"
        assert time.monotonic() - began < 20
        runaway.send_signal("INT")
        runaway.wait()
        assert runaway.exit_status == 130
