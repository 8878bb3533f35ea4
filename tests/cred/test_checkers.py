"""Hashes of every kind, challenges, certificates, databases, and checkers that hang."""

import hashlib
import hmac
import logging
import os
from pathlib import Path
from typing import Any

import bcrypt
import pytest
from sshkit_keys import generate_private_key
from sshkit_keys.certificate_signing import sign_certificate
from zope.interface.verify import verifyObject

from sshkit.cred import (
    Anybody,
    AvatarMaker,
    Challenge,
    CheckerFailed,
    Checkers,
    CredError,
    FunctionChecker,
    HashError,
    IChallengeAnswer,
    ICredentialsChecker,
    IRealm,
    IUsernamePassword,
    KeyChecker,
    LoginFailed,
    NoCheckerError,
    PasswordChecker,
    PasswordFile,
    PasswordFileError,
    Portal,
    QueryChecker,
    RealmRefused,
    SSHPublicKey,
    UsernamePassword,
    hash_password,
    password_hashes,
)
from sshkit.cred import password_check as checking
from sshkit.cred.credentials import Anonymous
from sshkit.cred.password_hashes import check_form, is_right
from sshkit.databases import ConnectionPool
from sshkit.deferred import CancelledError, Deferred
from sshkit.reactor.running import run
from sshkit.testing.clock import MemoryClock as Clock

# Vectors that other programs made: RFC 7914 section 11, and crypt(3).
SCRYPT_VECTOR = (
    "$scrypt$ln=10,r=8,p=16$TmFDbA$"
    "/bq+HJ00cgB4VucZDQHp/nxq18vII3gw53N2Y0s3MWIurzDZLiKjiG/xCSedmDDaxyevuUqD7m2DYMvfoswGQA"
)
CRYPT_VECTOR = (
    "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjlO/O817G3uBnIFNjnQJuesI68OTLiBFdcbYEdFCoEOfaS35inz1"
)


class Names:
    """A realm of names."""

    def request_avatar(self, avatar_id: str, mind: Any, *interfaces: Any) -> Any:
        return None, avatar_id, lambda: None


def failure_of(deferred: "Deferred[Any]") -> BaseException:
    found: list[BaseException] = []
    deferred.add_errback(lambda failure: found.append(failure.exception))
    assert found, deferred
    return found[0]


def pbkdf2(name: str, password: bytes, rounds: int = 3) -> str:
    key = password_hashes._base64(hashlib.pbkdf2_hmac(name, password, b"\xff" * 9, rounds))
    salt = password_hashes._base64(b"\xff" * 9)
    return f"$pbkdf2-{name}${rounds}${salt}${key}".replace("+", ".")


def crypt(password: str, setting: str) -> "str | None":
    return CRYPT_VECTOR if (password, setting) == ("Hello world!", CRYPT_VECTOR) else "*0"


def test_known_hashes_are_of_their_passwords_and_no_others() -> None:
    assert is_right(b"password", SCRYPT_VECTOR)
    assert not is_right(b"Password", SCRYPT_VECTOR)
    for name in ("sha1", "sha256", "sha512"):
        assert is_right(b"pw", pbkdf2(name, b"pw"))
        assert not is_right(b"pW", pbkdf2(name, b"pw"))
    assert is_right(b"x" * 80, bcrypt.hashpw(b"x" * 72, bcrypt.gensalt(4)).decode())
    assert is_right(b"Hello world!", CRYPT_VECTOR, crypt)
    assert not is_right(b"hello world!", CRYPT_VECTOR, crypt)
    assert not is_right(b"Hello world!\0x", CRYPT_VECTOR, crypt)


