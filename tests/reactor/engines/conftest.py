"""Every toolkit in turn, in place of the engines."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from .hosts import HOSTS, close_display


@pytest.fixture(params=list(HOSTS))
def run(request: pytest.FixtureRequest) -> Callable[[Any], Any]:
    """Run a coroutine function, which is given the reactor, on each toolkit's loop in turn."""
    return HOSTS[request.param]


@pytest.fixture(scope="session", autouse=True)
def screen() -> Iterator[None]:
    """End what shows the windows of Tk."""
    yield
    close_display()
