"""Datagrams: what a socket for whole messages offers, and what it calls, in asyncio's words.

Implemented by sshkit.reactor.transports.datagram; called by protocols over UDP and UNIX datagrams.
"""

from typing import TYPE_CHECKING, Any, Protocol

from .derive import interface

if TYPE_CHECKING:
    from .transport import Writable


class DatagramTransport(Protocol):
    """A socket that sends and receives whole messages, each of which may get lost."""

    @property
    def dropped(self) -> int:
        """How many datagrams were thrown away here because the kernel took none for too long."""
        ...

    @property
    def oversized(self) -> int:
        """How many datagrams came that were larger than `max_size`; they were thrown away."""
        ...

    def sendto(self, data: "Writable", address: Any = None) -> None:
        """Send one datagram; never blocks.  `address` is numeric, and None on a connected socket.

        What the kernel does not take at once waits in a bounded queue; past that it is dropped and counted.
        """
        ...

    def pause_reading(self) -> None:
        """Deliver nothing until `resume_reading`; the kernel keeps some datagrams and drops the others."""
        ...

    def resume_reading(self) -> None:
        """Deliver again."""
        ...

    def close(self) -> None:
        """Close once what waits has left, or after a few seconds."""
        ...

    def abort(self) -> None:
        """Close now and drop what waits."""
        ...

    def is_closing(self) -> bool:
        """Tell whether the transport is closing or closed."""
        ...

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return "sockname", "peername" or "socket", else `default`."""
        ...

    def get_write_buffer_size(self) -> int:
        """Return how many bytes wait to be sent."""
        ...

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set the marks, in bytes, at which the protocol is paused and resumed."""
        ...

    def set_protocol(self, protocol: Any) -> None:
        """Hand everything from now on to `protocol`."""
        ...

    def get_protocol(self) -> Any:
        """Return the present protocol."""
        ...


class MulticastTransport(DatagramTransport, Protocol):
    """A UDP socket: it may belong to groups.

    An `interface` is a name, a number (if_nametoindex) or one of its own addresses; None: the system chooses.
    """

    def join_group(self, group: str, interface: str | int | None = None, source: str | None = None) -> None:
        """Receive what is sent to `group`, with `source` only what that host sends."""
        ...

    def leave_group(self, group: str, interface: str | int | None = None, source: str | None = None) -> None:
        """Undo `join_group` with the same arguments."""
        ...

    def set_multicast(
        self, *, hops: int | None = None, loopback: bool | None = None, interface: str | int | None = None
    ) -> None:
        """Say how far our datagrams to groups go, whether this machine hears them, and where they leave."""
        ...


class DatagramProtocol(Protocol):
    """What a datagram socket calls."""

    def connection_made(self, transport: DatagramTransport) -> None:
        """Called once, first."""
        ...

    def datagram_received(self, data: bytes, address: Any) -> None:
        """Take one datagram, perhaps empty."""
        ...

    def error_received(self, exc: OSError) -> None:
        """An earlier datagram did not arrive (ICMP, connected sockets), or one could not be sent.  Go on."""
        ...

    def connection_lost(self, exc: BaseException | None) -> None:
        """Called once, last."""
        ...

    def pause_writing(self) -> None:
        """More than the high mark waits: what is sent now may be dropped."""
        ...

    def resume_writing(self) -> None:
        """The queue has drained to the low mark."""
        ...


IDatagramTransport = interface(DatagramTransport)
IMulticastTransport = interface(MulticastTransport)
IDatagramProtocol = interface(DatagramProtocol)
