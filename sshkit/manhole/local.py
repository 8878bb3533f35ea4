"""The console on this process' own terminal: `sshkit-manhole`, and programs that want a shell at a point.

``await run_local({"app": app})`` inside a program on a loop of asyncio's.  While code runs, the terminal's
ctrl-C is a signal again, so that a statement that never ends can be stopped: it is the one console that can.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from sshkit.manhole.console import ConsoleOptions, Screen, run_console

if TYPE_CHECKING:
    from types import FrameType

    from sshkit.manhole.interpreter import Interpreter


async def run_local(
    namespace: dict[str, Any], options: ConsoleOptions | None = None, *, threaded: bool = False
) -> int:
    """Run a console on standard input and output; return its exit status.

    LocalProtocolError where they are no terminal.
    """
    from prompt_toolkit.application import create_app_session
    from prompt_toolkit.input import create_input
    from prompt_toolkit.output import create_output

    from sshkit.manhole.interpreter import Interpreter
    from sshkit.ssh.errors import LocalProtocolError

    if options is None:
        options = ConsoleOptions(colours=wants_colours())
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise LocalProtocolError("a console needs a terminal on standard input and output")
    screen = Screen(colours=options.colours)
    input, output = create_input(sys.stdin), create_output(sys.stdout)
    interrupts = Interrupts(screen)
    interpreter = Interpreter(
        namespace,
        write=interrupts.write,
        read_line=screen.read_line,
        drained=screen.drained,
        threaded=threaded,
        person="local",
    )
    try:
        with create_app_session(input=input, output=output):
            running = partial(_running, interpreter, interrupts)
            return await run_console(interpreter, options, screen, running=running)
    finally:
        interpreter.close()
        input.close()


def wants_colours() -> bool:
    """Return whether this process' environment allows colours (no-color.org)."""
    from os import environ

    return not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"


class Interrupts:
    """The terminal's ctrl-C while code runs, and what that code shows meanwhile.

    prompt_toolkit drops any exception that is raised at certain places of its writing, so an interruption
    waits there until the text is shown.
    """

    __slots__ = ("_came", "_screen", "_shows", "elsewhere")

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._shows = False
        self._came = False  # while something was shown
        self.elsewhere: Callable[[], object] = nothing  #: called where no code of the person's runs

    def write(self, text: str) -> None:
        """Show text."""
        self._shows = True
        try:
            self._screen.write(text)
        finally:
            self._shows = False
        if self._came:
            self._came = False
            self.interrupt(0, sys._getframe())

    def interrupt(self, number: int, frame: "FrameType | None") -> None:
        """Interrupt: the handler of a signal."""
        if self._shows:
            self._came = True
        elif runs_guarded_code(frame):
            raise KeyboardInterrupt
        else:
            self.elsewhere()


def nothing() -> None:
    """Do nothing."""


@contextmanager
def _running(interpreter: "Interpreter", interrupts: Interrupts) -> "Iterator[None]":
    """Let the terminal's ctrl-C interrupt what runs, and echo nothing that is typed ahead."""
    import signal
    import termios
    import threading
    from asyncio import get_running_loop

    fd = sys.stdin.fileno()
    before = termios.tcgetattr(fd)
    modes = termios.tcgetattr(fd)
    modes[0] &= ~termios.ICRNL
    modes[3] = (modes[3] | termios.ISIG) & ~(termios.ECHO | termios.ICANON | termios.IEXTEN)
    modes[6][termios.VSUSP] = b"\x00"  # ctrl-Z is ignored here as at the prompt
    termios.tcsetattr(fd, termios.TCSANOW, modes)
    loop = get_running_loop()

    interrupts.elsewhere = lambda: loop.call_soon_threadsafe(interpreter.interrupt)
    in_main_thread = threading.current_thread() is threading.main_thread()
    handler = signal.signal(signal.SIGINT, interrupts.interrupt) if in_main_thread else None
    try:
        yield
    finally:
        if in_main_thread:
            signal.signal(signal.SIGINT, handler)
        termios.tcsetattr(fd, termios.TCSANOW, before)


def runs_guarded_code(frame: "FrameType | None") -> bool:
    """Return whether the person's code is on the stack, where the interpreter catches KeyboardInterrupt.

    Elsewhere in the loop it would end the program.
    """
    from sshkit.manhole.interpreter import Interpreter, guarded

    guards = (guarded.__code__, Interpreter.in_place.__code__)
    while frame is not None and frame.f_code not in guards:
        frame = frame.f_back
    return frame is not None
