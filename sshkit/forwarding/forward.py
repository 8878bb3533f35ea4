"""`Forward`: one forward in force, as programs see it.

Made by `ClientForwards`; `connection.forward_local(...)` and its three sisters answer with one.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sshkit.deferred import Deferred, succeed
from sshkit.forwarding.addresses import Place, TcpPlace
from sshkit.forwarding.pump import Tally

if TYPE_CHECKING:
    from sshkit.interfaces import Listener


class Forward(Tally):
    """A forward.  `close` ends it; connections that are open go on until either of their ends closes.

    Counters: `open` connections now, `total` so far, `refused` among them, `bytes_in` that came by the SSH
    connection and `bytes_out` that left by it.
    """

    __slots__ = (
        "_closing",
        "_forget",
        "_listener",
        "_waiters",
        "closed",
        "destination",
        "kind",
        "permit",
        "place",
    )

    def __init__(
        self, kind: str, place: Place, destination: Any, forget: "Callable[[Forward], Deferred[None] | None]"
    ) -> None:
        super().__init__()
        self.kind = kind  #: "local", "remote", "dynamic" or "remote-dynamic"
        self.place = place  #: where it listens
        self.destination = destination  #: a place, a handler, or None for SOCKS
        self.permit: Callable[[TcpPlace], bool] = _any  #: where clients of a remote SOCKS may go
        self.closed = False
        self._forget = forget
        self._closing: Deferred[None] | None = None
        self._listener: Listener | None = None
        self._waiters: list[Deferred[None]] = []

    def __repr__(self) -> str:
        state = "closed" if self.closed else "open"
        where = "SOCKS" if self.destination is None else self.destination
        return f"<Forward {self.kind} {self.place} -> {where} {state}, {self.open} of {self.total} open>"

    @property
    def address(self) -> tuple[str, int] | str:
        """Where it listens: (host, port) with the port that was really bound, or a path."""
        place = self.place
        return (place.host, place.port) if isinstance(place, TcpPlace) else place.path

    @property
    def port(self) -> int:
        """The port where it listens; 0 for a UNIX socket."""
        return self.place.port if isinstance(self.place, TcpPlace) else 0

    def close(self) -> Deferred[None]:
        """Listen no more, at the server too; fires when that is done.  Twice is as good as once."""
        if self._closing is not None:
            waiter: Deferred[None] = Deferred()
            self._waiters.append(waiter)
            if self.closed:
                self.ended()
            return waiter
        if self._listener is not None:
            self._listener.close()
        cancelled = self._forget(self) or succeed(None)
        self._closing = cancelled
        return cancelled.add_both(lambda _: self.ended())

    def wait_closed(self) -> Deferred[None]:
        """Wait until it listens no more, because of `close` or because the connection ended."""
        waiter: Deferred[None] = Deferred()
        self._waiters.append(waiter)
        if self.closed:
            self.ended()
        return waiter

    async def __aenter__(self) -> "Forward":
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    # Called by ClientForwards.

    def listens(self, listener: "Listener") -> None:
        """Take the listener, and the address that it really has."""
        self._listener = listener
        if isinstance(self.place, TcpPlace):
            addresses = listener.addresses
            first = next((address for address in addresses if len(address) == 2), addresses[0])
            self.place = TcpPlace(str(first[0]), int(first[1]))

    def connection_lost(self) -> None:
        """End with the connection."""
        if self._listener is not None:
            self._listener.close()
        self.abort_all()
        self.ended()

    def ended(self) -> None:
        """Tell who waits."""
        self.closed = True
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            waiter.callback(None)


def _any(place: TcpPlace) -> bool:
    return True
