"""The system's users beside PAM: what holds for passwords does not hold for keys."""

import contextlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sshkit_keys import generate_private_key

from sshkit.deferred import Deferred, maybe_deferred, succeed
from sshkit.reactor import current as reactors
from sshkit.server import login_rules, pam
from sshkit.server.accounts import Account
from sshkit.server.login_rules import LoginRules
from sshkit.server.system_users import SystemLogin, SystemUsers
from sshkit.server.users import Refusal

KEY = generate_private_key("ed25519")


class Pam:
    """PAM that lets in whom nothing speaks against."""

    def __init__(self, reactor: Any, facts: Any, refusal: str | None) -> None:
        self.refusal = refusal

    def answer(self, *_: Any) -> "Deferred[Any]":
        return succeed(True if self.refusal is None else Refusal(self.refusal))

    ask = check_password = check_account = change_password = answer

    def close(self) -> None:
        """Nothing is under way."""


@pytest.fixture
def login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SystemLogin:
    """Root's login, by key only; the account is made up."""
    monkeypatch.setattr(login_rules, "acting_as", lambda account: contextlib.nullcontext())
    monkeypatch.setattr(login_rules, "account_fault", lambda account: None)
    monkeypatch.setattr(reactors, "current", lambda: None)
    monkeypatch.setattr(pam, "PamLogin", Pam)
    (tmp_path / "keys").write_text(KEY.public.to_line() + "\n")
    rules = LoginRules(key_files=(str(tmp_path / "keys"),), strict_modes=False, passwords=True, pam="sshd")
    users = SystemUsers(Account("root", 0, 0, str(tmp_path), "/bin/sh"), rules)
    return users.for_connection(SimpleNamespace(source="192.0.2.7"))


def result(answer: Any) -> Any:
    return maybe_deferred(lambda: answer).result()


def test_roots_key_lets_in_with_pam_where_his_password_does_not(login: SystemLogin) -> None:
    for _ in range(2):  # in whatever order they are tried
        refused = result(login.check_password("root", "secret"))
        assert refused.reason == "PermitRootLogin is prohibit-password"
        assert result(login.ask("root", None)).reason == refused.reason
        assert not result(login.change_password("root", "old", "new"))
        assert result(login.check_signed_key("root", KEY.public)).place


def test_r9_a_name_that_is_nobodys_is_refused_by_pam_as_well(login: SystemLogin) -> None:
    assert "lets nobody else in" in result(login.check_password("bob", "secret")).reason
    assert "lets nobody else in" in result(login.check_signed_key("bob", KEY.public)).reason
