"""Checkers asked one after the other, each under a deadline: the way from credentials to an avatar id.

Called by `Portal` and by `Checkers`.  A checker that refuses, raises or hangs does not keep the next from
being asked; what was no plain refusal is logged here, once.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from sshkit_keys.text import printable

from sshkit.cred.errors import CheckerFailed, LoginFailed
from sshkit.deferred import Deferred, Failure, fail, maybe_deferred
from sshkit.reactor.errors import ReactorError

if TYPE_CHECKING:
    from sshkit.cred.portal import CredentialsChecker
    from sshkit.interfaces import Clock

#: Seconds that one checker, or a realm, has: a directory that hangs must not hold logins for ever.
CHECK_TIMEOUT = 30.0

NOBODYS = "the credentials are nobody's"


def ask_in_turn(
    checkers: Sequence["CredentialsChecker"], credentials: Any, timeout: float, clock: "Clock | None"
) -> Deferred[str]:
    """Return the first id that one of `checkers` finds; fails with LoginFailed or CheckerFailed."""
    return _ask(tuple(checkers), credentials, timeout, clock, LoginFailed(NOBODYS))


def _ask(
    left: Sequence["CredentialsChecker"],
    credentials: Any,
    timeout: float,
    clock: "Clock | None",
    worst: LoginFailed,
) -> Deferred[str]:
    if not left:
        return cast("Deferred[str]", fail(worst))
    checker, *others = left

    def answered(avatar_id: Any) -> "str | Deferred[str]":
        if isinstance(avatar_id, str) and avatar_id:
            return avatar_id
        return _ask(others, credentials, timeout, clock, worst)  # no name is nobody's (R10)

    def refused(failure: Failure) -> Deferred[str]:
        error = failure.exception
        if not isinstance(error, Exception):  # cancelled: nobody wants to know any more
            return cast("Deferred[str]", fail(failure))
        keep = worst if isinstance(worst, CheckerFailed) else cast("LoginFailed", error)
        return _ask(others, credentials, timeout, clock, keep)

    name = f"the checker {type(checker).__name__}"
    asked: Deferred[Any] = maybe_deferred(checker.request_avatar_id, credentials)
    return in_time(asked, name, credentials, timeout, clock).add_callbacks(answered, refused)


def in_time(
    asked: Deferred[Any], name: str, credentials: Any, timeout: float, clock: "Clock | None"
) -> Deferred[Any]:
    """Give a question its deadline, and make whatever goes wrong with it a LoginFailed.

    What is no refusal is logged with its traceback, and becomes CheckerFailed.  Where no reactor runs and no
    clock was given there is no time that could pass.
    """
    found = clock or _clock()
    if found is not None:

        def late(_: Failure, seconds: float) -> Any:
            text = f"{name} gave no answer within {seconds:g} s"
            log("warning", f"login of {who(credentials)}: {text}")
            raise CheckerFailed(text)

        asked = asked.add_timeout(timeout, found, late)

    def failed(failure: Failure) -> Failure:
        error = failure.exception
        if isinstance(error, LoginFailed) or not isinstance(error, Exception):
            return failure
        text = f"{name} failed: {type(error).__name__}: {printable(str(error))}"
        log("warning", f"login of {who(credentials)}: {text}", error)
        raise CheckerFailed(text) from error

    return asked.add_errback(failed)


def who(credentials: Any) -> str:
    """Return whose login it is, for the log."""
    username = getattr(credentials, "username", None)
    return "nobody in particular" if username is None else f"'{printable(str(username))}'"


def log(level: str, text: str, error: BaseException | None = None) -> None:
    """Write a line to the logger of this room."""
    import logging

    getattr(logging.getLogger("sshkit.cred"), level)("%s", text, exc_info=error)


def _clock() -> "Clock | None":
    from sshkit.reactor.current import current

    try:
        return current()
    except ReactorError:
        return None
