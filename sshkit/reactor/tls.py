"""TLS for programs: connect, listen, start it on a connection that spoke plain text, or wrap any protocol.

    protocol = await connect_tls(reactor, "example.org", 443, MyProtocol)
    listener = await listen_tls(reactor, None, 443, MyProtocol, TLSServerOptions("cert.pem", "key.pem"))

The protocol's `connection_made` comes after the handshake, with the peer verified; its transport is the TLS
layer's.  A handshake that fails is told by the Deferred (client) or logged (server); see
`sshkit.reactor.transports.tls`.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from sshkit.deferred import Deferred

from .text import shown
from .transports.tls.certificates import ReloadingCertificate
from .transports.tls.errors import (
    CertificateExpired,
    CertificateNotYetValid,
    CertificateRefused,
    CertificateSelfSigned,
    CertificateUnknownAuthority,
    CertificateWrongName,
    ClientCertificateMissing,
    ClientCertificateRefused,
    NoCommonCipher,
    NoCommonProtocol,
    NotTLS,
    PlainTextPipelined,
    TLSAlert,
    TLSBroken,
    TLSConfigurationError,
    TLSError,
    TLSHandshakeCut,
    TLSHandshakeError,
    TLSHandshakeTimeout,
    TLSTruncated,
)
from .transports.tls.layer import TLSLayer
from .transports.tls.options import TLSClientOptions, TLSOptions, TLSServerOptions

if TYPE_CHECKING:
    from sshkit.interfaces.clock import Clock
    from sshkit.interfaces.endpoint import Listener

_P = TypeVar("_P")

#: Seconds that a handshake may take unless told otherwise.
HANDSHAKE_TIMEOUT = 30.0

#: Seconds a handshake gets at least when connecting has used up the time: enough to say why it failed.
_LEAST = 0.001


class ClientLayer(TLSLayer):
    """The layer of a client's, with what tells how its handshake went."""

    __slots__ = ("handshake",)

    def __init__(
        self,
        factory: Callable[[], Any],
        options: TLSOptions,
        hostname: str | None,
        timeout: float,
        clock: "Clock | None",
    ) -> None:
        #: Fires with the protocol after its `connection_made`; fails with the error.
        self.handshake: Deferred[Any] = Deferred(lambda _: self.cancel())
        super().__init__(
            factory, options, hostname, timeout, clock, self.handshake.callback, self.handshake.errback
        )


def wrap_client(
    protocol: Any,
    options: TLSClientOptions,
    *,
    timeout: float = HANDSHAKE_TIMEOUT,
    clock: "Clock | None" = None,
) -> ClientLayer:
    """Return a protocol for any transport that speaks TLS as client, for `protocol` above it.

    Its `handshake` is a Deferred of `protocol`.  `clock`: of time-outs; None: the reactor or asyncio loop
    that runs when the connection is made.
    """
    return ClientLayer(lambda: protocol, options, options.hostname, timeout, clock)


def wrap_server(
    protocol: Any,
    options: TLSServerOptions,
    *,
    timeout: float = HANDSHAKE_TIMEOUT,
    clock: "Clock | None" = None,
    failed: Callable[[BaseException], object] | None = None,
) -> TLSLayer:
    """Return a protocol for any transport that speaks TLS as server; `failed` hears of a failed handshake."""
    return _server_layer(lambda: protocol, options, timeout, clock, failed)


def _server_layer(
    factory: Callable[[], Any],
    options: TLSServerOptions,
    timeout: float,
    clock: "Clock | None",
    failed: Callable[[BaseException], object] | None,
) -> TLSLayer:
    return TLSLayer(factory, options, None, timeout, clock, _nothing, failed or log_failure)


def _nothing(protocol: Any) -> None:
    """A server does not wait for any one handshake."""


def log_failure(error: BaseException) -> None:
    """Log what went wrong with one client: its own fault most often, so for information; else an error."""
    import logging

    logger = logging.getLogger("sshkit.reactor")
    if isinstance(error, ConnectionError):
        logger.info("%s", error if isinstance(error, TLSError) else f"TLS: {shown(str(error))}")
    else:
        logger.error("a protocol over TLS failed: %s", error, exc_info=error)


