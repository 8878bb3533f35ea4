"""The monitor and a worker that lies: nothing that it says lets anybody in who would not be (R1, R4, R6)."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sshkit_keys import PrivateKey, generate_private_key
from sshkit_keys.errors import SSHKitError
from sshkit_keys.wire import WireReader, boolean, string, uint32

from sshkit.deferred import Deferred
from sshkit.server.accounts import own_account
from sshkit.server.configured import Plan
from sshkit.server.host_key_rotation import PROVE
from sshkit.server.workers import messages
from sshkit.server.workers.monitor import MAX_ANSWERS, MAX_HASH, LoginOwner, MonitoredLogin, WorkerLies
from sshkit.ssh.authentication.methods.public_key import signed_data
from sshkit.ssh.authentication.server import MAX_REQUESTS, Questions
from sshkit.ssh.authentication.verdicts import Grant, Partial, PasswordExpired
from tests.server.owners import Owner
from tests.server.workers.parts import make_key, make_plan

ALGORITHM = "ssh-ed25519"
HASH = b"h" * 32
USER = own_account().name


class World(LoginOwner):
    """One login, the answers that its worker got, and the sessions that were started."""

    def __init__(self, folder: Path, *lines: str) -> None:
        self.host = make_key(folder, "host")
        self.key = generate_private_key("ed25519")
        (folder / "authorized_keys").write_text(self.key.public.to_line() + "\n")
        self.plan: Plan = make_plan(folder, *lines)
        self.answers: list[messages.Answer] = []
        self.started: list[Grant] = []
        self.lines: list[str] = []
        self.failures: list[str] = []
        self.login = MonitoredLogin(7, "192.0.2.1", ("192.0.2.1", 5, "192.0.2.2", 22), self.plan, self)

    def log(self, level: str, text: str, error: BaseException | None = None) -> None:
        self.lines.append(f"{level}: {text}")

    def login_failed(self, login: MonitoredLogin, user: str, method: str) -> None:
        self.failures.append(method)

    def send(self, answer: messages.Answer, fds: tuple[int, ...]) -> None:
        self.answers.append(answer)
        if answer.kind == messages.GRANTED:
            assert fds == (99,)

    def start(self, login: MonitoredLogin, grant: Grant) -> int:
        self.started.append(grant)
        return 99

    def change(self, **methods: Any) -> None:
        """Have other methods of the policy."""
        policy: Any = Owner(self.login.policy, **methods)
        self.login.policy = policy

    def sign(self, data: bytes = HASH, algorithm: str = ALGORITHM) -> messages.Answer:
        self.login.sign(messages.Sign(1, 7, algorithm, data), self.send)
        return self.answers[-1]

    def prepare(self, user: str = USER) -> messages.Rules:
        self.login.prepare(messages.Prepare(2, 7, user, b"SSH-2.0-x"), self.send)
        assert self.answers[-1].kind == messages.RULES
        return messages.Rules.decode(self.answers[-1].body)

    def ask(self, method: str, body: bytes) -> messages.Answer:
        self.login.ask(messages.Ask(3, 7, method, body), self.send, self.start)
        return self.answers[-1]

    def proof(
        self,
        key: PrivateKey | None = None,
        session_id: bytes = HASH,
        user: str = USER,
        host_key: bytes = b"",
        told_host_key: bytes | None = None,
        algorithm: str = ALGORITHM,
    ) -> bytes:
        """Return the body of a request with a signature."""
        key = key or self.key
        signature = key.sign(ALGORITHM, signed_data(session_id, user, ALGORITHM, key.public.blob, host_key))
        told = host_key if told_host_key is None else told_host_key
        return messages.KeyQuestion(key.public.blob, algorithm, True, signature, told).encode()


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def ready(world: World) -> World:
    """A login whose key exchange is over, and whose user was looked up."""
    world.sign()
    world.prepare()
    return world


def test_the_right_key_lets_in(ready: World) -> None:
    assert ready.answers[0].kind == messages.SIGNATURE
    ready.host.public.verify(ALGORITHM, HASH, ready.answers[0].body)
    question = messages.KeyQuestion(ready.key.public.blob, ALGORITHM, False, b"", b"")
    assert ready.ask("publickey", question.encode()).kind == messages.ACCEPTABLE
    assert ready.started == []
    answer = ready.ask("publickey", ready.proof())
    assert answer.kind == messages.GRANTED
    granted = messages.Granted.decode(answer.body)
    assert (granted.method, granted.key) == ("publickey", f"{ALGORITHM} {ready.key.public.fingerprint()}")
    assert [grant.user for grant in ready.started] == [USER]


def test_a_signature_that_is_bound_to_our_host_key_lets_in(ready: World) -> None:
    assert ready.ask("publickey", ready.proof(host_key=ready.host.public.blob)).kind == messages.GRANTED


# Signatures that are not of this login.


def refused(world: World, body: bytes) -> None:
    assert world.ask("publickey", body).kind == messages.REFUSED
    assert world.started == []
    assert world.login.grant is None


def test_r6_a_signature_of_another_session_is_refused(ready: World) -> None:
    refused(ready, ready.proof(session_id=b"o" * 32))


def test_r6_a_signature_for_another_user_is_refused(ready: World) -> None:
    refused(ready, ready.proof(user="another"))


def test_r6_a_signature_of_another_key_is_refused(ready: World) -> None:
    refused(ready, ready.proof(generate_private_key("ed25519")))


def test_r6_a_signature_that_is_bound_to_another_servers_key_is_refused(ready: World) -> None:
    other = generate_private_key("ed25519").public.blob
    refused(ready, ready.proof(host_key=other))
    refused(ready, ready.proof(host_key=other, told_host_key=b""))
    refused(ready, ready.proof(host_key=other, told_host_key=ready.host.public.blob))


def test_r6_the_algorithm_has_to_be_the_keys_and_allowed(ready: World) -> None:
    refused(ready, ready.proof(algorithm="ssh-rsa"))
    refused(ready, ready.proof(algorithm="ssh-ed25519-cert-v01@openssh.com"))
    refused(ready, ready.proof(algorithm="none"))


def test_r6_the_first_hash_alone_names_the_session(ready: World) -> None:
    ready.sign(b"n" * 32)
    refused(ready, ready.proof(session_id=b"n" * 32))
    assert ready.ask("publickey", ready.proof()).kind == messages.GRANTED


def test_r4_a_key_that_was_asked_about_lets_nobody_in_without_a_signature(ready: World) -> None:
    question = messages.KeyQuestion(ready.key.public.blob, ALGORITHM, False, b"", b"")
    assert ready.ask("publickey", question.encode()).kind == messages.ACCEPTABLE
    for signature in (b"", b"x" * 64, string(ALGORITHM) + string(bytes(64))):
        refused(ready, messages.KeyQuestion(ready.key.public.blob, ALGORITHM, True, signature, b"").encode())


def test_a_question_about_what_is_no_key_is_refused(ready: World) -> None:
    for algorithm in (ALGORITHM, "ssh-ed25519-cert-v01@openssh.com"):
        question = messages.KeyQuestion(b"no key", algorithm, False, b"", b"")
        assert ready.ask("publickey", question.encode()).kind == messages.REFUSED


def test_a_host_vouches_for_nobody_with_a_damaged_or_a_foreign_signature(ready: World) -> None:
    key = generate_private_key("ed25519")
    for blob, signature in (
        (b"no key", b""),
        (key.public.blob, b"damaged"),
        (key.public.blob, key.sign(ALGORITHM, b"something else")),
    ):
        body = messages.HostQuestion(blob, ALGORITHM, signature, "host", "me").encode()
        assert ready.ask("hostbased", body).kind == messages.REFUSED
    assert ready.started == []


def test_a_host_that_nobody_trusts_vouches_for_nobody(ready: World) -> None:
    from sshkit.ssh.authentication.methods.host_based import signed_data as host_signed

    key = generate_private_key("ed25519")
    for name in ("host", "host."):
        data = host_signed(HASH, USER, ALGORITHM, key.public.blob, name, "me")
        body = messages.HostQuestion(key.public.blob, ALGORITHM, key.sign(ALGORITHM, data), "host", "me")
        assert ready.ask("hostbased", body.encode()).kind == messages.REFUSED
    assert ready.started == []


def test_r7_a_certificate_by_an_algorithm_that_authorities_may_not_use_is_refused(
    tmp_path: Path,
) -> None:
    from sshkit_keys import sign_certificate

    world = World(tmp_path, "CASignatureAlgorithms rsa-sha2-256")
    world.sign()
    world.prepare()
    certificate = sign_certificate(
        generate_private_key("ed25519"),
        world.key.public,
        role="user",
        key_id="x",
        principals=[USER],
        random_bytes=os.urandom,
    )
    algorithm = "ssh-ed25519-cert-v01@openssh.com"
    signature = world.key.sign(ALGORITHM, signed_data(HASH, USER, algorithm, certificate.blob))
    refused(world, messages.KeyQuestion(certificate.blob, algorithm, True, signature, b"").encode())


# Questions that no worker of ours asks.


def lies(call: Callable[[], object]) -> str:
    with pytest.raises(WorkerLies) as caught:
        call()
    return str(caught.value)


def test_r1_nobody_is_looked_up_before_there_is_a_session_id(world: World) -> None:
    assert lies(world.prepare) == "a login that cannot be"


@pytest.mark.parametrize("user", ["", "-x", "a/b", "a\0b", "x" * 256])
def test_r11_a_name_that_can_be_nobodys_is_a_lie(world: World, user: str) -> None:
    world.sign()
    assert lies(lambda: world.prepare(user)) == "a login that cannot be"


def test_r1_nothing_is_asked_before_a_user_was_named(world: World) -> None:
    world.sign()
    assert lies(lambda: world.ask("none", b"")) == "a login of nobody"


def test_r18_a_hash_that_is_too_long_is_not_signed(world: World) -> None:
    assert lies(lambda: world.sign(bytes(MAX_HASH + 1))) == "65 bytes to sign"
    assert lies(lambda: world.sign(b"")) == "0 bytes to sign"
    assert world.login.session_id == b""
    assert world.answers == []


def test_a_worker_has_no_login_request_signed_as_if_it_were_a_hash(ready: World) -> None:
    """The host's key vouches for users of this host elsewhere: `hostbased`."""
    from sshkit.ssh.authentication.methods.host_based import signed_data as host_signed

    data = host_signed(HASH, "root", ALGORITHM, ready.host.public.blob, "h", "root")
    lies(lambda: ready.sign(data))


