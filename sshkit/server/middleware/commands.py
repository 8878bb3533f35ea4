"""`command_allowlist` and `terminal_required`: which kinds of sessions are taken."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sshkit.server.middleware.chain import Middleware, call, describe, refuse

if TYPE_CHECKING:
    from sshkit.server.handler import Handler, Session

#: A command with one of these may be more than its first word says, if a shell gets to see it.
SHELL_MEANING = frozenset(";&|<>()$`\\\"'*?[]{}~#!\n\r\0")


def command_allowlist(
    *commands: "str | re.Pattern[str]",
    words: Sequence[str] = (),
    subsystems: Sequence[str] = (),
    shell: bool = False,
    message: str = "this command is not offered",
) -> Middleware:
    """Let through these commands only.

    A string is the whole command, a compiled pattern has to match all of it.  `words` are first words whose
    command may have any arguments without meaning to a shell.  `shell`: sessions without a command, too.
    """
    for names in (words, subsystems):
        if isinstance(names, str):  # each letter would be one
            raise ValueError(f"{names!r}: give a list")
    exact = frozenset(command for command in commands if isinstance(command, str))
    patterns = tuple(command for command in commands if not isinstance(command, str))

    def allowed(session: "Session") -> bool:
        if session.subsystem is not None:
            return session.subsystem in subsystems
        command = session.command
        if command is None:
            return shell
        if command in exact or any(pattern.fullmatch(command) for pattern in patterns):
            return True
        first = command.split(maxsplit=1)[:1]
        return bool(first) and first[0] in words and not SHELL_MEANING & set(command)

    def middleware(handler: "Handler") -> "Handler":
        async def checked(session: "Session") -> int | None:
            if not allowed(session):
                return refuse(session, message, f"{describe(session)} is not on the list")
            return await call(handler, session)

        return checked

    return middleware


def terminal_required(message: str = "a terminal is needed: connect with ssh -t") -> Middleware:
    """Let through sessions with a terminal only."""

    def middleware(handler: "Handler") -> "Handler":
        async def checked(session: "Session") -> int | None:
            if session.terminal is None:
                return refuse(session, message, "it has no terminal")
            return await call(handler, session)

        return checked

    return middleware
