"""The reactor: one transport class under several loops.

`sshkit.reactor` loads nothing until a name is asked for; the native engine loads no asyncio.
`current()` lies in `sshkit.reactor.current`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .engines import ENGINES, new_reactor
    from .errors import (
        ConnectError,
        ConnectTimeout,
        FileSendError,
        ListenError,
        MulticastError,
        ProcessError,
        ProcessFailed,
        ProcessTimeout,
        ReactorClosed,
        ReactorError,
        ResolveError,
        ResolveTimeout,
        SpawnError,
        TooMuchOutput,
    )
    from .running import run
    from .running_programs import Completed, run_process

__all__ = [
    "ENGINES",
    "Completed",
    "ConnectError",
    "ConnectTimeout",
    "FileSendError",
    "ListenError",
    "MulticastError",
    "ProcessError",
    "ProcessFailed",
    "ProcessTimeout",
    "ReactorClosed",
    "ReactorError",
    "ResolveError",
    "ResolveTimeout",
    "SpawnError",
    "TooMuchOutput",
    "new_reactor",
    "run",
    "run_process",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module: Any
    if name in ("ENGINES", "new_reactor"):
        from . import engines as module
    elif name in ("Completed", "run_process"):
        from . import running_programs as module
    elif name == "run":
        from .running import run

        return run
    else:
        from . import errors as module
    return getattr(module, name)
