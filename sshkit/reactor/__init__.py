"""The reactor: one transport class under several loops.

`sshkit.reactor` loads nothing until a name is asked for; the native engine loads no asyncio.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .engines import ENGINES, new_reactor
    from .errors import (
        ConnectError,
        ConnectTimeout,
        ListenError,
        ReactorClosed,
        ReactorError,
        ResolveError,
        ResolveTimeout,
        SpawnError,
    )

__all__ = [
    "ENGINES",
    "ConnectError",
    "ConnectTimeout",
    "ListenError",
    "ReactorClosed",
    "ReactorError",
    "ResolveError",
    "ResolveTimeout",
    "SpawnError",
    "new_reactor",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name in ("ENGINES", "new_reactor"):
        from . import engines as module
    else:
        from . import errors as module  # type: ignore[no-redef]
    return getattr(module, name)
