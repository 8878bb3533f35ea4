"""Between a protocol and its stream: programs' pipes, and a limit to the rate.

`sftp_connect` puts them there.
"""

import os
from typing import TYPE_CHECKING, Any

from sshkit.deferred import Deferred
from sshkit.ssh.connection.protocol import ChannelProtocol

if TYPE_CHECKING:
    from sshkit.interfaces import Clock

    from .log import Log

#: Seconds by which a limited stream may run ahead: fewer wake-ups, and nobody sees it.
AHEAD = 0.05


class Limiter:
    """Says how long to wait so that a rate is kept; one for all streams of a command."""

    __slots__ = ("_clock", "_free", "_rate")

    def __init__(self, clock: "Clock", bits_per_second: int) -> None:
        self._clock = clock
        self._rate = bits_per_second / 8
        self._free = clock.seconds()

    def spend(self, count: int) -> float:
        """Count bytes; return the seconds to wait before there are more, 0 for none."""
        now = self._clock.seconds()
        self._free = max(self._free, now) + count / self._rate
        wait = self._free - now
        return wait if wait > AHEAD else 0.0


class Throttled(ChannelProtocol):
    """Passes everything on between a protocol and its transport, no faster than a limiter allows."""

    __slots__ = ("_clock", "_full", "_inner", "_limiter", "_transport", "_waits")

    def __init__(self, inner: Any, limiter: Limiter, clock: "Clock") -> None:
        self._inner = inner
        self._limiter = limiter
        self._clock = clock
        self._transport: Any = None
        self._full = False  # the transport said so
        self._waits = False  # we did

    # From the transport.

    def channel_opened(self, channel: Any, body: bytes) -> None:
        self._transport = channel
        self._inner.channel_opened(self, body)

    def connection_made(self, transport: Any) -> None:
        """A plain transport is there."""
        self._transport = transport
        self._inner.connection_made(self)

    def data_received(self, data: memoryview) -> None:
        self._inner.data_received(data)
        wait = self._limiter.spend(len(data))
        if wait:
            self._transport.pause_reading()
            self._clock.call_later(wait, self._transport.resume_reading)

    def extended_data_received(self, kind: int, data: memoryview) -> None:
        self._inner.extended_data_received(kind, data)

    def eof_received(self) -> None:
        self._inner.eof_received()

    def pause_writing(self) -> None:
        self._full = True
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._full = False
        if not self._waits:
            self._inner.resume_writing()

    def channel_closed(self, error: BaseException | None) -> None:
        self._inner.channel_closed(error)

    def connection_lost(self, exc: BaseException | None) -> None:
        """A plain transport has ended."""
        self._inner.connection_lost(exc)

    # From the protocol.

    def write(self, data: Any) -> None:
        """Write; what comes next may have to wait."""
        self._transport.write(data)
        wait = self._limiter.spend(len(data))
        if wait and not self._waits:
            self._waits = True
            self._inner.pause_writing()
            self._clock.call_later(wait, self._go_on)

    def _go_on(self) -> None:
        self._waits = False
        if not self._full:
            self._inner.resume_writing()

    def close(self) -> None:
        """Close the transport."""
        self._transport.close()


class Program:
    """Joins a protocol to the pipes of a program; what the program says of errors is shown."""

    __slots__ = ("_log", "_output_ended", "_process", "_protocol", "ended", "exit_status")

    def __init__(self, protocol: Any, log: "Log") -> None:
        self._protocol = protocol
        self._log = log
        self._process: Any = None
        self._output_ended = False
        self.exit_status: Any = None
        self.ended: Deferred[None] = Deferred()

    # From the process.

    def process_started(self, transport: Any) -> None:
        """It runs."""
        self._process = transport
        self._protocol.connection_made(self)

    def output_received(self, descriptor: int, data: bytes) -> None:
        """Take its output."""
        if descriptor == 1:
            self._protocol.data_received(memoryview(data))
        else:
            self._log.notice(data.decode("utf-8", "surrogateescape"))

    def output_closed(self, descriptor: int) -> None:
        """It writes no more."""
        if descriptor == 1:
            self._output_ended = True
            self._protocol.eof_received()
            self._end()

    def pause_writing(self) -> None:
        """Its input is full."""
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        """Its input takes more."""
        self._protocol.resume_writing()

    def process_exited(self, status: Any) -> None:
        """It has ended; what it wrote last may still be to come."""
        self.exit_status = status
        self._end()

    def _end(self) -> None:
        if self._output_ended and self.exit_status is not None:
            self._process.close()
            self._protocol.connection_lost(None)
            if not self.ended.called:
                self.ended.callback(None)

    # From the protocol.

    def write(self, data: Any) -> None:
        """Write to its input."""
        self._process.write(data)

    def write_eof(self) -> None:
        """Close its input."""
        self._process.write_eof()

    def pause_reading(self) -> None:
        """Take no more of its output."""
        self._process.pause_reading(1)

    def resume_reading(self) -> None:
        """Take its output again."""
        if not self._output_ended:
            self._process.resume_reading(1)

    def close(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.close()


def words_of(text: str) -> list[str]:
    """Return the program and arguments in a value of -D."""
    import shlex

    return [os.path.expanduser(word) if index == 0 else word for index, word in enumerate(shlex.split(text))]
