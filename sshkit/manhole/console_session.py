"""One console, from its banner to its end: asks, runs, and keeps order between the two.

Called by `run_console`.  The prompt is "In [n]: ", since results are kept as `_n`; nothing is asked while
code runs, and keys that are typed then belong to the next prompt.
"""

from collections.abc import Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from prompt_toolkit.application.current import get_app_session
from prompt_toolkit.input import typeahead

from sshkit.manhole.console import banner_of
from sshkit.manhole.console_history import HistoryRefused, PersonalHistory
from sshkit.manhole.console_running import RunningKeys

if TYPE_CHECKING:
    from asyncio import TimerHandle

    from sshkit.manhole.console import ConsoleInterpreter, ConsoleOptions
    from sshkit.manhole.console_application import Editor
    from sshkit.manhole.console_plain import PlainPrompt
    from sshkit.manhole.console_screen import Screen

DUMB = ("dumb", "", "unknown")  #: values of TERM without cursor movement


class IdleTooLong(Exception):
    """Nobody has typed for the time that the options allow."""


class Console:
    """A person at a terminal, and an interpreter."""

    def __init__(
        self,
        interpreter: "ConsoleInterpreter",
        options: "ConsoleOptions",
        screen: "Screen",
        running: Callable[[], Any] | None,
    ) -> None:
        session = get_app_session()
        self._interpreter = interpreter
        self._options = options
        self._screen = screen
        self._running = running or nullcontext
        self._input = session.input
        self._output = session.output
        self._keys: RunningKeys | None = None  # while code runs
        self._timer: TimerHandle | None = None
        self._last_key = 0.0
        self._complaint = ""
        try:
            history = PersonalHistory(options.history)
        except HistoryRefused as error:
            self._complaint = f"The history is kept in memory only: {error}\n"
            history = PersonalHistory()
        self._prompt = self._make_prompt(history)

    def _make_prompt(self, history: PersonalHistory) -> "Editor | PlainPrompt":
        if getattr(self._output, "term", "xterm") in DUMB:
            from sshkit.manhole.console_plain import PlainPrompt

            plain = PlainPrompt(self._interpreter, history, self._input, self._output)
            plain.pressed = self._pressed
            return plain
        from sshkit.manhole.console_application import Editor

        editor = Editor(self._interpreter, self._options, history, self._input, self._output)
        editor.app.key_processor.before_key_press += self._pressed
        return editor

    async def run(self) -> int:
        """Ask and run until one of the ends; return the exit status."""
        from asyncio import get_running_loop

        loop = get_running_loop()
        typeahead.clear_typeahead(self._input)  # keys of another session whose input had the same number
        self._screen.attach(loop, self._prompt.put, self._ask_line)
        self._watch_idleness(loop)
        try:
            self._screen.write(banner_of(self._options, self._interpreter) + self._complaint)
            while True:
                try:
                    source = await self._ask_code()
                except KeyboardInterrupt:
                    continue
                except EOFError:
                    return 0
                except IdleTooLong:
                    self._screen.write(f"Nothing was typed for {self._options.idle:g} seconds: good bye.\n")
                    return 0
                if source.strip():
                    status = await self._run(source)
                    if status is not None:
                        return status
        finally:
            if self._timer is not None:
                self._timer.cancel()
            self._screen.close()
            typeahead._buffer.pop(self._input.typeahead_hash(), None)

    async def _ask_code(self) -> str:
        self._screen.editing(self._prompt.above)
        try:
            return await self._prompt.ask(f"In [{self._interpreter.number}]: ", code=True)
        finally:
            self._screen.running()

    async def _run(self, source: str) -> int | None:
        """Run one input; return the exit status that it asked for."""
        interpreter: Any = self._interpreter
        interpreter.width = self._output.get_size().columns
        interpreter.colours = self._options.colours and self._has_colours()
        # With a context of local.py's, the terminal's ctrl-C is a signal, and its modes are that context's.
        self._keys = RunningKeys(self._input, self._interrupt, raw=self._running is nullcontext)
        try:
            with self._running(), self._keys:
                outcome = await interpreter.run(source)
                await self._screen.settled()
        finally:
            self._keys = None
            self._pressed()
        status: int | None = outcome.exit_status
        return status

    def _has_colours(self) -> bool:
        from prompt_toolkit.output import ColorDepth

        return self._output.get_default_color_depth() != ColorDepth.DEPTH_1_BIT

    def _interrupt(self) -> None:
        """Ctrl-C while code runs."""
        self._screen.discard()
        self._screen.write("^C\n")
        self._interpreter.interrupt()

    async def _ask_line(self, label: str) -> str:
        """Ask what `input()` and `ainput()` of the code that runs want to know."""
        keys = self._keys
        if keys is None:
            raise EOFError("input() has nobody to ask while a prompt waits for code")
        await self._screen.settled()
        keys.pause()
        self._screen.editing(self._prompt.above)
        try:
            return await self._prompt.ask(label, code=False)
        finally:
            self._screen.running()
            keys.resume()

    # Idleness: one timer, which looks when the last key was pressed.

    def _watch_idleness(self, loop: Any) -> None:
        self._pressed()
        if self._options.idle is not None:
            self._timer = loop.call_later(self._options.idle, self._idle, loop)

    def _pressed(self, _: object = None) -> None:
        if self._options.idle is not None:
            from time import monotonic

            self._last_key = monotonic()

    def _idle(self, loop: Any) -> None:
        from time import monotonic

        assert self._options.idle is not None
        left = self._last_key + self._options.idle - monotonic()
        if self._keys is not None:
            left = self._options.idle  # code runs: nobody is expected to type
        if left > 0:
            self._timer = loop.call_later(left, self._idle, loop)
        else:
            self._prompt.end(IdleTooLong())
