"""sshkit-sftp over ssh: logging in, subsystems, programs, and everything that can go wrong."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from sshkit_cli import sftp

from tests.cli.copying import SERVER, batch, make_tree, need_server, run_scp, run_sftp, tree, typed
from tests.cli.user import PATIENCE
from tests.peers import RealSshd

HOST = "127.0.0.1"


@pytest.fixture
def options(sshd: RealSshd, home: Path) -> tuple[str, ...]:
    """Options that lead to the sshd."""
    return (
        *("-F", "none", "-P", str(sshd.port), "-i", str(sshd.user_key_path)),
        *("-o", f"UserKnownHostsFile={sshd.known_hosts}", "-o", "GlobalKnownHostsFile=none"),
    )


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with files."""
    folder = make_tree(tmp_path / "here")
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.peer("sshd")
def test_a_session_over_ssh_works(options: tuple[str, ...], here: Path) -> None:
    script = f"cd {here}\nget -r dir new\nput a.txt sent\nls -1 s*\n".encode()
    done = run_sftp(*options, HOST, stdin=script)
    assert done.status == 0
    assert f"Connected to {HOST}.\n" in done.err
    assert b"\nsent\n" in done.out
    assert tree(here / "new") == tree(here / "dir")


@pytest.mark.peer("sshd")
def test_a_path_behind_the_host_is_fetched_or_gone_to(options: tuple[str, ...], here: Path) -> None:
    assert run_sftp(*options, f"{HOST}:{here}/a.txt", "got").status == 0
    assert (here / "got").read_bytes() == b"hello\n"
    done = run_sftp(*options, f"sftp://{HOST}/{here}/dir", stdin=b"ls -1\n")
    assert f"Changing to: {here}/dir\n".encode() in done.out


@pytest.mark.peer("sshd")
def test_another_program_may_connect_in_our_place(options: tuple[str, ...], here: Path) -> None:
    done = run_sftp("-S", "ssh", *options, "-oBatchMode=yes", f"{HOST}:{here}/a.txt", "got")
    assert (done.status, (here / "got").read_bytes()) == (0, b"hello\n")
    done = run_sftp("-S", "ssh -q", "-s", SERVER, *options, f"{HOST}:{here}/a.txt", "got2")
    assert (done.status, (here / "got2").read_bytes()) == (0, b"hello\n")


@pytest.mark.peer("sshd")
def test_a_server_may_be_named_by_its_path(options: tuple[str, ...], here: Path) -> None:
    assert run_sftp("-s", SERVER, *options, "-l", "90000", f"{HOST}:{here}/a.txt", "got").status == 0


@pytest.mark.peer("sshd")
def test_a_subsystem_that_is_refused_is_told(options: tuple[str, ...]) -> None:
    done = run_sftp("-s", "nothing", *options, HOST)
    assert done.status == 255
    assert done.err.startswith("sshkit-sftp: ")
    assert "refused" in done.err


@pytest.mark.peer("sshd")
def test_who_is_not_let_in_is_told(options: tuple[str, ...]) -> None:
    done = run_sftp("-oPubkeyAuthentication=no", "-oBatchMode=yes", *options, HOST)
    assert done.status == 255
    assert done.err.startswith("sshkit-sftp: ")


def test_a_host_that_is_not_there_is_told(home: Path) -> None:
    done = run_sftp("-F", "none", "-P", "1", HOST)
    assert done.status == 255
    assert done.err.startswith(f"sshkit-sftp: cannot connect to {HOST} port 1")


def test_a_host_on_the_way_that_is_not_there_is_told() -> None:
    done = run_sftp("-F", "none", "-J", f"{HOST}:1", "elsewhere")
    assert done.status == 255
    assert f"cannot connect to {HOST} port 1" in done.err


def test_usage_and_bad_values_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], ["-Z"], ["a", "b", "c"]):
        done = run_sftp(*arguments)
        assert done.status == 1
        assert "usage: sshkit-sftp" in done.err
    assert run_sftp("-P", "0", "h").status == 255
    done = run_sftp("-b", "/nonexistent", "h")
    assert (done.status, done.err) == (255, "No such file or directory (/nonexistent).\n")
    assert sftp.main(["-V"]) == 0
    assert "sshkit-sftp" in capsys.readouterr().err