@pytest.mark.parametrize("kind", ["scrypt", "pbkdf2", "bcrypt"])
def test_a_new_hash_is_of_its_password(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(password_hashes, "SCRYPT_COST", 4)
    monkeypatch.setattr(password_hashes, "PBKDF2_ROUNDS", 10)
    monkeypatch.setattr(password_hashes, "BCRYPT_COST", 4)
    made = hash_password("sécret", kind)
    assert is_right("sécret".encode(), made)
    assert not is_right(b"secret", made)
    assert made != hash_password("sécret", kind)


def test_an_unknown_kind_of_hash_is_named() -> None:
    with pytest.raises(HashError, match="no kind of hash: 'md5'"):
        hash_password("x", "md5")


KEY22 = "A" * 22


@pytest.mark.parametrize(
    ("stored", "words"),
    [
        ("secret", "no bcrypt hash"),
        ("$2b$31$" + "x" * 53, "no bcrypt hash"),
        ("$2b$04$" + "x" * 5000, "over 1024"),
        (f"$scrypt$ln=30,r=8,p=1$AAAA${KEY22}", "cost is out of bounds"),
        (f"$scrypt$ln=0,r=8,p=1$AAAA${KEY22}", "cost is out of bounds"),
        (f"$scrypt$ln=4,r=8,p=17$AAAA${KEY22}", "cost is out of bounds"),
        ("$scrypt$ln=4,r=8,p=1$AAAA$AAAA", "fewer than 16 bytes"),
        (f"$scrypt$ln=4,r=8,p=1$AAAAA${KEY22}", "base64 is damaged"),
        (f"$pbkdf2-sha256$0$AAAA${KEY22}", "cost is out of bounds"),
        (f"$pbkdf2-sha256$10000001$AAAA${KEY22}", "cost is out of bounds"),
        (f"$pbkdf2-md5$1$AAAA${KEY22}", "no bcrypt hash"),
        (CRYPT_VECTOR, "was not handed in"),
    ],
)
def test_a_hash_that_cannot_be_checked_is_an_error_that_does_not_show_it(stored: str, words: str) -> None:
    with pytest.raises(HashError, match=words) as caught:
        check_form(stored)
    assert stored not in str(caught.value)


def test_a_cost_that_the_library_refuses_is_an_error() -> None:
    with pytest.raises(HashError, match="cannot be computed"):
        is_right(b"x", f"$scrypt$ln=16,r=1,p=1$AAAA${KEY22}")  # N has to be below 2 ** (16 * r)


def test_a_file_may_have_hashes_of_every_kind(tmp_path: Path) -> None:
    path = tmp_path / "people"
    path.write_text(f"ann:{SCRYPT_VECTOR}\nbob:{CRYPT_VECTOR}\neve:{pbkdf2('sha256', b'x')}\n")
    checker = PasswordFile(path, crypt=crypt)

    async def main() -> list[str]:
        found = [
            await checker.request_avatar_id(UsernamePassword(*pair))
            for pair in (("ann", "password"), ("bob", "Hello world!"), ("eve", "x"))
        ]
        for pair in (("ann", "x"), ("bob", "x"), ("eve", "y"), ("joe", "password")):
            with pytest.raises(LoginFailed):
                await checker.request_avatar_id(UsernamePassword(*pair))
        return found

    assert run(main()) == ["ann", "bob", "eve"]
    with pytest.raises(PasswordFileError, match=r"people:2: the password of 'bob' is a hash of crypt\(3\)"):
        PasswordFile(path)


def test_r9_an_unknown_name_costs_the_hash_of_a_known_one(monkeypatch: pytest.MonkeyPatch) -> None:
    costs: list[str] = []

    def counted(password: bytes, stored: str, crypt: Any) -> bool:
        costs.append(stored)
        return True

    monkeypatch.setattr(checking, "is_right", counted)
    stored = pbkdf2("sha256", b"x")
    checker = PasswordChecker({"plain": "text", "ann": stored})

    async def main() -> None:
        with pytest.raises(LoginFailed):
            await checker.request_avatar_id(UsernamePassword("nobody", "x"))

    run(main())
    assert costs == [stored]


def test_a_challenge_proves_a_password_once() -> None:
    clock = Clock()
    portal = Portal(Names(), [PasswordChecker({"ann": "tanstaaftanstaaf"})])
    assert portal.takes(IChallengeAnswer)
    # RFC 2195 section 2.
    challenge = Challenge(clock, text=b"<1896.697170952@postoffice.reston.mci.net>", hash_name="md5")

    def as_hex(password: bytes, text: bytes) -> bytes:
        return hmac.digest(password, text, "md5").hex().encode()

    challenge = Challenge(clock, text=challenge.text, rule=as_hex)
    answer = challenge.answered("ann", b"b913a602c7eda7a495b4e6e7334d3890")
    assert repr(answer) == "<ChallengeAnswer 'ann'>"
    assert portal.login(answer).result().avatar == "ann"
    with pytest.raises(LoginFailed, match="answered before"):
        challenge.answered("ann", b"b913a602c7eda7a495b4e6e7334d3890")
    for name in ("bob", "ann"):
        wrong = Challenge(clock).answered(name, b"b913a602c7eda7a495b4e6e7334d3890")
        assert isinstance(failure_of(portal.login(wrong)), LoginFailed)
    fresh = Challenge(clock)
    right = hmac.digest(b"tanstaaftanstaaf", fresh.text, "sha256")
    assert portal.login(fresh.answered("ann", right)).result().avatar == "ann"


def test_a_challenge_is_good_for_a_while_and_never_the_same() -> None:
    clock = Clock()
    challenge = Challenge(clock, lifetime=5.0)
    assert challenge.text != Challenge(clock).text
    clock.advance(5.1)
    with pytest.raises(LoginFailed, match="too late"):
        challenge.answered("ann", b"")


def test_an_answer_to_a_challenge_cannot_be_checked_with_hashes() -> None:
    hashed = PasswordChecker({"ann": "$2b$04$" + "x" * 53})
    assert hashed.credential_interfaces == (IUsernamePassword,)
    clock = Clock()
    answer = Challenge(clock).answered("ann", b"")
    assert isinstance(failure_of(Portal(Names(), [hashed]).login(answer)), NoCheckerError)


def test_an_empty_password_answers_no_challenge() -> None:
    challenge = Challenge(Clock())
    right = hmac.digest(b"", challenge.text, "sha256")
    checker = PasswordChecker({"ann": ""})
    assert isinstance(failure_of(checker.request_avatar_id(challenge.answered("ann", right))), LoginFailed)


class Named:
    """A refusal as servers have it."""

    def __init__(self, reason: str) -> None:
        self.reason = reason


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (True, "ann"),
        ("uid=ann", "uid=ann"),
        (1, LoginFailed),
        (None, LoginFailed),
        ("", LoginFailed),
        (("prompt",), LoginFailed),
        (Named("the account is locked"), "the account is locked"),
    ],
)
def test_only_true_or_a_name_of_a_function_lets_in(answer: Any, outcome: Any) -> None:
    async def check(username: str, password: str) -> Any:
        assert password == "secret"
        return answer

    asked = FunctionChecker(check).request_avatar_id(UsernamePassword("ann", "secret"))
    if outcome in ("ann", "uid=ann"):
        assert asked.result() == outcome
    else:
        error = failure_of(asked)
        assert isinstance(error, LoginFailed)
        assert outcome is LoginFailed or str(error) == outcome


