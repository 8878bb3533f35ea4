"""What can go wrong at a portal: one class for every refusal, so that whoever asks cannot tell them apart.

Raised by `Portal.login` and the checkers.  The text of an error is the reason, for the log; `told` is all
that the other side of a connection may read.  No text holds a secret.
"""

from typing import ClassVar

from sshkit_keys.errors import SSHKitError


class CredError(SSHKitError):
    """Root of what a portal raises."""


class LoginFailed(CredError):
    """Nobody gets in: the same class for an unknown name, a wrong proof, and a checker out of order."""

    told: ClassVar[str] = "the login was refused"  #: what the other side may be told, whatever the reason


class NoCheckerError(LoginFailed):
    """No checker of the portal knows this kind of credentials."""


class RealmRefused(LoginFailed):
    """The realm has no avatar for somebody whose credentials were right, or none of the interface wanted."""


class CheckerFailed(LoginFailed):
    """A checker or the realm raised, or gave no answer in time; it was logged, `__cause__` is its error."""


class HashError(CredError):
    """A stored password is no hash that is known, or one that would cost too much to check."""
