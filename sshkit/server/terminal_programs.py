"""prompt_toolkit and textual programs, one for each session, with its size, its colours and its keys.

``async with prompt_toolkit_session(session) as (input, output): await PromptSession().prompt_async("> ")``
and ``await run_textual(session, MyApp())``.  Several run at once: nothing of this process' own terminal,
signals or standard streams is used.  They need asyncio running: `sshkit.run` (its usual engine) or
`asyncio.run`.

prompt_toolkit and textual are optional: each is loaded when it is used.
"""

from codecs import getincrementaldecoder
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from contextvars import ContextVar
from itertools import count
from typing import TYPE_CHECKING, Any

from sshkit.deferred import CancelledError, Deferred, ensure_deferred
from sshkit.server.middleware.chain import clock_of
from sshkit.ssh.errors import LocalProtocolError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prompt_toolkit.input import Input
    from prompt_toolkit.key_binding import KeyPress
    from prompt_toolkit.output import Output

    from sshkit.interfaces import TerminalSize
    from sshkit.server.handler import Session

READ = 16 * 1024  #: bytes of keys that are taken at a time
MAX_KEYS = 64 * 1024  #: key presses that wait for a program that takes none; then input stops (R24)
TRUE_COLOUR = ("truecolor", "24bit")  #: values of COLORTERM

_numbers = count(1)
#: Whether what runs belongs to a session; each session has a context of its own.
_inside: ContextVar[bool] = ContextVar("inside", default=False)


def colours_of(session: "Session") -> int:
    """Return how many colours the client's terminal has, by TERM and COLORTERM: 2, 16, 256 or 16,777,216.

    COLORTERM arrives only where `Settings.accept_env` has it; names of terminals like "xterm-direct" say
    the same.
    """
    terminal = session.terminal
    name = "dumb" if terminal is None else terminal.name
    if session.environment.get("COLORTERM", "").lower() in TRUE_COLOUR or name.endswith("-direct"):
        return 1 << 24
    if name in ("dumb", "") or name.startswith(("vt1", "vt2", "vt52")):
        return 2
    return 256 if "256" in name or name.startswith(("xterm", "tmux", "screen", "alacritty")) else 16


class Keys:
    """Feeds what the client types to a program, and stops the client while the program takes none."""

    __slots__ = ("_decode", "_feed", "_gone", "_reading", "_ready", "_session")

    def __init__(self, session: "Session", feed: Callable[[str], object], gone: Callable[[], object]) -> None:
        """Call `feed(text)` for what comes, `gone()` at its end."""
        self._session = session
        self._feed = feed
        self._gone = gone
        self._decode = getincrementaldecoder("utf-8")("replace").decode
        self._ready: Deferred[None] | None = None
        self._reading: Deferred[None] = ensure_deferred(self._read())

    def stop(self) -> None:
        """Take no more keys; those that come are left for whoever reads next."""
        self._reading.cancel()

    def pause(self) -> None:
        """Wait before the next read."""
        if self._ready is None:
            self._ready = Deferred()

    def resume(self) -> None:
        """Go on."""
        ready, self._ready = self._ready, None
        if ready is not None:
            ready.callback(None)

    async def _read(self) -> None:
        try:
            while data := await self._session.stdin.read(READ):
                self._feed(self._decode(data))
                if self._ready is not None:
                    await self._ready
        except CancelledError:
            return
        except Exception:
            pass  # the client has gone: the same as the end of its input
        self._gone()


@asynccontextmanager
async def prompt_toolkit_session(session: "Session") -> "AsyncIterator[tuple[Input, Output]]":
    """Let prompt_toolkit talk with this session's terminal inside the ``async with``.

    What is run inside (`prompt_async`, `Application.run_async`, `print_formatted_text`) finds its input and
    output by itself; they are also what this gives.  LocalProtocolError where the session has no terminal.
    """
    if session.terminal is None:
        raise LocalProtocolError("a terminal program needs a terminal: connect with ssh -t")
    from prompt_toolkit.application.current import create_app_session

    _leave_signals_alone()
    input, output = _prompt_toolkit_ends(session)
    before = session._on_resize
    with create_app_session(input=input, output=output) as app_session:

        def resized(size: "TerminalSize") -> None:
            app = app_session.app
            if app is not None:
                app._on_resize()
            if before is not None:
                before(size)

        session.on_resize(resized)
        _inside.set(True)
        try:
            yield input, output
        finally:
            _inside.set(False)
            input.stop()
            session._on_resize = before
            output.flush()


