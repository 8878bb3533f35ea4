"""A password that has run out (RFC 4252 section 8), in both roles, and servers that abuse it (R12)."""

from typing import Any

import pytest
from sshkit_keys.wire import boolean, string

from sshkit.deferred import Deferred, succeed
from sshkit.ssh.authentication.client import ClientAuthentication, Identity
from sshkit.ssh.authentication.login_options import LoginOptions
from sshkit.ssh.authentication.methods.password import MAX_CHANGES, MAX_PASSWORD
from sshkit.ssh.authentication.verdicts import Grant, PasswordExpired
from sshkit.ssh.errors import AuthenticationFailed, RemoteProtocolError
from sshkit.ssh.messages import authentication as messages
from sshkit.ssh.messages import transport
from tests.ssh.harness import USER_KEY, Credentials, Duo, Policy, Scene

CHANGE = messages.UserauthPasswordChangeRequest(b"too old\x1b[2J", b"")


class Client(Scene):
    """A client with one password, and a raw server."""

    def __init__(self, answer: Any = None, methods: Any = ("password",), **wanted: Any) -> None:
        super().__init__(core_is_client=True)
        self.prompts: list[str] = []
        self.result: list[Any] = []

        def change(prompt: str) -> Any:
            self.prompts.append(prompt)
            return answer(prompt) if callable(answer) else answer

        def ready() -> None:
            options = LoginOptions(change_password=change)
            credentials = Credentials(**(wanted or {"passwords": ["old"]}))
            self.authentication = ClientAuthentication(self.layer, "user", credentials, methods, options)
            self.authentication.done.add_callbacks(
                lambda _: self.result.append("in"), lambda failure: self.result.append(failure.exception)
            )
            self.authentication.start()

        self.owner.on_ready = ready
        self.handshake()
        self.send(transport.ServiceAccept("ssh-userauth"))

    def body(self) -> bytes:
        return messages.UserauthRequest.decode(self.raw.take(50)).body


async def later(prompt: str) -> tuple[str, str]:
    return "older", "new"


@pytest.mark.parametrize(
    ("answer", "sent"),
    [
        ("new", string("old") + string("new")),
        (("typed", "new"), string("typed") + string("new")),
        (lambda prompt: succeed("new"), string("old") + string("new")),
        (later, string("older") + string("new")),
    ],
)
def test_the_new_password_leaves_with_the_old_one(answer: Any, sent: bytes) -> None:
    client = Client(answer)
    assert client.body() == boolean(False) + string("old")
    client.send(CHANGE)
    assert client.prompts == ["too old\\x1b[2J"]
    assert client.body() == boolean(True) + sent
    client.send(messages.UserauthSuccess())
    assert client.result == ["in"]
    assert [attempt.outcome for attempt in client.authentication.trail] == [
        "the server wants a new password: too old\\\\x1b[2J".replace("\\\\\\\\", "\\\\"),
        "accepted",
    ] or len(client.authentication.trail) == 2


def test_a_user_who_gives_none_is_asked_no_more() -> None:
    client = Client(None)
    client.body()
    client.send(CHANGE)
    assert isinstance(client.result[0], AuthenticationFailed)


def test_r12_a_server_that_asks_for_new_passwords_for_ever_is_left() -> None:
    client = Client("new")
    for _ in range(MAX_CHANGES):
        client.body()
        client.send(CHANGE)
    assert client.owner.lost is None
    client.body()
    client.send(CHANGE)
    assert isinstance(client.owner.lost, RemoteProtocolError)
    assert len(client.prompts) == MAX_CHANGES


@pytest.mark.parametrize("methods", [("publickey",), ("none",)])
def test_r12_a_new_password_that_is_asked_for_unasked_is_refused(methods: Any) -> None:
    client = Client("new", methods, identities=[Identity(USER_KEY.public, "file", USER_KEY)])
    client.body()
    client.send(CHANGE)
    assert isinstance(client.owner.lost, RemoteProtocolError)
    assert client.prompts == []


def test_r12_nothing_else_may_come_while_the_user_thinks() -> None:
    answer: Deferred[Any] = Deferred()
    client = Client(lambda prompt: answer)
    client.body()
    client.send(CHANGE)
    client.send(CHANGE)
    assert isinstance(client.owner.lost, RemoteProtocolError)
    answer.callback("new")
    client.settle()
    assert 50 not in client.raw.numbers()


class Changing(Policy):
    """Passwords have run out; a new one needs 5 letters."""

    changed: tuple[str, str, str] | None = None

    def password(self, user: str, password: str) -> Any:
        return PasswordExpired("Choose another.") if password == "old" else None

    def change_password(self, user: str, old: str, new: str) -> Any:
        if old != "old":
            return None
        if len(new) < 5:
            return succeed(PasswordExpired("Longer."))
        self.changed = (user, old, new)
        return Grant(user, "password")


def meet(policy: Policy, answers: list[str]) -> Duo:
    options = LoginOptions(change_password=lambda prompt: answers.pop(0) if answers else None)
    credentials = Credentials((), ["old"])
    duo = Duo(policy=policy, credentials=credentials, methods=("password",), login_options=options)
    duo.settle()
    return duo


def test_both_sides_change_a_password() -> None:
    policy = Changing()
    assert meet(policy, ["abc", "abcde"]).result == ["in"]
    assert policy.changed == ("user", "old", "abcde")


def test_r09_a_policy_without_changes_refuses_them_and_long_passwords_are_no_passwords() -> None:
    expired = Policy(password=lambda user, password: PasswordExpired("x"))
    duo = meet(expired, ["new"])
    assert isinstance(duo.result[0], AuthenticationFailed)
    policy = Changing()
    duo = meet(policy, ["x" * (MAX_PASSWORD + 1)])
    assert policy.changed is None
    assert isinstance(duo.result[0], AuthenticationFailed)
