"""Two ends of TLS joined in memory, and what became of their handshakes."""

from collections.abc import Callable
from typing import Any

from sshkit.deferred import Failure
from sshkit.reactor.tls import TLSClientOptions, TLSServerOptions, wrap_client, wrap_server
from sshkit.testing import MemoryClock, MemoryPair, connect_in_memory

from ..helpers import HalfOpen, Recorder
from .authority import Authority

AUTHORITY = Authority()
CERTIFICATE, KEY = AUTHORITY.issue("box.example", "*.wild.example", "192.0.2.2")

SERVER = TLSServerOptions(CERTIFICATE, KEY)
CLIENT = TLSClientOptions("box.example", trust=[AUTHORITY.certificate], session=False)


class Joined:
    """A client and a server over a connection in memory; bytes move in `settle`."""

    def __init__(
        self,
        client: TLSClientOptions = CLIENT,
        server: TLSServerOptions = SERVER,
        *,
        client_protocol: Callable[[], Any] = Recorder,
        server_protocol: Callable[[], Any] = Recorder,
        chop: int | None = None,
        settle: bool = True,
    ) -> None:
        self.clock = MemoryClock()
        self.client = client_protocol()
        self.server = server_protocol()
        self.server_error: Any = None
        self.client_layer = wrap_client(self.client, client, clock=self.clock)
        self.server_layer = wrap_server(self.server, server, clock=self.clock, failed=self._server_failed)
        self.outcome: list[Any] = []
        self.client_layer.handshake.add_both(self.outcome.append)
        self.pair: MemoryPair = connect_in_memory(self.client_layer, self.server_layer, self.clock)
        if chop is not None:
            self.pair.chop = lambda: chop
        if settle:
            self.pair.settle()

    def _server_failed(self, error: BaseException) -> None:
        self.server_error = error

    def settle(self) -> None:
        """Move everything there is."""
        self.pair.settle()

    def pass_time(self, seconds: float) -> None:
        """Let time pass, then move everything."""
        self.clock.advance(seconds)
        self.pair.settle()

    @property
    def client_error(self) -> BaseException:
        """Why the client's handshake failed."""
        (failure,) = self.outcome
        assert isinstance(failure, Failure)
        return failure.exception

    @property
    def open(self) -> bool:
        """Whether both sides have introduced their protocols."""
        return self.outcome == [self.client] and self.server.events[:1] == ["made"]


def end_of(protocol: Recorder) -> BaseException | None:
    """Return what the protocol's connection_lost was given."""
    assert protocol.lost.called
    ends: list[Any] = []

    def look(end: Any) -> Any:
        ends.append(end)
        return end

    protocol.lost.add_both(look)
    return ends[0]  # type: ignore[no-any-return]


__all__ = ["AUTHORITY", "CERTIFICATE", "CLIENT", "KEY", "SERVER", "HalfOpen", "Joined", "end_of"]
