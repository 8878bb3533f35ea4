"""One end of a control socket, on a reactor: packets with their lengths, and descriptors between them.

Called by `peer`.  Descriptors come with one byte each, behind the packet that announces them (OpenSSH's
PROTOCOL.mux, section 2); what comes unasked ends the connection, and every descriptor is closed that nobody
has taken.
"""

import array
import os
import socket
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from sshkit.client.sharing.errors import MuxProtocolError
from sshkit.client.sharing.messages import MAX_PACKET

if TYPE_CHECKING:
    from sshkit.interfaces import Reactor

READ_SIZE = 64 * 1024
MAX_DESCRIPTORS = 3  #: that may wait for their packet
MAX_UNREAD = 64 * 1024  #: bytes of answers a peer may leave unread before we stop to read from it
_SPACE = socket.CMSG_SPACE(MAX_DESCRIPTORS * array.array("i").itemsize)
_FLAGS = getattr(socket, "MSG_CMSG_CLOEXEC", 0)


class StreamOwner(Protocol):
    """Who is told."""

    def packet_received(self, payload: bytes) -> None:
        """Act on a packet; what this raises ends the connection."""
        ...

    def stream_lost(self, error: BaseException | None) -> None:
        """The connection has ended, by `error` or because the other end has gone.  Called once."""
        ...


class ControlStream:
    """A connected control socket."""

    __slots__ = (
        "_buffer",
        "_descriptors",
        "_finishing",
        "_out",
        "_owner",
        "_paused",
        "_reactor",
        "_reading",
        "_taker",
        "_wanted",
        "closed",
        "sock",
    )

    def __init__(self, reactor: "Reactor", sock: socket.socket, owner: StreamOwner) -> None:
        sock.setblocking(False)
        self._reactor = reactor
        self._owner = owner
        self.sock = sock
        self._buffer = bytearray()
        self._descriptors: deque[int] = deque()
        self._out = bytearray()
        self._wanted = 0
        self._taker: Callable[[list[int]], object] = _nobody
        self._finishing = False
        self._paused = False
        self._reading = False
        self.closed = False
        self._update()

    def send(self, data: bytes) -> None:
        """Send; what the peer does not take waits."""
        if self.closed:
            return
        if not self._out:
            try:
                data = data[self.sock.send(data) :]
            except (BlockingIOError, InterruptedError):
                pass
            except OSError:  # the peer has gone; reading tells
                return
            if not data:
                return
            self._reactor.add_writer(self.sock.fileno(), self._writable)
        self._out += data
        self._update()

    def expect(self, count: int, taker: Callable[[list[int]], object]) -> None:
        """Give the next `count` descriptors to `taker`, before any other packet."""
        self._wanted = count
        self._taker = taker

    def pause(self) -> None:
        """Handle no packet until `resume`; that the peer goes is heard all the same."""
        self._paused = True

    def resume(self) -> None:
        """Go on, with the packets that have come meanwhile."""
        self._paused = False
        self._update()
        self._reactor.call_soon(self._process)

    def release(self) -> tuple[socket.socket, bytes]:
        """Let the socket go, with what was read from it and not handled."""
        self._stop()
        rest, self._buffer = bytes(self._buffer), bytearray()
        return self.sock, rest

    def close_when_sent(self) -> None:
        """Close when all is sent, and tell the owner."""
        self._finishing = True
        if not self._out:
            self._lose(None)

    def close(self) -> None:
        """Close, without a word to the owner; what waits to be sent is dropped."""
        if not self.closed:
            self._stop()
            self.sock.close()

    # Inside.

    def _stop(self) -> None:
        self.closed = True
        if self._reading:
            self._reading = False
            self._reactor.remove_reader(self.sock.fileno())
        if self._out:
            self._out = bytearray()
            self._reactor.remove_writer(self.sock.fileno())
        while self._descriptors:
            os.close(self._descriptors.popleft())

    def _update(self) -> None:
        """Read while there is room for what comes, and the peer takes what it is sent."""
        wanted = not self.closed and len(self._buffer) <= MAX_PACKET + 64 and len(self._out) <= MAX_UNREAD
        if wanted != self._reading:
            self._reading = wanted
            if wanted:
                self._reactor.add_reader(self.sock.fileno(), self._readable)
            else:
                self._reactor.remove_reader(self.sock.fileno())

    def _readable(self) -> None:
        try:
            data, ancillary, flags, _ = self.sock.recvmsg(READ_SIZE, _SPACE, _FLAGS)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._lose(error)
            return
        for fd in _descriptors_in(ancillary):
            os.set_inheritable(fd, False)
            self._descriptors.append(fd)
        if flags & socket.MSG_CTRUNC or len(self._descriptors) > MAX_DESCRIPTORS:
            self._lose(MuxProtocolError("more descriptors than anything needs"))
            return
        if not data:
            self._lose(None)
            return
        self._buffer += data
        self._process()

    def _process(self) -> None:
        """Handle what is whole."""
        try:
            while not (self._paused or self.closed):
                if not self._step():
                    break
            if not (self.closed or self._paused or self._wanted) and self._descriptors:
                raise MuxProtocolError("descriptors that nobody has asked for")
        except Exception as error:
            self._lose(error)
            return
        self._update()

    def _step(self) -> bool:
        buffer = self._buffer
        wanted = self._wanted
        if wanted:
            if len(self._descriptors) < wanted or len(buffer) < wanted:
                if len(buffer) > wanted:
                    raise MuxProtocolError(f"{len(self._descriptors)} descriptors came, {wanted} are needed")
                return False
            del buffer[:wanted]
            self._wanted = 0
            self._taker([self._descriptors.popleft() for _ in range(wanted)])
            return True
        if len(buffer) < 4:
            return False
        size = int.from_bytes(buffer[:4], "big")
        if not 8 <= size <= MAX_PACKET:
            raise MuxProtocolError(f"a packet of {size} bytes")
        if len(buffer) < 4 + size:
            return False
        payload = bytes(buffer[4 : 4 + size])
        del buffer[: 4 + size]
        self._owner.packet_received(payload)
        return True

    def _writable(self) -> None:
        try:
            sent = self.sock.send(self._out)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._lose(error)
            return
        del self._out[:sent]
        if not self._out:
            self._reactor.remove_writer(self.sock.fileno())
            if self._finishing:
                self._lose(None)
                return
        self._update()

    def _lose(self, error: BaseException | None) -> None:
        if not self.closed:
            self.close()
            self._owner.stream_lost(error)


def _descriptors_in(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    found: list[int] = []
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            numbers = array.array("i")
            numbers.frombytes(data[: len(data) - len(data) % numbers.itemsize])
            found += numbers
    return found


def _nobody(descriptors: Any) -> None:
    """Take none."""
