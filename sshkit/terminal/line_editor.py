"""A line editor for plain programs: what a person types, edited and echoed, as whole lines.

Called by programs that read lines from a terminal which somebody else drives (an SSH or telnet session), with
no other library at hand.  Takes keys (`sshkit.terminal.keystrokes`), gives bytes to write.  The keys are
those of emacs, which the shell has too: `BINDINGS`.  It has no clock and does no I/O.
"""

from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from typing import NamedTuple

from .history import History
from .keystrokes import Key
from .line_actions import bindings
from .line_display import DumbDisplay, WrappingDisplay, visible
from .widths import text_width

#: Longest line in characters; what would make it longer is not taken, with a bell.
MAX_LINE = 65536
#: States that undo can go back to.
MAX_UNDO = 200
#: Pieces of text that the kill ring holds.
MAX_KILLS = 60
#: Keys that may wait while no line is being read; further ones are lost.
MAX_WAITING = 4096
#: Candidates of a completion that are listed.
MAX_LISTED = 100

#: What completion is asked: (text, cursor); it says which pieces could stand from which index on.
Complete = Callable[[str, int], Sequence[tuple[int, str]]]


class Event(Enum):
    """How reading a line ended."""

    LINE = 1
    INTERRUPT = 2  #: ctrl-C
    END = 3  #: ctrl-D on an empty line


class Entered(NamedTuple):
    """A line, or why there is none."""

    event: Event
    line: str = ""


class _Search(NamedTuple):
    text: str  #: what is looked for
    at: int  #: index of the line that is shown; the number of lines: none yet
    failed: bool


