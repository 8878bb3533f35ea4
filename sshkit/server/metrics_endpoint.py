"""Where Prometheus fetches a server's numbers: a tiny HTTP answerer (MetricsAddress; RFC 9112, GET and HEAD).

Started by the daemon where it is configured.  It knows one resource, answers one request a connection, and
is bounded: in connections, in the size of a request, in time.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from sshkit_keys.text import printable

from sshkit.deferred import Deferred
from sshkit.server.metrics import CONTENT_TYPE, Metrics
from sshkit.ssh.errors import LocalProtocolError

if TYPE_CHECKING:
    from sshkit.interfaces import Clock, DelayedCall, Listener, Reactor, Transport

MAX_REQUEST: Final = 8192  #: bytes with all header lines
MAX_CONNECTIONS: Final = 16
DEADLINE: Final = 10.0  #: seconds for the whole of a connection
PATHS: Final = (b"/metrics", b"/")
LOOPBACK: Final = ("localhost", "::1")
SOCKET_MODE: Final = 0o600


class Endpoint:
    """What the connections share; `make_protocol` is a listener's factory."""

    __slots__ = ("clock", "connections", "metrics")

    def __init__(self, metrics: Metrics, clock: "Clock") -> None:
        self.metrics = metrics
        self.clock = clock
        self.connections = 0

    def make_protocol(self) -> "Request":
        """Return the protocol for one accepted connection."""
        return Request(self)


class Request:
    """One connection with one request."""

    __slots__ = ("_data", "_endpoint", "_timer", "_transport")

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._data = b""
        self._timer: DelayedCall | None = None
        self._transport: Transport | None = None

    def connection_made(self, transport: "Transport") -> None:
        endpoint = self._endpoint
        if endpoint.connections >= MAX_CONNECTIONS:
            transport.abort()
            return
        endpoint.connections += 1
        self._transport = transport
        self._timer = endpoint.clock.call_later(DEADLINE, transport.abort)

    def data_received(self, data: bytes) -> None:
        """Collect the request; answer it when it is whole."""
        if self._transport is None:
            return
        self._data += data[: MAX_REQUEST + 1]
        if b"\r\n\r\n" in self._data[:MAX_REQUEST]:
            self._answer(self._data.partition(b"\r\n")[0])
        elif len(self._data) >= MAX_REQUEST:
            self._send(b"431 Request Header Fields Too Large")

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, error: BaseException | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._endpoint.connections -= 1
        self._transport = None

    def pause_writing(self) -> None:
        """The answer is small, and the last there is."""

    def resume_writing(self) -> None:
        """Nothing was held back."""

    def _answer(self, line: bytes) -> None:
        words = line.split(b" ")
        if len(words) != 3 or not words[2].startswith(b"HTTP/1."):
            self._send(b"400 Bad Request")
        elif words[0] not in (b"GET", b"HEAD"):
            self._send(b"405 Method Not Allowed", extra=b"Allow: GET, HEAD\r\n")
        elif words[1].partition(b"?")[0] not in PATHS:
            self._send(b"404 Not Found")
        else:
            body = self._endpoint.metrics.render()
            self._send(b"200 OK", body, CONTENT_TYPE.encode(), with_body=words[0] == b"GET")

    def _send(
        self,
        status: bytes,
        body: bytes | None = None,
        kind: bytes = b"text/plain",
        *,
        extra: bytes = b"",
        with_body: bool = True,
    ) -> None:
        transport, self._transport = self._transport, None
        assert transport is not None
        self._data = b""
        body = status + b"\n" if body is None else body
        head = b"HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n%sConnection: close\r\n\r\n"
        transport.write(head % (status, kind, len(body), extra) + (body if with_body else b""))
        transport.close()


def serve_metrics(
    reactor: "Reactor",
    metrics: Metrics,
    address: "tuple[str, int] | str",
    *,
    anywhere: bool = False,
) -> "Deferred[Listener]":
    """Listen at ("127.0.0.1", 9400), or at a UNIX socket's path, which only this user can reach.

    LocalProtocolError for an address that others than this machine reach, unless `anywhere`: there is
    neither a login nor a cipher.  Fails with ListenError as listening does.
    """
    make: Callable[[], Any] = Endpoint(metrics, reactor).make_protocol
    if isinstance(address, str):
        return reactor.listen_unix(address, make, mode=SOCKET_MODE)
    host, port = address
    if not anywhere and not is_loopback(host):
        raise LocalProtocolError(f"metrics at {printable(host)}: only this machine may ask for them")
    return reactor.listen_tcp(host, port, make)


def is_loopback(host: str) -> bool:
    """Say whether an address, or the name localhost, is this machine's own."""
    if host in LOOPBACK:
        return True
    from ipaddress import ip_address

    try:
        return ip_address(host).is_loopback
    except ValueError:  # some other name, which may mean any address
        return False
