"""A client's authentication against a server that says anything (R1, R12, R36), and whole logins."""

from typing import Any

import pytest
from sshkit_keys import generate_private_key
from sshkit_keys.errors import KeyFileError
from sshkit_keys.wire import boolean, string

from sshkit.deferred import CancelledError, Deferred, fail, succeed
from sshkit.ssh.algorithms import DEFAULT
from sshkit.ssh.authentication.client import MAX_BANNERS, MAX_REQUESTS, ClientAuthentication, Identity
from sshkit.ssh.authentication.methods.keyboard_interactive import MAX_PROMPTS, MAX_ROUNDS
from sshkit.ssh.authentication.server import Questions
from sshkit.ssh.authentication.verdicts import Attempt, Grant, Partial
from sshkit.ssh.errors import AuthenticationFailed, RemoteProtocolError
from sshkit.ssh.messages import authentication as messages
from sshkit.ssh.messages import transport
from tests.ssh.harness import USER_KEY, Credentials, Duo, Policy, Scene

RSA_KEY = generate_private_key("rsa", 2048)
OTHER_KEY = generate_private_key("ed25519")
ALL = ("publickey", "keyboard-interactive", "password", "none")
ACCEPT = transport.ServiceAccept("ssh-userauth")
SUCCESS = messages.UserauthSuccess()


def identity(key: Any = USER_KEY, source: str = "file", **changes: Any) -> Identity:
    return Identity(key.public, source, **({"private": key} | changes))


def refusal(*methods: str, partial: bool = False) -> messages.UserauthFailure:
    return messages.UserauthFailure(methods, partial)


class Login(Scene):
    """A client whose keys are in force, and a raw server."""

    def __init__(self, credentials: Credentials, *, accept: bool = True, methods: Any = ALL) -> None:
        super().__init__(core_is_client=True)
        self.credentials = credentials
        self.result: list[Any] = []
        self.methods = methods

        def ready() -> None:
            self.authentication = ClientAuthentication(self.layer, "user", credentials, methods)
            self.authentication.done.add_callbacks(
                lambda _: self.result.append("in"), lambda failure: self.result.append(failure.exception)
            )
            self.authentication.start()

        self.owner.on_ready = ready
        self.handshake()
        assert transport.ServiceRequest.decode(self.raw.take(5)).name == "ssh-userauth"
        if accept:
            self.send(ACCEPT)

    def request(self) -> messages.UserauthRequest:
        return messages.UserauthRequest.decode(self.raw.take(50))

    @property
    def trail(self) -> list[str]:
        return [str(attempt) for attempt in self.authentication.trail]


def test_one_key_that_is_at_hand_is_signed_with_in_the_first_flight() -> None:
    login = Login(Credentials([identity()]), accept=False)
    request = login.request()
    assert request.method == "publickey"
    assert request.body.startswith(boolean(True) + string("ssh-ed25519"))
    login.send(ACCEPT, SUCCESS)
    assert login.result == ["in"]
    assert login.trail == [f"publickey (ssh-ed25519 {USER_KEY.public.fingerprint()} file): accepted"]


def test_r12_each_key_is_offered_once_and_only_the_accepted_one_signs() -> None:
    loads: list[str] = []

    def load(name: str, key: Any) -> Any:
        loads.append(name)
        return key

    keys = [generate_private_key("ed25519") for _ in range(3)]
    credentials = Credentials(
        [
            Identity(key.public, str(n), None, lambda n=n, key=key: load(str(n), key))
            for n, key in enumerate(keys)
        ]
    )
    login = Login(credentials)
    for number in range(2):
        request = login.request()
        assert request.body == boolean(False) + string("ssh-ed25519") + string(keys[number].public.blob)
        if number == 0:
            login.send(refusal("publickey"))
    login.send(messages.UserauthPublicKeyOk("ssh-ed25519", keys[1].public.blob))
    assert loads == ["1"]
    assert login.request().body.startswith(
        boolean(True) + string("ssh-ed25519") + string(keys[1].public.blob)
    )
    login.send(refusal("publickey"))
    assert login.request().body == boolean(False) + string("ssh-ed25519") + string(keys[2].public.blob)
    login.send(refusal("publickey"))
    assert login.request().method == "none"
    login.send(refusal("publickey"))
    assert isinstance(login.result[0], AuthenticationFailed)
    assert loads == ["1"]
    assert len(login.result[0].trail) == 3


