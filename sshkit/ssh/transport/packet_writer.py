"""Messages in, sealed packets out: the sending half of the hot path.

A packet is packed at the end of one output buffer and sealed there; the buffer leaves with one `write` at
the end of the reactor's turn, at the end of a read, or when it is full.  From our KEXINIT to our NEWKEYS
only messages of the key exchange leave; others wait, in order and bounded (R20).
"""

from collections import deque
from collections.abc import Callable
from struct import Struct
from typing import TYPE_CHECKING

from sshkit.ssh.ciphers.clear import ClearSealer
from sshkit.ssh.ciphers.packet import MAX_PACKET_LENGTH, Sealer
from sshkit.ssh.errors import LocalProtocolError, RemoteProtocolError
from sshkit.ssh.messages.connection import CHANNEL_DATA, CHANNEL_EXTENDED_DATA, EXTENDED_DATA_STDERR
from sshkit.ssh.transport.buffers import FREE, FREE_LARGE, FREE_SMALL, LARGE, SMALL, give, take

if TYPE_CHECKING:
    from sshkit.interfaces import Transport
    from sshkit.ssh.transport.layer import TransportLayer

FLUSH_AT = 128 * 1024  #: bytes; a fuller buffer does not wait for the end of the turn
FIRST = 64  #: where packets start in the buffer: keeps copies off the distances that are slow
BULK = 8 * 1024  #: bytes of data from which on a large buffer is taken
OVERHEAD = (
    256  #: bytes at most beside the data: header, padding, tag; what does not compress grows by some 100
)
MAX_HELD = 1024 * 1024  #: bytes that may wait for the end of a key exchange (R20)
HELD_OVERHEAD = 64  #: bytes counted for each message that waits, beside its own
MAX_PAYLOAD = MAX_PACKET_LENGTH - OVERHEAD  #: bytes of one message: what our own reader takes as well
PADDING = 32  #: bytes of random padding kept; the most a packet needs is 4 + 15

DATA = Struct(">IBBII")  # ... recipient, size
EXTENDED = Struct(">IBBIII")  # ... recipient, kind, size
HEADER = Struct(">IB")
pack_header = HEADER.pack_into
pack_data = DATA.pack_into
pack_extended = EXTENDED.pack_into


