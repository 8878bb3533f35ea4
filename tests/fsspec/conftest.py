"""A server with local files, and the file system that fsspec's own suite is run on."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sshkit_keys import PrivateKey, generate_private_key

import sshkit
from sshkit.blocking import BlockingServer
from sshkit.fsspec_plugin import SSHKitFileSystem
from sshkit.sftp.backends.local import LocalBackend

HOST_KEY: PrivateKey = generate_private_key("ed25519", comment="the host's")
USER_KEY: PrivateKey = generate_private_key("ed25519", comment="the user's")


async def refuse(session: sshkit.Session) -> int:
    return 1


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[BlockingServer, Path]]:
    """A running server, and the folder that is its root."""
    root = tmp_path_factory.mktemp("served")
    (root / "home").mkdir()
    with sshkit.blocking.serve(
        "127.0.0.1:0",
        refuse,
        host_keys=[HOST_KEY],
        authorized_keys=[USER_KEY.public],
        sftp=LocalBackend(root, start="/home"),
    ) as server:
        yield server, root


@pytest.fixture(scope="session")
def options(served: tuple[BlockingServer, Path]) -> dict[str, Any]:
    """What a file system there is made with."""
    return {
        "host": "127.0.0.1",
        "port": served[0].address[1],
        "username": "me",
        "identities": [USER_KEY],
        "agent": "",
        "host_keys": [HOST_KEY.public],
    }


@pytest.fixture(scope="session")
def session_fs(options: dict[str, Any]) -> Iterator[SSHKitFileSystem]:
    """The file system."""
    system = SSHKitFileSystem(**options, auto_mkdir=True, skip_instance_cache=True)
    yield system
    system.close()
