"""The method `gssapi-with-mic` (RFC 4462 section 3): Kerberos and what else GSSAPI has.

What speaks to the mechanisms is handed in: `LoginOptions.gssapi` on a client, the policy's `gssapi` on a
server.  Both sides' dialogues are counted: a peer that never comes to an end is refused.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from sshkit_keys.errors import SSHKitError
from sshkit_keys.text import printable
from sshkit_keys.wire import WireReader, string, uint32

from sshkit.deferred import Deferred
from sshkit.ssh.authentication.answers import awaited
from sshkit.ssh.authentication.methods.method import ClientMethod
from sshkit.ssh.authentication.verdicts import SERVICE
from sshkit.ssh.errors import RemoteProtocolError
from sshkit.ssh.messages import authentication as messages

if TYPE_CHECKING:
    from sshkit.ssh.authentication.client import ClientAuthentication
    from sshkit.ssh.authentication.login_options import Initiator, InitiatorContext
    from sshkit.ssh.authentication.server import ServerAuthentication

NAME = "gssapi-with-mic"
MAX_MECHANISMS = 16
MAX_STEPS = 16  #: tokens of one dialogue; Kerberos takes one, with delegation and mutual proof two
MAX_TEXT = 1024


def signed_data(session_id: bytes, user: str) -> bytes:
    """Return what the client's proof covers (RFC 4462 section 3.5)."""
    head = string(session_id) + bytes((messages.USERAUTH_REQUEST,))
    return head + string(user) + string(SERVICE) + string(NAME)


class AcceptorContext(Protocol):
    """One dialogue of a server."""

    @property
    def complete(self) -> bool:
        """The client's name is known."""
        ...

    @property
    def peer(self) -> str:
        """The client's name: user@REALM."""
        ...

    def step(self, token: bytes) -> "bytes | Deferred[bytes | None] | None":
        """Take the client's token and return the next; raises SSHKitError."""
        ...

    def verify(self, data: bytes, mic: bytes) -> None:
        """Raise SSHKitError unless `mic` is the client's for `data`."""
        ...


class Acceptor(Protocol):
    """Makes the dialogues of a server."""

    @property
    def mechanisms(self) -> Sequence[bytes]:
        """The mechanisms as DER object identifiers."""
        ...

    def start(self, mechanism: bytes) -> AcceptorContext:
        """Begin a dialogue."""
        ...


class ServerDialogue:
    """What a server keeps of a dialogue, until it is decided or another request comes."""

    __slots__ = ("context", "steps", "user")

    def __init__(self, context: AcceptorContext, user: str) -> None:
        self.context = context
        self.user = user
        self.steps = 0


def serve_gssapi(
    server: "ServerAuthentication", request: messages.UserauthRequest, reader: WireReader
) -> object:
    """Choose the first of the client's mechanisms that is known here."""
    count = reader.uint32("number of mechanisms")
    if not 0 < count <= MAX_MECHANISMS:
        raise RemoteProtocolError(f"{count} mechanisms, {MAX_MECHANISMS} allowed")
    offered = [reader.string("mechanism") for _ in range(count)]
    reader.finish("gssapi-with-mic request")
    acceptor: Acceptor | None = getattr(server.policy, "gssapi", None)
    if acceptor is None:
        return None
    mechanism = next((each for each in offered if each in acceptor.mechanisms), None)
    if mechanism is None:
        return None
    try:
        context = acceptor.start(mechanism)
    except SSHKitError:
        return None
    server.enter_dialogue(ServerDialogue(context, request.user))
    return messages.GSSAPIResponse(mechanism).encode()


def take_token(server: "ServerAuthentication", dialogue: ServerDialogue, token: bytes) -> "Any":
    """Go on with the client's token; return what to send, or None where the dialogue failed."""
    dialogue.steps += 1
    if dialogue.steps > MAX_STEPS or dialogue.context.complete:
        return None

    def stepped(answer: bytes | None) -> bytes | None:
        if not answer and not dialogue.context.complete:
            return None
        server.enter_dialogue(dialogue)
        return messages.GSSAPIToken(answer).encode() if answer else b""

    taken = server.ask(lambda: (awaited(dialogue.context.step(token)),))
    if taken is None:  # it raised: a refusal, even if the dialogue calls itself complete (R10)
        return None
    reply = taken[0]
    if isinstance(reply, Deferred):
        return reply.add_callback(stepped)
    return stepped(reply)


