"""Opening datagram sockets: names looked up, bound, connected.

Called by `open_udp` and `open_unix_datagram` of every reactor.
"""

import os
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from sshkit.deferred import Deferred, ensure_deferred, fail, succeed

from .errors import ConnectError, ListenError
from .resolver import Addresses
from .socket_files import check_path, is_abstract, socket_file
from .text import shown, shown_address, shown_error
from .transports.udp import UdpTransport
from .transports.unix_datagram import UnixDatagramTransport

if TYPE_CHECKING:
    from .core import ReactorCore

_P = TypeVar("_P")

#: Where a socket lies that is not told where, and that has no remote end to tell it.
LOOPBACK = ("127.0.0.1", 0)


def open_udp(
    reactor: "ReactorCore",
    factory: Callable[[], _P],
    local: tuple[str, int] | None,
    remote: tuple[str, int] | None,
    broadcast: bool,
    reuse_port: bool,
    max_size: int,
) -> Deferred[_P]:
    """Open a UDP socket; fires with the protocol after its `connection_made`."""
    if local is None and remote is None:
        local = LOOPBACK

    async def open_it() -> _P:
        family = 0
        remotes: Addresses = [(0, None)]
        if remote is not None:
            remotes = await reactor.resolve(*remote)
            family = remotes[0][0]
        place: Any = None
        if local is not None:
            family, place = (await reactor.resolve(*local, family))[0]
        reactor.check_open()
        peer = next((address for kind, address in remotes if kind == family), None)
        sock = bound_udp(family, place, peer, broadcast, reuse_port)
        try:
            protocol = factory()
        except BaseException:
            sock.close()
            raise
        UdpTransport(reactor, sock, protocol, max_size, peer).start()
        return protocol

    return ensure_deferred(open_it())


def bound_udp(family: int, local: Any, remote: Any, broadcast: bool, reuse_port: bool) -> socket.socket:
    """Return a UDP socket; raises ListenError or ConnectError, which name the address."""
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        if broadcast:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        if reuse_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if local is not None:
            sock.bind(local)
    except OSError as error:
        sock.close()
        raise ListenError(f"cannot open UDP at {shown_address(local)}: {shown_error(error)}") from error
    if remote is not None:
        try:
            sock.connect(remote)
        except OSError as error:
            sock.close()
            place = shown_address(remote)
            raise ConnectError(
                f"cannot send UDP to {place}: {shown_error(error)}", [(place, error)]
            ) from error
    return sock


def open_unix_datagram(
    reactor: "ReactorCore",
    factory: Callable[[], _P],
    path: str | bytes | None,
    remote: str | bytes | None,
    mode: int | None,
    max_size: int,
) -> Deferred[_P]:
    """Open a UNIX datagram socket; an existing file is an error, whatever it is."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    file = None
    try:
        if path is not None:
            check_path(path)
            if mode is not None and not is_abstract(path):
                os.fchmod(sock.fileno(), mode)  # Linux makes the file with it: there is no moment with more
            sock.bind(path)
            file = socket_file(path)
            if mode is not None and file is not None:
                os.chmod(path, mode)
    except (OSError, ValueError) as error:
        sock.close()
        return fail(ListenError(f"cannot open a socket at {shown(path or '')}: {shown_error(error)}"))
    try:
        if remote is not None:
            check_path(remote)
            sock.connect(remote)
    except (OSError, ValueError) as error:
        remove_and_close(sock, file)
        text = f"cannot connect to {shown(remote or '')}: {shown_error(error)}"
        return fail(ConnectError(text, [(shown(remote or ""), error)]))
    try:
        protocol = factory()
    except BaseException:
        remove_and_close(sock, file)
        raise
    UnixDatagramTransport(reactor, sock, protocol, max_size, remote, file=file).start()
    return succeed(protocol)


def remove_and_close(sock: socket.socket, file: Any) -> None:
    """Undo the opening of a UNIX socket."""
    from .socket_files import remove_socket_file

    remove_socket_file(file)
    sock.close()
