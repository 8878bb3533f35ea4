"""A service as a program: real processes, signals, pid files, other users, and the daemon's two forks."""

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sshkit.service import NotAlone, PidFile, PidFileError, ProgramOptions, Service, run_service
from sshkit.service.notifying import ConnectedNotifier
from sshkit.service.options import add_program_options, program_options

DEADLINE = 20.0
AS_ROOT = os.geteuid() == 0

PROGRAM = """
import os, sys, time
from argparse import ArgumentParser
import sshkit
from sshkit.deferred import Deferred
from sshkit.service import Service, add_program_options, program_options, run_service

class Demo(Service):
    async def start(self):
        if mode == "fails":
            raise OSError("no luck")
        if mode == "dies":
            os._exit(9)
        if mode == "never":
            print("starting", flush=True)
            await Deferred()
        print("ready", os.getuid(), os.getgid(), os.getcwd(), flush=True)
        open("made", "w").close() if mode == "makes" else None
        if mode == "stops":
            sshkit.current_reactor().stop()

    async def stop(self):
        print("stopping", flush=True)
        if mode == "slow":
            await Deferred()
        if mode == "stuck":
            time.sleep(60)
        if mode == "bad stop":
            raise OSError("jammed")

parser = ArgumentParser()
parser.add_argument("mode")
add_program_options(parser)
arguments = parser.parse_args()
mode = arguments.mode
options = program_options(arguments)._replace(stop_timeout=0.2 if mode == "slow" else 30)
sys.exit(run_service(Demo("demo"), options, program="demo"))
"""

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start the program; whatever is left of it is killed at the end."""
    (tmp_path / "program.py").write_text(PROGRAM)
    processes = []

    def begin(*arguments: str, **more: Any) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "program.py", *arguments],
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **more,
        )
        processes.append(process)
        return process

    yield begin
    for process in processes:
        process.kill()
        process.communicate(timeout=DEADLINE)


def first_line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def test_a_signal_stops_the_service_and_the_status_is_0(start: Start, tmp_path: Path) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        process = start("plain", "--pid-file", "demo.pid", "--log-format", "json")
        assert first_line(process).startswith("ready")
        assert (tmp_path / "demo.pid").read_text() == f"{process.pid}\n"
        process.send_signal(number)
        out, errors = process.communicate(timeout=DEADLINE)
        assert (process.returncode, out) == (0, "stopping\n")
        assert json.loads(errors.splitlines()[-1])["message"] == f"service 'demo' stops: {number.name}"
        assert not (tmp_path / "demo.pid").exists()


def test_a_second_signal_ends_the_program_at_once_though_the_loop_is_stuck(start: Start) -> None:
    process = start("stuck")
    first_line(process)
    process.terminate()
    assert first_line(process) == "stopping\n"
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=DEADLINE)
    assert process.returncode == 128 + signal.SIGINT


@pytest.mark.parametrize(
    ("mode", "told"),
    [
        ("slow", "demo: service 'demo' did not stop within 0.2 seconds"),
        ("bad stop", "demo: service 'demo' did not stop: jammed"),
        ("never", "demo: ended by a signal before it had started"),
    ],
)
def test_a_service_that_does_not_stop_in_order_is_told(start: Start, mode: str, told: str) -> None:
    process = start(mode)
    first_line(process)
    process.terminate()
    _, errors = process.communicate(timeout=DEADLINE)
    assert told in errors.splitlines()
    assert process.returncode == 1


def test_a_service_that_fails_to_start_is_status_1_and_a_message(start: Start) -> None:
    process = start("fails", "--log", "log")
    _, errors = process.communicate(timeout=DEADLINE)
    assert (process.returncode, errors) == (1, "demo: service 'demo' did not start: no luck\n")


def test_a_reactor_that_is_stopped_stops_the_service(start: Start) -> None:
    process = start("stops")
    out, _ = process.communicate(timeout=DEADLINE)
    assert (process.returncode, out.splitlines()[-1]) == (0, "stopping")


def wait_for(condition: Callable[[], object]) -> None:
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end
        os.sched_yield()


def test_a_daemon_answers_once_it_has_started(start: Start, tmp_path: Path) -> None:
    arguments = ("plain", "--daemon", "--pid-file", "demo.pid", "--log", "log", "--umask", "077")
    process = start(*arguments)
    assert process.communicate(timeout=DEADLINE) == ("", "")
    assert process.returncode == 0
    pid = int((tmp_path / "demo.pid").read_text())
    try:
        assert pid != process.pid
        assert os.getsid(pid) not in (os.getsid(0), pid)
        assert "service 'demo' has started" in (tmp_path / "log").read_text()
        assert (tmp_path / "log").stat().st_mode & 0o777 == 0o600
        second = start(*arguments)
        _, errors = second.communicate(timeout=DEADLINE)
        assert errors == f"demo: pid file {tmp_path}/demo.pid: process {pid} runs already\n"
        assert second.returncode == 1
    finally:
        os.kill(pid, signal.SIGTERM)
    wait_for(lambda: not (tmp_path / "demo.pid").exists())


@pytest.mark.parametrize(
    ("mode", "told"),
    [
        ("fails", "demo: service 'demo' did not start: no luck\n"),
        ("dies", "demo: the daemon ended before it had started\n"),
    ],
)
def test_a_daemon_that_does_not_start_tells_the_command(start: Start, mode: str, told: str) -> None:
    process = start(mode, "--daemon")
    assert process.communicate(timeout=DEADLINE) == ("", told)
    assert process.returncode == 1


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--user", "no\x1bbody"), "demo: --user no\\x1bbody: there is no such user\n"),
        (("--group", "99999999999"), "demo: --group 99999999999: there is no such group\n"),
        (("--log", "/nowhere/log"), "demo: --log /nowhere/log: No such file or directory\n"),
        (("--pid-file", "/nowhere/pid"), "demo: pid file /nowhere/pid: No such file or directory\n"),
        (("--chroot", "nowhere"), "demo: --chroot nowhere: not an absolute path\n"),
    ],
)
def test_an_option_that_cannot_be_followed_is_named(
    start: Start, options: tuple[str, ...], told: str
) -> None:
    process = start("plain", *options)
    _, errors = process.communicate(timeout=DEADLINE)
    assert (process.returncode, errors) == (1, told)


if AS_ROOT:

    def test_root_becomes_the_user_the_group_and_another_root_folder(start: Start, tmp_path: Path) -> None:
        process = start(
            "plain", "--user", "nobody", "--group", "2", "--pid-file", "demo.pid", "--chroot", "/usr"
        )
        assert first_line(process) == "ready 65534 2 /\n"
        assert os.readlink(f"/proc/{process.pid}/root") == "/usr"
        process.terminate()
        process.communicate(timeout=DEADLINE)
        assert process.returncode == 0
        assert (tmp_path / "demo.pid").read_text() == ""  # nobody may not remove it

    def test_a_group_alone_is_taken_too(start: Start) -> None:
        process = start("plain", "--group", "2")
        assert first_line(process).startswith("ready 0 2 ")


def test_systemd_hears_when_the_service_is_ready_and_when_it_stops(start: Start, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.settimeout(DEADLINE)
        manager.bind(str(tmp_path / "notify"))
        process = start("plain", env={**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify")})
        assert manager.recv(1000) == f"READY=1\nMAINPID={process.pid}".encode()
        process.terminate()
        assert manager.recv(1000) == b"STOPPING=1"


def test_systemds_watchdog_hears_from_the_service_until_it_stops(start: Start, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.settimeout(DEADLINE)
        manager.bind(str(tmp_path / "notify"))
        more = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "20000"}
        process = start("plain", env={**os.environ, **more})
        assert manager.recv(1000).startswith(b"READY=1")
        assert [manager.recv(1000) for _ in range(3)] == [b"WATCHDOG=1"] * 3
        process.terminate()
        while (told := manager.recv(1000)) == b"WATCHDOG=1":
            pass
        assert told == b"STOPPING=1"
        process.communicate(timeout=DEADLINE)
        manager.setblocking(False)
        with pytest.raises(BlockingIOError):
            manager.recv(1000)


if AS_ROOT:

    def test_systemd_hears_from_a_service_with_another_root_folder(start: Start, tmp_path: Path) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.settimeout(DEADLINE)
            manager.bind(str(tmp_path / "notify"))
            environment = {**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify")}
            process = start("plain", "--chroot", "/usr", env=environment)
            assert manager.recv(1000).startswith(b"READY=1")
            process.terminate()
            assert manager.recv(1000) == b"STOPPING=1"


def test_a_manager_with_a_new_socket_is_told_too(tmp_path: Path) -> None:
    path = str(tmp_path / "notify")
    none = ConnectedNotifier({})
    assert not none.notify("READY=1")
    none.close()
    early = ConnectedNotifier({"NOTIFY_SOCKET": path})
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as first:
        first.bind(path)
        assert early.notify("A=1")
        assert first.recv(100) == b"A=1"
        notifier = ConnectedNotifier({"NOTIFY_SOCKET": path})
        assert notifier.notify("B=1")
        assert first.recv(100) == b"B=1"
    os.unlink(path)
    assert not notifier.notify("C=1")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as second:
        second.bind(path)
        assert notifier.notify("D=1")
        assert second.recv(100) == b"D=1"
    notifier.close()


def test_a_hangup_has_the_log_opened_anew(start: Start, tmp_path: Path) -> None:
    log = tmp_path / "log"
    process = start("plain", "--log", "log")
    first_line(process)
    wait_for(lambda: "has started" in log.read_text())
    log.rename(tmp_path / "log.1")
    process.send_signal(signal.SIGHUP)
    wait_for(lambda: log.exists() and "service 'demo' goes on in a new log" in log.read_text())
    log.rename(tmp_path / "log.2")
    log.mkdir()
    process.send_signal(signal.SIGHUP)
    told = f"the log {log}: Is a directory; it goes on in the old file"
    wait_for(lambda: told in (tmp_path / "log.2").read_text())
    process.terminate()
    process.communicate(timeout=DEADLINE)
    assert process.returncode == 0
    assert "stops: SIGTERM" in (tmp_path / "log.2").read_text()
    assert "stops" not in (tmp_path / "log.1").read_text()


def test_a_stale_pid_file_is_taken_over_and_a_live_one_names_its_process(tmp_path: Path) -> None:
    path = tmp_path / "demo.pid"
    path.write_text("1\n")  # a process that lives, but has no lock
    with PidFile(path) as file:
        assert path.read_text() == f"{os.getpid()}\n"
        with pytest.raises(NotAlone, match=f"process {os.getpid()} runs already") as caught:
            PidFile(path)
        assert caught.value.pid == os.getpid()
        path.unlink()
        with PidFile(path):
            file.remove()
            assert path.exists()  # it is another's by now
    path.write_text("garbage\x1b")
    with open(path) as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(NotAlone, match="another process runs already"):
            PidFile(path)


def test_a_pid_file_follows_no_symbolic_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with pytest.raises(PidFileError, match="symbolic link"):
        PidFile(tmp_path / "link")
    assert not (tmp_path / "target").exists()


def test_the_options_are_what_the_user_has_typed(capsys: pytest.CaptureFixture[str]) -> None:
    parser = ArgumentParser()
    add_program_options(parser)
    assert program_options(parser.parse_args([])) == ProgramOptions()
    assert program_options(parser.parse_args(["--umask", "027"])).umask == 0o27
    for wrong in ("9", "1000", "-1"):
        with pytest.raises(SystemExit):
            parser.parse_args([f"--umask={wrong}"])
        assert f"'{wrong}' is no octal number from 0 to 777" in capsys.readouterr().err


def test_a_fault_of_the_program_is_told_and_everything_is_put_back(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    class Broken(Service):
        def prepare(self) -> None:
            raise ValueError("port 80 is taken")

    options = ProgramOptions(pid_file=str(tmp_path / "pid"), log=str(tmp_path / "log"), umask=0o77)
    old = os.umask(0o22)
    try:
        assert run_service(Broken(), options, program="demo") == 1
        assert os.umask(0o22) == 0o22
    finally:
        os.umask(old)
    assert capsys.readouterr().err == "demo: ValueError: port 80 is taken\n"
    assert "ValueError: port 80 is taken" in (tmp_path / "log").read_text()
    assert not (tmp_path / "pid").exists()
    assert run_service(Broken(), ProgramOptions(log_format="xml"), program="demo") == 1
    assert capsys.readouterr().err == "demo: --log-format xml: not one of text, json\n"