def test_nothing_is_signed_with_a_key_that_is_not_there(world: World) -> None:
    assert lies(lambda: world.sign(algorithm="rsa-sha2-512")) == "there is no host key for that"


def test_a_proof_of_our_keys_is_signed_after_the_login_only(ready: World) -> None:
    data = string(PROVE) + string(HASH) + string(ready.host.public.blob)
    assert lies(lambda: ready.sign(data)).endswith("bytes to sign")
    ready.ask("publickey", ready.proof())
    ready.host.public.verify(ALGORITHM, data, ready.sign(data).body)
    for other in (
        string(PROVE) + string(b"x" * 32) + string(ready.host.public.blob),
        string(PROVE) + string(HASH) + string(generate_private_key("ed25519").public.blob),
        data + b"x",
    ):
        lies(lambda data=other: ready.sign(data))  # type: ignore[misc]


def test_r1_a_users_process_has_nothing_signed_but_proofs(ready: World) -> None:
    """Else it could have the host's key sign the key exchange of a server that is none of ours."""
    ready.ask("publickey", ready.proof())
    with pytest.raises(WorkerLies):
        ready.login.prove(messages.Sign(1, 0, ALGORITHM, b"h" * 32), ready.send)
    data = string(PROVE) + string(HASH) + string(ready.host.public.blob)
    ready.login.prove(messages.Sign(1, 0, ALGORITHM, data), ready.send)
    ready.host.public.verify(ALGORITHM, data, ready.answers[-1].body)


