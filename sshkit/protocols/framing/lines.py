"""Lines: pieces that end with a delimiter."""

from .errors import FramingError
from .receiver import MORE, Receiver


class LineReceiver(Receiver):
    """Calls `line_received` with each line, without its `delimiter`.  `max_length` does not count that."""

    __slots__ = ()

    delimiter = b"\r\n"

    def line_received(self, line: bytes) -> None:
        """Take one line."""

    def send_line(self, line: bytes) -> None:
        """Send a line; FramingError if it holds the delimiter, and would be two."""
        if self.delimiter in line:
            raise FramingError(f"a line to send holds its delimiter {self.delimiter!r}")
        self.transport.writelines((line, self.delimiter))

    def take(self, source: bytes | bytearray, at: int) -> int:
        """Deliver one line."""
        delimiter = self.delimiter
        width = len(delimiter)
        limit = at + self.max_length
        end = source.find(delimiter, at + self._searched, limit + width)
        if end < 0:
            waiting = len(source) - at
            if waiting >= self.max_length + width:
                raise FramingError(f"a line of more than {self.max_length} bytes")
            self._searched = max(waiting - width + 1, 0)
            return MORE
        self._searched = 0
        self.line_received(bytes(source[at:end]))
        return end + width