def take_proof(server: "ServerAuthentication", dialogue: ServerDialogue, mic: bytes) -> object:
    """Verify that the dialogue belongs to this login, and ask the policy whose name it brought (R6)."""
    context = dialogue.context
    if not context.complete:
        return None
    try:
        context.verify(signed_data(server.layer.session_id, dialogue.user), mic)
    except SSHKitError:
        return None
    policy: Any = server.policy
    return server.ask(lambda: policy.gssapi_user(dialogue.user, context.peer))


class GSSAPIClient(ClientMethod):
    """Tries each mechanism that there are credentials for once."""

    __slots__ = ("_context", "_initiator", "_left", "_offered", "_steps", "_text")
    name = NAME
    numbers = (
        messages.GSSAPI_RESPONSE,
        messages.GSSAPI_TOKEN,
        messages.GSSAPI_ERROR,
        messages.GSSAPI_ERRTOK,
    )

    def __init__(self, client: "ClientAuthentication") -> None:
        super().__init__(client)
        self._left: list[bytes] | None = None  # None: nobody has looked for credentials yet
        self._initiator: Initiator | None = None
        self._context: InitiatorContext | None = None
        self._offered = b""
        self._steps = 0
        self._text = ""  # what the server said went wrong

    def try_next(self) -> bool:
        find = self.client.options.gssapi
        if find is None:
            return False
        if self._left is None:
            self._left = []
            self.client.ask(find, self._found, self._found_none)
            return True
        return self._offer_next()

    def detail(self) -> str:
        return self._text

    def message_received(self, payload: memoryview) -> None:
        number = payload[0]
        if number == messages.GSSAPI_ERROR:
            self._text = printable(messages.GSSAPIError.decode(payload).text, MAX_TEXT)
        elif number == messages.GSSAPI_RESPONSE:
            self._begin(messages.GSSAPIResponse.decode(payload).mechanism)
        elif number == messages.GSSAPI_TOKEN:
            self._step(messages.GSSAPIToken.decode(payload).token)
        else:  # the token explains a failure to the mechanism; USERAUTH_FAILURE follows all the same
            messages.GSSAPIErrorToken.decode(payload)

    def _found(self, initiator: "Initiator") -> None:
        self._initiator = initiator
        self._left = list(initiator.mechanisms)[:MAX_MECHANISMS]
        if not self._offer_next():
            self.client.gave_up(self.name, "no credentials")

    def _found_none(self) -> None:
        self.client.gave_up(self.name)

    def _offer_next(self) -> bool:
        """Offer one mechanism, so that it is known which failed."""
        if not self._left:
            return False
        mechanism = self._left.pop(0)
        self._context = None
        self._steps = 0
        self._text = ""
        self._offered = mechanism
        self.client.request(self.name, uint32(1) + string(mechanism))
        return True

    def _begin(self, mechanism: bytes) -> None:
        if mechanism != self._offered or self._context is not None:
            raise RemoteProtocolError("a GSSAPI mechanism was chosen that was not offered")
        assert self._initiator is not None
        initiator = self._initiator
        self.client.ask(lambda: initiator.start(mechanism), self._started, self._failed)

    def _started(self, context: "InitiatorContext") -> None:
        self._context = context
        self._step(None)

    def _step(self, token: bytes | None) -> None:
        context = self._context
        if context is None or (token is not None and context.complete):
            raise RemoteProtocolError("a GSSAPI token that nobody waits for")
        self._steps += 1
        if self._steps > MAX_STEPS:
            raise RemoteProtocolError(f"more than {MAX_STEPS} GSSAPI tokens")

        def step() -> Any:
            answer = awaited(context.step(token))
            if isinstance(answer, Deferred):
                return answer.add_callback(lambda reply: reply or b"")
            return answer or b""

        self.client.ask(step, self._stepped, self._failed)

    def _stepped(self, token: bytes) -> None:
        context, layer = self._context, self.client.layer
        assert context is not None
        if token:
            layer.send(messages.GSSAPIToken(token).encode())
        if context.complete:
            try:
                mic = context.sign(signed_data(layer.session_id, self.client.user))
            except SSHKitError as error:
                self.client.next_try(self.name, "", f"cannot sign: {error}")
                return
            layer.send(messages.GSSAPIMIC(mic).encode())
        elif not token:
            raise RemoteProtocolError("the GSSAPI dialogue came to no end")

    def _failed(self) -> None:
        self.client.gave_up(self.name)
