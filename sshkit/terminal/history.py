"""Lines that were entered, for a line editor: going back and forth, and searching.

Called by `sshkit.terminal.line_editor`.  Whoever wants it on disk keeps `lines`.
"""

from collections.abc import Iterable

#: Lines kept; the oldest go first.
MAX_LINES = 1000


class History:
    """The lines, oldest first."""

    __slots__ = ("lines",)

    def __init__(self, lines: Iterable[str] = ()) -> None:
        self.lines = list(lines)[-MAX_LINES:]

    def add(self, line: str) -> None:
        """Keep a line unless it is blank or the same as the last one."""
        if line.strip() and (not self.lines or self.lines[-1] != line):
            self.lines.append(line)
            del self.lines[:-MAX_LINES]

    def search(self, text: str, start: int, step: int) -> int | None:
        """Return the index of the next line with `text`, from `start` on: back (step -1) or forth (1)."""
        index = start
        while 0 <= index < len(self.lines):
            if text in self.lines[index]:
                return index
            index += step
        return None
