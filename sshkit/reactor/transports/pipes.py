"""Two descriptors as one transport: pipes, terminals, files; standard input and output by `stdio`.

Made by `open_pipes` and `open_stdio`; called by the loop and by protocols.
"""

import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from sshkit.interfaces.derive import implementer
from sshkit.interfaces.protocol import receive_into_buffer
from sshkit.interfaces.transport import ITransport, Writable

from ..errors import FAULTS
from .ends import ReadEnd, WriteEnd

if TYPE_CHECKING:
    from ..core import ReactorCore


@implementer(ITransport)
class PipeTransport:
    """A reading end, a writing end, or both."""

    __slots__ = (
        "_buffered",
        "_closing",
        "_error",
        "_finishing",
        "_on_end",
        "_protocol",
        "_reactor",
        "_reader",
        "_writer",
    )

    #: What `write` was given may be reused when it returns; asyncio's own transports do not promise that.
    copies_on_write = True

    def __init__(
        self,
        reactor: "ReactorCore",
        protocol: Any,
        read_fd: int | None,
        write_fd: int | None,
        on_end: Callable[[], None] | None = None,
    ) -> None:
        self._reactor = reactor
        self._error: BaseException | None = None
        self._closing = False
        self._finishing = False
        self._on_end = on_end
        self._protocol: Any = protocol
        self._buffered = hasattr(protocol, "get_buffer")
        self._reader = None if read_fd is None else ReadEnd(reactor, read_fd, self)
        self._writer = None if write_fd is None else WriteEnd(reactor, write_fd, self)

    def start(self) -> None:
        """Introduce the protocol and begin to read."""
        try:
            self._protocol.connection_made(self)
        except FAULTS as error:
            self._error = error
            self.abort()
            raise
        if not self._closing:
            self.resume_reading()

    # -- what the ends tell -----------------------------------------------------------------------

    def end_data(self, end: ReadEnd, data: bytes) -> None:
        """Hand it on."""
        if self._buffered:
            receive_into_buffer(self._protocol, data)
        else:
            self._protocol.data_received(data)

    def end_finished(self, end: ReadEnd, error: BaseException | None) -> None:
        """The end of input: the protocol decides whether output goes on."""
        if error is not None:
            self._fail(error)
            return
        try:
            keep_open = self._protocol.eof_received()
        except FAULTS as fault:
            self._reactor.report(f"eof_received of {type(self._protocol).__name__} failed", fault)
            self._fail(fault)
            return
        if not keep_open or self._writer is None or self._writer.fd < 0:
            self.close()

    def end_full(self) -> None:
        """Pause the protocol."""
        self._tell("pause_writing", self._protocol.pause_writing)

    def end_room(self) -> None:
        """Resume the protocol."""
        self._tell("resume_writing", self._protocol.resume_writing)

    def _tell(self, name: str, method: Callable[[], object]) -> None:
        try:
            method()
        except FAULTS as error:
            self._reactor.report(f"{name} of {type(self._protocol).__name__} failed", error)
            self._fail(error)

    def end_flushed(self) -> None:
        """The writing end is closed; that was all if nothing is read any more."""
        if self._closing or self._reader is None or self._reader.fd < 0:
            self._closing = True
            self._finish_soon()

    def end_broken(self, error: OSError) -> None:
        """Nobody takes our output."""
        self._fail(error)

    def _fail(self, error: BaseException) -> None:
        if self._error is None:
            self._error = error
        self.abort()

    # -- what the protocol asks -------------------------------------------------------------------

    def write(self, data: Writable) -> None:
        """Write at once as far as it goes; keep a copy of the rest."""
        if self._writer is not None and not self._closing:
            self._writer.write(data)

    def writelines(self, list_of_data: Iterable[Writable]) -> None:
        """Write several buffers as one."""
        self.write(b"".join(list_of_data))

    def write_eof(self) -> None:
        """Close the writing end when everything was written."""
        if self._writer is not None:
            self._writer.close_when_flushed()

    def can_write_eof(self) -> bool:
        """The two ends close one by one."""
        return self._writer is not None

    def close(self) -> None:
        """Close after everything was written."""
        if self._closing:
            return
        self._closing = True
        if self._reader is not None:
            self._reader.close()
        if self._writer is not None and self._writer.fd >= 0:
            self._writer.close_when_flushed()
        else:
            self._finish_soon()

    def abort(self) -> None:
        """Close now."""
        self._closing = True
        for end in (self._reader, self._writer):
            if end is not None:
                end.close()
        self._finish_soon()

    def _finish_soon(self) -> None:
        if self._finishing:
            return
        self._finishing = True
        if self._reactor.closed:
            self._finish()
        else:
            self._reactor.call_soon(self._finish)

    def _finish(self) -> None:
        protocol, self._protocol = self._protocol, None
        try:
            protocol.connection_lost(self._error)
        except FAULTS as error:
            self._reactor.report(f"connection_lost of {type(protocol).__name__} failed", error)
        finally:
            if self._on_end is not None:
                self._on_end()

    def is_closing(self) -> bool:
        """Tell whether the transport is closing or closed."""
        return self._closing

    def pause_reading(self) -> None:
        """Read nothing."""
        if self._reader is not None:
            self._reader.pause()

    def resume_reading(self) -> None:
        """Read again."""
        if self._reader is not None:
            self._reader.resume()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return "read_fd" or "write_fd" while that end is open."""
        end = {"read_fd": self._reader, "write_fd": self._writer}.get(name)
        return default if end is None or end.fd < 0 else end.fd

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set the marks, in bytes."""
        if self._writer is not None:
            self._writer.set_marks(high, low)

    def get_write_buffer_size(self) -> int:
        """Return how many bytes wait."""
        return 0 if self._writer is None else self._writer.waiting

    def set_protocol(self, protocol: Any) -> None:
        """Hand everything from now on to `protocol`."""
        self._protocol = protocol
        self._buffered = hasattr(protocol, "get_buffer")

    def get_protocol(self) -> Any:
        """Return the present protocol, None after the end."""
        return self._protocol


def open_pipes(
    reactor: "ReactorCore", protocol: Any, read_fd: int | None, write_fd: int | None
) -> PipeTransport:
    """Make a transport of descriptors, which are its own from now on; both may be the same one."""
    if write_fd is not None and write_fd == read_fd:
        write_fd = os.dup(write_fd)
    for fd in (read_fd, write_fd):
        if fd is not None:
            os.set_blocking(fd, False)
    transport = PipeTransport(reactor, protocol, read_fd, write_fd)
    transport.start()
    return transport
