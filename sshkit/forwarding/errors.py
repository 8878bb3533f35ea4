"""What can go wrong with a forward, beside what connecting and listening say themselves."""

from sshkit_keys.errors import SSHKitError


class ForwardError(SSHKitError):
    """Root of the errors of forwards."""


class InvalidAddress(ForwardError):
    """A text that is no address to listen at or to connect to."""


class ForwardRefused(ForwardError):
    """The server does not listen for us, or its answer makes no sense."""


class ForwardClosed(ForwardError):
    """The forward ended before the operation did."""


class NoAgent(ForwardError):
    """There is no agent that could be forwarded."""


class NoDisplay(ForwardError):
    """There is no display that could be forwarded, or no cookie for it."""


class NoTunnel(ForwardError):
    """There is no tunnel device to be had."""
