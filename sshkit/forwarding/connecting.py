"""The far end of a forward: connect to where a channel is to lead, and pump.

Called for channels that the peer opens: by the server for direct ones, by the client for those of its remote
forwards.  What fails becomes the refusal of the channel (RFC 4254 section 5.1).
"""

import errno
import os
import socket
from typing import TYPE_CHECKING, Any

from sshkit.deferred import Deferred, Failure
from sshkit.forwarding.addresses import Place, TcpPlace
from sshkit.forwarding.pump import Pump, SocketEnd, Tally
from sshkit.ssh.errors import ChannelOpenFailed

if TYPE_CHECKING:
    from collections.abc import Callable

    from sshkit.interfaces import Reactor
    from sshkit.ssh.connection.protocol import ChannelProtocol

CONNECT_TIMEOUT = 30.0  #: seconds for a name and a connection together
CONNECT_FAILED = 2  #: RFC 4250 section 4.3
RESOURCE_SHORTAGE = 4
_SHORTAGE = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))
_UNDER_WAY = frozenset((errno.EINPROGRESS, errno.EALREADY, errno.EAGAIN))


def connect_channel(
    reactor: "Reactor",
    place: Place,
    tally: Tally,
    timeout: float = CONNECT_TIMEOUT,
    pump: "Callable[[SocketEnd], Pump]" = Pump,
) -> "ChannelProtocol | Deferred[ChannelProtocol]":
    """Connect to `place`; what comes of it is the protocol for the channel that asked, made by `pump`.

    Raises ChannelOpenFailed, or fails with it.
    """
    if tally.is_full:
        tally.refused += 1
        raise ChannelOpenFailed(RESOURCE_SHORTAGE, f"{tally.limit} connections are open")
    end = SocketEnd(tally)
    if at_once(reactor, place, end):
        return pump(end)
    tally.connecting += 1

    def connected(_: object) -> Pump:
        tally.connecting -= 1
        return pump(end)

    def failed(failure: Failure) -> Failure:
        tally.connecting -= 1
        tally.refused += 1
        return refusal(failure)

    return connect_end(reactor, place, end, timeout).add_callbacks(connected, failed)


def connect_end(reactor: "Reactor", place: Place, end: Any, timeout: float) -> "Deferred[Any]":
    """Connect the protocol `end` to a place."""
    if isinstance(place, TcpPlace):
        return reactor.connect_tcp(place.host, place.port, lambda: end, timeout=timeout)
    return reactor.connect_unix(place.path, lambda: end, timeout=timeout)


def at_once(reactor: "Reactor", place: Place, end: SocketEnd) -> bool:
    """Connect to this machine without waiting; False where that is not the way.

    A connection over the loopback interface is there when `connect` has returned, only it does not say so:
    asked again, it does.  This saves a turn of the reactor, a timer and three calls of the system.
    """
    if isinstance(place, TcpPlace):
        family, address = loopback_family(place.host), (place.host, place.port)
    else:
        family, address = int(socket.AF_UNIX), place.path  # type: ignore[assignment]
    if not family or not hasattr(reactor, "adopt_socket"):
        return False
    try:
        sock = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        end.tally.refused += 1
        raise _refused(error) from None
    try:
        sock.setblocking(False)
        code = sock.connect_ex(address)
        if code == errno.EINPROGRESS:
            code = sock.connect_ex(address)
    except (OSError, ValueError) as error:
        sock.close()
        end.tally.refused += 1
        raise _refused(error) from None
    if not code:
        reactor.adopt_socket(sock, lambda: end)
        return True
    sock.close()
    if code in _UNDER_WAY:  # a queue that is full: there is a way to wait for that
        return False
    end.tally.refused += 1
    raise _refused(OSError(code, os_text(code)))


def loopback_family(host: str) -> int:
    """Return the family of a numeric address of the loopback interface, or 0."""
    if host == "::1":
        return int(socket.AF_INET6)
    if host.startswith("127."):
        try:
            socket.inet_pton(socket.AF_INET, host)
        except OSError:  # a name that only begins so
            return 0
        return int(socket.AF_INET)
    return 0


def refusal(failure: Failure) -> Failure:
    """Return why a channel is refused, for a connection that did not come about."""
    return Failure(_refused(failure.exception))


def _refused(error: BaseException) -> ChannelOpenFailed:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno is not None:
            if cause.errno < 0:  # of the resolver, which counts from the other end
                return ChannelOpenFailed(CONNECT_FAILED, "the host name is not known")
            code = RESOURCE_SHORTAGE if cause.errno in _SHORTAGE else CONNECT_FAILED
            return ChannelOpenFailed(code, os_text(cause.errno))
        cause = cause.__cause__
    text = "timed out" if isinstance(error, TimeoutError) else "no connection came about"
    return ChannelOpenFailed(CONNECT_FAILED, text)


def os_text(code: int) -> str:
    """Return the system's words for an error; never a path or an address of this side."""
    return os.strerror(code)
