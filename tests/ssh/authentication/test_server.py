"""A server's authentication against a client that says anything (R2, R4 to R6, R8, R10, R11, R18)."""

from collections.abc import Callable
from typing import Any

import pytest
from sshkit_keys import PrivateKey, generate_private_key
from sshkit_keys.wire import boolean, string, uint32

from sshkit.deferred import Deferred, fail, succeed
from sshkit.ssh.authentication.methods.password import MAX_PASSWORD
from sshkit.ssh.authentication.methods.public_key import signed_data
from sshkit.ssh.authentication.server import MAX_ANSWERS, MAX_REQUESTS, Questions, ServerAuthentication
from sshkit.ssh.authentication.verdicts import Grant, Partial, user_name_fault
from sshkit.ssh.connection.connection import Connection
from sshkit.ssh.errors import RemoteProtocolError, ServiceNotAvailable, TooManyAuthenticationFailures
from sshkit.ssh.messages import authentication as messages
from sshkit.ssh.messages import connection, transport
from tests.ssh.harness import USER_KEY, Policy, Scene

FAILURE, SUCCESS, BANNER, PK_OK, INFO_REQUEST = 51, 52, 53, 60, 60
OTHER_KEY = generate_private_key("ed25519")


class Login(Scene):
    """A server before the login, and a raw client."""

    def __init__(self, policy: Policy | None = None, *, accepted: bool = True) -> None:
        super().__init__(core_is_client=False)
        self.policy = policy or Policy()

        def granted() -> None:
            self.owner.connection = Connection(self.layer, self.owner)

        self.policy.on_grant = granted
        self.owner.on_ready = lambda: ServerAuthentication(self.layer, self.policy)
        self.handshake()
        self.raw.received.clear()
        if accepted:
            self.send(transport.ServiceRequest("ssh-userauth"))
            assert transport.ServiceAccept.decode(self.raw.take(6)).name == "ssh-userauth"

    def ask(self, method: str, body: bytes = b"", user: str = "user", service: str = "ssh-connection") -> Any:
        """Send a request; return the numbers that come back."""
        self.raw.received.clear()
        self.send(messages.UserauthRequest(user, service, method, body))
        return self.raw.numbers()

    def password(self, word: str = "word", user: str = "user") -> Any:
        return self.ask("password", boolean(False) + string(word), user)

    def key(self, **changes: Any) -> Any:
        return self.ask("publickey", self.signed(**changes))

    def signed(
        self,
        *,
        key: PrivateKey = USER_KEY,
        algorithm: str = "ssh-ed25519",
        label: str = "ssh-ed25519",
        user: str = "user",
        session_id: bytes | None = None,
        blob: bytes | None = None,
        data: Callable[[bytes], bytes] = lambda data: data,
    ) -> bytes:
        blob = key.public.blob if blob is None else blob
        session = self.raw.session_id if session_id is None else session_id
        signature = key.sign("ssh-ed25519", data(signed_data(session, user, algorithm, blob)))
        if label != "ssh-ed25519":
            signature = string(label) + signature[15:]
        return boolean(True) + string(algorithm) + string(blob) + string(signature)

    def failure(self) -> messages.UserauthFailure:
        return messages.UserauthFailure.decode(self.raw.take(FAILURE))


def let_in(user: str, *_: Any) -> Grant:
    return Grant(user, "test")


def query(key: PrivateKey = USER_KEY) -> bytes:
    return boolean(False) + string("ssh-ed25519") + string(key.public.blob)


def test_each_method_lets_in_and_refuses() -> None:
    for method, body in (
        ("none", b""),
        ("password", boolean(False) + string("word")),
        ("publickey", None),
        ("keyboard-interactive", string("") + string("")),
    ):
        name = {"publickey": "public_key", "keyboard-interactive": "interactive"}.get(method, method)
        login = Login(Policy(**{name: let_in}))
        assert login.ask(method, login.signed() if body is None else body) == [SUCCESS]
        assert login.policy.grants[0].user == "user"
        login.send(connection.GlobalRequest("x", True, b""))
        assert login.owner.requests == [("x", b"")]
        refused = Login()
        assert refused.ask(method, refused.signed() if body is None else body) == [FAILURE]
        failure = refused.failure()
        assert failure.methods == refused.policy.offered
        assert failure.partial_success is False
        assert [entry[1] for entry in refused.policy.failures] == ([] if method == "none" else [method])


