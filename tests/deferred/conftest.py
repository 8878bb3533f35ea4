"""What the tests of Deferreds share: a clock turned by hand, and the failures that nobody took."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sshkit.deferred import Failure, set_unhandled_handler


class Call:
    def __init__(self, when: float, function: Callable[[], object]) -> None:
        self.when = when
        self.function = function
        self.active = True

    def cancel(self) -> None:
        assert self.active
        self.active = False

    def reset(self, seconds: float) -> None:
        raise NotImplementedError


class HandClock:
    """A clock that goes on only by `advance`."""

    def __init__(self) -> None:
        self.now = 0.0
        self.calls: list[Call] = []

    def seconds(self) -> float:
        return self.now

    def call_later(self, seconds: float, callback: Callable[..., object], *args: Any) -> Call:
        call = Call(self.now + seconds, lambda: callback(*args))
        self.calls.append(call)
        return call

    def call_soon(self, callback: Callable[[], object]) -> None:
        self.call_later(0, callback)

    def advance(self, seconds: float) -> None:
        self.now += seconds
        for call in [call for call in self.calls if call.active and call.when <= self.now]:
            call.active = False
            call.function()


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture(scope="module", autouse=True)
def nothing_of_others() -> None:
    """Let the failures that tests of other rooms left behind be collected before ours are counted."""
    gc.collect()


@pytest.fixture(autouse=True)
def unhandled() -> Iterator[list[tuple[Failure, str]]]:
    """Collect what nobody took; a test that expects some empties the list."""
    found: list[tuple[Failure, str]] = []
    before = set_unhandled_handler(lambda failure, places: found.append((failure, places)))
    yield found
    gc.collect()
    set_unhandled_handler(before)
    assert found == []


@pytest.fixture
def without_gc() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()
