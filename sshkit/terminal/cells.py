"""One place of a screen: its character and how it looks (SGR, ECMA-48 section 8.3.117 and xterm's colours).

Called by `sshkit.terminal.screen`.
"""

from typing import NamedTuple

from .ansi_parser import ABSENT, Parameters
from .widths import width

#: A colour: its number of 256, a (red, green, blue), or None for the terminal's own.
Colour = int | tuple[int, int, int] | None


class Style(NamedTuple):
    """How characters look; underline is a number: 1 single, 2 double, 3 curly, 4 dotted, 5 dashed."""

    foreground: Colour = None
    background: Colour = None
    bold: bool = False
    faint: bool = False
    italic: bool = False
    underline: int = 0
    blink: bool = False
    reverse: bool = False
    concealed: bool = False
    struck: bool = False


class Cell(NamedTuple):
    """What stands in a place; "" behind a wide character, which takes this place too."""

    text: str = " "
    style: Style = Style()


PLAIN = Style()
BLANK = Cell()

#: SGR parameter -> the fields it sets.
_SIMPLE: dict[int, dict[str, object]] = {
    1: {"bold": True},
    2: {"faint": True},
    3: {"italic": True},
    4: {"underline": 1},
    5: {"blink": True},
    6: {"blink": True},
    7: {"reverse": True},
    8: {"concealed": True},
    9: {"struck": True},
    21: {"underline": 2},
    22: {"bold": False, "faint": False},
    23: {"italic": False},
    24: {"underline": 0},
    25: {"blink": False},
    27: {"reverse": False},
    28: {"concealed": False},
    29: {"struck": False},
    39: {"foreground": None},
    49: {"background": None},
    **{30 + number: {"foreground": number} for number in range(8)},
    **{40 + number: {"background": number} for number in range(8)},
    **{90 + number: {"foreground": 8 + number} for number in range(8)},
    **{100 + number: {"background": 8 + number} for number in range(8)},
}
_EXTENDED = {38: "foreground", 48: "background", 58: ""}


def styled(style: Style, parameters: Parameters) -> Style:
    """Return what `style` becomes by SGR; unknown parameters change nothing."""
    index = 0
    parameters = parameters or ((0,),)
    while index < len(parameters):
        code, *rest = parameters[index]
        index += 1
        if code in (0, ABSENT):
            style = PLAIN
        elif code in _EXTENDED:
            if not rest:
                # "38;5;1", as most programs write it: the parameters that follow belong to this one.
                kind = parameters[index][0] if index < len(parameters) else ABSENT
                count = {5: 2, 2: 4}.get(kind, 1)
                rest = [parameter[0] for parameter in parameters[index : index + count]]
                index += count
            elif rest[0] == 2 and len(rest) > 4:
                del rest[1]  # "38:2:space:red:green:blue"
            colour = _colour(rest)
            if colour is not None and _EXTENDED[code]:
                style = style._replace(**{_EXTENDED[code]: colour})  # type: ignore[arg-type]
        elif code == 4 and rest:
            style = style._replace(underline=rest[0] if 0 <= rest[0] <= 5 else 1)
        elif code in _SIMPLE:
            style = style._replace(**_SIMPLE[code])  # type: ignore[arg-type]
    return style


def _colour(numbers: list[int]) -> Colour:
    numbers = [max(0, number) for number in numbers]
    if any(number > 255 for number in numbers):
        return None
    if numbers[:1] == [5] and len(numbers) >= 2:
        return numbers[1]
    if numbers[:1] == [2] and len(numbers) >= 4:
        return numbers[1], numbers[2], numbers[3]
    return None


def mend(row: list[Cell], start: int = 0, end: int = 0) -> None:
    """Blank the halves of wide characters that lost their other half: around a part that was written anew.

    Without `end` the whole row is looked at.
    """
    for column in {start - 1, start, end - 1, end} if end else range(len(row)):
        if not 0 <= column < len(row):
            continue
        cell = row[column]
        if not cell.text:
            torn = column == 0 or not is_wide(row[column - 1])
        else:
            torn = is_wide(cell) and (column + 1 == len(row) or row[column + 1].text != "")
        if torn:
            row[column] = Cell(" ", cell.style)


def is_wide(cell: Cell) -> bool:
    """Tell whether the place behind belongs to this cell too."""
    return cell.text != "" and width(cell.text[0]) == 2
