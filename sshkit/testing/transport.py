"""Two protocols joined in memory: no socket, no port, no waiting.

Bytes move in `pump`, so a test sees every step: it may look at what is in flight, cut it into pieces,
hold it back, or break the connection in the middle.
"""

from collections.abc import Callable, Iterable
from typing import Any

from sshkit.interfaces import ITransport, Writable, implementer, receive_into_buffer
from sshkit.testing.clock import MemoryClock

HIGH_WATER = 64 * 1024  #: bytes in flight from which on the writing protocol is paused
MAX_TURNS = 100_000  #: more turns than this in one `settle` means that both ends go round in circles


@implementer(ITransport)
class MemoryTransport:
    """One end of a connection in memory.  `outgoing` is what was written and has not arrived."""

    __slots__ = (
        "_high",
        "_info",
        "_protocol",
        "_writing_paused",
        "aborted",
        "closed",
        "eof_sent",
        "outgoing",
        "peer",
        "reading_paused",
        "total",
    )
    copies_on_write = True

    def __init__(self, protocol: Any, info: dict[str, Any] | None = None) -> None:
        self._protocol = protocol
        self._info = info or {}
        self._high = HIGH_WATER
        self._writing_paused = False
        self.peer: MemoryTransport | None = None
        self.outgoing = bytearray()
        self.total = 0  #: bytes written so far
        self.closed = False
        self.aborted = False
        self.eof_sent = False
        self.reading_paused = False

    def write(self, data: Writable) -> None:
        if not self.closed and not self.eof_sent:
            self.outgoing += data
            self.total += len(data)
            if len(self.outgoing) > self._high and not self._writing_paused:
                self._writing_paused = True
                self._protocol.pause_writing()

    def writelines(self, list_of_data: Iterable[Writable]) -> None:
        self.write(b"".join(list_of_data))

    def write_eof(self) -> None:
        self.eof_sent = True

    def can_write_eof(self) -> bool:
        return True

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = self.aborted = True
        self.outgoing.clear()

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        self.reading_paused = True

    def resume_reading(self) -> None:
        self.reading_paused = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._info.get(name, default)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._high = HIGH_WATER if high is None else high

    def get_write_buffer_size(self) -> int:
        return len(self.outgoing)

    def set_protocol(self, protocol: Any) -> None:
        self._protocol = protocol

    def get_protocol(self) -> Any:
        return self._protocol

    def deliver(self, size: int | None = None) -> int:
        """Move up to `size` bytes in flight to the peer's protocol; return how many."""
        peer = self.peer
        if peer is None or peer.reading_paused:
            return 0
        data = bytes(self.outgoing[:size])
        del self.outgoing[: len(data)]
        if data and not peer.closed:
            receive_into_buffer(peer.get_protocol(), data)
        if self._writing_paused and len(self.outgoing) <= self._high // 4:
            self._writing_paused = False
            self._protocol.resume_writing()
        if not self.outgoing and (self.closed or self.eof_sent) and self.peer is not None:
            self.peer = None
            if not peer.closed:
                if self.aborted:
                    peer.closed = True
                    peer.get_protocol().connection_lost(ConnectionResetError("reset by the peer"))
                elif not peer.get_protocol().eof_received():
                    peer.closed = True
        return len(data)


class MemoryPair:
    """Both ends, and the turns that move bytes between them."""

    __slots__ = ("chop", "client", "clock", "server")

    def __init__(self, client: MemoryTransport, server: MemoryTransport, clock: MemoryClock) -> None:
        self.client = client
        self.server = server
        self.clock = clock
        self.chop: Callable[[], int] | None = None  #: gives the size of the next piece; None: all there is

    def pump(self) -> bool:
        """Move what is in flight once, in both directions; tell whether anything moved."""
        moved = self.clock.turn()
        for end in (self.client, self.server):
            size = self.chop() if self.chop is not None else None
            moved = bool(end.deliver(size)) or moved
        return moved

    def settle(self) -> None:
        """Pump until nothing moves any more."""
        for _ in range(MAX_TURNS):
            if not self.pump():
                return
        raise AssertionError("both ends still talk after a hundred thousand turns")


def connect_in_memory(
    client: Any,
    server: Any,
    clock: MemoryClock,
    *,
    client_address: tuple[str, int] = ("192.0.2.1", 50000),
    server_address: tuple[str, int] = ("192.0.2.2", 22),
) -> MemoryPair:
    """Join two protocols and tell both that the connection is made."""
    ours = MemoryTransport(client, {"sockname": client_address, "peername": server_address})
    theirs = MemoryTransport(server, {"sockname": server_address, "peername": client_address})
    ours.peer, theirs.peer = theirs, ours
    client.connection_made(ours)
    server.connection_made(theirs)
    return MemoryPair(ours, theirs, clock)
