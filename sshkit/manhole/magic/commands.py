"""What the magic commands do for one session: from the rest of the line to the plain functions.

Called through the table of `sshkit.manhole.magic`.
"""

import threading
from collections.abc import Awaitable
from time import perf_counter
from typing import TYPE_CHECKING

from sshkit_keys.errors import SSHKitError
from sshkit_keys.text import printable

from sshkit.manhole.access import NotAllowed

from . import logs, looking, measuring, memory, program
from .connections import connections as list_connections

if TYPE_CHECKING:
    from sshkit.manhole.interpreter import Interpreter


class WrongArguments(SSHKitError):
    """A magic command was given what it does not take; the message says what it does."""


def only(arguments: str, *allowed: str) -> bool:
    """Return whether the one word that is allowed was given; raise WrongArguments for others."""
    if arguments and arguments not in allowed:
        raise WrongArguments(
            f"it takes {' or '.join(allowed) or 'no arguments'}, not {printable(arguments)!r}"
        )
    return bool(arguments)


def required(arguments: str, what: str) -> str:
    """Return the arguments; raise WrongArguments if there are none."""
    if not arguments:
        raise WrongArguments(f"it takes {what}")
    return arguments


def number(arguments: str, default: float) -> float:
    """Return the number that was given."""
    try:
        return float(arguments) if arguments else default
    except ValueError:
        raise WrongArguments(f"it takes a number, not {printable(arguments)!r}") from None


def threads(session: "Interpreter", arguments: str) -> str:
    """%threads."""
    only(arguments)
    return program.threads()


def tasks(session: "Interpreter", arguments: str) -> str:
    """%tasks."""
    only(arguments)
    return program.tasks()


def deferreds(session: "Interpreter", arguments: str) -> str:
    """%deferreds."""
    only(arguments)
    return program.deferreds()


def connections(session: "Interpreter", arguments: str) -> str:
    """%connections."""
    only(arguments)
    return list_connections()


def gc(session: "Interpreter", arguments: str) -> str:
    """%gc, %gc collect."""
    return memory.collect(run=only(arguments, "collect"))


def objects(session: "Interpreter", arguments: str) -> str:
    """%objects TYPE, %objects TYPE referrers."""
    name, _, rest = required(arguments, "the name of a class, and perhaps `referrers`").partition(" ")
    return memory.objects(name, referrers=only(rest.strip(), "referrers"))


def profile(session: "Interpreter", arguments: str) -> Awaitable[str]:
    """%profile SECONDS: sampled by a thread, so that the program goes on meanwhile."""
    seconds = number(arguments, 1.0)
    if not 0 < seconds <= measuring.LONGEST_PROFILE:
        raise WrongArguments(f"it takes seconds, more than 0 and at most {measuring.LONGEST_PROFILE:g}")
    return sampled(session, seconds)


async def sampled(session: "Interpreter", seconds: float) -> str:
    """Run the profile in a thread; ctrl-C ends both."""
    stop = threading.Event()

    def sample() -> str:
        return measuring.profile(seconds, stop=stop)

    try:
        return await session.reactor.defer_to_thread(sample)
    finally:
        stop.set()


async def time(session: "Interpreter", arguments: str) -> str:
    """%time CODE."""
    started = perf_counter()
    ended = await session.execute(required(arguments, "an expression or statements"), session.number - 1)
    seconds = perf_counter() - started
    if ended.error is not None:
        session.say(f"failed after {measuring.duration(seconds)}")
        raise ended.error
    if ended.value is not None and not session.closed:
        await session.show_value(ended.value, session.limits)
    return measuring.duration(seconds)


#: What %log takes.
LOG_ARGUMENTS = f"off, or one of {', '.join(logs.LEVELS)} and perhaps a logger"