@pytest.mark.parametrize("what", ["another", "twice", "unasked"])
def test_r12_a_pk_ok_for_anything_but_the_offer_is_refused(what: str) -> None:
    login = Login(Credentials([identity(), identity(OTHER_KEY)]))
    ok = messages.UserauthPublicKeyOk("ssh-ed25519", USER_KEY.public.blob)
    if what == "another":
        login.send(messages.UserauthPublicKeyOk("ssh-ed25519", OTHER_KEY.public.blob))
    elif what == "twice":
        login.send(ok)
        login.send(ok)
    else:
        login = Login(Credentials(), methods=("none",))
        login.send(ok)
    assert isinstance(login.owner.lost, RemoteProtocolError)


def test_a_key_that_cannot_be_had_or_used_is_noted_and_the_next_is_tried() -> None:
    class Unusable:
        public = USER_KEY.public

        def sign(self, algorithm: str, data: bytes) -> bytes:
            raise KeyFileError("the card was pulled")

    def broken() -> Any:
        raise KeyFileError("damaged", "/home/user/key")

    cases = {
        "the private key could not be read": lambda: None,
        "the private key is not that of its .pub file": lambda: OTHER_KEY,
        "cannot sign: the card was pulled": Unusable,
        "/home/user/key: damaged": broken,
    }
    for text, load in cases.items():
        for late in (False, True):

            def answer(load: Any = load, late: bool = late) -> Any:
                try:
                    value = load()
                except KeyFileError as error:
                    if late:
                        return fail(error)
                    raise
                return succeed(value) if late else value

            login = Login(Credentials([identity(private=None, load=answer), identity(OTHER_KEY)]))
            login.request()
            login.send(messages.UserauthPublicKeyOk("ssh-ed25519", USER_KEY.public.blob))
            assert string(OTHER_KEY.public.blob) in login.request().body
            assert any(text in line for line in login.trail), login.trail


def test_a_single_key_that_cannot_sign_leaves_the_other_methods() -> None:
    login = Login(Credentials([identity(private=OTHER_KEY)], ["word"]), methods=("publickey", "password"))
    assert login.request().method == "password"


def test_r6_rsa_signs_with_what_the_server_takes() -> None:
    for offered, expected in (
        ("rsa-sha2-256", "rsa-sha2-256"),
        ("ssh-ed25519,rsa-sha2-512,rsa-sha2-256", "rsa-sha2-512"),
        (None, "rsa-sha2-512"),
    ):
        login = Login(Credentials(), accept=False, methods=())
        login = Login.__new__(Login)
        Scene.__init__(login, core_is_client=True)
        credentials = Credentials([identity(RSA_KEY)])
        login.owner.on_ready = lambda login=login, credentials=credentials: ClientAuthentication(
            login.layer, "user", credentials
        ).start()
        login.propose()
        login.raw.send(login.raw.serve_init())
        login.raw.new_keys()
        if offered:
            login.raw.send(transport.ExtInfo(1, string("server-sig-algs") + string(offered)))
        login.settle()
        login.send(ACCEPT)
        assert login.request().body.startswith(boolean(True) + string(expected))


def test_a_key_that_the_server_takes_no_signature_of_is_not_offered() -> None:
    login = Login(Credentials([identity(RSA_KEY), identity()]), accept=False, methods=("publickey",))
    login.raw.take(50)
    layer = login.layer
    layer.peer_signatures = ("ssh-ed25519",)
    authentication = ClientAuthentication(layer, "user", Credentials([identity(RSA_KEY)]), ("publickey",))
    outcomes: list[Any] = []
    authentication.done.add_errback(lambda failure: outcomes.append(failure.exception))
    authentication.start()
    login.settle()
    assert "takes no signature algorithm" in str(outcomes[0])


