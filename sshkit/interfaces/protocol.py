"""What a transport calls: the two kinds of stream protocol, in asyncio's words.

Implemented by every protocol of the suite and by its users; called by transports.  One object runs
unchanged on our reactor, on asyncio and on uvloop.  asyncio takes an object for buffered only if its class
derives from asyncio.BufferedProtocol, so a buffered protocol of ours also has `data_received`, made
with `receive_into_buffer`.
"""

from typing import TYPE_CHECKING, Protocol

from .derive import interface

if TYPE_CHECKING:
    from .transport import Transport


class BaseProtocol(Protocol):
    """What both kinds have."""

    def connection_made(self, transport: "Transport") -> None:
        """Called once, first."""
        ...

    def eof_received(self) -> bool | None:
        """The peer will send no more.  True keeps our direction open; None or False closes the transport."""
        ...

    def connection_lost(self, exc: BaseException | None) -> None:
        """Called once, last.  None: closed by either side in the ordinary way."""
        ...

    def pause_writing(self) -> None:
        """More than the high mark is buffered: stop producing."""
        ...

    def resume_writing(self) -> None:
        """The buffer has drained to the low mark: go on."""
        ...


class StreamProtocol(BaseProtocol, Protocol):
    """Takes data as bytes."""

    def data_received(self, data: bytes) -> None:
        """Take what has arrived: at least one byte, in order, chopped anyhow."""
        ...


class BufferedProtocol(BaseProtocol, Protocol):
    """Lends the transport a buffer to receive into."""

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return a writable, not empty view to receive into; `sizehint` is -1 or the size wished for.

        It is filled, if at all, before control returns to the reactor.
        """
        ...

    def buffer_updated(self, nbytes: int) -> None:
        """Take the first `nbytes` of the view that `get_buffer` gave last.

        Our transports may say 0: there was no more, so a buffer that was taken for it may be let go.
        """
        ...


class _Lender(Protocol):
    """The part of a buffered protocol that takes data."""

    def get_buffer(self, sizehint: int) -> memoryview: ...

    def buffer_updated(self, nbytes: int) -> None: ...


def receive_into_buffer(self: _Lender, data: bytes) -> None:
    """Be the `data_received` of a buffered protocol, for transports that do not know such.

    In the class body: `data_received = receive_into_buffer`.
    """
    view = memoryview(data)
    while view:
        buffer = self.get_buffer(len(view))
        size = min(len(buffer), len(view))
        buffer[:size] = view[:size]
        view = view[size:]
        self.buffer_updated(size)


IBaseProtocol = interface(BaseProtocol)
IStreamProtocol = interface(StreamProtocol)
IBufferedProtocol = interface(BufferedProtocol)
