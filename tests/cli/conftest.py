"""A real sshd for all tests of the commands, and a user with a home of his own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.user import PtyUser
from tests.peers import RealSshd


@pytest.fixture(scope="session")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealSshd]:
    """A running sshd; nobody changes its files."""
    with RealSshd(tmp_path_factory.mktemp("sshd")) as server:
        yield server


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
