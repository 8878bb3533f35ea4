"""UNIX streams: what TCP does, and descriptors passed along (unix(7), SCM_RIGHTS).

Made by `tcp.stream_transport`.  A protocol that takes descriptors has a method ``fds_received(fds)``: it is
called before the data that they came with, and the descriptors, which are close-on-exec, are the protocol's
from then on.  To any other protocol the kernel delivers none.
"""

import os
import socket
from array import array
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sshkit.interfaces.transport import Writable

from ..errors import FAULTS
from .tcp import READS_A_TURN, Special, StreamTransport

if TYPE_CHECKING:
    from ..core import ReactorCore

#: Descriptors taken and sent with one write; Linux passes 253 at most.
MAX_FDS = 64

_INT = array("i").itemsize


class TooManyDescriptors(OSError):
    """The peer passed more descriptors at once than are taken, or than this process may still open."""


class WithDescriptors(Special):
    """Data that waits, with descriptors of our own that go along with its first byte."""

    __slots__ = ("_data", "_fds")

    def __init__(self, data: bytes, fds: Sequence[int]) -> None:
        self._data = memoryview(data)
        self._fds: list[int] = []
        try:
            for fd in fds:
                self._fds.append(os.dup(fd))  # the caller may close his
        except OSError:
            self._close()
            raise

    def send(self, sock: socket.socket) -> bool:
        """Send some data, and with the first the descriptors."""
        if self._fds:
            sent = send_with_fds(sock, self._data, self._fds)
            self._close()
        else:
            sent = sock.send(self._data)
        self._data = self._data[sent:]
        return not self._data

    def dropped(self, error: BaseException) -> None:
        """Close what nobody gets."""
        self._close()

    def _close(self) -> None:
        fds, self._fds = self._fds, []
        for fd in fds:
            os.close(fd)


def send_with_fds(sock: socket.socket, data: Writable, fds: Sequence[int]) -> int:
    """Send data with descriptors; returns how many bytes were sent, and then the descriptors were, too."""
    return sock.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", fds))])


class UnixTransport(StreamTransport):
    """One connected UNIX socket."""

    __slots__ = ("_takes_fds",)

    def __init__(
        self, reactor: "ReactorCore", sock: socket.socket, protocol: Any, peername: Any = None
    ) -> None:
        super().__init__(reactor, sock, protocol, peername)
        self._takes_fds = hasattr(protocol, "fds_received")

    def set_protocol(self, protocol: Any) -> None:
        """Hand everything from now on to `protocol`."""
        super().set_protocol(protocol)
        self._takes_fds = hasattr(protocol, "fds_received")

    def write_with_fds(self, data: Writable, fds: Sequence[int]) -> None:
        """Send `data`, at least one byte, and descriptors with it; the caller may close his at once."""
        if not data or not 0 < len(fds) <= MAX_FDS:
            raise ValueError(f"descriptors go with at least one byte of data, and 1 to {MAX_FDS} at a time")
        if self._mute:
            return
        sent = 0
        if self._out is None:
            try:
                sent = send_with_fds(self._socket, data, fds)
            except (BlockingIOError, InterruptedError):
                pass
            except OSError as error:
                if all(_is_open(fd) for fd in fds):
                    self._write_failed(error)
                    return
                raise
        if not sent:
            self.send_in_turn(WithDescriptors(bytes(data), fds))
        elif sent < len(data):
            self._keep(memoryview(data)[sent:])

    def read_ready(self) -> None:
        """Receive, with descriptors for a protocol that takes such."""
        if not self._takes_fds:
            super().read_ready()
            return
        view = self._reactor.receive_views()[0]
        for _ in range(READS_A_TURN):
            try:
                size, ancillary, flags, _address = self._socket.recvmsg_into(
                    [view], socket.CMSG_SPACE(MAX_FDS * _INT), getattr(socket, "MSG_CMSG_CLOEXEC", 0)
                )
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                self._connection_failed(error)
                return
            fds = received_fds(ancillary)
            if flags & socket.MSG_CTRUNC:
                for fd in fds:
                    os.close(fd)
                text = f"the peer passed more than {MAX_FDS} descriptors at once, or than may be open here"
                self._connection_failed(TooManyDescriptors(text))
                return
            if fds and not self._deliver_fds(fds):
                return
            if not size:
                self._end_reached(1)
                return
            try:
                self._deliver(bytes(view[:size]))
            except FAULTS as error:
                self._protocol_failed("data_received", error)
                return
            if not self._reading or not self._takes_fds:
                return

    def _deliver_fds(self, fds: list[int]) -> bool:
        """Hand descriptors over; those that the protocol fails to take are closed."""
        mine = list(fds)
        try:
            self._protocol.fds_received(fds)
        except FAULTS as error:
            for fd in mine:
                os.close(fd)
            self._protocol_failed("fds_received", error)
            return False
        return not self._finishing

    def _deliver(self, data: bytes) -> None:
        if not self._buffered:
            self._protocol.data_received(data)
            return
        view = memoryview(data)
        while view and not self._finishing:
            buffer = self._protocol.get_buffer(len(view))
            size = min(len(buffer), len(view))
            if not size:
                raise ValueError("the buffer for receiving is empty")
            buffer[:size] = view[:size]
            view = view[size:]
            self._protocol.buffer_updated(size)


def received_fds(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    """Return the descriptors in what came beside the data, each close-on-exec."""
    fds = array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(data[: len(data) - len(data) % _INT])
    for fd in fds:
        os.set_inheritable(fd, False)
    return list(fds)


def _is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True
