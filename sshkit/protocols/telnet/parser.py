"""Telnet's stream taken apart: data, commands, options, subnegotiations (RFC 854, RFC 855).

Called by `sshkit.protocols.telnet.protocol`.  Takes pieces chopped anyhow; an endless subnegotiation costs
bounded memory.
"""

import re
from typing import Protocol

from .options import DONT, END_OF_SUBNEGOTIATION, IAC, SUBNEGOTIATION, WILL

#: Longest subnegotiation that is looked at; a longer one is read to its end and dropped.
MAX_SUBNEGOTIATION = 4096

_DATA, _RETURN, _COMMAND, _OPTION, _INSIDE, _INSIDE_COMMAND = range(6)
_RUN = re.compile(rb"[^\r\xff]+")
_BINARY_RUN = re.compile(rb"[^\xff]+")


class Handler(Protocol):
    """Who receives what the parser found, in the order of the stream."""

    def data(self, data: bytes) -> None:
        """Take data, without telnet's escapes."""
        ...

    def command(self, code: int) -> None:
        """Take a command that stands alone."""
        ...

    def negotiate(self, verb: int, option: int) -> None:
        """Take WILL, WONT, DO or DONT."""
        ...

    def subnegotiation(self, option: int, body: bytes) -> None:
        """Take what is said about an option."""
        ...


class TelnetParser:
    """Calls a handler; never raises for what the stream holds."""

    __slots__ = ("_handler", "_newline", "_overlong", "_state", "_text", "_verb", "binary", "dropped")

    def __init__(self, handler: Handler, newline: bytes) -> None:
        """`newline` is what an end of line (CR LF) becomes; CR NUL becomes a CR, as RFC 854 has it."""
        self._handler = handler
        self._newline = newline
        #: Whether the peer sends binary data (RFC 856), in which CR is nothing special.
        self.binary = False
        self.dropped = 0  #: overlong and empty subnegotiations
        self._state = _DATA
        self._verb = 0
        self._text = bytearray()
        self._overlong = False

    def feed(self, data: bytes) -> None:
        """Take the next piece of the stream."""
        position, end = 0, len(data)
        while position < end:
            state = self._state
            if state == _DATA:
                run = (_BINARY_RUN if self.binary else _RUN).match(data, position)
                if run:
                    self._handler.data(run.group())
                    position = run.end()
                    continue
                self._state = _COMMAND if data[position] == IAC else _RETURN
                position += 1
            elif state == _RETURN:
                position = self._after_return(data, position)
            elif state == _INSIDE:
                stop = data.find(IAC, position)
                stop = end if stop < 0 else stop
                self._keep(data[position:stop])
                position = stop + 1
                if stop < end:
                    self._state = _INSIDE_COMMAND
            else:
                self._step(state, data[position])
                position += 1

    def _after_return(self, data: bytes, position: int) -> int:
        following = data[position]
        if following == IAC:
            # Commands may stand between CR and its second half; the CR counts at once.
            self._handler.data(b"\r")
            self._state = _COMMAND
            return position + 1
        self._state = _DATA
        if following == 0:
            self._handler.data(b"\r")
            return position + 1
        if following == ord("\n"):
            self._handler.data(self._newline)
            return position + 1
        self._handler.data(b"\r")  # forbidden, and usual
        return position

    def _step(self, state: int, byte: int) -> None:
        if state == _COMMAND:
            self._state = _DATA
            if byte == IAC:
                self._handler.data(b"\xff")
            elif WILL <= byte <= DONT:
                self._verb = byte
                self._state = _OPTION
            elif byte == SUBNEGOTIATION:
                self._text.clear()
                self._overlong = False
                self._state = _INSIDE
            else:
                self._handler.command(byte)
        elif state == _OPTION:
            self._state = _DATA
            self._handler.negotiate(self._verb, byte)
        elif byte == IAC:
            self._keep(b"\xff")
            self._state = _INSIDE
        else:
            self._state = _DATA
            self._finish()
            if byte != END_OF_SUBNEGOTIATION:
                # The end is missing; the command that came instead counts.
                self._step(_COMMAND, byte)

    def _keep(self, part: bytes) -> None:
        if self._overlong or len(self._text) + len(part) > MAX_SUBNEGOTIATION:
            self._overlong = True
            self._text.clear()
        else:
            self._text += part

    def _finish(self) -> None:
        if self._overlong or not self._text:
            self.dropped += 1
        else:
            self._handler.subnegotiation(self._text[0], bytes(self._text[1:]))
        self._text.clear()
