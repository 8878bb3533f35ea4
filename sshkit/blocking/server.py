"""`serve` for programs without a loop: the server runs in the reactor's thread.

The handler runs there too, as a coroutine of the library; what blocks belongs into `defer_to_thread`.
"""

from typing import Any

from sshkit.blocking.thread import ReactorThread, shared
from sshkit.client.connection import CLOSE_TIMEOUT
from sshkit.server.handler import Handler
from sshkit.server.server import Server
from sshkit.server.server import serve as serve_async


class BlockingServer:
    """A server in the reactor's thread."""

    def __init__(self, thread: ReactorThread, server: Server) -> None:
        self._thread = thread
        self.server = server  #: the library's own object, for the reactor's thread

    @property
    def address(self) -> Any:
        """Where the server listens: (host, port)."""
        return self.server.address

    def close(self, *, timeout: float = CLOSE_TIMEOUT) -> None:
        """Stop listening and end every connection."""
        if self._thread.is_alive:
            self._thread.call(self.server.close, timeout=timeout)

    def wait_closed(self, *, timeout: float | None = None) -> None:
        """Wait until somebody closes the server."""
        self._thread.call(self.server.wait_closed, timeout=timeout)

    def __enter__(self) -> "BlockingServer":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def serve(address: str | tuple[str, int], handler: Handler, **options: Any) -> BlockingServer:
    """Listen and serve in the background; takes what `sshkit.serve` takes, and fails as it does."""
    thread = shared()
    server = thread.call(
        lambda: serve_async(address, handler, reactor=thread.reactor, **options), timeout=CLOSE_TIMEOUT
    )
    return BlockingServer(thread, server)
