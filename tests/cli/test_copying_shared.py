"""sshkit-sftp, sshkit-scp and sshkit-sync over a connection that another program shares (ControlPath)."""

import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sshkit_cli import sync

from sshkit.client.sharing import messages
from tests.cli.copying import make_tree, real_program, run_command, run_scp, run_sftp, tree
from tests.cli.sharing import HOST, Arguments, a_master, wait_until
from tests.cli.user import PATIENCE

pytestmark = pytest.mark.peer("sshd")

#: With these nobody could log in: what works, works by way of the master.
NO_LOGIN = ("-F", "none", "-o", "BatchMode=yes", "-o", "PreferredAuthentications=none", "-oPort=1")


@pytest.fixture
def control(tmp_path: Path) -> str:
    return str(tmp_path / "control")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: Path) -> Path:
    folder = make_tree(tmp_path / "here")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(params=["ours", "9.2", "10.0"])
def master(request: pytest.FixtureRequest, to_sshd: Arguments, control: str) -> Iterator[str]:
    """The control path of a master: ours, or OpenSSH's."""
    if request.param == "ours":
        with a_master(to_sshd, control):
            yield control
        return
    words = [real_program("ssh", request.param), *to_sshd, "-M", "-S", control, "-N", HOST]
    with subprocess.Popen(words, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        try:
            wait_until(lambda: os.path.exists(control) or process.poll() is not None)
            yield control
        finally:
            process.terminate()
            process.communicate(timeout=PATIENCE)


def test_files_are_copied_by_way_of_a_master_and_without_a_login(master: str, here: Path) -> None:
    ride = (*NO_LOGIN, "-o", f"ControlPath={master}")
    assert run_scp(*ride, "-r", "-p", "dir", f"{HOST}:{here}/copy") == (0, b"", "")
    assert tree(here / "copy") == tree(here / "dir")
    assert run_scp(*ride, "-O", f"{HOST}:{here}/a.txt", "legacy") == (0, b"", "")
    assert (here / "legacy").read_bytes() == b"hello\n"
    done = run_sftp(*ride, "-b", "-", HOST, stdin=f"cd {here}\nget dir/one got\nls -1 got\n".encode())
    assert (done.status, done.err) == (0, "")
    assert (here / "got").read_bytes() == b"1" * 5000
    assert run_scp(*ride, "-3", f"{HOST}:{here}/a.txt", f"{HOST}:{here}/crossed") == (0, b"", "")
    # The master goes on with others.
    assert run_scp(*ride, f"{HOST}:{here}/a.txt", "again") == (0, b"", "")


def test_a_tree_is_made_equal_by_way_of_a_master(to_sshd: Arguments, control: str, here: Path) -> None:
    with a_master(to_sshd, control):
        ride = (*NO_LOGIN, "-o", f"ControlPath={control}")
        assert run_command(sync.main, *ride, "-a", "dir/", f"{HOST}:{here}/equal").status == 0
    assert tree(here / "equal") == tree(here / "dir")


def direct(to_sshd: Arguments) -> tuple[str, ...]:
    """The same arguments for commands whose -p is another thing."""
    return tuple("-P" if word == "-p" else word for word in to_sshd)


@pytest.mark.parametrize("mode", ["no", "auto", "yes"])
def test_where_nobody_shares_one_connects_alone_and_shares_nothing(
    to_sshd: Arguments, control: str, here: Path, mode: str
) -> None:
    options = ("-o", f"ControlPath={control}", "-o", f"ControlMaster={mode}")
    done = run_scp(*direct(to_sshd), *options, f"{HOST}:{here}/a.txt", "alone")
    assert done == (0, b"", "")
    assert (here / "alone").read_bytes() == b"hello\n"
    assert not os.path.exists(control)


def test_a_socket_that_nobody_listens_behind_any_more_is_passed_over(
    to_sshd: Arguments, control: str, here: Path
) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(control)
    done = run_scp(*direct(to_sshd), "-o", f"ControlPath={control}", f"{HOST}:{here}/a.txt", "alone")
    assert done == (0, b"", "")


def test_who_is_no_master_is_told_of_and_passed_over(to_sshd: Arguments, control: str, here: Path) -> None:
    with socket.socket(socket.AF_UNIX) as liar:
        liar.bind(control)
        liar.listen()

        def answer() -> None:
            connection = liar.accept()[0]
            with connection:
                connection.sendall(messages.hello() + b"\xff" * 8)
                connection.recv(65536)

        thread = threading.Thread(target=answer)
        thread.start()
        done = run_scp(*direct(to_sshd), "-o", f"ControlPath={control}", f"{HOST}:{here}/a.txt", "alone")
        thread.join()
    assert done.status == 0
    assert control in done.err
    assert "going on without it" in done.err
    assert done.err.count("\n") == 1


def test_a_master_that_dies_is_told_and_nothing_is_fetched(
    to_sshd: Arguments, control: str, here: Path
) -> None:
    with a_master(to_sshd, control) as process:
        script = (
            f"pwd\n!kill -9 {process.pid}; while kill -0 {process.pid}; do :; done\nget {here}/a.txt got\n"
        )
        ride = (*NO_LOGIN, "-o", f"ControlPath={control}")
        reaper = threading.Thread(target=process.wait)
        reaper.start()
        done = run_sftp(*ride, "-b", "-", HOST, stdin=script.encode())
        reaper.join(PATIENCE)
    assert done.status in (1, 255)
    assert "the master of the shared connection has gone" in done.err
    assert not (here / "got").exists()
