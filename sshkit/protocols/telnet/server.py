"""The server's side of telnet: a session with a person's terminal, character by character.

Called by `sshkit.manhole.over_telnet`.  Asks the client for its terminal's name and size and its language,
says that it echoes, and wants 8-bit data, so that UTF-8 passes.
"""

import re

from .environment import parse_variables
from .options import (
    BINARY,
    ECHO,
    ENVIRONMENT,
    INFO,
    IS,
    SEND,
    SUPPRESS_GO_AHEAD,
    TERMINAL_TYPE,
    USER_VARIABLE,
    WINDOW_SIZE,
)
from .protocol import TelnetProtocol, TelnetSession

#: A screen model costs memory for every place; nobody has a terminal larger than this.
MAX_SIDE = 1000
#: Asked for by name, so that a client tells nothing else.
_WANTED = bytes((USER_VARIABLE,)) + bytes((USER_VARIABLE,)).join((b"LANG", b"LC_ALL", b"LC_CTYPE"))
#: RFC 1091's names; nothing else gets near a terminal database.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._/:-]{0,39}")


class TelnetServer(TelnetProtocol):
    """A connection that a client opened."""

    __slots__ = ("_awaited",)

    accepts_remote = frozenset((BINARY, SUPPRESS_GO_AHEAD, TERMINAL_TYPE, WINDOW_SIZE, ENVIRONMENT))
    accepts_local = frozenset((BINARY, ECHO, SUPPRESS_GO_AHEAD))
    asks_local = (ECHO, SUPPRESS_GO_AHEAD, BINARY)
    asks_remote = (SUPPRESS_GO_AHEAD, WINDOW_SIZE, TERMINAL_TYPE, ENVIRONMENT, BINARY)
    newline = b"\r"

    def __init__(self, session: TelnetSession) -> None:
        super().__init__(session)
        #: Options that are on, and of which the client has said nothing yet.
        self._awaited: set[int] = set()

    def option_changed(self, option: int, ours: bool, on: bool) -> None:
        """Ask for what the client has just agreed to tell."""
        super().option_changed(option, ours, on)
        if ours or option not in (WINDOW_SIZE, TERMINAL_TYPE, ENVIRONMENT):
            return
        if not on:
            self._awaited.discard(option)
            return
        self._awaited.add(option)
        if option != WINDOW_SIZE:  # which comes by itself
            self.answer(option, bytes((SEND,)) + (_WANTED if option == ENVIRONMENT else b""))

    def subnegotiated(self, option: int, body: bytes) -> None:
        """Take the terminal's name or size, or variables."""
        self._awaited.discard(option)
        if option == WINDOW_SIZE and len(body) == 4:
            columns, rows = int.from_bytes(body[:2], "big"), int.from_bytes(body[2:], "big")
            if columns and rows:  # 0: the client does not know (RFC 1073)
                self._session.size_changed(min(columns, MAX_SIDE), min(rows, MAX_SIDE))
        elif option == TERMINAL_TYPE and body[:1] == bytes((IS,)):
            name = body[1:].decode("ascii", "replace")
            if _NAME.fullmatch(name):
                self._session.terminal_named(name.lower())
        elif option == ENVIRONMENT and body[:1] in (bytes((IS,)), bytes((INFO,))):
            self._session.environment_received(parse_variables(body[1:]))

    def is_waiting(self) -> bool:
        """Tell whether the client has agreed to tell something and has not told it."""
        return bool(self._awaited)
