"""The method `none`: a login without proof, or a question which methods there are (RFC 4252 section 5.2)."""

from typing import TYPE_CHECKING

from sshkit_keys.wire import WireReader

from sshkit.ssh.authentication.methods.method import ClientMethod
from sshkit.ssh.messages.authentication import UserauthRequest

if TYPE_CHECKING:
    from sshkit.ssh.authentication.client import ClientAuthentication
    from sshkit.ssh.authentication.server import ServerAuthentication


def serve_none(server: "ServerAuthentication", request: UserauthRequest, reader: WireReader) -> object:
    """Ask the policy."""
    reader.finish("none request")
    return server.ask(lambda: server.policy.none(request.user))


class NoneClient(ClientMethod):
    """Asks once."""

    __slots__ = ("_done",)
    name = "none"

    def __init__(self, client: "ClientAuthentication") -> None:
        super().__init__(client)
        self._done = False

    def try_next(self) -> bool:
        done, self._done = self._done, True
        if not done:
            self.client.request(self.name, b"")
        return not done
