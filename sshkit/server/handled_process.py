"""`run_process`: a real process in a handler's session, so that middlewares see what passes.

The process has the client's terminal if there is one, its window changes and signals, and back-pressure both
ways; it runs with this process' own rights.  Called by handlers; `commands.py` serves accounts of the system.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from sshkit.deferred import Deferred
from sshkit.server.middleware.chain import clock_of
from sshkit.server.middleware.tap import take_over
from sshkit.server.processes import ProcessProgram
from sshkit.server.session import SessionRequest

if TYPE_CHECKING:
    from sshkit.server.handler import Session


class HandledProcess(ProcessProgram):
    """A process on the channel of a session that has a handler."""

    __slots__ = ("_session", "finished")

    def __init__(self, session: "Session", argv: Sequence[str], **options: Any) -> None:
        self._session = session
        #: Fires with the request that tells how it ended: exit-status or exit-signal, and its body.
        self.finished: Deferred[tuple[str, bytes]] = Deferred()
        # The session's channel is the one behind the taps.
        request = SessionRequest(session.connection, session.channel)
        request.command, request.terminal = session.command, session.terminal
        reactor: Any = clock_of(session)
        super().__init__(request, reactor, argv, **options)

    def stop(self) -> None:
        """Hang up on the process, if it runs still."""
        if not self._ended:
            super().channel_closed(None)

    def channel_closed(self, error: BaseException | None) -> None:
        super().channel_closed(error)
        self._session.channel_closed(error)  # which cancels the handler

    def _end(self, kind: str, body: bytes) -> None:
        if not self._ended:
            self._ended = True
            self.finished.callback((kind, body))


async def run_process(
    session: "Session",
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: str = "/",
) -> int | None:
    """Run a program in the session and return its exit status; raises SpawnError.

    `argv[0]` is its path.  `env` is its environment, by default PATH, TERM, and what the client sent.  Where
    a signal ended it, the client is told that, and the result is None.
    """
    variables = {"PATH": "/usr/local/bin:/usr/bin:/bin", **session.environment} if env is None else dict(env)
    prepare = None
    if session.terminal is not None:
        variables.setdefault("TERM", session.terminal.name)
        prepare = partial(_prepare, session.terminal.modes)
    process = HandledProcess(
        session, argv, executable=argv[0], env=variables, cwd=cwd, prepare_terminal=prepare
    )
    take_over(session, process)
    try:
        kind, body = await process.finished
    finally:
        process.stop()
    if kind == "exit-signal":
        session._end(kind, body)
        return None
    return int.from_bytes(body, "big")


def _prepare(modes: bytes, descriptor: int) -> None:
    from sshkit.terminal.modes import apply_modes

    apply_modes(descriptor, modes)
