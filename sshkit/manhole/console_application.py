"""One prompt_toolkit application for each console: an editor of Python, its menu and the lines below it.

Called by console_session for terminals that can move their cursor.  Nothing is drawn while nothing
happens: no refresh, no polling of the size, no timer of an idle session.
"""

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from prompt_toolkit.application import Application
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.clipboard import InMemoryClipboard
from prompt_toolkit.enums import DEFAULT_BUFFER, EditingMode
from prompt_toolkit.filters import Condition
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.key_binding import KeyBindings
from prompt_toolkit.layout import (
    ConditionalContainer,
    Dimension,
    Float,
    FloatContainer,
    FormattedTextControl,
    HSplit,
    Layout,
    Window,
)
from prompt_toolkit.layout.controls import BufferControl
from prompt_toolkit.layout.menus import CompletionsMenu
from prompt_toolkit.layout.processors import (
    HighlightIncrementalSearchProcessor,
    HighlightMatchingBracketProcessor,
    HighlightSelectionProcessor,
)
from prompt_toolkit.lexers import DynamicLexer, SimpleLexer
from prompt_toolkit.output import ColorDepth
from prompt_toolkit.styles import Style
from prompt_toolkit.widgets import SearchToolbar

from sshkit.manhole.console_completion import NamespaceCompleter
from sshkit.manhole.console_hints import MAX_LINES, Hints
from sshkit.manhole.console_keys import console_bindings, shared_bindings
from sshkit.manhole.console_lexer import PythonLexer

if TYPE_CHECKING:
    from prompt_toolkit.history import History
    from prompt_toolkit.input import Input
    from prompt_toolkit.output import Output

    from sshkit.manhole.console import ConsoleInterpreter, ConsoleOptions

MENU_ROWS = 8

STYLE = Style.from_dict(
    {
        "prompt": "ansigreen",
        "continuation": "ansibrightblack",
        "python.comment": "ansibrightblack",
        "python.string": "ansigreen",
        "python.number": "ansicyan",
        "python.keyword": "ansimagenta",
        "python.definition": "ansiblue",
        "python.decorator": "ansiyellow",
        "python.magic": "ansiyellow",
        "python.constant": "ansicyan",
        "python.builtin": "ansiblue",
        "matching-bracket.cursor": "bold",
        "matching-bracket.other": "bold underline",
        "signature": "ansibrightblack",
        "signature.current": "bold underline",
        "documentation": "ansicyan",
        "aborting": "",
        "exiting": "",
    }
)