def test_a_key_whose_signatures_the_server_takes_from_this_user_after_all_is_tried_then() -> None:
    login = Login.__new__(Login)
    Scene.__init__(login, core_is_client=True)
    credentials = Credentials([identity(RSA_KEY), identity()])

    def begin() -> None:
        login.layer.takes_late_extensions = True
        ClientAuthentication(login.layer, "user", credentials).start()

    login.owner.on_ready = begin
    login.propose()
    login.raw.send(login.raw.serve_init())
    login.raw.new_keys()
    login.raw.send(transport.ExtInfo(1, string("server-sig-algs") + string("ssh-ed25519")))
    login.settle()
    login.send(ACCEPT)
    assert b"ssh-ed25519" in login.request().body
    login.send(transport.ExtInfo(1, string("server-sig-algs") + string("rsa-sha2-512")), refusal("publickey"))
    assert login.request().body.startswith(boolean(False) + string("rsa-sha2-512"))


def test_r12_a_password_is_asked_for_after_each_refusal_until_there_is_none() -> None:
    for late in (False, True):
        words: list[Any] = [(lambda w=w: succeed(w)) if late else w for w in ("a", "b")]
        words.append(lambda: succeed(None)) if late else None
        login = Login(Credentials((), words), methods=("password",))
        for word in ("a", "b"):
            assert login.request().body == boolean(False) + string(word)
            login.send(refusal("password"))
        assert isinstance(login.result[0], AuthenticationFailed)
        assert login.trail == ["password: the server refused"] * 2
        assert len(login.credentials.asked) == 3


def test_r12_no_password_leaves_unless_its_own_request_is_the_current_one() -> None:
    answer: Deferred[str | None] = Deferred()
    login = Login(Credentials((), [lambda: answer]), methods=("password",))
    assert login.raw.numbers() == []
    login.send(refusal("password"))
    assert isinstance(login.owner.lost, RemoteProtocolError)
    answer.callback("secret")
    login.settle()
    assert 50 not in login.raw.numbers()
    for early in (SUCCESS, messages.UserauthPasswordChangeRequest(b"", b"")):
        waiting: Deferred[str | None] = Deferred()
        login = Login(Credentials((), [lambda waiting=waiting: waiting]), methods=("password",))
        login.send(early)
        assert isinstance(login.owner.lost, RemoteProtocolError)
        assert login.result == []


def test_errors_of_a_question_are_noted_and_faults_end_the_connection() -> None:
    def cancelled() -> Any:
        return fail(CancelledError())

    login = Login(Credentials((), [cancelled]), methods=("password",))
    assert login.trail == ["password: given up"]
    assert isinstance(login.result[0], AuthenticationFailed)

    def broken() -> Any:
        return fail(ZeroDivisionError("bug"))

    login = Login(Credentials((), [broken]), methods=("password",))
    assert isinstance(login.owner.lost, ZeroDivisionError)

    def raises() -> Any:
        raise ZeroDivisionError("bug")

    login = Login(Credentials((), [raises]), methods=("password",))
    assert isinstance(login.owner.lost, ZeroDivisionError)


def test_a_server_that_wants_a_new_password_gets_none() -> None:
    login = Login(Credentials((), ["a", "b"]), methods=("password",))
    login.request()
    login.send(messages.UserauthPasswordChangeRequest(b"expired \x1b[2J", b""))
    assert login.trail == ["password: the server wants a new password: expired \\x1b[2J"]
    assert isinstance(login.result[0], AuthenticationFailed)
    login = Login(Credentials(), methods=("none",))
    login.send(messages.UserauthPasswordChangeRequest(b"again", b""))
    assert "no meaning in the method none" in str(login.owner.lost)


