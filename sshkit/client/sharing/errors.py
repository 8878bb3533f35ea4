"""What can go wrong with a shared connection.

Raised by this room; the commands tell them to their users.
"""

from sshkit_keys.errors import SSHKitError

from sshkit.ssh.errors import ConnectionLost


class SharingError(SSHKitError):
    """A connection could not be shared, or nobody shares one at this path."""


class NoMaster(SharingError):
    """Nobody listens at the control socket; `stale`: a socket of a program that has ended lies there."""

    def __init__(self, message: str, *, stale: bool = False, missing: bool = False) -> None:
        super().__init__(message)
        self.stale = stale
        self.missing = missing


class ForeignSocket(SharingError):
    """The control socket, or who is at its other end, is another user's."""


class MasterRefused(SharingError):
    """The master has said no, with its reason."""


class MasterLost(ConnectionLost):
    """The master of a shared connection has gone."""


class MuxProtocolError(SharingError):
    """The other end of a control socket broke the protocol; that connection ends, and no other."""
