"""What both sides of the legacy SCP protocol share: the stream, the lines, the way it ends.

`Source` and `Sink` derive from `Peer`.  Whoever runs a copy hands an `Observer` in, which is told of files,
bytes and complaints, and may slow the copy down.
"""

from typing import TYPE_CHECKING, Any

from sshkit.deferred import Deferred
from sshkit.scp.messages import MAX_LINE, SCPConnectionLost, SCPProtocolError
from sshkit.ssh.connection.protocol import ChannelProtocol

if TYPE_CHECKING:
    from sshkit.interfaces import Clock

MAX_DEPTH = 100  #: folders below each other; each holds one descriptor


class Observer:
    """Is told what a copy does; this one does not care."""

    __slots__ = ()

    def file_started(self, name: bytes, size: int) -> None:
        """A file of `size` bytes begins; `name` is a peer's where it came from there."""

    def moved(self, count: int) -> float:
        """So many bytes more; returns the seconds to wait before more are moved."""
        return 0.0

    def file_ended(self) -> None:
        """The file is whole, or has failed: a complaint told so."""

    def complained(self, text: str, remote: bool) -> None:
        """Something went wrong; `text` is escaped, and the other side's words if `remote`."""


class Peer(ChannelProtocol):
    """One side.  `finished` fires with the number of complaints, or fails where the copy broke."""

    __slots__ = ("_line", "_transport", "clock", "errors", "finished", "observer", "over")

    def __init__(self, clock: "Clock", observer: Observer | None) -> None:
        self.clock = clock
        self.observer = observer or Observer()
        self._transport: Any = None
        self._line = bytearray()
        self.errors = 0
        self.over = False
        self.finished: Deferred[int] = Deferred(lambda _: self.stop())

    # What the stream calls: a channel's words, and a plain transport's.

    def channel_opened(self, channel: Any, body: bytes) -> None:
        self._transport = channel

    def connection_made(self, transport: Any) -> None:
        """A plain transport is there: begin."""
        self._transport = transport
        self.begin()

    def begin(self) -> None:
        """The other side runs, or was asked to."""

    def data_received(self, data: memoryview | bytes) -> None:
        """Take what came; anything wrong with it ends the copy."""
        view = memoryview(data)
        try:
            while len(view) and not self.over:
                view = self.take(view)
        except SCPProtocolError as error:
            self.broken(error)
        except Exception as error:
            self.fail(error)

    def take(self, view: memoryview) -> memoryview:
        """Take some of what came and return the rest."""
        raise NotImplementedError

    def eof_received(self) -> None:
        self.stream_ended(None)

    def channel_closed(self, error: BaseException | None) -> None:
        self.stream_ended(error)

    def connection_lost(self, exc: BaseException | None) -> None:
        """A plain transport has ended."""
        self.stream_ended(exc)

    def stream_ended(self, error: BaseException | None) -> None:
        """No more comes: fail, unless the copy was over."""
        why = "lost connection" if error is None else f"lost connection: {error}"
        lost = SCPConnectionLost(why)
        lost.__cause__ = error
        self.fail(lost)

    # For the sides.

    def take_line(self, view: memoryview) -> tuple[bytes | None, memoryview]:
        """Return a whole line without its newline, or None, and what came behind it."""
        piece = bytes(view[: MAX_LINE + 1 - len(self._line)])
        position = piece.find(b"\n")
        if position < 0:
            self._line += piece
            if len(self._line) > MAX_LINE:
                raise SCPProtocolError(f"a line of more than {MAX_LINE} bytes")
            return None, view[len(piece) :]
        line = bytes(self._line) + piece[:position]
        self._line.clear()
        return line, view[position + 1 :]

    def note(self, text: str, remote: bool) -> None:
        """Count a complaint and tell it."""
        self.errors += 1
        self.observer.complained(text, remote)

    def broken(self, error: SCPProtocolError) -> None:
        """The other side broke the protocol."""
        self.fail(error)

    def finish(self) -> None:
        """The copy has come to its end."""
        if not self.over:
            self.stop()
            self.finished.callback(self.errors)

    def fail(self, error: BaseException) -> None:
        """End the copy with an error, unless it is over."""
        if not self.over:
            self.stop()
            self.finished.errback(error)

    def stop(self) -> None:
        """Do nothing more."""
        self.over = True
