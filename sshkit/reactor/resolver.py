"""Host names to addresses: the system's resolver, in a thread, under a deadline.

Called by the connector, the listener and programs.  Numeric hosts are answered at once.
"""

import socket
from typing import TYPE_CHECKING, Any

from sshkit.deferred import Deferred, Failure, fail, succeed

from .errors import ResolveError, ResolveTimeout
from .text import shown, shown_error

if TYPE_CHECKING:
    from .core import ReactorCore

Addresses = list[tuple[int, Any]]


def resolve(
    reactor: "ReactorCore", host: str, port: int, family: int, timeout: float, *, passive: bool = False
) -> Deferred[Addresses]:
    """Look `host` up within `timeout` seconds; `passive` with an empty host means all interfaces."""
    numeric = numeric_address(host, port, family)
    if numeric is not None:
        return succeed([numeric])
    if "\0" in host or not (host or passive):
        return fail(ResolveError(f"{shown(host)!r} is not a host name"))
    lookup = reactor.defer_to_thread(look_up, host, port, family, passive)
    lookup.add_timeout(timeout, reactor)

    def explain(failure: Failure) -> Failure:
        if failure.check(TimeoutError):
            raise ResolveTimeout(f"looking up host {shown(host)} took longer than {timeout:g} seconds")
        return failure

    return lookup.add_errback(explain)


def numeric_address(host: str, port: int, family: int) -> tuple[int, Any] | None:
    """Return (family, address) of a host that is an address already, else None."""
    for kind in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(kind, host)
        except (OSError, ValueError, UnicodeError):
            continue
        if family in (0, kind):
            return (int(kind), (host, port) if kind == socket.AF_INET else (host, port, 0, 0))
    return None


def look_up(host: str, port: int, family: int, passive: bool) -> Addresses:
    """Ask the system, which may block: addresses in the order it gives them, each once."""
    flags = socket.AI_PASSIVE if passive else 0
    try:
        # As bytes: the codec that Python would use for a str is large and needed for other scripts only.
        name = (host.encode("ascii") if host.isascii() else host.encode("idna")) if host else None
        found = socket.getaddrinfo(name, port, family, socket.SOCK_STREAM, 0, flags)
    except OSError as error:
        raise ResolveError(f"host {shown(host)} cannot be found: {shown_error(error)}") from error
    except UnicodeError as error:
        raise ResolveError(f"{shown(host)} is not a host name: {error}") from error
    return list(dict.fromkeys((int(kind), address) for kind, _, _, _, address in found))