def test_r8_a_worker_asks_no_more_than_a_login_may(ready: World) -> None:
    for _ in range(2 * MAX_REQUESTS - 1):
        assert ready.ask("none", b"").kind == messages.REFUSED
    assert lies(lambda: ready.ask("none", b"")) == "more questions than a login has"


def test_r8_after_too_many_failures_the_right_key_does_not_let_in_either(ready: World) -> None:
    for _ in range(6):
        ready.ask("none", b"")
        ready.login.failed(messages.Failed(7, "x" * 1000, "password\n", "why"))
    assert ready.failures == ["password\\n"] * 6
    refused(ready, ready.proof())


def test_r5_two_questions_at_once_are_a_lie(ready: World) -> None:
    waiting: Deferred[Any] = Deferred()
    ready.change(none=lambda user: waiting)
    ready.login.ask(messages.Ask(3, 7, "none", b""), ready.send, ready.start)
    assert lies(lambda: ready.ask("publickey", ready.proof())) == "more questions than a login has"
    assert lies(ready.prepare) == "more questions than a login has"
    waiting.callback(None)
    assert ready.answers[-1].kind == messages.REFUSED


def test_r1_a_question_after_the_login_is_a_lie(ready: World) -> None:
    ready.ask("publickey", ready.proof())
    assert lies(lambda: ready.ask("none", b"")) == "more questions than a login has"
    assert lies(ready.prepare) == "more questions than a login has"
    assert len(ready.started) == 1


