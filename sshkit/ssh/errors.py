"""What can go wrong inside the protocol, and the reason code to send for it.

Used by every module of this room.  *Remote*: the peer broke a rule.  *Local*: our caller did.
Codes are of RFC 4250 section 4.2.2 (disconnect) and 4.3 (channel open).
"""

from typing import TYPE_CHECKING

from sshkit_keys.errors import SSHKitError

if TYPE_CHECKING:
    from sshkit.ssh.authentication.verdicts import Attempt


class LocalProtocolError(SSHKitError):
    """Our caller asked for what the protocol forbids; nothing was sent."""


class RemoteProtocolError(SSHKitError):
    """The peer broke the protocol; the connection closes with `reason`."""

    reason = 2  # SSH_DISCONNECT_PROTOCOL_ERROR, RFC 4250 section 4.2.2


class KeyExchangeFailed(RemoteProtocolError):
    """No common algorithm, a bad public value, or a signature that does not verify."""

    reason = 3


class HostKeySigningFailed(SSHKitError):
    """Whoever holds the server's host key, an agent or another process, did not sign with it."""

    reason = 3
    for_peer = "the host key could not sign"  #: where it is kept is none of the client's business


class MACMismatch(RemoteProtocolError):
    """A packet whose tag, length or padding is wrong; which of them is never told."""

    reason = 5


class CompressionFailed(RemoteProtocolError):
    """A compressed payload that is none, or that inflates to more than a packet may have (R21)."""

    reason = 6


class ServiceNotAvailable(RemoteProtocolError):
    """A service was asked for that does not exist here."""

    reason = 7


class VersionNotSupported(RemoteProtocolError):
    """The peer's identification is not SSH 2.0."""

    reason = 8


class HostKeyNotVerified(SSHKitError):
    """The server's host key is not the one that was expected, or nobody vouched for it."""

    reason = 9
    for_peer = "the host key could not be verified"  #: our files are none of the server's business


class ConnectionLost(SSHKitError):
    """The connection ended before the operation did."""

    reason = 10


class DisconnectedByPeer(ConnectionLost):
    """The peer sent DISCONNECT; `code` is its reason code, `description` its words, escaped."""

    def __init__(self, code: int, description: str) -> None:
        super().__init__(f"the peer disconnected: {description or 'no reason given'} (code {code})")
        self.code = code
        self.description = description


class ClosedByApplication(SSHKitError):
    """This side closed the connection on purpose."""

    reason = 11


class TooManyAuthenticationFailures(RemoteProtocolError):
    """More authentication requests came than the limit allows (R8)."""

    reason = 2


class AuthenticationFailed(SSHKitError):
    """No method let the user in; `trail` tells what was tried and why each failed."""

    reason = 14
    for_peer = "no more authentication methods"  #: which keys were tried stays here

    def __init__(self, message: str, trail: "tuple[Attempt, ...]" = ()) -> None:
        super().__init__(message)
        self.trail = trail


class ChannelOpenFailed(SSHKitError):
    """The peer refused to open a channel; `code` is of RFC 4250 section 4.3."""

    def __init__(self, code: int, description: str) -> None:
        names = {1: "administratively prohibited", 2: "connect failed", 3: "unknown channel type"}
        names[4] = "resource shortage"
        super().__init__(f"channel refused: {names.get(code, f'code {code}')}: {description}")
        self.code = code
        self.description = description


class ChannelRequestFailed(SSHKitError):
    """The peer answered CHANNEL_FAILURE to a request that wanted an answer."""


class ChannelClosed(ConnectionLost):
    """The channel ended before the operation did."""


def farewell(error: BaseException) -> tuple[int, str]:
    """Return code and words of the DISCONNECT for `error`.

    What the peer broke it is told in full; of our own affairs (files, what was tried, bugs) as good as
    nothing.
    """
    if isinstance(error, (RemoteProtocolError, ClosedByApplication)):
        return error.reason, str(error)
    code: int = getattr(error, "reason", ClosedByApplication.reason)
    return code, getattr(error, "for_peer", "internal error")
