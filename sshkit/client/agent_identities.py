"""Keys of an agent for a login: listed before the connection, bound to it, and let go after the login.

Called by `connect` and by the command.  An agent that is not there, or does not answer, costs a warning and
its time-out, never the login.
"""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sshkit_keys.errors import SSHKitError

from sshkit.agent.connect import connect_agent
from sshkit.deferred import Deferred, Failure
from sshkit.ssh.agent.client import AgentClient

if TYPE_CHECKING:
    from sshkit.client.connection import ClientConnection
    from sshkit.client.credentials import FileCredentials
    from sshkit.interfaces import Reactor

LIST_TIMEOUT = 5.0  #: seconds for an agent to be reached and to list its keys


def offer_agent_keys(
    connection: "ClientConnection",
    credentials: "FileCredentials",
    agent: str | os.PathLike[str] | AgentClient,
    reactor: "Reactor",
    *,
    only_named: bool = False,
    warn: Callable[[str], object] | None = None,
) -> Deferred[None]:
    """Fire when the agent's keys are among the credentials, or it is clear that there are none."""
    ours = not isinstance(agent, AgentClient)

    def listed(client: AgentClient) -> Deferred[None]:
        def add(keys: Any) -> None:
            credentials.add_agent_keys(keys, only_named)
            connection.agent = client
            if ours:
                connection.logged_in.add_both(lambda outcome: _leave(client, outcome))

        def failed(failure: Failure) -> Failure:
            if ours:
                client.close()
            return failure

        listing: Deferred[None] = client.list_keys().add_callbacks(add, failed)
        return listing

    def tell(failure: Failure) -> None:
        if not isinstance(failure.exception, SSHKitError):
            failure.raise_exception()
        if warn is not None:
            warn(str(failure.exception))

    if isinstance(agent, AgentClient):
        return listed(agent).add_errback(tell)
    found: Deferred[None] = connect_agent(agent, timeout=LIST_TIMEOUT, reactor=reactor).add_callback(listed)
    return found.add_errback(tell)


def _leave(agent: AgentClient, outcome: Any) -> Any:
    agent.close()
    return outcome
