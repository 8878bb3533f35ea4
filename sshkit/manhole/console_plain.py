"""The prompt of a terminal that cannot move its cursor (TERM=dumb): lines, with echo and backspace.

Called by console_session in the place of `Editor`.  No menu, no colours, nothing is drawn twice: text that
comes while a line is typed breaks into it, and the line is shown again below.
"""

from typing import TYPE_CHECKING, Any

from prompt_toolkit.input.typeahead import get_typeahead, store_typeahead
from prompt_toolkit.keys import Keys

from sshkit.manhole.console_indent import is_ready
from sshkit.manhole.console_text import OutputFilter

if TYPE_CHECKING:
    from asyncio import Future
    from collections.abc import Callable

    from prompt_toolkit.history import History
    from prompt_toolkit.input import Input
    from prompt_toolkit.key_binding import KeyPress
    from prompt_toolkit.output import Output

    from sshkit.manhole.console import ConsoleInterpreter

MAX_LINE = 64 * 1024  #: characters of one input; more are not taken, with a bell's worth of silence


class PlainPrompt:
    """Asks for lines."""

    __slots__ = (
        "__weakref__",
        "_code",
        "_future",
        "_history",
        "_input",
        "_keys",
        "_label",
        "_line",
        "_lines",
        "_output",
        "_state",
        "pressed",
    )

    def __init__(
        self, interpreter: "ConsoleInterpreter", history: "History", input: "Input", output: "Output"
    ) -> None:
        self._state = interpreter.state
        self._history = history
        self._input = input
        self._output = output
        self._label = ""
        self._code = True
        self._line = ""
        self._lines: list[str] = []
        self._keys: list[KeyPress] = []
        self._future: Future[str] | None = None
        self.pressed: Callable[[], object] | None = None  #: called for each read of keys

    async def ask(self, label: str, *, code: bool) -> str:
        """Return what was typed; KeyboardInterrupt at ctrl-C, EOFError at ctrl-D or the input's end."""
        from asyncio import get_running_loop

        before = self._code, self._label, self._line, self._lines
        self._code, self._label, self._line, self._lines = code, label, "", []
        self._future = future = get_running_loop().create_future()
        self.put(label)
        try:
            with self._input.raw_mode(), self._input.attach(self._ready):
                self._take(get_typeahead(self._input))
                text: str = await future
            if code and text.strip():
                self._history.append_string(text)
            return text
        finally:
            self._future = None
            keys, self._keys = self._keys, []
            store_typeahead(self._input, keys)
            self._code, self._label, self._line, self._lines = before

    def end(self, error: BaseException) -> None:
        """End the prompt with an error, if it is there."""
        if self._future is not None and not self._future.done():
            self.put("\r\n")
            self._future.set_exception(error)

    def put(self, text: str) -> None:
        """Show text at once."""
        self._output.write_raw(text)
        self._output.flush()

    def above(self, text: str) -> None:
        """Show whole lines, and the line that is being typed again below them."""
        self.put("\r\n" + text + self._prefix() + OutputFilter(False).feed(self._line))

    def _prefix(self) -> str:
        return self._label if not self._lines else "...: ".rjust(len(self._label))

    def _ready(self) -> None:
        if self.pressed is not None:
            self.pressed()
        self._take(self._input.read_keys())
        if self._input.closed:
            self.end(EOFError())

    def _take(self, keys: "list[KeyPress]") -> None:
        for press in keys:
            if self._future is None or self._future.done():
                self._keys.append(press)
            else:
                self._press(press.key, press.data)

    def _press(self, key: Any, data: str) -> None:
        if key in (Keys.ControlM, Keys.ControlJ):
            self._enter()
        elif key == Keys.ControlC:
            self.put("^C")
            self.end(KeyboardInterrupt())
        elif key == Keys.ControlD:
            if not self._line and not self._lines:
                self.end(EOFError())
        elif key == Keys.ControlH:
            if self._line:
                wide = _columns(self._line[-1])
                self._line = self._line[:-1]
                self.put("\b \b" * wide)
        elif key == Keys.ControlU:
            self._line = ""
            self.put("\r\n" + self._prefix())
        elif key == Keys.BracketedPaste:
            for line in data.replace("\r\n", "\n").replace("\r", "\n").split("\n")[:-1]:
                self._type(line)
                self._lines.append(self._line)
                self._line = ""
                self.put("\r\n" + self._prefix())
            self._type(data.replace("\r", "\n").rpartition("\n")[2])
        elif not isinstance(key, Keys):
            self._type(data)

    def _type(self, text: str) -> None:
        text = "".join(c for c in text if c.isprintable())
        if sum(map(len, self._lines)) + len(self._line) + len(text) <= MAX_LINE:
            self._line += text
            self.put(text)

    def _enter(self) -> None:
        source = "\n".join([*self._lines, self._line])
        self.put("\r\n")
        if not self._code:
            self._done(source)
        elif is_ready(source, len(source), self._state):
            self._done(source.rstrip())
        else:
            self._lines.append(self._line)
            self._line = ""
            self.put(self._prefix())

    def _done(self, text: str) -> None:
        assert self._future is not None
        self._future.set_result(text)


def _columns(character: str) -> int:
    from prompt_toolkit.utils import get_cwidth

    return get_cwidth(character)
