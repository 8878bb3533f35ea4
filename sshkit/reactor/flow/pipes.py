"""Bytes led from one transport to another, no faster than the slower one takes them.

`pipe` leads one way, `join` both; `produce` writes what an iterator gives.  Each takes over the protocol
of its transports while it works.
"""

from collections.abc import AsyncIterable, Iterable
from typing import TYPE_CHECKING, Any

from sshkit.deferred import Deferred, ensure_deferred, gather, succeed

from ..errors import ConnectError
from ..transports.flow_control import HIGH_MARK

if TYPE_CHECKING:
    from sshkit.interfaces import Transport
    from sshkit.interfaces.transport import Writable


class PipeBroken(ConnectError):
    """The transport that was written to has gone before everything was written."""


class Side:
    """The protocol of one transport of a pipe.

    What it receives goes to `sink`, or without one to `former`, the protocol that was there before, as does
    everything else that the pipe has no use for.
    """

    __slots__ = ("count", "ended", "feeder", "former", "paused", "sink", "transport", "waits")

    def __init__(self, transport: "Transport", former: Any) -> None:
        self.transport = transport
        self.former = former
        self.sink: Transport | None = None
        #: The transport to read no more from while this one is full.
        self.feeder: Transport | None = None
        self.paused = transport.get_write_buffer_size() > HIGH_MARK
        self.waits: list[Deferred[None]] = []
        self.count = 0
        #: Fires with the count when this transport has sent its last byte.
        self.ended: Deferred[int] = Deferred(self._cancelled)
        transport.set_protocol(self)

    def _cancelled(self, _: object) -> None:
        if self.sink is not None:
            self.transport.abort()
            self.sink.abort()

    def connection_made(self, transport: "Transport") -> None:
        """It was made long ago."""

    def data_received(self, data: bytes) -> None:
        """Lead it on."""
        if self.sink is not None:
            self.count += len(data)
            self.sink.write(data)
        else:
            self.former.data_received(data)

    def _end_sink(self) -> None:
        sink = self.sink
        if sink is not None and not self.ended.called:
            if sink.can_write_eof():
                sink.write_eof()
            else:
                sink.close()
            self.ended.callback(self.count)

    def eof_received(self) -> bool | None:
        """Lead the end on; of two joined ones, each stays open for the other's bytes."""
        if self.sink is None:
            keep: bool | None = self.former.eof_received()
            return keep
        self._end_sink()
        return self.feeder is not None

    def pause_writing(self) -> None:
        """This transport is full."""
        self.paused = True
        if self.feeder is not None:
            self.feeder.pause_reading()
        if self.former is not None:
            self.former.pause_writing()

    def resume_writing(self) -> None:
        """This transport has room."""
        self.paused = False
        if self.feeder is not None:
            self.feeder.resume_reading()
        if self.former is not None:
            self.former.resume_writing()
        self._wake()

    def _wake(self) -> None:
        waits, self.waits = self.waits, []
        for deferred in waits:
            deferred.callback(None)

    def room(self) -> Deferred[None]:
        """Fire when more may be written."""
        if not self.paused or self.transport.is_closing():
            return succeed(None)
        deferred: Deferred[None] = Deferred(self.waits.remove)
        self.waits.append(deferred)
        return deferred

    def connection_lost(self, exc: BaseException | None) -> None:
        """The pipe has ended, well or not."""
        self._wake()
        sink, feeder = self.sink, self.feeder
        if sink is not None:
            if exc is None:
                self._end_sink()
                if feeder is not None:  # nobody would take what the other one sends
                    sink.close()
            else:
                sink.abort()
                if not self.ended.called:
                    self.ended.errback(exc)
        elif feeder is not None:
            giving = feeder.get_protocol()
            feeder.abort()
            if isinstance(giving, Side) and not giving.ended.called:
                error = exc or PipeBroken(f"the sink of a pipe was closed after {giving.count} bytes")
                giving.ended.errback(error)
        if self.former is not None:
            self.former.connection_lost(exc)


def pipe(source: "Transport", sink: "Transport") -> Deferred[int]:
    """Lead all that `source` receives to `sink`; fires with the number of bytes at its end.

    The end is led on too.  Fails when either breaks before; the other is aborted.  What `sink` receives goes
    to the protocol that it had.
    """
    giving = Side(source, None)
    taking = Side(sink, sink.get_protocol())
    giving.sink = sink
    taking.feeder = source
    source.resume_reading()
    return giving.ended


def join(one: "Transport", other: "Transport") -> Deferred[tuple[int, int]]:
    """Lead each one's bytes to the other; fires with both counts when both directions have ended."""
    left, right = Side(one, None), Side(other, None)
    left.sink = left.feeder = other
    right.sink = right.feeder = one
    one.resume_reading()
    other.resume_reading()

    def close(outcome: Any) -> Any:
        one.close()
        other.close()
        return outcome

    both: Deferred[tuple[int, int]] = gather(left.ended, right.ended)
    return both.add_both(close)


def produce(transport: "Transport", pieces: "Iterable[Writable] | AsyncIterable[Writable]") -> Deferred[int]:
    """Write what `pieces` gives, and ask for no more while the peer is slow; fires with the number of bytes.

    The protocol gets all other calls meanwhile, and its place back at the end.  PipeBroken if the transport
    closes before the last piece was written.
    """
    former = transport.get_protocol()
    side = Side(transport, former)
    count = 0

    async def write(piece: "Writable") -> None:
        nonlocal count
        if side.paused:
            await side.room()
        if transport.is_closing():
            raise PipeBroken(f"the connection was closed after {count} bytes")
        transport.write(piece)
        count += len(piece)

    async def run() -> int:
        try:
            if isinstance(pieces, AsyncIterable):
                async for piece in pieces:
                    await write(piece)
            else:
                for piece in pieces:
                    await write(piece)
            return count
        finally:
            if transport.get_protocol() is side:
                transport.set_protocol(former)

    return ensure_deferred(run())
