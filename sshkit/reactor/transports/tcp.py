"""Stream sockets, TCP and UNIX: the transport under every connection.

Made by the connector, the listener and `adopt_socket`; called by the reactor's loop (`read_ready`,
`write_ready`) and by protocols.  The hot path is one call of ours for each read and one for each write:
data is sent at once, and the socket is polled for writing only after a short write.
"""

import errno
import socket
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from itertools import islice
from struct import pack
from typing import TYPE_CHECKING, Any, TypeVar

from sshkit.interfaces.derive import implementer
from sshkit.interfaces.transport import ITransport, Writable

from ..core import LARGE_READ, SMALL_READ
from ..errors import FAULTS
from ..pollers import READ, WRITE
from .flow_control import FlowControl

if TYPE_CHECKING:
    from sshkit.deferred import Deferred

    from ..core import ReactorCore

_P = TypeVar("_P")

#: Reads of one turn while each fills its buffer; then the other descriptors have theirs.
READS_A_TURN = 4

#: Bytes that a read may take where the last one brought a lot.  More than this, and glibc would fetch the
#: memory from the kernel and give it back at each read.
BULK_READ = 120 * 1024

#: Buffers given to one sendmsg; kernels take 1024 at most.
BUFFERS_A_SEND = 256

#: SO_LINGER with a time of 0: closing resets the connection.
RESET = pack("ii", 1, 0)

_NO_DATA_YET = (BlockingIOError, InterruptedError)


class Special:
    """Something to send that is not plain data, in its turn among what is."""

    __slots__ = ()

    def send(self, sock: socket.socket) -> bool:
        """Send something, without waiting; True when all has left.  An OSError breaks the connection."""
        raise NotImplementedError

    def finished(self) -> None:
        """All has left."""

    def dropped(self, error: BaseException) -> None:
        """The connection has ended first."""


