"""`sshkit.connect_agent`: a client of the agent that SSH_AUTH_SOCK names, or of another one."""

import os
from typing import TYPE_CHECKING, cast

from sshkit.deferred import CancelledError, Failure
from sshkit.opening import Opening
from sshkit.ssh.agent.client import AgentClient
from sshkit.ssh.agent.errors import AgentUnavailable

if TYPE_CHECKING:
    from sshkit.interfaces import Reactor

CONNECT_TIMEOUT = 10.0  #: seconds for the connection, and for each answer of the agent itself


def connect_agent(
    path: str | os.PathLike[str] | None = None,
    *,
    timeout: float = CONNECT_TIMEOUT,
    reactor: "Reactor | None" = None,
) -> Opening[AgentClient]:
    """Connect to the agent at the socket `path` (None: the one that SSH_AUTH_SOCK names).

    `timeout` is in seconds, to be connected and for every request but signatures, for which a person may
    have to be asked.  Fails with AgentUnavailable, which names the socket.
    """
    place = os.environ.get("SSH_AUTH_SOCK", "") if path is None else os.fspath(path)
    if not place:
        unnamed: Opening[AgentClient] = Opening()
        unnamed.errback(AgentUnavailable("SSH_AUTH_SOCK names no agent"))
        return unnamed
    if reactor is None:
        from sshkit.reactor.current import current

        reactor = cast("Reactor", current())
    clock = reactor
    name = f"the agent at {_shown(place)}"
    connecting = reactor.connect_unix(
        place, lambda: AgentClient(clock, name, timeout=timeout), timeout=timeout
    )
    opening: Opening[AgentClient] = Opening(lambda _: connecting.cancel())

    def failed(failure: Failure) -> None:
        if isinstance(failure.exception, CancelledError):
            opening.errback(failure)
            return
        error = AgentUnavailable(f"no agent to talk to: {failure.exception}")
        error.__cause__ = failure.exception
        opening.errback(error)

    connecting.add_callbacks(opening.callback, failed)
    return opening


def _shown(path: str) -> str:
    from sshkit_keys.text import printable

    return printable(path, 4096)
