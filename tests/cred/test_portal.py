"""Portals, realms and checkers, alone."""

import os
from pathlib import Path
from typing import Any

import bcrypt
import pytest
from sshkit_keys import generate_private_key
from zope.interface.verify import verifyObject

from sshkit.cred import (
    Anonymous,
    Anybody,
    CheckerFailed,
    Checkers,
    IAnonymous,
    IChallengeAnswer,
    ICredentialsChecker,
    IRealm,
    ISSHPublicKey,
    IUsernamePassword,
    KeyChecker,
    LoginFailed,
    NoCheckerError,
    PasswordChecker,
    PasswordFile,
    PasswordFileError,
    Portal,
    RealmRefused,
    SSHPublicKey,
    UsernamePassword,
)
from sshkit.cred.password_check import MAX_PASSWORD, NOBODY, matches
from sshkit.deferred import CancelledError, Deferred, succeed
from sshkit.interfaces import implementer
from sshkit.reactor.running import run

KEY, OTHER = generate_private_key("ed25519").public, generate_private_key("ed25519").public


def hashed(password: str) -> str:
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()


@implementer(IRealm)
class Homes:
    """Gives everybody a list with his name."""

    def __init__(self, *, answer: Any = None) -> None:
        self.out: list[str] = []
        self.answer = answer

    def request_avatar(self, avatar_id: str, mind: Any, *interfaces: Any) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        if self.answer is not None:
            return self.answer
        return (interfaces[0] if interfaces else None), [avatar_id, mind], lambda: self.out.append(avatar_id)


def failure_of(deferred: "Deferred[Any]") -> BaseException:
    found: list[BaseException] = []
    deferred.add_errback(lambda failure: found.append(failure.exception))
    assert found, deferred
    return found[0]


def test_a_login_gives_the_avatar_and_its_logout() -> None:
    realm = Homes()
    portal = Portal(realm, [PasswordChecker({"ann": "secret"})])
    login = portal.login(UsernamePassword("ann", "secret"), "mind", list).result()
    assert (login.interface, login.avatar) == (list, ["ann", "mind"])
    login.logout()
    assert realm.out == ["ann"]
    assert portal.list_credentials_interfaces() == [IUsernamePassword, IChallengeAnswer]


@pytest.mark.parametrize(
    ("user", "password"), [("ann", "wrong"), ("bob", "secret"), ("ann", ""), ("eve", "")]
)
def test_r9_a_wrong_password_and_an_unknown_name_fail_alike(user: str, password: str) -> None:
    portal = Portal(Homes(), [PasswordChecker({"ann": "secret", "eve": ""})])
    error = failure_of(portal.login(UsernamePassword(user, password)))
    assert isinstance(error, LoginFailed)
    assert str(error) == "the credentials are nobody's"


def test_r10_a_long_password_is_nobodys_before_it_is_hashed() -> None:
    assert matches("x" * (MAX_PASSWORD + 1), "x" * (MAX_PASSWORD + 1), None) is False
    assert matches("x" * (MAX_PASSWORD + 1), "$2b$nonsense", NOBODY) is False


def test_r10_an_invalid_hash_matches_nothing_and_an_unknown_name_costs_a_hash() -> None:
    checker = PasswordChecker({"ann": "$2b$", "bob": hashed("right")})

    async def main() -> list[Any]:
        found: list[Any] = [await checker.request_avatar_id(UsernamePassword("bob", "right"))]
        for user in ("ann", "bob", "nobody"):
            with pytest.raises(LoginFailed):
                await checker.request_avatar_id(UsernamePassword(user, "wrong"))
        return found

    assert run(main()) == ["bob"]


