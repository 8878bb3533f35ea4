"""What a master tells about itself: ``-O conninfo`` and ``-O channels``.

Called for INFO by whoever shares a connection.
"""

from typing import TYPE_CHECKING

from sshkit_keys.text import printable

from sshkit.ssh.connection.channel_states import NAMES

if TYPE_CHECKING:
    from sshkit.client.connection import ClientConnection

#: Channels that are told at most, so that the answer fits into a packet.
MAX_LINES = 1000


def information(connection: "ClientConnection", kind: str) -> str | None:
    """Return lines about the "connection" or its "channels"; None for another kind."""
    if kind == "connection":
        return connection_lines(connection)
    if kind == "channels":
        return channel_lines(connection)
    return None


def connection_lines(connection: "ClientConnection") -> str:
    """Return what is true of a connection."""
    layer = connection.layer
    peer = layer.transport.get_extra_info("peername") if layer.transport is not None else None
    address = f" [{peer[0]}]:{peer[1]}" if isinstance(peer, tuple) else ""
    lines = [
        f"connection to {printable(connection.host)} as {printable(connection.user)}{printable(address)}",
        f"server: {printable(layer.peer_identification)}",
        f"algorithms: {connection.negotiated.summary()}",
        f"host key: {connection.host_key.key_type} {connection.host_key.fingerprint()}",
        f"bytes received: {layer.bytes_received}, sent: {layer.writer.bytes_sent}",
    ]
    return "".join(f"{line}\n" for line in lines)


def channel_lines(connection: "ClientConnection") -> str:
    """Return a line for each channel."""
    channels = sorted(connection.core.channels.items())
    lines = [
        f"channel {number}: {printable(channel.kind)}, {NAMES[channel.state]}"
        f"{'' if channel.peer < 0 else f', {channel.peer} at the server'}\n"
        for number, channel in channels[:MAX_LINES]
    ]
    return "".join(lines) or "no channels are open\n"
