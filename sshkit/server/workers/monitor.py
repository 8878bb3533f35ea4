"""The monitor's part in a login: it signs, it decides, and it starts the process of who was let in.

One `MonitoredLogin` stands for each connection that a worker serves.  What a worker says is not believed: a
signature of a key is verified here again, over the session that the monitor itself has signed for; questions
are counted; and anything that does not fit ends the worker, which is started anew.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, cast

from sshkit_keys import parse_public_key
from sshkit_keys.errors import SSHKitError
from sshkit_keys.text import printable
from sshkit_keys.wire import WireReader, boolean, name_list, string, uint32

from sshkit.deferred import Deferred, Failure, maybe_deferred
from sshkit.server.accounts import NOBODY
from sshkit.server.host_key_rotation import PROVE
from sshkit.server.login_policy import LoginPolicy
from sshkit.server.login_rules import is_prohibited
from sshkit.server.workers import messages
from sshkit.server.workers.link import LinkBroken
from sshkit.ssh.algorithms import CERTIFICATE_SUFFIX
from sshkit.ssh.authentication.methods import host_based, public_key
from sshkit.ssh.authentication.server import MAX_REQUESTS, Questions
from sshkit.ssh.authentication.verdicts import Grant, Partial, PasswordExpired, user_name_fault

if TYPE_CHECKING:
    from sshkit_keys import PublicKey

    from sshkit.server.configured import Plan
    from sshkit.server.server import Settings

#: Bytes of a key exchange's hash: SHA-1 to SHA-512.  Nothing longer is signed for a worker.
MAX_HASH: Final = 64
MAX_ANSWERS: Final = 64

#: Sends an answer, perhaps with a descriptor.
Send = Callable[[messages.Answer, "tuple[int, ...]"], object]
#: Starts the process of who was let in; returns the socket that leads to it.
StartSession = Callable[["MonitoredLogin", Grant], int]


class WorkerLies(LinkBroken):
    """A worker asks for what no worker of ours asks for."""


class MonitoredLogin:
    """One connection, as the monitor knows it; the owner of its LoginPolicy."""

    def __init__(
        self,
        number: int,
        source: str,
        places: tuple[str, int, str, int],
        plan: "Plan",
        owner: "LoginOwner",
    ) -> None:
        self.number = number
        self.plan = plan
        self.settings: Settings = plan.settings
        self.source = source
        self.session_id = b""  #: the first hash that was signed
        self.identification = b""  #: of the client's program
        self.grant: Grant | None = None
        self._places = places
        self._owner = owner
        self._user: str | None = None
        self._questions = 0
        self._failures = 0
        self._busy = False
        self.failure = ""  #: what the connection is punished for if it ends without a login
        self.policy = LoginPolicy(self, plan.users.for_connection(self))

    def addresses(self) -> tuple[str, int, str, int]:
        """Return host and port of the client, then of this side."""
        return self._places

    @property
    def is_nobody(self) -> bool:
        """Somebody is asked for whom there is no account."""
        return getattr(self.policy.users, "account", None) is NOBODY

    @property
    def is_prohibited(self) -> bool:
        """What holds for whoever is asked for says RefuseConnection."""
        return is_prohibited(self.policy.users)

    def move(self, source: str, places: tuple[str, int, str, int]) -> None:
        """Come from somewhere else: a proxy has said so."""
        self.source = source
        self._places = places

    # The owner of the policy.

    def log(self, level: str, text: str, error: BaseException | None = None) -> None:
        self._owner.log(level, text, error)

    def granted(self, grant: Grant) -> None:
        raise AssertionError("a worker is told with the answer")

    def login_failed(self, user: str, method: str) -> None:
        self._failures += 1
        self._owner.login_failed(self, user, method)

    # What the worker asks.

    def sign(self, question: messages.Sign, send: Send) -> None:
        """Have the hash of a key exchange signed; the first one names the session."""
        data = question.data
        if not data or (len(data) > MAX_HASH and not self._is_proof(data)):
            raise WorkerLies(f"{len(data)} bytes to sign")
        key = next(
            (key for key in self.plan.host_keys if question.algorithm in key.public.signature_algorithms),
            None,
        )
        if key is None:
            raise WorkerLies("there is no host key for that")
        self.session_id = self.session_id or data
        if self.grant is not None and self._is_proof(data):
            blob = data[len(self._proof_head()) + 4 :]
            key = next(key for key in self.plan.host_keys if key.public.blob == blob)

        def signed(signature: bytes) -> None:
            send(messages.Answer(question.request, messages.SIGNATURE, signature), ())

        def failed(failure: Failure) -> None:
            self.log("error", f"host key: {failure.exception}")
            send(messages.Answer(question.request, messages.FAULT, b"not signed"), ())

        try:
            signature = cast("bytes | Deferred[bytes]", key.sign(question.algorithm, data))
        except SSHKitError as error:
            failed(Failure(error))
            return
        if isinstance(signature, Deferred):
            signature.add_callbacks(signed, failed)
        else:
            signed(signature)

    def prove(self, question: messages.Sign, send: Send) -> None:
        """Have a proof of one of our keys signed: the user's process has nothing else to sign."""
        if not self._is_proof(question.data):
            raise WorkerLies("a session's process asks for a signature that is no proof")
        self.sign(question, send)

    def _proof_head(self) -> bytes:
        return string(PROVE) + string(self.session_id)

    def _is_proof(self, data: bytes) -> bool:
        """Say whether this is a proof of one of our keys, for a client of this very session."""
        head = self._proof_head()
        return self.grant is not None and any(data == head + string(blob) for blob in self.our_keys)

    def prepare(self, question: messages.Prepare, send: Send) -> None:
        """Tell what holds for a user."""
        self._count()
        user = question.user
        if user_name_fault(user) or not self.session_id:
            raise WorkerLies("a login that cannot be")
        self._user = user
        self.identification = self.identification or question.identification
        policy = self.policy

        def prepared(_: object) -> None:
            self._busy = False
            rules = messages.Rules(
                policy.methods(user),
                policy.takes_certificates,
                policy.max_tries,
                policy.user_keys,
                policy.banner(user),
            )
            send(messages.Answer(question.request, messages.RULES, rules.encode()), ())

        def failed(failure: Failure) -> None:
            self.log("error", f"{self.source}: looking {user!r} up failed", failure.exception)
            self._busy, self._user = False, None
            rules = messages.Rules((), False, 1, (), "")
            send(messages.Answer(question.request, messages.RULES, rules.encode()), ())

        self._busy = True
        maybe_deferred(policy.prepare, user).add_callbacks(prepared, failed)

    def ask(self, question: messages.Ask, send: Send, start: StartSession) -> None:
        """Decide on one request to log in."""
        self._count()
        if self._user is None:
            raise WorkerLies("a login of nobody")
        self._busy = True
        method = QUESTIONS.get(question.method)
        if method is None:
            raise WorkerLies(f"a method {printable(question.method)}")
        tried, verdict = method(self, self._user, WireReader(question.body))
        over = self._failures >= self.policy.max_tries

        def decided(result: Any) -> None:
            self._busy = False
            try:
                answer, fds = self._answer(question.request, None if over else result, tried, start)
            except OSError as error:  # no process or descriptor is left for another session
                self.log("error", f"{self.source}: no session for {self._user!r}: {error.strerror}")
                answer, fds = messages.Answer(question.request, messages.REFUSED, b""), ()
            send(answer, fds)

        def failed(failure: Failure) -> None:
            self.policy.attempt_failed(
                printable(self._user or ""),
                "policy",
                f"{type(failure.exception).__name__}: {failure.exception}",
            )
            decided(None)

        if isinstance(verdict, Deferred):
            verdict.add_callbacks(decided, failed)
        else:
            decided(verdict)

    def failed(self, message: messages.Failed) -> None:
        """Note a refusal that the worker has told the client."""
        self.policy.attempt_failed(
            printable(message.user[:255]), printable(message.method[:64]), printable(message.detail[:400])
        )

    def ended(self) -> None:
        """Give up what is under way: the client has gone."""
        getattr(self.policy.users, "connection_ended", lambda: None)()

    # Inside.

    def _count(self) -> None:
        self._questions += 1
        if self._questions > 2 * MAX_REQUESTS or self._busy or self.grant is not None:
            raise WorkerLies("more questions than a login has")

    def _answer(
        self, request: int, result: Any, tried: bool, start: StartSession
    ) -> tuple[messages.Answer, tuple[int, ...]]:
        if isinstance(result, Grant):
            if not tried:
                return messages.Answer(request, messages.ACCEPTABLE, b""), ()
            self.grant = result
            granted = messages.Granted(result.method, result.key or "").encode()
            return messages.Answer(request, messages.GRANTED, granted), (start(self, result),)
        if isinstance(result, Partial):
            return messages.Answer(request, messages.PARTIAL, name_list(result.methods)), ()
        if isinstance(result, PasswordExpired):
            return messages.Answer(request, messages.EXPIRED, string(result.prompt)), ()
        if isinstance(result, Questions):
            body = string(result.title) + string(result.instruction) + uint32(len(result.prompts))
            prompts = b"".join(string(text) + boolean(echo) for text, echo in result.prompts)
            return messages.Answer(request, messages.QUESTIONS, body + prompts), ()
        return messages.Answer(request, messages.REFUSED, b""), ()

    def verified_key(self, blob: bytes, algorithm: str, allowed: Any, certificates: Any) -> "PublicKey":
        """Return a key that may be used with `algorithm`; raises SSHKitError."""
        if algorithm.endswith(CERTIFICATE_SUFFIX) and self.policy.takes_certificates:
            from sshkit_keys.certificates import parse_certificate

            certificate = parse_certificate(blob)
            if certificate.signature_algorithm not in certificates:
                raise SSHKitError(f"{certificate.signature_algorithm} is not allowed for authorities")
            key: PublicKey = certificate
        else:
            key = parse_public_key(blob)
        if algorithm not in allowed or algorithm not in key.signature_algorithms:
            raise SSHKitError(f"{printable(algorithm)} is not allowed")
        return key

    @property
    def our_keys(self) -> set[bytes]:
        """The host keys that a signature may be bound to."""
        return {key.public.blob for key in self.plan.host_keys}


