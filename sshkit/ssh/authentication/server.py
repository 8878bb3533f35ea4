"""The server's side of user authentication (RFC 4252).

One request is in work at a time: while a policy thinks, the reader is suspended (R5).  Everything that a
request brings is parsed before the user is looked at, and refusals look alike (R9).  Methods are lines
of the table `methods.SERVER_METHODS`.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from sshkit_keys.text import printable
from sshkit_keys.wire import WireReader

from sshkit.deferred import Deferred, Failure
from sshkit.ssh.authentication.verdicts import (
    SERVICE,
    Grant,
    Partial,
    PasswordExpired,
    Proof,
    Verdict,
    user_name_fault,
)
from sshkit.ssh.errors import RemoteProtocolError, ServiceNotAvailable, TooManyAuthenticationFailures
from sshkit.ssh.messages import authentication as messages
from sshkit.ssh.messages import transport as transport_messages
from sshkit.ssh.transport.layer import COMMON, UNKNOWN, TransportLayer
from sshkit.ssh.transport.phases import table, through

if TYPE_CHECKING:
    from sshkit_keys import PublicKey

    from sshkit.ssh.authentication.methods.gssapi import ServerDialogue

USERAUTH = "ssh-userauth"
MAX_TRIES = 6  #: failed tries, `none` not counted (R8)
MAX_REQUESTS = 64  #: requests of any kind: queries cost work as well
MAX_ANSWERS = 64  #: answers in one round of keyboard-interactive (R18)


class AuthenticationPolicy(Protocol):
    """Who may log in.  An answer is a verdict or a Deferred of one; an exception is a refusal (R10).

    A policy may have more.  ``prepare(user)`` is called before anything else about a user, and may answer
    with a Deferred.  A method without its part is refused: ``change_password(user, old, new)`` gives a
    verdict on a change; ``host_based(user, key, host, local_user)`` one on a host that vouches, whose
    signature was verified; `gssapi` is an Acceptor (methods.gssapi), and ``gssapi_user(user, name)`` gives
    the verdict on who it says the client is.  `user_keys` and `max_tries` are the user's own.
    """

    @property
    def takes_certificates(self) -> bool:
        """Whether `public_key` checks certificates whole (R7); else they are refused before."""
        ...

    def methods(self, user: str) -> tuple[str, ...]:
        """Return the methods that can go on, the same for users that do not exist.

        `user` is empty for a name that can be nobody's: such a one goes to no policy (R11).
        """
        ...

    def none(self, user: str) -> "Verdict | Deferred[Verdict]":
        """Decide on a login without any proof."""
        ...

    def public_key(self, user: str, key: "PublicKey", signed: bool) -> "Verdict | Deferred[Verdict]":
        """Decide on a key; where `signed` is true its signature over this very request was verified."""
        ...

    def password(self, user: str, password: str) -> "Verdict | Deferred[Verdict]":
        """Decide on a password; `PasswordExpired` demands a new one."""
        ...

    def interactive(
        self, user: str, answers: Sequence[str] | None
    ) -> "Questions | Verdict | Deferred[Questions | Verdict]":
        """Start a dialogue (`answers` is None), or go on with what was answered."""
        ...

    def banner(self, user: str) -> str:
        """Return the text to show before the login, or nothing."""
        ...

    def attempt_failed(self, user: str, method: str, detail: str) -> None:
        """Note a refusal; `user` and `detail` are safe to log."""
        ...

    def granted(self, grant: Grant) -> None:
        """The login succeeded; enter the next phase.  Called before SUCCESS leaves."""
        ...


class Questions:
    """Questions of one keyboard-interactive round (RFC 4256 section 3.2)."""

    __slots__ = ("instruction", "prompts", "title")

    def __init__(self, prompts: Sequence[tuple[str, bool]], title: str = "", instruction: str = "") -> None:
        self.prompts = tuple(prompts)  #: text and whether the answer may be shown while it is typed
        self.title = title
        self.instruction = instruction


Outcome = Questions | Verdict


class ServerAuthentication:
    """One connection's authentication, from the first keys to SUCCESS."""

    __slots__ = (
        "_asked",
        "_banner_sent",
        "_dialogue",
        "_failures",
        "_partial",
        "_requests",
        "_subject",
        "_told_keys",
        "layer",
        "max_tries",
        "policy",
        "proof",
    )

    def __init__(
        self, layer: TransportLayer, policy: AuthenticationPolicy, max_tries: int = MAX_TRIES
    ) -> None:
        self.layer = layer
        self.policy = policy
        self.max_tries = max_tries
        self._failures = 0
        self._requests = 0
        self._subject: tuple[str, str] | None = None  # user and service of the request before
        self._partial: Partial | None = None
        self._banner_sent = False
        self._asked = 0  # questions of the keyboard-interactive round that is under way
        self._dialogue: ServerDialogue | None = None
        self.proof: Proof | None = None  #: the signature behind the question in work
        self._told_keys = tuple(
            layer.announced_keys or layer.algorithms.user_keys
        )  # what the client knows that its user may use
        layer.set_phase(AWAIT_SERVICE, self)

    def service_requested(self, payload: memoryview) -> None:
        """Accept `ssh-userauth` (RFC 4253 section 10)."""
        name = transport_messages.ServiceRequest.decode(payload).name
        if name != USERAUTH:
            raise ServiceNotAvailable(f"service {printable(name)} is not offered before the login")
        self.layer.send(transport_messages.ServiceAccept(name=name).encode())
        self.layer.set_phase(REQUESTS, self)

    def requested(self, payload: memoryview) -> None:
        """Take one request; its verdict may come later.  A dialogue that was under way is given up."""
        self.layer.set_phase(REQUESTS, self)
        self._dialogue = None
        request = messages.UserauthRequest.decode(payload)
        self._requests += 1
        if self._requests > MAX_REQUESTS:
            raise TooManyAuthenticationFailures(f"more than {MAX_REQUESTS} authentication requests")
        if request.service != SERVICE:
            raise ServiceNotAvailable(f"service {printable(request.service)} is not offered")
        subject = (request.user, request.service)
        if subject != self._subject:
            # What was reached for one user means nothing for another (R5).
            self._subject, self._partial = subject, None
            prepare = getattr(self.policy, "prepare", None)
            if prepare is not None and not user_name_fault(request.user):
                prepared = self.ask(lambda: prepare(request.user))
                if isinstance(prepared, Deferred):
                    self._when_decided(request, prepared.add_callback(lambda _: self._serve(request)))
                    return
        self._when_decided(request, self._serve(request))

    def _serve(self, request: messages.UserauthRequest) -> object:
        """Hand a request to its method; returns the outcome, or a Deferred of it."""
        own = getattr(self.policy, "user_keys", None)
        if own is not None and own != self._told_keys:
            self._told_keys = own
            self.layer.send_extensions(own)
        from sshkit.ssh.authentication.methods import FORMS, SERVER_METHODS

        fault = user_name_fault(request.user)
        if not self._banner_sent:
            self._banner_sent = True
            self._send_banner("" if fault else request.user)
        method = SERVER_METHODS.get(request.method)
        name = FORMS.get(request.method, request.method)
        if fault or method is None or (name != "none" and name not in self._methods(request.user)):
            detail = f"user name {fault}" if fault else "the method is not offered"
            self._refuse(request.user, request.method, detail)
            return b""
        return method(self, request, WireReader(request.body))

    def answered(self, payload: memoryview) -> None:
        """Take the answers of a keyboard-interactive round (RFC 4256 section 3.4)."""
        response = messages.UserauthInfoResponse.decode(payload)
        if response.count > MAX_ANSWERS:
            raise RemoteProtocolError(f"{response.count} answers, {MAX_ANSWERS} allowed")
        reader = WireReader(response.body)
        answers = [reader.text("answer") for _ in range(response.count)]
        reader.finish("USERAUTH_INFO_RESPONSE")
        self.layer.set_phase(REQUESTS, self)
        assert self._subject is not None
        user = self._subject[0]
        request = messages.UserauthRequest(user, SERVICE, "keyboard-interactive", b"")
        if len(answers) != self._asked:  # RFC 4256 section 3.4
            self._refuse(user, request.method, f"{len(answers)} answers to {self._asked} questions")
            return
        self._when_decided(request, self.ask(lambda: self.policy.interactive(user, answers)))

    def enter_dialogue(self, dialogue: "ServerDialogue") -> None:
        """Take the messages of a GSSAPI dialogue, until another request gives it up."""
        self._dialogue = dialogue
        self.layer.set_phase(DIALOGUE, self)

    def token_received(self, payload: memoryview) -> None:
        """Take a GSSAPI token (RFC 4462 section 3.4)."""
        from sshkit.ssh.authentication.methods.gssapi import take_token

        dialogue = self._take_dialogue()
        token = messages.GSSAPIToken.decode(payload).token
        self._when_decided(_dialogue_request(dialogue), take_token(self, dialogue, token))

    def proof_received(self, payload: memoryview) -> None:
        """Take the proof that a GSSAPI dialogue belongs to this login (RFC 4462 section 3.5)."""
        from sshkit.ssh.authentication.methods.gssapi import take_proof

        dialogue = self._take_dialogue()
        mic = messages.GSSAPIMIC.decode(payload).mic
        self._when_decided(_dialogue_request(dialogue), take_proof(self, dialogue, mic))

    def proof_left_out(self, payload: memoryview) -> None:
        """Refuse a dialogue that ends without proof: nothing ties it to this connection."""
        messages.GSSAPIExchangeComplete.decode(payload)
        dialogue = self._take_dialogue()
        self._when_decided(_dialogue_request(dialogue), None)

    def error_token_received(self, payload: memoryview) -> None:
        """Give the dialogue up; the client has gone on already, and awaits no answer."""
        messages.GSSAPIErrorToken.decode(payload)
        dialogue = self._take_dialogue()
        self._count_failure(dialogue.user, "gssapi-with-mic", "the client gave up")

    def _take_dialogue(self) -> "ServerDialogue":
        dialogue, self._dialogue = self._dialogue, None
        assert dialogue is not None  # the phase says so
        self.layer.set_phase(REQUESTS, self)
        return dialogue

    def ask(self, question: Callable[[], Any]) -> Any:
        """Call into the policy; an exception there is a refusal (R10)."""
        try:
            return question()
        except Exception as error:
            self._note_error(error)
            return None

    def _when_decided(
        self, request: messages.UserauthRequest, outcome: "Outcome | Deferred[Outcome] | object"
    ) -> None:
        if not isinstance(outcome, Deferred):
            self._decide(request, outcome)
            return
        layer = self.layer
        waiting = False

        def decided(result: object) -> None:
            nonlocal waiting
            if layer.lost is None:
                self._decide(request, result)
                if waiting:
                    layer.resume()
            waiting = True

        def failed(failure: Failure) -> None:
            self._note_error(failure.exception)
            decided(None)

        outcome.add_callbacks(decided, failed).add_errback(_give_up, layer)
        if not waiting and layer.lost is None:
            waiting = True
            layer.suspend()

    def _decide(self, request: messages.UserauthRequest, outcome: object) -> None:
        if isinstance(outcome, Grant):
            self.policy.granted(outcome)
            self.layer.send(messages.UserauthSuccess().encode())
        elif isinstance(outcome, Partial):
            self._partial = outcome
            self.layer.send(messages.UserauthFailure(outcome.methods, True).encode())
        elif isinstance(outcome, Questions):
            self._send_questions(outcome)
        elif isinstance(outcome, PasswordExpired):
            self.layer.send(messages.UserauthPasswordChangeRequest(outcome.prompt.encode(), b"").encode())
        elif isinstance(outcome, bytes):
            if outcome:
                self.layer.send(outcome)  # PK_OK, or a step of a dialogue
        else:
            self._refuse(request.user, request.method, "refused")

    def _methods(self, user: str) -> tuple[str, ...]:
        if self._partial:
            return self._partial.methods
        return self.policy.methods("" if user_name_fault(user) else user)

    def _refuse(self, user: str, method: str, detail: str) -> None:
        if method != "none":
            self._count_failure(user, method, detail)
        self.layer.send(messages.UserauthFailure(self._methods(user), False).encode())

    def _count_failure(self, user: str, method: str, detail: str) -> None:
        self._failures += 1
        self.policy.attempt_failed(printable(user[:255]), printable(method[:64]), detail)
        if self._failures >= getattr(self.policy, "max_tries", self.max_tries):
            raise TooManyAuthenticationFailures("too many authentication failures")

    def _send_questions(self, questions: Questions) -> None:
        from sshkit_keys.wire import boolean, string

        body = b"".join(string(text) + boolean(echo) for text, echo in questions.prompts)
        self.layer.send(
            messages.UserauthInfoRequest(
                questions.title.encode(), questions.instruction.encode(), b"", len(questions.prompts), body
            ).encode()
        )
        self._asked = len(questions.prompts)
        self.layer.set_phase(ANSWERS, self)

    def _send_banner(self, user: str) -> None:
        text = self.policy.banner(user)
        if text:
            self.layer.send(messages.UserauthBanner(text.encode(), b"").encode())

    def _note_error(self, error: BaseException) -> None:
        user = printable(self._subject[0]) if self._subject else ""
        self.policy.attempt_failed(user, "policy", f"{type(error).__name__}: {printable(str(error))}")


