"""Netstrings: a decimal length, a colon, so many bytes, a comma (cr.yp.to/proto/netstrings.txt)."""

from .errors import FramingError
from .receiver import MORE, Receiver


class NetstringReceiver(Receiver):
    """Calls `string_received` with each string."""

    __slots__ = ()

    def string_received(self, string: bytes) -> None:
        """Take one string."""

    def send_string(self, string: bytes) -> None:
        """Send a string."""
        self.transport.writelines((b"%d:" % len(string), string, b","))

    def take(self, source: bytes | bytearray, at: int) -> int:
        """Deliver one string."""
        digits = len(str(self.max_length))
        colon = source.find(b":", at, at + digits + 1)
        head = bytes(source[at : colon if colon >= 0 else at + digits + 1])
        if colon == at or (head and (not head.isdigit() or (head[:1] == b"0" and len(head) > 1))):
            raise FramingError("what should be a netstring begins with no length")
        if colon < 0:
            if len(head) > digits:
                raise FramingError(f"a netstring of more than {self.max_length} bytes")
            return MORE
        size = int(head)
        if size > self.max_length:
            raise FramingError(f"a netstring of {size} bytes, {self.max_length} allowed")
        begin = colon + 1
        end = begin + size
        if len(source) <= end:
            return MORE
        if source[end] != 0x2C:
            raise FramingError("a netstring does not end with a comma")
        self.string_received(bytes(source[begin:end]))
        return end + 1
