"""Two protocols joined in memory: no socket, no port, no waiting.

Bytes move in `pump`, so a test sees every step: it may look at what is in flight, cut it into pieces,
hold it back, or break the connection in the middle.
"""

from collections.abc import Callable, Iterable
from typing import Any

from sshkit.interfaces import ITransport, Writable, implementer
from sshkit.testing.clock import MemoryClock
from sshkit.testing.faults import PLAIN, Line, Way

HIGH_WATER = 64 * 1024  #: bytes in flight from which on the writing protocol is paused
MAX_TURNS = 100_000  #: more turns than this in one `settle` means that both ends go round in circles


@implementer(ITransport)
class MemoryTransport:
    """One end of a connection in memory.  `outgoing` is what was written and has not arrived."""

    __slots__ = (
        "_eof_told",
        "_high",
        "_info",
        "_low",
        "_protocol",
        "_writing_paused",
        "aborted",
        "closed",
        "eof_sent",
        "lost",
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
        self._low = HIGH_WATER // 4
        self._writing_paused = False
        self._eof_told = False
        self.peer: MemoryTransport | None = None
        self.outgoing = bytearray()
        self.total = 0  #: bytes written so far
        self.closed = False
        self.aborted = False
        self.eof_sent = False
        self.lost = False  #: the protocol was told connection_lost
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
        self._low = self._high // 4 if low is None else low

    def get_write_buffer_size(self) -> int:
        return len(self.outgoing)

    def set_protocol(self, protocol: Any) -> None:
        self._protocol = protocol

    def get_protocol(self) -> Any:
        return self._protocol

    def deliver(self, size: int | None = None) -> int:
        """Move up to `size` bytes in flight to the peer's protocol, as far as it reads; return how many."""
        peer = self.peer
        if peer is None:
            return 0
        wanted = len(self.outgoing) if size is None else min(size, len(self.outgoing))
        left = wanted
        while left and not peer.reading_paused:
            piece = bytes(self.outgoing[:left])
            taken = left if peer.closed else peer.take(piece)
            left -= taken
            del self.outgoing[:taken]  # which an abort inside may have emptied
            if self.aborted:
                break
        self._resume()
        return wanted - left

    def leave(self, size: int) -> bytes:
        """Take bytes from what was written: they are on their way now."""
        data = bytes(self.outgoing[:size])
        del self.outgoing[:size]
        self._resume()
        return data

    def arrive(self, data: bytes) -> int:
        """Give bytes that were on their way to the peer's protocol, as far as it reads; return how many."""
        peer = self.peer
        taken = 0
        while peer is not None and taken < len(data) and not peer.reading_paused and not self.aborted:
            taken += len(data) - taken if peer.closed else peer.take(data[taken:])
        return len(data) if self.aborted else taken

    def _resume(self) -> None:
        if self._writing_paused and len(self.outgoing) <= self._low and not self.lost:
            self._writing_paused = False
            self._protocol.resume_writing()

    def take(self, data: bytes) -> int:
        """Give bytes that arrived to the protocol; return how many it took at once."""
        protocol = self._protocol
        if not hasattr(protocol, "get_buffer"):
            protocol.data_received(data)
            return len(data)
        buffer = protocol.get_buffer(len(data))
        size = min(len(buffer), len(data))
        if not size:
            raise AssertionError("get_buffer gave an empty buffer")
        buffer[:size] = data[:size]
        protocol.buffer_updated(size)
        return size

    def finish(self) -> bool:
        """Tell both ends what has ended; tell whether there was anything to tell."""
        peer = self.peer
        if peer is None or self.outgoing:
            return False
        moved = False
        if self.aborted:
            if not self.lost:
                moved = True
                peer.lose(ConnectionResetError("reset by the peer"))
        elif (self.closed or self.eof_sent) and not self._eof_told and not peer.reading_paused:
            self._eof_told = moved = True
            if not peer.closed and not peer.get_protocol().eof_received():
                peer.close()
        if self.closed and not self.lost:
            moved = True
            self.lose(None)
        return moved

    def lose(self, error: Exception | None) -> None:
        """End this end of the connection now."""
        if not self.lost:
            self.lost = self.closed = True
            self.outgoing.clear()
            self._protocol.connection_lost(error)


class MemoryPair:
    """Both ends, and the turns that move bytes between them."""

    __slots__ = ("_arrived", "_line", "_ways", "chop", "client", "clock", "server")

    def __init__(self, client: MemoryTransport, server: MemoryTransport, clock: MemoryClock) -> None:
        self.client = client
        self.server = server
        self.clock = clock
        self.chop: Callable[[], int] | None = None  #: gives the size of the next piece; None: all there is
        self._line = PLAIN
        self._ways: tuple[Way, Way] | None = None
        self._arrived = 0  # bytes of the client's

    @property
    def line(self) -> Line:
        """What lies between the ends; may be set before bytes move."""
        return self._line

    @line.setter
    def line(self, line: Line) -> None:
        self._line = line
        self._ways = None if line.is_plain else (Way(line, self.clock), Way(line, self.clock))

    def pump(self) -> bool:
        """Move what is in flight once, in both directions; tell whether anything moved."""
        moved = self.clock.turn()
        for index, end in enumerate((self.client, self.server)):
            moved = bool(self._deliver(index, end)) or moved
        for index, end in enumerate((self.client, self.server)):
            if self._ways is None or not self._ways[index].flying or end.aborted:
                moved = end.finish() or moved
        return moved

    def _deliver(self, index: int, end: MemoryTransport) -> int:
        limit = self._line.cut_after if end is self.client else None
        if self._ways is not None:
            arrived = self._ways[index].move(end)
        else:
            size = self.chop() if self.chop is not None else None
            if limit is not None:
                left = max(limit - self._arrived, 0)
                size = left if size is None else min(size, left)
            arrived = end.deliver(size)
        if limit is not None:
            self._arrived += arrived
            if self._arrived >= limit and not end.lost:
                self.cut()
                return 1
        return arrived

    def settle(self) -> None:
        """Pump until nothing moves any more."""
        for _ in range(MAX_TURNS):
            if not self.pump():
                return
        raise AssertionError("both ends still talk after a hundred thousand turns")

    def cut(self) -> None:
        """Break the connection: what is in flight is gone, and both ends see a reset."""
        for end in (self.client, self.server):
            end.lose(ConnectionResetError("the connection was cut"))


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
