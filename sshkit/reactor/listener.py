"""Listening: sockets that make a transport and a protocol of each connection.

Called by `listen_tcp` and `listen_unix` of every reactor.  Accepting survives a lack of descriptors or
memory with a pause (rule R41).  That is logged, and where descriptors have run out nothing can be imported
any more: so this module, which only servers load, loads logging first.
"""

import errno
import logging
import os
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sshkit.deferred import Deferred, fail, succeed
from sshkit.interfaces.derive import implementer
from sshkit.interfaces.endpoint import IListener
from sshkit.interfaces.reactor import CONNECT_TIMEOUT

from .errors import FAULTS, ListenError
from .pollers import READ
from .resolver import Addresses, resolve
from .socket_files import SocketFile, check_path, is_abstract, remove_socket_file, socket_file
from .text import shown, shown_address, shown_error
from .transports.tcp import stream_transport

if TYPE_CHECKING:
    from .core import ReactorCore

#: Connections taken in one turn; then the others have theirs.
ACCEPTS_A_TURN = 64

#: Seconds without accepting when descriptors or memory ran out: closing connections may free some.
EXHAUSTED_PAUSE = 1.0

_EXHAUSTED = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))
#: Errors that belong to the one connection, which has gone (accept(2) on Linux passes network errors on).
_GONE = frozenset(
    (
        errno.ECONNABORTED,
        errno.EPROTO,
        errno.EPERM,
        errno.ENETDOWN,
        errno.ENETUNREACH,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.ENOPROTOOPT,
        errno.EOPNOTSUPP,
    )
)

#: Times a free port is looked for that every address has free.
PORT_TRIES = 20


class Acceptor:
    """One listening socket."""

    __slots__ = ("_listener", "interest", "sock")

    def __init__(self, listener: "Listener", sock: socket.socket) -> None:
        self._listener = listener
        self.sock = sock
        self.interest = 0

    def read_ready(self) -> None:
        """Take the connections that wait."""
        listener = self._listener
        sock = self.sock
        for _ in range(ACCEPTS_A_TURN):
            try:
                connection, address = sock.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                if error.errno in _GONE:
                    continue
                listener.exhausted(error)
                return
            listener.accepted(connection, address)
            if not self.interest:  # paused or closed by what it accepted
                return

    def write_ready(self) -> None:
        """Never asked for."""

    def reactor_closed(self, error: BaseException) -> None:
        """Close with the reactor."""
        self._listener.close()


@implementer(IListener)
class Listener:
    """One or more listening sockets with one protocol factory."""

    __slots__ = (
        "_acceptors",
        "_exhausted_timer",
        "_factory",
        "_paused",
        "_reactor",
        "_unlink",
        "addresses",
    )

    def __init__(
        self,
        reactor: "ReactorCore",
        socks: list[socket.socket],
        factory: Callable[[], Any],
        unlink: SocketFile | None = None,
    ) -> None:
        self._reactor = reactor
        self._factory = factory
        self._acceptors = [Acceptor(self, sock) for sock in socks]
        self._paused = False
        self._exhausted_timer: Any = None
        self._unlink = unlink
        self.addresses: tuple[Any, ...] = tuple(sock.getsockname() for sock in socks)
        self._listen(READ)

    @property
    def address(self) -> Any:
        """The first address."""
        return self.addresses[0]

    def _listen(self, interest: int) -> None:
        for acceptor in self._acceptors:
            self._reactor.set_interest(acceptor.sock.fileno(), acceptor, interest)

    def accepted(self, sock: socket.socket, address: Any) -> None:
        """Make a transport of a new connection; a factory or protocol that fails harms only this one.

        A factory with a method ``take_socket(sock, address)`` gets the socket itself: it hands it on.
        """
        take = getattr(self._factory, "take_socket", None)
        if take is not None:
            try:
                take(sock, address)
            except FAULTS as error:
                sock.close()
                self._reactor.report("the taker of a listener's sockets failed", error)
            return
        try:
            protocol = self._factory()
        except FAULTS as error:
            sock.close()
            self._reactor.report("the protocol factory of a listener failed", error)
            return
        transport = stream_transport(self._reactor, sock, protocol, address)
        try:
            transport.start()
        except FAULTS as error:
            self._reactor.report(f"connection_made of {type(protocol).__name__} failed", error)
            transport.abort()

    def exhausted(self, error: OSError) -> None:
        """Pause: no descriptor or memory is left for another connection."""
        if error.errno not in _EXHAUSTED:
            self._reactor.report(f"accepting at {shown_address(self.address)} failed", error)
        else:
            logging.getLogger("sshkit.reactor").warning(
                "accepting at %s pauses for %g seconds: %s",
                shown_address(self.address),
                EXHAUSTED_PAUSE,
                shown_error(error),
            )
        self._listen(0)
        if self._exhausted_timer is None:
            self._exhausted_timer = self._reactor.call_later(EXHAUSTED_PAUSE, self._pause_over)

    def _pause_over(self) -> None:
        self._exhausted_timer = None
        if not self._paused:
            self._listen(READ)

    def pause(self) -> None:
        """Leave new connections in the kernel's queue."""
        self._paused = True
        self._listen(0)

    def resume(self) -> None:
        """Accept again."""
        self._paused = False
        if self._exhausted_timer is None:
            self._listen(READ)

    def close(self) -> None:
        """Stop listening."""
        acceptors, self._acceptors = self._acceptors, []
        for acceptor in acceptors:
            self._reactor.forget(acceptor.sock.fileno(), acceptor)
            acceptor.sock.close()
        if self._exhausted_timer is not None:
            self._exhausted_timer.cancel()
        unlink, self._unlink = self._unlink, None
        remove_socket_file(unlink)