def test_a_program_that_speaks_no_sftp_is_told() -> None:
    for program in ("/bin/false", "/bin/cat", "/nonexistent/server"):
        done = run_sftp("-D", program, stdin=b"pwd\n")
        assert done.status == 255
        assert done.err.startswith("sshkit-sftp: ")
    done = run_scp("-D", "/bin/false", "h:a", "b")
    assert done.status == 255


def test_a_full_disk_is_told_and_nothing_half_is_left(here: Path) -> None:
    done = batch("get a.txt /dev/full")
    assert done.status == 1
    assert 'write local "/dev/full": No space left on device' in done.err
    need_server()
    assert run_scp("-D", SERVER, "h:a.txt", "/dev/full").status == 1


def test_r37_a_server_that_dies_in_a_transfer_is_told_and_leaves_no_whole_file(
    here: Path, tmp_path: Path
) -> None:
    need_server()
    with (here / "large").open("wb") as large:
        large.truncate(100 << 20)
    # It passes ten megabytes on, and dies.
    program = tmp_path / "dying"
    program.write_text(
        f"#!{sys.executable}\n"
        "import os, subprocess\n"
        f"server = subprocess.Popen([{SERVER!r}], stdout=subprocess.PIPE)\n"
        "left = 10000000\n"
        "while left > 0:\n"
        "    left -= os.write(1, os.read(server.stdout.fileno(), 65536))\n"
        "server.kill()\n"
        "os._exit(1)\n"
    )
    program.chmod(0o755)
    done = run_sftp("-D", str(program), stdin=b"get large got\nls\n")
    assert done.status == 255
    assert not (here / "got").exists()
    done = run_scp("-D", str(program), "h:large", "got")
    assert done.status == 1
    assert not (here / "got").exists()


def test_a_tree_with_a_file_that_cannot_be_had_is_told_and_the_rest_arrives(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(here / "dir" / "pipe")
    done = typed("get -r dir new", "put -r dir up")
    assert "not a regular file" in done.err
    assert (here / "new" / "sub" / "two").exists()
    assert (here / "up" / "sub" / "two").exists()
    done = typed("get -r dir a.txt", "put -r dir a.txt", "get -r dir /nonexistent/x", "put a.txt /dev/full")
    assert done.err.count("\n") >= 5


def test_an_interrupt_ends_the_command_in_work(here: Path) -> None:
    need_server()
    with (here / "large").open("wb") as large:
        large.truncate(1 << 30)
    process = subprocess.Popen(
        [sys.executable, "-m", "sshkit_cli.sftp", "-D", SERVER, "-l", "20000"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"get large got\n")
    process.stdin.flush()
    while not process.stdout.readline().startswith(b"Fetching"):
        pass
    process.send_signal(signal.SIGINT)
    process.stdin.write(b"pwd\nbye\n")
    out, err = process.communicate(timeout=PATIENCE)
    assert b"Interrupt" in err
    assert b"Remote working directory" in out
    assert process.returncode == 0
    assert not (here / "got").exists()


def test_a_signal_ends_us_by_that_signal(here: Path) -> None:
    need_server()
    process = subprocess.Popen(
        [sys.executable, "-m", "sshkit_cli.sftp", "-D", SERVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"pwd\n")
    process.stdin.flush()
    process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=PATIENCE)
    assert process.returncode == -signal.SIGTERM


def test_a_fault_of_ours_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    from sshkit_cli import scp_run, sftp_run

    def broken(*_: object) -> None:
        raise ZeroDivisionError("ours")

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    def refused(*_: object) -> None:
        raise PermissionError(13, "Permission denied", "file")

    for module, run, arguments in ((sftp_run, run_sftp, ["h"]), (scp_run, run_scp, ["a", "h:b"])):
        monkeypatch.setattr(module.Run, "__init__", broken)
        assert "internal error: ZeroDivisionError: ours" in run(*arguments).err
        with pytest.raises(ZeroDivisionError):
            run("-v", *arguments)
        monkeypatch.setattr(module.Run, "__init__", refused)
        assert "file: Permission denied" in run(*arguments).err
        monkeypatch.setattr(module.Run, "__init__", interrupted)
        assert run(*arguments).status == 130
