"""`sshkit.run`: one call from a plain program to its result."""

from collections.abc import Awaitable
from typing import TypeVar

from .engines import new_reactor
from .life import close_unstarted

_T = TypeVar("_T")


def run(awaitable: Awaitable[_T], engine: str = "direct") -> _T:
    """Run a coroutine or Deferred to its end on a new reactor; return its result or raise its error.

    As often as one likes, in any thread.  The reactor is closed at the end, with everything that is still
    open on it.  Ctrl-C cancels the coroutine, lets it clean up, and then raises KeyboardInterrupt.
    """
    try:
        reactor = new_reactor(engine)
    except BaseException:
        close_unstarted(awaitable)
        raise
    try:
        return reactor.run_until(awaitable)
    finally:
        reactor.close()
