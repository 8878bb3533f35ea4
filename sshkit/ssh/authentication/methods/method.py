"""What the client's side of every method has in common.

`ClientAuthentication` asks the methods in order; a method sends its next request or says that it has
none left.  Each thing is tried once (R12).
"""

from typing import TYPE_CHECKING, ClassVar

from sshkit.ssh.errors import RemoteProtocolError

if TYPE_CHECKING:
    from sshkit.ssh.authentication.client import ClientAuthentication


class ClientMethod:
    """One method in one login."""

    __slots__ = ("client",)
    name: ClassVar[str]

    def __init__(self, client: "ClientAuthentication") -> None:
        self.client = client

    def try_next(self) -> bool:
        """Send the next request, or ask for what it needs; False where nothing is left to try."""
        raise NotImplementedError

    def message_received(self, payload: memoryview) -> None:
        """Take a message 60, whose meaning depends on the method."""
        raise RemoteProtocolError(f"message 60 has no meaning in the method {self.name}")

    def detail(self) -> str:
        """Return what is being tried now, for the trail."""
        return ""
