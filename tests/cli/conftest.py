"""A real sshd for all tests of the commands, and a user with a home of his own."""

import io
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sshkit_cli import keygen

from tests.cli.user import PtyUser
from tests.peers import RealSshd


@pytest.fixture(scope="session")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealSshd]:
    """A running sshd; nobody changes its files."""
    with RealSshd(tmp_path_factory.mktemp("sshd")) as server:
        yield server


@pytest.fixture
def real_agent(tmp_path: Path) -> Iterator[Path]:
    """The socket of a real ssh-agent."""
    path = tmp_path / "agent.sock"
    with subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield path
        process.kill()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home directory, and no environment that matters."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    for name in ("SSH_ASKPASS", "SSH_ASKPASS_REQUIRE", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    return folder


@pytest.fixture
def to_sshd(sshd: RealSshd, home: Path) -> tuple[str, ...]:
    """Arguments that lead to the sshd, up to and without the host."""
    return (
        *("-F", "none", "-p", str(sshd.port), "-i", str(sshd.user_key_path)),
        *("-o", f"UserKnownHostsFile={sshd.known_hosts}", "-o", "GlobalKnownHostsFile=none"),
    )


@pytest.fixture
def user() -> Iterator[PtyUser]:
    """A user before a terminal."""
    pty_user = PtyUser()
    yield pty_user
    pty_user.close()


@pytest.fixture
def run_keygen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Run sshkit-keygen in the test's folder, without a terminal; returns status, output and errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("SSH_ASKPASS", "SSH_AUTH_SOCK"):
        monkeypatch.delenv(name, raising=False)
    real = os.open

    def no_terminal(path: str, *arguments: int, **options: int) -> int:
        if path == "/dev/tty":
            raise OSError(6, "No such device or address")
        return real(path, *arguments, **options)

    monkeypatch.setattr(os, "open", no_terminal)

    def command(*arguments: str | Path, stdin: str | bytes = "") -> tuple[int, str, str]:
        typed = stdin if isinstance(stdin, bytes) else stdin.encode()
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(typed)))
        status = keygen.main([os.fspath(argument) for argument in arguments])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return command
