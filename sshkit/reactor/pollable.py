"""What the loop calls when a descriptor is ready: two methods and the present interest.

Transports and listeners are pollables themselves (no closure a connection); `Watch` is the one behind
`add_reader` and `add_writer`.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from .errors import FAULTS
from .pollers import READ, WRITE

if TYPE_CHECKING:
    from .core import ReactorCore


class Pollable(Protocol):
    """Registered with `ReactorCore.set_interest`; only the reactor changes `interest`."""

    interest: int

    def read_ready(self) -> None:
        """The descriptor is readable, at its end, or faulty; may come when it is not."""
        ...

    def write_ready(self) -> None:
        """The descriptor is writable or faulty; may come when it is not."""
        ...

    def reactor_closed(self, error: BaseException) -> None:
        """The reactor closes: give the descriptor back and tell the owner."""
        ...


class Watch:
    """A descriptor that a program watches itself; it stays the program's own."""

    __slots__ = ("_fd", "_reactor", "interest", "reader", "writer")

    def __init__(self, reactor: "ReactorCore", fd: int) -> None:
        self._reactor = reactor
        self._fd = fd
        self.interest = 0
        self.reader: Callable[[], object] | None = None
        self.writer: Callable[[], object] | None = None

    def update(self) -> None:
        """Ask for what there is a callback for."""
        wanted = (READ if self.reader is not None else 0) | (WRITE if self.writer is not None else 0)
        self._reactor.set_interest(self._fd, self, wanted)
        if not wanted:
            self._reactor.forget(self._fd, self)

    def read_ready(self) -> None:
        """Call the reader."""
        if self.reader is not None:
            self._call(self.reader)

    def write_ready(self) -> None:
        """Call the writer."""
        if self.writer is not None:
            self._call(self.writer)

    def _call(self, callback: Callable[[], object]) -> None:
        try:
            callback()
        except FAULTS as error:
            self._reactor.report(f"callback of descriptor {self._fd} failed", error)

    def reactor_closed(self, error: BaseException) -> None:
        """Forget the callbacks."""
        self.reader = self.writer = None
