"""The forwards of one client's connection: made, matched with the server's channels, ended together.

`ClientConnection` makes one when the first forward is wanted, and hands it every channel that the server
opens: only those of a forward in force, with the same address and port, are taken (R27).
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

from sshkit_keys.errors import WireError
from sshkit_keys.text import printable
from sshkit_keys.wire import string, uint32

from sshkit.deferred import Deferred, Failure
from sshkit.forwarding.addresses import (
    Address,
    Place,
    TcpPlace,
    parse_address,
    path_bytes,
)
from sshkit.forwarding.connecting import connect_channel
from sshkit.forwarding.errors import ForwardClosed, ForwardRefused
from sshkit.forwarding.forward import Forward
from sshkit.forwarding.listening import Arrival, direct_open, direct_source, listen
from sshkit.forwarding.stream import ForwardStream
from sshkit.opening import Opening
from sshkit.ssh.channels import forwarded_tcpip, streamlocal
from sshkit.ssh.errors import ChannelRequestFailed

if TYPE_CHECKING:
    from sshkit.interfaces import Clock, Listener, Reactor
    from sshkit.ssh.connection.channel import Channel
    from sshkit.ssh.connection.connection import Connection
    from sshkit.ssh.connection.protocol import ChannelProtocol

#: What takes the connections of a remote forward in place of a destination: ``handler(stream, originator)``.
StreamHandler = Callable[[ForwardStream, tuple[str, int]], Any]
ANSWER_TIMEOUT = 30.0  #: seconds for the server to answer a request for a forward
Key = tuple[str, int] | str


class ClientForwards:
    """All forwards of one connection."""

    __slots__ = ("_connection", "_past", "_reactor", "forwards", "remote")

    def __init__(self, connection: "Connection", reactor: Any) -> None:
        self._connection = connection
        self._reactor = cast("Reactor", reactor)
        self.forwards: set[Forward] = set()  #: those in force
        self._past: set[Forward] = set()  # those closed, while connections of theirs went on
        self.remote: dict[Key, Forward] = {}  #: those that the server listens for, by what it says

    # Opening.

    def local(
        self,
        listen_at: Address,
        destination: Address,
        gateway: bool,
        unlink: bool,
        mask: int,
        timeout: float,
    ) -> Opening[Forward]:
        """Listen here; the server connects to the destination."""
        place = parse_address(listen_at, True, default="" if gateway else "localhost")
        target = parse_address(destination)
        forward = Forward("local", place, target, self._forget)
        source = direct_source(self._connection, target, forward)
        return self._listen(forward, lambda: Arrival(source), unlink, mask, timeout)

    def dynamic(
        self, listen_at: Address, gateway: bool, unlink: bool, mask: int, timeout: float
    ) -> Opening[Forward]:
        """Listen here for clients of SOCKS; the server connects to where they want to go."""
        from sshkit.forwarding.dynamic import SocksArrival

        place = parse_address(listen_at, True, default="" if gateway else "localhost")
        forward = Forward("dynamic", place, None, self._forget)
        connection, clock = self._connection, self._reactor
        return self._listen(forward, lambda: SocksArrival(connection, clock, forward), unlink, mask, timeout)

    def remote_to(
        self, listen_at: Address, destination: "Address | StreamHandler", timeout: float
    ) -> Opening[Forward]:
        """Let the server listen; this side connects to the destination, or calls a handler."""
        target = destination if callable(destination) else parse_address(destination)
        return self._request(Forward("remote", parse_address(listen_at, True), target, self._forget), timeout)

    def remote_dynamic(
        self, listen_at: Address, permit: Sequence[str] | None, timeout: float
    ) -> Opening[Forward]:
        """Let the server listen for clients of SOCKS; this side connects to where they want to go."""
        from sshkit.forwarding.permits import permits

        forward = Forward("remote-dynamic", parse_address(listen_at, True), None, self._forget)
        forward.permit = permits(permit)
        return self._request(forward, timeout)

    def _listen(
        self, forward: Forward, factory: Callable[[], Any], unlink: bool, mask: int, timeout: float
    ) -> Opening[Forward]:
        binding = listen(self._reactor, forward.place, factory, mask=mask, unlink=unlink)
        opening: Opening[Forward] = Opening(lambda _: binding.cancel())

        def listening(listener: "Listener") -> None:
            if opening.called or self._connection.layer.lost is not None:
                listener.close()
                if not opening.called:
                    opening.errback(ForwardClosed("the connection ended before the forward was there"))
                return
            forward.listens(listener)
            self.forwards.add(forward)
            opening.callback(forward)

        def failed(failure: Failure) -> None:
            if not opening.called:
                opening.errback(failure)

        binding.add_callbacks(listening, failed)
        opening.add_timeout(timeout, self._reactor, what=f"listening at {forward.place}")
        return opening

    def _request(self, forward: Forward, timeout: float) -> Opening[Forward]:
        """Ask the server to listen (RFC 4254 section 7.1)."""
        place = forward.place
        answer = self._connection.global_request(*request_of(place, cancel=False))
        opening: Opening[Forward] = Opening()

        def granted(body: bytes) -> None:
            bound = place
            if isinstance(place, TcpPlace) and not place.port:
                try:
                    port = forwarded_tcpip.BoundPort.decode(body).port
                except WireError:
                    port = 0
                if not 0 < port < 65536:
                    opening.errback(ForwardRefused(f"{place}: the server does not say which port it is"))
                    return
                bound = TcpPlace(place.host, port)
            forward.place = bound
            key = key_of(bound)
            if opening.called or key in self.remote:  # given up meanwhile
                self._cancel(bound)
                if not opening.called:
                    opening.errback(ForwardRefused(f"{bound} is forwarded already"))
                return
            self.remote[key] = forward
            self.forwards.add(forward)
            opening.callback(forward)

        def failed(failure: Failure) -> None:
            if opening.called:
                return
            error = failure.exception
            if isinstance(error, ChannelRequestFailed):
                error = ForwardRefused(f"the server does not listen at {printable(str(place))} for us")
            opening.errback(error)

        answer.add_callbacks(granted, failed)
        opening.add_timeout(timeout, self._reactor, what=f"the server's answer about {place}")
        return opening

    # What the server opens.

    def channel_requested(
        self, kind: str, body: bytes
    ) -> "ChannelProtocol | Deferred[ChannelProtocol] | None":
        """Return what takes a channel of a forward in force; None where there is none such (R27)."""
        originator = ("", 0)
        if kind == forwarded_tcpip.KIND:
            opened = forwarded_tcpip.ForwardedTcpip.decode(body)
            key: Key = (opened.host, opened.port)
            originator = (printable(opened.originator_host), opened.originator_port)
        elif kind == streamlocal.FORWARDED:
            import os

            key = os.fsdecode(streamlocal.ForwardedStreamlocal.decode(body).path)
        else:
            return None
        forward = self.remote.get(key)
        if forward is None:
            return None
        destination = forward.destination
        if callable(destination):
            from sshkit.forwarding.handled import HandledStream

            return HandledStream(forward, cast("StreamHandler", destination), originator)
        if destination is not None:
            return connect_channel(self._reactor, destination, forward)
        from sshkit.forwarding.dynamic import SocksChannel

        return SocksChannel(self._reactor, forward, forward.permit)

    # The end.

    def connection_lost(self) -> None:
        """End every forward with the connection."""
        forwards, self.forwards = self.forwards, set()
        self.remote.clear()
        for forward in forwards:
            forward.connection_lost()
        for forward in self._past:
            forward.abort_all()

    def _forget(self, forward: Forward) -> Deferred[None] | None:
        """Take a forward out of force; the Deferred is the server's answer, where it listens."""
        self.forwards.discard(forward)
        self._past = {past for past in self._past if past.open}
        if forward.open:
            self._past.add(forward)
        key = key_of(forward.place)
        if self.remote.get(key) is not forward:
            return None
        del self.remote[key]
        return self._cancel(forward.place)

    def _cancel(self, place: Place) -> Deferred[None]:
        answer = self._connection.global_request(*request_of(place, cancel=True))
        answer.add_timeout(ANSWER_TIMEOUT, self._reactor, what=f"ending {place}")
        return answer.add_both(lambda _: None)  # refused, or the connection lost: it listens no more either


