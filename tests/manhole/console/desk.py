"""A person before a terminal in memory: what he types, what he sees."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from types import TracebackType
from typing import Any

from prompt_toolkit.application import create_app_session
from prompt_toolkit.data_structures import Size
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output.color_depth import ColorDepth
from prompt_toolkit.output.vt100 import Vt100_Output

import sshkit
from sshkit.manhole.console import ConsoleOptions, Screen, run_console
from sshkit.manhole.interpreter import Interpreter

PATIENCE = 20.0


class Paper:
    """What Vt100_Output takes for a file."""

    encoding = "utf-8"

    def __init__(self, seen: Callable[[str], None]) -> None:
        self.write = seen

    def flush(self) -> None: ...

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        raise OSError("no descriptor")


class Desk:
    """One console that runs until the block ends."""

    def __init__(
        self,
        namespace: dict[str, Any] | None = None,
        options: ConsoleOptions = ConsoleOptions(banner="welcome\n"),  # noqa: B008 (immutable)
        *,
        term: str = "xterm-256color",
        threaded: bool = False,
        drain: Callable[[], Any] | None = None,
        interpreter: Any = None,
        depth: ColorDepth = ColorDepth.DEPTH_8_BIT,
    ) -> None:
        self.namespace: dict[str, Any] = {} if namespace is None else namespace
        self.options = options
        self.text = ""  #: seen since the last `until`
        self.everything = ""
        self.size = Size(24, 80)
        self.screen = Screen(drain=drain, colours=options.colours)
        self._interpreter: Any = interpreter
        self._threaded = threaded
        self._term = term
        self._depth = depth
        self._changed = asyncio.Event()
        self._stack = ExitStack()
        self.console: asyncio.Task[int] | None = None

    @property
    def interpreter(self) -> Any:
        return self._interpreter

    async def __aenter__(self) -> "Desk":
        self.input = self._stack.enter_context(create_pipe_input())
        self.output = Vt100_Output(
            Paper(self._seen),  # type: ignore[arg-type]
            lambda: self.size,
            term=self._term,
            default_color_depth=self._depth,
            enable_cpr=False,
        )
        if self._interpreter is None:
            self._interpreter = Interpreter(
                self.namespace,
                write=self.screen.write,
                read_line=self.screen.read_line,
                drained=self.screen.drained,
                threaded=self._threaded,
            )
        self.console = asyncio.ensure_future(self._run())
        return self

    async def _run(self) -> int:
        with create_app_session(input=self.input, output=self.output):
            return await run_console(self._interpreter, self.options, self.screen)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self.console is not None
        self.console.cancel()
        await asyncio.gather(self.console, return_exceptions=True)
        if hasattr(self._interpreter, "close"):
            self._interpreter.close()
        self._stack.close()
        self.console = None
        del error, trace

    def _seen(self, text: str) -> None:
        self.text += text
        self.everything += text
        self._changed.set()

    def type(self, text: str) -> None:
        self.input.send_text(text)

    async def until(self, words: str) -> str:
        """Wait until `words` are shown; return what came up to them and forget it."""
        async with asyncio.timeout(PATIENCE):
            try:
                while words not in self.text:
                    self._changed.clear()
                    await self._changed.wait()
            except (asyncio.CancelledError, TimeoutError):
                raise AssertionError(f"waited for {words!r}, saw {self.everything!r}") from None
        end = self.text.index(words) + len(words)
        before, self.text = self.text[:end], self.text[end:]
        return before

    async def enter(self, *lines: str) -> None:
        """Type inputs, each with its enter, when the prompt is there."""
        for line in lines:
            await self.prompt()
            self.type(line + "\r")

    async def prompt(self) -> str:
        """Wait for a prompt."""
        return await self.until("In [")

    async def status(self) -> int:
        """Wait for the end."""
        assert self.console is not None
        async with asyncio.timeout(PATIENCE):
            return await self.console


def at_desk(test: Callable[[Desk], Awaitable[None]], *arguments: Any, **settings: Any) -> None:
    """Run a test with a console."""

    async def main() -> None:
        async with Desk(*arguments, **settings) as desk:
            await test(desk)

    sshkit.run(main())
