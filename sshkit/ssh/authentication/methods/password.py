"""The method `password` (RFC 4252 section 8)."""

from typing import TYPE_CHECKING

from sshkit_keys.text import printable
from sshkit_keys.wire import WireReader, boolean, string

from sshkit.ssh.authentication.methods.method import ClientMethod
from sshkit.ssh.messages.authentication import UserauthPasswordChangeRequest, UserauthRequest

if TYPE_CHECKING:
    from sshkit.ssh.authentication.server import ServerAuthentication

MAX_PASSWORD = 1024  #: bytes, before anything is hashed (R10)


def serve_password(server: "ServerAuthentication", request: UserauthRequest, reader: WireReader) -> object:
    """Parse the whole request, then ask the policy; a change of password is refused."""
    change = reader.boolean("change of password")
    password = reader.text("password")
    if change:
        reader.text("new password")
    reader.finish("password request")
    if change or len(password.encode()) > MAX_PASSWORD:
        return None
    return server.ask(lambda: server.policy.password(request.user, password))


class PasswordClient(ClientMethod):
    """Asks for a password after each refusal, until there is none."""

    __slots__ = ()
    name = "password"

    def try_next(self) -> bool:
        self.client.ask(self.client.credentials.password, self._got, self._got_none)
        return True

    def message_received(self, payload: memoryview) -> None:
        prompt = printable(UserauthPasswordChangeRequest.decode(payload).prompt)
        self.client.gave_up(self.name, f"the server wants a new password: {prompt}")

    def _got(self, password: str) -> None:
        self.client.request(self.name, boolean(False) + string(password))

    def _got_none(self) -> None:
        self.client.gave_up(self.name)