class LineEditor:
    """Reads one line after another: `begin`, then `feed` until it returns something, and so on."""

    __slots__ = (
        "_before_search",
        "_complete",
        "_display",
        "_draft",
        "_echo",
        "_entered",
        "_history_at",
        "_kills",
        "_last",
        "_now",
        "_output",
        "_prompt",
        "_quoting",
        "_reading",
        "_search",
        "_undo",
        "_waiting",
        "_yanked",
        "cursor",
        "history",
        "text",
    )

    def __init__(
        self,
        *,
        columns: int = 80,
        dumb: bool = False,
        history: History | None = None,
        complete: Complete | None = None,
    ) -> None:
        """`dumb`: the terminal knows no escape sequences; one row is used."""
        self._display = DumbDisplay(columns) if dumb else WrappingDisplay(columns)
        self.history = History() if history is None else history
        self._complete = complete
        self._output: list[str] = []
        self._kills: list[str] = []
        self._waiting: list[Key] = []
        self._reading = False
        self._prompt = ""
        self._echo = True
        self._clear()

    def _clear(self) -> None:
        self.text = ""  #: what is being edited
        self.cursor = 0
        self._undo: list[tuple[str, int]] = []
        self._last = self._now = ""  # what the key before did, and this one, where that matters to the next
        self._yanked = (0, 0)
        self._quoting = False
        self._history_at = len(self.history.lines)
        self._draft = ""
        self._search: _Search | None = None
        self._before_search = ("", 0)
        self._entered: Entered | None = None

    def begin(self, prompt: str = "", *, echo: bool = True) -> Entered | None:
        """Start a line.  Without `echo` nothing is shown or remembered: for passwords.

        Keys that came before are used now, so there may be a line at once.
        """
        self._clear()
        self._prompt = visible(prompt)
        self._echo = echo
        self._reading = True
        self._display.reset()
        self._show()
        waiting, self._waiting = self._waiting, []
        return self.feed(waiting)

    def feed(self, keys: Iterable[Key]) -> Entered | None:
        """Take keys; return the line if one of them ended it.  What follows waits for the next `begin`."""
        entered: Entered | None = None
        for key in keys:
            if not self._reading:
                if len(self._waiting) < MAX_WAITING:
                    self._waiting.append(key)
                continue
            self._now = ""
            self._take(key)
            self._last = self._now
            if self._entered is not None:
                entered = self._finish(self._entered)
        if self._reading:
            self._show()
        return entered

    def take_output(self) -> bytes:
        """Return what is to be written to the terminal since the last time."""
        output = "".join(self._output)
        self._output.clear()
        return output.encode("utf-8", "replace")

    def resize(self, columns: int) -> None:
        """Show the line again at a new width."""
        self._display.resize(columns)
        if self._reading:
            self._output.append(self._display.erase())
            self._show()

    def print(self, text: str) -> None:
        """Write text of the program's above the line that is being edited."""
        text = text.replace("\r\n", "\n").replace("\n", "\r\n")
        if self._reading:
            self._output.append(self._display.erase())
            self._output.append(text if text.endswith("\n") else text + "\r\n")
            self._show()
        else:
            self._output.append(text)

    # What actions use.

    def replace(self, start: int, end: int, new: str) -> None:
        """Put `new` in the place of a part of the line, and the cursor behind it; undo knows."""
        longer = len(new) - (end - start)
        if (start == end and not new) or len(self.text) + longer > MAX_LINE:
            self.bell()
        else:
            if not (self._now == self._last == "insert"):
                self._undo.append((self.text, self.cursor))
                del self._undo[:-MAX_UNDO]
            self.text = self.text[:start] + new + self.text[end:]
            self.cursor = start + len(new)

    def kill(self, start: int, end: int, *, forward: bool) -> None:
        """Take a part away and keep it for yank; kills in a row make one piece.  A password is not kept."""
        killed = self.text[start:end]
        self.replace(start, end, "")
        if not killed or not self._echo:
            return
        self._now = "kill"
        if self._last == "kill" and self._kills:
            self._kills[-1] = self._kills[-1] + killed if forward else killed + self._kills[-1]
        else:
            self._kills.append(killed)
            del self._kills[:-MAX_KILLS]

    def bell(self) -> None:
        """Say that this key did nothing."""
        self._output.append("\a")

    # Keys.

    def _take(self, key: Key) -> None:
        if self._quoting:
            self._quoting = False
            quoted = key.text or _control(key.name)
            if quoted:
                self.replace(self.cursor, self.cursor, quoted)
            else:
                self.bell()
        elif self._search is None or self._take_search(key, self._search):
            if action := BINDINGS.get(key.name):
                action(self)
            elif key.name == "paste":
                self._insert("".join(filter(str.isprintable, key.text.replace("\n", " ").replace("\t", " "))))
            elif len(key.text) == 1:
                self._now = "insert"
                self._insert(key.text)

    def _insert(self, text: str) -> None:
        self.replace(self.cursor, self.cursor, text)

    def _finish(self, entered: Entered) -> Entered:
        if self._echo:
            self.cursor = len(self.text)
            self._search = None
            self._show()
            if entered.event is Event.LINE:
                self.history.add(entered.line)
        self._output.append(self._display.leave())
        self._reading = False
        self._clear()
        return entered

    def _show(self) -> None:
        if not self._echo:
            shown = self._display.redraw(self._prompt, "")
        else:
            prompt = self._prompt
            if self._search is not None:
                prompt = (
                    f"({'nothing for' if self._search.failed else 'search'}: {visible(self._search.text)}) "
                )
            before, after = visible(self.text[: self.cursor]), visible(self.text[self.cursor :])
            shown = self._display.redraw(prompt + before, after)
        self._output.append(shown)

    def _accept(self) -> None:
        self._entered = Entered(Event.LINE, self.text)

    def _interrupt(self) -> None:
        self._entered = Entered(Event.INTERRUPT)

    def _end_or_delete(self) -> None:
        if self.text:
            BINDINGS["delete"](self)
        else:
            self._entered = Entered(Event.END)

    def _quote(self) -> None:
        self._quoting = True

    def _clear_screen(self) -> None:
        self._output.append(self._display.clear())

    def _undo_once(self) -> None:
        if self._undo:
            self.text, self.cursor = self._undo.pop()
        else:
            self.bell()

    def _yank(self) -> None:
        if self._kills:
            start = self.cursor
            self._insert(self._kills[-1])
            self._yanked = (start, self.cursor)
            self._now = "yank"
        else:
            self.bell()

    def _yank_another(self) -> None:
        if self._last != "yank":
            self.bell()
            return
        self._kills.insert(0, self._kills.pop())
        start, end = self._yanked
        self.replace(start, end, self._kills[-1])
        self._yanked = (start, self.cursor)
        self._now = "yank"

    # History.

    def _go_to(self, index: int) -> None:
        if not 0 <= index <= len(self.history.lines) or index == self._history_at or not self._echo:
            self.bell()
            return
        if self._history_at == len(self.history.lines):
            self._draft = self.text
        self._history_at = index
        self._undo.append((self.text, self.cursor))
        del self._undo[:-MAX_UNDO]
        self.text = self._draft if index == len(self.history.lines) else self.history.lines[index]
        self.cursor = len(self.text)

    def _older(self) -> None:
        self._go_to(self._history_at - 1)

    def _newer(self) -> None:
        self._go_to(self._history_at + 1)

    def _oldest(self) -> None:
        self._go_to(0)

    def _newest(self) -> None:
        self._go_to(len(self.history.lines))

    def _begin_search(self) -> None:
        if self._echo:
            self._before_search = (self.text, self.cursor)
            self._search = _Search("", len(self.history.lines), False)
        else:
            self.bell()

    def _take_search(self, key: Key, search: _Search) -> bool:
        """Take a key while searching; True: the search is over, and the key means what it always does."""
        if key.name == "ctrl-g":
            self._search = None
            self.text, self.cursor = self._before_search
        elif key.name == "ctrl-r":
            self._look(search.text, search.at - 1, -1)
        elif key.name == "ctrl-s":
            self._look(search.text, search.at + 1, 1)
        elif key.name in ("backspace", "ctrl-h"):
            self._look(search.text[:-1], len(self.history.lines) - 1, -1)
        elif len(key.text) == 1:
            self._look(search.text + key.text, min(search.at, len(self.history.lines) - 1), -1)
        else:
            self._search = None
            return key.name != "escape"
        return False

    def _look(self, text: str, start: int, step: int) -> None:
        assert self._search is not None
        found = self.history.search(text, start, step) if text else None
        if found is None:
            self._search = _Search(text, self._search.at, bool(text))
            if text:
                self.bell()
        else:
            self._search = _Search(text, found, False)
            self.text = self.history.lines[found]
            self.cursor = self.text.index(text)

    # Completion.

    def _complete_here(self) -> None:
        pieces: list[str] = []
        start = self.cursor
        if self._complete is not None and self._echo:
            try:
                found = [
                    piece for piece in self._complete(self.text, self.cursor) if 0 <= piece[0] <= self.cursor
                ]
            except Exception:  # whatever a program's own function does, a line is being edited
                found = []
            start = min((piece[0] for piece in found), default=start)
            # A piece that starts later has what is typed there before it.
            pieces = [self.text[start:index] + text for index, text in found]
        common = _common_start(pieces)
        typed = self.text[start : self.cursor]
        if len(pieces) == 1 and pieces[0] != typed:
            self.replace(start, self.cursor, pieces[0])
        elif len(common) > len(typed):
            self.replace(start, self.cursor, common)
            self._now = "complete"
        elif len(pieces) > 1 and self._last == "complete":
            self.print(self._in_columns(pieces))
        else:
            self.bell()
            self._now = "complete"

    def _in_columns(self, pieces: list[str]) -> str:
        shown = [visible(piece) for piece in pieces[:MAX_LISTED]]
        wide = max(map(text_width, shown)) + 2
        in_row = max(1, (self._display.columns - 1) // wide)
        rows = [shown[index : index + in_row] for index in range(0, len(shown), in_row)]
        padded = ("".join(cell + " " * (wide - text_width(cell)) for cell in row) for row in rows)
        listed = "\n".join(map(str.rstrip, padded))
        more = len(pieces) - len(shown)
        return f"{listed}\nand {more} more\n" if more else f"{listed}\n"


def _common_start(pieces: list[str]) -> str:
    """Return what all pieces begin with."""
    # The first and the last in order differ the most.
    first, last = min(pieces, default=""), max(pieces, default="")
    pairs = enumerate(zip(first, last, strict=False))
    return first[: next((index for index, pair in pairs if pair[0] != pair[1]), len(first))]


def _control(name: str) -> str:
    """Return the control character that a key's name means, or nothing."""
    character = name.removeprefix("ctrl-")
    if name.startswith("ctrl-") and len(character) == 1:
        return chr(ord(character) & 0x1F)
    return {"tab": "\t", "enter": "\r", "escape": "\x1b", "backspace": "\x7f"}.get(name, "")


#: Name of a key -> what it does.
BINDINGS = bindings(
    {
        "enter": LineEditor._accept,
        "ctrl-j": LineEditor._accept,
        "ctrl-m": LineEditor._accept,
        "ctrl-c": LineEditor._interrupt,
        "ctrl-d": LineEditor._end_or_delete,
        "ctrl-q": LineEditor._quote,
        "ctrl-v": LineEditor._quote,
        "ctrl-l": LineEditor._clear_screen,
        "ctrl-_": LineEditor._undo_once,
        "ctrl-z": LineEditor._undo_once,
        "ctrl-y": LineEditor._yank,
        "alt-y": LineEditor._yank_another,
        "ctrl-p": LineEditor._older,
        "up": LineEditor._older,
        "ctrl-n": LineEditor._newer,
        "down": LineEditor._newer,
        "alt-<": LineEditor._oldest,
        "alt->": LineEditor._newest,
        "ctrl-r": LineEditor._begin_search,
        "tab": LineEditor._complete_here,
        "ctrl-i": LineEditor._complete_here,
    }
)