def test_only_the_service_of_authentication_is_given_before_the_login() -> None:
    login = Login(accepted=False)
    login.send(transport.ServiceRequest("ssh-connection"))
    assert isinstance(login.owner.lost, ServiceNotAvailable)
    assert login.told.code == 7
    login = Login()
    login.ask("none", service="ssh-userauth")
    assert isinstance(login.owner.lost, ServiceNotAvailable)


def test_r1_requests_before_the_service_and_twice_the_service_are_refused() -> None:
    login = Login(accepted=False)
    login.ask("none")
    assert "before ssh-userauth was requested" in str(login.owner.lost)
    login = Login()
    login.send(transport.ServiceRequest("ssh-userauth"))
    assert isinstance(login.owner.lost, RemoteProtocolError)


@pytest.mark.parametrize("number", [6, 7, 21, 30, 31, 51, 52, 53, 60, 61, 63, 79, *range(80, 256)])
def test_r1_r2_a_server_never_acts_on_what_only_servers_or_users_send(number: int) -> None:
    login = Login(Policy(none=let_in, password=let_in))
    login.send(bytes((number,)) + bytes(8))
    assert isinstance(login.owner.lost, RemoteProtocolError)
    assert login.policy.asked == login.policy.grants == []
    assert SUCCESS not in login.raw.numbers()
    assert login.owner.connection is None
    assert login.told.code == 2


def test_r2_in_the_clear_nothing_of_the_login_or_after_it_exists() -> None:
    for number in (5, 50, 52, 80, 90, 94, 98):
        for proposed in (False, True):
            scene = Scene(core_is_client=False)
            if proposed:
                scene.propose(())
            else:
                scene.identify()
            scene.send(bytes((number,)) + bytes(20))
            assert isinstance(scene.owner.lost, RemoteProtocolError)


def test_after_the_login_further_requests_are_ignored() -> None:
    login = Login(Policy(none=let_in))
    login.ask("none")
    assert login.ask("password", b"rubbish") == []
    assert login.owner.lost is None
    assert len(login.policy.grants) == 1


def test_a_query_is_answered_and_lets_nobody_in() -> None:
    login = Login(Policy(public_key=let_in))
    assert login.ask("publickey", query()) == [PK_OK]
    answer = messages.UserauthPublicKeyOk.decode(login.raw.take(PK_OK))
    assert (answer.algorithm, answer.key) == ("ssh-ed25519", USER_KEY.public.blob)
    assert login.policy.grants == []
    assert login.policy.asked == [("public_key", "user", USER_KEY.public, False)]
    assert login.ask("publickey", query(OTHER_KEY)) == [PK_OK]
    late = Login(Policy(public_key=lambda *asked: succeed(let_in(*asked))))
    assert late.ask("publickey", query()) == [PK_OK]
    assert late.policy.grants == []


def test_r4_nothing_of_a_query_counts_for_the_request_that_follows() -> None:
    login = Login(
        Policy(public_key=lambda user, key, signed: let_in(user) if key == USER_KEY.public else None)
    )
    assert login.ask("publickey", query()) == [PK_OK]
    assert login.key(key=OTHER_KEY) == [FAILURE]
    assert login.key() == [SUCCESS]
    assert login.policy.grants[0].key == USER_KEY.public.fingerprint()


def test_r4_a_grant_keeps_the_name_that_the_policy_gave_its_key() -> None:
    login = Login(
        Policy(public_key=lambda user, key, signed: Grant(user, "publickey", "SHA256:mine", {"x": 1}))
    )
    login.key()
    grant = login.policy.grants[0]
    assert (grant.key, grant.options) == ("SHA256:mine", {"x": 1})
    assert repr(grant) == "<Grant 'user' by publickey SHA256:mine>"


@pytest.mark.parametrize(
    "change",
    [
        {"session_id": bytes(32)},
        {"session_id": b""},
        {"user": "other"},
        {"label": "ssh-rsa"},
        {"label": "rsa-sha2-512"},
        {"algorithm": "rsa-sha2-512"},
        {"algorithm": "ssh-rsa"},
        {"algorithm": ""},
        {"blob": OTHER_KEY.public.blob},
        {"blob": b"\0\0\0\7unknown"},
        {"blob": b""},
        {"data": lambda data: data[:-1]},
        {"data": lambda data: data + b"\0"},
        {"data": lambda data: data.replace(b"ssh-connection", b"ssh-connectiom")},
        {"data": lambda data: data.replace(b"publickey", b"hostbased")},
        {"data": lambda data: data.replace(b"\x01\0\0\0\x0bssh-ed25519", b"\0\0\0\0\x0bssh-ed25519")},
    ],
)
def test_r6_a_signature_over_anything_but_this_request_is_refused(change: dict[str, Any]) -> None:
    login = Login(Policy(public_key=let_in))
    assert login.key(**change) == [FAILURE]
    assert login.policy.asked == login.policy.grants == []


