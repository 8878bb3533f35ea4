"""The driver through which textual talks with one session's terminal.

Called by `terminal_programs.run_textual`; loads textual.  Beside textual's own drivers this one starts no
thread, handles no signal and touches no standard stream, so that several applications run beside each
other.
"""

import asyncio
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from sshkit.server.terminal_programs import Keys, colours_of

if TYPE_CHECKING:
    from sshkit.interfaces import TerminalSize
    from sshkit.server.handler import Session

# By name, since type checkers run where textual is not installed.
events, messages = import_module("textual.events"), import_module("textual.messages")
Console: Any = import_module("rich.console").Console
Driver: Any = import_module("textual.driver").Driver
Size: Any = import_module("textual.geometry").Size
XTermParser: Any = import_module("textual._xterm_parser").XTermParser

COLOUR_SYSTEMS = {2: None, 16: "standard", 256: "256", 1 << 24: "truecolor"}
TICK = 0.1  #: seconds after which a lone escape counts as the key
#: What is switched on: the alternate screen, no cursor, bracketed paste; and off again.
ENTER, LEAVE = "\x1b[?1049h\x1b[?25l\x1b[?2004h", "\x1b[?2004l\x1b[0m\x1b[?25h\x1b[?1049l"
MOUSE = (1000, 1003, 1015, 1006)


async def run(session: "Session", app: Any, mouse: bool) -> Any:
    """Run `app` in `session`."""

    class SessionDriver(Driver):  # type: ignore[misc]
        """One session's terminal."""

        def __init__(self, app: Any, **options: Any) -> None:
            super().__init__(app, **options)
            self._parser = XTermParser()
            self._keys: Keys | None = None
            self._timer: asyncio.TimerHandle | None = None
            self._before = session._on_resize

        def write(self, data: str) -> None:
            session.stdout.write(data.encode("utf-8", "replace"))

        def flush(self) -> None:
            """Everything has been written."""

        def start_application_mode(self) -> None:
            self.write(ENTER + ("".join(f"\x1b[?{n}h" for n in MOUSE) if self._mouse else ""))
            session.on_resize(self._resized)
            assert session.terminal is not None
            self._resized(session.terminal.size)
            self._keys = Keys(session, self._typed, self._gone)

        def disable_input(self) -> None:
            if self._keys is not None:
                self._keys.stop()
            if self._timer is not None:
                self._timer.cancel()

        def stop_application_mode(self) -> None:
            self.disable_input()
            session._on_resize = self._before
            if not session.channel.is_closing():
                self.write(("".join(f"\x1b[?{n}l" for n in MOUSE) if self._mouse else "") + LEAVE)

        def _typed(self, text: str) -> None:
            for event in self._parser.feed(text):
                self.process_message(event)
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_later(TICK, self._tick)

        def _tick(self) -> None:
            for event in self._parser.tick():
                self.process_message(event)

        def _gone(self) -> None:
            self.send_message(messages.ExitApp())

        def _resized(self, size: "TerminalSize") -> None:
            found = Size(size.columns, size.rows)
            self._size = (size.columns, size.rows)
            self.send_message(events.Resize(found, found))
            if self._before is not None:
                self._before(size)

    assert session.terminal is not None
    size = session.terminal.size
    app.driver_class = SessionDriver
    # textual would redirect this process' standard output to the application that began last.
    app._capture_stdout, app._capture_stderr = sys.stdout, sys.stderr
    system: Any = COLOUR_SYSTEMS[colours_of(session)]
    old = app.console
    app.console = Console(
        color_system=system,
        file=old.file,
        force_terminal=True,
        legacy_windows=False,
        width=size.columns,
        height=size.rows,
        _environ={"TERM": session.terminal.name},
    )
    return await asyncio.ensure_future(
        asyncio.get_running_loop().create_task(app.run_async(mouse=mouse, size=(size.columns, size.rows)))
    )