def test_r10_a_function_never_sees_a_password_that_is_too_long() -> None:
    checker = FunctionChecker(lambda name, password: pytest.fail("asked"))
    assert isinstance(failure_of(checker.request_avatar_id(UsernamePassword("a", "x" * 1025))), LoginFailed)


def test_the_systems_own_passwords_are_checked_by_a_function_of_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sshkit.server import system_passwords
    from sshkit.server.system_passwords import PasswordCheck

    (tmp_path / "shadow").write_text(f"ann:{CRYPT_VECTOR}:1::::::\nbob:!{CRYPT_VECTOR}:1::::::\n")
    monkeypatch.setattr(system_passwords, "SHADOW", str(tmp_path / "shadow"))
    monkeypatch.setattr(system_passwords, "load_crypt", lambda: crypt)
    checker = FunctionChecker(lambda name, password: PasswordCheck(name).check(password))

    async def main() -> str:
        for name, password in (("ann", "x"), ("bob", "Hello world!"), ("joe", "Hello world!")):
            with pytest.raises(LoginFailed):
                await checker.request_avatar_id(UsernamePassword(name, password))
        return await checker.request_avatar_id(UsernamePassword("ann", "Hello world!"))

    assert run(main()) == "ann"


def query_checker(pool: Any, **options: Any) -> QueryChecker:
    return QueryChecker(pool, "SELECT hash FROM person WHERE name = :name AND site = :site", **options)


