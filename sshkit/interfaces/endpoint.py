"""Places to connect to and to listen at, as values that a program passes around.

`Listener` is what listening answers with; endpoints wrap the reactor's connect and listen calls.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from .derive import interface

if TYPE_CHECKING:
    from sshkit.deferred import Deferred

_P = TypeVar("_P")


class Listener(Protocol):
    """An open listening socket, or one a family."""

    @property
    def address(self) -> Any:
        """The first address, as the socket module writes it: (host, port, ...) or a path."""
        ...

    @property
    def addresses(self) -> tuple[Any, ...]:
        """All addresses."""
        ...

    def close(self) -> None:
        """Stop listening now; open connections stay.  Twice is as good as once."""
        ...

    def pause(self) -> None:
        """Leave new connections in the kernel's queue until `resume`."""
        ...

    def resume(self) -> None:
        """Accept again."""
        ...


class ClientEndpoint(Protocol):
    """Somewhere to connect to."""

    def connect(self, factory: Callable[[], _P]) -> "Deferred[_P]":
        """Connect and answer with the protocol that `factory` made."""
        ...


class ServerEndpoint(Protocol):
    """Somewhere to listen at."""

    def listen(self, factory: Callable[[], Any]) -> "Deferred[Listener]":
        """Listen; `factory` makes a protocol for each connection."""
        ...


IListener = interface(Listener)
IClientEndpoint = interface(ClientEndpoint)
IServerEndpoint = interface(ServerEndpoint)
