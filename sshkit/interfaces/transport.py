"""What a protocol may ask of the connection under it: asyncio's words, one meaning on every engine.

Implemented by sshkit.reactor.transports and sshkit.testing; asyncio's and uvloop's own transports have
the same methods.  Called by every protocol.
"""

from collections.abc import Iterable
from typing import Any, Protocol

from .derive import interface

#: What `write` takes: bytes, or a buffer of bytes (a memoryview must be of format "B").
Writable = bytes | bytearray | memoryview


class Transport(Protocol):
    """A byte stream in both directions."""

    def write(self, data: Writable) -> None:
        """Send `data`, at once as far as the peer takes it.

        What could not be sent is copied before this returns, so the caller may reuse its buffer.
        After `close`, `write_eof` or the end of the connection, data is dropped.
        """
        ...

    def writelines(self, list_of_data: Iterable[Writable]) -> None:
        """Send several buffers as one."""
        ...

    def write_eof(self) -> None:
        """End our direction once the buffered data has left; reading goes on."""
        ...

    def can_write_eof(self) -> bool:
        """Tell whether `write_eof` works on this kind of stream."""
        ...

    def close(self) -> None:
        """Close after the buffered data has left; nothing is received any more."""
        ...

    def abort(self) -> None:
        """Close now and drop what is buffered; a TCP peer sees a reset."""
        ...

    def is_closing(self) -> bool:
        """Tell whether the transport is closing or closed."""
        ...

    def pause_reading(self) -> None:
        """Deliver nothing until `resume_reading`; twice is as good as once."""
        ...

    def resume_reading(self) -> None:
        """Deliver again."""
        ...

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return "peername", "sockname", "socket" or another fact of this transport, else `default`."""
        ...

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set the marks, in bytes, at which the protocol is paused and resumed (64 KiB, a quarter of it)."""
        ...

    def get_write_buffer_size(self) -> int:
        """Return how many bytes wait to be sent."""
        ...

    def set_protocol(self, protocol: Any) -> None:
        """Hand everything from now on to `protocol`."""
        ...

    def get_protocol(self) -> Any:
        """Return the present protocol."""
        ...


ITransport = interface(Transport)
