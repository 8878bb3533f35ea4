"""A place with keys for each module, and servers that end with their test."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import pytest

from tests.servers import OwnServer, Place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A folder with keys."""
    return Place(tmp_path)


class Start(Protocol):
    """Starts a server with lines of configuration."""

    def __call__(self, *lines: str, options: tuple[str, ...] = ()) -> OwnServer: ...


@pytest.fixture
def start(place: Place) -> Iterator[Callable[..., OwnServer]]:
    """Start sshkit-server with these lines of configuration first; it ends with the test."""
    servers: list[OwnServer] = []

    def start_server(*lines: str, options: tuple[str, ...] = ()) -> OwnServer:
        server = OwnServer(place, "-D", "-e", "-f", str(place.config(*lines)), *options)
        servers.append(server)
        return server

    yield start_server
    for server in servers:
        assert server.stop() == 0, server.log