class Editor:
    """The prompt of one console on a terminal."""

    def __init__(
        self,
        interpreter: "ConsoleInterpreter",
        options: "ConsoleOptions",
        history: "History",
        input: "Input",
        output: "Output",
    ) -> None:
        access = getattr(interpreter, "access", None)
        self.state = interpreter.state
        self.code = True  #: False while `input()` asks
        self._label = ""
        self._output = output
        self.buffer = Buffer(
            name=DEFAULT_BUFFER,
            multiline=True,
            history=history,
            completer=NamespaceCompleter(interpreter.namespace, access),
            complete_while_typing=Condition(lambda: options.complete_as_typing and self.code),
        )
        seen = interpreter.namespace if access is None or access.kind == "full" else {}
        self.hints = Hints(seen, self.buffer, self._spawn, self._changed)
        self.app: Application[str] = Application(
            layout=self._layout(),
            style=STYLE,
            include_default_pygments_style=False,
            clipboard=InMemoryClipboard(),
            key_bindings=console_bindings(self),
            mouse_support=options.mouse,
            editing_mode=EditingMode.VI if options.vi else EditingMode.EMACS,
            color_depth=None if options.colours else ColorDepth.DEPTH_1_BIT,
            max_render_postpone_time=None,
            terminal_size_polling_interval=None,
            input=input,
            output=output,
        )
        # What every application makes for itself is shared where it keeps nothing of a session.
        self.app._default_bindings = shared_bindings()
        self.app._page_navigation_bindings = KeyBindings()
        # The program's breakpoint() is not this session's.
        vars(self.app)["_enable_breakpointhook"] = nullcontext
        self.buffer.on_text_changed += self._moved
        self.buffer.on_cursor_position_changed += self._moved

    async def ask(self, label: str, *, code: bool) -> str:
        """Return what was typed; KeyboardInterrupt at ctrl-C, EOFError at ctrl-D or the input's end."""
        from asyncio import get_running_loop

        before = self.code, self._label
        self.code, self._label = code, label
        self.buffer.reset()
        self.hints.clear()
        try:
            return await self.app.run_async(
                set_exception_handler=False,
                handle_sigint=False,
                slow_callback_duration=get_running_loop().slow_callback_duration,
            )
        finally:
            self.code, self._label = before

    def accept(self) -> None:
        """End the prompt with what was typed."""
        text = self.buffer.text
        if self.code:
            text = text.rstrip()
            if text:
                self.buffer.history.append_string(text)
        self.hints.clear()
        self.app.exit(result=text, style="class:accepted")

    def end(self, error: BaseException) -> None:
        """End the prompt with an error, if it is there."""
        if self.app.is_running and not self.app.is_done:
            self.app.exit(exception=error)

    def put(self, text: str) -> None:
        """Show text at once; no prompt is there."""
        self._output.write_raw(text)
        self._output.flush()

    def above(self, text: str) -> None:
        """Show whole lines above the prompt."""
        if self.app.is_running and not self.app.is_done:
            self.app.renderer.erase()
            self.put(text)
            self.app.invalidate()
        else:
            self.put(text)

    # Inside.

    def _spawn(self, coroutine: Any) -> Any:
        return self.app.create_background_task(coroutine)

    def _changed(self) -> None:
        self.app.invalidate()

    def _moved(self, buffer: Buffer) -> None:
        if self.code and self.app.is_running:
            self.hints.moved()

    def _prefix(self, line: int, wrapped: int) -> StyleAndTextTuples:
        if line == 0 and wrapped == 0:
            return [("class:prompt", self._label)]
        width = len(self._label)
        return [("class:continuation", ("...: " if wrapped == 0 and self.code else "").rjust(width))]

    def _height(self) -> Dimension:
        if self.buffer.complete_state is not None and not self.app.is_done:
            return Dimension(min=MENU_ROWS)  # room for the menu
        return Dimension()

    def _layout(self) -> Layout:
        search = SearchToolbar()
        control = BufferControl(
            self.buffer,
            search_buffer_control=search.control,
            preview_search=True,
            include_default_input_processors=False,
            input_processors=[
                HighlightIncrementalSearchProcessor(),
                HighlightSelectionProcessor(),
                HighlightMatchingBracketProcessor(),
            ],
            lexer=DynamicLexer(lambda: PythonLexer() if self.code else SimpleLexer()),
        )
        window = Window(
            control,
            height=self._height,
            get_line_prefix=self._prefix,
            wrap_lines=True,
            dont_extend_height=True,
        )
        menu = CompletionsMenu(max_height=MENU_ROWS * 2, scroll_offset=1)
        body = FloatContainer(
            HSplit([window]), [Float(xcursor=True, ycursor=True, transparent=True, content=menu)]
        )

        def below(text: Any, style: str, wanted: Any, rows: int) -> ConditionalContainer:
            shown = Window(
                FormattedTextControl(text),
                style=style,
                wrap_lines=True,
                dont_extend_height=True,
                height=Dimension(min=1, max=rows),
            )
            return ConditionalContainer(
                shown, Condition(lambda: not self.app.is_done and self.code and bool(wanted()))
            )

        hints = self._hints
        return Layout(
            HSplit(
                [
                    body,
                    search,
                    below(lambda: hints().fragments, "class:signature", lambda: hints().fragments, 3),
                    below(
                        lambda: hints().documentation,
                        "class:documentation",
                        lambda: hints().documentation,
                        MAX_LINES + 1,  # and one that says how many there are more
                    ),
                ]
            ),
            window,
        )

    def _hints(self) -> Hints:
        return self.hints
