"""The client's side of telnet.

Called by tests and by programs that speak with a telnet server.  Tells the server its terminal's name and
size if it was given them, and of its environment only what was handed in: nothing by itself.
"""

from .environment import format_variables
from .options import (
    BINARY,
    ECHO,
    ENVIRONMENT,
    IS,
    SEND,
    SUPPRESS_GO_AHEAD,
    TERMINAL_TYPE,
    WINDOW_SIZE,
)
from .protocol import TelnetProtocol, TelnetSession


class TelnetClient(TelnetProtocol):
    """A connection to a server."""

    __slots__ = ("_environment", "_size", "_terminal", "accepts_local")

    accepts_remote = frozenset((BINARY, ECHO, SUPPRESS_GO_AHEAD))

    def __init__(
        self,
        session: TelnetSession,
        *,
        terminal: str = "",
        size: tuple[int, int] | None = None,
        environment: dict[str, str] | None = None,
    ) -> None:
        """`size` is (columns, rows)."""
        super().__init__(session)
        self._terminal = terminal
        self._size = size
        self._environment = environment or {}
        told = {TERMINAL_TYPE: bool(terminal), WINDOW_SIZE: size is not None, ENVIRONMENT: bool(environment)}
        self.accepts_local = frozenset(
            (BINARY, SUPPRESS_GO_AHEAD, *(option for option, given in told.items() if given))
        )

    def resize(self, columns: int, rows: int) -> None:
        """Tell the server the terminal's new size, if it wants to know."""
        self._size = (columns, rows)
        if self.is_on(WINDOW_SIZE, ours=True):
            self._tell_size()

    def option_changed(self, option: int, ours: bool, on: bool) -> None:
        """Tell the size as soon as the server wants it (RFC 1073)."""
        super().option_changed(option, ours, on)
        if ours and on and option == WINDOW_SIZE:
            self._tell_size()

    def subnegotiated(self, option: int, body: bytes) -> None:
        """Answer the server's questions; whatever else it says is left alone."""
        if body[:1] != bytes((SEND,)) or not self.is_on(option, ours=True):
            return
        if option == TERMINAL_TYPE:
            self.answer(option, bytes((IS,)) + self._terminal.encode("ascii", "replace"))
        elif option == ENVIRONMENT:
            self.answer(option, bytes((IS,)) + format_variables(self._environment))

    def _tell_size(self) -> None:
        assert self._size is not None  # the option is agreed to only with a size
        columns, rows = (min(side, 65535) for side in self._size)
        self.answer(WINDOW_SIZE, columns.to_bytes(2, "big") + rows.to_bytes(2, "big"), asked=False)
