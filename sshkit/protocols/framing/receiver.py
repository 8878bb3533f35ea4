"""What all receivers share: one buffer, cut from the front; pausing; the switch to raw data and back.

A subclass says in `take` how one piece is found.  What arrives is cut where it lies when nothing was left
over from before, so a stream of whole pieces is copied once, into the pieces.
"""

from typing import TYPE_CHECKING

from .errors import FramingError

if TYPE_CHECKING:
    from sshkit.interfaces import Transport

#: Bytes of one piece unless told otherwise: enough for most protocols, little to hold for each connection.
MAX_LENGTH = 64 * 1024

#: What `take` returns when a piece is not there as a whole.
MORE = -1


class Receiver:
    """A stream protocol that is called with pieces.  `max_length` is the most bytes that one may have."""

    __slots__ = ("_buffer", "_busy", "_ended", "_paused", "_raw", "_searched", "error", "transport")

    max_length = MAX_LENGTH

    #: Set by `connection_made`.
    transport: "Transport"

    def __init__(self) -> None:
        self._buffer = bytearray()  # what was not cut yet
        self._busy = False  # pieces are being delivered
        self._paused = False
        self._raw = False
        self._searched = (
            0  # bytes of an unfinished line, known to hold no delimiter; here, so that classes mix
        )
        self._ended = False  # nothing is delivered any more
        #: What the peer did wrong, if it did.
        self.error: FramingError | None = None

    # -- what a subclass or program overrides -----------------------------------------------------

    def take(self, source: bytes | bytearray, at: int) -> int:
        """Deliver the piece of `source` that begins at `at`; return where the next begins, or MORE.

        Raises FramingError when it cannot be one.
        """
        raise NotImplementedError

    def raw_data_received(self, data: bytes) -> None:
        """Take data as it comes, after `set_raw_mode`."""

    def frame_refused(self, error: FramingError) -> None:
        """The peer has broken the limits: nothing more is delivered.  The connection is aborted here."""
        self.transport.abort()

    def connection_made(self, transport: "Transport") -> None:
        """Called once, first."""
        self.transport = transport

    def eof_received(self) -> bool | None:
        """The peer sends no more: the connection closes."""
        return None

    def connection_lost(self, exc: BaseException | None) -> None:
        """Called once, last."""

    def pause_writing(self) -> None:
        """The peer is slow."""

    def resume_writing(self) -> None:
        """The peer has caught up."""

    # -- what a program calls ---------------------------------------------------------------------

    def pause(self) -> None:
        """Deliver nothing until `resume`, and let the peer wait."""
        if not self._paused:
            self._paused = True
            self.transport.pause_reading()

    def resume(self) -> None:
        """Deliver again: first, and inside this call unless it came from a delivery, what is here already."""
        if self._paused:
            self._paused = False
            if not self._busy:
                self._deliver(self._buffer)
            if not self._paused:
                self.transport.resume_reading()

    def set_raw_mode(self) -> None:
        """Take what follows as it comes: `raw_data_received` instead of pieces."""
        self._raw = True

    def set_frame_mode(self, rest: bytes = b"") -> None:
        """Take pieces again, beginning with `rest`: what raw data held beyond its end."""
        if not self._raw:
            raise FramingError("not in raw mode: there is no rest to give back")
        self._raw = False
        if rest:
            self._buffer[:0] = rest
        if not self._busy and not self._paused:
            self._deliver(self._buffer)

    # -- the stream -------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Take data, chopped anyhow."""
        if self._ended:
            return
        buffer = self._buffer
        if buffer or self._busy or self._paused:
            buffer += data
            if not self._busy and not self._paused:
                self._deliver(buffer)
        else:
            self._deliver(data)

    def _deliver(self, source: bytes | bytearray) -> None:
        """Cut pieces until one is not there as a whole; keep the rest."""
        self._busy = True
        buffer = self._buffer
        at = 0
        try:
            while not self._paused and not self._ended:
                if self._raw:
                    piece = bytes(source[at:])
                    if source is buffer:
                        buffer.clear()
                        at = 0
                    else:
                        at = len(source)
                    if piece:
                        self.raw_data_received(piece)
                        continue
                else:
                    end = self.take(source, at)
                    if end != MORE:
                        at = end
                        continue
                if source is buffer or not buffer:
                    break
                buffer[:0] = source[at:]  # something came in during a delivery, or back from raw data
                source, at = buffer, 0
        except FramingError as error:
            self._ended = True
            self.error = error
            buffer.clear()
            source, at = b"", 0
            self.frame_refused(error)
        finally:
            self._busy = False
            if source is buffer:
                del buffer[:at]
            elif at < len(source):
                buffer[:0] = source[at:]

    def stop(self) -> None:
        """Deliver nothing any more, not even what is here already; the transport is left as it is."""
        self._ended = True
        self._buffer.clear()
