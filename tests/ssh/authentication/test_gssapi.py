"""The dialogue of gssapi-with-mic (RFC 4462), with a mechanism of our own (R1, R5, R6, R12)."""

from collections.abc import Sequence
from typing import Any

import pytest
from sshkit_keys.wire import string, uint32

from sshkit.deferred import fail, succeed
from sshkit.ssh.authentication.client import ClientAuthentication
from sshkit.ssh.authentication.login_options import LoginOptions
from sshkit.ssh.authentication.methods.gssapi import MAX_MECHANISMS, MAX_STEPS, signed_data
from sshkit.ssh.authentication.server import ServerAuthentication
from sshkit.ssh.authentication.verdicts import Grant
from sshkit.ssh.errors import AuthenticationFailed, LocalProtocolError, RemoteProtocolError
from sshkit.ssh.messages import authentication as messages
from sshkit.ssh.messages import transport
from tests.ssh.harness import Credentials, Duo, Policy, Scene

OURS, OTHER = b"\x06\x03abc", b"\x06\x03xyz"
SECRET = b"shared"


def seal(data: bytes) -> bytes:
    from hashlib import sha256

    return sha256(SECRET + data).digest()


class ClientContext:
    """Counts the tokens; `ask` is how many it takes from the server."""

    def __init__(self, ask: int, late: bool = False, faults: Sequence[str] = ()) -> None:
        self.left = ask
        self.complete = False
        self.late = late
        self.faults = faults

    def step(self, token: bytes | None) -> Any:
        if "step" in self.faults:
            raise LocalProtocolError("no ticket")
        if "mute" in self.faults:
            return None
        if token is not None:
            self.left -= 1
        self.complete = self.left <= 0
        answer = b"" if self.complete and token is not None else b"hello"
        return succeed(answer or None) if self.late else answer

    def sign(self, data: bytes) -> bytes:
        if "sign" in self.faults:
            raise LocalProtocolError("expired")
        return seal(data)


class Initiator:
    def __init__(
        self, *mechanisms: bytes, ask: int = 1, late: bool = False, faults: Sequence[str] = ()
    ) -> None:
        self.mechanisms = mechanisms
        self.wanted = (ask, late, faults)

    def start(self, mechanism: bytes) -> ClientContext:
        return ClientContext(*self.wanted)


class ServerContext:
    def __init__(self, tokens: int, late: bool) -> None:
        self.left = tokens
        self.late = late
        self.complete = False
        self.peer = "me@REALM"

    def step(self, token: bytes) -> Any:
        if token == b"bad":
            raise LocalProtocolError("no key")
        self.left -= 1
        self.complete = self.left <= 0
        return succeed(b"welcome") if self.late else b"welcome"

    def verify(self, data: bytes, mic: bytes) -> None:
        if mic != seal(data):
            raise LocalProtocolError("a wrong proof")


class Acceptor:
    mechanisms: Sequence[bytes] = (OURS,)

    def __init__(self, tokens: int = 1, late: bool = False) -> None:
        self.wanted = (tokens, late)

    def start(self, mechanism: bytes) -> ServerContext:
        assert mechanism == OURS
        if self.wanted[0] < 0:
            raise LocalProtocolError("no keytab")
        return ServerContext(*self.wanted)


class Realm(Policy):
    def __init__(self, gssapi: Any = None) -> None:
        super().__init__()
        self.gssapi = gssapi or Acceptor()
        self.offered = ("gssapi-with-mic",)

    def gssapi_user(self, user: str, principal: str) -> Any:
        self.asked.append(("gssapi", user, principal))
        return Grant(user, "gssapi-with-mic") if principal == f"{user}@REALM" else None


def meet(initiator: Any, policy: Policy | None = None, user: str = "me") -> Duo:
    find = initiator if callable(initiator) else lambda: initiator
    duo = Duo(
        policy=policy or Realm(),
        methods=("gssapi-with-mic", "none"),
        login_options=LoginOptions(gssapi=find),
        user=user,
    )
    duo.settle()
    return duo


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("rounds", [1, 3])
def test_a_ticket_lets_in(late: bool, rounds: int) -> None:
    policy = Realm(Acceptor(rounds, late))
    duo = meet(Initiator(OURS, ask=rounds, late=late), policy)
    assert duo.result == ["in"]
    assert policy.grants[0].method == "gssapi-with-mic"


def test_each_mechanism_is_tried_once() -> None:
    assert meet(Initiator(OTHER, OURS)).result == ["in"]
    assert isinstance(meet(Initiator(OTHER)).result[0], AuthenticationFailed)


def test_a_ticket_of_somebody_else_does_not_let_in() -> None:
    policy = Realm()
    assert isinstance(meet(Initiator(OURS), policy, user="root").result[0], AuthenticationFailed)
    assert ("gssapi", "root", "me@REALM") in policy.asked