class LoginOwner:
    """Who has the logins: told what happens."""

    def log(self, level: str, text: str, error: BaseException | None = None) -> None:
        """Log one event."""
        raise NotImplementedError

    def login_failed(self, login: MonitoredLogin, user: str, method: str) -> None:
        """Count a refusal."""
        raise NotImplementedError


Verdict = tuple[bool, Any]  #: whether it was a try, and what is said to it


def _none(login: MonitoredLogin, user: str, reader: WireReader) -> Verdict:
    reader.finish("none")
    return True, login.policy.none(user)


def _public_key(login: MonitoredLogin, user: str, reader: WireReader) -> Verdict:
    question = messages.KeyQuestion.decode(reader.rest())
    algorithms = login.policy.settings.algorithms
    algorithm = question.algorithm
    try:
        if not question.signed:
            key = _offered(login, question)
            return False, login.policy.public_key(user, key, False)
        key = login.verified_key(question.key, algorithm, algorithms.user_keys, algorithms.ca_signatures)
        if question.host_key and question.host_key not in login.our_keys:
            return True, None
        data = public_key.signed_data(login.session_id, user, algorithm, question.key, question.host_key)
        flags = public_key.verify_signature(key, algorithm, data, question.signature)
    except SSHKitError:
        return question.signed, None
    verdict = login.policy.public_key(user, key, True, flags)
    if isinstance(verdict, Deferred):
        verdict.add_callback(public_key.grant_with_key, key)
    else:
        verdict = public_key.grant_with_key(verdict, key)
    return True, verdict


