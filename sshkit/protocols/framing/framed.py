"""Messages behind a header that tells their length: one, two or four bytes, or a struct of one's own."""

from struct import Struct
from typing import Any

from .errors import FramingError
from .receiver import MORE, Receiver


class FramedReceiver(Receiver):
    """Calls `frame_received` with each header, unpacked, and the bytes behind it.

    A subclass sets `header`, and where the length is not the header's last field, overrides `length_of`; to
    send, it overrides `pack_header` likewise.
    """

    __slots__ = ()

    header = Struct(">I")

    def length_of(self, fields: tuple[Any, ...]) -> int:
        """Return how many bytes follow the header; FramingError if none can."""
        length: int = fields[-1]
        return length

    def pack_header(self, length: int, fields: tuple[Any, ...]) -> bytes:
        """Return the header of a message of `length` bytes with these other fields."""
        return self.header.pack(*fields, length)

    def frame_received(self, fields: tuple[Any, ...], body: bytes) -> None:
        """Take one message."""

    def send_frame(self, body: bytes, *fields: Any) -> None:
        """Send a message with a header of `fields` and its length; FramingError where that does not fit."""
        if len(body) > self.max_length:
            raise FramingError(f"a message to send of {len(body)} bytes, {self.max_length} allowed")
        self.transport.writelines((self.pack_header(len(body), fields), body))

    def take(self, source: bytes | bytearray, at: int) -> int:
        """Deliver one message."""
        header = self.header
        begin = at + header.size
        if len(source) < begin:
            return MORE
        fields = header.unpack_from(source, at)
        length = self.length_of(fields)
        if not 0 <= length <= self.max_length:
            raise FramingError(f"a message of {length} bytes, {self.max_length} allowed")
        end = begin + length
        if len(source) < end:
            return MORE
        self.frame_received(fields, bytes(source[begin:end]))
        return end


class Int32Receiver(FramedReceiver):
    """Calls `message_received` with each message behind a length of four bytes, the highest first."""

    __slots__ = ()

    def message_received(self, message: bytes) -> None:
        """Take one message."""

    def send_message(self, message: bytes) -> None:
        """Send a message."""
        self.send_frame(message)

    def frame_received(self, fields: tuple[Any, ...], body: bytes) -> None:
        """Hand the message on."""
        self.message_received(body)


class Int16Receiver(Int32Receiver):
    """The same with two bytes."""

    __slots__ = ()

    header = Struct(">H")
    max_length = 0xFFFF


class Int8Receiver(Int32Receiver):
    """The same with one byte."""

    __slots__ = ()

    header = Struct(">B")
    max_length = 0xFF
