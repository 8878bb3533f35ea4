"""Keys that sign for one server: publickey-hostbound-v00@openssh.com, in both roles (R4, R6, R12)."""

from typing import Any

import pytest
from sshkit_keys import generate_private_key
from sshkit_keys.wire import boolean, string

from sshkit.ssh.authentication.client import ClientAuthentication, Identity
from sshkit.ssh.authentication.login_options import LoginOptions
from sshkit.ssh.authentication.methods.public_key import HOST_BOUND, HOST_BOUND_EXTENSION, signed_data
from sshkit.ssh.authentication.server import ServerAuthentication
from sshkit.ssh.authentication.verdicts import Grant
from sshkit.ssh.messages import authentication as messages
from sshkit.ssh.messages import transport
from tests.ssh.harness import HOST_KEYS, USER_KEY, Credentials, Duo, Policy, Scene
from tests.ssh.raw_peer import HOST_KEY

OTHER_KEY = generate_private_key("ed25519")


def granting() -> Policy:
    return Policy(public_key=lambda user, key, signed: Grant(user, "publickey"))


class Asked(Scene):
    """A server that announces the extension or not, and a client with keys."""

    def __init__(self, *keys: Any, announced: bool = True, **options: Any) -> None:
        super().__init__(core_is_client=True)
        identities = [Identity(key.public, "file", key) for key in keys or (USER_KEY,)]

        self.failures: list[BaseException] = []

        def ready() -> None:
            authentication = ClientAuthentication(
                self.layer,
                "user",
                Credentials(identities),
                ("publickey",),
                LoginOptions(**options),
            )
            authentication.done.add_errback(lambda failure: self.failures.append(failure.exception))
            authentication.start()

        self.owner.on_ready = ready
        self.propose()
        self.raw.send(self.raw.serve_init())
        self.raw.new_keys()
        if announced:
            self.raw.send(transport.ExtInfo(1, string(HOST_BOUND_EXTENSION) + string("0")))
        self.settle()
        self.send(transport.ServiceAccept("ssh-userauth"))

    def request(self) -> messages.UserauthRequest:
        return messages.UserauthRequest.decode(self.raw.take(50))


def test_a_client_signs_for_the_server_that_takes_it_and_for_any_other_as_always() -> None:
    for announced, host_bound in ((True, True), (False, True), (True, False)):
        asked = Asked(announced=announced, host_bound=host_bound)
        request = asked.request()
        bound = announced and host_bound
        assert request.method == (HOST_BOUND if bound else "publickey")
        host_key = HOST_KEY.public.blob if bound else b""
        head = boolean(True) + string("ssh-ed25519") + string(USER_KEY.public.blob)
        head += string(host_key) if bound else b""
        assert request.body.startswith(head)
        signature = request.body[len(head) + 4 :]
        data = signed_data(asked.layer.session_id, "user", "ssh-ed25519", USER_KEY.public.blob, host_key)
        USER_KEY.public.verify("ssh-ed25519", data, signature)


def test_keys_are_offered_in_the_plain_form_and_signed_with_in_the_bound_one() -> None:
    asked = Asked(USER_KEY, OTHER_KEY)
    assert asked.request().method == "publickey"
    asked.send(messages.UserauthPublicKeyOk("ssh-ed25519", USER_KEY.public.blob))
    assert asked.request().method == HOST_BOUND


def test_both_sides_meet() -> None:
    duo = Duo(policy=granting(), credentials=Credentials([Identity(USER_KEY.public, "file", USER_KEY)]))
    duo.server.our_extensions = ((HOST_BOUND_EXTENSION, "0"),)
    methods: list[str] = []
    decode = messages.UserauthRequest.decode

    def note(data: Any) -> messages.UserauthRequest:
        request = decode(data)
        methods.append(request.method)
        return request

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(messages.UserauthRequest, "decode", note)
        duo.login()
    assert methods == [HOST_BOUND]
    assert duo.policy.grants[0].method == "publickey"
    assert duo.policy.grants[0].key == USER_KEY.public.fingerprint()


class Serving(Scene):
    """A server, and a raw client that signs what it likes."""

    def __init__(self, policy: Policy) -> None:
        super().__init__(core_is_client=False)
        self.owner.on_ready = lambda: ServerAuthentication(self.layer, policy)
        self.handshake()
        self.send(transport.ServiceRequest("ssh-userauth"))
        self.raw.take(transport.SERVICE_ACCEPT)

    def ask(self, host_key: bytes, *, method: str = HOST_BOUND, signed_for: bytes | None = None) -> list[int]:
        blob = USER_KEY.public.blob
        data = signed_data(
            self.layer.session_id, "user", "ssh-ed25519", blob, host_key if signed_for is None else signed_for
        )
        body = boolean(True) + string("ssh-ed25519") + string(blob)
        if method == HOST_BOUND:
            body += string(host_key)
        body += string(USER_KEY.sign("ssh-ed25519", data))
        self.raw.received.clear()
        self.send(messages.UserauthRequest("user", "ssh-connection", method, body))
        return self.raw.numbers()


def test_r06_a_signature_for_another_server_is_refused() -> None:
    ours = next(iter(HOST_KEYS.values())).public.blob
    policy = granting()
    serving = Serving(policy)
    assert serving.ask(OTHER_KEY.public.blob) == [messages.USERAUTH_FAILURE]
    assert serving.ask(b"") == [messages.USERAUTH_FAILURE]
    assert serving.ask(ours, signed_for=OTHER_KEY.public.blob) == [messages.USERAUTH_FAILURE]
    # Signed in one form, sent in the other.
    assert serving.ask(ours, method="publickey", signed_for=ours) == [messages.USERAUTH_FAILURE]
    assert serving.ask(ours, signed_for=b"") == [messages.USERAUTH_FAILURE]
    assert policy.asked == []
    policy.on_grant = lambda: None
    assert serving.ask(ours) == [messages.USERAUTH_SUCCESS]


def test_r04_the_bound_form_needs_publickey_to_be_offered() -> None:
    policy = granting()
    policy.offered = ("password",)
    serving = Serving(policy)
    assert serving.ask(next(iter(HOST_KEYS.values())).public.blob) == [messages.USERAUTH_FAILURE]
    assert policy.failures == [("user", HOST_BOUND, "the method is not offered")]


def test_required_rsa_size_passes_over_short_keys() -> None:
    key = generate_private_key("rsa", 2048)
    asked = Asked(key, required_rsa_size=3072)
    assert 50 not in asked.raw.numbers()
    assert len(asked.failures) == 1
    assert "RSA with 2048 bits, RequiredRSASize is 3072" in str(asked.failures[0])
