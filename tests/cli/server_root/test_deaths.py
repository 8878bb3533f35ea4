"""sshkit-server for all accounts, when one of its processes dies: who ends with it, and who goes on."""

import os
import select
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.server_root.accounts import NAMES, RootServer, Start, Users, Watch, started, write_config
from tests.cli.server_root.test_processes import workers_of
from tests.servers import TIMEOUT, Place, read_to_end

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="accounts are made by root only"),
    pytest.mark.peer("ssh"),
    pytest.mark.peer("useradd"),
]


def test_everything_ends_with_the_monitor(place: Place) -> None:
    """Nobody decides any more: workers, sessions, users' programs and the holder of the keys go."""
    server = RootServer(place, "-D", "-e", "-f", str(write_config(place, "Workers 2")))
    clients = [started(server, name, "exec cat") for name in NAMES]
    stranger = server.connect()
    assert stranger.recv(4) == b"SSH-"
    watch = Watch(server.processes())
    assert len(watch.pids) == 7  # the holder, two workers, two sessions and their programs
    server.process.kill()
    watch.wait()
    for client in clients:
        assert client.communicate(b"", TIMEOUT)[0] == b""
        assert client.returncode == 255
    read_to_end(stranger)
    stranger.close()
    assert server.wait() == -signal.SIGKILL
    assert "the monitor has gone" in server.log


def test_a_session_that_is_killed_ends_its_own_client_only(start: Start) -> None:
    server = start()
    first, second = (started(server, name, "echo $PPID; exec cat") for name in NAMES)
    assert first.stdout is not None
    os.kill(int(first.stdout.readline()), signal.SIGKILL)
    assert first.communicate(b"", TIMEOUT)[0] == b""
    assert first.returncode == 255
    server.wait_for("127.0.0.1: the session's process [0-9]+ was ended by signal 9")
    assert second.communicate(b"still here", TIMEOUT)[0].endswith(b"still here")
    assert server.as_user(NAMES[0], "echo in").stdout == b"in\n"


def test_a_session_that_is_told_to_end_says_so_to_its_client(start: Start) -> None:
    server = start()
    client = started(server, NAMES[0], "echo $PPID; exec cat")
    assert client.stdout is not None
    os.kill(int(client.stdout.readline()), signal.SIGTERM)
    _, told = client.communicate(b"", TIMEOUT)
    assert client.returncode == 255
    assert b"the connection was closed" in told
    assert server.as_user(NAMES[0], "echo in").stdout == b"in\n"


def test_how_a_user_has_logged_in_is_written_down_for_him_until_his_session_ends(start: Start) -> None:
    server = start("ExposeAuthInfo yes")
    command = "echo $PPID; echo $SSH_USER_AUTH; stat -c '%U %a' $SSH_USER_AUTH; cat $SSH_USER_AUTH; exec cat"
    client = started(server, NAMES[0], command)
    assert client.stdout is not None
    session, path, mode, line = (client.stdout.readline().decode().strip() for _ in range(4))
    watch = Watch([int(session)])
    assert mode == f"{NAMES[0]} 600"
    assert line.startswith("publickey ssh-ed25519 ")
    assert client.communicate(b"", TIMEOUT)[0] == b""
    watch.wait()
    assert not Path(path).exists()


@pytest.mark.parametrize("pam", [False, True])
def test_who_minds_no_hangup_is_left_behind_and_keeps_no_process_of_ours(start: Start, pam: bool) -> None:
    """As with sshd: `nohup` means what it says; the session's process waits for two seconds."""
    server = start("UsePAM yes" if pam else "UsePAM no")
    command = "trap '' HUP; echo $$; echo $PPID; exec sleep 600 </dev/null >/dev/null 2>&1"
    client = started(server, NAMES[0], command)
    assert client.stdout is not None
    stubborn, session = (int(client.stdout.readline()) for _ in range(2))
    watch, left = Watch([session]), Watch([stubborn])
    client.kill()
    client.communicate()
    watch.wait()
    os.kill(stubborn, 0)  # it lives
    os.kill(stubborn, signal.SIGKILL)
    left.wait()


def when_it_serves_again(server: RootServer, name: str) -> None:
    """Log in; while a process is being started again, clients are refused."""
    result = server.as_user(name, "echo in")
    for _ in range(100):
        if result.returncode == 255:
            result = server.as_user(name, "echo in")
    assert result.stdout == b"in\n", server.log


# A login that a death comes into.


class Gate:
    """A command of the configuration that finds users' keys when it is told to."""

    def __init__(self, users: Users) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="sshkit-gate-", dir="/var"))
        self.folder.chmod(0o755)
        began, go = self.folder / "began", self.folder / "go"
        self._fds = []
        for path in (began, go):
            os.mkfifo(path)
            path.chmod(0o666)
            self._fds.append(os.open(path, os.O_RDWR | os.O_NONBLOCK))  # nobody waits for the other end
        self.command = self.folder / "command"
        homes = self.folder / "keys"
        lines = [(users.folder / f"home-{name}" / ".ssh" / "authorized_keys").read_text() for name in NAMES]
        homes.write_text("".join(lines))
        self._answer = f"cat {homes}"
        self._write(f"echo $$ >{began}; read line <{go}; {self._answer}")

    def _write(self, command: str) -> None:
        path = self.folder / "new"
        path.write_text(f"#!/bin/sh\n{command}\n")
        path.chmod(0o755)
        path.rename(self.command)

    def wait_until_asked(self) -> Watch:
        """Return the command, which waits."""
        assert select.select([self._fds[0]], [], [], TIMEOUT)[0]
        return Watch([int(os.read(self._fds[0], 20))])

    def open(self) -> None:
        """Let it answer; the next ones do not wait."""
        self._write(self._answer)
        os.write(self._fds[1], b"go\n")

    def close(self) -> None:
        for fd in self._fds:
            os.close(fd)
        shutil.rmtree(self.folder)


@pytest.fixture
def gate(users: Users) -> Iterator[Gate]:
    gate = Gate(users)
    yield gate
    gate.close()


def test_r5_a_worker_that_dies_during_a_login_lets_nobody_in_and_leaves_no_count(
    start: Start, gate: Gate
) -> None:
    """The monitor runs a command just then whose answer would let in."""
    server = start(
        f"AuthorizedKeysCommand {gate.command}",
        "AuthorizedKeysCommandUser nobody",
        "AuthorizedKeysFile none",
        "MaxStartups 1",
    )
    line = server.ssh_command("echo in", user=NAMES[0], identity=NAMES[0])
    client = subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    asked = gate.wait_until_asked()
    (worker,) = workers_of(server)[:1]
    os.kill(worker, signal.SIGKILL)
    assert client.communicate(None, TIMEOUT)[0] == b""
    assert client.returncode == 255
    server.wait_for(rf"worker {worker} has ended \(the other process has gone\) and is started again")
    gate.open()
    asked.wait()
    when_it_serves_again(server, NAMES[0])
    assert server.log.count("logged in by publickey") == 1


def test_a_holder_of_the_keys_that_dies_is_started_again_and_sessions_go_on(start: Start) -> None:
    server = start()
    client = started(server, NAMES[0], "exec cat")
    listed = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
    os.kill(int(listed[0]), signal.SIGKILL)
    server.wait_for(f"the process {listed[0]} that holds the host keys has ended; it is started again")
    when_it_serves_again(server, NAMES[1])
    assert client.communicate(b"still here", TIMEOUT)[0] == b"still here"
