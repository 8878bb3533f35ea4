"""UNIX sockets forwarded: the requests and channels of OpenSSH (its PROTOCOL, section 2.4).

Paths are bytes of the system that has the socket; the reserved fields are empty and ignored.
"""

from typing import Final

from sshkit.ssh.messages.record import Record, String, UInt32, record

DIRECT: Final = "direct-streamlocal@openssh.com"
FORWARDED: Final = "forwarded-streamlocal@openssh.com"
FORWARD: Final = "streamlocal-forward@openssh.com"
CANCEL: Final = "cancel-streamlocal-forward@openssh.com"


@record
class DirectStreamlocal(Record):
    """The body of CHANNEL_OPEN: the server's socket to connect to."""

    path: String
    reserved: String
    reserved_number: UInt32


@record
class ForwardedStreamlocal(Record):
    """The body of CHANNEL_OPEN: at which socket of the server somebody connected."""

    path: String
    reserved: String


@record
class StreamlocalForward(Record):
    """The body of `streamlocal-forward@openssh.com` and of its cancellation."""

    path: String