def test_r6_the_algorithm_must_be_on_the_list() -> None:
    login = Login(Policy(public_key=let_in))
    login.layer.algorithms = login.layer.algorithms.edited(user_keys="-ssh-ed25519")
    assert login.key() == [FAILURE]
    assert login.ask("publickey", query()) == [FAILURE]
    assert login.policy.asked == []


@pytest.mark.parametrize(
    ("method", "body"),
    [
        ("none", b"x"),
        ("password", b""),
        ("password", boolean(False) + string("x") + b"x"),
        ("password", boolean(True) + string("x")),
        ("password", boolean(False) + string(b"\xff")),
        ("publickey", b""),
        ("publickey", query() + b"x"),
        ("publickey", boolean(True) + query()[1:]),
        ("keyboard-interactive", b""),
        ("keyboard-interactive", string("") + string("") + b"x"),
    ],
    ids=range(10),  # the bodies hold keys that every process makes anew
)
def test_r30_a_damaged_request_ends_the_connection_before_the_policy_is_asked(
    method: str, body: bytes
) -> None:
    login = Login(Policy(none=let_in, password=let_in, public_key=let_in, interactive=let_in))
    login.ask(method, body)
    assert "a damaged message" in str(login.owner.lost)
    assert login.policy.asked == login.policy.grants == []


def test_r10_a_long_password_is_refused_before_it_is_hashed() -> None:
    login = Login(Policy(password=let_in))
    assert login.password("x" * (MAX_PASSWORD + 1)) == [FAILURE]
    assert login.policy.asked == []
    assert login.password("x" * MAX_PASSWORD) == [SUCCESS]


def test_a_change_of_password_is_refused() -> None:
    login = Login(Policy(password=let_in))
    assert login.ask("password", boolean(True) + string("old") + string("new")) == [FAILURE]
    assert login.policy.asked == []


@pytest.mark.parametrize("late", [False, True])
def test_r10_an_error_of_the_policy_is_a_refusal(late: bool) -> None:
    def broken(*_: Any) -> Any:
        error = ZeroDivisionError("boom \x1b[2J")
        if late:
            return fail(error)
        raise error

    policy = Policy(none=broken, password=broken, public_key=broken, interactive=broken)
    login = Login(policy)
    assert login.password() == [FAILURE]
    assert login.key() == [FAILURE]
    assert login.ask("none") == [FAILURE]
    assert login.ask("keyboard-interactive", string("") + string("")) == [FAILURE]
    assert (policy.failures[0][1], policy.failures[0][2]) == ("policy", "ZeroDivisionError: boom \\x1b[2J")
    assert login.owner.lost is None
    assert policy.grants == []


def test_r10_an_answer_that_is_no_verdict_is_a_refusal() -> None:
    for answer in (True, 1, "yes", object()):
        login = Login(Policy(password=answer))
        assert login.password() == [FAILURE]


@pytest.mark.parametrize(
    "user", ["", "-x", "a/b", "a\0b", "a\nb", "a\x1b[2J", "x" * 256, "\u202eroot", "\x7f", "\xe9" * 128]
)
def test_r11_names_that_can_be_nobodys_are_refused_before_they_are_used(user: str) -> None:
    login = Login(Policy(none=let_in, password=let_in))
    assert login.password(user=user) == [FAILURE]
    assert login.ask("none", user=user) == [FAILURE]
    assert login.policy.asked == []
    assert login.policy.named == {""}
    assert user_name_fault(user) is not None
    assert all(entry[0].isprintable() and "user name" in entry[2] for entry in login.policy.failures)


def test_r11_ordinary_names_are_taken() -> None:
    for user in ("root", "a.b-c_d", "J\xfcrgen", "a b", "x" * 255, "DOMAIN\\user", "user@realm"):
        assert user_name_fault(user) is None


def test_r8_the_number_of_failed_tries_is_limited() -> None:
    login = Login()
    for _ in range(5):
        assert login.password() == [FAILURE]
    assert login.password() == [transport.DISCONNECT]
    assert isinstance(login.owner.lost, TooManyAuthenticationFailures)
    assert len(login.policy.failures) == 6


def test_r8_all_requests_of_a_connection_are_limited_whatever_they_are() -> None:
    for body, method in ((b"", "none"), (query(), "publickey")):
        login = Login(Policy(public_key=let_in))
        for _ in range(MAX_REQUESTS):
            assert login.ask(method, body) != [transport.DISCONNECT]
        assert login.ask(method, body) == [transport.DISCONNECT]