class PacketWriter:
    """The output buffer, the sealer and the queue of one connection's sending side."""

    __slots__ = (
        "_buffer",
        "_call_soon",
        "_held",
        "_held_size",
        "_padding",
        "_scheduled",
        "blocked",
        "bytes_sent",
        "copies",
        "corked",
        "end",
        "layer",
        "paused",
        "ready",
        "rekey_at",
        "sealer",
        "transport",
    )

    def __init__(self, call_soon: Callable[[Callable[[], object]], object]) -> None:
        self.sealer: Sealer = ClearSealer()
        self.transport: Transport | None = None
        self.copies = False  #: the transport keeps views of what it is given
        self.corked = False  #: somebody up the stack flushes when he is done
        self.paused = False  #: the transport has enough
        self.blocked = False  #: a key exchange of ours is under way
        self.ready = False  #: channels may send data: neither paused nor blocked
        self.bytes_sent = 0
        self.rekey_at = 1 << 62  #: `bytes_sent` from which on new keys are due
        self.layer: TransportLayer | None = None  #: told when they are
        self._call_soon = call_soon
        self._buffer: memoryview | None = None
        self.end = FIRST  #: where the next packet goes; FIRST when nothing is pending
        self._scheduled = False
        self._held: deque[bytes] | None = None
        self._held_size = 0
        self._padding = bytes(PADDING)

    def channel_data(self, recipient: int, data: bytes | bytearray | memoryview) -> None:
        """Send one CHANNEL_DATA (RFC 4254 section 5.2); `data` fits window and packet, `ready` is true."""
        size = len(data)
        start = self.end
        buffer = self._buffer
        if buffer is None:
            try:
                buffer = self._buffer = (FREE_LARGE if size >= BULK else FREE_SMALL).pop()
            except IndexError:
                buffer = self._room(size)
        elif len(buffer) < start + size + OVERHEAD:
            buffer = self._room(size)
            start = self.end
        sealer = self.sealer
        body = start + 14
        last = body + size
        padding = 4 + (-(14 + size + sealer.overhead) & sealer.mask)
        pack_data(buffer, start, 10 + size + padding, padding, CHANNEL_DATA, recipient, size)
        buffer[body:last] = data
        buffer[last : last + padding] = self._padding[:padding]
        self.end = end = sealer.seal(buffer, start, 10 + size + padding)
        if end >= FLUSH_AT:
            self.flush()
        elif not (self.corked or self._scheduled):
            self._scheduled = True
            self._call_soon(self.flush)

    def channel_extended_data(self, recipient: int, data: bytes | bytearray | memoryview) -> None:
        """Send one CHANNEL_EXTENDED_DATA of standard error; as `channel_data`."""
        size = len(data)
        buffer = self._buffer
        if buffer is None or len(buffer) < self.end + size + OVERHEAD:
            buffer = self._room(size)
        start = self.end
        body = start + 18
        padding = 4 + (-(18 + size + self.sealer.overhead) & self.sealer.mask)
        length = 14 + size + padding
        pack_extended(
            buffer, start, length, padding, CHANNEL_EXTENDED_DATA, recipient, EXTENDED_DATA_STDERR, size
        )
        buffer[body : body + size] = data
        self._finish(buffer, start, body + size, padding)

    def send(self, payload: bytes) -> None:
        """Send one message, or keep it until the key exchange is over."""
        if len(payload) > MAX_PAYLOAD:
            raise LocalProtocolError(f"a message of {len(payload)} bytes, {MAX_PAYLOAD} fit in a packet")
        if self.bytes_sent + self.end - FIRST >= self.rekey_at:
            self.flush()  # what is packed was the last with these keys
        if self.blocked:
            self._hold(payload)
        else:
            self.send_now(payload)

    def send_now(self, payload: bytes) -> None:
        """Send one message of the transport layer, key exchange or not."""
        size = len(payload)
        buffer = self._buffer
        if buffer is None or len(buffer) < self.end + size + OVERHEAD:
            buffer = self._room(size)
        start = self.end
        body = start + 5
        padding = 4 + (-(5 + size + self.sealer.overhead) & self.sealer.mask)
        pack_header(buffer, start, 1 + size + padding, padding)
        buffer[body : body + size] = payload
        self._finish(buffer, start, body + size, padding)

    def send_raw(self, data: bytes) -> None:
        """Send bytes that are no packet: the identification."""
        buffer = self._room(len(data))
        buffer[self.end : self.end + len(data)] = data
        self.end += len(data)
        self._schedule()

    def holds(self, number: int) -> bool:
        """Return whether a message with this number waits for the key exchange to end."""
        return any(payload[0] == number for payload in self._held or ())

    def block(self) -> None:
        """Let nothing but `send_now` through: our KEXINIT leaves."""
        self.blocked = True
        self.ready = False

    def new_keys(self, sealer: Sealer, padding: bytes) -> None:
        """Seal with new keys from the next packet on; what waited follows at `unblock`."""
        self.sealer = sealer
        self._padding = padding

    def unblock(self) -> None:
        """Send what waited; channels may send again, unless sending has started the next key exchange."""
        self.blocked = False
        held = self._held
        while held and not self.blocked:
            payload = held.popleft()
            self._held_size -= len(payload) + HELD_OVERHEAD
            self.send_now(payload)
        if not held:
            self._held = None
        self.ready = not (self.paused or self.blocked)

    def pause(self) -> None:
        """Take no more data: the transport's buffer is full."""
        self.paused = True
        self.ready = False

    def unpause(self) -> None:
        """Take data again."""
        self.paused = False
        self.ready = not self.blocked

    def flush(self) -> None:
        """Give the transport everything that is packed."""
        self._scheduled = False
        buffer = self._buffer
        transport = self.transport
        if buffer is None or transport is None:
            return
        end, self.end = self.end, FIRST
        self._buffer = None
        self.bytes_sent += end - FIRST
        view = buffer[FIRST:end]
        transport.write(bytes(view) if self.copies else view)
        FREE[len(buffer)].append(buffer)
        if self.bytes_sent >= self.rekey_at and self.layer is not None:
            self.layer.rekey_due()

    def release(self) -> None:
        """Forget everything; the connection has ended, and what is still sent goes nowhere."""
        self.ready = False
        self.blocked = True
        self.transport = self.layer = None
        self._buffer = None
        self.end = FIRST
        self._held = None

    def _finish(self, buffer: memoryview, start: int, last: int, padding: int) -> None:
        buffer[last : last + padding] = self._padding[:padding]
        self.end = self.sealer.seal(buffer, start, last + padding - start - 4)
        self._schedule()

    def _schedule(self) -> None:
        if self.end >= FLUSH_AT:
            self.flush()
        elif not (self.corked or self._scheduled):
            self._scheduled = True
            self._call_soon(self.flush)

    def _hold(self, payload: bytes) -> None:
        if self.layer is None:
            return
        if self._held is None:
            self._held = deque()
        self._held_size += len(payload) + HELD_OVERHEAD
        if self._held_size > MAX_HELD:
            raise RemoteProtocolError(f"more than {MAX_HELD} bytes wait for the key exchange to end")
        self._held.append(payload)

    def _room(self, size: int) -> memoryview:
        """Return a buffer with room for `size` bytes of data behind what is packed.

        A large one has room for everything: FLUSH_AT and the longest message are less than LARGE.
        """
        old, end = self._buffer, self.end
        buffer = self._buffer = take(LARGE if size >= BULK or old is not None else SMALL)
        if old is not None:
            buffer[FIRST:end] = old[FIRST:end]
            give(old)
        return buffer
