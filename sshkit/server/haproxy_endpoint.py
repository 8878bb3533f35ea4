"""``haproxy:ENDPOINT``: a server behind a proxy that sends PROXY headers (versions 1 and 2).

Named in the table of sshkit.reactor.endpoints.  Every connection must begin with a header; its protocol then
sees the client's address as "peername".  ``haproxy:trusted=10.0.0.0/8,192.0.2.7:tcp:80`` believes only those.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from sshkit_keys.text import printable

from sshkit.reactor.endpoints.arguments import Arguments
from sshkit.reactor.endpoints.base import ServerPlace
from sshkit.reactor.endpoints.strings import server_from_string
from sshkit.server.proxy_protocol import DEADLINE, REQUIRED, ProxyGate

if TYPE_CHECKING:
    from sshkit.deferred import Deferred
    from sshkit.interfaces import Reactor
    from sshkit.interfaces.endpoint import Listener


class HAProxyServer(ServerPlace):
    """Another server endpoint, with a header before each connection."""

    __slots__ = ("deadline", "inner", "trusted")

    def __init__(
        self,
        inner: ServerPlace,
        *,
        trusted: Sequence[str] = (),
        deadline: float = DEADLINE,
        reactor: "Reactor | None" = None,
    ) -> None:
        super().__init__(reactor)
        self.inner = inner
        self.trusted = tuple(trusted)
        self.deadline = deadline

    @property
    def shown(self) -> str:
        """The text that means it."""
        return f"haproxy:{self.inner.shown}"

    def listen(self, factory: Callable[[], Any]) -> "Deferred[Listener]":
        """Listen at the inner endpoint; connections without a header end, and are logged."""
        gate = ProxyGate(factory, self.reactor, REQUIRED, _log, trusted=self.trusted, deadline=self.deadline)
        return self.inner.listen(gate.make_protocol)


def _log(peer: Any, why: str) -> None:
    import logging

    place = f"{printable(str(peer[0]))}" if isinstance(peer, tuple) else "local"
    logging.getLogger("sshkit.endpoints").warning("%s: PROXY header: %s", place, why)


def server(arguments: Arguments, reactor: "Reactor | None") -> HAProxyServer:
    """Read ``haproxy:[trusted=ADDRESSES:][deadline=SECONDS:]ENDPOINT``."""
    options: dict[str, Any] = {}
    while (piece := arguments.peek()) is not None and piece.name in ("trusted", "deadline"):
        arguments.skip()
        if piece.name in options:
            raise arguments.fault(f"haproxy: {piece.name} a second time", piece.position)
        if piece.name == "trusted":
            options["trusted"] = piece.value.split(",")
        else:
            options["deadline"] = float(arguments.number(piece.value, piece.position, 1, 3600, "seconds"))
    _, position = arguments.rest("another endpoint")
    inner = server_from_string(arguments.text, reactor, start=position)
    return HAProxyServer(inner, reactor=reactor, **options)
