"""Bytes in, packets out: the receiving half of the hot path.

The transport reads straight into `get_buffer`; `buffer_updated` opens every whole packet that lies in the
buffer and gives its payload to the handler of its number, by one look-up.  What is legal and who handles
it are the same 256-entry table, `handlers`; entering a phase swaps the table, NEWKEYS swaps the opener.

Payloads are views into the buffer and valid during the call only.
"""

from collections.abc import Callable
from typing import Any

from sshkit.interfaces import receive_into_buffer
from sshkit.ssh.ciphers.packet import LIMIT_BEFORE_LOGIN, MAX_PACKET_LENGTH, Opener
from sshkit.ssh.errors import RemoteProtocolError
from sshkit.ssh.transport.buffers import FREE, LARGE, SMALL, give, take
from sshkit.ssh.transport.packet_writer import FIRST, PacketWriter

LIMIT = MAX_PACKET_LENGTH + 128  #: with length field and tag
READ_SIZE = 256 * 1024  #: bytes asked for at once by a bulk reader
MIN_ROOM = 16 * 1024  #: less room than this behind the last byte: move what is left to the front
PAGE = 4096  #: bytes move by whole pages only: some other distances make a copy 20 times slower

Handler = Callable[[Any, memoryview], object]
Handlers = tuple[Handler, ...]


class PacketReader:
    """The buffer, the opener and the table of one connection's receiving side.

    `failed` is called with whatever a handler raised; after it no packet is handled any more.
    """

    __slots__ = (
        "_buffer",
        "_busy",
        "_end",
        "_offered",
        "_size",
        "_start",
        "bytes_received",
        "handlers",
        "opener",
        "packet_limit",
        "rekey_in_at",
        "suspended",
        "target",
        "writer",
    )

    def __init__(self, opener: Opener, handlers: Handlers, target: Any, writer: PacketWriter) -> None:
        self.opener = opener
        self.handlers = handlers
        self.target = target  #: what the handlers get as their first argument
        self.writer = writer
        self.suspended = False  #: no packet is handled while an answer is awaited, nor after the end
        self.packet_limit = LIMIT_BEFORE_LOGIN  #: bytes of one packet; raised by the login
        self.bytes_received = 0
        self.rekey_in_at = 1 << 62  #: `bytes_received` from which on new keys are due
        self._buffer: memoryview | None = None
        self._busy = False  # packets are handled further up the stack
        self._start = 0  # first byte of the first packet that is not handled yet
        self._end = 0  # behind the last byte that came
        self._offered = 0
        self._size = SMALL

    data_received = receive_into_buffer  #: for transports that know no `get_buffer`

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return the room where the transport puts the next bytes; never empty."""
        buffer = self._buffer
        if buffer is None:
            try:
                buffer = self._buffer = FREE[self._size].pop()
            except IndexError:
                buffer = self._buffer = take(self._size)
        end = self._end
        if len(buffer) - end < MIN_ROOM:
            buffer = self._make_room(buffer)
            end = self._end
        room = buffer[end : end + READ_SIZE]
        self._offered = len(room)
        return room

    def buffer_updated(self, nbytes: int) -> None:
        """Handle every whole packet, now that `nbytes` more have come."""
        end = self._end = self._end + nbytes
        self.bytes_received += nbytes
        buffer = self._buffer
        if self.suspended or end - self._start < self.opener.needed or buffer is None:
            if not end and buffer is not None:  # nothing came into it
                self._buffer = None
                give(buffer)
            return
        writer = self.writer
        writer.corked = self._busy = True
        try:
            while self._start < end and not self.suspended:
                opened = self.opener.open(buffer, self._start, end)
                if opened is None:
                    if self.opener.needed > self.packet_limit:
                        raise RemoteProtocolError(f"a packet of more than {self.packet_limit} bytes")
                    break
                payload, self._start = opened
                self.handlers[payload[0]](self.target, payload)
            if self.bytes_received >= self.rekey_in_at:
                self.rekey_due()
        except Exception as error:
            self.failed(error)
        writer.corked = self._busy = False
        if writer.end > FIRST:
            writer.flush()
        if writer.paused:
            self.throttle()
        if self._start == end:
            self._buffer = None
            FREE[len(buffer)].append(buffer)
            self._start = self._end = 0
            self.opener.needed = 0  # what an earlier packet wanted
            if nbytes == self._offered and self.packet_limit > LIMIT_BEFORE_LOGIN:
                self._size = LARGE
            elif nbytes < MIN_ROOM:
                self._size = SMALL

    def suspend(self) -> None:
        """Handle no packet until `resume`: something about the last one is still being decided."""
        self.suspended = True

    def resume(self) -> None:
        """Go on with the packets that have come meanwhile."""
        self.suspended = False
        if self._busy:  # a handler calls: the loop that called it goes on
            return
        self.opener.needed = 0
        if self._buffer is not None:
            self.buffer_updated(0)

    def release(self) -> None:
        """Handle nothing any more and give the buffer back; the connection has ended."""
        self.suspended = True
        self._buffer = None  # not lent on: a handler up the stack may still look at its payload
        self._start = self._end = 0

    def rekey_due(self) -> None:
        """Told once a read when `rekey_in_at` was passed."""
        raise NotImplementedError

    def throttle(self) -> None:
        """Told after a read when the transport has more to send than it likes."""
        raise NotImplementedError

    def failed(self, error: BaseException) -> None:
        """Told what a handler raised, or what the peer's bytes broke."""
        raise NotImplementedError

    def _make_room(self, buffer: memoryview) -> memoryview:
        """Move what is left to the front, or to a larger buffer, and return the buffer to read into."""
        start, left = self._start, self._end - self._start
        target = buffer
        first = start % PAGE
        if len(buffer) == SMALL and (left >= SMALL - MIN_ROOM - PAGE or self._size == LARGE):
            target = self._buffer = take(LARGE)
            self._size = LARGE
        target[first : first + left] = buffer[start : start + left]
        if target is not buffer:
            give(buffer)
        self._start, self._end = first, first + left
        return target