def _leave_signals_alone() -> None:
    """Keep applications of sessions from taking this process' SIGINT and SIGWINCH, which are not theirs.

    prompt_toolkit leaves them alone where it is not in the main thread; for a session it shall think so.
    """
    from importlib import import_module

    module = import_module("prompt_toolkit.application.application")
    original = module.in_main_thread
    if original.__module__ == __name__:
        return

    def in_main_thread() -> bool:
        return bool(original()) and not _inside.get()

    vars(module)["in_main_thread"] = in_main_thread


def _prompt_toolkit_ends(session: "Session") -> Any:
    """Return input and output of prompt_toolkit over a session's streams."""
    from prompt_toolkit.data_structures import Size
    from prompt_toolkit.input import Input
    from prompt_toolkit.input.vt100_parser import Vt100Parser
    from prompt_toolkit.output.color_depth import ColorDepth
    from prompt_toolkit.output.vt100 import Vt100_Output

    number = next(_numbers)  # never used again: keys typed ahead are kept by it

    class SessionInput(Input):
        """Keys of one session."""

        def __init__(self) -> None:
            self._pressed: list[KeyPress] = []
            self._parser = Vt100Parser(self._pressed.append)
            self._listeners: list[Callable[[], None]] = []
            self._closed = False
            self._keys = Keys(session, self._take, self._end)

        def stop(self) -> None:
            self._keys.stop()

        def fileno(self) -> int:
            raise NotImplementedError("a session has no descriptor")

        def typeahead_hash(self) -> str:
            return f"sshkit-session-{number}"

        def read_keys(self) -> "list[KeyPress]":
            pressed = self._pressed[:]
            self._pressed.clear()
            self._keys.resume()
            return pressed

        def flush_keys(self) -> "list[KeyPress]":
            self._parser.flush()
            return self.read_keys()

        @property
        def closed(self) -> bool:
            return self._closed

        def raw_mode(self) -> AbstractContextManager[None]:
            return _nothing()

        def cooked_mode(self) -> AbstractContextManager[None]:
            return _nothing()

        def attach(self, input_ready_callback: Callable[[], None]) -> AbstractContextManager[None]:
            return self._attached([*self._listeners, input_ready_callback])

        def detach(self) -> AbstractContextManager[None]:
            return self._attached([])

        @contextmanager
        def _attached(self, listeners: "list[Callable[[], None]]") -> "Iterator[None]":
            before, self._listeners = self._listeners, listeners
            if listeners and (self._pressed or self._closed):
                clock_of(session).call_soon(self._tell)  # typed ahead
            try:
                yield
            finally:
                self._listeners = before

        def _take(self, text: str) -> None:
            self._parser.feed(text)
            if len(self._pressed) > MAX_KEYS:
                self._keys.pause()
            self._tell()

        def _end(self) -> None:
            self._closed = True
            self._tell()

        def _tell(self) -> None:
            if self._listeners:
                self._listeners[-1]()

    class Stdout:
        """The little of a file that Vt100_Output wants."""

        encoding = "utf-8"

        def write(self, data: str) -> None:
            session.stdout.write(data.encode("utf-8", "replace"))

        def flush(self) -> None:
            """Everything has been written."""

        def isatty(self) -> bool:
            return True

        def fileno(self) -> int:
            raise OSError("a session has no descriptor")

    def size() -> Size:
        terminal = session.terminal
        assert terminal is not None
        return Size(rows=terminal.size.rows, columns=terminal.size.columns)

    depths = {2: ColorDepth.DEPTH_1_BIT, 16: ColorDepth.DEPTH_4_BIT, 256: ColorDepth.DEPTH_8_BIT}
    terminal = session.terminal
    assert terminal is not None
    output = Vt100_Output(
        Stdout(),  # type: ignore[arg-type]
        size,
        term=terminal.name,
        default_color_depth=depths.get(colours_of(session), ColorDepth.DEPTH_24_BIT),
        enable_cpr=False,
    )
    return SessionInput(), output


@contextmanager
def _nothing() -> "Iterator[None]":
    yield


async def run_textual(session: "Session", app: Any, *, mouse: bool = True) -> Any:
    """Run a textual application in this session; returns what it returned.

    LocalProtocolError where the session has no terminal.  When the client goes, the application is ended.
    """
    if session.terminal is None:
        raise LocalProtocolError("a terminal program needs a terminal: connect with ssh -t")
    from sshkit.server.textual_driver import run

    return await run(session, app, mouse)