def _offered(login: MonitoredLogin, question: messages.KeyQuestion) -> "PublicKey":
    if question.algorithm.endswith(CERTIFICATE_SUFFIX) and login.policy.takes_certificates:
        from sshkit_keys.certificates import parse_certificate

        return parse_certificate(question.key)
    return parse_public_key(question.key)


def _host_based(login: MonitoredLogin, user: str, reader: WireReader) -> Verdict:
    question = messages.HostQuestion.decode(reader.rest())
    algorithms = login.policy.settings.algorithms
    algorithm, host = question.algorithm, question.host
    try:
        key = login.verified_key(question.key, algorithm, algorithms.hostbased_keys, algorithms.ca_signatures)
        for name in (host, host + "."):  # the worker has taken the last dot away
            data = host_based.signed_data(
                login.session_id, user, algorithm, question.key, name, question.local_user
            )
            try:
                key.verify(algorithm, data, question.signature)
                break
            except SSHKitError:
                continue
        else:
            return True, None
    except SSHKitError:
        return True, None
    return True, login.policy.host_based(user, key, host, question.local_user)


def _password(login: MonitoredLogin, user: str, reader: WireReader) -> Verdict:
    question = messages.PasswordQuestion.decode(reader.rest())
    if question.change:
        return True, login.policy.change_password(user, question.old, question.new)
    return True, login.policy.password(user, question.old)


def _interactive(login: MonitoredLogin, user: str, reader: WireReader) -> Verdict:
    answered = reader.boolean("answered")
    count = reader.uint32("count")
    if count > MAX_ANSWERS:
        raise WorkerLies(f"{count} answers")
    answers = [reader.text("answer") for _ in range(count)]
    reader.finish("answers")
    return True, login.policy.interactive(user, answers if answered else None)


#: What a worker may ask about, by method.
QUESTIONS: "dict[str, Callable[[MonitoredLogin, str, WireReader], Verdict]]" = {
    "none": _none,
    "publickey": _public_key,
    "password": _password,
    "keyboard-interactive": _interactive,
    "hostbased": _host_based,
}
