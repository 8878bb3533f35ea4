"""Hosts that vouch for their users (RFC 4252 section 9), in both roles (R4, R6, R11, R12)."""

import os
from typing import Any

import pytest
from sshkit_keys import CertifiedKey, generate_private_key, sign_certificate
from sshkit_keys.wire import string

from sshkit.deferred import Deferred, fail, succeed
from sshkit.ssh.algorithms import Algorithms
from sshkit.ssh.authentication.client import Identity
from sshkit.ssh.authentication.login_options import LoginOptions
from sshkit.ssh.authentication.methods.host_based import signed_data
from sshkit.ssh.authentication.server import ServerAuthentication
from sshkit.ssh.authentication.verdicts import Grant
from sshkit.ssh.errors import AuthenticationFailed, LocalProtocolError
from sshkit.ssh.messages import authentication as messages
from sshkit.ssh.messages import transport
from tests.ssh.harness import Credentials, Duo, Policy, Scene

CLIENT_HOST = generate_private_key("ed25519", comment="the client's host")
RSA_HOST = generate_private_key("rsa", 2048)


class Hosts:
    """What a client has."""

    def __init__(self, *keys: Any, host: str = "client.example.", user: str = "me") -> None:
        self.identities = [Identity(key.public, "host key file", key) for key in keys]
        self.host = host
        self.user = user


class Trusting(Policy):
    """Takes the word of every host that it gets to see."""

    takes_certificates = True

    def __init__(self, answer: Any = None, **answers: Any) -> None:
        super().__init__(**answers)
        self.offered = ("hostbased",)
        self.answer = answer or (lambda user: Grant(user, "hostbased"))

    def host_based(self, user: str, key: Any, host: str, local_user: str) -> Any:
        self.asked.append(("host_based", user, key.key_type, host, local_user))
        return self.answer(user)


def meet(hosts: Any, policy: Policy | None = None, **options: Any) -> Duo:
    find = hosts if callable(hosts) else lambda: hosts
    duo = Duo(
        policy=policy or Trusting(),
        credentials=Credentials(),
        methods=("hostbased", "none"),
        login_options=LoginOptions(host_based=find),
        **options,
    )
    duo.settle()
    return duo


def trail(duo: Duo) -> list[str]:
    assert duo.authentication is not None
    return [f"{attempt.method}: {attempt.outcome}" for attempt in duo.authentication.trail]


@pytest.mark.parametrize("late", [False, True])
def test_a_host_vouches_for_its_user(late: bool) -> None:
    answer = (lambda user: succeed(Grant(user, "hostbased"))) if late else None
    policy = Trusting(answer)
    hosts = Hosts(CLIENT_HOST)
    duo = meet((lambda: succeed(hosts)) if late else hosts, policy)
    assert duo.result == ["in"]
    assert policy.asked == [
        ("none", "user"),
        ("host_based", "user", "ssh-ed25519", "client.example", "me"),
    ]
    assert policy.grants[0].key == CLIENT_HOST.public.fingerprint()
    assert duo.authentication is not None
    last = duo.authentication.trail[-1]
    assert (last.fingerprint, last.source, last.verdict) == (
        CLIENT_HOST.public.fingerprint(),
        "host key file",
        "accepted",
    )


def test_each_key_signs_once_and_a_refusal_leads_to_the_next() -> None:
    policy = Trusting(lambda user: Grant(user, "hostbased") if len(policy.asked) > 2 else None)
    duo = meet(Hosts(CLIENT_HOST, RSA_HOST), policy)
    assert duo.result == ["in"]
    assert [asked[2] for asked in policy.asked[1:]] == ["ssh-ed25519", "ssh-rsa"]


def test_a_certified_host_key_works() -> None:
    authority = generate_private_key("ed25519")
    certificate = sign_certificate(
        authority,
        CLIENT_HOST.public,
        role="host",
        key_id="x",
        principals=("client.example",),
        random_bytes=os.urandom,
    )
    policy = Trusting()
    assert meet(Hosts(CertifiedKey(CLIENT_HOST, certificate)), policy).result == ["in"]
    assert policy.asked[-1][2] == "ssh-ed25519-cert-v01@openssh.com"
    policy.takes_certificates = False
    assert meet(Hosts(CertifiedKey(CLIENT_HOST, certificate)), policy).result != ["in"]


