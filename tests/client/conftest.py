"""A network in memory for each test, and no failure of a Deferred that nobody took."""

import gc
from collections.abc import Iterator

import pytest

from sshkit.deferred import Failure, set_unhandled_handler
from tests.client.world import World


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture(autouse=True)
def unhandled() -> Iterator[list[Failure]]:
    """Collect failures that nobody took; a test that wants some clears the list."""
    failures: list[Failure] = []
    before = set_unhandled_handler(lambda failure, places: failures.append(failure))
    try:
        yield failures
        gc.collect(1)
    finally:
        set_unhandled_handler(before)
    assert not failures, failures[0].text(traceback=True)
