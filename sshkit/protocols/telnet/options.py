"""Telnet's commands and options by number, and when an option is on: RFC 1143's Q method as one table.

Called by `sshkit.protocols.telnet.protocol`, which keeps one `State` for each option and side.  The method
keeps two sides from answering each other's answers for ever: what confirms is never answered.
"""

from enum import Enum
from typing import NamedTuple

# Commands (RFC 854, page 14; EOF, SUSP and ABORT of RFC 1184).
END_OF_FILE, SUSPEND, ABORT = 236, 237, 238
END_OF_SUBNEGOTIATION, NOTHING, DATA_MARK, BREAK, INTERRUPT, ABORT_OUTPUT = 240, 241, 242, 243, 244, 245
ARE_YOU_THERE, ERASE_CHARACTER, ERASE_LINE, GO_AHEAD, SUBNEGOTIATION = 246, 247, 248, 249, 250
WILL, WONT, DO, DONT, IAC = 251, 252, 253, 254, 255

#: The commands that a session hears of, by name; the others do nothing.
COMMANDS = {
    END_OF_FILE: "end-of-file",
    SUSPEND: "suspend",
    ABORT: "abort",
    BREAK: "break",
    INTERRUPT: "interrupt",
    ABORT_OUTPUT: "abort-output",
    ARE_YOU_THERE: "are-you-there",
    ERASE_CHARACTER: "erase-character",
    ERASE_LINE: "erase-line",
}

# Options.
BINARY = 0  #: RFC 856
ECHO = 1  #: RFC 857
SUPPRESS_GO_AHEAD = 3  #: RFC 858
TERMINAL_TYPE = 24  #: RFC 1091
WINDOW_SIZE = 31  #: RFC 1073, "NAWS"
ENVIRONMENT = 39  #: RFC 1572, "NEW-ENVIRON"

# First byte of subnegotiations of TERMINAL_TYPE and ENVIRONMENT.
IS, SEND, INFO = 0, 1, 2
# Marks within ENVIRONMENT (RFC 1572 section 2).
VARIABLE, VALUE, ESCAPE, USER_VARIABLE = 0, 1, 2, 3


class State(Enum):
    """Whether an option is on at one side, and what was asked; names as in RFC 1143 section 7."""

    NO = 1
    YES = 2
    WANT_NO = 3
    WANT_NO_OPPOSITE = 4  #: switching off, and on again thereafter
    WANT_YES = 5
    WANT_YES_OPPOSITE = 6  #: switching on, and off again thereafter


class Input(Enum):
    """What happens to an option of one side."""

    WELCOME = 1  #: the peer said WILL (or DO), and that is all right with us
    UNWELCOME = 2  #: the same, and it is not
    REFUSED = 3  #: the peer said WONT (or DONT)
    ASK = 4  #: we want it on
    ASK_NOT = 5  #: we want it off


class Step(NamedTuple):
    """What an input leads to."""

    state: State
    say: bool | None = None  #: True: DO (or WILL); False: DONT (or WONT); None: nothing
    on: bool | None = None  #: the option is on (True) or off (False) from now on


_S, _I = State, Input
_ANSWERED_YES = {
    _S.YES: Step(_S.YES),
    # WILL after our DONT is an error of the peer's; the RFC says what to make of it.
    _S.WANT_NO: Step(_S.NO, on=False),
    _S.WANT_NO_OPPOSITE: Step(_S.YES),
    _S.WANT_YES: Step(_S.YES, on=True),
    _S.WANT_YES_OPPOSITE: Step(_S.WANT_NO, say=False),
}
#: RFC 1143 section 7; every pair is there.
NEXT: dict[tuple[State, Input], Step] = {
    (_S.NO, _I.WELCOME): Step(_S.YES, say=True, on=True),
    (_S.NO, _I.UNWELCOME): Step(_S.NO, say=False),
    **{(state, _I.WELCOME): step for state, step in _ANSWERED_YES.items()},
    **{(state, _I.UNWELCOME): step for state, step in _ANSWERED_YES.items()},
    (_S.NO, _I.REFUSED): Step(_S.NO),
    (_S.YES, _I.REFUSED): Step(_S.NO, say=False, on=False),
    (_S.WANT_NO, _I.REFUSED): Step(_S.NO, on=False),
    (_S.WANT_NO_OPPOSITE, _I.REFUSED): Step(_S.WANT_YES, say=True, on=False),
    (_S.WANT_YES, _I.REFUSED): Step(_S.NO),
    (_S.WANT_YES_OPPOSITE, _I.REFUSED): Step(_S.NO),
    (_S.NO, _I.ASK): Step(_S.WANT_YES, say=True),
    (_S.YES, _I.ASK): Step(_S.YES),
    (_S.WANT_NO, _I.ASK): Step(_S.WANT_NO_OPPOSITE),
    (_S.WANT_NO_OPPOSITE, _I.ASK): Step(_S.WANT_NO_OPPOSITE),
    (_S.WANT_YES, _I.ASK): Step(_S.WANT_YES),
    (_S.WANT_YES_OPPOSITE, _I.ASK): Step(_S.WANT_YES),
    (_S.NO, _I.ASK_NOT): Step(_S.NO),
    (_S.YES, _I.ASK_NOT): Step(_S.WANT_NO, say=False),
    (_S.WANT_NO, _I.ASK_NOT): Step(_S.WANT_NO),
    (_S.WANT_NO_OPPOSITE, _I.ASK_NOT): Step(_S.WANT_NO),
    (_S.WANT_YES, _I.ASK_NOT): Step(_S.WANT_YES_OPPOSITE),
    (_S.WANT_YES_OPPOSITE, _I.ASK_NOT): Step(_S.WANT_YES_OPPOSITE),
}
