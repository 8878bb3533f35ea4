"""How a line that is being edited is shown: on a terminal that wraps, or on one that knows no sequences.

Called by `sshkit.terminal.line_editor` after every change.  Of sequences only cursor up and right and "erase
to the end of the screen" are used, which every terminal since the VT100 has; a dumb terminal gets carriage
returns, spaces and backspaces.
"""

from typing import NamedTuple

from .widths import combines, text_width, width

#: The narrowest terminal that is believed; narrower ones are treated like this.
MIN_WIDTH = 4


def visible(text: str) -> str:
    """Return `text` with control characters as ^X (C1 ones as ?), each as it is shown."""
    if text.isprintable():
        return text
    return "".join(map(_visible, text))


def _visible(character: str) -> str:
    if character < " " or character == "\x7f":
        return "^" + chr(ord(character) ^ 0x40)
    if "\x80" <= character <= "\x9f" or "\ud800" <= character <= "\udfff":
        return "?"
    return character


class Place(NamedTuple):
    """A place of the terminal, from where the prompt began."""

    row: int
    column: int


class WrappingDisplay:
    """Shows the whole line on as many rows as it takes."""

    __slots__ = ("_cursor", "_shown", "columns")

    def __init__(self, columns: int) -> None:
        self.columns = max(MIN_WIDTH, columns)
        self.reset()

    def reset(self) -> None:
        """Start at the beginning of an empty row."""
        self._shown = ""
        self._cursor = Place(0, 0)

    def resize(self, columns: int) -> None:
        """Take the new width; where the terminal has put the cursor by itself is a good guess."""
        before = self._cursor.row * self.columns + self._cursor.column
        self.columns = max(MIN_WIDTH, columns)
        self._cursor = Place(*divmod(before, self.columns))

    def redraw(self, before: str, after: str) -> str:
        """Return what to write so that both texts are shown, with the cursor between them."""
        text = before + after
        same = 0
        for old, new in zip(self._shown, text, strict=False):
            if old != new:
                break
            same += 1
        # What combines, or did, is written with what it combines with.
        while same and any(combines(part[same]) for part in (text, self._shown) if same < len(part)):
            same -= 1
        written = ""
        if same < len(self._shown) or same < len(text):
            written = self._move(self._place(text[:same]))
            rows, place = self._lay_out(text[same:], self._cursor)
            written += rows + "\x1b[J" if same < len(self._shown) else rows
            self._cursor = place
        self._shown = text
        return written + self._move(self._place(before))

    def leave(self) -> str:
        """Return what to write to stand on an empty row below the line."""
        end = self._move(self._place(self._shown))
        self.reset()
        return end + "\r\n"

    def clear(self) -> str:
        """Return what clears the screen; the next redraw shows all."""
        self.reset()
        return "\x1b[H\x1b[2J"

    def erase(self) -> str:
        """Return what takes the line away; the next redraw shows all."""
        written = self._move(Place(0, 0)) + "\x1b[J"
        self.reset()
        return written

    def _place(self, text: str) -> Place:
        return self._lay_out(text, Place(0, 0))[1]

    def _lay_out(self, text: str, start: Place) -> tuple[str, Place]:
        row, column = start
        out = []
        for character in text:
            wide = width(character)
            if column + wide > self.columns:
                out.append(" " * (self.columns - column))
                row, column = row + 1, 0
            out.append(character)
            column += wide
            if column == self.columns and wide:
                # The terminal wraps at the next character: give it one, and come back.
                out.append(" \r")
                row, column = row + 1, 0
        return "".join(out), Place(row, column)

    def _move(self, place: Place) -> str:
        row, column = self._cursor
        self._cursor = place
        written = ""
        if place.row < row:
            written = f"\x1b[{row - place.row}A"
        elif place.row > row:
            written = "\n" * (place.row - row)
            # A program's line feed may come with a carriage return or without one.
            written += "\r"
            column = 0
        if place.column < column:
            written += "\r"
            column = 0
        if place.column > column:
            written += f"\x1b[{place.column - column}C"
        return written


class DumbDisplay:
    """Shows a part of the line on one row, without any escape sequence."""

    __slots__ = ("_shown", "_shown_before", "columns")

    def __init__(self, columns: int) -> None:
        self.columns = max(MIN_WIDTH, columns)
        self.reset()

    def reset(self) -> None:
        """Start at the beginning of an empty row."""
        self._shown = ""
        self._shown_before = ""

    def resize(self, columns: int) -> None:
        """Take the new width."""
        self.columns = max(MIN_WIDTH, columns)

    def redraw(self, before: str, after: str) -> str:
        """Return what to write so that the text around the cursor is shown."""
        room = self.columns - 1  # the last column would wrap
        while text_width(before) > room:
            # Half a row at a time, so that not every key moves all.
            before = _without_width(before, room // 2)
        shown = before
        for character in after:
            if text_width(shown) + width(character) > room:
                break
            shown += character
        if shown.startswith(self._shown) and before == shown and self._shown == self._shown_before:
            written = shown[len(self._shown) :]
        else:
            rest = text_width(self._shown) - text_width(shown)
            written = "\r" + shown + " " * rest
            if before != shown or rest > 0:
                written += "\r" + before
        self._shown, self._shown_before = shown, before
        return written

    def leave(self) -> str:
        """Return what to write to stand on an empty row below the line."""
        self.reset()
        return "\r\n"

    def clear(self) -> str:
        """Begin a new row: nothing can be cleared."""
        self.reset()
        return "\r\n"

    def erase(self) -> str:
        """Return what takes the line away."""
        written = "\r" + " " * text_width(self._shown) + "\r"
        self.reset()
        return written


def _without_width(text: str, places: int) -> str:
    """Return the text without its first places, and without what combined with them."""
    index = 0
    while index < len(text) and (places > 0 or width(text[index]) == 0):
        places -= width(text[index])
        index += 1
    return text[index:]
