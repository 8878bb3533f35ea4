"""What stands below the prompt: the signature of the call that is being typed, and documentation on F1.

Called by console_application and console_keys.  Both are looked up in a thread, so that a slow object never
holds the echo; while one look-up runs no other begins.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from prompt_toolkit.formatted_text import StyleAndTextTuples
from sshkit_keys.text import printable

from sshkit.manhole.console_worker import Worker

if TYPE_CHECKING:
    from asyncio import Task

    from prompt_toolkit.buffer import Buffer

MAX_LINES = 12  #: of documentation
MAX_LINE = 300  #: characters of one
MAX_LOOKED_AT = 20_000  #: characters of source before the cursor

#: Starts a coroutine as a task of the session's.
Spawn = Callable[[Any], "Task[None]"]


class Hints:
    """The lines below one prompt."""

    __slots__ = (
        "__weakref__",
        "_buffer",
        "_changed",
        "_namespace",
        "_spawn",
        "_worker",
        "documentation",
        "fragments",
    )

    def __init__(
        self, namespace: dict[str, Any], buffer: "Buffer", spawn: Spawn, changed: Callable[[], object]
    ) -> None:
        self._namespace = namespace
        self._buffer = buffer
        self._spawn = spawn
        self._changed = changed
        self._worker = Worker()
        self.fragments: StyleAndTextTuples = []  #: the signature
        self.documentation = ""

    def clear(self) -> None:
        """Show nothing."""
        self.fragments = []
        self.documentation = ""

    def moved(self, buffer: object = None) -> None:
        """The text or the cursor has changed."""
        self.documentation = ""
        before = self._buffer.document.text_before_cursor
        if "(" not in before or len(before) > MAX_LOOKED_AT:
            self.fragments = []
        elif not self._worker.busy:
            self._spawn(self._look_up())

    def toggle_documentation(self) -> None:
        """Show the documentation of what stands at the cursor, or no longer."""
        if self.documentation:
            self.documentation = ""
            self._changed()
        else:
            self._spawn(self._document())

    async def _look_up(self) -> None:
        while True:
            source, cursor = self._buffer.text, self._buffer.cursor_position
            namespace = dict(self._namespace)

            found = await self._worker.ask(partial(_signature, source, cursor, namespace))
            if self._worker.busy:  # too slow: no further question before that one has been answered
                return
            if (source, cursor) == (self._buffer.text, self._buffer.cursor_position):
                break
        self.fragments = [] if found is None else render_signature(found)
        self._changed()

    async def _document(self) -> None:
        expression = expression_at(self._buffer.text, self._buffer.cursor_position)
        namespace = dict(self._namespace)

        def find() -> str:
            from sshkit.manhole.completion import documentation

            return documentation(expression, namespace)

        text = (await self._worker.ask(find) if expression else "") or "There is no documentation of this."
        lines = text.expandtabs().split("\n")
        shown = [printable(line, MAX_LINE) for line in lines[:MAX_LINES]]
        if len(lines) > MAX_LINES:
            shown.append(
                f"... {len(lines) - MAX_LINES} more lines: help({printable(expression, 60)}) shows them"
            )
        self.documentation = "\n".join(shown)
        self._changed()


def _signature(source: str, cursor: int, namespace: dict[str, Any]) -> Any:
    from sshkit.manhole.completion import signature

    return signature(source, cursor, namespace)


def render_signature(found: Any) -> StyleAndTextTuples:
    """Return a signature as text, the parameter that is being typed in bold, and the documentation's line."""
    fragments: StyleAndTextTuples = [("", f"{printable(found.name, 80)}(")]
    for index, parameter in enumerate(found.parameters):
        if index:
            fragments.append(("", ", "))
        style = "class:signature.current" if index == found.index else ""
        fragments.append((style, printable(str(parameter), 100)))
    fragments.append(("", ")"))
    if found.summary:
        fragments.append(("class:signature.summary", f"  {printable(found.summary, 200)}"))
    return fragments


def expression_at(source: str, cursor: int) -> str:
    """Return the dotted name at the cursor, or of the call that the cursor is in."""
    while True:
        start = end = cursor
        while end < len(source) and (source[end].isalnum() or source[end] == "_"):
            end += 1
        while start and (source[start - 1].isalnum() or source[start - 1] in "_."):
            start -= 1
        name = source[start:end].strip(".")
        cursor = source.rfind("(", 0, start)
        if name or cursor < 0:
            return name
