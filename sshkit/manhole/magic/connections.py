"""The SSH connections of this program, and their channels.

Called by the table of magic commands, and by programs.  The connections are found by the garbage collector:
whoever made them need not have registered them.
"""

import sys
from typing import Any

from sshkit_keys.text import printable

from .program import MOST_LISTED, bounded, instances

#: Where the classes are; what is not loaded has no connections.
CLIENTS = ("sshkit.client.connection", "ClientConnection")
SERVERS = ("sshkit.server.connection", "ServerConnection")


def connections() -> str:
    """List the SSH connections of this process, both as a client and as a server, with their channels."""
    found: list[tuple[str, Any]] = []
    for what, (module, name) in (("client", CLIENTS), ("server", SERVERS)):
        kind = getattr(sys.modules.get(module), name, None)
        if kind is not None:
            found += [(what, connection) for connection in instances(kind)]
    found = [(what, connection) for what, connection in found if not closed(connection)]
    lines: list[str] = []
    for what, connection in found[:MOST_LISTED]:
        user, place = printable(connection.user), address(what, connection)
        lines.append(f"{what}: {user or '(not logged in)'} {'at' if what == 'client' else 'from'} {place}")
        core = connection._connection
        for channel in [] if core is None else list(core.channels.values())[:MOST_LISTED]:
            windows = f"send window {channel.send_window}, receive window {channel.receive_window}"
            lines.append(f"    channel {channel.number}: {printable(str(channel.kind))}, {windows}")
    return bounded(lines, len(found), "connections")


def closed(connection: Any) -> bool:
    """True for a connection that is over, or was never made to the end."""
    layer = getattr(connection, "layer", None)
    return layer is None or bool(layer.lost)


def address(what: str, connection: Any) -> str:
    """Return where the other end is."""
    if what == "client":
        return printable(
            f"{connection.host} ({connection.address})" if connection.address else connection.host
        )
    host, port, *_ = connection.addresses()
    return printable(f"{host}:{port}")
