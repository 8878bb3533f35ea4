"""A limit of bytes a second, each way, by token buckets.

What arrives is delivered at once, and the peer is not read from until the bucket has filled again, so that a
fast peer is slowed down by its own network and nothing is stored.  What is written waits here, and the
protocol is paused as by any slow peer.
"""

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sshkit.interfaces.transport import Writable

from ..transports.flow_control import HIGH_MARK, LOW_MARK, marks
from .wrapper import Wrapper, Wrapping, clock_of

if TYPE_CHECKING:
    from sshkit.interfaces import Clock

#: Seconds of the rate that may go at once after a silence, unless told otherwise.
BURST_SECONDS = 0.25

#: Seconds between two turns of a bucket that is empty, at least: many small timers cost more than they give.
SHORTEST_WAIT = 0.005


class Bucket:
    """`rate` bytes a second and `burst` bytes at once; for one connection, or shared by many."""

    __slots__ = ("_clock", "_filled", "_tokens", "burst", "rate")

    def __init__(self, rate: float, burst: float | None = None, clock: "Clock | None" = None) -> None:
        if not rate > 0 or (burst is not None and not burst > 0):
            raise ValueError(f"a rate of {rate} bytes a second, {burst} at once, would let nothing through")
        self.rate = rate
        self.burst = max(rate * BURST_SECONDS, 1.0) if burst is None else burst
        self._clock = clock
        self._tokens = self.burst
        self._filled = -1.0

    def _fill(self) -> None:
        if self._clock is None:
            self._clock = clock_of(None)
        now = self._clock.seconds()
        if self._filled >= 0:
            self._tokens = min(self.burst, self._tokens + (now - self._filled) * self.rate)
        self._filled = now

    def available(self) -> int:
        """Return how many bytes may go now."""
        self._fill()
        return max(int(self._tokens), 0)

    def take(self, size: int) -> float:
        """Take `size` bytes, more than there are if need be; return the seconds until the debt is paid."""
        self._fill()
        self._tokens -= size
        return 0.0 if self._tokens >= 0 else max(-self._tokens / self.rate, SHORTEST_WAIT)

    def wait(self) -> float:
        """Return the seconds until some more may go."""
        wanted = min(self.burst, max(self.rate * SHORTEST_WAIT, 1.0))
        return max((wanted - self._tokens) / self.rate, SHORTEST_WAIT)


class RateLimit(Wrapping):
    """Limit what each connection reads and writes, in bytes a second; None: no limit.

    A `Bucket` in place of a number is shared by all connections: their limit together.
    """

    __slots__ = ("clock", "reading", "writing")

    def __init__(
        self,
        factory: Callable[[], Any],
        *,
        reading: "float | Bucket | None" = None,
        writing: "float | Bucket | None" = None,
        clock: "Clock | None" = None,
    ) -> None:
        super().__init__(factory)
        for rate in (reading, writing):
            if rate is not None and not isinstance(rate, Bucket):
                Bucket(rate)  # so that a wrong number is an error now
        self.reading = reading
        self.writing = writing
        self.clock = clock

    def __call__(self) -> "Limited":
        """Make the protocol of one connection."""
        clock = clock_of(self.clock)

        def bucket(rate: "float | Bucket | None") -> Bucket | None:
            return rate if rate is None or isinstance(rate, Bucket) else Bucket(rate, clock=clock)

        return Limited(self.factory(), bucket(self.reading), bucket(self.writing), clock)


