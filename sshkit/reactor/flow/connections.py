"""How many connections a server has at once: in all, and from each peer.

One too many is reset before a protocol is made for it, and counted.  Connections over UNIX sockets have one
peer together.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .wrapper import Wrapper, Wrapping

if TYPE_CHECKING:
    from sshkit.interfaces import Transport


class ConnectionLimits(Wrapping):
    """At most `total` connections, and `each` from one address; `refused(peer)` is told of those over it."""

    __slots__ = ("_peers", "count", "each", "refusals", "refused", "total")

    def __init__(
        self,
        factory: Callable[[], Any],
        *,
        total: int | None = None,
        each: int | None = None,
        refused: Callable[[str], object] | None = None,
    ) -> None:
        super().__init__(factory)
        self.total = total
        self.each = each
        self.refused = refused
        #: Connections now, and those that were refused so far.
        self.count = 0
        self.refusals = 0
        self._peers: dict[str, int] = {}

    def __call__(self) -> "Counted":
        """Make what decides when the peer is known."""
        return Counted(self)

    def enter(self, peer: str) -> bool:
        """Count one more, if there is room."""
        present = self._peers.get(peer, 0)
        if (self.total is not None and self.count >= self.total) or (
            self.each is not None and present >= self.each
        ):
            self.refusals += 1
            if self.refused is not None:
                self.refused(peer)
            return False
        self.count += 1
        self._peers[peer] = present + 1
        return True

    def leave(self, peer: str) -> None:
        """Count one less."""
        self.count -= 1
        left = self._peers[peer] - 1
        if left:
            self._peers[peer] = left
        else:
            del self._peers[peer]


class Counted(Wrapper):
    """One connection; without a protocol when it was one too many."""

    __slots__ = ("_limits", "_peer")

    def __init__(self, limits: ConnectionLimits) -> None:
        super().__init__(None)
        self._limits = limits
        self._peer: str | None = None

    def connection_made(self, transport: "Transport") -> None:
        """Let it in or not."""
        self.transport = transport
        peer = peer_of(transport)
        if not self._limits.enter(peer):
            transport.abort()
            return
        self._peer = peer
        self.protocol = self._limits.factory()
        self.protocol.connection_made(self)

    def data_received(self, data: bytes) -> None:
        """Hand it on."""
        if self.protocol is not None:
            super().data_received(data)

    def eof_received(self) -> bool | None:
        """Hand it on."""
        return None if self.protocol is None else super().eof_received()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Make room."""
        peer, self._peer = self._peer, None
        if peer is not None:
            self._limits.leave(peer)
        if self.protocol is not None:
            super().connection_lost(exc)


def peer_of(transport: "Transport") -> str:
    """Return the peer's address without its port; an IPv4 address that came through IPv6 as what it is."""
    address = transport.get_extra_info("peername")
    if not isinstance(address, tuple):
        return ""
    host = str(address[0]).partition("%")[0]
    return host[7:] if host.startswith("::ffff:") and "." in host else host