def connect_tls(
    reactor: Any,
    host: str,
    port: int,
    factory: Callable[[], _P],
    options: TLSClientOptions | None = None,
    *,
    timeout: float = HANDSHAKE_TIMEOUT,
    local_address: tuple[str, int] | None = None,
    family: int = 0,
) -> Deferred[_P]:
    """Connect and do the handshake, within `timeout` seconds in all.

    The certificate must be for the options' `hostname`, or for `host` where they name none.  Fires with the
    protocol after its `connection_made`; fails with ConnectError or a TLSError.
    """
    chosen = options if options is not None else TLSClientOptions()
    hostname = chosen.hostname if chosen.hostname is not None else host
    end = reactor.seconds() + timeout

    def make() -> ClientLayer:
        return ClientLayer(factory, chosen, hostname, max(end - reactor.seconds(), _LEAST), reactor)

    connected: Deferred[ClientLayer] = reactor.connect_tcp(
        host, port, make, timeout=timeout, local_address=local_address, family=family
    )
    return connected.add_callback(lambda layer: layer.handshake)


def listen_tls(
    reactor: Any,
    host: str | None,
    port: int,
    factory: Callable[[], Any],
    options: TLSServerOptions,
    *,
    timeout: float = HANDSHAKE_TIMEOUT,
    failed: Callable[[BaseException], object] | None = None,
    **listening: Any,
) -> "Deferred[Listener]":
    """Listen; `factory` makes a protocol for each client whose handshake, in `timeout` seconds, succeeds.

    `failed` is called with the error of each that does not; by default it is logged.  `listening` is what
    `listen_tcp` takes besides: backlog, reuse_port, family.
    """

    def make() -> TLSLayer:
        return _server_layer(factory, options, timeout, reactor, failed)

    listener: Deferred[Listener] = reactor.listen_tcp(host, port, make, **listening)
    return listener


def start_tls(
    transport: Any,
    protocol: _P,
    options: TLSOptions,
    *,
    leftover: bytes,
    timeout: float = HANDSHAKE_TIMEOUT,
    clock: "Clock | None" = None,
) -> Deferred[_P]:
    """Speak TLS from now on, on a connection that has spoken plain text (STARTTLS).

    `leftover` is what the plain protocol has received and not yet used, behind the command or the answer that
    starts TLS.  It must be empty: an attacker may have put it there, to be taken for what came through TLS
    later.  If it is not, the connection is aborted and the Deferred fails with PlainTextPipelined.
    `protocol` gets `connection_made` with the new transport after the handshake.  If that fails, and it was
    the plain transport's protocol already, it gets `connection_lost` with the error.
    """
    layer = ClientLayer(lambda: protocol, options, getattr(options, "hostname", None), timeout, clock)
    if transport.get_protocol() is protocol:
        layer.introduce(protocol)
    transport.set_protocol(layer)
    if leftover:
        layer.refuse(
            transport,
            PlainTextPipelined(
                f"{len(leftover)} plain bytes came behind the start of TLS; none of them was used"
            ),
        )
    else:
        layer.connection_made(transport)
    return layer.handshake


__all__ = [
    "HANDSHAKE_TIMEOUT",
    "CertificateExpired",
    "CertificateNotYetValid",
    "CertificateRefused",
    "CertificateSelfSigned",
    "CertificateUnknownAuthority",
    "CertificateWrongName",
    "ClientCertificateMissing",
    "ClientCertificateRefused",
    "NoCommonCipher",
    "NoCommonProtocol",
    "NotTLS",
    "PlainTextPipelined",
    "ReloadingCertificate",
    "TLSAlert",
    "TLSBroken",
    "TLSClientOptions",
    "TLSConfigurationError",
    "TLSError",
    "TLSHandshakeCut",
    "TLSHandshakeError",
    "TLSHandshakeTimeout",
    "TLSServerOptions",
    "TLSTruncated",
    "connect_tls",
    "listen_tls",
    "log_failure",
    "start_tls",
    "wrap_client",
    "wrap_server",
]