def test_r8_another_user_name_does_not_start_the_count_again() -> None:
    login = Login()
    for number in range(5):
        assert login.password(user=f"user{number}") == [FAILURE]
    assert login.password(user="another") == [transport.DISCONNECT]


def test_methods_that_are_not_offered_are_refused_without_asking() -> None:
    policy = Policy(password=let_in)
    policy.offered = ("publickey",)
    login = Login(policy)
    assert login.password() == [FAILURE]
    assert login.ask("hostbased", b"rubbish") == [FAILURE]
    assert login.ask("__init__", b"") == [FAILURE]
    assert policy.asked == []
    assert "not offered" in policy.failures[0][2]


def test_a_partial_success_says_what_is_left_and_holds_it() -> None:
    policy = Policy(public_key=lambda *_: Partial(("password",)), password=let_in)
    login = Login(policy)
    assert login.key() == [FAILURE]
    failure = login.failure()
    assert (failure.methods, failure.partial_success) == (("password",), True)
    assert login.key() == [FAILURE]
    failure = login.failure()
    assert (failure.methods, failure.partial_success) == (("password",), False)
    assert login.password() == [SUCCESS]


def test_r5_what_was_reached_for_one_user_means_nothing_for_another() -> None:
    policy = Policy(
        public_key=lambda user, key, signed: Partial(("password",)),
        password=let_in,
    )
    policy.offered = ("publickey",)
    login = Login(policy)
    login.key()
    assert login.password(user="root") == [FAILURE]
    assert login.password() == [FAILURE]  # nor does it come back
    assert policy.grants == []


def test_r5_one_request_is_in_work_at_a_time() -> None:
    answers: list[Deferred[Any]] = []

    def later(user: str, password: str) -> Deferred[Any]:
        answers.append(Deferred())
        return answers[-1]

    login = Login(Policy(password=later, none=let_in))
    login.password()
    login.raw.received.clear()
    login.ask("none", user="root")
    login.ask("password", boolean(False) + string("second"))
    assert len(answers) == 1
    assert login.policy.asked == [("password", "user", "word")]
    assert login.core_end.reading_paused
    answers[0].callback(None)
    login.settle()
    assert login.policy.asked[1] == ("none", "root")
    assert login.raw.numbers() == [FAILURE, SUCCESS]
    assert [grant.user for grant in login.policy.grants] == ["root"]
    assert not login.core_end.reading_paused
    assert len(answers) == 1  # the third request came after the login


def test_r5_a_late_answer_after_the_end_does_nothing() -> None:
    for verdict in (Grant("user", "x"), None, ValueError()):
        answer: Deferred[Any] = Deferred()
        login = Login(Policy(password=lambda *_, answer=answer: answer))
        login.password()
        login.pair.cut()
        if isinstance(verdict, ValueError):
            answer.errback(verdict)
        else:
            answer.callback(verdict)
        login.settle()
        assert login.policy.grants == []
        assert login.owner.connection is None


def test_deferreds_that_have_fired_work_as_plain_answers() -> None:
    login = Login(
        Policy(
            none=lambda *_: succeed(None),
            password=lambda *_: succeed(Partial(("publickey",))),
            public_key=lambda user, key, signed: succeed(Grant(user, "publickey")),
        )
    )
    assert login.ask("none") == [FAILURE]
    assert login.password() == [FAILURE]
    assert login.failure().partial_success
    assert login.ask("publickey", query()) == [PK_OK]
    assert login.key() == [SUCCESS]
    assert not login.core_end.reading_paused


def test_an_exception_while_a_late_verdict_is_acted_on_ends_the_connection() -> None:
    answer: Deferred[Any] = Deferred()
    login = Login(Policy(password=lambda *_: answer))

    def broken() -> None:
        raise ZeroDivisionError

    login.policy.on_grant = broken
    login.password()
    answer.callback(Grant("user", "x"))
    assert isinstance(login.owner.lost, ZeroDivisionError)
    assert SUCCESS not in login.raw.numbers()


def interactive(*rounds: Any) -> Policy:
    steps = list(rounds)
    return Policy(interactive=lambda user, answers: steps.pop(0))


def start_dialogue(login: Login, user: str = "user") -> Any:
    return login.ask("keyboard-interactive", string("") + string(""), user)


def reply(*answers: str) -> messages.UserauthInfoResponse:
    return messages.UserauthInfoResponse(len(answers), b"".join(string(answer) for answer in answers))


