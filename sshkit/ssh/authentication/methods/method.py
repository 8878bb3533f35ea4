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
    numbers: ClassVar[tuple[int, ...]] = (60,)  #: messages that may answer its requests (R1)

    def __init__(self, client: "ClientAuthentication") -> None:
        self.client = client

    def try_next(self) -> bool:
        """Send the next request, or ask for what it needs; False where nothing is left to try."""
        raise NotImplementedError

    def message_received(self, payload: memoryview) -> None:
        """Take one of the messages in `numbers`, whose meaning depends on the method."""
        raise RemoteProtocolError(f"message {payload[0]} has no meaning in the method {self.name}")

    def detail(self) -> str:
        """Return what is being tried now, for the trail."""
        return ""

    def key(self) -> tuple[str, str]:
        """Return fingerprint and source of the key that is being tried now."""
        return "", ""

    def accepted(self) -> None:
        """What was tried now let in, or is a part of what does."""

    def restart(self) -> None:
        """Another method was accepted, and more is needed: what was refused before may count now."""

    def extensions_came(self) -> None:
        """The server said, now that it knows the user, which signatures it takes from him."""
