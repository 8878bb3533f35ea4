"""A fresh network in memory for each test; no failure of a Deferred gets lost."""

from collections.abc import Iterator

import pytest

from sshkit.deferred import Failure, set_unhandled_handler
from tests.forwarding.world import ForwardWorld
from tests.interop.peers import Keys


@pytest.fixture(scope="session")
def peer_keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    """Keys that real peers know."""
    folder = tmp_path_factory.mktemp("peer-keys")
    folder.chmod(0o755)
    return Keys(folder)


@pytest.fixture
def world() -> ForwardWorld:
    """One network."""
    return ForwardWorld()


@pytest.fixture(autouse=True)
def unhandled() -> Iterator[list[Failure]]:
    """Collect failures that nobody took; a test that wants some clears the list."""
    failures: list[Failure] = []
    before = set_unhandled_handler(lambda failure, places: failures.append(failure))
    try:
        yield failures
    finally:
        set_unhandled_handler(before)
    assert not failures, failures[0].text(traceback=True)
