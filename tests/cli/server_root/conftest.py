"""Accounts for each module, and servers that end with their test."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.server_root.accounts import GROUP, NAMES, RootServer, Start, Users, write_config
from tests.servers import TIMEOUT, Place


@pytest.fixture(scope="module")
def users() -> Iterator[Users]:
    """Two accounts; they and their homes go with the module."""
    folder = Path(tempfile.mkdtemp(prefix="sshkit-users-"))
    folder.chmod(0o755)

    def call(*line: str) -> None:
        subprocess.run(line, check=True, capture_output=True, timeout=TIMEOUT)

    def remove() -> None:
        for line in (*(("userdel", "-f", name) for name in NAMES), ("groupdel", "-f", GROUP)):
            subprocess.run(line, check=False, capture_output=True, timeout=TIMEOUT)

    remove()
    call("groupadd", GROUP)
    for name in NAMES:
        call(
            "useradd",
            "-U",
            "-s",
            "/bin/bash",
            "-m",
            "-k",
            "/var/empty",
            "-d",
            str(folder / f"home-{name}"),
            name,
        )
        (folder / f"home-{name}").chmod(0o700)
    call("usermod", "-a", "-G", GROUP, NAMES[1])
    try:
        yield Users(folder)
    finally:
        remove()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def place(tmp_path: Path, users: Users) -> Place:
    place = Place(tmp_path)
    for name in NAMES:
        shutil.copy(users.folder / name, tmp_path / name)
    return place


@pytest.fixture
def start(place: Place) -> Iterator[Start]:
    servers: list[RootServer] = []

    def start_server(*lines: str, **named: Any) -> RootServer:
        server = RootServer(place, "-D", "-e", "-f", str(write_config(place, *lines)), **named)
        servers.append(server)
        return server

    yield start_server
    for server in servers:
        assert server.stop() == 0, server.log


@pytest.fixture
def jail() -> Iterator[Path]:
    """A folder that is root's up to the top."""
    folder = Path(tempfile.mkdtemp(prefix="sshkit-jail-", dir="/var"))
    folder.chmod(0o755)
    (folder / "note").write_text("inside\n")
    (folder / "link").symlink_to("/etc/passwd")
    entry = pwd.getpwnam(NAMES[0])
    (folder / "home").mkdir()
    os.chown(folder / "home", entry.pw_uid, entry.pw_gid)
    yield folder
    shutil.rmtree(folder)
