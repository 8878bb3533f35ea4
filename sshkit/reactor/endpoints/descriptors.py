"""``stdio:`` and ``fd:N``: what the program was started with.

A descriptor of ``fd:`` belongs to the transport or listener from the moment that it is connected or listened
at, so each can be used once.
"""

import os
import stat
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from sshkit.deferred import Deferred, maybe_deferred

from ..text import shown_error
from .arguments import Arguments
from .base import ClientPlace, ServerPlace, SingleListener
from .errors import EndpointError

if TYPE_CHECKING:
    import socket

    from sshkit.interfaces import Reactor
    from sshkit.interfaces.endpoint import Listener

_P = TypeVar("_P")

MAX_FD = 1 << 20


class StdioClient(ClientPlace):
    """Standard input and output as a connection."""

    __slots__ = ()

    @property
    def shown(self) -> str:
        """The text that means it."""
        return "stdio:"

    def _connect(self, factory: Callable[[], _P], timeout: float) -> Deferred[_P]:
        def connect() -> _P:
            protocol = factory()
            self.reactor.open_stdio(protocol)
            return protocol

        return maybe_deferred(connect)


class StdioServer(ServerPlace):
    """Standard input and output as the one connection of a server (inetd's way)."""

    __slots__ = ()

    @property
    def shown(self) -> str:
        """The text that means it."""
        return "stdio:"

    def listen(self, factory: Callable[[], Any]) -> "Deferred[Listener]":
        """Make the one connection at once."""

        def listen() -> "Listener":
            self.reactor.open_stdio(factory())
            return SingleListener("stdio:")

        return maybe_deferred(listen)


class FDClient(ClientPlace):
    """A descriptor that the program was given: a connected socket, a pipe, a terminal."""

    __slots__ = ("fd",)

    def __init__(self, fd: int, *, reactor: "Reactor | None" = None) -> None:
        super().__init__(reactor)
        self.fd = fd

    @property
    def shown(self) -> str:
        """The text that means it."""
        return f"fd:{self.fd}"

    def _connect(self, factory: Callable[[], _P], timeout: float) -> Deferred[_P]:
        def connect() -> _P:
            if stat.S_ISSOCK(_kind(self.fd)):
                sock = stream_socket(self.fd, listening=False)
                protocol: _P = self.reactor.adopt_socket(sock, factory)
                return protocol
            protocol = factory()
            self.reactor.open_pipes(protocol, *_directions(self.fd))
            return protocol

        return maybe_deferred(connect)


class FDServer(ServerPlace):
    """A listening socket that the program was given."""

    __slots__ = ("fd",)

    def __init__(self, fd: int, *, reactor: "Reactor | None" = None) -> None:
        super().__init__(reactor)
        self.fd = fd

    @property
    def shown(self) -> str:
        """The text that means it."""
        return f"fd:{self.fd}"

    def listen(self, factory: Callable[[], Any]) -> "Deferred[Listener]":
        """Take connections from it."""

        def listen() -> "Listener":
            from ..listener import Listener

            return Listener(self.reactor, [stream_socket(self.fd, listening=True)], factory)

        return maybe_deferred(listen)


def _kind(fd: int) -> int:
    try:
        return os.fstat(fd).st_mode
    except OSError as error:
        raise EndpointError(f"descriptor {fd}: {shown_error(error)}") from error


def _directions(fd: int) -> tuple[int | None, int | None]:
    """Return the descriptor as what it was opened for."""
    from fcntl import F_GETFL, fcntl

    mode = fcntl(fd, F_GETFL) & os.O_ACCMODE
    return (None if mode == os.O_WRONLY else fd), (None if mode == os.O_RDONLY else fd)


def stream_socket(fd: int, *, listening: bool) -> "socket.socket":
    """Return the socket of a descriptor; EndpointError unless it is a stream, `listening` or not."""
    import socket

    if not stat.S_ISSOCK(_kind(fd)):
        raise EndpointError(f"descriptor {fd} is no socket")
    sock = socket.socket(fileno=fd)
    if sock.type != socket.SOCK_STREAM:
        fault = "is no stream socket"
    elif bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)) != listening:
        fault = "does not listen" if listening else "listens, and is no connection"
    else:
        os.set_inheritable(fd, False)
        sock.setblocking(False)
        return sock
    sock.detach()
    raise EndpointError(f"descriptor {fd} {fault}")


def stdio_client(arguments: Arguments, reactor: "Reactor | None") -> StdioClient:
    """Read ``stdio:``."""
    arguments.take_optional()
    return StdioClient(reactor)


def stdio_server(arguments: Arguments, reactor: "Reactor | None") -> StdioServer:
    """Read ``stdio:``."""
    arguments.take_optional()
    return StdioServer(reactor)


def fd_client(arguments: Arguments, reactor: "Reactor | None") -> FDClient:
    """Read ``fd:N``."""
    return FDClient(arguments.take_number("a descriptor", MAX_FD), reactor=reactor)


def fd_server(arguments: Arguments, reactor: "Reactor | None") -> FDServer:
    """Read ``fd:N``."""
    return FDServer(arguments.take_number("a descriptor", MAX_FD), reactor=reactor)