def info(*prompts: tuple[str, bool], title: str = "", instruction: str = "", count: int = -1) -> Any:
    body = b"".join(string(text) + boolean(echo) for text, echo in prompts)
    return messages.UserauthInfoRequest(
        title.encode(), instruction.encode(), b"", len(prompts) if count < 0 else count, body
    )


def start_dialogue(*replies: Any, tries: int = 3) -> Login:
    credentials = Credentials()
    credentials.replies = list(replies)
    credentials.interactive_tries = tries
    login = Login(credentials, methods=("keyboard-interactive",))
    assert login.request().method == "keyboard-interactive"
    return login


def test_a_dialogue_is_answered_round_by_round() -> None:
    for late in (False, True):
        answers: Any = ["me", "123"]
        login = start_dialogue((lambda answers=answers: succeed(answers)) if late else answers)
        login.send(info(("Name\n", True), ("Code\x1b[2J", False), title="T", instruction="I\n"))
        assert login.credentials.asked == [("T", "I\n", (("Name\n", True), ("Code\\x1b[2J", False)))]
        answer = messages.UserauthInfoResponse.decode(login.raw.take(61))
        assert (answer.count, answer.body) == (2, string("me") + string("123"))
        login.send(info(title="Hello", instruction="World"))
        assert messages.UserauthInfoResponse.decode(login.raw.take(61)).count == 0
        assert login.credentials.banners == ["Hello\nWorld"]
        login.send(info())
        assert len(login.credentials.banners) == 1
        login.send(SUCCESS)
        assert login.result == ["in"]


def test_a_dialogue_that_nobody_answers_is_given_up() -> None:
    for late in (False, True):
        login = start_dialogue((lambda: succeed(None)) if late else None)
        login.send(info(("x", True)))
        assert isinstance(login.result[0], AuthenticationFailed)
        assert login.trail == ["keyboard-interactive: nobody answers its questions"]
        assert login.raw.numbers() == []


def test_r12_dialogues_rounds_and_prompts_are_limited() -> None:
    login = start_dialogue(tries=2)
    login.send(refusal("keyboard-interactive"))
    assert login.request().method == "keyboard-interactive"
    login.send(refusal("keyboard-interactive"))
    assert isinstance(login.result[0], AuthenticationFailed)
    login = start_dialogue()
    login.send(info(*[("x", True)] * (MAX_PROMPTS + 1)))
    assert "17 questions" in str(login.owner.lost)
    login = start_dialogue()
    login.send(info(count=0xFFFFFFFF))
    assert isinstance(login.owner.lost, RemoteProtocolError)
    login = start_dialogue(*[["a"]] * 20)
    for _ in range(MAX_ROUNDS):
        login.send(info(("x", True)))
    assert login.owner.lost is None
    login.send(info(("x", True)))
    assert "in round 17" in str(login.owner.lost)


def test_r12_the_requests_of_a_login_are_limited() -> None:
    login = Login(Credentials((), ["x"] * (MAX_REQUESTS + 5)), methods=("password",))
    for _ in range(MAX_REQUESTS):
        login.request()
        login.send(refusal("password"))
    assert login.raw.numbers() == []
    assert "more than 64 requests" in str(login.result[0])
    login.send(refusal("password"))
    assert isinstance(login.owner.lost, RemoteProtocolError)


def test_only_methods_that_the_server_still_takes_are_tried() -> None:
    login = Login(Credentials([identity()], ["word"]), methods=ALL)
    login.request()
    login.send(refusal("password", "hostbased"))
    assert login.request().method == "password"
    login.send(refusal("publickey", partial=True))
    assert login.request().method == "publickey"  # what did not count before may count now
    login.send(refusal("publickey"))
    assert login.request().method == "none"
    login.send(refusal("publickey"))
    error = login.result[0]
    assert isinstance(error, AuthenticationFailed)
    assert str(error).startswith("user: permission denied (publickey)")
    assert login.trail[1] == "password: accepted, more is needed"
    assert len(login.trail) == 3
    first, second, third = error.trail
    assert (first.verdict, first.next_methods) == ("refused", ("password", "hostbased"))
    assert (first.fingerprint, first.source) == (USER_KEY.public.fingerprint(), "file")
    assert (second.verdict, second.next_methods) == ("partial", ("publickey",))
    assert (second.fingerprint, second.source) == ("", "")
    assert third.verdict == "refused"