@pytest.mark.parametrize(
    ("initiator", "why"),
    [
        (Initiator(), "no credentials"),
        (lambda: None, ""),
        (lambda: fail(LocalProtocolError("no package")), "no package"),
        (Initiator(OURS, faults=("step",)), "no ticket"),
        (Initiator(OURS, faults=("sign",)), "cannot sign: expired"),
    ],
)
def test_what_goes_wrong_here_is_noted_and_other_methods_go_on(initiator: Any, why: str) -> None:
    duo = meet(initiator)
    assert isinstance(duo.result[0], AuthenticationFailed)
    assert why in str(duo.result[0])


def test_a_server_without_its_key_refuses() -> None:
    assert isinstance(meet(Initiator(OURS), Realm(Acceptor(-1))).result[0], AuthenticationFailed)


class Client(Scene):
    """A client with a ticket, and a raw server."""

    def __init__(self, initiator: Any = None) -> None:
        super().__init__(core_is_client=True)

        def ready() -> None:
            options = LoginOptions(gssapi=lambda: initiator or Initiator(OURS))
            self.authentication = ClientAuthentication(
                self.layer, "me", Credentials(()), ("gssapi-with-mic",), options
            )
            self.authentication.done.add_errback(lambda _: None)
            self.authentication.start()

        self.owner.on_ready = ready
        self.handshake()
        self.send(transport.ServiceAccept("ssh-userauth"))
        self.raw.take(50)


def test_the_servers_words_are_in_the_trail_made_harmless() -> None:
    client = Client()
    client.send(
        messages.GSSAPIResponse(OURS),
        messages.GSSAPIError(1, 2, b"clock\x1b[2J", b""),
        messages.GSSAPIErrorToken(b"x"),
        messages.UserauthFailure(("gssapi-with-mic",), False),
    )
    assert client.authentication.trail[0].detail == "clock\\x1b[2J"
    assert client.owner.lost is None


@pytest.mark.parametrize(
    "messages_sent",
    [
        [messages.GSSAPIResponse(OTHER)],
        [messages.GSSAPIResponse(OURS), messages.GSSAPIResponse(OURS)],
        [messages.GSSAPIToken(b"x")],
        [messages.GSSAPIResponse(OURS), messages.GSSAPIToken(b"x"), messages.GSSAPIToken(b"x")],
        [messages.GSSAPIMIC(b"x")],
        [messages.GSSAPIExchangeComplete()],
    ],
)
def test_r01_a_server_that_says_what_nobody_waits_for_is_left(messages_sent: Any) -> None:
    client = Client()
    client.send(*messages_sent)
    assert isinstance(client.owner.lost, RemoteProtocolError)


def test_r12_a_server_that_never_comes_to_an_end_is_left() -> None:
    client = Client(Initiator(OURS, ask=1000))
    client.send(messages.GSSAPIResponse(OURS))
    for _ in range(MAX_STEPS):
        client.send(messages.GSSAPIToken(b"x"))
    assert "GSSAPI tokens" in str(client.owner.lost)
    client = Client(Initiator(OURS, faults=("mute",)))
    client.send(messages.GSSAPIResponse(OURS))
    assert "came to no end" in str(client.owner.lost)


@pytest.mark.parametrize("number", [61, 64, 65])
def test_r01_messages_of_this_method_mean_nothing_in_another(number: int) -> None:
    scene = Scene(core_is_client=True)

    def ready() -> None:
        authentication = ClientAuthentication(scene.layer, "me", Credentials((), ["word"]), ("password",))
        authentication.done.add_errback(lambda _: None)
        authentication.start()

    scene.owner.on_ready = ready
    scene.handshake()
    scene.send(transport.ServiceAccept("ssh-userauth"), bytes((number,)) + string(b"x"))
    assert f"message {number} is none of the method password" in str(scene.owner.lost)


class Serving(Scene):
    """A server with a key, and a raw client."""

    def __init__(self, policy: Policy | None = None) -> None:
        super().__init__(core_is_client=False)
        self.policy = policy or Realm()
        self.policy.on_grant = lambda: None
        self.owner.on_ready = lambda: ServerAuthentication(self.layer, self.policy)
        self.handshake()
        self.send(transport.ServiceRequest("ssh-userauth"))
        self.raw.take(transport.SERVICE_ACCEPT)

    def begin(self, *mechanisms: bytes, user: str = "me") -> list[int]:
        offered = mechanisms or (OURS,)
        body = uint32(len(offered)) + b"".join(map(string, offered))
        return self.tell(messages.UserauthRequest(user, "ssh-connection", "gssapi-with-mic", body))

    def tell(self, message: Any) -> list[int]:
        self.raw.received.clear()
        self.send(message)
        return self.raw.numbers()

    def proof(self, user: str = "me") -> messages.GSSAPIMIC:
        return messages.GSSAPIMIC(seal(signed_data(self.layer.session_id, user)))


def test_the_whole_dialogue_of_a_server() -> None:
    serving = Serving()
    assert serving.begin(OTHER, OURS) == [messages.GSSAPI_RESPONSE]
    assert serving.tell(messages.GSSAPIToken(b"x")) == [messages.GSSAPI_TOKEN]
    assert serving.tell(serving.proof()) == [messages.USERAUTH_SUCCESS]


