"""``tcp:HOST:PORT`` and ``tcp:PORT``: TCP.  The connector tries all addresses of a host (RFC 8305)."""

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


class TCPClient(ClientPlace):
    """A host and a port."""

    __slots__ = ("host", "local_address", "port")

    def __init__(
        self,
        host: str,
        port: int,
        *,
        timeout: float = CONNECT_TIMEOUT,
        local_address: tuple[str, int] | None = None,
        reactor: "Reactor | None" = None,
    ) -> None:
        super().__init__(reactor, timeout)
        self.host = host
        self.port = port
        self.local_address = local_address

    @property
    def shown(self) -> str:
        """The text that means it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"tcp:{shown(host)}:{self.port}"

    def _connect(self, factory: Callable[[], _P], timeout: float) -> "Deferred[_P]":
        deferred: Deferred[_P] = self.reactor.connect_tcp(
            self.host, self.port, factory, timeout=timeout, local_address=self.local_address
        )
        return deferred


class TCPServer(ServerPlace):
    """A port, at one interface or all."""

    __slots__ = ("backlog", "interface", "port", "reuse_port")

    def __init__(
        self,
        port: int,
        interface: str | None = None,
        *,
        backlog: int = BACKLOG,
        reuse_port: bool = False,
        reactor: "Reactor | None" = None,
    ) -> None:
        super().__init__(reactor)
        self.port = port
        self.interface = interface
        self.backlog = backlog
        self.reuse_port = reuse_port

    @property
    def shown(self) -> str:
        """The text that means it."""
        return f"tcp:{self.port}" + (f":interface=[{shown(self.interface)}]" if self.interface else "")

    def listen(self, factory: Callable[[], Any]) -> "Deferred[Listener]":
        """Listen at every address of the interface."""
        deferred: Deferred[Listener] = self.reactor.listen_tcp(
            self.interface, self.port, factory, backlog=self.backlog, reuse_port=self.reuse_port
        )
        return deferred


def client(arguments: Arguments, reactor: "Reactor | None") -> TCPClient:
    """Read ``tcp:HOST:PORT[:timeout=SECONDS][:local=ADDRESS][:local_port=PORT]``."""
    host = arguments.take("a host")
    port = arguments.take_port()
    timeout = arguments.seconds_of("timeout", CONNECT_TIMEOUT)
    local = arguments.text_of("local")
    local_port = arguments.integer_of("local_port", 0, 0, MAX_PORT) or 0
    local_address = None if local is None else (unbracketed(local), local_port)
    return TCPClient(host, port, timeout=timeout, local_address=local_address, reactor=reactor)


def server(arguments: Arguments, reactor: "Reactor | None") -> TCPServer:
    """Read ``tcp:PORT[:interface=ADDRESS][:backlog=N][:reuse_port=yes]``."""
    port = arguments.take_port()
    interface = arguments.text_of("interface")
    return TCPServer(
        port,
        None if interface is None else unbracketed(interface),
        backlog=arguments.integer_of("backlog", BACKLOG, 1, MAX_PORT) or BACKLOG,
        reuse_port=arguments.flag_of("reuse_port"),
        reactor=reactor,
    )


def unbracketed(host: str) -> str:
    """Return an address without the brackets that it may stand in."""
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host