def test_r1_an_unknown_method_is_a_lie(ready: World) -> None:
    assert lies(lambda: ready.ask("gssapi\n", b"")) == "a method gssapi\\n"


@pytest.mark.parametrize(
    ("method", "body"),
    [
        ("none", b"more"),
        ("publickey", b""),
        ("publickey", b"\xff\xff\xff\xff"),
        ("password", b"\0\0\0\1"),
        ("password", string("x") + b"\1" + string("y") + b"z"),
        ("hostbased", b"\0"),
        ("keyboard-interactive", b""),
        ("keyboard-interactive", boolean(True) + uint32(1)),
        ("keyboard-interactive", boolean(True) + uint32(0) + b"x"),
        ("keyboard-interactive", boolean(True) + uint32(MAX_ANSWERS + 1)),
    ],
)
def test_r18_a_damaged_body_ends_the_worker(ready: World, method: str, body: bytes) -> None:
    with pytest.raises(SSHKitError):
        ready.ask(method, body)
    assert len(ready.answers) == 2  # a signature, and the rules
    assert ready.started == []


# Answers.


@pytest.mark.parametrize(
    ("result", "kind", "body"),
    [
        (Partial(("password",)), messages.PARTIAL, uint32(8) + b"password"),
        (PasswordExpired("New: "), messages.EXPIRED, string("New: ")),
        (
            Questions([("PIN: ", True)], "title", "do"),
            messages.QUESTIONS,
            string("title") + string("do") + uint32(1) + string("PIN: ") + boolean(True),
        ),
        (None, messages.REFUSED, b""),
        ("nonsense", messages.REFUSED, b""),
    ],
)
def test_each_verdict_has_its_answer(ready: World, result: Any, kind: int, body: bytes) -> None:
    ready.change(password=lambda user, password: result)
    answer = ready.ask("password", messages.PasswordQuestion("x", False, "").encode())
    assert (answer.kind, answer.body) == (kind, body)


def test_the_change_of_a_password_is_asked_with_both(ready: World) -> None:
    asked: list[tuple[str, ...]] = []
    ready.change(change_password=lambda *texts: asked.append(texts))
    ready.ask("password", messages.PasswordQuestion("old", True, "new").encode())
    assert asked == [(USER, "old", "new")]


def test_answers_to_questions_reach_the_policy(ready: World) -> None:
    asked: list[Any] = []
    ready.change(interactive=lambda user, answers: asked.append(answers))
    ready.ask("keyboard-interactive", boolean(False) + uint32(0))
    ready.ask("keyboard-interactive", boolean(True) + uint32(2) + string("a") + string("b"))
    assert asked == [None, ["a", "b"]]


