"""Every engine in turn, and pools over a file."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sshkit.databases import ConnectionPool
from tests.reactor.helpers import ENGINES


@pytest.fixture(params=list(ENGINES))
def run(request: pytest.FixtureRequest) -> Callable[[Any], Any]:
    """Run a coroutine function, which is given the reactor, on each engine in turn."""
    return ENGINES[request.param]


@pytest.fixture
def pool(tmp_path: Path) -> Callable[..., ConnectionPool]:
    """Make a pool of connections to one file."""

    def make(**options: Any) -> ConnectionPool:
        return ConnectionPool("sqlite3", tmp_path / "database", **{"timeout": 30.0, **options})

    return make