def test_without_keys_the_server_is_asked_first_what_it_takes() -> None:
    login = Login(Credentials((), ["word"]))
    assert login.request().method == "none"
    login.send(refusal("password"))
    assert login.request().method == "password"
    login = Login(Credentials())
    login.request()
    login.send(refusal())
    assert "nothing could be tried" in str(login.result[0])
    assert "(none)" in str(login.result[0])


@pytest.mark.parametrize("number", [1 << 8, 5, 50, 61, 66, 79, *range(80, 256), 20 + 1])
def test_r1_r2_a_client_never_acts_on_what_clients_send_or_what_comes_after_the_login(number: int) -> None:
    for accept in (False, True):
        login = Login(Credentials([identity()]), accept=accept)
        login.send(bytes((number & 255,)) + bytes(8) if number < 256 else SUCCESS)
        if number < 256 or not accept:
            assert isinstance(login.owner.lost, RemoteProtocolError)
            assert login.result == []
        else:
            assert login.result == ["in"]


def test_answers_before_the_service_is_accepted_are_refused() -> None:
    for early in (SUCCESS, refusal(), messages.UserauthBanner(b"", b"")):
        login = Login(Credentials([identity()]), accept=False)
        login.send(early)
        assert "before the service was accepted" in str(login.owner.lost)
    login = Login(Credentials([identity()]), accept=False)
    login.send(transport.ServiceAccept("ssh-connection"))
    assert "not requested" in str(login.owner.lost)


def test_answers_that_belong_to_no_request_are_refused() -> None:
    for early in (SUCCESS, refusal("none"), info()):
        login = Login(Credentials(), methods=())
        assert isinstance(login.result[0], AuthenticationFailed)
        login.send(early)
        assert isinstance(login.owner.lost, RemoteProtocolError)


def test_r3_ext_info_is_allowed_right_before_success_and_nowhere_else() -> None:
    extensions = transport.ExtInfo(1, string("server-sig-algs") + string("ssh-ed25519"))
    login = Login(Credentials([identity()]))
    login.send(extensions, SUCCESS)
    assert login.result == ["in"]
    assert login.layer.peer_signatures == ("ssh-ed25519",)
    for after in (refusal("none"), messages.UserauthBanner(b"", b""), extensions):
        login = Login(Credentials([identity()]))
        login.send(extensions, after)
        assert "between EXT_INFO and USERAUTH_SUCCESS" in str(login.owner.lost)


def test_r36_banners_are_made_harmless_and_counted() -> None:
    login = Login(Credentials([identity()]))
    login.send(messages.UserauthBanner("a\r\nb\tc\x1b[2J\u202e\n".encode(), b""))
    assert login.credentials.banners == ["a\nb\tc\\x1b[2J\\u202e\n"]
    login.send(messages.UserauthBanner(b"x" * 100_000, b""))
    assert len(login.credentials.banners[1]) == 100_000  # OpenSSH shows one of this size whole
    for _ in range(MAX_BANNERS):
        login.send(messages.UserauthBanner(b"x", b""))
    assert "more than 16 banners" in str(login.owner.lost)


def test_r36_the_methods_of_a_server_are_shown_harmless() -> None:
    login = Login(Credentials([identity()]))
    login.send(bytes((51,)) + string(b"\x1b[2J") + b"\0")
    assert isinstance(login.owner.lost, RemoteProtocolError)
    assert "\x1b" not in str(login.owner.lost)


