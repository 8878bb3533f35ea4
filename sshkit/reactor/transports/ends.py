"""One end of a pipe, terminal or file: what pipe transports and processes are made of.

An end calls its owner; the owner calls protocols.  Regular files and /dev/null cannot be waited for with
epoll: they are always ready, so they are read turn by turn instead.
"""

import os
from collections import deque
from errno import EIO
from itertools import islice
from typing import TYPE_CHECKING, Protocol

from sshkit.interfaces.transport import Writable

from ..errors import FAULTS
from ..pollers import READ, WRITE
from .flow_control import HIGH_MARK, LOW_MARK, marks
from .tcp import BUFFERS_A_SEND, READS_A_TURN

if TYPE_CHECKING:
    from ..core import ReactorCore
    from ..timers import DelayedCall


class ReadOwner(Protocol):
    """Whoever has a reading end."""

    def end_data(self, end: "ReadEnd", data: bytes) -> None:
        """Some bytes have arrived."""
        ...

    def end_finished(self, end: "ReadEnd", error: BaseException | None) -> None:
        """Nothing more comes; the end is closed."""
        ...


class WriteOwner(Protocol):
    """Whoever has a writing end."""

    def end_full(self) -> None:
        """More than the high mark waits."""
        ...

    def end_room(self) -> None:
        """The low mark is reached."""
        ...

    def end_flushed(self) -> None:
        """The last byte has left after `close_when_flushed`; the end is closed."""
        ...

    def end_broken(self, error: OSError) -> None:
        """Nobody reads what we write; the end is closed."""
        ...


class ReadEnd:
    """Reads a descriptor, which must not block, while `resume` holds."""

    __slots__ = ("_owner", "_polled", "_reactor", "_tick", "_wanted", "fd", "interest")

    def __init__(self, reactor: "ReactorCore", fd: int, owner: ReadOwner) -> None:
        self._reactor = reactor
        self._owner = owner
        self._polled = True
        self._wanted = False
        self._tick: DelayedCall | None = None
        self.fd = fd
        self.interest = 0
        reactor.pollables[fd] = self  # so that closing the reactor finds it while it is paused

    def resume(self) -> None:
        """Read what comes."""
        if self._wanted or self.fd < 0:
            return
        self._wanted = True
        if self._polled:
            try:
                self._reactor.set_interest(self.fd, self, READ)
                return
            except PermissionError:  # a kind of descriptor that epoll refuses
                self._polled = False
        self._tick = self._reactor.call_later(0.0, self._next_tick)

    def pause(self) -> None:
        """Read nothing."""
        self._wanted = False
        if self._tick is not None:
            self._tick.cancel()
            self._tick = None
        elif self.fd >= 0:
            self._reactor.set_interest(self.fd, self, 0)

    def _next_tick(self) -> None:
        self._tick = None
        self.read_ready()
        if self._wanted:
            self._tick = self._reactor.call_later(0.0, self._next_tick)

    def read_ready(self) -> None:
        """Read, and again while the buffer is filled."""
        view, large = self._reactor.receive_views()
        for _ in range(READS_A_TURN):
            if not self._wanted:
                return
            try:
                size = os.readv(self.fd, (view,))
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                # EIO is how a terminal's master says that all programs have closed it.
                self._finish(None if error.errno == EIO else error)
                return
            if not size:
                self._finish(None)
                return
            try:
                self._owner.end_data(self, bytes(view[:size]))
            except FAULTS as error:
                self._reactor.report("taking the data of a pipe failed", error)
                self._finish(error)
                return
            if size < len(view) and self._polled:
                return
            view = large

    def write_ready(self) -> None:
        """Never asked for."""

    def _finish(self, error: BaseException | None) -> None:
        if self.fd >= 0:
            self.close()
            self._owner.end_finished(self, error)

    def close(self) -> None:
        """Close the descriptor, without a word to the owner."""
        if self.fd >= 0:
            self.pause()
            self._reactor.forget(self.fd, self)
            os.close(self.fd)
            self.fd = -1

    def reactor_closed(self, error: BaseException) -> None:
        """Close with the reactor."""
        self._finish(error)


class WriteEnd:
    """Writes to a descriptor, which must not block: at once, and what is left when there is room."""

    __slots__ = (
        "_closing",
        "_full",
        "_high",
        "_low",
        "_out",
        "_owner",
        "_reactor",
        "fd",
        "interest",
        "waiting",
    )

    def __init__(self, reactor: "ReactorCore", fd: int, owner: WriteOwner) -> None:
        self._reactor = reactor
        self._owner = owner
        self._out: deque[bytes | memoryview] = deque()
        self._closing = False
        self._full = False
        self._high = HIGH_MARK
        self._low = LOW_MARK
        self.waiting = 0  #: bytes
        self.fd = fd
        self.interest = 0
        reactor.pollables[fd] = self

    def write(self, data: Writable) -> None:
        """Write; what does not go at once is copied."""
        if self._closing or self.fd < 0 or not len(data):
            return
        written = 0
        if not self._out:
            try:
                written = os.write(self.fd, data)
            except (BlockingIOError, InterruptedError):
                pass
            except OSError as error:
                self._broken(error)
                return
            if written == len(data):
                return
            self._reactor.set_interest(self.fd, self, WRITE)
        rest = bytes(memoryview(data)[written:])
        self._out.append(rest)
        self.waiting += len(rest)
        self._check_marks()

    def read_ready(self) -> None:
        """Never asked for."""

    def write_ready(self) -> None:
        """Write what waits."""
        out = self._out
        if not out:
            return
        try:
            written = os.writev(self.fd, tuple(islice(out, BUFFERS_A_SEND)))
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._broken(error)
            return
        self.waiting -= written
        while written:
            first = out[0]
            if written < len(first):
                out[0] = memoryview(first)[written:]
                break
            written -= len(first)
            out.popleft()
        if not out:
            self._reactor.set_interest(self.fd, self, 0)
        self._check_marks()
        if not out and self._closing and self.fd >= 0:
            self.close()
            self._owner.end_flushed()

    def set_marks(self, high: int | None, low: int | None) -> None:
        """Set the marks, in bytes."""
        self._high, self._low = marks(high, low)
        self._check_marks()

    def _check_marks(self) -> None:
        try:
            if self._full:
                if self.waiting <= self._low:
                    self._full = False
                    self._owner.end_room()
            elif self.waiting > self._high:
                self._full = True
                self._owner.end_full()
        except FAULTS as error:
            self._reactor.report("pausing or resuming the writer of a pipe failed", error)

    def close_when_flushed(self) -> None:
        """Take no more; close and tell the owner when everything was written."""
        if self._closing or self.fd < 0:
            return
        self._closing = True
        if not self._out:
            self.close()
            self._owner.end_flushed()

    def _broken(self, error: OSError) -> None:
        self.close()
        self._check_marks()  # a writer that waits for room may go on: what it writes is dropped
        self._owner.end_broken(error)

    def close(self) -> None:
        """Close the descriptor and drop what waits, without a word to the owner."""
        if self.fd >= 0:
            self._closing = True
            self._reactor.forget(self.fd, self)
            os.close(self.fd)
            self.fd = -1
            self._out.clear()
            self.waiting = 0

    def reactor_closed(self, error: BaseException) -> None:
        """Close with the reactor."""
        self.close()
        self._owner.end_flushed()
