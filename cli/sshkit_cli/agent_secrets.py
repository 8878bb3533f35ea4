"""Keeps the memory of sshkit-agent from being read: no core dumps, no tracing, no swap (rule R43).

Called by `agent_run` before the first key can come.  What the system does not permit is left as it is.
"""

import os
import resource
from typing import Any

_SET_DUMPABLE = 4  # prctl(2)
_LOCK_ALL = 1 | 2 | 4  # mlockall(2): what is there, what comes, and only once it is touched


def protect_memory() -> list[str]:
    """Do what can be done; returns what was done, for the log."""
    done = []
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        done.append("no core dumps")
    except (OSError, ValueError):
        pass
    library = _c_library()
    if library is None:
        return done
    if library.prctl(_SET_DUMPABLE, 0, 0, 0, 0) == 0:
        done.append("no tracing")
    # With a limit, locking what is to come would make a later allocation fail: better not at all then.
    limit = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0]
    may_lock = os.geteuid() == 0 or limit == resource.RLIM_INFINITY
    if may_lock and library.mlockall(_LOCK_ALL) == 0:
        done.append("no swap")
    return done


def _c_library() -> Any:
    try:
        from ctypes import CDLL

        library = CDLL(None, use_errno=True)
        return library if hasattr(library, "prctl") and hasattr(library, "mlockall") else None
    except (ImportError, OSError):
        return None
