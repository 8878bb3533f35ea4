"""``unix:PATH``: UNIX sockets.  A path that begins with "@" is an abstract name (Linux)."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from sshkit.interfaces.reactor import BACKLOG, CONNECT_TIMEOUT

from ..text import shown
from .arguments import MAX_PORT, Arguments
from .base import ClientPlace, ServerPlace

if TYPE_CHECKING:
    from sshkit.deferred import Deferred
    from sshkit.interfaces import Reactor
    from sshkit.interfaces.endpoint import Listener

_P = TypeVar("_P")


class UNIXClient(ClientPlace):
    """A path."""

    __slots__ = ("path",)

    def __init__(
        self, path: str | bytes, *, timeout: float = CONNECT_TIMEOUT, reactor: "Reactor | None" = None
    ) -> None:
        super().__init__(reactor, timeout)
        self.path = path

    @property
    def shown(self) -> str:
        """The text that means it."""
        return f"unix:{shown(self.path)}"

    def _connect(self, factory: Callable[[], _P], timeout: float) -> "Deferred[_P]":
        deferred: Deferred[_P] = self.reactor.connect_unix(self.path, factory, timeout=timeout)
        return deferred


class UNIXServer(ServerPlace):
    """A path that does not exist yet."""

    __slots__ = ("backlog", "mode", "path")

    def __init__(
        self,
        path: str | bytes,
        *,
        mode: int | None = None,
        backlog: int = BACKLOG,
        reactor: "Reactor | None" = None,
    ) -> None:
        super().__init__(reactor)
        self.path = path
        self.mode = mode
        self.backlog = backlog

    @property
    def shown(self) -> str:
        """The text that means it."""
        return f"unix:{shown(self.path)}"

    def listen(self, factory: Callable[[], Any]) -> "Deferred[Listener]":
        """Make the socket; it is removed when the listener closes."""
        deferred: Deferred[Listener] = self.reactor.listen_unix(
            self.path, factory, mode=self.mode, backlog=self.backlog
        )
        return deferred


def client(arguments: Arguments, reactor: "Reactor | None") -> UNIXClient:
    """Read ``unix:PATH[:timeout=SECONDS]``."""
    path = _path(arguments)
    return UNIXClient(path, timeout=arguments.seconds_of("timeout", CONNECT_TIMEOUT), reactor=reactor)


def server(arguments: Arguments, reactor: "Reactor | None") -> UNIXServer:
    """Read ``unix:PATH[:mode=OCTAL][:backlog=N]``."""
    path = _path(arguments)
    return UNIXServer(
        path,
        mode=arguments.integer_of("mode", None, 0, 0o777, base=8),
        backlog=arguments.integer_of("backlog", BACKLOG, 1, MAX_PORT) or BACKLOG,
        reactor=reactor,
    )


def _path(arguments: Arguments) -> str:
    path = arguments.take("a path")
    return "\0" + path[1:] if path.startswith("@") else path