def log(session: "Interpreter", arguments: str) -> str:
    """%log LEVEL [LOGGER], %log off."""
    level, _, name = required(arguments, LOG_ARGUMENTS).partition(" ")
    if level == "off":
        for undo in session.logging:
            undo()
        session.logging.clear()
        return "no log is shown here any more"
    try:
        session.logging.append(logs.attach(level, name.strip(), session.reactor, session.say))
    except ValueError as error:
        raise WrongArguments(str(error)) from None
    return (
        f"showing {level.upper()} and above of {printable(name.strip()) or 'all loggers'}; `%log off` ends it"
    )


def pdb(session: "Interpreter", arguments: str) -> "str | Awaitable[None]":
    """%pdb: the debugger at the place of the last error; its printing parts in the loop's thread."""
    error = session.last_error
    if error is None:
        return "nothing was raised in this session"
    if session.threaded and not arguments:
        return post_mortem(session, error)
    from sshkit.manhole.debugger import Frames

    if session.frames is None:
        session.frames = Frames(error)
    return session.frames.command(arguments, session.limits)


async def post_mortem(session: "Interpreter", error: BaseException) -> None:
    """Run the debugger in the session's thread."""
    from sshkit.manhole.debugger import SessionPdb
    from sshkit.manhole.tracebacks import user_frames

    traceback = user_frames(error)
    if traceback is None:
        session.say("no frame of the program's code is in it")
        return

    def debug() -> None:
        debugger = SessionPdb(session)
        debugger.reset()
        debugger.interaction(None, traceback)

    ended = await session.in_place(debug)
    if ended.error is not None:
        raise ended.error


def who(session: "Interpreter", arguments: str) -> str:
    """%who, %who people."""
    if only(arguments, "people"):
        from sshkit.manhole.interpreter import living

        people = sorted(living, key=lambda other: other.session)
        return "\n".join(
            f"session {other.session}: {printable(other.person) or 'somebody'}, may {other.access.kind}"
            f"{' (this one)' if other is session else ''}"
            for other in people
        )
    return looking.who(session.namespace)


def reload(session: "Interpreter", arguments: str) -> str:
    """%reload MODULE."""
    return looking.reload(required(arguments, "the name of a module that is loaded"))


def list_commands(session: "Interpreter", arguments: str) -> str:
    """%help, %help COMMAND."""
    from . import MAGICS, allows, unknown

    name = arguments.removeprefix("%")
    if name:
        magic = MAGICS.get(name)
        return unknown(name) if magic is None else f"%{magic.name} {magic.arguments}\n    {magic.summary}"
    lines = [
        f"%{magic.name + ' ' + magic.arguments:24} {magic.summary}"
        for magic in MAGICS.values()
        if allows(session.access, magic)
    ]
    return "\n".join([*lines, f"allowed to this key: {session.access.allowed()}"])


def tb(session: "Interpreter", arguments: str) -> str:
    """%tb, %tb locals."""
    show_locals = only(arguments, "locals")
    if session.last_error is None:
        return "nothing was raised in this session"
    if show_locals and session.access.kind == "expressions":
        raise NotAllowed("%tb locals runs the repr of what it shows, which is not allowed to this key")
    from sshkit.manhole.tracebacks import traceback_text

    return traceback_text(session.last_error, session.limits, show_locals=show_locals)


async def more(session: "Interpreter", arguments: str) -> None:
    """%more."""
    only(arguments)
    if session.last_shown is None:
        session.say("nothing was shown in this session")
        return
    value, limits = session.last_shown
    session.last_shown = (value, limits.larger())
    error = await session.show_value(value, limits.larger())
    if error is not None:
        raise error


def history(session: "Interpreter", arguments: str) -> str:
    """%history [N]."""
    inputs = session.history.last(int(number(arguments, 20)))
    return "\n".join(f"{position}: {source}" for position, source in inputs) or "no inputs"


def source(session: "Interpreter", arguments: str) -> str:
    """%source OBJECT."""
    return looking.source(required(arguments, "a name or an expression"), session.namespace)


def doc(session: "Interpreter", arguments: str) -> str:
    """%doc OBJECT."""
    return looking.doc(required(arguments, "a name or an expression"), session.namespace)
