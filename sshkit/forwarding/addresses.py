"""Addresses of forwards: TCP ports and UNIX sockets, as text or as (host, port).

Called wherever a program names one.  Everything is validated before it is used anywhere (R39): control
characters, spaces and impossible ports are refused.
"""

import os
from typing import NamedTuple

from sshkit_keys.text import quoted

from sshkit.forwarding.errors import InvalidAddress

#: What a program may write: "host:port", "[v6]:port", "/path", "./path", "unix:path", (host, port); where to
#: listen also "port".
Address = str | tuple[str, int]

LOOPBACK = "localhost"  #: stands for both loopback addresses, in a request to a server too
MAX_HOST = 1025  #: NI_MAXHOST
MAX_PORT = 65535


class TcpPlace(NamedTuple):
    """A TCP port.  To listen at, host "" is every address and port 0 any free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host or '*'}:{self.port}"


class UnixPlace(NamedTuple):
    """A UNIX socket."""

    path: str

    def __str__(self) -> str:
        return self.path


Place = TcpPlace | UnixPlace


def parse_address(text: Address, listening: bool = False, *, default: str = LOOPBACK) -> Place:
    """Return the place that `text` names; InvalidAddress says what is wrong with it.

    To listen at, a port alone is one of the host `default`, and "*" and "" are all addresses.
    """
    if not isinstance(text, str):
        host, port = text
        return tcp_place(host, port, listening)
    if text.startswith("unix:"):
        return unix_place(text[5:])
    if text.startswith(("/", "./", "../")):
        return unix_place(text)
    if listening and text.isascii() and text.isdigit():
        return _tcp(default, text, text, True)
    host, colon, port_text = text.rpartition(":")
    if not colon:
        raise InvalidAddress(f"{quoted(text)} is not host:port, nor the path of a socket")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise InvalidAddress(f"{quoted(text)}: an IPv6 address stands in brackets: [address]:port")
    return _tcp(host, port_text, text, listening)


def unix_place(path: str) -> UnixPlace:
    """Return the place of a socket's path; InvalidAddress if it can be none."""
    if not path or "\0" in path:
        raise InvalidAddress(f"{quoted(path)} is not the path of a socket")
    return UnixPlace(path)


def path_bytes(place: UnixPlace) -> bytes:
    """Return a socket's path as it goes over the wire."""
    return os.fsencode(place.path)


def tcp_place(host: str, port: int, listening: bool = False) -> TcpPlace:
    """Return the place of a host and a port; InvalidAddress if they can be none."""
    if not 0 <= port <= MAX_PORT:
        raise InvalidAddress(f"{quoted(host)}: {port} is not a port")
    if listening:
        host = "" if host == "*" else host
    elif not port:
        raise InvalidAddress(f"{quoted(host)}: port 0 is none to connect to")
    elif not host:
        raise InvalidAddress(f"port {port}: a host is missing")
    if not host.isprintable() or " " in host or len(host) > MAX_HOST or host.startswith("-"):
        raise InvalidAddress(f"{quoted(host)} is not a host")
    return TcpPlace(host, port)


def _tcp(host: str, port_text: str, text: str, listening: bool) -> TcpPlace:
    if not (port_text.isascii() and port_text.isdigit()) or len(port_text) > 5 or int(port_text) > MAX_PORT:
        raise InvalidAddress(f"{quoted(text)}: {quoted(port_text)} is not a port")
    return tcp_place(host, int(port_text), listening)
