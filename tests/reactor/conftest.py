"""Every engine in turn, and the log of what the reactor reports."""

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from .helpers import ENGINES, Hang


@pytest.fixture(params=list(ENGINES))
def run(request: pytest.FixtureRequest) -> Callable[[Any], Any]:
    """Run a coroutine function, which is given the reactor, on each engine in turn."""
    return ENGINES[request.param]


@pytest.fixture
def reports(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was logged, message by message."""

    class Messages(list[str]):
        def __iter__(self) -> Iterator[str]:
            return iter([record.getMessage() for record in caplog.records])

        def __len__(self) -> int:
            return len(caplog.records)

        def __eq__(self, other: object) -> bool:
            return list(self) == other

        __hash__ = None

    caplog.set_level(logging.WARNING, "sshkit")
    return Messages()


@pytest.fixture
def hang() -> Iterator[Hang]:
    """An address that never answers."""
    place = Hang()
    yield place
    place.close()