@implementer(ITransport)
class StreamTransport(FlowControl):
    """One connected socket.  Small when idle: no buffer, no closure."""

    __slots__ = (
        "_buffered",
        "_closing",
        "_eof_received",
        "_eof_wanted",
        "_error",
        "_fd",
        "_finishing",
        "_much",
        "_mute",
        "_out",
        "_peername",
        "_reactor",
        "_reading",
        "_socket",
        "_sockname",
        "_special",
        "interest",
    )

    #: What `write` was given may be reused when it returns; asyncio's own transports do not promise that.
    copies_on_write = True

    def __init__(
        self, reactor: "ReactorCore", sock: socket.socket, protocol: Any, peername: Any = None
    ) -> None:
        sock.setblocking(False)
        if sock.family != socket.AF_UNIX:
            try:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError:  # not TCP after all, or the peer has gone already: the first read will tell
                pass
        super().__init__(protocol)
        self._reactor = reactor
        self._socket = sock
        self._fd = sock.fileno()
        self._buffered = hasattr(protocol, "get_buffer")
        self._peername = peername
        self._sockname: Any = None
        self._out: deque[Any] | None = None  # what waits, when something does: bytes, views, Specials
        self._special = 0  # how many of these are Specials
        self._error: BaseException | None = None
        self._much = False  # the last read brought a lot
        self._mute = False  # closing, at its end, or broken: takes no more data
        self._eof_wanted = False
        self._eof_received = False
        self._reading = True
        self._closing = False
        self._finishing = False  # `_finish` is on its way
        self.interest = 0

    def start(self) -> None:
        """Introduce the protocol and begin to read.  What `connection_made` raises ends the connection."""
        self._reactor.pollables[self._fd] = self
        try:
            self._protocol.connection_made(self)
        except FAULTS as error:
            self._error = error
            self.abort()
            raise
        if self._reading:
            self._update_reading()

    # -- receiving --------------------------------------------------------------------------------

    def read_ready(self) -> None:
        """Receive into the protocol's buffer, or into the reactor's for a protocol that takes bytes."""
        if not self._buffered:
            self._read_bytes()
            return
        protocol = self._protocol
        sock = self._socket
        rounds = READS_A_TURN
        while True:
            try:
                buffer = protocol.get_buffer(-1)
                size = sock.recv_into(buffer)
            except _NO_DATA_YET:
                self._tell(
                    "buffer_updated", protocol.buffer_updated, 0
                )  # it took a buffer for nothing, and may let it go
                return
            except OSError as error:
                self._connection_failed(error)
                return
            except FAULTS as error:
                self._protocol_failed("get_buffer", error)
                return
            if not size:
                self._end_reached(len(buffer))
                return
            try:
                protocol.buffer_updated(size)
            except FAULTS as error:
                self._protocol_failed("buffer_updated", error)
                return
            rounds -= 1
            if size < len(buffer) or not rounds or not self._reading or protocol is not self._protocol:
                return

    def _read_bytes(self) -> None:
        protocol = self._protocol
        sock = self._socket
        view = self._reactor.receive_views()[0]
        rounds = READS_A_TURN
        while True:
            try:
                if self._much:  # no copy, but memory for the most that may come
                    data = sock.recv(BULK_READ)
                    size = len(data)
                    self._much = size >= SMALL_READ
                else:
                    size = sock.recv_into(view)
                    data = bytes(view[:size])
                    self._much = size == SMALL_READ
            except _NO_DATA_YET:
                return
            except OSError as error:
                self._connection_failed(error)
                return
            if not size:
                self._end_reached(1)
                return
            try:
                protocol.data_received(data)
            except FAULTS as error:
                self._protocol_failed("data_received", error)
                return
            rounds -= 1
            if not self._much or not rounds or not self._reading or protocol is not self._protocol:
                return

    def _end_reached(self, room: int) -> None:
        if not room:
            self._protocol_failed("get_buffer", ValueError("the buffer for receiving is empty"))
            return
        self._eof_received = True
        self._reading = False
        self._update_reading()
        if self._error is not None:  # a write failed before; the peer's last words have been read
            self._finish_soon()
            return
        try:
            keep_open = self._protocol.eof_received()
        except FAULTS as error:
            self._protocol_failed("eof_received", error)
            return
        if not keep_open or self._eof_wanted:
            self.close()

    def pause_reading(self) -> None:
        """Deliver nothing until `resume_reading`."""
        self._reading = False
        self._update_reading()
        if self._error is not None and not self._closing:
            self._finish_soon()

    def resume_reading(self) -> None:
        """Deliver again."""
        if not self._closing and not self._eof_received:
            self._reading = True
            self._update_reading()

    def _update_reading(self) -> None:
        interest = self.interest & ~READ | (READ if self._reading else 0)
        if interest != self.interest:
            self._reactor.set_interest(self._fd, self, interest)

    # -- sending ----------------------------------------------------------------------------------

    def write(self, data: Writable) -> None:
        """Send `data` at once as far as the peer takes it; keep a copy of the rest."""
        if self._mute:
            return
        if self._out is not None:
            self._keep(data)
            return
        try:
            sent = self._socket.send(data)
        except _NO_DATA_YET:
            sent = 0
        except OSError as error:
            self._write_failed(error)
            return
        if sent != len(data):
            self._keep(memoryview(data)[sent:])

    def writelines(self, list_of_data: Iterable[Writable]) -> None:
        """Send several buffers as one."""
        self.write(b"".join(list_of_data))

    def _keep(self, data: Writable) -> None:
        copy = bytes(data)
        if not copy:
            return
        out = self._out
        if out is None:
            out = self._out = deque()
            self._reactor.set_interest(self._fd, self, self.interest | WRITE)
        out.append(copy)
        self._out_size += len(copy)
        if self._out_size > self._high:
            self._pause_protocol()

    def write_ready(self) -> None:
        """Send what waits."""
        out = self._out
        if out is None:
            return
        if self._special:
            self._send_specials(out)
            return
        try:
            if len(out) == 1:
                sent = self._socket.send(out[0])
            else:
                sent = self._socket.sendmsg(islice(out, BUFFERS_A_SEND))
        except _NO_DATA_YET:
            return
        except OSError as error:
            self._write_failed(error)
            return
        self._out_size -= sent
        while sent:
            first = out[0]
            if sent < len(first):
                out[0] = memoryview(first)[sent:]
                break
            sent -= len(first)
            out.popleft()
        self._sent(out)

    def _sent(self, out: deque[Any]) -> None:
        """Something of what waited has left."""
        if self._out is not out:  # the connection broke meanwhile
            return
        if not out:
            self._out = None
            self._reactor.set_interest(self._fd, self, self.interest & ~WRITE)
        if self._out_size <= self._low:
            self._resume_protocol()
        if self._out is None:
            if self._closing:
                self._finish_soon()
            elif self._eof_wanted:
                self._shut_down()

    def _send_specials(self, out: deque[Any]) -> None:
        """Send what waits, of which something is not plain data: one after the other."""
        try:
            for _ in range(READS_A_TURN):
                if not out:
                    break
                first = out[0]
                if isinstance(first, Special):
                    if first.send(self._socket):
                        out.popleft()
                        self._special -= 1
                        first.finished()
                    if self._out is not out:
                        return
                else:
                    sent = self._socket.send(first)
                    self._out_size -= sent
                    if sent < len(first):
                        out[0] = memoryview(first)[sent:]
                    else:
                        out.popleft()
        except _NO_DATA_YET:
            pass
        except OSError as error:
            self._write_failed(error)
            return
        self._sent(out)

    def send_in_turn(self, special: "Special") -> None:
        """Queue what is not plain data, behind what waits and before what is written later."""
        if self._mute:
            special.dropped(self._error or ConnectionAbortedError("the connection is closing"))
            return
        if self._out is None:
            self._out = deque()
            self._reactor.set_interest(self._fd, self, self.interest | WRITE)
        self._out.append(special)
        self._special += 1

    def take_back(self, special: "Special") -> None:
        """Send nothing more of `special`."""
        out = self._out
        if out is not None and special in out:
            out.remove(special)
            self._special -= 1
            self._sent(out)

    def send_file(self, file: Any, offset: int = 0, count: int | None = None) -> "Deferred[int]":
        """Send `count` bytes of `file` (None: up to its present end) in turn with what is written.

        The kernel copies where it can.  Fires with the number of bytes once they are handed to the kernel;
        fails with FileSendError when the file turns out shorter, and with the connection's error when that
        ends.  Cancelling stops where it is.  `file` must stay open until then.
        """
        from .file_sending import send_file

        return send_file(self, file, offset, count)

    def write_eof(self) -> None:
        """End our direction once the buffered data has left."""
        if self._mute:
            return
        self._mute = self._eof_wanted = True
        if self._out is None:
            self._shut_down()

    def _shut_down(self) -> None:
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:  # the peer has gone: reading tells how
            pass
        if self._eof_received:
            self.close()

    def can_write_eof(self) -> bool:
        """Stream sockets close each direction by itself."""
        return True

    # -- the end ----------------------------------------------------------------------------------

    def close(self) -> None:
        """Close after the buffered data has left."""
        if self._closing:
            return
        self._closing = self._mute = True
        self._reading = False
        self._update_reading()
        if self._out is None:
            self._finish_soon()

    def abort(self) -> None:
        """Close now; a TCP peer sees a reset."""
        if not self._finishing:
            try:
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            except OSError:  # reset by the peer already
                pass
            self._finish_soon()

    def is_closing(self) -> bool:
        """Tell whether the transport is closing or closed."""
        return self._closing

    def _write_failed(self, error: OSError) -> None:
        """Stop sending.  What the peer sent before it went is still read: it may say why."""
        self._mute = True
        self._error = error
        self._drop_out()
        if not (self._reading and error.errno in (errno.EPIPE, errno.ECONNRESET)):
            self._finish_soon()

    def _connection_failed(self, error: OSError) -> None:
        if self._error is None:
            self._error = error
        self._finish_soon()

    def _protocol_failed(self, where: str, error: BaseException) -> None:
        """End this connection, and only this one, for a fault of its protocol."""
        self._reactor.report(f"{where} of {type(self._protocol).__name__} failed", error)
        if self._error is None:
            self._error = error
        self.abort()

    def _drop_out(self) -> None:
        out = self._out
        if out is not None:
            self._out = None
            self._out_size = 0
            self._reactor.set_interest(self._fd, self, self.interest & ~WRITE)
            if self._special:
                error = self._error or ConnectionAbortedError("the connection was closed")
                for special in self._specials_of(out):
                    self._reactor.call_soon(partial(special.dropped, error))

    def _specials_of(self, out: deque[Any]) -> "list[Special]":
        self._special = 0
        return [special for special in out if isinstance(special, Special)]

    def _drop_specials(self, error: BaseException) -> None:
        """Tell those whose turn never comes; the reactor closes, so it must be now."""
        if self._special and self._out is not None:
            for special in self._specials_of(self._out):
                try:
                    special.dropped(error)
                except FAULTS as fault:
                    self._reactor.report("the end of a write failed", fault)

    def _finish_soon(self) -> None:
        """Have `_finish` called, never inside a call of the protocol's."""
        if self._finishing:
            return
        self._finishing = self._closing = self._mute = True
        self._reading = False
        self._drop_out()
        self._reactor.set_interest(self._fd, self, 0)
        self._reactor.call_soon(self._finish)

    def _finish(self) -> None:
        sock = self._socket
        if sock.fileno() < 0:  # the reactor was closed meanwhile
            return
        reactor = self._reactor
        reactor.forget(self._fd, self)
        if self._peername is None:
            self._peername = self.get_extra_info("peername")
        if self._error is None and not self._eof_received:
            self._take_what_came()
        protocol, self._protocol = self._protocol, None
        try:
            protocol.connection_lost(self._error)
        except FAULTS as error:
            reactor.report(f"connection_lost of {type(protocol).__name__} failed", error)
        finally:
            sock.close()

    def _take_what_came(self) -> None:
        """Read once more before closing.

        A kernel that closes a socket with unread data resets the connection, and the reset may overtake
        what we sent last, such as the reason for closing.
        """
        try:
            self._socket.recv(LARGE_READ)
        except OSError:
            pass

    def reactor_closed(self, error: BaseException) -> None:
        """Close at once, with `error` for the protocol."""
        if self._error is None:
            self._error = error
        self._finishing = self._closing = self._mute = True
        self._drop_specials(error)
        self._finish()

    # -- the rest ---------------------------------------------------------------------------------

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return "peername", "sockname", "socket", or "peercred" of a UNIX socket (pid, uid, gid)."""
        if name == "peercred":
            from .credentials import peer_credentials

            return peer_credentials(self._socket) or default
        try:
            if name == "peername":
                if self._peername is None:
                    self._peername = self._socket.getpeername()
                return self._peername
            if name == "sockname":
                if self._sockname is None:
                    self._sockname = self._socket.getsockname()
                return self._sockname
        except OSError:
            return default
        return self._socket if name == "socket" else default

    def set_protocol(self, protocol: Any) -> None:
        """Hand everything from now on to `protocol`."""
        self._protocol = protocol
        self._buffered = hasattr(protocol, "get_buffer")

    def get_protocol(self) -> Any:
        """Return the present protocol, None after the end."""
        return self._protocol

    def __repr__(self) -> str:
        state = "closing" if self._closing else "open"
        return f"<{type(self).__name__} fd={self._fd} {state} peer={self._peername!r}>"


def adopt(reactor: "ReactorCore", sock: socket.socket, factory: Callable[[], _P]) -> _P:
    """Make a transport of a connected socket for a new protocol."""
    protocol = factory()
    stream_transport(reactor, sock, protocol).start()
    return protocol


def stream_transport(
    reactor: "ReactorCore", sock: socket.socket, protocol: Any, peername: Any = None
) -> StreamTransport:
    """Return the transport for a connected socket: of a UNIX socket, the one that passes descriptors."""
    if sock.family == socket.AF_UNIX:
        from .unix import UnixTransport

        return UnixTransport(reactor, sock, protocol, peername)
    return StreamTransport(reactor, sock, protocol, peername)
