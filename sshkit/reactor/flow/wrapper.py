"""What stands between a transport and a protocol: passes everything on, for subclasses to look at.

Made by the wrappers of this room, once a connection.
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from sshkit.interfaces.derive import implementer
from sshkit.interfaces.protocol import receive_into_buffer
from sshkit.interfaces.transport import ITransport, Writable

if TYPE_CHECKING:
    from sshkit.interfaces import Clock, Transport


def clock_of(clock: "Clock | None") -> "Clock":
    """Return the clock given, or the reactor that runs."""
    if clock is not None:
        return clock
    from typing import cast

    from ..current import current

    return cast("Clock", current())


@implementer(ITransport)
class Wrapper:
    """The protocol of `transport`, the transport of `protocol`."""

    __slots__ = ("protocol", "transport")

    #: The transport under us; set by `connection_made`.
    transport: "Transport"

    def __init__(self, protocol: Any) -> None:
        #: The program's own.
        self.protocol: Any = protocol

    # -- as the transport's protocol --------------------------------------------------------------

    def connection_made(self, transport: "Transport") -> None:
        """Introduce the protocol to us as its transport."""
        self.transport = transport
        self.protocol.connection_made(self)

    def data_received(self, data: bytes) -> None:
        """Hand it on."""
        protocol = self.protocol
        if hasattr(protocol, "get_buffer"):
            receive_into_buffer(protocol, data)
        else:
            protocol.data_received(data)

    def eof_received(self) -> bool | None:
        """Hand it on."""
        keep: bool | None = self.protocol.eof_received()
        return keep

    def connection_lost(self, exc: BaseException | None) -> None:
        """Hand it on."""
        self.protocol.connection_lost(exc)

    def pause_writing(self) -> None:
        """Hand it on."""
        self.protocol.pause_writing()

    def resume_writing(self) -> None:
        """Hand it on."""
        self.protocol.resume_writing()

    # -- as the protocol's transport --------------------------------------------------------------

    @property
    def copies_on_write(self) -> bool:
        """Whether `write` lets the caller reuse its buffer."""
        return getattr(self.transport, "copies_on_write", False)

    def write(self, data: Writable) -> None:
        """Hand it down."""
        self.transport.write(data)

    def writelines(self, list_of_data: Iterable[Writable]) -> None:
        """Write several buffers as one."""
        self.write(b"".join(list_of_data))

    def write_eof(self) -> None:
        """Hand it down."""
        self.transport.write_eof()

    def can_write_eof(self) -> bool:
        """Hand it down."""
        return self.transport.can_write_eof()

    def close(self) -> None:
        """Hand it down."""
        self.transport.close()

    def abort(self) -> None:
        """Hand it down."""
        self.transport.abort()

    def is_closing(self) -> bool:
        """Hand it down."""
        return self.transport.is_closing()

    def pause_reading(self) -> None:
        """Hand it down."""
        self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Hand it down."""
        self.transport.resume_reading()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Hand it down."""
        return self.transport.get_extra_info(name, default)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Hand it down."""
        self.transport.set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        """Hand it down."""
        return self.transport.get_write_buffer_size()

    def set_protocol(self, protocol: Any) -> None:
        """Put another protocol in place of the present one; we stay between."""
        self.protocol = protocol

    def get_protocol(self) -> Any:
        """Return the program's protocol."""
        return self.protocol


class Wrapping:
    """A protocol factory around another one."""

    __slots__ = ("factory",)

    def __init__(self, factory: Callable[[], Any]) -> None:
        self.factory = factory
