"""What the agent does for each request, seen by its own client."""

import logging
from typing import Any

import pytest
from sshkit_keys import PrivateKey, SignatureError, sign_certificate
from sshkit_keys.wire import byte, string, uint32

from sshkit.deferred import Deferred, fail
from sshkit.ssh.agent import messages
from sshkit.ssh.agent.errors import AgentRefused
from sshkit.ssh.agent.policy import AgentRequest, Client, Restrictions
from tests.ssh.agent.world import (
    AUTHORITY,
    ECDSA,
    ED25519,
    FAILURE,
    RSA,
    SUCCESS,
    World,
    fixed_bytes,
    login,
    sshsig,
)


@pytest.mark.parametrize("key", [ED25519, ECDSA, RSA], ids=lambda key: key.comment)
def test_a_key_is_added_listed_used_and_removed(key: PrivateKey) -> None:
    world = World()
    client = world.connect()
    assert world.result(client.add(key)) is None
    (found,) = world.result(client.list_keys())
    assert (found.public, found.comment, found.key_type) == (key.public, key.comment, key.public.key_type)
    assert found.signature_algorithms == key.public.signature_algorithms
    for algorithm in key.public.signature_algorithms:
        signature = world.result(found.sign(algorithm, b"data"))
        key.public.verify(algorithm, b"data", signature)
    world.result(client.remove(found))
    assert world.result(client.list_keys()) == []
    assert isinstance(world.error(client.sign(key.public, b"data")), AgentRefused)
    assert isinstance(world.error(client.remove(key.public)), AgentRefused)
    assert key.public.fingerprint() in repr(found)


@pytest.mark.parametrize("key", [ED25519, ECDSA, RSA], ids=lambda key: key.comment)
def test_a_key_with_its_certificate_is_a_key_of_its_own(key: PrivateKey) -> None:
    world = World()
    client = world.connect()
    certificate = sign_certificate(
        AUTHORITY, key.public, role="user", key_id="me", principals=("ann",), random_bytes=fixed_bytes
    )
    world.result(client.add(key, comment="plain"))
    world.result(client.add(key, comment="certified", certificate=certificate))
    plain, certified = world.result(client.list_keys())
    assert (plain.public, certified.public) == (key.public, certificate)
    for algorithm in certificate.signature_algorithms:
        world.result(certified.sign(algorithm, b"data"))
    world.result(client.remove(certificate))
    assert [key.comment for key in world.result(client.list_keys())] == ["plain"]


def test_a_key_that_is_added_again_gets_the_new_comment_and_limits() -> None:
    world = World()
    client = world.connect()
    world.result(client.add(ED25519, comment="old", lifetime=10))
    world.result(client.add(ED25519, comment="new"))
    world.clock.advance(20)
    assert [key.comment for key in world.result(client.list_keys())] == ["new"]


def test_all_keys_are_removed_at_once() -> None:
    world = World()
    client = world.connect()
    world.result(client.add(ED25519))
    world.result(client.add(ECDSA))
    world.result(client.remove_all())
    assert world.result(client.list_keys()) == []
    raw = world.raw()
    assert raw.ask(byte(messages.REMOVE_ALL_VERSION_1)) == SUCCESS


def test_r43_a_key_is_gone_when_its_time_is_over() -> None:
    world = World(lifetime=100)
    client = world.connect()
    world.result(client.add(ED25519, lifetime=10))
    world.result(client.add(ECDSA))
    world.clock.advance(11)
    assert [key.comment for key in world.result(client.list_keys())] == ["ec"]
    world.clock.advance(90)
    assert world.result(client.list_keys()) == []
    assert len(world.keyring) == 0


def test_a_locked_agent_does_nothing() -> None:
    world = World()
    client = world.connect()
    world.result(client.add(ED25519))
    assert isinstance(world.error(client.unlock(b"word")), AgentRefused)
    assert isinstance(world.error(client.lock(b"")), AgentRefused)
    world.result(client.lock(b"word"))
    assert world.result(client.list_keys()) == []
    raw = world.raw()
    for number in sorted({*range(9, 27)} - {messages.REQUEST_IDENTITIES, messages.UNLOCK}):
        body = {messages.SIGN_REQUEST: string(ED25519.public.blob) + string(b"") + uint32(0)}.get(number)
        if number in (messages.LOCK, messages.REMOVE_IDENTITY):
            body = string(ED25519.public.blob)
        elif number == messages.REMOVE_SMARTCARD_KEY:
            body = string("/usr/lib/a.so") + string("")
        assert raw.ask(byte(number) + (body or b"")) == FAILURE, number
    world.result(client.unlock(b"word"))
    assert len(world.result(client.list_keys())) == 1