def test_passwords_may_be_in_a_database(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    ann = pbkdf2("sha256", b"one")
    rows = [
        ("ann", ann, "a"),
        ("bytes", pbkdf2("sha256", b"two").encode(), "a"),
        ("null", None, "a"),
        ("text", "secret", "a"),
        ("number", 7, "a"),
        ("twice", ann, "a"),
        ("twice", ann, "a"),
        ("other", ann, "b"),
        ("", ann, "a"),
    ]

    async def main() -> None:
        async with ConnectionPool("sqlite3", tmp_path / "people") as pool:
            await pool.run_operation("CREATE TABLE person (name, hash, site)")
            for row in rows:
                await pool.run_operation("INSERT INTO person VALUES (?, ?, ?)", row)
            checker = query_checker(pool, parameters={"site": "a"})
            verifyObject(ICredentialsChecker, checker)
            portal = Portal(Names(), [checker])
            assert (await portal.login(UsernamePassword("ann", "one"))).avatar == "ann"
            assert checker._model == ann  # what an unknown name costs from now on
            assert (await portal.login(UsernamePassword("bytes", "two"))).avatar == "bytes"
            for name in ("ann", "null", "other", "nobody' OR 1", "x" * 300):
                with pytest.raises(LoginFailed, match="nobody's"):
                    await portal.login(UsernamePassword(name, "wrong"))
            for name, words in (
                ("text", "no bcrypt hash"),
                ("number", "no text but int"),
                ("twice", "found 2 rows"),
            ):
                with pytest.raises(CheckerFailed, match=words):
                    await portal.login(UsernamePassword(name, "secret"))
            await pool.run_operation("DROP TABLE person")
            with pytest.raises(CheckerFailed, match="no such table") as caught:
                await portal.login(UsernamePassword("ann", "hunter2"))
            assert caught.value.told == "the login was refused"

    run(main())
    assert "login of 'ann': the checker QueryChecker failed" in caplog.text
    assert "hunter2" not in caplog.text


def test_the_cost_of_an_unknown_name_may_be_given() -> None:
    model = pbkdf2("sha256", b"x")
    stored = pbkdf2("sha512", b"y")

    class Rows:
        def run_query(self, sql: Any, parameters: Any = ()) -> Any:
            answer: Deferred[Any] = Deferred()
            answer.callback([(stored,)])
            return answer

    checker = query_checker(Rows(), model=model)

    async def main() -> None:
        assert await checker.request_avatar_id(UsernamePassword("ann", "y")) == "ann"

    run(main())
    assert checker._model == model
    with pytest.raises(HashError):
        query_checker(Rows(), model="text")


class Hangs:
    credential_interfaces = (IUsernamePassword,)

    def __init__(self) -> None:
        self.cancelled = 0

    def request_avatar_id(self, credentials: Any) -> Any:
        return Deferred(self._cancelled)

    def _cancelled(self, _: Any) -> None:
        self.cancelled += 1


def test_a_checker_that_hangs_is_given_up_logged_and_the_next_asked(caplog: pytest.LogCaptureFixture) -> None:
    clock, hangs = Clock(), Hangs()
    portal = Portal(Names(), [hangs, PasswordChecker({"ann": "x"})], timeout=5.0, clock=clock)
    good, bad = portal.login(UsernamePassword("ann", "x")), portal.login(UsernamePassword("a\n", "x"))
    clock.advance(4.9)
    assert hangs.cancelled < 1
    clock.advance(0.2)
    assert hangs.cancelled == 2
    assert good.result().avatar == "ann"
    error = failure_of(bad)
    assert isinstance(error, CheckerFailed)
    assert str(error) == "the checker Hangs gave no answer within 5 s"
    assert f"login of 'a{chr(92)}n': {error}" in caplog.text
    assert clock.next_due() is None


def test_alternatives_in_one_have_a_deadline_each() -> None:
    clock = Clock()
    both = Checkers(Hangs(), PasswordChecker({"ann": "x"}), timeout=2.0, clock=clock)
    login = Portal(Names(), [both], timeout=5.0, clock=clock).login(UsernamePassword("ann", "x"))
    clock.advance(2.1)
    assert login.result().avatar == "ann"


def test_a_realm_that_hangs_or_raises_refuses_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()

    class Slow:
        def request_avatar(self, avatar_id: str, mind: Any, *interfaces: Any) -> Any:
            if avatar_id == "eve":
                raise OSError("no disk")
            return Deferred()

    portal: Portal[Any] = Portal(Slow(), [PasswordChecker({"ann": "x", "eve": "x"})], clock=clock)
    login = portal.login(UsernamePassword("ann", "x"))
    clock.advance(30.1)
    assert str(failure_of(login)) == "the realm Slow gave no answer within 30 s"
    assert isinstance(failure_of(portal.login(UsernamePassword("eve", "x"))).__cause__, OSError)
    assert "login of 'eve': the realm Slow failed: OSError: no disk" in caplog.text
    with pytest.raises(CredError, match="above 0"):
        Portal(Slow(), timeout=0)


def test_every_refusal_is_one_class_and_its_reason_goes_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "sshkit.cred")
    portal = Portal(Names(), [PasswordChecker({"ann": "x"})])
    for credentials in (UsernamePassword("ann", "y"), Anonymous()):
        error = failure_of(portal.login(credentials))
        assert isinstance(error, LoginFailed)
        assert error.told == "the login was refused"
    assert [record.getMessage() for record in caplog.records] == [
        "login of 'ann' refused: the credentials are nobody's",
        "login of nobody in particular refused: no checker takes Anonymous",
    ]
    for kind in (NoCheckerError, RealmRefused, CheckerFailed):
        assert issubclass(kind, LoginFailed)


