"""The engines: one reactor, three ways to turn.  To add one: a file beside these and a line in the table.

Each is loaded when it is asked for: `direct` and `guest` load asyncio, `native` must not.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..errors import ReactorError

if TYPE_CHECKING:
    from ..polling import PollingReactor


def _direct() -> "PollingReactor":
    from .direct import DirectReactor

    return DirectReactor()


def _native() -> "PollingReactor":
    from .native import NativeReactor

    return NativeReactor()


#: The engines that can be started; `guest` is not among them, it joins a loop that runs already.
ENGINES: "dict[str, Callable[[], PollingReactor]]" = {"direct": _direct, "native": _native}


def new_reactor(engine: str = "direct") -> "PollingReactor":
    """Return a new reactor of an engine."""
    make = ENGINES.get(engine)
    if make is None:
        raise ReactorError(f"no engine {engine!r}; there are {', '.join(ENGINES)}")
    return make()
