"""The system's passwords, from a shadow file of the test's own."""

import builtins
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import sshkit
from sshkit.server import system_passwords
from sshkit.server.accounts import Account
from sshkit.server.login_rules import LoginRules
from sshkit.server.system_passwords import PasswordCheck, PasswordsUnavailable, load_crypt
from sshkit.server.system_users import SystemUsers
from sshkit.server.users import Refusal


class FakeCrypt:
    """Hashes by writing the password after the setting, and counts."""

    def __init__(self) -> None:
        self.settings: list[str] = []

    def __call__(self, password: str, setting: str) -> str | None:
        self.settings.append(setting)
        salt, dollar, _ = setting.rpartition("$")
        if setting == "none":
            return None
        return f"{salt}{dollar}{password}" if dollar else "*0"


@pytest.fixture
def crypt(monkeypatch: pytest.MonkeyPatch) -> FakeCrypt:
    fake = FakeCrypt()
    monkeypatch.setattr(system_passwords, "load_crypt", lambda: fake)
    return fake


@pytest.fixture
def shadow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "shadow"
    path.write_text(
        "ann:$f$salt$right:19000:0:99999:7:::\nempty::19000::::::\nlocked:!$f$salt$right:1::::::\n"
        "star:*:1::::::\nodd:odd:1::::::\nbroken:none:1::::::\nshort\n"
    )
    monkeypatch.setattr(system_passwords, "SHADOW", str(path))
    return path


def test_the_right_password_matches_and_others_do_not(crypt: FakeCrypt, shadow: Path) -> None:
    check = PasswordCheck("ann")
    assert check.matches("right")
    assert not check.matches("wrong")
    assert not check.matches("")


@pytest.mark.parametrize("name", ["empty", "locked", "star", "odd", "broken", "short", "missing"])
def test_r10_an_empty_locked_or_invalid_hash_never_matches(crypt: FakeCrypt, shadow: Path, name: str) -> None:
    check = PasswordCheck(name)
    for password in ("", "right", "*0", "!$f$salt$right", "*", "none", "odd"):
        crypt.settings.clear()
        assert not check.matches(password)
        assert crypt.settings, "the same work is done for every account"


def test_r10_a_password_over_the_limit_is_refused_before_it_is_hashed(crypt: FakeCrypt, shadow: Path) -> None:
    check = PasswordCheck("ann")
    assert not check.matches("x" * 1025)
    assert not check.matches("right\0")
    assert crypt.settings == []


def test_a_changed_password_counts_at_once(crypt: FakeCrypt, shadow: Path) -> None:
    check = PasswordCheck("ann")
    shadow.write_text("ann:$f$salt$new:1::::::\n")
    assert check.matches("new")
    assert not check.matches("right")


def test_who_may_not_read_the_hashes_is_told_so(crypt: FakeCrypt, shadow: Path) -> None:
    shadow.unlink()
    with pytest.raises(PasswordsUnavailable, match=r"No such file or directory \(only root may read it\)"):
        PasswordCheck("ann")


def test_a_python_without_crypt_is_an_error_that_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    found = builtins.__import__

    def without_crypt(name: str, *arguments: Any, **more: Any) -> Any:
        if name == "crypt":
            raise ImportError(name)
        return found(name, *arguments, **more)

    monkeypatch.setattr(builtins, "__import__", without_crypt)
    with pytest.raises(PasswordsUnavailable, match="no crypt module"):
        load_crypt()


def test_the_systems_crypt_hashes() -> None:
    try:
        crypt = load_crypt()
    except PasswordsUnavailable:
        return  # the test above says what happens then
    hashed = crypt("secret", "$6$saltsalt$")
    assert hashed is not None
    assert crypt("secret", hashed) == hashed
    assert crypt("other", hashed) != hashed


def answer(users: SystemUsers, name: str, password: str) -> Any:
    login = users.for_connection(SimpleNamespace(source="192.0.2.7"))

    async def ask() -> Any:
        return await login.check_password(name, password)

    return sshkit.run(ask())


def test_r9_an_unknown_name_has_its_password_hashed_too(crypt: FakeCrypt, shadow: Path) -> None:
    account = Account("ann", os.getuid() or 1000, 0, "/nonexistent", "/bin/sh")
    users = SystemUsers(account, LoginRules(passwords=True, interactive=True))
    assert users.methods() == ("publickey", "password", "keyboard-interactive")
    assert answer(users, "ann", "right") is True
    assert answer(users, "ann", "wrong").reason == "wrong password"
    crypt.settings.clear()
    refused = answer(users, "bob", "right")
    assert isinstance(refused, Refusal)
    assert "lets nobody else in" in refused.reason
    assert len(crypt.settings) == 1


def test_roots_password_lets_in_only_where_it_is_allowed(crypt: FakeCrypt, shadow: Path) -> None:
    shadow.write_text("root:$f$salt$right:1::::::\n")
    account = Account("root", 0, 0, "/nonexistent", "/bin/sh")
    closed = SystemUsers(account, LoginRules(passwords=True))
    assert answer(closed, "root", "right").reason == "PermitRootLogin is prohibit-password"
    opened = SystemUsers(account, LoginRules(passwords=True, permit_root="yes"))
    assert answer(opened, "root", "right") is True