def test_a_login_that_is_given_up_is_no_refusal() -> None:
    login = Portal(Names(), [Hangs()], clock=Clock()).login(UsernamePassword("ann", "x"))
    login.cancel()
    assert isinstance(failure_of(login), CancelledError)


def test_a_function_makes_avatars_of_its_type() -> None:
    out: list[int] = []

    async def make(name: str) -> int:
        return len(name)

    realm: AvatarMaker[int] = AvatarMaker(make, out.append)
    verifyObject(IRealm, realm)
    portal = Portal(realm, [Anybody("guest")])
    login = portal.login(Anonymous(), None, list).result()
    number: int = login.avatar
    assert (login.interface, number) == (list, 5)
    login.logout()
    assert out == [5]
    plain: Portal[str] = Portal(AvatarMaker(str.upper), [Anybody("guest")])
    login2 = plain.login(Anonymous()).result()
    assert (login2.interface, login2.avatar, login2.logout()) == (None, "GUEST", None)


def certify(authority: Any, principals: list[str], **more: Any) -> Any:
    key = generate_private_key("ed25519").public
    return sign_certificate(
        authority, key, role="user", key_id="x", principals=principals, random_bytes=os.urandom, **more
    )


def test_a_certificate_lets_in_whom_it_names() -> None:
    authority, other = generate_private_key("ed25519"), generate_private_key("ed25519")
    portal = Portal(Names(), [KeyChecker(authorities=[authority.public])])
    assert portal.login(SSHPublicKey("ann", certify(authority, ["ann"]))).result().avatar == "ann"
    for certificate, words in (
        (certify(authority, ["bob"]), "does not list 'ann'"),
        (certify(other, ["ann"]), "no authority that is trusted"),
        (certify(authority, ["ann"], critical_options={"force-command": "ls"}), "critical option"),
    ):
        assert words in str(failure_of(portal.login(SSHPublicKey("ann", certificate))))
