"""``tls:HOST:PORT`` and ``tls:PORT``: TLS over TCP.

The TLS itself, and what it needs to load, is in `sshkit.reactor.tls`, which is loaded when one connects.
"""

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

from sshkit.interfaces.reactor import CONNECT_TIMEOUT

from ..text import shown
from .arguments import Arguments
from .base import ClientPlace, ServerPlace
from .tcp import unbracketed

if TYPE_CHECKING:
    from sshkit.deferred import Deferred
    from sshkit.interfaces import Reactor
    from sshkit.interfaces.endpoint import Listener

_P = TypeVar("_P")


def _tls() -> Any:
    return import_module("sshkit.reactor.tls")


class TLSClient(ClientPlace):
    """A host and a port whose certificate must be the host's; `options` are those of TLSClientOptions."""

    __slots__ = ("_options", "host", "options", "port")

    def __init__(
        self,
        host: str,
        port: int,
        *,
        timeout: float = CONNECT_TIMEOUT,
        reactor: "Reactor | None" = None,
        **options: Any,
    ) -> None:
        super().__init__(reactor, timeout)
        self.host = host
        self.port = port
        self.options = {"hostname": host, **options}
        self._options: Any = None  # made once: the context in it is costly

    @property
    def shown(self) -> str:
        """The text that means it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"tls:{shown(host)}:{self.port}"

    def _connect(self, factory: Callable[[], _P], timeout: float) -> "Deferred[_P]":
        tls = _tls()
        if self._options is None:
            self._options = tls.TLSClientOptions(**self.options)
        deferred: Deferred[_P] = tls.connect_tls(
            self.reactor, self.host, self.port, factory, self._options, timeout=timeout
        )
        return deferred


class TLSServer(ServerPlace):
    """A port with a certificate; `options` are those of TLSServerOptions."""

    __slots__ = ("_options", "interface", "options", "port")

    def __init__(
        self, port: int, interface: str | None = None, *, reactor: "Reactor | None" = None, **options: Any
    ) -> None:
        super().__init__(reactor)
        self.port = port
        self.interface = interface
        self.options = options
        self._options: Any = None

    @property
    def shown(self) -> str:
        """The text that means it."""
        return f"tls:{self.port}" + (f":interface=[{shown(self.interface)}]" if self.interface else "")

    def listen(self, factory: Callable[[], Any]) -> "Deferred[Listener]":
        """Listen at every address of the interface."""
        tls = _tls()
        if self._options is None:
            self._options = tls.TLSServerOptions(**self.options)
        deferred: Deferred[Listener] = tls.listen_tls(
            self.reactor, self.interface, self.port, factory, self._options
        )
        return deferred


def client(arguments: Arguments, reactor: "Reactor | None") -> TLSClient:
    """Read ``tls:HOST:PORT[:hostname=NAME][:trust=PATH][:alpn=A,B][:certificate=PATH[:key=PATH]]``."""
    host = arguments.take("a host")
    port = arguments.take_port()
    timeout = arguments.seconds_of("timeout", CONNECT_TIMEOUT)
    options: dict[str, Any] = {}
    for name in ("hostname", "trust"):
        value = arguments.text_of(name)
        if value is not None:
            options[name] = value
    _common(arguments, options)
    certificate, key = arguments.text_of("certificate"), arguments.text_of("key")
    if certificate is not None:
        options["certificate"] = (certificate, certificate if key is None else key)
    elif key is not None:
        raise arguments.fault("tls: a key without its certificate")
    return TLSClient(host, port, timeout=timeout, reactor=reactor, **options)


def server(arguments: Arguments, reactor: "Reactor | None") -> TLSServer:
    """Read ``tls:PORT:certificate=PATH[:key=PATH][:client_trust=PATH][:alpn=A,B][:interface=ADDRESS]``."""
    port = arguments.take_port()
    interface = arguments.text_of("interface")
    certificate = arguments.text_of("certificate")
    if certificate is None:
        raise arguments.fault("tls: needs certificate=PATH")
    options: dict[str, Any] = {"certificate": certificate, "key": arguments.text_of("key", certificate)}
    client_trust = arguments.text_of("client_trust")
    if client_trust is not None:
        options.update(client_trust=client_trust, require_client=True)
    _common(arguments, options)
    return TLSServer(port, None if interface is None else unbracketed(interface), reactor=reactor, **options)


def _common(arguments: Arguments, options: dict[str, Any]) -> None:
    alpn = arguments.text_of("alpn")
    if alpn is not None:
        options["alpn"] = tuple(alpn.split(","))
    minimum = arguments.text_of("minimum")
    if minimum is not None:
        options["minimum"] = minimum
