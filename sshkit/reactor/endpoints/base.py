"""What all endpoints share: a reactor that may be named later, a deadline, a text to show."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from sshkit.interfaces.derive import implementer
from sshkit.interfaces.endpoint import IClientEndpoint, IListener, IServerEndpoint
from sshkit.interfaces.reactor import CONNECT_TIMEOUT

if TYPE_CHECKING:
    from sshkit.deferred import Deferred
    from sshkit.interfaces import Reactor
    from sshkit.interfaces.endpoint import Listener

_P = TypeVar("_P")


class Place:
    """Somewhere; the reactor is the one given, or the one that runs when it is asked for."""

    __slots__ = ("_reactor",)

    def __init__(self, reactor: "Reactor | None") -> None:
        self._reactor = reactor

    @property
    def reactor(self) -> Any:
        """The reactor to use now."""
        if self._reactor is not None:
            return self._reactor
        from ..current import current

        return current()

    @property
    def shown(self) -> str:
        """What messages call this place."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.shown}>"


@implementer(IClientEndpoint)
class ClientPlace(Place):
    """Somewhere to connect to."""

    __slots__ = ("timeout",)

    def __init__(self, reactor: "Reactor | None", timeout: float = CONNECT_TIMEOUT) -> None:
        super().__init__(reactor)
        self.timeout = timeout

    def connect(self, factory: Callable[[], _P], timeout: float | None = None) -> "Deferred[_P]":
        """Connect within `timeout` seconds (None: the endpoint's own, 30 unless told otherwise).

        Fires with the protocol that `factory` made, after its `connection_made`.
        """
        return self._connect(factory, self.timeout if timeout is None else timeout)

    def _connect(self, factory: Callable[[], _P], timeout: float) -> "Deferred[_P]":
        raise NotImplementedError


@implementer(IServerEndpoint)
class ServerPlace(Place):
    """Somewhere to listen at."""

    __slots__ = ()

    def listen(self, factory: Callable[[], Any]) -> "Deferred[Listener]":
        """Listen; `factory` makes a protocol for each connection."""
        raise NotImplementedError


@implementer(IListener)
class SingleListener:
    """The listener of a place with one connection, which is there already."""

    __slots__ = ("address",)

    def __init__(self, address: Any) -> None:
        self.address = address

    @property
    def addresses(self) -> tuple[Any, ...]:
        """The one address."""
        return (self.address,)

    def close(self) -> None:
        """Nothing more would come; the connection stays."""

    def pause(self) -> None:
        """Nothing waits in a queue."""

    def resume(self) -> None:
        """Nothing waits in a queue."""