def test_wrong_passphrases_are_answered_later_and_later() -> None:
    world = World()
    client, other = world.connect(), world.connect()
    world.result(client.lock(b"word"))
    for number in range(1, 4):
        wrong, right = client.unlock(b"guess"), other.unlock(b"another guess")
        world.settle()
        world.clock.advance(0.1 * (2 * number - 1) - 0.01)
        world.settle()
        assert not wrong.called
        world.clock.advance(0.02)
        world.settle()
        assert isinstance(world.error(wrong), AgentRefused)
        assert not right.called
        world.clock.advance(0.2 * number)
        assert isinstance(world.error(right), AgentRefused)
    world.result(other.unlock(b"word"))
    assert not world.keyring.locked


@pytest.mark.parametrize("answer", [False, None, 1])
def test_a_policy_that_does_not_say_yes_refuses_everything(answer: Any) -> None:
    world = World(policy=lambda request: answer)
    client = world.connect()
    world.keyring.add(ED25519)
    assert world.result(client.list_keys()) == []
    for request in (
        client.sign(ED25519.public, b""),
        client.add(ECDSA),
        client.remove(ED25519.public),
        client.remove_all(),
        client.lock(b"word"),
        client.unlock(b"word"),
    ):
        assert isinstance(world.error(request), AgentRefused)
    assert {reason for action, _, reason in world.outcomes if action != "list"} == {"the policy says no"}
    assert len(world.keyring) == 1


def test_a_policy_sees_who_asks_for_what() -> None:
    asked: list[AgentRequest] = []

    def policy(request: AgentRequest) -> bool:
        asked.append(request)
        return True

    world = World(policy=policy, identify=lambda transport: Client(1000, 42))
    client = world.connect()
    world.result(client.add(ED25519, comment="mine"))
    world.result(client.sign(ED25519.public, login(ED25519, b"session")))
    world.result(client.sign(ED25519.public, sshsig("git")))
    world.result(client.sign(ED25519.public, b"whatever"))
    add, first, second, third = asked
    assert (add.action, add.comment, add.client) == ("add", "mine", Client(1000, 42))
    assert (first.action, first.key, first.algorithm) == ("sign", ED25519.public, "ssh-ed25519")
    assert (first.data.kind, first.data.user, first.data.service) == ("login", "ann", "ssh-connection")
    assert (second.data.kind, second.data.namespace) == ("sshsig", "git")
    assert third.data.kind == "unknown"
    assert repr(add) == "<AgentRequest add>"
    shown = world.events[1].to_dict()
    assert shown == {
        "action": "sign",
        "outcome": "done",
        "uid": 1000,
        "pid": 42,
        "key": ED25519.public.fingerprint(),
        "key_type": "ssh-ed25519",
        "comment": "mine",
        "algorithm": "ssh-ed25519",
        "signed": "login",
        "user": "ann",
    }


def test_a_policy_may_answer_later() -> None:
    answers: list[Deferred[bool]] = []

    def policy(request: AgentRequest) -> Deferred[bool]:
        answers.append(Deferred())
        return answers[-1]

    world = World(policy=policy)
    client = world.connect()
    world.keyring.add(ED25519)
    signing, listing = client.sign(ED25519.public, b"x"), client.list_keys()
    world.settle()
    assert len(answers) == 1
    assert not signing.called
    answers[0].callback(True)
    world.settle()
    assert len(world.result(signing)) == 83
    answers[1].callback(True)
    assert len(world.result(listing)) == 1


def test_a_policy_that_breaks_refuses_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    def policy(request: AgentRequest) -> bool:
        raise ZeroDivisionError("bug")

    world = World(policy=policy)
    client = world.connect()
    world.keyring.add(ED25519)
    with caplog.at_level(logging.ERROR, "sshkit.agent"):
        assert isinstance(world.error(client.sign(ED25519.public, b"x")), AgentRefused)
    assert world.outcomes[-1] == ("sign", "failed", "internal error: ZeroDivisionError")
    assert "ZeroDivisionError" in caplog.text