def test_algorithms_that_either_side_does_not_take_are_not_used() -> None:
    allowed = Algorithms(hostbased_keys=("ssh-ed25519",))
    duo = meet(Hosts(RSA_HOST), algorithms=allowed)
    assert "hostbased: no signature algorithm of this key is allowed" in trail(duo)
    duo = meet(Hosts(RSA_HOST), server_algorithms=allowed)
    assert isinstance(duo.result[0], AuthenticationFailed)


class Broken:
    """A key that nobody can sign with."""

    public = CLIENT_HOST.public

    def sign(self, algorithm: str, data: bytes) -> "Deferred[bytes]":
        return fail(LocalProtocolError("the helper has gone"))


@pytest.mark.parametrize(
    ("hosts", "why"),
    [
        (Hosts(), "hostbased: this host has no key to sign with"),
        (lambda: None, None),
        (lambda: fail(LocalProtocolError("no name")), "hostbased: no name"),
        (Hosts(Broken()), "hostbased: not signed"),
    ],
)
def test_a_host_that_cannot_vouch_is_noted_and_other_methods_go_on(hosts: Any, why: str | None) -> None:
    duo = meet(hosts)
    assert isinstance(duo.result[0], AuthenticationFailed)
    assert why is None or why in trail(duo)


def test_without_hosts_the_method_is_not_tried() -> None:
    duo = Duo(policy=Trusting(), methods=("hostbased",))
    duo.settle()
    assert str(duo.result[0]).endswith("nothing could be tried")


class Serving(Scene):
    """A server, and a raw client that says what it likes."""

    def __init__(self, policy: Policy) -> None:
        super().__init__(core_is_client=False)
        self.policy = policy
        policy.on_grant = lambda: None
        self.owner.on_ready = lambda: ServerAuthentication(self.layer, policy)
        self.handshake()
        self.send(transport.ServiceRequest("ssh-userauth"))
        self.raw.take(transport.SERVICE_ACCEPT)

    def ask(self, *, claimed: Any = {}, signed: Any = {}, algorithm: str = "ssh-ed25519") -> list[int]:  # noqa: B006
        names = {"user": "user", "host": "client.example.", "local_user": "me"}
        said, proved = names | claimed, names | signed
        blob = CLIENT_HOST.public.blob
        data = signed_data(
            self.layer.session_id, proved["user"], algorithm, blob, proved["host"], proved["local_user"]
        )
        body = string(algorithm) + string(blob) + string(said["host"]) + string(said["local_user"])
        body += string(CLIENT_HOST.sign("ssh-ed25519", data))
        self.raw.received.clear()
        self.send(messages.UserauthRequest(said["user"], "ssh-connection", "hostbased", body))
        return self.raw.numbers()


@pytest.mark.parametrize("name", ["user", "host", "local_user"])
def test_r06_a_signature_counts_for_the_names_that_it_covers_only(name: str) -> None:
    policy = Trusting()
    serving = Serving(policy)
    assert serving.ask(claimed={name: "root"}) == [messages.USERAUTH_FAILURE]
    assert serving.ask(algorithm="rsa-sha2-512") == [messages.USERAUTH_FAILURE]
    assert policy.asked == []
    assert serving.ask() == [messages.USERAUTH_SUCCESS]


@pytest.mark.parametrize("bad", ["", "a\x1b[2J", "x" * 300, "a\nb"])
@pytest.mark.parametrize("name", ["host", "local_user"])
def test_r11_names_that_no_host_and_no_user_has_reach_nobody(name: str, bad: str) -> None:
    policy = Trusting()
    serving = Serving(policy)
    assert serving.ask(claimed={name: bad}, signed={name: bad}) == [messages.USERAUTH_FAILURE]
    assert policy.asked == []


def test_r04_a_policy_that_knows_no_hosts_refuses_them() -> None:
    policy = Policy()
    policy.offered = ("hostbased",)
    assert Serving(policy).ask() == [messages.USERAUTH_FAILURE]
