"""The method `password` (RFC 4252 section 8)."""

from typing import TYPE_CHECKING

from sshkit_keys.text import printable
from sshkit_keys.wire import WireReader, boolean, string

from sshkit.ssh.authentication.methods.method import ClientMethod
from sshkit.ssh.authentication.verdicts import REFUSED
from sshkit.ssh.errors import RemoteProtocolError
from sshkit.ssh.messages.authentication import UserauthPasswordChangeRequest, UserauthRequest

if TYPE_CHECKING:
    from sshkit.ssh.authentication.client import ClientAuthentication
    from sshkit.ssh.authentication.server import ServerAuthentication

MAX_CHANGES = 8  #: times that a server may ask for a new password (R12)
MAX_PROMPT = 4096  #: characters shown of what it says then
MAX_PASSWORD = 1024  #: bytes, before anything is hashed (R10)


def serve_password(server: "ServerAuthentication", request: UserauthRequest, reader: WireReader) -> object:
    """Parse the whole request, then ask the policy: for a verdict, or for a change of the password."""
    change = reader.boolean("change of password")
    password = reader.text("password")
    new = reader.text("new password") if change else ""
    reader.finish("password request")
    if max(len(password.encode()), len(new.encode())) > MAX_PASSWORD:
        return None
    if not change:
        return server.ask(lambda: server.policy.password(request.user, password))
    changing = getattr(server.policy, "change_password", None)
    return None if changing is None else server.ask(lambda: changing(request.user, password, new))


class PasswordClient(ClientMethod):
    """Asks for a password after each refusal, until there is none; changes it where the server wants that."""

    __slots__ = ("_changes", "_sent")
    name = "password"

    def __init__(self, client: "ClientAuthentication") -> None:
        super().__init__(client)
        self._changes = 0
        self._sent = ""  # what the server knows to be right, and has run out

    def try_next(self) -> bool:
        self.client.ask(self.client.credentials.password, self._got, self._got_none)
        return True

    def message_received(self, payload: memoryview) -> None:
        prompt = printable(UserauthPasswordChangeRequest.decode(payload).prompt, MAX_PROMPT, keep="\n\t")
        self._changes += 1
        if self._changes > MAX_CHANGES:
            raise RemoteProtocolError(f"a new password was asked for {self._changes} times")
        change = self.client.options.change_password
        if change is None:
            self.client.gave_up(self.name, f"the server wants a new password: {printable(prompt)}")
        else:
            self.client.note(self.name, "", f"the server wants a new password: {printable(prompt)}", REFUSED)
            self.client.ask(lambda: change(prompt), self._got_new, self._got_none)

    def _got(self, password: str) -> None:
        self._sent = password
        self.client.request(self.name, boolean(False) + string(password))

    def _got_new(self, words: str | tuple[str, str]) -> None:
        old, new = (self._sent, words) if isinstance(words, str) else words
        self.client.request(self.name, boolean(True) + string(old) + string(new))

    def _got_none(self) -> None:
        self.client.gave_up(self.name)
