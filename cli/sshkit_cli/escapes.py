"""The escape character: ``~.`` and its like at the start of a line (ssh(1), ESCAPE CHARACTERS).

Called by the session with everything that is typed on a terminal.
"""

from collections.abc import Callable, Mapping

from sshkit.config.shown import shown_character

_LINE_ENDS = (13, 10)

HELP = """\
Supported escape sequences:
 {0}.   - end the connection
 {0}B   - send a BREAK to the remote system
 {0}C   - open a command line
 {0}R   - exchange new keys
 {0}V/v - say less or more
 {0}^Z  - suspend this program
 {0}#   - list forwarded connections
 {0}&   - go to the background, while forwarded connections are open
 {0}?   - this text
 {0}{0}   - send the escape character by typing it twice
(Escapes are only recognized immediately after newline.)
"""

COMMANDS = """\
Commands:
 -L[bind_address:]port:host:hostport    - forward a port from here
 -R[bind_address:]port:host:hostport    - forward a port from the server
 -D[bind_address:]port                  - forward for SOCKS
 -KL[bind_address:]port                 - cancel a forward from here
 -KR[bind_address:]port                 - cancel a forward from the server
 -KD[bind_address:]port                 - cancel a forward for SOCKS
"""


class EscapeFilter:
    """Takes escapes out of what is typed and calls for each; all else goes on."""

    __slots__ = ("_actions", "_at_line_start", "_character", "_pending")

    def __init__(self, character: int, actions: Mapping[int, Callable[[], object]]) -> None:
        """Look for `character`; `actions` maps what follows it to what is done."""
        self._character = character
        self._actions = actions
        self._at_line_start = True
        self._pending = False

    @property
    def shown(self) -> str:
        """The character as people write it."""
        return shown_character(self._character)

    def feed(self, data: bytes | memoryview) -> bytes | memoryview:
        """Return what is to be sent of what was typed."""
        if not self._pending and self._character not in bytes(data):
            if len(data):
                self._at_line_start = data[-1] in _LINE_ENDS
            return data
        sent = bytearray()
        for char in bytes(data):
            if self._pending:
                self._pending = False
                action = self._actions.get(char)
                if action is not None:
                    action()
                    self._at_line_start = True
                    continue
                if char != self._character:
                    sent.append(self._character)
            elif self._at_line_start and char == self._character:
                self._pending = True
                continue
            sent.append(char)
            self._at_line_start = char in _LINE_ENDS
        return bytes(sent)
