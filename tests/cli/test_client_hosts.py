"""sshkit-client --hosts: many hosts, one command."""

import json
import os
import signal
import socket
import threading
import time
from pathlib import Path

import pytest
from sshkit_cli.client_hosts import parse_hosts, raise_descriptor_limit, read_hosts
from sshkit_cli.options import UsageError

from tests.cli.test_client_run import beside
from tests.cli.user import PATIENCE, run_here
from tests.peers import RealSshd

HOST = "127.0.0.1"
Arguments = tuple[str, ...]


@pytest.fixture
def files(home: Path, sshd: RealSshd) -> tuple[str, str]:
    """The option -F with three names for the sshd, and one for nobody."""
    path = home / "config"
    path.write_text(
        f"Host one two three\n Hostname {HOST}\n HostKeyAlias [{HOST}]:{sshd.port}\n Port {sshd.port}\n"
        f"Host nobody\n Hostname {HOST}\n Port 1\n"
        f"Host *\n IdentityFile {sshd.user_key_path}\n UserKnownHostsFile {sshd.known_hosts}\n"
        " StrictHostKeyChecking no\n GlobalKnownHostsFile none\n"
    )
    return "-F", str(path)


@pytest.mark.peer("sshd")
def test_each_line_has_its_host_in_front(files: tuple[str, str]) -> None:
    outcome = run_here("--hosts", "one,two", *files, "--", "echo", "out; echo err >&2")
    assert outcome.status == 0
    assert sorted(outcome.out.decode().splitlines()) == ["one: out", "two: out"]
    assert {"one: err", "two: err", "2 hosts: 2 ok, 0 failed"} <= set(outcome.err.splitlines())


@pytest.mark.peer("sshd")
def test_a_host_that_fails_harms_no_other_and_is_told(files: tuple[str, str]) -> None:
    outcome = run_here("--hosts=one,nobody", *files, "--", "true")
    assert outcome.status == 255
    assert f"nobody: cannot connect to {HOST} port 1" in outcome.err
    assert outcome.err.endswith("2 hosts: 1 ok, 1 failed\n")


@pytest.mark.peer("sshd")
def test_json_has_all_of_an_outcome(files: tuple[str, str]) -> None:
    outcome = run_here("--json", "--hosts", "one,nobody,one", *files, "--", "echo a; exit 3")
    found = {entry["host"]: entry for entry in map(json.loads, outcome.out.splitlines())}
    assert outcome.status == 255
    assert (found["one"]["stdout"], found["one"]["exit_status"], found["one"]["ok"]) == ("a\n", 3, False)
    assert found["nobody"]["error"].startswith("ConnectError: ")
    assert len(found) == 2
    assert run_here("--json", "--hosts", "one", *files, "--", "exit 3").status == 1


@pytest.mark.peer("sshd")
def test_hosts_come_from_a_file_and_no_more_than_the_limit_at_a_time(
    files: tuple[str, str], tmp_path: Path
) -> None:
    (tmp_path / "hosts").write_text("one # the first\n\n# none\ntwo\nthree\n")
    argv = ("--hosts", str(tmp_path / "hosts"), "--limit", "1", "--progress", *files, "--", "cat")
    outcome = run_here(*argv)
    assert outcome.status == 0
    assert "3 hosts: 3 ok, 0 failed" in outcome.err
    assert "3 of 3 hosts" in outcome.err


def test_a_host_that_says_nothing_has_its_deadline_and_is_tried_again(home: Path) -> None:
    accepted = []
    with socket.create_server((HOST, 0)) as listener:

        def accept() -> None:
            while True:
                try:
                    accepted.append(listener.accept())
                except OSError:
                    return

        thread = threading.Thread(target=accept)
        thread.start()
        where = f"{HOST}:{listener.getsockname()[1]}"
        argv = ("--hosts", where, "--timeout", "0.2", "--retries", "1", "--json", "-F", "none", "--", "true")
        outcome = run_here(*argv)
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(PATIENCE)
    found = json.loads(outcome.out)
    assert (outcome.status, found["attempts"], len(accepted)) == (255, 2, 2)
    assert found["error"].startswith("TimeoutError: ")
    for sock, _ in accepted:
        sock.close()


@pytest.mark.peer("sshd")
def test_an_interrupt_ends_what_runs(files: tuple[str, str], tmp_path: Path) -> None:
    import subprocess

    os.mkfifo(tmp_path / "started")

    process = beside(
        "--hosts",
        "one",
        *files,
        "--",
        f"echo >{tmp_path}/started; sleep 60",
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    deadline = time.monotonic() + PATIENCE
    (tmp_path / "started").read_bytes()  # until the command runs
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE)
    assert time.monotonic() < deadline
    assert process.returncode == 255
    assert b"1 left out" in err


@pytest.mark.parametrize(
    ("argv", "cause"),
    [
        (["--hosts", "a", "true"], "the command stands behind --"),
        (["--hosts", "a", "--"], "no command"),
        (["--hosts", "", "--", "x"], "needs a file or a list"),
        (["--hosts", "/none/such", "--", "x"], "the file does not exist"),
        (["--hosts", ",", "--", "x"], "no hosts"),
        (["--hosts", "a", "--limit", "0", "--", "x"], "is not a number from 1 on"),
        (["--hosts", "a", "--retries", "x", "--", "x"], "is not a number from 0 on"),
        (["--limit", "--hosts", "--", "x"], "needs a file or a list"),
        (["--hosts", "a", "--limit", "--", "x"], "--limit needs an argument"),
    ],
)
def test_a_command_line_that_makes_no_sense_is_told(argv: list[str], cause: str) -> None:
    with pytest.raises(UsageError, match=cause):
        parse_hosts(argv)
    outcome = run_here(*argv)
    assert outcome.status == 255
    assert "usage: sshkit-client --hosts" in outcome.err


def test_hosts_may_come_from_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    monkeypatch.setattr("sys.stdin", io.StringIO("a\nb\n"))
    assert read_hosts("-") == ("a", "b")


def test_the_descriptor_limit_is_raised_as_far_as_the_system_lets_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import resource

    limits = {"now": (100, 400)}
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits["now"])
    monkeypatch.setattr(resource, "setrlimit", lambda _, wanted: limits.update(now=wanted))
    raise_descriptor_limit(50)
    assert limits["now"] == (100, 400)
    raise_descriptor_limit(300)
    assert limits["now"] == (300, 400)
    raise_descriptor_limit(9000)
    assert limits["now"] == (400, 400)
