"""Which reactor is meant when none is named: the one that runs here.

Called by everything that takes an optional `reactor`.  There is no global one.
"""

import os
import sys
from _thread import get_ident
from typing import TYPE_CHECKING, Any

from .errors import ReactorError

if TYPE_CHECKING:
    from .core import ReactorCore


#: The reactor that runs in each thread, by the thread's number.  A guest is found by its loop instead.
running_reactors: "dict[int, ReactorCore]" = {}


def _forked() -> None:
    """In a child process: only this thread is left, and the numbers of the others are used again."""
    here = get_ident()
    for thread in [number for number in running_reactors if number != here]:
        del running_reactors[thread]


os.register_at_fork(after_in_child=_forked)


def running_asyncio_loop() -> Any:
    """Return the asyncio loop that runs in this thread, if any; asyncio is not loaded for the question."""
    get_loop = getattr(sys.modules.get("asyncio"), "_get_running_loop", None)
    return None if get_loop is None else get_loop()


def current() -> "ReactorCore":
    """Return the reactor that runs in this thread, or a guest on the asyncio loop that does."""
    reactor = running_reactors.get(get_ident())
    if reactor is not None:
        return reactor
    loop = running_asyncio_loop()
    if loop is None:
        raise ReactorError(
            "no reactor runs in this thread: call this inside sshkit.run(main()) or asyncio.run(main()), "
            "or use sshkit.blocking"
        )
    from .engines.guest import guest_of

    return guest_of(loop)