def test_an_audit_that_breaks_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    def audit(event: object) -> None:
        raise ZeroDivisionError("bug")

    world = World(audit=audit)
    with caplog.at_level(logging.ERROR, "sshkit.agent"):
        assert world.result(world.connect().list_keys()) == []
    assert "the audit of an agent failed" in caplog.text
    silent = World(audit=None)
    assert silent.result(silent.connect().list_keys()) == []


def test_a_key_to_be_confirmed_is_used_only_after_a_yes() -> None:
    questions: list[Deferred[bool]] = []

    def confirm(request: AgentRequest) -> Deferred[bool]:
        questions.append(Deferred())
        return questions[-1]

    world = World(confirm=confirm)
    client = world.connect()
    world.result(client.add(ED25519, confirm=True))
    for answer in (True, False):
        signing = client.sign(ED25519.public, b"x")
        world.settle()
        assert not signing.called
        questions[-1].callback(answer)
        world.settle()
        if answer:
            world.result(signing)
        else:
            assert isinstance(world.error(signing), AgentRefused)
    assert world.outcomes[-1] == ("sign", "refused", "the user refused")


def test_a_key_to_be_confirmed_is_not_used_where_nobody_can_be_asked() -> None:
    world = World()
    client = world.connect()
    world.result(client.add(ED25519, confirm=True))
    assert isinstance(world.error(client.sign(ED25519.public, b"x")), AgentRefused)


def test_r43_a_key_that_went_while_the_user_was_asked_signs_nothing() -> None:
    question: Deferred[bool] = Deferred()
    world = World(confirm=lambda request: question)
    client = world.connect()
    world.result(client.add(ED25519, confirm=True))
    signing = client.sign(ED25519.public, b"x")
    world.settle()
    world.keyring.clear()
    question.callback(True)
    assert isinstance(world.error(signing), AgentRefused)
    assert world.outcomes[-1][2] == "the key has gone meanwhile"


def test_a_client_that_leaves_takes_its_question_with_it() -> None:
    cancelled: list[object] = []
    question: Deferred[bool] = Deferred(cancelled.append)
    world = World(confirm=lambda request: question)
    client = world.connect()
    world.result(client.add(ED25519, confirm=True))
    signing = client.sign(ED25519.public, b"x")
    world.settle()
    closing = client.close()
    world.settle()
    closing.result()
    assert cancelled == [question]
    assert "closed the connection" in str(world.error(signing))
    assert world.outcomes[-1] == ("sign", "failed", "the client has gone")
    assert world.agent.connections == set()
    other = world.connect()
    assert len(world.result(other.list_keys())) == 1


def test_whoever_is_not_let_in_hears_nothing() -> None:
    world = World(identify=lambda transport: None)
    raw = world.raw()
    raw.send(byte(messages.REQUEST_IDENTITIES))
    assert raw.lost
    assert raw.received == b""
    assert world.agent.connections == set()


def test_no_hash_named_is_never_sha_1() -> None:
    world = World()
    world.keyring.add(RSA)
    request = messages.SignRequest(RSA.public.blob, b"data", 0)
    answer = world.raw().ask(request.encode())
    signature = messages.SignResponse.decode(answer).signature
    RSA.public.verify("rsa-sha2-512", b"data", signature)


class Virtual:
    """A key that somebody else has."""

    def __init__(self, answer: Any) -> None:
        self.public = ED25519.public
        self.comment = "elsewhere"
        self.answer = answer

    def sign(self, algorithm: str, data: bytes) -> Any:
        return self.answer


def test_a_virtual_key_signs_now_or_later() -> None:
    world = World()
    client = world.connect()
    signature = ED25519.sign("ssh-ed25519", b"data")
    later: Deferred[bytes] = Deferred()
    world.keyring.add(Virtual(signature))
    assert world.result(client.sign(ED25519.public, b"data")) == signature
    world.keyring.add(Virtual(later))
    signing = client.sign(ED25519.public, b"data")
    world.settle()
    later.callback(signature)
    assert world.result(signing) == signature
    world.keyring.add(Virtual(fail(SignatureError("the device is gone"))))
    assert isinstance(world.error(client.sign(ED25519.public, b"data")), AgentRefused)
    assert world.outcomes[-1] == ("sign", "failed", "the device is gone")


