"""Datagram sockets: one call of ours for each datagram sent, a batch of them for each readiness.

Made by `datagrams`; UDP and UNIX datagrams build on it.  Sending never blocks: what the kernel does not take
waits in a bounded queue, and past that it is dropped and counted, as the network itself may do.
"""

import errno
import socket
from collections import deque
from typing import TYPE_CHECKING, Any

from sshkit.interfaces.datagram import IDatagramTransport
from sshkit.interfaces.derive import implementer
from sshkit.interfaces.transport import Writable

from ..errors import FAULTS
from ..pollers import READ, WRITE
from .flow_control import HIGH_MARK, FlowControl

if TYPE_CHECKING:
    from ..core import ReactorCore
    from ..timers import DelayedCall

#: Datagrams received in one turn; then the other descriptors have theirs.
DATAGRAMS_A_TURN = 64

#: Bytes that may wait; with more, datagrams are dropped.
QUEUE_LIMIT = 4 * HIGH_MARK

#: What a datagram in the queue counts for beside its bytes, so that empty ones are bounded too.
ENTRY_COST = 64

#: Seconds that `close` waits for the kernel to take what is queued.
CLOSE_TIMEOUT = 5.0

_NO_DATA_YET = (BlockingIOError, InterruptedError)

#: The socket itself is unusable: reading on would fail for ever.
_FATAL = frozenset((errno.EBADF, errno.ENOTSOCK, errno.EFAULT))