def listen_tcp(
    reactor: "ReactorCore",
    host: str | None,
    port: int,
    factory: Callable[[], Any],
    backlog: int,
    reuse_port: bool,
    family: int,
) -> Deferred[Listener]:
    """Listen at every address of `host`."""

    def listen(addresses: Addresses) -> Listener:
        return Listener(reactor, bind_all(addresses, port, backlog, reuse_port), factory)

    lookup = resolve(reactor, host or "", port, family, CONNECT_TIMEOUT, passive=True)
    return lookup.add_callback(listen)


def bind_all(addresses: Addresses, port: int, backlog: int, reuse_port: bool) -> list[socket.socket]:
    """Return a listening socket for each address; for port 0 all at the same free port.

    An address of a family that this machine does not have is left out if another one works.
    """
    tries = PORT_TRIES if port == 0 and len(addresses) > 1 else 1
    while True:
        tries -= 1
        socks: list[socket.socket] = []
        failed: tuple[Any, OSError] | None = None
        for kind, address in addresses:
            chosen = socks[0].getsockname()[1] if socks else address[1]
            address = (address[0], chosen, *address[2:])
            try:
                socks.append(bind_tcp(kind, address, backlog, reuse_port))
            except OSError as error:
                if failed is None or failed[1].errno in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                    failed = (address, error)
        if failed is None or (socks and failed[1].errno in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)):
            return socks
        for sock in socks:
            sock.close()
        if tries <= 0 or failed[1].errno != errno.EADDRINUSE:
            place, cause = failed
            raise ListenError(f"cannot listen at {shown_address(place)}: {shown_error(cause)}") from cause


def bind_tcp(family: int, address: Any, backlog: int, reuse_port: bool) -> socket.socket:
    """Return one listening socket."""
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(address)
        sock.listen(backlog)
    except OSError:
        sock.close()
        raise
    return sock


def listen_unix(
    reactor: "ReactorCore",
    path: str | bytes,
    factory: Callable[[], Any],
    mode: int | None,
    backlog: int,
) -> Deferred[Listener]:
    """Listen at a UNIX socket; an existing file is an error, whatever it is."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        check_path(path)
        abstract = is_abstract(path)
        sock.setblocking(False)
        if mode is not None and not abstract:
            os.fchmod(sock.fileno(), mode)  # Linux makes the file with it: there is no moment with more
        sock.bind(path)
        unlink = socket_file(path)
        if mode is not None and not abstract:
            os.chmod(path, mode)
        sock.listen(backlog)
    except (OSError, ValueError) as error:
        sock.close()
        return fail(ListenError(f"cannot listen at {shown(path)}: {shown_error(error)}"))
    return succeed(Listener(reactor, [sock], factory, unlink))
