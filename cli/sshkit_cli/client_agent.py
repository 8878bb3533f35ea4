"""ForwardAgent: which agent the server may use, if it is there (ssh_config(5)).

Called by `client_run` before the session opens, and by whoever opens one for another command.
"""

from typing import TYPE_CHECKING

from sshkit_keys.text import printable

from sshkit.client.target import socket_of

if TYPE_CHECKING:
    from sshkit.client.connection import ClientConnection
    from sshkit.client.target import Target

    from .log import Log


def forwarded_agent(target: "Target") -> str:
    """Return the socket of the agent to forward; "" where none is wanted, or none named."""
    options = target.options
    wanted = options.forward_agent.value
    if wanted is None:
        return ""
    if wanted != "yes":
        return socket_of(wanted, target)
    own = options.identity_agent.value
    return "" if own.lower() == "none" else socket_of(own, target)


def allow_agent(connection: "ClientConnection", target: "Target", log: "Log") -> bool:
    """Let the server use the agent; tell whether there is one to ask for."""
    if target.options.forward_agent.value is None:
        return False
    path = forwarded_agent(target)
    if not path or not listens(path):
        log.debug(f"no agent to forward at {printable(path or 'SSH_AUTH_SOCK', 4096)}")
        return False
    connection.allow_agent(path)
    return True


def listens(path: str) -> bool:
    """Tell whether somebody listens at a UNIX socket."""
    import socket

    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.setblocking(False)
        try:
            return sock.connect_ex(path) == 0
        except (OSError, ValueError):  # a path that is too long
            return False