def test_the_client_does_not_take_a_signature_of_something_else() -> None:
    world = World()
    client = world.connect()
    world.keyring.add(Virtual(ED25519.sign("ssh-ed25519", b"other data")))
    assert isinstance(world.error(client.sign(ED25519.public, b"data")), SignatureError)
    world.keyring.add(Virtual(ECDSA.sign("ecdsa-sha2-nistp256", b"data")))
    assert isinstance(world.error(client.sign(ED25519.public, b"data")), SignatureError)


def test_the_agent_tells_its_extensions_and_refuses_others() -> None:
    world = World()
    client = world.connect()
    assert world.result(client.extensions()) == ["query", "session-bind@openssh.com"]
    assert isinstance(world.error(client.extension("what@example.com", b"")), AgentRefused)
    assert world.result(client.extension("query", b"")) == string("query") + string(messages.SESSION_BIND)


class Token:
    """What a program gives for a token."""

    def __init__(self, *keys: PrivateKey) -> None:
        self.keys = keys
        self.asked: list[tuple[str, str]] = []

    def __call__(self, provider: str, pin: str, limits: Any) -> Any:
        self.asked.append((provider, pin))
        return self.keys


def test_a_token_is_added_with_its_certificates_and_removed() -> None:
    token = Token(ED25519, ECDSA)
    world = World(add_token=token)
    client = world.connect()
    certificate = sign_certificate(AUTHORITY, ECDSA.public, role="user", key_id="x", random_bytes=fixed_bytes)
    path = "/usr/lib/libtoken.so"
    adding = client.add_smartcard(path, "1234", confirm=True, lifetime=60, certificates=[certificate])
    world.result(adding)
    assert token.asked == [(path, "1234")]
    listed = [key.public for key in world.result(client.list_keys())]
    assert listed == [ED25519.public, certificate, ECDSA.public]
    assert all(held.confirm and held.expiry for held in world.keyring)
    assert isinstance(world.error(client.add_smartcard(path)), AgentRefused)
    world.result(client.remove_smartcard(path))
    assert isinstance(world.error(client.remove_smartcard(path)), AgentRefused)
    world.result(client.add_smartcard(path, certificates=[certificate], certificates_only=True))
    assert [key.public for key in world.result(client.list_keys())] == [certificate]
    assert "1234" not in str([event.to_dict() for event in world.events])


@pytest.mark.parametrize(
    "path", ["/tmp/evil.so", "/usr/lib/../../tmp/evil.so", "libtoken.so", "/usr/lib//x.so", "/usr/lib/./x.so"]
)
def test_r40_only_libraries_that_are_allowed_are_even_named_to_the_program(path: str) -> None:
    token = Token(ED25519)
    world = World(add_token=token)
    assert isinstance(world.error(world.connect().add_smartcard(path)), AgentRefused)
    assert token.asked == []


def test_restrictions_are_the_programs_to_widen() -> None:
    token = Token(ED25519)
    world = World(add_token=token, restrictions=Restrictions(providers=("/opt/*",)))
    world.result(world.connect().add_smartcard("/opt/token.so"))
    assert token.asked == [("/opt/token.so", "")]


def test_requests_wait_while_the_client_does_not_read() -> None:
    world = World()
    raw = world.raw()
    server = world.server
    server.pause_writing()
    raw.send(byte(messages.REQUEST_IDENTITIES))
    assert raw.answers() == []
    server.resume_writing()
    world.settle()
    assert len(raw.answers()) == 1


def test_closing_the_agent_ends_its_connections() -> None:
    world = World()
    client = world.connect()
    world.agent.close()
    world.settle()
    assert client.lost
    assert world.agent.connections == set()
    world.agent.close()


def test_a_key_that_went_while_the_policy_was_asked_is_not_removed_again() -> None:
    answer: Deferred[bool] = Deferred()
    world = World(policy=lambda request: answer)
    world.keyring.add(ED25519)
    removing = world.connect().remove(ED25519.public)
    world.settle()
    world.keyring.clear()
    answer.callback(True)
    assert isinstance(world.error(removing), AgentRefused)


def test_r40_without_a_program_that_knows_tokens_there_are_none() -> None:
    world = World()
    assert isinstance(world.error(world.connect().add_smartcard("/usr/lib/x.so")), AgentRefused)
    assert world.outcomes[-1] == ("add-token", "refused", "this agent loads no libraries")


def test_a_connection_that_has_ended_can_be_ended_again() -> None:
    world = World()
    world.connect()
    server = world.server
    for _ in range(2):
        server.abort()
        world.settle()
    assert world.agent.connections == set()
