"""Dynamic forwards: whoever connects says by SOCKS where he wants to go.

`SocksArrival` serves a socket of this side (the client's dynamic forward), `SocksChannel` a channel of the
server's (its remote twin).  When the destination is known, both give way to the pump.
"""

from typing import TYPE_CHECKING, Any

from sshkit.deferred import CancelledError, Deferred, Failure
from sshkit.forwarding.addresses import TcpPlace
from sshkit.forwarding.connecting import connect_channel
from sshkit.forwarding.listening import direct_source, open_for
from sshkit.forwarding.pump import Pump, SocketEnd, Tally
from sshkit.protocols.socks.server import (
    CONNECTION_REFUSED,
    GENERAL_FAILURE,
    NOT_ALLOWED,
    SocksError,
    SocksServer,
)
from sshkit.ssh.connection.protocol import ChannelProtocol
from sshkit.ssh.errors import ChannelOpenFailed

if TYPE_CHECKING:
    from collections.abc import Callable

    from sshkit.interfaces import Clock, Reactor, Transport
    from sshkit.ssh.connection.channel import Channel
    from sshkit.ssh.connection.connection import Connection

SOCKS_TIMEOUT = 30.0  #: seconds to say where to go

#: What a refused channel (RFC 4250 section 4.3) is in SOCKS 5.
REASONS = {1: NOT_ALLOWED, 2: CONNECTION_REFUSED}


class SocksArrival:
    """A socket before its destination is known."""

    __slots__ = ("_clock", "_connection", "_socks", "_tally", "_timer", "transport")

    def __init__(self, connection: "Connection", clock: "Clock", tally: Tally) -> None:
        self._connection = connection
        self._clock = clock
        self._tally = tally
        self._socks = SocksServer()
        self._timer: Any = None
        self.transport: Transport | None = None

    def connection_made(self, transport: "Transport") -> None:
        self.transport = transport
        self._tally.ends.add(self)
        self._timer = self._clock.call_later(SOCKS_TIMEOUT, transport.abort)

    def data_received(self, data: bytes) -> None:
        transport = self.transport
        assert transport is not None
        try:
            answer = self._socks.feed(data)
        except SocksError as error:
            self._tally.refused += 1
            self._tally.total += 1
            self._timer.cancel()
            transport.write(error.answer)
            transport.close()
            return
        if answer:
            transport.write(answer)
        request = self._socks.request
        if request is not None:
            self._timer.cancel()
            self._tally.ends.discard(self)
            source = direct_source(self._connection, TcpPlace(request.host, request.port), self._tally)
            end = SocksEnd(self._tally, self._socks)
            transport.set_protocol(end)
            end.connection_made(transport)
            open_for(self._connection, source.kind, source.body(transport), end, SocksPump(end, self._socks))

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, error: BaseException | None) -> None:
        self._tally.ends.discard(self)
        self._timer.cancel()

    def pause_writing(self) -> None:
        """A few bytes are written before the pump comes."""

    def resume_writing(self) -> None:
        """Nothing was paused."""


class SocksEnd(SocketEnd):
    """The socket after its request: told in SOCKS where its channel is refused."""

    __slots__ = ("_socks",)

    def __init__(self, tally: Tally, socks: SocksServer) -> None:
        super().__init__(tally)
        self._socks = socks

    def open_failed(self, failure: object) -> None:
        """Refuse in the words of SOCKS."""
        self.tally.refused += 1
        error = failure.exception if isinstance(failure, Failure) else failure
        code = error.code if isinstance(error, ChannelOpenFailed) else 0
        self.transport.write(self._socks.refused(REASONS.get(code, GENERAL_FAILURE)))
        self.transport.close()


class SocksPump(Pump):
    """Answers the request when the channel is open, and sends what came behind it."""

    __slots__ = ("_socks",)

    def __init__(self, end: SocketEnd, socks: SocksServer) -> None:
        super().__init__(end)
        self._socks = socks

    def channel_opened(self, channel: "Channel", body: bytes) -> None:
        super().channel_opened(channel, body)
        self.end.transport.write(self._socks.granted())
        rest = self._socks.rest()
        if rest and self.end.channel is not None:
            self.tally.bytes_out += len(rest)
            channel.write(rest)


class SocksChannel(ChannelProtocol):
    """A channel of a remote dynamic forward: asks for the destination, connects, and becomes a pump."""

    __slots__ = ("_channel", "_closed", "_connecting", "_permit", "_reactor", "_socks", "_tally", "_timer")

    def __init__(self, reactor: "Reactor", tally: Tally, permit: "Callable[[TcpPlace], bool]") -> None:
        self._reactor = reactor
        self._tally = tally
        self._permit = permit
        self._socks = SocksServer()
        self._channel: Channel | None = None
        self._closed = False
        self._connecting: Deferred[Any] | None = None
        self._timer: Any = None

    def channel_opened(self, channel: "Channel", body: bytes) -> None:
        self._channel = channel
        self._timer = self._reactor.call_later(SOCKS_TIMEOUT, channel.close)

    def data_received(self, data: memoryview) -> None:
        channel = self._channel
        assert channel is not None
        if self._connecting is not None:  # came with the request, before the pause held
            self._socks.feed(data)
            return
        try:
            answer = self._socks.feed(data)
        except SocksError as error:
            self._refuse(error.answer)
            return
        if answer:
            channel.write(answer)
        request = self._socks.request
        if request is not None:
            self._timer.cancel()
            channel.pause_reading()
            self._connect(TcpPlace(request.host, request.port))

    def eof_received(self) -> None:
        if self._channel is not None and self._socks.request is None:
            self._channel.close()

    def channel_closed(self, error: BaseException | None) -> None:
        self._closed = True
        self._timer.cancel()
        if self._connecting is not None:
            self._connecting.cancel()

    def _connect(self, place: TcpPlace) -> None:
        if not self._permit(place):
            self._refuse(self._socks.refused(NOT_ALLOWED))
            return
        try:
            found = connect_channel(self._reactor, place, self._tally)
        except ChannelOpenFailed as error:
            self._failed(Failure(error))
            return
        if isinstance(found, Deferred):
            self._connecting = found
            found.add_callbacks(self._connected, self._failed)
        else:
            self._connected(found)

    def _connected(self, pump: Any) -> None:
        channel = self._channel
        assert channel is not None
        self._connecting = None
        if self._closed:
            pump.channel_closed(None)
            return
        channel.write(self._socks.granted())
        channel.protocol = pump
        pump.channel_opened(channel, b"")
        rest = self._socks.rest()
        if rest:
            pump.data_received(memoryview(rest))
        channel.resume_reading()

    def _failed(self, failure: Failure) -> None:
        self._connecting = None
        error = failure.exception
        if isinstance(error, CancelledError):
            return
        code = error.code if isinstance(error, ChannelOpenFailed) else 0
        self._refuse(self._socks.refused(REASONS.get(code, GENERAL_FAILURE)), counted=True)

    def _refuse(self, answer: bytes, counted: bool = False) -> None:
        channel = self._channel
        assert channel is not None
        if not counted:
            self._tally.refused += 1
        self._timer.cancel()
        if not self._closed:
            channel.write(answer)
            channel.write_eof()
            channel.resume_reading()
            channel.close()