@implementer(IDatagramTransport)
class DatagramTransport(FlowControl):
    """One datagram socket, connected to one peer or not."""

    __slots__ = (
        "_closing",
        "_connected",
        "_deadline",
        "_error",
        "_fd",
        "_finishing",
        "_max_size",
        "_out",
        "_peername",
        "_reactor",
        "_reading",
        "_socket",
        "_sockname",
        "dropped",
        "interest",
        "oversized",
    )

    def __init__(
        self, reactor: "ReactorCore", sock: socket.socket, protocol: Any, max_size: int, peername: Any = None
    ) -> None:
        sock.setblocking(False)
        super().__init__(protocol)
        self._reactor = reactor
        self._socket = sock
        self._fd = sock.fileno()
        self._max_size = max_size
        self._peername = peername
        self._sockname: Any = None
        self._connected = peername is not None
        self._out: deque[tuple[bytes, Any]] = deque()
        self._error: BaseException | None = None
        self._reading = True
        self._closing = False
        self._finishing = False
        self._deadline: DelayedCall | None = None
        self.dropped = 0
        self.oversized = 0
        self.interest = 0

    def start(self) -> None:
        """Introduce the protocol and begin to receive.  What `connection_made` raises closes the socket."""
        self._reactor.pollables[self._fd] = self
        try:
            self._protocol.connection_made(self)
        except FAULTS as error:
            self._error = error
            self.abort()
            raise
        self._update_reading()

    # -- receiving --------------------------------------------------------------------------------

    def read_ready(self) -> None:
        """Receive a batch."""
        protocol = self._protocol
        receive = self._socket.recvfrom_into
        limit = self._max_size
        view = self._reactor.receive_views()[1][: limit + 1]
        for _ in range(DATAGRAMS_A_TURN):
            try:
                size, address = receive(view)
            except _NO_DATA_YET:
                return
            except OSError as error:
                self._receive_failed(error)
                if not self._reading:
                    return
                continue
            if size > limit:
                self.oversized += 1
                continue
            try:
                protocol.datagram_received(bytes(view[:size]), address)
            except FAULTS as error:
                self._protocol_failed("datagram_received", error)
                return
            if not self._reading or protocol is not self._protocol:
                return

    def _receive_failed(self, error: OSError) -> None:
        if error.errno in _FATAL:
            self._error = error
            self._finish_soon()
        else:
            self._tell("error_received", self._protocol.error_received, error)

    def pause_reading(self) -> None:
        """Deliver nothing until `resume_reading`."""
        self._reading = False
        self._update_reading()

    def resume_reading(self) -> None:
        """Deliver again."""
        if not self._closing:
            self._reading = True
            self._update_reading()

    def _update_reading(self) -> None:
        interest = self.interest & ~READ | (READ if self._reading else 0)
        self._reactor.set_interest(self._fd, self, interest)

    # -- sending ----------------------------------------------------------------------------------

    def sendto(self, data: Writable, address: Any = None) -> None:
        """Send one datagram, now or when the kernel takes it."""
        if self._closing:
            return
        if self._connected:
            if address is not None and address != self._peername:
                raise ValueError(f"this socket sends to {self._peername!r} only, not to {address!r}")
            address = None
        else:
            self.check_address(address)
        if self._out:
            self._keep(bytes(data), address)
            return
        try:
            self._send(data, address)
        except _NO_DATA_YET:
            self._keep(bytes(data), address)
        except OSError as error:
            self._send_failed(data, address, error)

    def check_address(self, address: Any) -> None:
        """Raise ValueError for what cannot be sent to at once."""
        if address is None:
            raise ValueError("this socket is not connected: sendto needs an address")

    def _send(self, data: Writable, address: Any) -> None:
        if address is None:
            self._socket.send(data)
        else:
            self._socket.sendto(data, address)

    def _send_failed(self, data: Writable, address: Any, error: OSError) -> None:
        """Tell of an error.  A connected socket's may be of an earlier datagram: then this one still goes."""
        if error.errno == errno.ENOBUFS:  # nothing tells when there is room again
            self.dropped += 1
            return
        if self._connected and error.errno == errno.ECONNREFUSED:
            try:
                self._send(data, address)
            except OSError:
                pass
        # Never inside `sendto`, which a protocol may call again from there.
        self._reactor.call_soon(lambda: self._tell_error(error))

    def _tell_error(self, error: OSError) -> None:
        if not self._finishing:
            self._tell("error_received", self._protocol.error_received, error)

    def _keep(self, data: bytes, address: Any) -> None:
        cost = len(data) + ENTRY_COST
        if self._out_size + cost > QUEUE_LIMIT:
            self.dropped += 1
            return
        if not self._out:
            self.wait_for_room()
        self._out.append((data, address))
        self._out_size += cost
        if self._out_size > self._high:
            self._pause_protocol()

    def wait_for_room(self) -> None:
        """Have `write_ready` called when the kernel may take more."""
        self._reactor.set_interest(self._fd, self, self.interest | WRITE)

    def write_ready(self) -> None:
        """Send what waits."""
        out = self._out
        for _ in range(DATAGRAMS_A_TURN):
            if not out:
                break
            data, address = out[0]
            try:
                self._send(data, address)
            except _NO_DATA_YET:
                break
            except OSError as error:
                self._send_failed(data, address, error)
            out.popleft()
            self._out_size -= len(data) + ENTRY_COST
        if not out:
            self._reactor.set_interest(self._fd, self, self.interest & ~WRITE)
        self._sent()

    def _sent(self) -> None:
        if self._out_size <= self._low:
            self._resume_protocol()
        if self._closing and not self._out:
            self._finish_soon()

    # -- the end ----------------------------------------------------------------------------------

    def close(self) -> None:
        """Close once what waits has left, or after CLOSE_TIMEOUT seconds."""
        if self._closing:
            return
        self._closing = True
        self._reading = False
        self._update_reading()
        if self._out:
            self._deadline = self._reactor.call_later(CLOSE_TIMEOUT, self.abort)
        else:
            self._finish_soon()

    def abort(self) -> None:
        """Close now and drop what waits."""
        self._finish_soon()

    def is_closing(self) -> bool:
        """Tell whether the transport is closing or closed."""
        return self._closing

    def _protocol_failed(self, where: str, error: BaseException) -> None:
        """End this socket, and only this one, for a fault of its protocol."""
        self._reactor.report(f"{where} of {type(self._protocol).__name__} failed", error)
        if self._error is None:
            self._error = error
        self._finish_soon()

    def _finish_soon(self) -> None:
        """Have `_finish` called, never inside a call of the protocol's."""
        if self._finishing:
            return
        self._finishing = self._closing = True
        self._reading = False
        self._drop_out()
        self._reactor.set_interest(self._fd, self, 0)
        self._reactor.call_soon(self._finish)

    def _drop_out(self) -> None:
        self.dropped += len(self._out)
        self._out.clear()
        self._out_size = 0
        if self._deadline is not None:
            self._deadline.cancel()

    def _finish(self) -> None:
        sock = self._socket
        if sock.fileno() < 0:  # the reactor was closed meanwhile
            return
        reactor = self._reactor
        self.get_extra_info("sockname")
        reactor.forget(self._fd, self)
        self.closing_socket()
        sock.close()  # first, so that the protocol may open another one at the same address
        protocol, self._protocol = self._protocol, None
        try:
            protocol.connection_lost(self._error)
        except FAULTS as error:
            reactor.report(f"connection_lost of {type(protocol).__name__} failed", error)

    def closing_socket(self) -> None:
        """Give back what else belongs to the socket."""

    def reactor_closed(self, error: BaseException) -> None:
        """Close at once, with `error` for the protocol."""
        if self._error is None:
            self._error = error
        self._finishing = self._closing = True
        self._reading = False
        self._drop_out()
        self._finish()

    # -- the rest ---------------------------------------------------------------------------------

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return "sockname", "peername" (of a connected socket) or "socket"."""
        if name == "sockname":
            if self._sockname is None:
                try:
                    self._sockname = self._socket.getsockname()
                except OSError:
                    return default
            return self._sockname
        if name == "peername":
            return default if self._peername is None else self._peername
        return self._socket if name == "socket" else default

    def set_protocol(self, protocol: Any) -> None:
        """Hand everything from now on to `protocol`."""
        self._protocol = protocol

    def get_protocol(self) -> Any:
        """Return the present protocol, None after the end."""
        return self._protocol

    def __repr__(self) -> str:
        state = "closing" if self._closing else "open"
        return f"<{type(self).__name__} fd={self._fd} {state} at {self._sockname!r}>"
