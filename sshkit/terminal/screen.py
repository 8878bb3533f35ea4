"""A model of a terminal's screen: what a person would see of a program's output.

For tests of programs, and for programs that show others' screens.  Feed it output, look at `display`,
`cursor` and `cell`; `take_answers` gives what the terminal would send back.  The behaviour is xterm's, as far
as the VT220's and xterm's everyday sequences go; unknown ones do nothing.  It never raises for what the
stream holds, and its memory is that of its two screens.
"""

from collections.abc import Callable
from typing import NamedTuple

from . import screen_modes as modes
from .ansi_parser import AnsiParser, Parameters, number
from .cells import BLANK, PLAIN, Cell, Style, mend, styled
from .screen_modes import Saved, count_of, firsts
from .widths import SIMPLE, width

#: Longest title that is kept.
MAX_TITLE = 1024
#: More combining characters than these are not kept in one place.
MAX_COMBINING = 8
#: Answers that nobody takes are kept up to this many bytes.
MAX_ANSWERS = 4096


class Cursor(NamedTuple):
    """Where the next character goes, from 0."""

    row: int
    column: int


class Screen:
    """Rows and columns of cells, with a cursor."""

    __slots__ = (
        "_answers",
        "_bottom",
        "_charsets",
        "_column",
        "_is_alternate",
        "_other",
        "_parser",
        "_row",
        "_rows",
        "_saved",
        "_saved_other",
        "_shifted",
        "_style",
        "_tabs",
        "_top",
        "_wrapping",
        "bells",
        "columns",
        "icon",
        "modes",
        "rows",
        "title",
    )

    def __init__(self, columns: int = 80, rows: int = 24) -> None:
        self.columns, self.rows = max(2, columns), max(1, rows)
        self._parser = AnsiParser(self)
        self._answers = bytearray()
        self.bells = 0  #: how often it rang
        self.reset()

    def reset(self) -> None:
        """Put all as it was at first, but for the size and the count of bells."""
        self.title = ""
        self.icon = ""
        self.modes: set[int] = set(modes.FIRST_MODES)  #: DEC's modes that are on; INSERT is -4, NEW_LINE -20
        self._rows = [[BLANK] * self.columns for _ in range(self.rows)]
        self._other = [[BLANK] * self.columns for _ in range(self.rows)]
        self._is_alternate = False
        self._row = self._column = 0
        self._wrapping = False  # the last column was written; the next character goes to the next row
        self._style = PLAIN
        self._charsets = ("B", "B")
        self._shifted = 0
        self._saved = self._saved_other = Saved()
        self._top, self._bottom = 0, self.rows - 1
        self._tabs = set(range(8, self.columns, 8))

    # What a test looks at.

    def feed(self, data: bytes | str) -> None:
        """Take a piece of a program's output."""
        self._parser.feed(data)

    def take_answers(self) -> bytes:
        """Return what the terminal sends back to the program, since the last time."""
        answers = bytes(self._answers)
        self._answers.clear()
        return answers

    @property
    def display(self) -> list[str]:
        """The rows as text, each as wide as the screen."""
        return ["".join(cell.text for cell in row) for row in self._rows]

    @property
    def text(self) -> str:
        """The screen as text, without blanks at the ends of rows and rows at the end."""
        return "\n".join(row.rstrip() for row in self.display).rstrip("\n")

    @property
    def cursor(self) -> Cursor:
        """Where the cursor is; in the last column also when the next character will wrap."""
        return Cursor(self._row, self._column)

    @property
    def is_alternate(self) -> bool:
        """Tell whether a full-screen program has the alternate screen."""
        return self._is_alternate

    @property
    def wants_mouse(self) -> bool:
        """Tell whether the program asked for mouse reports."""
        return bool(self.modes & modes.MOUSE)

    @property
    def wants_paste_marks(self) -> bool:
        """Tell whether the program asked for bracketed paste."""
        return modes.PASTE in self.modes

    def cell(self, row: int, column: int) -> Cell:
        """Return one place, counted from 0."""
        return self._rows[row][column]

    def resize(self, columns: int, rows: int) -> None:
        """Take a new size.  Text is cut at the right; rows go at the top so far as the cursor needs it."""
        columns, rows = max(2, columns), max(1, rows)
        gone = max(0, self._row - rows + 1)
        for screen, cut in ((self._rows, gone), (self._other, 0)):
            del screen[:cut]
            del screen[rows:]
            for row in screen:
                if len(row) > columns:
                    del row[columns:]
                    mend(row)
                row.extend([BLANK] * (columns - len(row)))
            screen.extend([BLANK] * columns for _ in range(rows - len(screen)))
        self._tabs = {tab for tab in self._tabs if tab < columns}
        self._tabs.update(range(-(-self.columns // 8) * 8, columns, 8))
        self.columns, self.rows = columns, rows
        self._top, self._bottom = 0, rows - 1
        self._move(self._row - gone, self._column)

    # What the parser calls.

    def print(self, text: str) -> None:
        """Show text at the cursor."""
        if self._charsets[self._shifted] == "0":
            text = text.translate(modes.LINE_DRAWING)
        simple = SIMPLE.fullmatch(text) is not None
        if simple and -modes.INSERT not in self.modes:
            self._print_simple(text)
            return
        for character in text:
            places = 1 if simple else width(character)
            if places:
                self._print_one(character, places)
            else:
                self._combine(character)

    def _print_simple(self, text: str) -> None:
        """Show a run of characters that take one place each."""
        position, style = 0, self._style
        while position < len(text):
            if self._wrapping:
                if modes.WRAP in self.modes:
                    self._wrap()
                else:
                    position = max(position, len(text) - 1)
            part = text[position : position + self.columns - self._column]
            row, start = self._rows[self._row], self._column
            end = start + len(part)
            row[start:end] = [Cell(character, style) for character in part]
            mend(row, start, end)
            position += len(part)
            self._column = min(end, self.columns - 1)
            self._wrapping = end == self.columns

    def _print_one(self, character: str, places: int) -> None:
        if self._wrapping and modes.WRAP in self.modes:
            self._wrap()
        if self._column + places > self.columns:
            if modes.WRAP in self.modes:
                self._wrap()
            else:
                self._column = self.columns - places
        row, start = self._rows[self._row], self._column
        if -modes.INSERT in self.modes:
            row[start:start] = [BLANK] * places
            del row[self.columns :]
        row[start : start + places] = [Cell(character, self._style), Cell("", self._style)][:places]
        mend(row, start, start + places)
        self._wrapping = start + places == self.columns
        self._column = min(start + places, self.columns - 1)

    def _combine(self, character: str) -> None:
        row = self._rows[self._row]
        column = self._column if self._wrapping else self._column - 1
        if column > 0 and not row[column].text:
            column -= 1
        if column >= 0 and len(row[column].text) <= MAX_COMBINING:
            row[column] = row[column]._replace(text=row[column].text + character)

    def _wrap(self) -> None:
        self._column = 0
        self._wrapping = False
        self._line_feed()

    def control(self, code: int) -> None:
        """Do what a single control asks for."""
        if action := _CONTROLS.get(code):
            action(self)

    def escape(self, intermediates: str, final: str) -> None:
        """Do what ESC and characters ask for."""
        if intermediates in ("(", ")"):
            first, second = self._charsets
            self._charsets = (final, second) if intermediates == "(" else (first, final)
        elif action := _ESCAPES.get(intermediates + final):
            action(self)

    def csi(self, prefix: str, parameters: Parameters, intermediates: str, final: str) -> None:
        """Do what a control sequence asks for."""
        if action := _SEQUENCES.get(prefix + intermediates + final):
            action(self, parameters)

    def string(self, kind: str, text: str) -> None:
        """Take a title; other strings do nothing."""
        code, _, said = text.partition(";")
        if kind == "OSC" and code in ("0", "1", "2"):
            if code != "1":
                self.title = said[:MAX_TITLE]
            if code != "2":
                self.icon = said[:MAX_TITLE]

    def device(self, prefix: str, parameters: Parameters, intermediates: str, final: str, text: str) -> None:
        """Answer a question for a setting (DECRQSS): none is told."""
        if intermediates + final == "$q":
            self._answer("\x1bP0$r\x1b\\")

    # Moving.

    def _move(self, row: int, column: int) -> None:
        self._row = min(max(row, 0), self.rows - 1)
        self._column = min(max(column, 0), self.columns - 1)
        self._wrapping = False

    def _move_to(self, row: int, column: int) -> None:
        """Move to a place as a program counts it: with origin mode, from the region's corner."""
        if modes.ORIGIN in self.modes:
            row = min(max(row, 0) + self._top, self._bottom)
        self._move(row, column)

    def _up(self, parameters: Parameters) -> None:
        limit = self._top if self._row >= self._top else 0
        self._move(max(limit, self._row - count_of(parameters)), self._column)

    def _down(self, parameters: Parameters) -> None:
        limit = self._bottom if self._row <= self._bottom else self.rows - 1
        self._move(min(limit, self._row + count_of(parameters)), self._column)

    def _right(self, parameters: Parameters) -> None:
        self._move(self._row, self._column + count_of(parameters))

    def _left(self, parameters: Parameters) -> None:
        self._move(self._row, self._column - count_of(parameters))

    def _next_rows(self, parameters: Parameters) -> None:
        self._down(parameters)
        self._column = 0

    def _previous_rows(self, parameters: Parameters) -> None:
        self._up(parameters)
        self._column = 0

    def _to_column(self, parameters: Parameters) -> None:
        self._move(self._row, count_of(parameters) - 1)

    def _to_row(self, parameters: Parameters) -> None:
        self._move_to(count_of(parameters) - 1, self._column)

    def _to_place(self, parameters: Parameters) -> None:
        self._move_to(count_of(parameters) - 1, count_of(parameters, 1) - 1)

    def _backspace(self) -> None:
        self._move(self._row, self._column - 1)

    def _carriage_return(self) -> None:
        self._move(self._row, 0)

    def _line_feed(self) -> None:
        if self._row == self._bottom:
            self._scroll(self._top, 1)
        elif self._row < self.rows - 1:
            self._row += 1

    def _line_feed_control(self) -> None:
        self._line_feed()
        self._wrapping = False
        if -modes.NEW_LINE in self.modes:
            self._column = 0

    def _next_line(self) -> None:
        self._carriage_return()
        self._line_feed()

    def _reverse_line_feed(self) -> None:
        self._wrapping = False
        if self._row == self._top:
            self._scroll(self._top, -1)
        elif self._row > 0:
            self._row -= 1

    def _tab(self, times: int = 1) -> None:
        for _ in range(min(times, self.columns)):
            later = [tab for tab in self._tabs if tab > self._column]
            self._column = min(later, default=self.columns - 1)

    def _tabs_forward(self, parameters: Parameters) -> None:
        self._tab(count_of(parameters))

    def _tabs_back(self, parameters: Parameters) -> None:
        self._wrapping = False
        for _ in range(min(count_of(parameters), self.columns)):
            self._column = max((tab for tab in self._tabs if tab < self._column), default=0)

    def _set_tab(self) -> None:
        self._tabs.add(self._column)

    def _clear_tabs(self, parameters: Parameters) -> None:
        which = number(parameters, 0, 0)
        if which == 0:
            self._tabs.discard(self._column)
        elif which == 3:
            self._tabs.clear()

    # Changing.

    def _blank(self) -> Cell:
        """Return what erasing leaves: the background stays the present one."""
        background = self._style.background
        return BLANK if background is None else Cell(" ", Style(background=background))

    def _scroll(self, top: int, count: int) -> None:
        """Move the rows from `top` to the region's end up (count > 0) or down."""
        size = self._bottom - top + 1
        count = max(-size, min(size, count))
        blank = self._blank()
        fresh = [[blank] * self.columns for _ in range(abs(count))]
        kept = self._rows[top : self._bottom + 1]
        self._rows[top : self._bottom + 1] = kept[count:] + fresh if count > 0 else fresh + kept[:count]

    def _scroll_up(self, parameters: Parameters) -> None:
        self._scroll(self._top, count_of(parameters))

    def _scroll_down(self, parameters: Parameters) -> None:
        self._scroll(self._top, -count_of(parameters))

    def _insert_rows(self, parameters: Parameters) -> None:
        if self._top <= self._row <= self._bottom:
            self._scroll(self._row, -count_of(parameters))
            self._carriage_return()

    def _delete_rows(self, parameters: Parameters) -> None:
        if self._top <= self._row <= self._bottom:
            self._scroll(self._row, count_of(parameters))
            self._carriage_return()

    def _insert_characters(self, parameters: Parameters) -> None:
        row, count = self._rows[self._row], min(count_of(parameters), self.columns)
        row[self._column : self._column] = [self._blank()] * count
        del row[self.columns :]
        mend(row)
        self._wrapping = False

    def _delete_characters(self, parameters: Parameters) -> None:
        row = self._rows[self._row]
        count = min(count_of(parameters), self.columns - self._column)
        del row[self._column : self._column + count]
        row.extend([self._blank()] * count)
        mend(row)
        self._wrapping = False

    def _erase(self, row: int, start: int, end: int) -> None:
        cells = self._rows[row]
        cells[start:end] = [self._blank()] * (end - start)
        mend(cells, start, end)

    def _erase_characters(self, parameters: Parameters) -> None:
        end = min(self._column + count_of(parameters), self.columns)
        self._erase(self._row, self._column, end)
        self._wrapping = False

    def _erase_in_row(self, parameters: Parameters) -> None:
        which = number(parameters, 0, 0)
        if which in (0, 1, 2):
            start = self._column if which == 0 else 0
            self._erase(self._row, start, self._column + 1 if which == 1 else self.columns)
            self._wrapping = False

    def _erase_in_screen(self, parameters: Parameters) -> None:
        which = number(parameters, 0, 0)
        if which in (0, 1, 2):
            first = self._row + 1 if which == 0 else 0
            last = self._row if which == 1 else self.rows
            for row in range(first, last):
                self._erase(row, 0, self.columns)
            self._erase_in_row(parameters)

    def _fill_with_e(self) -> None:
        self._rows = [[Cell("E")] * self.columns for _ in range(self.rows)]
        self._top, self._bottom = 0, self.rows - 1
        self._move(0, 0)

    def _set_style(self, parameters: Parameters) -> None:
        self._style = styled(self._style, parameters)

    # States.

    def _bell(self) -> None:
        self.bells += 1

    def _shift_out(self) -> None:
        self._shifted = 1

    def _shift_in(self) -> None:
        self._shifted = 0

    def _set_region(self, parameters: Parameters) -> None:
        top, bottom = count_of(parameters), number(parameters, 1, 0) or self.rows
        bottom = min(bottom, self.rows)
        if top < bottom:
            self._top, self._bottom = top - 1, bottom - 1
            self._move_to(0, 0)

    def _save(self) -> None:
        origin = modes.ORIGIN in self.modes
        charsets, shifted = self._charsets, self._shifted
        self._saved = Saved(self._row, self._column, self._wrapping, self._style, origin, charsets, shifted)

    def _restore(self) -> None:
        saved = self._saved
        self._move(saved.row, saved.column)
        self._wrapping = saved.wrapping and self._column == self.columns - 1
        self._style, self._charsets, self._shifted = saved.style, saved.charsets, saved.shifted
        self.modes.discard(modes.ORIGIN)
        if saved.origin:
            self.modes.add(modes.ORIGIN)

    def _set_modes(self, parameters: Parameters) -> None:
        self.modes.update(-mode for mode in firsts(parameters) if mode in (modes.INSERT, modes.NEW_LINE))

    def _reset_modes(self, parameters: Parameters) -> None:
        self.modes.difference_update(-mode for mode in firsts(parameters))

    def _set_private_modes(self, parameters: Parameters) -> None:
        for mode in firsts(parameters):
            if mode in modes.KNOWN:
                self._switch(mode, True)

    def _reset_private_modes(self, parameters: Parameters) -> None:
        for mode in firsts(parameters):
            if mode in modes.KNOWN:
                self._switch(mode, False)

    def _switch(self, mode: int, on: bool) -> None:
        if on:
            self.modes.add(mode)
        else:
            self.modes.discard(mode)
        if mode == modes.ORIGIN:
            self._move_to(0, 0)
        elif mode == modes.SAVE_CURSOR:
            action = self._save if on else self._restore
            action()
        elif mode in modes.ALTERNATE_SCREENS and on != self._is_alternate:
            if mode == 1049 and on:
                self._save()
            self._is_alternate = on
            self._rows, self._other = self._other, self._rows
            self._saved, self._saved_other = self._saved_other, self._saved
            if on:
                self._rows = [[self._blank()] * self.columns for _ in range(self.rows)]
            elif mode == 1049:
                self._restore()
        elif mode == modes.WRAP and not on:
            self._wrapping = False

    def _soft_reset(self, parameters: Parameters) -> None:
        self.modes -= {modes.ORIGIN, -modes.INSERT}
        self.modes |= {modes.SHOW_CURSOR, modes.WRAP}
        self._top, self._bottom = 0, self.rows - 1
        self._style, self._charsets, self._shifted = PLAIN, ("B", "B"), 0
        self._saved = Saved()

    # Answers.

    def _answer(self, text: str) -> None:
        if len(self._answers) + len(text) <= MAX_ANSWERS:
            self._answers += text.encode()

    def _tell_device(self, parameters: Parameters) -> None:
        if number(parameters, 0, 0) == 0:
            self._answer("\x1b[?62;22c")  # a VT220 with colours

    def _tell_second_device(self, parameters: Parameters) -> None:
        if number(parameters, 0, 0) == 0:
            self._answer("\x1b[>1;0;0c")

    def _tell_status(self, parameters: Parameters) -> None:
        which = number(parameters, 0, 0)
        if which == 5:
            self._answer("\x1b[0n")
        elif which == 6:
            row = self._row - self._top if modes.ORIGIN in self.modes else self._row
            self._answer(f"\x1b[{row + 1};{self._column + 1}R")

    def _tell_mode(self, parameters: Parameters) -> None:
        mode = number(parameters, 0, 0)
        state = (1 if mode in self.modes else 2) if mode in modes.KNOWN else 0
        self._answer(f"\x1b[?{mode};{state}$y")


_CONTROLS: dict[int, Callable[[Screen], None]] = {
    0x07: Screen._bell,
    0x08: Screen._backspace,
    0x09: lambda screen: screen._tab(),
    0x0A: Screen._line_feed_control,
    0x0B: Screen._line_feed_control,
    0x0C: Screen._line_feed_control,
    0x0D: Screen._carriage_return,
    0x0E: Screen._shift_out,
    0x0F: Screen._shift_in,
    0x84: Screen._line_feed_control,
    0x85: Screen._next_line,
    0x88: Screen._set_tab,
    0x8D: Screen._reverse_line_feed,
}
_ESCAPES: dict[str, Callable[[Screen], None]] = {
    "7": Screen._save,
    "8": Screen._restore,
    "D": Screen._line_feed_control,
    "E": Screen._next_line,
    "H": Screen._set_tab,
    "M": Screen._reverse_line_feed,
    "c": Screen.reset,
    "#8": Screen._fill_with_e,
}
_SEQUENCES: dict[str, Callable[[Screen, Parameters], None]] = {
    "@": Screen._insert_characters,
    "A": Screen._up,
    "B": Screen._down,
    "C": Screen._right,
    "D": Screen._left,
    "E": Screen._next_rows,
    "F": Screen._previous_rows,
    "G": Screen._to_column,
    "H": Screen._to_place,
    "I": Screen._tabs_forward,
    "J": Screen._erase_in_screen,
    "K": Screen._erase_in_row,
    "L": Screen._insert_rows,
    "M": Screen._delete_rows,
    "P": Screen._delete_characters,
    "S": Screen._scroll_up,
    "T": Screen._scroll_down,
    "X": Screen._erase_characters,
    "Z": Screen._tabs_back,
    "`": Screen._to_column,
    "a": Screen._right,
    "c": Screen._tell_device,
    ">c": Screen._tell_second_device,
    "d": Screen._to_row,
    "e": Screen._down,
    "f": Screen._to_place,
    "g": Screen._clear_tabs,
    "h": Screen._set_modes,
    "?h": Screen._set_private_modes,
    "l": Screen._reset_modes,
    "?l": Screen._reset_private_modes,
    "m": Screen._set_style,
    "n": Screen._tell_status,
    "?$p": Screen._tell_mode,
    "!p": Screen._soft_reset,
    "r": Screen._set_region,
    "s": lambda screen, _: screen._save(),
    "u": lambda screen, _: screen._restore(),
}
