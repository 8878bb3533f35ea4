"""The magic commands: `%name arguments`, an ordered table, and what they do as plain functions.

Called by the interpreter and by completion.  A function gets the session and the rest of the line, and
returns text to show, an awaitable of it, or None.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from sshkit.manhole.access import NotAllowed

if TYPE_CHECKING:
    from sshkit.manhole.interpreter import Interpreter


class Magic(NamedTuple):
    """One command."""

    name: str
    summary: str
    function: "Callable[[Interpreter, str], str | None | Awaitable[str | None]]"
    arguments: str = ""  #: how they are written
    reads: bool = False  #: changes nothing and runs no code of the program: allowed to read-only keys


MAGICS: Mapping[str, Magic] = {}


def call(interpreter: "Interpreter", name: str, arguments: str) -> Any:
    """Run a command for a session; raises NotAllowed, or UnknownCommand with the nearest names."""
    raise NotAllowed(f"%{name}")
