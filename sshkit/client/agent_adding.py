"""Keys from files are given to the agent once they have let in (AddKeysToAgent of ssh_config(5)).

Called by `configured` after the login.  Whatever goes wrong here costs a note, never the connection.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from sshkit_keys.errors import SSHKitError
from sshkit_keys.text import printable

from sshkit.agent.connect import connect_agent
from sshkit.deferred import Deferred, ensure_deferred
from sshkit.ssh.authentication.answers import awaited

if TYPE_CHECKING:
    from sshkit_keys import PrivateKey

    from sshkit.client.connection import ClientConnection
    from sshkit.config.client_values import AgentAdding
    from sshkit.interfaces import Reactor

TIMEOUT = 5.0  #: seconds for the agent to be reached


def add_used_keys(
    connection: "ClientConnection",
    agent: Any,
    adding: "AgentAdding",
    reactor: "Reactor",
    confirm: Callable[[str], Any],
    note: Callable[[str], object],
) -> Deferred[None]:
    """Fires when the agent has the keys of files that let in; `confirm` is asked about each, if wanted."""
    return ensure_deferred(_add(connection, agent, adding, reactor, confirm, note))


async def _add(
    connection: "ClientConnection",
    agent: Any,
    adding: "AgentAdding",
    reactor: "Reactor",
    confirm: Callable[[str], Any],
    note: Callable[[str], object],
) -> None:
    keys = list(_from_files(connection))
    if not keys:
        return
    try:
        if isinstance(agent, str):
            client = await connect_agent(agent, timeout=TIMEOUT, reactor=reactor)
        else:
            client = agent
        try:
            for key, source in keys:
                if adding.when == "ask":
                    question = f"Add key {printable(source, 4096)} ({key.public.fingerprint()}) to agent?"
                    answer = awaited(confirm(question))
                    if not (await answer if hasattr(answer, "__await__") else answer):
                        continue
                comment = key.comment or source
                await client.add(key, comment=comment, lifetime=adding.lifetime or 0, confirm=adding.confirm)
                note(f"identity added to the agent: {printable(source, 4096)}")
        finally:
            if client is not agent:
                client.close()
    except SSHKitError as error:
        note(f"AddKeysToAgent: {error}")


def _from_files(connection: "ClientConnection") -> "Iterator[tuple[PrivateKey, str]]":
    """Yield the private keys that let in and came from a file, and the file's name."""
    from sshkit_keys import PrivateKey

    authentication = connection.authentication
    assert authentication is not None
    for identity, signer in authentication.keys_used:
        key = getattr(signer, "key", signer)  # what a device signs with is wrapped
        if isinstance(key, PrivateKey):
            yield key, identity.source
