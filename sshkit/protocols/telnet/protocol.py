"""A telnet connection, either side: negotiation, and data with telnet's escapes on the wire.

`TelnetServer` and `TelnetClient` (in their own files) say what they want of the peer; what both do is here.
A transport calls it as any stream protocol; a session behind it is called with data, sizes and names, and
writes through it.  RFC 854 to 858, 1073, 1091, 1143, 1572.

Nothing here is encrypted: what telnet is for is a terminal on this machine.
"""

import re
from typing import Any, Protocol

from sshkit_keys.errors import SSHKitError

from ...interfaces.transport import Transport
from .options import COMMANDS, DO, DONT, ECHO, IAC, NEXT, SUBNEGOTIATION, WILL, WONT, Input, State
from .options import END_OF_SUBNEGOTIATION as END
from .parser import TelnetParser

#: As many questions of one peer are answered; a person's program asks some dozens.
MAX_ANSWERS = 1000

_ESCAPED = re.compile(rb"\xff|\r(?!\n)")
#: In binary data only IAC is special.
_SUBSTITUTES = {b"\xff": b"\xff\xff", b"\r": b"\r\0"}


class TelnetError(SSHKitError):
    """The telnet peer asks without end; the connection is closed."""


class TelnetSession(Protocol):
    """What a telnet connection calls: the program behind it."""

    def connected(self, telnet: "TelnetProtocol") -> None:
        """Called once, first; negotiation has begun."""
        ...

    def negotiated(self) -> None:
        """Called once, when the peer has answered all that was asked first; set a deadline of your own."""
        ...

    def data_received(self, data: bytes) -> None:
        """Take data without telnet's escapes."""
        ...

    def size_changed(self, columns: int, rows: int) -> None:
        """The peer's terminal has this size."""
        ...

    def terminal_named(self, name: str) -> None:
        """The peer's terminal is of this type: letters, digits and "-+._/:" only, in small letters."""
        ...

    def environment_received(self, variables: dict[str, str]) -> None:
        """The peer has told variables of the allowed names (LANG, LC_*)."""
        ...

    def command_received(self, name: str) -> None:
        """The peer sent a command: "break", "interrupt", "are-you-there" ..."""
        ...

    def option_changed(self, option: int, ours: bool, on: bool) -> None:
        """An option is on or off from now on, at our side or the peer's."""
        ...

    def pause_writing(self) -> None:
        """Stop producing."""
        ...

    def resume_writing(self) -> None:
        """Go on."""
        ...

    def connection_lost(self, exc: BaseException | None) -> None:
        """Called once, last; TelnetError where the peer was too much."""
        ...