class Limited(Wrapper):
    """One connection with a limit."""

    __slots__ = (
        "_clock",
        "_closing",
        "_eof",
        "_full",
        "_held",
        "_high",
        "_low",
        "_out",
        "_out_size",
        "_paused",
        "_reading",
        "_resume",
        "_send",
        "_writing",
    )

    def __init__(self, protocol: Any, reading: Bucket | None, writing: Bucket | None, clock: "Clock") -> None:
        super().__init__(protocol)
        self._clock = clock
        self._reading = reading
        self._writing = writing
        self._paused = False  # by the protocol
        self._held = False  # by the transport: the peer is slow
        self._full = False  # we have paused the protocol
        self._closing = False
        self._eof = False
        self._high, self._low = HIGH_MARK, LOW_MARK
        self._out: deque[bytes] = deque()
        self._out_size = 0
        self._resume: Any = None  # the delayed calls
        self._send: Any = None

    # Reading.

    def data_received(self, data: bytes) -> None:
        """Deliver, and pay for it by not reading."""
        if self._closing:
            return
        if self._reading is not None:
            wait = self._reading.take(len(data))
            if wait and self._resume is None:
                self.transport.pause_reading()
                self._resume = self._clock.call_later(wait, self._paid)
        super().data_received(data)

    def _paid(self) -> None:
        self._resume = None
        if not self._paused and not self._closing:
            self.transport.resume_reading()

    def pause_reading(self) -> None:
        """Deliver nothing until `resume_reading`."""
        self._paused = True
        self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Deliver again, when the debt is paid."""
        self._paused = False
        if self._resume is None:
            self.transport.resume_reading()

    # Writing.

    def write(self, data: Writable) -> None:
        """Send what the bucket lets through; keep the rest."""
        if self._writing is None:
            self.transport.write(data)
        elif len(data) and not self._closing and not self._eof:
            self._out.append(bytes(data))
            self._out_size += len(data)
            if self._send is None:
                self._flush()

    def _flush(self) -> None:
        self._send = None
        bucket = self._writing
        assert bucket is not None
        while self._out and not self._held:
            room = bucket.available()
            if not room:
                self._send = self._clock.call_later(bucket.wait(), self._flush)
                break
            first = self._out[0]
            piece = first[:room]
            if len(piece) == len(first):
                self._out.popleft()
            else:
                self._out[0] = first[room:]
            self._out_size -= len(piece)
            bucket.take(len(piece))
            self.transport.write(piece)
        self._tell()
        if not self._out:
            if self._closing:
                self.transport.close()
            elif self._eof:
                self.transport.write_eof()

    def _tell(self) -> None:
        """Pause or resume the protocol, by what waits here and below."""
        full = self._held or self._out_size > (self._low if self._full else self._high)
        if full != self._full:
            self._full = full
            if full:
                self.protocol.pause_writing()
            else:
                self.protocol.resume_writing()

    def pause_writing(self) -> None:
        """The peer is slow."""
        self._held = True
        self._tell()

    def resume_writing(self) -> None:
        """The peer has caught up."""
        self._held = False
        if self._send is None and self._writing is not None:
            self._flush()
        else:
            self._tell()

    def write_eof(self) -> None:
        """End our direction when all was written."""
        self._eof = True
        if not self._out:
            self.transport.write_eof()

    def close(self) -> None:
        """Close when all was written."""
        if not self._closing:
            self._closing = True
            if not self._out:
                self.transport.close()
            else:
                self.transport.pause_reading()

    def abort(self) -> None:
        """Close now."""
        self._closing = True
        self._forget()
        self.transport.abort()

    def is_closing(self) -> bool:
        """Tell whether it is closing or closed."""
        return self._closing or self.transport.is_closing()

    def get_write_buffer_size(self) -> int:
        """Return how many bytes wait here and below."""
        return self._out_size + self.transport.get_write_buffer_size()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set the marks, in bytes, here and below."""
        self._high, self._low = marks(high, low)
        self.transport.set_write_buffer_limits(high, low)
        self._tell()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Stop the timers and hand it on."""
        self._forget()
        self._closing = True
        super().connection_lost(exc)

    def _forget(self) -> None:
        self._out.clear()
        self._out_size = 0
        for call in (self._resume, self._send):
            if call is not None:
                call.cancel()
        self._resume = self._send = None
