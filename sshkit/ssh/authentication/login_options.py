"""What a client's methods need beside keys and passwords; `ClientAuthentication` is given it.

The protocols here are what `sshkit.client` implements: hosts that vouch for their users (RFC 4252
section 9) and GSSAPI (RFC 4462).  Answers may be Deferreds or coroutines.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from sshkit.deferred import Deferred
    from sshkit.ssh.authentication.client import Identity

#: Asked with the server's words for the new password, or for (old, new); None gives up.
ChangePassword = Callable[[str], Any]


class HostKeys(Protocol):
    """The host on which the user is, and what it signs with."""

    @property
    def identities(self) -> "Sequence[Identity]":
        """The host's keys, in order."""
        ...

    @property
    def host(self) -> str:
        """The host's name, as the server is to look it up, with a dot at its end."""
        ...

    @property
    def user(self) -> str:
        """The user's name on this host."""
        ...


class InitiatorContext(Protocol):
    """One GSSAPI dialogue of a client (RFC 2743)."""

    @property
    def complete(self) -> bool:
        """No token is awaited any more."""
        ...

    def step(self, token: bytes | None) -> "bytes | Deferred[bytes | None] | None":
        """Take the server's token (None at first) and return the next; raises SSHKitError."""
        ...

    def sign(self, data: bytes) -> bytes:
        """Return the message integrity code of `data`."""
        ...


class Initiator(Protocol):
    """Makes GSSAPI dialogues."""

    @property
    def mechanisms(self) -> Sequence[bytes]:
        """The mechanisms as DER object identifiers, in order; none where the user has no credentials."""
        ...

    def start(self, mechanism: bytes) -> InitiatorContext:
        """Begin a dialogue."""
        ...


class LoginOptions:
    """The settings of one login."""

    __slots__ = (
        "change_password",
        "gssapi",
        "host_based",
        "host_bound",
        "interactive_devices",
        "required_rsa_size",
    )

    def __init__(
        self,
        *,
        host_bound: bool = True,
        required_rsa_size: int = 2048,
        interactive_devices: str = "",
        change_password: ChangePassword | None = None,
        host_based: "Callable[[], HostKeys | Deferred[HostKeys | None] | None] | None" = None,
        gssapi: "Callable[[], Initiator | Deferred[Initiator | None] | None] | None" = None,
    ) -> None:
        self.host_bound = host_bound  #: sign for the very server, where it takes that
        self.required_rsa_size = required_rsa_size  #: bits of a user's RSA key
        self.interactive_devices = interactive_devices  #: a hint for keyboard-interactive
        self.change_password = change_password
        self.host_based = host_based
        self.gssapi = gssapi


PLAIN = LoginOptions()
