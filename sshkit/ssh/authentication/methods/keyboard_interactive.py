"""The method `keyboard-interactive` (RFC 4256)."""

from typing import TYPE_CHECKING

from sshkit_keys.text import printable
from sshkit_keys.wire import WireReader, string

from sshkit.ssh.authentication.methods.method import ClientMethod
from sshkit.ssh.errors import RemoteProtocolError
from sshkit.ssh.messages.authentication import UserauthInfoRequest, UserauthInfoResponse, UserauthRequest

if TYPE_CHECKING:
    from sshkit.ssh.authentication.client import ClientAuthentication
    from sshkit.ssh.authentication.server import ServerAuthentication

MAX_PROMPTS = 16  #: questions of one round (R12)
MAX_ROUNDS = 16
MAX_TEXT = 4096  #: characters shown of an instruction or a prompt


def serve_interactive(server: "ServerAuthentication", request: UserauthRequest, reader: WireReader) -> object:
    """Start a dialogue; language and submethods are hints that this side does not need."""
    reader.string("language")
    reader.string("submethods")
    reader.finish("keyboard-interactive request")
    return server.ask(lambda: server.policy.interactive(request.user, None))


class InteractiveClient(ClientMethod):
    """Shows the server's questions and sends the answers."""

    __slots__ = ("_rounds", "_started")
    name = "keyboard-interactive"

    def __init__(self, client: "ClientAuthentication") -> None:
        super().__init__(client)
        self._started = 0  # dialogues so far
        self._rounds = 0  # of this one

    def try_next(self) -> bool:
        if self._started >= self.client.credentials.interactive_tries:
            return False
        self._started += 1
        self._rounds = 0
        self.client.request(self.name, string(b"") + string(self.client.options.interactive_devices))
        return True

    def message_received(self, payload: memoryview) -> None:
        message = UserauthInfoRequest.decode(payload)
        self._rounds += 1
        if message.count > MAX_PROMPTS or self._rounds > MAX_ROUNDS:
            raise RemoteProtocolError(f"{message.count} questions in round {self._rounds}")
        reader = WireReader(message.body)
        prompts = [
            (printable(reader.string("prompt"), MAX_TEXT, keep="\n\t"), reader.boolean("echo"))
            for _ in range(message.count)
        ]
        reader.finish("USERAUTH_INFO_REQUEST")
        title, instruction = printable(message.title), printable(message.instruction, MAX_TEXT, keep="\n\t")
        if not prompts:
            if title or instruction:
                self.client.credentials.show_banner(f"{title}\n{instruction}".strip())
            self._answer([])
            return
        credentials = self.client.credentials
        self.client.ask(
            lambda: credentials.answers(title, instruction, prompts), self._answer, self._nobody_answers
        )

    def _answer(self, answers: list[str]) -> None:
        body = b"".join(string(answer) for answer in answers)
        self.client.layer.send(UserauthInfoResponse(len(answers), body).encode())

    def _nobody_answers(self) -> None:
        self.client.gave_up(self.name, "nobody answers its questions")
