"""zlib between the packet layer and a cipher: sealers that deflate, openers that inflate.

Loaded by `TransportLayer` once a compression was negotiated; a connection without one never calls in here.
Each wraps the sealer or opener of the cipher.  A context lasts from NEWKEYS to NEWKEYS (RFC 4253, 6.2).
"""

import zlib
from collections.abc import Callable
from struct import Struct
from typing import TYPE_CHECKING

from sshkit.ssh.ciphers.packet import MIN_PADDING, Opened, Opener, Sealer
from sshkit.ssh.errors import CompressionFailed
from sshkit.ssh.messages.authentication import USERAUTH_SUCCESS

if TYPE_CHECKING:
    from sshkit.ssh.transport.packet_reader import PacketReader

LEVEL = 6
HEADER = Struct(">IB")


def _rest(half: object) -> None:
    rest = getattr(half, "rest", None)
    if rest is not None:
        rest()


class WrappedSealer:
    """A sealer that does something first."""

    __slots__ = ("inner", "mask", "overhead", "tag_size")

    def __init__(self, inner: Sealer) -> None:
        self.inner = inner
        self.mask = inner.mask
        self.overhead = inner.overhead
        self.tag_size = inner.tag_size

    @property
    def sequence(self) -> int:
        """The number of the next packet."""
        return self.inner.sequence

    @sequence.setter
    def sequence(self, number: int) -> None:
        self.inner.sequence = number

    def rest(self) -> None:
        """Let the cipher go of what it can make again."""
        _rest(self.inner)


class DeflatingSealer(WrappedSealer):
    """Compresses each payload where it lies, then seals it.

    `PacketWriter` leaves room for payloads that grow.
    """

    __slots__ = ("_deflate", "_flush", "_padding")

    def __init__(self, inner: Sealer, padding: bytes) -> None:
        super().__init__(inner)
        compressor = zlib.compressobj(LEVEL)
        self._deflate = compressor.compress
        self._flush = compressor.flush
        self._padding = padding

    def seal(self, buffer: memoryview, start: int, length: int) -> int:
        body = start + 5
        data = self._deflate(buffer[body : start + 4 + length - buffer[start + 4]])
        data += self._flush(zlib.Z_PARTIAL_FLUSH)
        size = len(data)
        padding = MIN_PADDING + (-(5 + size + self.overhead) & self.mask)
        length = 1 + size + padding
        HEADER.pack_into(buffer, start, length, padding)
        last = body + size
        buffer[body:last] = data
        buffer[last : last + padding] = self._padding[:padding]
        return self.inner.seal(buffer, start, length)


class WatchingSealer(WrappedSealer):
    """A server's until the login: tells when SUCCESS left."""

    __slots__ = ("_begin",)

    def __init__(self, inner: Sealer, begin: Callable[[], None]) -> None:
        super().__init__(inner)
        self._begin = begin

    def seal(self, buffer: memoryview, start: int, length: int) -> int:
        number = buffer[start + 5]
        end = self.inner.seal(buffer, start, length)
        if number == USERAUTH_SUCCESS:
            self._begin()
        return end


class WrappedOpener:
    """An opener that does something with what was opened."""

    __slots__ = ("inner", "needed")

    def __init__(self, inner: Opener) -> None:
        self.inner = inner
        self.needed = inner.needed

    @property
    def sequence(self) -> int:
        """The number of the next packet."""
        return self.inner.sequence

    @sequence.setter
    def sequence(self, number: int) -> None:
        self.inner.sequence = number

    def rest(self) -> None:
        """Let the cipher go of what it can make again."""
        _rest(self.inner)


class InflatingOpener(WrappedOpener):
    """Opens packets and inflates their payloads; none becomes longer than a packet may be (R21)."""

    __slots__ = ("_inflater", "_reader")

    def __init__(self, inner: Opener, reader: "PacketReader") -> None:
        super().__init__(inner)
        self._inflater = zlib.decompressobj()
        self._reader = reader

    def open(self, buffer: memoryview, start: int, end: int) -> Opened | None:
        opened = self.inner.open(buffer, start, end)
        if opened is None:
            self.needed = self.inner.needed
            return None
        limit = self._reader.packet_limit
        inflater = self._inflater
        try:
            data = inflater.decompress(opened[0], limit + 1)
        except zlib.error:
            raise CompressionFailed("a payload that cannot be inflated") from None
        if len(data) > limit or inflater.eof or not data:
            raise CompressionFailed(f"a payload that inflates to nothing, or to more than {limit} bytes")
        return memoryview(data), opened[1]


class WatchingOpener(WrappedOpener):
    """A client's until the login: tells when SUCCESS came."""

    __slots__ = ("_begin",)

    def __init__(self, inner: Opener, begin: Callable[[], None]) -> None:
        super().__init__(inner)
        self._begin = begin

    def open(self, buffer: memoryview, start: int, end: int) -> Opened | None:
        opened = self.inner.open(buffer, start, end)
        if opened is None:
            self.needed = self.inner.needed
        elif opened[0][0] == USERAUTH_SUCCESS:
            self._begin()
        return opened
