"""The magic commands: `%name arguments`, an ordered table, and what they do as plain functions.

Called by the interpreter and by completion.  A command gets the session and the rest of the line, and returns
text to show, an awaitable of it, or None.  The plain functions, such as `threads()` and
`objects("Channel")`, return text and need no session.
"""

import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sshkit_keys.errors import SSHKitError
from sshkit_keys.text import printable

from sshkit.manhole.access import Access, NotAllowed

from . import commands
from .commands import WrongArguments
from .connections import connections
from .looking import doc, reload, source, who
from .measuring import profile
from .memory import collect, objects
from .program import deferreds, tasks, threads

if TYPE_CHECKING:
    from sshkit.manhole.interpreter import Interpreter

__all__ = [
    "MAGICS",
    "Magic",
    "UnknownCommand",
    "WrongArguments",
    "call",
    "collect",
    "connections",
    "deferreds",
    "doc",
    "objects",
    "profile",
    "reload",
    "source",
    "tasks",
    "threads",
    "who",
]


class UnknownCommand(SSHKitError):
    """No magic command has that name; the message has the nearest."""


class Magic(NamedTuple):
    """One command."""

    name: str
    summary: str
    function: "Callable[[Interpreter, str], str | Awaitable[str | None] | None]"
    arguments: str = ""  #: how they are written
    reads: bool = False  #: changes nothing and runs no code of the program: allowed to read-only keys
    choices: "Callable[[], list[str]] | None" = None  #: words for completion; None: Python

    def words(self) -> list[str] | None:
        """Return the words that may follow; None where an expression does."""
        if self.choices is not None:
            return self.choices()
        return None if self.arguments else []


def _levels() -> list[str]:
    from .logs import LEVELS

    return [*LEVELS, "off"]


#: Name -> command, in the order in which %help lists them.
MAGICS: Final[dict[str, Magic]] = {
    magic.name: magic
    for magic in (
        Magic("help", "list the commands", commands.list_commands, "[COMMAND]", True, lambda: list(MAGICS)),
        Magic("threads", "the program's threads and where each stands", commands.threads, "", True),
        Magic("tasks", "asyncio tasks and where each waits", commands.tasks, "", True),
        Magic("deferreds", "Deferreds that somebody waits for", commands.deferreds, "", True),
        Magic("connections", "SSH connections and their channels", commands.connections, "", True),
        Magic("gc", "what the garbage collector counts", commands.gc, "[collect]", False,
              lambda: ["collect"]),
        Magic("objects", "count objects of a class, show a few", commands.objects, "TYPE [referrers]", True),
        Magic("profile", "where the program spends its time", commands.profile, "[SECONDS]", False, list),
        Magic("log", "see what the program logs", commands.log, "LEVEL [LOGGER]", False, _levels),
        Magic("pdb", "debug what was raised last", commands.pdb, "[where|up|down|list|locals]", False,
              lambda: ["where", "up", "down", "list", "locals"]),
        Magic("time", "how long code takes", commands.time, "CODE"),
        Magic("who", "names and what they hold; people", commands.who, "[people]", True, lambda: ["people"]),
        Magic("reload", "load a module afresh", commands.reload, "MODULE", False,
              lambda: sorted(sys.modules)),
        Magic("tb", "the last traceback again", commands.tb, "[locals]", True, lambda: ["locals"]),
        Magic("more", "more of the value that was cut", commands.more, "", True),
        Magic("history", "the last inputs", commands.history, "[N]", True, list),
        Magic("source", "the source of a function, class or module", commands.source, "OBJECT", True),
        Magic("doc", "signature and documentation", commands.doc, "OBJECT", True),
    )
}  # fmt: skip


def allows(access: Access, magic: Magic) -> bool:
    """Whether a key may run a command."""
    if access.kind == "full":
        return True
    return magic.reads if access.kind == "expressions" else magic.name in access.commands


def unknown(name: str) -> str:
    """Say that a command is unknown, and what is near."""
    from difflib import get_close_matches

    near = ", ".join(f"%{other}" for other in get_close_matches(name[:100], MAGICS, 3, 0.5))
    return f"no command %{printable(name, 40)}; {f'near it: {near}' if near else '%help lists them'}"


def call(interpreter: "Interpreter", name: str, arguments: str) -> Any:
    """Run a command for a session; raises NotAllowed, or UnknownCommand with the nearest names."""
    magic = MAGICS.get(name)
    if magic is None:
        raise UnknownCommand(unknown(name))
    if not allows(interpreter.access, magic):
        raise NotAllowed(f"%{name} is not allowed to this key, it may do {interpreter.access.allowed()}")
    try:
        return magic.function(interpreter, arguments)
    except WrongArguments as error:
        raise WrongArguments(f"%{name} {magic.arguments}: {error}") from None
