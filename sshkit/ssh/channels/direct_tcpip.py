"""`direct-tcpip`: the client asks the server for a connection to a TCP port (RFC 4254 section 7.2)."""

from typing import Final

from sshkit.ssh.messages.record import Record, Text, UInt32, record

KIND: Final = "direct-tcpip"


@record
class DirectTcpip(Record):
    """The body of CHANNEL_OPEN: where to connect, and who connected to the client."""

    host: Text
    port: UInt32
    originator_host: Text
    originator_port: UInt32
