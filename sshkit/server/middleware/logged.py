"""`logging`, `recover` and `elapsed`: what is said of a session, to the log and to the client."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from sshkit.deferred import CancelledError
from sshkit.server.middleware.chain import Middleware, call, clock_of, describe, fingerprint_of, say
from sshkit.server.middleware.tap import Watcher, tap
from sshkit.ssh.channels.session import ExitSignal, ExitStatus
from sshkit.ssh.errors import ChannelClosed, ConnectionLost

if TYPE_CHECKING:
    from sshkit.server.handler import Handler, Session

FAILED = 1  #: the status of a handler that raised
ENDS = (ConnectionLost, ChannelClosed, CancelledError)  #: what a handler sees where its client has gone


class Account(Watcher):
    """What passed through one session, and how it ended."""

    __slots__ = ("received", "sent", "signal", "status")

    def __init__(self) -> None:
        self.received = 0
        self.sent = 0
        self.status: int | None = None
        self.signal = ""

    def input_passed(self, data: memoryview) -> None:
        self.received += len(data)

    def output_passed(self, data: "bytes | bytearray | memoryview", extended: bool) -> None:
        self.sent += len(data)

    def ending(self, kind: str, body: bytes) -> None:
        if kind == "exit-status":
            self.status = ExitStatus.decode(body).status
        else:
            self.signal = str(ExitSignal.decode(body).name)


def logging(
    log: "Callable[[Any], object] | None" = None, *, form: Literal["text", "dict"] = "text"
) -> Middleware:
    """Log the begin and the end of each session: who, what, status, seconds, bytes both ways.

    `log` gets each line, or a dict where `form` is "dict"; without it the server's own log gets the text.
    """
    if form not in ("text", "dict"):
        raise ValueError(f"form={form!r}: say 'text' or 'dict'")

    def tell(session: "Session", event: str, facts: "dict[str, Any]") -> None:
        connection = session.connection
        if form == "text":
            words = "".join(f" {name}={value}" for name, value in facts.items())
            text = f"{connection.source}: {session.user!r}: {describe(session)} {event}{words}"
            if log is None:
                connection.server.log("info", text)
            else:
                log(text)
            return
        about = {
            "event": event,
            "source": connection.source,
            "user": session.user,
            "key": fingerprint_of(session),
            "command": session.command,
            "subsystem": session.subsystem,
            "terminal": None if session.terminal is None else session.terminal.name,
            **facts,
        }
        if log is None:
            connection.server.log("info", repr(about))
        else:
            log(about)

    def middleware(handler: "Handler") -> "Handler":
        async def logged(session: "Session") -> int | None:
            account = Account()
            tap(session, account)
            clock = clock_of(session)
            begin = clock.seconds()
            tell(session, "started", {})
            outcome: dict[str, Any] = {}
            try:
                status = await call(handler, session)
                outcome["status"] = (status or 0) if account.status is None else account.status
            except ENDS:
                outcome["status"] = None
                outcome["reason"] = "gone"
                raise
            except BaseException as error:
                outcome["status"] = FAILED
                outcome["reason"] = type(error).__name__
                raise
            finally:
                if account.signal:
                    outcome.update(status=None, signal=account.signal)
                outcome["seconds"] = round(clock.seconds() - begin, 3)
                outcome["received"], outcome["sent"] = account.received, account.sent
                tell(session, "ended", outcome)
            return status

        return logged

    return middleware


def recover(message: str = "internal error", *, status: int = FAILED) -> Middleware:
    """Turn an exception of the handler into a short line to the client and a status; the log has the rest.

    Not that of a client that has gone, and no cancelling: they pass.
    """

    def middleware(handler: "Handler") -> "Handler":
        async def recovered(session: "Session") -> int | None:
            try:
                return await call(handler, session)
            except ENDS:
                raise
            except Exception as error:
                session.connection.log_error(f"the handler of {describe(session)} failed", error)
                say(session, message)
                return status

        return recovered

    return middleware


def elapsed(text: str = "elapsed: {seconds} s") -> Middleware:
    """Tell the client at the end, on standard error, how long the session took."""

    def middleware(handler: "Handler") -> "Handler":
        async def timed(session: "Session") -> int | None:
            clock = clock_of(session)
            begin = clock.seconds()
            status = await call(handler, session)
            say(session, text.replace("{seconds}", f"{clock.seconds() - begin:.3f}"))
            return status

        return timed

    return middleware