def test_a_user_with_rules_of_his_own_is_told_of_them(tmp_path: Path) -> None:
    world = World(tmp_path, "MaxAuthTries 2", "AuthenticationMethods publickey,publickey")
    world.sign()
    rules = world.prepare()
    assert (rules.methods, rules.max_tries, rules.takes_certificates) == (("publickey",), 2, True)
    assert world.ask("publickey", world.proof()).kind == messages.PARTIAL
    refused(world, world.proof())  # the same key counts once


# Faults of our own.


def test_r10_a_policy_that_fails_is_a_refusal(ready: World) -> None:
    failing: Deferred[Any] = Deferred()
    ready.change(none=lambda user: failing)
    ready.login.ask(messages.Ask(3, 7, "none", b""), ready.send, ready.start)
    failing.errback(ValueError("broken"))
    assert ready.answers[-1].kind == messages.REFUSED
    assert "ValueError: broken" in ready.lines[-1]
    assert ready.ask("publickey", ready.proof()).kind == messages.GRANTED


def test_a_user_who_cannot_be_looked_up_is_refused(world: World) -> None:
    def broken(user: str) -> None:
        raise OSError(errno.EIO, "the database is broken")

    world.sign()
    world.change(prepare=broken)
    rules = world.prepare()
    assert (rules.methods, rules.max_tries) == ((), 1)
    assert "looking" in world.lines[-1]
    assert lies(lambda: world.ask("none", b"")) == "a login of nobody"


def test_a_session_that_cannot_be_started_is_a_refusal(ready: World) -> None:
    def full(login: MonitoredLogin, grant: Grant) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    ready.login.ask(messages.Ask(3, 7, "publickey", ready.proof()), ready.send, full)
    assert ready.answers[-1].kind == messages.REFUSED
    assert ready.lines[-1] == f"error: 192.0.2.1: no session for {USER!r}: Too many open files"


class BadKey:
    """A host key that signs nothing."""

    def __init__(self, key: PrivateKey, later: bool) -> None:
        self.public = key.public
        self._later = later

    def sign(self, algorithm: str, data: bytes) -> Any:
        error = SSHKitError("the device was taken away")
        if not self._later:
            raise error
        failing: Deferred[bytes] = Deferred()
        failing.errback(error)
        return failing


@pytest.mark.parametrize("later", [False, True])
def test_a_key_that_does_not_sign_is_told_without_its_reason(world: World, later: bool) -> None:
    bad: Any = BadKey(world.host, later)
    world.login.plan = world.plan._replace(host_keys=(bad,))
    answer = world.sign()
    assert (answer.kind, answer.body) == (messages.FAULT, b"not signed")
    assert world.lines == ["error: host key: the device was taken away"]


def test_a_signature_that_takes_time_is_answered_later(world: World) -> None:
    made: Deferred[bytes] = Deferred()
    slow: Any = BadKey(world.host, True)
    slow.sign = lambda algorithm, data: made
    world.login.plan = world.plan._replace(host_keys=(slow,))
    world.login.sign(messages.Sign(1, 7, ALGORITHM, HASH), world.send)
    assert world.answers == []
    made.callback(b"signature")
    assert world.answers[0].body == b"signature"


def test_a_login_knows_where_it_comes_from(world: World) -> None:
    assert world.login.addresses() == ("192.0.2.1", 5, "192.0.2.2", 22)
    world.login.move("198.51.100.1", ("198.51.100.1", 1, "192.0.2.2", 22))
    assert (world.login.source, world.login.addresses()[0]) == ("198.51.100.1", "198.51.100.1")
    with pytest.raises(AssertionError):
        world.login.granted(Grant("x", "none"))


def test_an_owner_has_to_say_what_it_does() -> None:
    owner = LoginOwner()
    some: Any = None
    with pytest.raises(NotImplementedError):
        owner.log("info", "x")
    with pytest.raises(NotImplementedError):
        owner.login_failed(some, "x", "y")


def test_the_fields_of_an_answer_are_what_was_sent() -> None:
    answer = messages.Answer(1, messages.PARTIAL, uint32(1) + b"x")
    again = messages.Answer.decode(answer.encode())
    assert WireReader(again.body).name_list("methods") == ("x",)
