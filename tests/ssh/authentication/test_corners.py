"""Corners of logins: early successes, partial success for ever, wrong counts, authorities, second flights."""

import os
from typing import Any

from sshkit_keys import CertifiedKey, generate_private_key, sign_certificate

from sshkit.ssh.algorithms import Algorithms
from sshkit.ssh.authentication.client import MAX_REQUESTS, ClientAuthentication, Identity
from sshkit.ssh.authentication.server import Questions
from sshkit.ssh.authentication.verdicts import Grant
from sshkit.ssh.errors import AuthenticationFailed, RemoteProtocolError
from sshkit.ssh.messages import authentication as messages
from sshkit.ssh.messages import transport
from tests.ssh.authentication.test_client import Login, identity, refusal
from tests.ssh.authentication.test_server import Login as ServerLogin
from tests.ssh.harness import USER_KEY, Credentials, Duo, Policy, Scene


def test_a_success_without_a_signature_names_no_key_as_used() -> None:
    login = Login(Credentials([identity(), identity(generate_private_key("ed25519"))]))
    login.request()
    login.send(messages.UserauthSuccess())
    assert login.result == ["in"]
    assert login.authentication.keys_used == []


def test_keys_that_let_in_are_known_to_whoever_connects() -> None:
    login = Login(Credentials([identity()]))
    login.send(messages.UserauthSuccess())
    assert [(found.source, signer) for found, signer in login.authentication.keys_used] == [
        ("file", USER_KEY)
    ]


def test_r12_a_server_that_wants_more_for_ever_is_left() -> None:
    keys = [identity(generate_private_key("ed25519")) for _ in range(2)]
    login = Login(Credentials(keys, ["word"] * 100), methods=("publickey", "password"))
    for _ in range(MAX_REQUESTS + 1):
        if login.result:
            break
        login.request()
        login.send(refusal("password", "publickey", partial=True))
    assert isinstance(login.result[0], AuthenticationFailed)


def test_a_key_that_was_accepted_is_not_offered_again() -> None:
    login = Login(Credentials([identity()]), methods=("publickey",))
    login.request()
    login.send(refusal("publickey", partial=True))
    assert isinstance(login.result[0], AuthenticationFailed)
    assert [attempt.verdict for attempt in login.authentication.trail] == ["partial"]


def test_a_connection_that_ends_before_the_first_request_asks_for_nothing() -> None:
    scene = Scene(core_is_client=True)
    tried: list[Any] = []

    def ready() -> None:
        authentication = ClientAuthentication(scene.layer, "user", Credentials((), [tried.append]))
        authentication.start()
        scene.layer.disconnect()

    scene.owner.on_ready = ready
    scene.handshake()
    assert 5 not in scene.raw.numbers()
    assert tried == []


def test_r01_an_answer_before_the_service_was_asked_for_is_refused() -> None:
    scene = Scene(core_is_client=True)

    def ready() -> None:
        authentication = ClientAuthentication(scene.layer, "user", Credentials([identity()]))
        authentication.start()
        scene.layer.handlers[transport.SERVICE_ACCEPT](scene.layer.target, memoryview(b"\6"))

    scene.owner.on_ready = ready
    scene.handshake()
    assert isinstance(scene.owner.lost, RemoteProtocolError)
    assert "before the service was asked for" in str(scene.owner.lost)


def test_a_late_refusal_after_the_end_of_the_connection_tries_nothing() -> None:
    login = Login(Credentials([identity()]))
    login.request()
    login.layer.disconnect()
    login.authentication.next_try("publickey", "", "too late")
    assert login.result == []


def test_gssapi_without_anybody_who_has_tickets_is_passed_over() -> None:
    login = Login(Credentials((), ["word"]), methods=("gssapi-with-mic", "hostbased", "password"))
    assert login.request().method == "password"


def test_r18_another_number_of_answers_than_of_questions_is_a_failed_try() -> None:
    asked: list[Any] = []

    def interactive(user: str, answers: Any) -> Any:
        asked.append(answers)
        return Questions([("Word: ", False)]) if answers is None else Grant(user, "keyboard-interactive")

    login = ServerLogin(Policy(interactive=interactive))
    for body in (b"", b"\0\0\0\1a\0\0\0\1b"):
        login.raw.received.clear()
        login.send(messages.UserauthRequest("user", "ssh-connection", "keyboard-interactive", bytes(8)))
        assert login.raw.numbers() == [messages.USERAUTH_INFO_REQUEST]
        login.raw.received.clear()
        login.send(messages.UserauthInfoResponse(len(body) // 5, body))
        assert login.raw.numbers() == [messages.USERAUTH_FAILURE]
    assert asked == [None, None]


def test_r07_a_server_takes_certificates_of_allowed_signatures_only() -> None:
    authority, key = generate_private_key("ed25519"), generate_private_key("ed25519")
    certificate = sign_certificate(
        authority, key.public, role="user", key_id="x", principals=("user",), random_bytes=os.urandom
    )
    vouched: Any = CertifiedKey(key, certificate)

    for allowed in (("ssh-ed25519",), ("rsa-sha2-512",)):
        policy = Policy(public_key=lambda user, key, signed: Grant(user, "publickey"))
        policy.takes_certificates = True  # type: ignore[attr-defined]
        duo = Duo(
            policy=policy,
            credentials=Credentials([Identity(certificate, "file", vouched)]),
            server_algorithms=Algorithms(ca_signatures=allowed),
            methods=("publickey",),
        )
        duo.settle()
        assert (duo.result == ["in"]) is (allowed == ("ssh-ed25519",))