def test_a_dialogue_goes_on_until_the_policy_is_content() -> None:
    policy = interactive(
        Questions([("Name: ", True), ("Code: ", False)], "Title", "Please"), Questions([]), Grant("user", "i")
    )
    login = Login(policy)
    assert start_dialogue(login) == [INFO_REQUEST]
    request = messages.UserauthInfoRequest.decode(login.raw.take(INFO_REQUEST))
    assert (request.title, request.instruction, request.count) == (b"Title", b"Please", 2)
    assert request.body == string("Name: ") + boolean(True) + string("Code: ") + boolean(False)
    login.send(reply("me", "123"))
    assert messages.UserauthInfoRequest.decode(login.raw.take(INFO_REQUEST)).count == 0
    login.send(reply())
    assert login.raw.numbers() == [SUCCESS]
    assert policy.asked == [("interactive", "user", a) for a in (None, ["me", "123"], [])]


def test_answers_that_nobody_asked_for_are_refused() -> None:
    login = Login(interactive(Questions([("x", True)]), None))
    login.send(reply("x"))
    assert isinstance(login.owner.lost, RemoteProtocolError)
    login = Login(interactive(Questions([("x", True)]), None))
    start_dialogue(login)
    login.send(reply("x"))
    assert FAILURE in login.raw.numbers()
    login.send(reply("x"))
    assert isinstance(login.owner.lost, RemoteProtocolError)


def test_r5_a_new_request_gives_the_dialogue_up_for_good() -> None:
    login = Login(interactive(Questions([("x", True)]), Grant("root", "i")))
    start_dialogue(login)
    assert login.ask("none", user="root") == [FAILURE]
    login.send(reply("x"))
    assert "message 61 is not allowed" in str(login.owner.lost)
    assert login.policy.grants == []


@pytest.mark.parametrize(
    "payload",
    [
        messages.UserauthInfoResponse(MAX_ANSWERS + 1, b"").encode(),
        messages.UserauthInfoResponse(0xFFFFFFFF, b"").encode(),
        messages.UserauthInfoResponse(2, string("x")).encode(),
        messages.UserauthInfoResponse(0, string("x")).encode(),
        bytes((61,)) + uint32(1) + string(b"\xff"),
    ],
)
def test_r18_damaged_answers_end_the_connection(payload: bytes) -> None:
    login = Login(interactive(Questions([("x", True)]), Grant("user", "i")))
    start_dialogue(login)
    login.send(payload)
    assert isinstance(login.owner.lost, RemoteProtocolError)
    assert login.policy.grants == []


def test_the_banner_comes_once_before_the_first_answer() -> None:
    policy = Policy(none=None)
    policy.text = "Welcome\n"
    login = Login(policy)
    assert login.ask("none") == [BANNER, FAILURE]
    assert login.ask("none") == [FAILURE]


def test_r9_the_refusal_of_a_name_that_cannot_be_looks_like_any_other() -> None:
    policy = Policy()
    policy.text = "Welcome\n"
    login, other = Login(policy), Login(policy)
    assert login.password(user="user") == other.password(user="-") == [BANNER, FAILURE]
    assert login.failure().encode() == other.failure().encode()


def test_a_policy_that_ends_the_connection_in_its_verdict_is_obeyed() -> None:
    login = Login(Policy(password=let_in))
    login.policy.on_grant = lambda: login.layer.disconnect()
    assert login.password() == [transport.DISCONNECT]


def test_a_rekey_while_a_verdict_is_awaited_holds_the_answer_back() -> None:
    answer: Deferred[Any] = Deferred()
    login = Login(Policy(password=lambda *_: answer))
    login.password()
    login.layer.rekey()
    answer.callback(Grant("user", "x"))
    login.settle()
    assert login.raw.numbers() == [transport.KEXINIT]
    login.send(login.raw.proposal(()))
    login.raw.take_proposal()
    login.exchange()
    assert login.raw.numbers() == [transport.NEWKEYS, SUCCESS]


def test_who_may_use_other_keys_is_told_which_signatures_count() -> None:
    policy = Policy()
    policy.user_keys = ("rsa-sha2-512-cert-v01@openssh.com",)  # type: ignore[attr-defined]
    login = Login(policy)
    login.layer.peer_extensions = ("ext-info-in-auth@openssh.com",)
    assert login.password() == [7, FAILURE]
    told = transport.ExtInfo.decode(login.raw.take(7)).body
    assert string("server-sig-algs") + string("rsa-sha2-512") in told
    assert login.password() == [FAILURE]  # once is enough
    # What the policy does not allow him is refused, whatever others may use.
    assert login.key() == [FAILURE]
    assert not policy.asked[2:]
