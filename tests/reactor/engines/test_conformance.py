"""What holds on every engine holds on the loops of the toolkits: the same tests, with another `run`."""

import inspect
from typing import Any

from .. import (
    test_connecting,
    test_forking,
    test_life,
    test_listening,
    test_processes,
    test_signals,
    test_streams,
    test_threads,
    test_timers,
    test_udp,
)

MODULES: tuple[Any, ...] = (
    test_connecting,
    test_forking,
    test_life,
    test_listening,
    test_processes,
    test_signals,
    test_streams,
    test_threads,
    test_timers,
    test_udp,
)

for _module in MODULES:
    for _name, _test in vars(_module).items():
        if _name.startswith("test_") and "run" in inspect.signature(_test).parameters:
            assert _name not in globals(), _name
            globals()[_name] = _test


def test_there_is_something_to_conform_to() -> None:
    assert sum(name.startswith("test_") for name in globals()) > 100
