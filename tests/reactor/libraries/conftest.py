"""Where libraries for asyncio run: on our default engine, and on a loop of which ours is a guest."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import uvloop

import sshkit

#: name -> run(coroutine).
RUNNERS: dict[str, Callable[[Any], Any]] = {
    "direct": sshkit.run,
    "guest-asyncio": asyncio.run,
    "guest-uvloop": uvloop.run,
}


@pytest.fixture(params=list(RUNNERS))
def run(request: pytest.FixtureRequest) -> Callable[[Any], Any]:
    """Run a coroutine on each in turn."""
    return RUNNERS[request.param]
