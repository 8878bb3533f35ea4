"""Modes of a terminal that programs switch, what it saves, and its line drawing characters.

Called by `sshkit.terminal.screen`.  Sources: the VT510's manual and xterm's ctlseqs.
"""

from typing import NamedTuple

from .ansi_parser import Parameters, number
from .cells import PLAIN, Style

# Modes of ECMA-48 (without a "?").
INSERT, NEW_LINE = 4, 20

# Modes of DEC and xterm (with a "?").
CURSOR_KEYS = 1
REVERSE_SCREEN = 5
ORIGIN = 6
WRAP = 7
SHOW_CURSOR = 25
MOUSE = frozenset((9, 1000, 1002, 1003))
SGR_MOUSE = 1006
FOCUS = 1004
ALTERNATE_SCREENS = frozenset((47, 1047, 1049))
SAVE_CURSOR = 1048
PASTE = 2004

#: On after a reset.
FIRST_MODES = frozenset((WRAP, SHOW_CURSOR))
#: Remembered as flags, for whoever asks and for DECRQM; others are not known.
_FLAGS = (
    CURSOR_KEYS,
    REVERSE_SCREEN,
    ORIGIN,
    WRAP,
    12,
    SHOW_CURSOR,
    FOCUS,
    SGR_MOUSE,
    1007,
    SAVE_CURSOR,
    PASTE,
)
KNOWN = MOUSE | ALTERNATE_SCREENS | frozenset(_FLAGS)

#: DEC's special graphics, in place of the characters from U+005F on.
LINE_DRAWING = dict(zip(range(0x5F, 0x7F), "\xa0◆▒␉␌␍␊°±␤␋┘┐┌└┼⎺⎻─⎼⎽├┤┴┬│≤≥π≠£·", strict=True))


class Saved(NamedTuple):
    """What "save cursor" saves (DECSC)."""

    row: int = 0
    column: int = 0
    wrapping: bool = False
    style: Style = PLAIN
    origin: bool = False
    charsets: tuple[str, str] = ("B", "B")
    shifted: int = 0


def count_of(parameters: Parameters, index: int = 0) -> int:
    """Return a parameter where 0 and nothing mean 1."""
    return max(1, number(parameters, index, 1))


def firsts(parameters: Parameters) -> list[int]:
    """Return the parameters without their sub-parameters."""
    return [parameter[0] for parameter in parameters]