def _dialogue_request(dialogue: "ServerDialogue") -> messages.UserauthRequest:
    return messages.UserauthRequest(dialogue.user, SERVICE, "gssapi-with-mic", b"")


def _give_up(failure: Failure, layer: TransportLayer) -> None:
    layer.failed(failure.exception)


EXT_INFO = through("layer", {transport_messages.EXT_INFO: TransportLayer.ext_info_received})
AWAIT_SERVICE = table(
    "before ssh-userauth was requested",
    COMMON,
    EXT_INFO,
    {transport_messages.SERVICE_REQUEST: ServerAuthentication.service_requested},
    unknown=UNKNOWN,
)
REQUESTS = table(
    "during authentication",
    COMMON,
    {messages.USERAUTH_REQUEST: ServerAuthentication.requested},
    unknown=UNKNOWN,
)
#: A new request gives the dialogue up (RFC 4256 section 3.1).
ANSWERS = table(
    "while answers are awaited",
    COMMON,
    {
        messages.USERAUTH_REQUEST: ServerAuthentication.requested,
        messages.USERAUTH_INFO_RESPONSE: ServerAuthentication.answered,
    },
    unknown=UNKNOWN,
)
#: As above.
DIALOGUE = table(
    "during a GSSAPI dialogue",
    COMMON,
    {
        messages.USERAUTH_REQUEST: ServerAuthentication.requested,
        messages.GSSAPI_TOKEN: ServerAuthentication.token_received,
        messages.GSSAPI_EXCHANGE_COMPLETE: ServerAuthentication.proof_left_out,
        messages.GSSAPI_ERRTOK: ServerAuthentication.error_token_received,
        messages.GSSAPI_MIC: ServerAuthentication.proof_received,
    },
    unknown=UNKNOWN,
)
