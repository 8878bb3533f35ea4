"""Every toolkit in turn, in place of the engines."""

from collections.abc import Callable
from typing import Any

import pytest

from .hosts import HOSTS, INNER, InnerLoop


@pytest.fixture(params=list(HOSTS))
def toolkit_name(request: pytest.FixtureRequest) -> str:
    """Name each toolkit in turn."""
    name: str = request.param
    return name


@pytest.fixture
def run(toolkit_name: str) -> Callable[[Any], Any]:
    """Run a coroutine function, which is given the reactor, on each toolkit's loop in turn."""
    return HOSTS[toolkit_name]


@pytest.fixture
def inner(toolkit_name: str) -> Callable[[], InnerLoop]:
    """Make a loop within the toolkit's."""
    return INNER[toolkit_name]
