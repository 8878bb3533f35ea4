"""A log of what goes over a connection: every byte shown so that no terminal obeys it, and bounded.

For finding faults.  It holds what the connection carries, secrets too: leave it out where those flow.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from sshkit.interfaces.transport import Writable

from ..text import shown, shown_address
from .wrapper import Wrapper, Wrapping

if TYPE_CHECKING:
    from sshkit.interfaces import Transport

#: Bytes shown of one piece, and of one connection in all; then only counts.
PIECE_LIMIT: Final = 256
CONNECTION_LIMIT: Final = 64 * 1024

#: Bytes in one line of hexadecimal digits.
WIDTH = 16


class TrafficLog(Wrapping):
    """Tell `log`, a function that takes a line, what each connection receives and sends.

    `form` is "text" (escaped) or "hex"; `piece` and `limit` are the most bytes shown of one piece and of one
    connection.
    """

    __slots__ = ("form", "limit", "log", "number", "piece")

    def __init__(
        self,
        factory: Callable[[], Any],
        log: Callable[[str], object],
        *,
        form: str = "text",
        piece: int = PIECE_LIMIT,
        limit: int = CONNECTION_LIMIT,
    ) -> None:
        super().__init__(factory)
        if form not in ("text", "hex"):
            raise ValueError(f"form {form!r}: 'text' and 'hex' are known")
        self.log = log
        self.form = form
        self.piece = piece
        self.limit = limit
        self.number = 0

    def __call__(self) -> "Logged":
        """Make the protocol of one connection."""
        self.number += 1
        return Logged(self.factory(), self, self.number)


class Logged(Wrapper):
    """One connection whose bytes are seen."""

    __slots__ = ("_left", "_log", "_number", "received", "sent")

    def __init__(self, protocol: Any, log: TrafficLog, number: int) -> None:
        super().__init__(protocol)
        self._log = log
        self._number = number
        self._left = log.limit
        #: Bytes so far.
        self.received = 0
        self.sent = 0

    def _say(self, text: str) -> None:
        self._log.log(f"connection {self._number}: {text}")

    def _show(self, arrow: str, data: Writable) -> None:
        size = len(data)
        room = min(self._log.piece, self._left, size)
        self._left -= room
        head = bytes(memoryview(data)[:room])
        more = f" and {size - room} bytes more" if size > room else ""
        if self._log.form == "hex":
            for at in range(0, room, WIDTH):
                line = head[at : at + WIDTH]
                text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in line)
                self._say(f"{arrow} {line.hex(' '):<{WIDTH * 3 - 1}}  {text}")
            if more:
                self._say(f"{arrow}{more}")
        else:
            self._say(f"{arrow} {shown(head)}{more}")

    def connection_made(self, transport: "Transport") -> None:
        """Log it."""
        self._say(f"made, with {shown_address(transport.get_extra_info('peername'))}")
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Log it."""
        self.received += len(data)
        self._show("<", data)
        super().data_received(data)

    def write(self, data: Writable) -> None:
        """Log it."""
        self.sent += len(data)
        self._show(">", data)
        self.transport.write(data)

    def eof_received(self) -> bool | None:
        """Log it."""
        self._say("< end")
        return super().eof_received()

    def write_eof(self) -> None:
        """Log it."""
        self._say("> end")
        self.transport.write_eof()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Log it."""
        why = "" if exc is None else f" ({type(exc).__name__}: {shown(str(exc))})"
        self._say(f"lost{why}; {self.received} bytes received, {self.sent} sent")
        super().connection_lost(exc)
