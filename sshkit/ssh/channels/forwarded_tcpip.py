"""Remote forwards of TCP ports: the requests for them, and `forwarded-tcpip` (RFC 4254 section 7).

Used by `sshkit.forwarding` and `sshkit.server.forwards`.
"""

from typing import Final

from sshkit.ssh.messages.record import Record, Text, UInt32, record

KIND: Final = "forwarded-tcpip"
FORWARD: Final = "tcpip-forward"
CANCEL: Final = "cancel-tcpip-forward"


@record
class ForwardedTcpip(Record):
    """The body of CHANNEL_OPEN: at which port of the server somebody connected, and who (section 7.2)."""

    host: Text  #: as the client wrote it in its request
    port: UInt32
    originator_host: Text
    originator_port: UInt32


@record
class TcpipForward(Record):
    """The body of `tcpip-forward` and `cancel-tcpip-forward` (section 7.1).

    "" is every address, "localhost" both loopback addresses; port 0 is any that is free.
    """

    host: Text
    port: UInt32


@record
class BoundPort(Record):
    """The body of the answer where port 0 was asked for."""

    port: UInt32
