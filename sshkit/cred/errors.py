"""What can go wrong at a portal.  Raised by `Portal.login` and the checkers; messages hold no secret."""

from sshkit_keys.errors import SSHKitError


class CredError(SSHKitError):
    """Root of what a portal raises."""


class LoginFailed(CredError):
    """The credentials are not those of anybody; the same for an unknown name and a wrong proof."""


class NoCheckerError(CredError):
    """No checker of the portal knows this kind of credentials."""


class RealmRefused(CredError):
    """The realm has no avatar for somebody whose credentials were right, or none of the interface wanted."""
