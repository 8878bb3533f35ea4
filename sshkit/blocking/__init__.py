"""The same API for plain threads: every call waits, and none without a deadline.

    with sshkit.blocking.connect("user@host") as connection:
        print(connection.run("uptime").text)

One reactor runs in a thread of its own, started at the first call and shared by all; objects of this room
may be used from any thread.  Everything else is the library's own: these classes only wait.
"""

from typing import TYPE_CHECKING, Any

from sshkit.blocking.client import BlockingConnection, BlockingProcess, connect
from sshkit.blocking.server import BlockingServer, serve
from sshkit.blocking.thread import ReactorThread, shared

if TYPE_CHECKING:
    from sshkit.blocking.sftp_path import BlockingSftpPath
    from sshkit.blocking.syncing import sync

_LATER = {"BlockingSftpPath": "sftp_path", "sync": "syncing"}


def __getattr__(name: str) -> Any:
    """Load what few need when it is wanted."""
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
    return value


__all__ = [
    "BlockingConnection",
    "BlockingProcess",
    "BlockingServer",
    "BlockingSftpPath",
    "ReactorThread",
    "connect",
    "serve",
    "shared",
    "sync",
]
