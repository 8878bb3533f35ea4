"""The console: what a person at a terminal talks with, in one session of a manhole.

Called by over_ssh, over_telnet and local with an interpreter and a `Screen`, inside an app session of
prompt_toolkit (`prompt_toolkit_session` for SSH, `create_app_session` for others).  Every session has its
own everything: application, clipboard, key processor, history, time-outs.  prompt_toolkit is loaded by the
first console that runs; it needs a loop of asyncio's, as the usual engine has one.
"""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from sshkit_keys.text import printable

from sshkit.manhole.console_screen import Screen

if TYPE_CHECKING:
    from collections.abc import Awaitable

__all__ = ["ConsoleInterpreter", "ConsoleOptions", "Screen", "banner_of", "run_console"]


class ConsoleOptions(NamedTuple):
    """How one person wants his console."""

    banner: str = ""  #: shown at the beginning; "" for one that names the process
    history: "str | os.PathLike[str] | None" = None  #: a file of this person's alone; None: memory only
    vi: bool = False  #: vi's keys instead of emacs'; F4 changes over
    mouse: bool = False
    colours: bool = True  #: False where the person's NO_COLOR is set
    idle: float | None = None  #: seconds without a key, at the prompt, after which the session ends
    title: str = "sshkit"  #: what the banner calls the program
    complete_as_typing: bool = False  #: open the menu without Tab


class ConsoleInterpreter(Protocol):
    """The part of `Interpreter` that a console uses."""

    namespace: dict[str, Any]
    number: int

    def state(self, source: str) -> str:
        """Return "complete", "incomplete" or "invalid"."""
        ...

    def run(self, source: str) -> "Awaitable[Any]":
        """Run one input; gives an Outcome."""
        ...

    def interrupt(self) -> bool:
        """Cancel what runs; False: nothing did."""
        ...


async def run_console(
    interpreter: ConsoleInterpreter,
    options: ConsoleOptions,
    screen: Screen,
    *,
    running: "Callable[[], Any] | None" = None,
) -> int:
    """Ask for inputs and run them until ctrl-D, `exit()`, the idle time-out or the end of the terminal.

    Returns the exit status.  `screen` is what the interpreter writes to (`Screen.write`, `.drained`,
    `.read_line`); one console at a time has it.  `running()` gives a context manager that is entered while
    code runs: local.py turns the terminal's own ctrl-C on in it.  The interpreter is not closed here:
    whoever made it does that.
    """
    from sshkit.manhole.console_session import Console

    return await Console(interpreter, options, screen, running).run()


def banner_of(options: ConsoleOptions, interpreter: ConsoleInterpreter) -> str:
    """Return the first lines of a session: which program this is, where it runs, and what may be done."""
    import platform
    import sys

    if options.banner:
        return options.banner if options.banner.endswith("\n") else options.banner + "\n"
    program = os.path.basename(sys.argv[0]) if sys.argv and sys.argv[0] else ""
    program = f" of {printable(program, 80)}" if program not in ("", "-c", "-m") else ""
    may = {
        "expressions": "You may evaluate expressions that change nothing.",
        "commands": "You may use some % commands.",
    }.get(getattr(getattr(interpreter, "access", None), "kind", "full"), "")
    mode = "in a thread of their own" if getattr(interpreter, "threaded", False) else "in the program's loop"
    process = f"{os.getpid()}{program} on {printable(platform.node(), 80)}"
    lines = [
        f"{printable(options.title, 80)}: Python {platform.python_version()} inside process {process}",
        f"Inputs run {mode}. {may} %help shows the commands, ctrl-D ends.".replace("  ", " "),
    ]
    return "\n".join(lines) + "\n"