def test_keys_let_in_by_name_as_objects_lines_and_files(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(f"{KEY.to_line()}\nno-pty {OTHER.to_line()}\n")
    checker = KeyChecker({"ann": [KEY], "bob": [KEY.to_line()], "eve": [tmp_path / "keys"]})
    for user in ("ann", "bob", "eve"):
        assert checker.request_avatar_id(SSHPublicKey(user, KEY)).result() == user
        assert isinstance(failure_of(checker.request_avatar_id(SSHPublicKey(user, OTHER))), LoginFailed)
    assert isinstance(failure_of(checker.request_avatar_id(SSHPublicKey("joe", KEY))), LoginFailed)


def test_nobody_may_log_in_as_anybody_only_where_a_checker_says_so() -> None:
    assert isinstance(failure_of(Portal(Homes()).login(Anonymous())), NoCheckerError)
    portal = Portal(Homes(), [Anybody("guest")])
    assert portal.takes(IAnonymous)
    assert portal.login(Anonymous()).result().avatar == ["guest", None]


def test_alternatives_are_asked_in_turn(caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        credential_interfaces = (IUsernamePassword,)

        def request_avatar_id(self, credentials: Any) -> Any:
            raise OSError("the directory does not answer")

    class Never(Broken):
        def request_avatar_id(self, credentials: Any) -> Any:
            return ""

    checker = Checkers(
        KeyChecker({}), Broken(), Never(), PasswordChecker({"ann": "1"}), PasswordChecker({"bob": "2"})
    )
    assert checker.credential_interfaces == (ISSHPublicKey, IUsernamePassword, IChallengeAnswer)
    portal = Portal(Homes(), [checker])
    assert portal.login(UsernamePassword("ann", "1")).result().avatar[0] == "ann"
    assert portal.login(UsernamePassword("bob", "2")).result().avatar[0] == "bob"
    error = failure_of(portal.login(UsernamePassword("eve", "3")))
    assert isinstance(error, CheckerFailed)
    assert isinstance(error.__cause__, OSError)
    assert str(error) == "the checker Broken failed: OSError: the directory does not answer"
    assert "login of 'eve': the checker Broken failed" in caplog.text


def test_a_cancelled_login_asks_no_further_checker() -> None:
    asked: list[str] = []

    class Slow:
        credential_interfaces = (IUsernamePassword,)

        def __init__(self, name: str) -> None:
            self.name = name

        def request_avatar_id(self, credentials: Any) -> Any:
            asked.append(self.name)
            return Deferred()

    login = Portal(Homes(), [Checkers(Slow("one"), Slow("two"))]).login(UsernamePassword("ann", "x"))
    login.cancel()
    assert isinstance(failure_of(login), CancelledError)
    assert asked == ["one"]


@pytest.mark.parametrize("answer", ["", None, 7, False, b"ann"])
def test_r10_only_a_name_lets_in(answer: Any) -> None:
    class Odd:
        credential_interfaces = (IUsernamePassword,)

        def request_avatar_id(self, credentials: Any) -> Any:
            return succeed(answer)

    error = failure_of(Portal(Homes(), [Odd()]).login(UsernamePassword("ann", "x")))
    assert isinstance(error, LoginFailed)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (NotImplementedError("no"), "has no avatar for this login"),
        (RealmRefused("closed"), "closed"),
        ((list, []), "must return"),
        (7, "must return"),
        ((list, [], None), "cannot be called"),
        ((dict, {}, list), "none of the interfaces"),
    ],
)
def test_a_realm_that_has_no_avatar_refuses(answer: Any, words: str) -> None:
    portal = Portal(Homes(answer=answer), [PasswordChecker({"ann": "x"})])
    error = failure_of(portal.login(UsernamePassword("ann", "x"), None, list))
    assert isinstance(error, RealmRefused)
    assert words in str(error)


def test_coroutines_serve_as_realm_and_checker() -> None:
    class Slow:
        credential_interfaces = ()

        async def request_avatar_id(self, credentials: Any) -> str:
            return str(await succeed("ann"))

    class Realm:
        async def request_avatar(self, avatar_id: str, mind: Any, *interfaces: Any) -> Any:
            return None, await succeed(avatar_id), lambda: None

    portal = Portal(Realm())
    portal.register_checker(Slow(), IUsernamePassword)
    assert portal.login(UsernamePassword("x", "y")).result().avatar == "ann"


def test_the_interfaces_are_kept() -> None:
    verifyObject(IRealm, Homes())
    for checker in (PasswordChecker({}), KeyChecker({}), Anybody(), Checkers()):
        verifyObject(ICredentialsChecker, checker)


def test_r43_credentials_show_no_secret() -> None:
    assert repr(UsernamePassword("ann", "secret")) == "<UsernamePassword 'ann'>"
    assert KEY.fingerprint() in repr(SSHPublicKey("ann", KEY))


def test_a_file_of_passwords_is_read_anew_when_it_changed(tmp_path: Path) -> None:
    path = tmp_path / "passwords"
    path.write_text(f"# people\n\nann:{hashed('one')}\r\n")
    checker = PasswordFile(path)
    verifyObject(ICredentialsChecker, checker)

    async def main() -> None:
        assert await checker.request_avatar_id(UsernamePassword("ann", "one")) == "ann"
        assert await checker.request_avatar_id(UsernamePassword("ann", "one")) == "ann"
        path.write_text(f"ann:{hashed('two')}\nbob:{hashed('three')}\n")
        with pytest.raises(LoginFailed):
            await checker.request_avatar_id(UsernamePassword("ann", "one"))
        assert await checker.request_avatar_id(UsernamePassword("bob", "three")) == "bob"
        os.unlink(path)
        with pytest.raises(PasswordFileError, match="passwords: No such file"):
            checker.request_avatar_id(UsernamePassword("bob", "three"))

    run(main())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"ann\n", "f:1: not name:hash"),
        (b"#x\n:h\n", "f:2: not name:hash"),
        (b"a\x07:h\n", "f:1: not name:hash"),
        (b"\xff:h\n", "f:1: not UTF-8"),
        (b"ann:secret\n", "f:1: the password of 'ann' is no bcrypt hash"),
        (b"ann:$2b$31$" + b"x" * 53 + b"\n", "no bcrypt hash"),
        (f"ann:{hashed('x')}\nann:{hashed('x')}\n".encode(), "f:2: 'ann' stands here twice"),
    ],
)
def test_a_damaged_file_of_passwords_is_refused_with_its_line(
    tmp_path: Path, text: bytes, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("f").write_bytes(text)
    with pytest.raises(PasswordFileError, match=words.replace("$", r"\$")) as caught:
        PasswordFile("f")
    assert "secret" not in str(caught.value)


def test_a_huge_file_of_passwords_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sshkit.cred.password_file.MAX_SIZE", 10)
    (tmp_path / "f").write_text("# too long a comment\n")
    with pytest.raises(PasswordFileError, match="over 10 bytes"):
        PasswordFile(tmp_path / "f")
