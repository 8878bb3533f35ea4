"""What all middlewares are made with: `chain` joins them, `call` calls a handler of any kind, `say` tells.

Called by the other files of this folder and by programs that write middlewares of their own.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from sshkit_keys.text import printable

from sshkit.deferred import Deferred, maybe_deferred

if TYPE_CHECKING:
    from sshkit.interfaces import Clock
    from sshkit.server.handler import Handler, Session

Middleware = Callable[["Handler"], "Handler"]

REFUSED = 1  #: the status of a session that a middleware does not let through
MAX_SAID = 1000  #: characters of one line to a client


def chain(handler: "Handler", *middlewares: Middleware) -> "Handler":
    """Return `handler` inside `middlewares`; the first of them is outermost."""
    for middleware in reversed(middlewares):
        handler = middleware(handler)
    return handler


def call(handler: "Handler", session: "Session") -> "Deferred[int | None]":
    """Call a handler of any kind; cancelling the Deferred cancels it."""
    called: Deferred[Any] = maybe_deferred(cast("Any", handler), session)
    return called


def say(session: "Session", text: str) -> None:
    """Write one line to the client's standard error; control characters in it are escaped."""
    end = "\n" if session.terminal is None else "\r\n"
    session.stderr.write(printable(text, MAX_SAID) + end)


def clock_of(session: "Session") -> "Clock":
    """Return the clock of the session's server."""
    return session.connection.server.clock


def who(session: "Session", by: "str | Callable[[Session], str]") -> str:
    """Return what a limit counts by: user, key (else user), address, or what a function says."""
    if callable(by):
        return by(session)
    if by == "address":
        return session.connection.source
    key = fingerprint_of(session) if by == "key" else ""
    return key or session.user


def fingerprint_of(session: "Session") -> str:
    """Return the fingerprint of the key that logged in, "SHA256:...", or ""."""
    grant = session.connection.grant
    key = grant.key if grant is not None else None
    return next((word for word in (key or "").split() if word.startswith("SHA256:")), "")


def check_by(by: "str | Callable[[Session], str]") -> None:
    """Refuse a word that means nothing when the program starts, not when a client comes."""
    if not callable(by) and by not in ("user", "key", "address"):
        raise ValueError(f"by={by!r}: say 'user', 'key', 'address', or give a function")


def describe(session: "Session") -> str:
    """Return what the session is for, in words fit for a log."""
    if session.subsystem is not None:
        return f"subsystem {printable(repr(session.subsystem))}"
    return "shell" if session.command is None else f"command {printable(repr(session.command))}"


def refuse(session: "Session", to_client: str, reason: str) -> int:
    """Tell the client the one, the log the other, and return the status."""
    connection = session.connection
    connection.server.log(
        "info", f"{connection.source}: {session.user!r}: {describe(session)} refused: {reason}"
    )
    say(session, to_client)
    return REFUSED
