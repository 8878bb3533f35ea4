"""The same API for plain threads: every call waits, and none without a deadline.

    with sshkit.blocking.connect("user@host") as connection:
        print(connection.run("uptime").text)

One reactor runs in a thread of its own, started at the first call and shared by all; objects of this room
may be used from any thread.  Everything else is the library's own: these classes only wait.
"""

from sshkit.blocking.client import BlockingConnection, BlockingProcess, connect
from sshkit.blocking.server import BlockingServer, serve
from sshkit.blocking.thread import ReactorThread, shared

__all__ = [
    "BlockingConnection",
    "BlockingProcess",
    "BlockingServer",
    "ReactorThread",
    "connect",
    "serve",
    "shared",
]
