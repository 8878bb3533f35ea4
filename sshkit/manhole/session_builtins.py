"""`input`, `help`, `exit` and `breakpoint` as code of a session finds them, and `ainput`.

Called through `routing`, which asks whose code calls.  Python's own would read the program's standard input,
page on its terminal and close it.
"""

from threading import get_ident
from typing import TYPE_CHECKING, Any, NoReturn
from weakref import ref

from sshkit.deferred import Deferred, fail
from sshkit.ssh.errors import LocalProtocolError

from .routing import output_here

if TYPE_CHECKING:
    from .interpreter import Interpreter

#: What the loop's thread is told instead of being stopped.
IN_THE_LOOP = "would stop the whole program: this session runs its code in the loop's thread"


class SessionBuiltins:
    """The replacements of one session."""

    __slots__ = ("_interpreter", "_loop_thread")

    def __init__(self, interpreter: "Interpreter") -> None:
        self._interpreter = ref(interpreter)
        self._loop_thread = get_ident()

    def _session(self) -> "Interpreter":
        interpreter = self._interpreter()
        if interpreter is None or interpreter.closed:
            raise EOFError("the session of the manhole has ended")
        return interpreter

    def ask(self, prompt: str) -> Deferred[str]:
        """Ask the person for a line.  Reactor's thread only."""
        session = self._session()
        if session.read_line is None:
            return fail(EOFError("nobody can be asked for input in this session"))
        return session.read_line(prompt)

    def input(self, prompt: object = "") -> str:
        """Read a line, from a thread of the session."""
        session = self._session()
        if get_ident() == self._loop_thread:
            raise LocalProtocolError(f"input() {IN_THE_LOOP}; use `await ainput()`, or a threaded session")
        line: str = session.reactor.blocking_call_from_thread(self.ask, str(prompt), timeout=None)
        return line

    def help(self, *request: Any) -> None:
        """Print the documentation as plain text."""
        from .documents import help_text

        print(help_text(*request))  # noqa: T201

    def exit(self, code: object = None) -> NoReturn:
        """End the session."""
        raise SystemExit(code)

    quit = exit  # noqa: A003

    def breakpoint(self, *args: Any, **kwargs: Any) -> None:
        """Debug from here on, in a thread of the session."""
        if get_ident() == self._loop_thread:
            raise LocalProtocolError(f"breakpoint() {IN_THE_LOOP}; use a threaded session, or %pdb after it")
        from sys import _getframe

        from .debugger import SessionPdb

        SessionPdb(self._session()).set_trace(_getframe(2))


async def ainput(prompt: object = "") -> str:
    """Ask the person of this session for a line: what `input` is in code that awaits."""
    output = output_here()
    if output is None:
        raise LocalProtocolError("ainput() asks the person of a manhole's session, and this is none's code")
    return await output.builtins.ask(str(prompt))
