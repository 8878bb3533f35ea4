"""Keys that are typed while code runs: ctrl-C interrupts, all others are kept for the next prompt.

Called by console_session around each run.
"""

from contextlib import AbstractContextManager, ExitStack
from typing import TYPE_CHECKING

from prompt_toolkit.input.typeahead import get_typeahead, store_typeahead
from prompt_toolkit.keys import Keys

if TYPE_CHECKING:
    from collections.abc import Callable

    from prompt_toolkit.input import Input
    from prompt_toolkit.key_binding import KeyPress

MAX_TYPED_AHEAD = 16 * 1024  #: keys that are kept; those beyond are dropped (R24)


class RunningKeys(AbstractContextManager["RunningKeys"]):
    """Reads keys while no prompt does."""

    __slots__ = ("_input", "_interrupt", "_kept", "_stack", "raw")

    def __init__(self, input: "Input", interrupt: "Callable[[], object]", *, raw: bool = True) -> None:
        """Call `interrupt()` for each ctrl-C; `raw` False leaves the terminal's modes to somebody else."""
        self._input = input
        self._interrupt = interrupt
        self._kept: list[KeyPress] = []
        self._stack = ExitStack()
        self.raw = raw

    def __enter__(self) -> "RunningKeys":
        self.resume()
        self._take(get_typeahead(self._input))
        return self

    def __exit__(self, *exception: object) -> None:
        self.pause()

    def resume(self) -> None:
        """Begin to read."""
        if self.raw:
            self._stack.enter_context(self._input.raw_mode())
        self._stack.enter_context(self._input.attach(self._ready))

    def pause(self) -> None:
        """Leave the keys, and those that were typed, to a prompt."""
        self._stack.close()
        kept, self._kept = self._kept, []
        store_typeahead(self._input, kept)

    def forget(self) -> None:
        """Forget what was typed ahead: an interrupt empties it, as on any terminal."""
        self._kept.clear()

    def _ready(self) -> None:
        self._take(self._input.read_keys())

    def _take(self, keys: "list[KeyPress]") -> None:
        for press in keys:
            if press.key == Keys.ControlC:
                self.forget()
                self._interrupt()
            elif len(self._kept) < MAX_TYPED_AHEAD:
                self._kept.append(press)
