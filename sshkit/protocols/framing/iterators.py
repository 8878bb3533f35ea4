"""The receivers as async iterators: ``async for line in connection``.

A piece that nobody has asked for yet waits in a queue; when that is full, the peer waits.  The iteration ends
with the connection: quietly where it was closed, by its error where it broke or the peer broke the limits.
"""

from collections import deque
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from sshkit.deferred import Deferred, DeferredQueue, succeed

from .framed import FramedReceiver, Int8Receiver, Int16Receiver, Int32Receiver
from .lines import LineReceiver
from .netstrings import NetstringReceiver
from .receiver import Receiver

if TYPE_CHECKING:
    from .errors import FramingError

_T = TypeVar("_T")

#: Pieces that may wait before the peer is made to; it goes on when half of them were taken.
MAX_WAITING = 64

_END: Any = type("End", (), {})()


class _Iterated(Receiver, Generic[_T]):
    """The part that queues and hands out."""

    __slots__ = ("_drains", "_over", "_pieces", "_why", "_writing_paused")

    def __init__(self) -> None:
        super().__init__()
        self._pieces: DeferredQueue[_T] = DeferredQueue()
        self._over = False
        self._why: BaseException | None = None
        self._writing_paused = False
        self._drains: deque[Deferred[None]] = deque()

    def __aiter__(self) -> "_Iterated[_T]":
        return self

    async def __anext__(self) -> _T:
        piece = await self._pieces.get()
        if piece is _END:
            self._pieces.put(piece)  # for whoever else asks
            if self._why is not None:
                raise self._why
            raise StopAsyncIteration
        if self._paused and len(self._pieces) <= MAX_WAITING // 2 and not self._over:
            self.resume()
        return piece

    def _came(self, piece: _T) -> None:
        self._pieces.put(piece)
        if len(self._pieces) >= MAX_WAITING:
            self.pause()

    def frame_refused(self, error: "FramingError") -> None:
        """The iteration ends with the error."""
        self._end(error)
        super().frame_refused(error)

    def connection_lost(self, exc: BaseException | None) -> None:
        """The iteration ends."""
        self._end(exc)

    def eof_received(self) -> bool | None:
        """The peer sends no more: the iteration ends; our direction closes when what waits was written."""
        self._end(None)
        return None

    def _end(self, why: BaseException | None) -> None:
        if not self._over:
            self._over = True
            self._why = why
            self._pieces.put(_END)
        drains, self._drains = self._drains, deque()
        for deferred in drains:
            deferred.callback(None)

    def pause_writing(self) -> None:
        """Hold up whoever waits in `drain`."""
        self._writing_paused = True

    def resume_writing(self) -> None:
        """Let them go on."""
        self._writing_paused = False
        drains, self._drains = self._drains, deque()
        for deferred in drains:
            deferred.callback(None)

    def drain(self) -> Deferred[None]:
        """Wait until the peer takes more; at once where it does, or never will."""
        if not self._writing_paused or self._over:
            return succeed(None)
        deferred: Deferred[None] = Deferred(self._drains.remove)
        self._drains.append(deferred)
        return deferred

    def close(self) -> None:
        """Close the connection; what waits is still handed out, and then the iteration ends."""
        self.transport.close()


class Lines(_Iterated[bytes], LineReceiver):
    """Iterate over lines; `send_line` sends one."""

    __slots__ = ()

    def line_received(self, line: bytes) -> None:
        """Queue it."""
        self._came(line)


class Netstrings(_Iterated[bytes], NetstringReceiver):
    """Iterate over netstrings; `send_string` sends one."""

    __slots__ = ()

    def string_received(self, string: bytes) -> None:
        """Queue it."""
        self._came(string)


class Frames(_Iterated[tuple[tuple[Any, ...], bytes]], FramedReceiver):
    """Iterate over (header fields, body); a subclass sets `header`; `send_frame` sends one."""

    __slots__ = ()

    def frame_received(self, fields: tuple[Any, ...], body: bytes) -> None:
        """Queue it."""
        self._came((fields, body))


class Messages32(_Iterated[bytes], Int32Receiver):
    """Iterate over messages with a length of four bytes; `send_message` sends one."""

    __slots__ = ()

    def message_received(self, message: bytes) -> None:
        """Queue it."""
        self._came(message)


class Messages16(_Iterated[bytes], Int16Receiver):
    """Iterate over messages with a length of two bytes; `send_message` sends one."""

    __slots__ = ()

    def message_received(self, message: bytes) -> None:
        """Queue it."""
        self._came(message)


class Messages8(_Iterated[bytes], Int8Receiver):
    """Iterate over messages with a length of one byte; `send_message` sends one."""

    __slots__ = ()

    def message_received(self, message: bytes) -> None:
        """Queue it."""
        self._came(message)