def test_a_connection_that_ends_meanwhile_asks_nothing_more() -> None:
    credentials = Credentials((), ["word"])
    login = Login(Credentials(), methods=())
    layer = login.layer
    authentication = ClientAuthentication(layer, "user", credentials, ("password",))
    authentication.start()
    login.pair.cut()
    login.settle()
    assert credentials.asked == []


def test_a_fault_in_the_first_try_ends_the_connection_and_not_the_clock() -> None:
    class Faulty(Credentials):
        def password(self) -> Any:
            raise ZeroDivisionError

    login = Login(Faulty(), methods=("password",))
    assert isinstance(login.owner.lost, ZeroDivisionError)


def test_r43_neither_messages_nor_attempts_show_a_password() -> None:
    request = messages.UserauthRequest("user", "ssh-connection", "password", b"\0\0\0\0\6secret")
    assert repr(request) == "<UserauthRequest>"
    assert str(Attempt("password", "", "refused")) == "password: refused"
    login = Login(Credentials((), ["secret"]), methods=("password",))
    login.request()
    login.send(refusal("password"))
    assert "secret" not in str(login.result[0]) + repr(login.result[0]) + repr(login.authentication)


@pytest.mark.parametrize("chop", [0, 1])
def test_two_cores_log_in_by_every_method_and_by_several_in_a_row(chop: int) -> None:
    def interactive(user: str, answers: Any) -> Any:
        return Questions([("Code: ", False)]) if answers is None else Partial(("password",))

    policy = Policy(
        public_key=lambda user, key, signed: Partial(("keyboard-interactive",)),
        interactive=interactive,
        password=lambda user, word: Grant(user, "password") if word == "right" else None,
    )
    policy.offered = ("publickey",)
    credentials = Credentials([identity(OTHER_KEY), identity()], ["wrong", "right"])
    credentials.replies = [["123"]]
    duo = Duo(policy=policy, credentials=credentials)
    if chop:
        duo.pair.chop = lambda: chop
    duo.login()
    assert [attempt.outcome for attempt in duo.authentication.trail] == [  # type: ignore[union-attr]
        "accepted, more is needed",
        "accepted, more is needed",
        "the server refused",
        "accepted",
    ]
    near, far = duo.open()
    assert near.events == far.events == [("opened", b"")]


def test_a_refused_login_tells_the_server_nothing_of_the_trail() -> None:
    duo = Duo(policy=Policy(), credentials=Credentials([identity(source="/home/user/.ssh/id")]))
    duo.settle()
    assert isinstance(duo.result[0], AuthenticationFailed)
    assert "/home/user/.ssh/id" in str(duo.result[0])
    assert str(duo.server_owner.lost) == "the peer disconnected: no more authentication methods (code 14)"


def test_the_tables_of_both_sides_name_the_same_methods() -> None:
    from sshkit.ssh.authentication.methods import CLIENT_METHODS, FORMS, SERVER_METHODS
    from sshkit.ssh.authentication.methods.method import ClientMethod

    assert {method.name for method in CLIENT_METHODS} == set(SERVER_METHODS) - set(FORMS)
    assert set(FORMS) | set(FORMS.values()) <= set(SERVER_METHODS)
    with pytest.raises(NotImplementedError):
        ClientMethod(None).try_next()  # type: ignore[arg-type]
    assert DEFAULT.user_keys


def test_r12_nothing_of_the_login_is_asked_or_sent_before_the_host_key_is_verified() -> None:
    verdict: Deferred[None] = Deferred()
    duo = Duo(credentials=Credentials((), ["secret"]), methods=("password",))
    duo.client_owner.verdict = verdict
    duo.settle()
    assert duo.authentication is None
    assert duo.credentials.asked == []
    assert duo.policy.asked == []
    verdict.errback(RemoteProtocolError("no"))
    duo.settle()
    assert duo.credentials.asked == []
    assert isinstance(duo.client.lost, RemoteProtocolError)
