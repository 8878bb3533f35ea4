"""No failure of a Deferred gets lost in a test of this room."""

from collections.abc import Iterator

import pytest

from sshkit.deferred import Failure, set_unhandled_handler


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
