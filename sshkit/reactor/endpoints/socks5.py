"""``socks5:PROXY:PORT:HOST:PORT``: TCP through a SOCKS 5 proxy (RFC 1928), with or without a password."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from sshkit.deferred import Deferred, Failure
from sshkit.interfaces.protocol import receive_into_buffer
from sshkit.interfaces.reactor import CONNECT_TIMEOUT
from sshkit.protocols.socks.client import SocksClient, SocksRefused

from ..errors import ConnectError, ConnectTimeout
from ..text import shown
from .arguments import Arguments
from .base import ClientPlace
from .tcp import TCPClient

if TYPE_CHECKING:
    from sshkit.interfaces import Reactor, Transport

_P = TypeVar("_P")


class Greeter:
    """The first protocol of the connection to the proxy; gives way to the program's."""

    __slots__ = ("_label", "_proxy", "_transport", "through")

    def __init__(self, proxy: SocksClient, label: str) -> None:
        self._proxy = proxy
        self._label = label
        self._transport: Transport | None = None
        #: Fires with the transport when the proxy lets us through.
        self.through: Deferred[Transport] = Deferred(lambda _: self._abort())

    def connection_made(self, transport: "Transport") -> None:
        """Greet."""
        self._transport = transport
        transport.write(self._proxy.start())

    def data_received(self, data: bytes) -> None:
        """Take a piece of the proxy's answer."""
        if self.through.called:
            return
        assert self._transport is not None
        try:
            answer = self._proxy.feed(data)
        except SocksRefused as error:
            self._fail(str(error))
            return
        if answer:
            self._transport.write(answer)
        if self._proxy.granted:
            self.through.callback(self._transport)

    def eof_received(self) -> bool:
        """Half an answer is none."""
        return False

    def connection_lost(self, error: BaseException | None) -> None:
        """The proxy has gone."""
        if not self.through.called:
            self._fail("the proxy closed the connection")

    def pause_writing(self) -> None:
        """A few bytes are written."""

    def resume_writing(self) -> None:
        """A few bytes are written."""

    def _fail(self, why: str) -> None:
        error = ConnectError(f"cannot connect to {self._label}: {why}")
        self.through.errback(error)
        self._abort()

    def _abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()


class Socks5Client(ClientPlace):
    """A host and port, seen from a proxy.  `proxy` is an endpoint: TCP, TLS, a UNIX socket ..."""

    __slots__ = ("_password", "_user", "host", "port", "proxy")

    def __init__(
        self,
        proxy: ClientPlace,
        host: str,
        port: int,
        *,
        user: str | None = None,
        password: str | None = None,
        timeout: float = CONNECT_TIMEOUT,
        reactor: "Reactor | None" = None,
    ) -> None:
        super().__init__(reactor, timeout)
        self.proxy = proxy
        self.host = host
        self.port = port
        self._user = user
        self._password = password

    @property
    def shown(self) -> str:
        """What messages call it; without the password."""
        return f"{shown(self.host)} port {self.port} through {self.proxy.shown}"

    def _connect(self, factory: Callable[[], _P], timeout: float) -> Deferred[_P]:
        reactor = self.reactor
        deadline = reactor.seconds() + timeout
        greeter = Greeter(SocksClient(self.host, self.port, self._user, self._password), self.shown)

        def connected(_: object) -> "Deferred[Transport]":
            left = max(deadline - reactor.seconds(), 0.001)
            return greeter.through.add_timeout(left, reactor, timed_out)

        def timed_out(failure: Failure, seconds: float) -> Any:
            raise ConnectTimeout(f"cannot connect to {self.shown} within {timeout:g} seconds: no answer")

        def give_way(transport: "Transport") -> _P:
            try:
                protocol: Any = factory()
                transport.set_protocol(protocol)
                protocol.connection_made(transport)
                rest = greeter._proxy.rest()
                if rest and hasattr(protocol, "get_buffer"):
                    receive_into_buffer(protocol, rest)
                elif rest:
                    protocol.data_received(rest)
            except BaseException:
                transport.abort()
                raise
            made: _P = protocol
            return made

        return self.proxy.connect(lambda: greeter, timeout).add_callback(connected).add_callback(give_way)


def client(arguments: Arguments, reactor: "Reactor | None") -> Socks5Client:
    """Read ``socks5:PROXY:PORT:HOST:PORT[:user=NAME:password=TEXT][:timeout=SECONDS]``."""
    proxy = TCPClient(arguments.take("the proxy's host"), arguments.take_port(), reactor=reactor)
    host = arguments.take("a host behind the proxy")
    port = arguments.take_port()
    return Socks5Client(
        proxy,
        host,
        port,
        user=arguments.text_of("user"),
        password=arguments.text_of("password"),
        timeout=arguments.seconds_of("timeout", CONNECT_TIMEOUT),
        reactor=reactor,
    )