def key_of(place: Place) -> Key:
    """Return what the server names a forward by in the channels that it opens."""
    return (place.host, place.port) if isinstance(place, TcpPlace) else place.path


def request_of(place: Place, cancel: bool) -> tuple[str, bytes]:
    """Return name and body of the global request that begins or cancels a remote forward."""
    if isinstance(place, TcpPlace):
        body = forwarded_tcpip.TcpipForward(place.host, place.port).encode()
        return forwarded_tcpip.CANCEL if cancel else forwarded_tcpip.FORWARD, body
    body = streamlocal.StreamlocalForward(path_bytes(place)).encode()
    return streamlocal.CANCEL if cancel else streamlocal.FORWARD, body


def open_direct(
    connection: "Connection",
    destination: Address,
    protocol: "ChannelProtocol",
    originator: tuple[str, int] = ("127.0.0.1", 0),
) -> "Deferred[Channel]":
    """Open a channel that the server connects to `destination`."""
    kind, body, named = direct_open(parse_address(destination))
    if named:
        body += string(originator[0]) + uint32(originator[1])
    return connection.open_channel(kind, body, protocol)


def open_stream(
    connection: "Connection",
    destination: Address,
    originator: tuple[str, int],
    timeout: float,
    clock: "Clock",
) -> Opening[ForwardStream]:
    """Open a channel to `destination` and return its streams."""
    stream = ForwardStream()
    channel = open_direct(connection, destination, stream, originator)
    opening: Opening[ForwardStream] = Opening(lambda _: channel.cancel())

    def failed(failure: Failure) -> None:
        if not opening.called:
            opening.errback(failure)

    channel.add_callbacks(lambda _: opening.callback(stream), failed)
    opening.add_timeout(timeout, clock, what=f"a connection to {printable(str(destination))}")
    return opening