def test_r06_a_proof_for_another_login_or_too_early_is_refused() -> None:
    for wrong in ("user", "early", "complete", "noise"):
        serving = Serving()
        serving.begin()
        if wrong != "early":
            serving.tell(messages.GSSAPIToken(b"x"))
        proof: Any = serving.proof("root" if wrong == "user" else "me")
        if wrong == "complete":
            proof = messages.GSSAPIExchangeComplete()
        if wrong == "noise":
            proof = messages.GSSAPIMIC(b"noise")
        assert serving.tell(proof) == [messages.USERAUTH_FAILURE]
        assert serving.policy.asked == []
        # It is over: nothing of the dialogue counts any more.
        serving.tell(serving.proof())
        assert isinstance(serving.owner.lost, RemoteProtocolError)


def test_r05_another_request_gives_the_dialogue_up() -> None:
    serving = Serving()
    serving.begin()
    serving.tell(messages.GSSAPIToken(b"x"))
    serving.tell(messages.UserauthRequest("root", "ssh-connection", "none", b""))
    serving.tell(serving.proof())
    assert isinstance(serving.owner.lost, RemoteProtocolError)


def test_r08_a_bad_token_is_a_failed_try_and_so_is_a_client_that_gives_up() -> None:
    serving = Serving()
    serving.begin()
    assert serving.tell(messages.GSSAPIToken(b"bad")) == [messages.USERAUTH_FAILURE]
    serving.begin()
    assert serving.tell(messages.GSSAPIErrorToken(b"x")) == []
    assert serving.policy.failures[-1] == ("me", "gssapi-with-mic", "the client gave up")
    for _ in range(4):
        serving.begin()
        serving.tell(messages.GSSAPIErrorToken(b"x"))
    assert "too many" in str(serving.owner.lost)


def test_r12_a_client_that_never_comes_to_an_end_is_refused() -> None:
    serving = Serving(Realm(Acceptor(1000)))
    serving.begin()
    for _ in range(MAX_STEPS):
        assert serving.tell(messages.GSSAPIToken(b"x")) == [messages.GSSAPI_TOKEN]
    assert serving.tell(messages.GSSAPIToken(b"x")) == [messages.USERAUTH_FAILURE]
    serving = Serving()
    serving.begin()
    serving.tell(messages.GSSAPIToken(b"x"))
    assert serving.tell(messages.GSSAPIToken(b"once too often")) == [messages.USERAUTH_FAILURE]


def test_r18_the_number_of_mechanisms_is_bounded() -> None:
    for count in (0, MAX_MECHANISMS + 1, 2**32 - 1):
        serving = Serving()
        body = uint32(count) + string(OURS)
        serving.tell(messages.UserauthRequest("me", "ssh-connection", "gssapi-with-mic", body))
        assert isinstance(serving.owner.lost, RemoteProtocolError)


def test_a_policy_without_gssapi_or_without_the_mechanism_refuses() -> None:
    policy = Policy()
    policy.offered = ("gssapi-with-mic",)
    assert Serving(policy).begin() == [messages.USERAUTH_FAILURE]
    assert Serving().begin(OTHER) == [messages.USERAUTH_FAILURE]


def test_a_dialogue_may_go_on_without_a_token() -> None:
    class Silent(ServerContext):
        def step(self, token: bytes) -> Any:
            self.complete = True

    class Quiet(Acceptor):
        def start(self, mechanism: bytes) -> ServerContext:
            return Silent(1, False)

    serving = Serving(Realm(Quiet()))
    serving.begin()
    assert serving.tell(messages.GSSAPIToken(b"x")) == []
    assert serving.tell(serving.proof()) == [messages.USERAUTH_SUCCESS]


@pytest.mark.parametrize("late", [False, True])
def test_r10_a_dialogue_that_fails_at_its_end_is_no_login(late: bool) -> None:
    class Failing(ServerContext):
        def step(self, token: bytes) -> Any:
            self.complete = True
            if late:
                return fail(LocalProtocolError("no integrity"))
            raise LocalProtocolError("no integrity")

    class Last(Acceptor):
        def start(self, mechanism: bytes) -> ServerContext:
            return Failing(1, False)

    serving = Serving(Realm(Last()))
    serving.begin()
    assert serving.tell(messages.GSSAPIToken(b"x")) == [messages.USERAUTH_FAILURE]
    serving.tell(serving.proof())
    assert isinstance(serving.owner.lost, RemoteProtocolError)
    assert serving.policy.asked == []


def test_a_late_dialogue_that_says_nothing_and_is_not_complete_is_refused() -> None:
    class Mute(ServerContext):
        def step(self, token: bytes) -> Any:
            return succeed(None)

    class Quiet(Acceptor):
        def start(self, mechanism: bytes) -> ServerContext:
            return Mute(1, False)

    serving = Serving(Realm(Quiet()))
    serving.begin()
    assert serving.tell(messages.GSSAPIToken(b"x")) == [messages.USERAUTH_FAILURE]
