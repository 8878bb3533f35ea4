"""`ForwardPolicy`: which forwards a server serves, for `sshkit.serve(forwards=...)` and sshkit-server.

What a key's line or certificate forbids is forbidden beside it; both have to allow a forward (R28).
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from sshkit.forwarding.addresses import Place
    from sshkit.server.connection import ServerConnection

#: Host ("*" for any) and port (None for any).
Permit = tuple[str, int | None]


class ForwardRequest(NamedTuple):
    """What a client wants: `kind` is "open" (connect from here) or "listen" (here, for the client)."""

    connection: "ServerConnection"
    kind: Literal["open", "listen"]
    place: "Place"


class X11Policy(NamedTuple):
    """How displays of clients are served."""

    display_offset: int = 10  #: the first number that is tried
    use_localhost: bool = True  #: listen at loopback addresses only
    xauth: str = "/usr/bin/xauth"  #: the program that files cookies; "none": nobody does
    environment: Mapping[str, str] | None = None  #: of that program; None: this process' own


class ForwardPolicy(NamedTuple):
    """What every client of a server may forward.  The default is all, on loopback addresses."""

    open_tcp: bool = True  #: clients may have connections made from here
    listen_tcp: bool = True  #: clients may have ports listened at here
    open_unix: bool = True
    listen_unix: bool = True
    #: Where to listen for a client: "no" is always loopback, "yes" always every address, "clientspecified"
    #: what he asks for.
    gateway: Literal["no", "yes", "clientspecified"] = "no"
    permit_open: tuple[Permit, ...] | None = None  #: the only destinations; None: all
    permit_listen: tuple[Permit, ...] | None = None  #: the only places to listen at; hosts are patterns
    bind_mask: int = 0o177  #: permissions that the UNIX sockets made for clients lack
    unlink: bool = False  #: a socket that lies where one is to be made is removed
    max_listeners: int = 64  #: a connection
    max_connections: int = 512  #: open at once, a connection
    agent: bool = True  #: sessions may use the client's agent
    x11: "X11Policy | None" = None  #: sessions may have a display at the client; None: not
    tunnel: Literal["no", "yes", "point-to-point", "ethernet"] = "no"  #: packets of network devices
    permit: Callable[[ForwardRequest], bool] | None = None  #: asked last; an exception is a no


def policy_of(forwards: "bool | ForwardPolicy") -> ForwardPolicy | None:
    """Return the policy that a program means; None serves nothing."""
    if isinstance(forwards, bool):
        return ForwardPolicy() if forwards else None
    return forwards