class TelnetProtocol:
    """What both sides do.  Towards the session it has a transport's words: write, close, abort ..."""

    __slots__ = (
        "_answers",
        "_error",
        "_local",
        "_negotiated",
        "_parser",
        "_remote",
        "_returned",
        "_session",
        "_transport",
    )

    #: What a side takes from the peer's WILL (remote) and DO (local) without having asked.
    accepts_remote: frozenset[int] = frozenset()
    accepts_local: frozenset[int] = frozenset()
    #: What a side asks for as soon as it is connected, in this order.
    asks_remote: tuple[int, ...] = ()
    asks_local: tuple[int, ...] = ()
    #: What an end of line of the peer's becomes.
    newline = b"\r\n"

    def __init__(self, session: TelnetSession) -> None:
        self._session = session
        self._transport: Transport | None = None
        self._parser = TelnetParser(self, self.newline)
        # Only options that somebody spoke of, so at most 256 each.
        self._remote: dict[int, State] = {}
        self._local: dict[int, State] = {}
        self._answers = 0
        self._returned = False
        self._negotiated = False
        self._error: TelnetError | None = None

    # What the transport calls.

    def connection_made(self, transport: Transport) -> None:
        """Ask for what this side wants."""
        self._transport = transport
        self._session.connected(self)
        for option in self.asks_local:
            self.ask(option, ours=True)
        for option in self.asks_remote:
            self.ask(option, ours=False)
        self._look_whether_negotiated()

    def data_received(self, data: bytes) -> None:
        """Take what the peer sent."""
        if self._error is None:
            self._parser.feed(data)

    def eof_received(self) -> bool | None:
        """Close: a terminal that has gone reads nothing."""
        return None

    def connection_lost(self, exc: BaseException | None) -> None:
        """Tell the session."""
        self._transport = None
        self._session.connection_lost(self._error or exc)

    def pause_writing(self) -> None:
        """Tell the session to stop producing."""
        self._session.pause_writing()

    def resume_writing(self) -> None:
        """Tell the session to go on."""
        self._session.resume_writing()

    # What the session calls.

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send data; a line ends with CR LF.  Escapes what telnet needs escaped."""
        data = bytes(data)
        if not data:
            return
        if self.is_on(0, ours=True):
            data = data.replace(b"\xff", b"\xff\xff")
        else:
            ends_open = data.endswith(b"\r")
            head = b"\0" if self._returned and not data.startswith(b"\n") else b""
            # Only the next write knows what follows a CR at the end.
            body = data[:-1] if ends_open else data
            escaped = _ESCAPED.sub(lambda found: _SUBSTITUTES[found.group()], body)
            data = head + escaped + (b"\r" if ends_open else b"")
            self._returned = ends_open
        self._send(data)

    def close(self) -> None:
        """Close once what was written has left."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close now."""
        if self._transport is not None:
            self._transport.abort()

    def is_closing(self) -> bool:
        """Tell whether nothing can be sent any more."""
        return self._transport is None or self._transport.is_closing()

    def pause_reading(self) -> None:
        """Deliver nothing until `resume_reading`."""
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Deliver again."""
        if self._transport is not None:
            self._transport.resume_reading()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return a fact of the transport's, else `default`."""
        return default if self._transport is None else self._transport.get_extra_info(name, default)

    def send_command(self, code: int) -> None:
        """Send a command of `options.COMMANDS`."""
        self._send(bytes((IAC, code)))

    def is_on(self, option: int, *, ours: bool) -> bool:
        """Tell whether an option is on; one that we are switching off still is."""
        state = (self._local if ours else self._remote).get(option, State.NO)
        return state in (State.YES, State.WANT_NO, State.WANT_NO_OPPOSITE)

    def ask(self, option: int, *, ours: bool, on: bool = True) -> None:
        """Ask the peer to agree that an option is on (or off) at our side or at its own."""
        self._advance(option, ours, Input.ASK if on else Input.ASK_NOT)

    def hide_input(self, hidden: bool) -> None:
        """As a server, echo or do not: a client shows what is typed only where the server does not echo."""
        self.ask(ECHO, ours=True, on=hidden)

    # What the parser calls.

    def data(self, data: bytes) -> None:
        """Hand data on."""
        if self._error is None:
            self._session.data_received(data)

    def command(self, code: int) -> None:
        """Hand a command on; those without a name do nothing."""
        if self._error is None and code in COMMANDS:
            self._session.command_received(COMMANDS[code])

    def negotiate(self, verb: int, option: int) -> None:
        """Let the table decide about an option."""
        if self._error is not None:
            return
        ours = verb in (DO, DONT)
        if verb in (WONT, DONT):
            event = Input.REFUSED
        else:
            accepted = self.accepts_local if ours else self.accepts_remote
            event = Input.WELCOME if option in accepted else Input.UNWELCOME
        self._advance(option, ours, event)
        self._look_whether_negotiated()

    def subnegotiation(self, option: int, body: bytes) -> None:
        """Look at what is said about an option, if that option is on."""
        if self._error is None and (self.is_on(option, ours=False) or self.is_on(option, ours=True)):
            self.subnegotiated(option, body)
            self._look_whether_negotiated()

    # What a side says differently.

    def option_changed(self, option: int, ours: bool, on: bool) -> None:
        """An option is on or off from now on."""
        if option == 0 and not ours:
            self._parser.binary = on
        self._session.option_changed(option, ours, on)

    def subnegotiated(self, option: int, body: bytes) -> None:
        """Take what is said about an option that is on."""

    def is_waiting(self) -> bool:
        """Tell whether something that was asked for first, and agreed to, has not been told yet."""
        return False

    def answer(self, option: int, body: bytes, *, asked: bool = True) -> None:
        """Say something about an option; `asked`: because the peer wanted it."""
        if not asked or self._may_answer():
            body = body.replace(b"\xff", b"\xff\xff")
            self._send(bytes((IAC, SUBNEGOTIATION, option)) + body + bytes((IAC, END)))

    def _advance(self, option: int, ours: bool, event: Input) -> None:
        states = self._local if ours else self._remote
        step = NEXT[states.get(option, State.NO), event]
        states[option] = step.state
        if step.say is not None:
            from_peer = event not in (Input.ASK, Input.ASK_NOT)
            if from_peer and not self._may_answer():
                return
            verb = (WILL if step.say else WONT) if ours else (DO if step.say else DONT)
            self._send(bytes((IAC, verb, option)))
        if step.on is not None:
            self.option_changed(option, ours, step.on)

    def _may_answer(self) -> bool:
        """Count an answer; a peer that wants too many loses its connection."""
        if self._answers == MAX_ANSWERS:
            # Nothing that the peer sent is looked at from here on, so this comes once.
            self._error = TelnetError(f"the peer wanted more than {MAX_ANSWERS} answers about options")
            self.abort()
            return False
        self._answers += 1
        return True

    def _send(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def _look_whether_negotiated(self) -> None:
        if self._negotiated or self.is_waiting():
            return
        states = [self._local.get(option, State.NO) for option in self.asks_local]
        states += [self._remote.get(option, State.NO) for option in self.asks_remote]
        if State.WANT_YES not in states and State.WANT_YES_OPPOSITE not in states:
            self._negotiated = True
            self._session.negotiated()
