"""Who may log in to an account: rules of the configuration, files of keys."""

import contextlib
import os
import pwd
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sshkit_keys import PrivateKey, generate_private_key

from sshkit.server import accounts, login_rules, system_passwords
from sshkit.server.accounts import (
    Account,
    AccountError,
    account_fault,
    find_account,
    group_names,
    key_paths,
    own_account,
)
from sshkit.server.key_limits import KeyLimits
from sshkit.server.login_rules import AccountLogins, LoginRules
from sshkit.server.system_users import SystemUsers
from sshkit.server.users import Refusal

SOURCE = "192.0.2.7"


@pytest.fixture(scope="module")
def key() -> PrivateKey:
    return generate_private_key("ed25519")


@pytest.fixture(autouse=True)
def _as_ourselves(monkeypatch: pytest.MonkeyPatch) -> None:
    """The accounts are made up, and the folders of tests are of whoever runs them."""
    monkeypatch.setattr(login_rules, "acting_as", lambda account: contextlib.nullcontext())


@pytest.fixture
def account(tmp_path: Path) -> Account:
    return Account("ann", os.getuid() or 1000, os.getgid(), str(tmp_path), "/bin/sh")


def users(account: Account, **rules: Any) -> SystemUsers:
    rules.setdefault("strict_modes", False)
    return SystemUsers(account, LoginRules(**rules))


def login(users: SystemUsers, source: str = SOURCE) -> Any:
    connection: Any = SimpleNamespace(source=source)
    return users.for_connection(connection)


def refusal(account: Account, **rules: Any) -> str | None:
    return AccountLogins(account, LoginRules(**rules)).refusal(SOURCE)


def authorize(account: Account, *lines: str, name: str = ".ssh/authorized_keys") -> Path:
    path = Path(account.home, name)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))
    path.chmod(0o600)
    return path


def reason(answer: object) -> str:
    assert isinstance(answer, Refusal)
    assert not answer
    return answer.reason


def test_the_own_account_is_that_of_the_user_database() -> None:
    entry = pwd.getpwuid(os.geteuid())
    account = own_account()
    assert (account.name, account.uid, account.home) == (entry.pw_name, os.geteuid(), entry.pw_dir)


def test_a_user_number_without_name_is_an_error_that_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 4_000_000)
    with pytest.raises(AccountError, match="user number 4000000 has no name"):
        own_account()


def test_an_account_is_found_by_the_very_name_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that takes other spellings would let one user pass for two."""
    own = own_account()
    assert find_account(own.name) == own
    assert find_account("sshkit-nobody") is None
    assert find_account("no\0body") is None
    entry = pwd.getpwuid(os.geteuid())
    monkeypatch.setattr(pwd, "getpwnam", lambda name: entry)
    assert find_account(own.name.upper()) is None


def test_an_account_that_nobody_may_use_now_is_told_with_the_reason(
    account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell, closed = tmp_path / "shell", tmp_path / "nologin"
    monkeypatch.setattr(accounts, "NOLOGIN", str(closed))
    fields = ["ann", "!", "", "", "", "", "", ""]
    monkeypatch.setattr(system_passwords, "shadow_fields", lambda name: fields)
    account = account._replace(shell=str(shell))
    assert account_fault(account) == f"the shell {shell} does not exist"
    shell.touch(0o644)
    assert account_fault(account) == f"the shell {shell} is not executable"
    shell.chmod(0o755)
    assert account_fault(account) is None
    fields[7] = "1"
    assert account_fault(account) == "the account has expired"
    fields[7] = str(10**6)
    closed.touch()
    assert account_fault(account) == f"{closed} exists"
    assert account_fault(account._replace(uid=0)) is None


def test_a_listed_key_lets_in_with_the_limits_of_its_line(account: Account, key: PrivateKey) -> None:
    path = authorize(account, "# comment", f"no-pty {key.public.to_line()}")
    limits = login(users(account)).check_key("ann", key.public)
    assert limits == KeyLimits(f"{path}:2", permit_terminal=False)


def test_the_second_file_counts_as_well(account: Account, key: PrivateKey) -> None:
    path = authorize(account, key.public.to_line(), name=".ssh/authorized_keys2")
    assert login(users(account)).check_key("ann", key.public).place == f"{path}:1"


def test_a_key_that_is_not_listed_is_refused_with_every_file_and_why(
    account: Account, key: PrivateKey
) -> None:
    authorize(account, "damaged line", generate_private_key("ed25519").public.to_line())
    text = reason(login(users(account)).check_key("ann", key.public))
    assert f"{account.home}/.ssh/authorized_keys:1: " in text
    assert f"the key is not in {account.home}/.ssh/authorized_keys;" in text
    assert f"{account.home}/.ssh/authorized_keys2 does not exist" in text


def test_a_refused_line_names_file_line_and_option(account: Account, key: PrivateKey) -> None:
    path = authorize(account, f'from="192.0.2.99" {key.public.to_line()}')
    text = reason(login(users(account)).check_key("ann", key.public))
    assert f"{path}:1: from= does not list" in text


def test_a_later_line_with_the_same_key_may_let_in(account: Account, key: PrivateKey) -> None:
    line = key.public.to_line()
    path = authorize(account, f'from="10.0.0.1" {line}', f'command="late" {line}', line)
    assert login(users(account)).check_key("ann", key.public).place == f"{path}:2"
    assert login(users(account), "10.0.0.1").check_key("ann", key.public).place == f"{path}:1"


def test_strict_modes_refuse_a_file_that_others_may_write(account: Account, key: PrivateKey) -> None:
    path = authorize(account, key.public.to_line())
    path.chmod(0o666)
    strict = users(account, strict_modes=True)
    assert "lets the group or others write" in reason(login(strict).check_key("ann", key.public))
    path.chmod(0o600)
    if os.stat(account.home).st_uid == account.uid:
        assert login(strict).check_key("ann", key.public)


def test_what_cannot_be_read_is_a_reason_and_no_error(account: Account, key: PrivateKey) -> None:
    folder = users(account, key_files=("folder", "folder/x/y"))
    Path(account.home, "folder").mkdir()
    Path(account.home, "folder/x").write_text("")
    text = reason(login(folder).check_key("ann", key.public))
    assert "not a plain file" in text
    assert "Not a directory" in text


def test_no_file_of_keys_is_a_reason(account: Account, key: PrivateKey) -> None:
    nobody = users(account, key_files=("none",))
    assert reason(login(nobody).check_key("ann", key.public)) == "no file of keys is configured"


def test_tokens_stand_for_home_and_user(account: Account) -> None:
    paths = key_paths(("%h/a", "/keys/%u", "b%%c", "/%U"), account)
    home = account.home
    assert paths == (f"{home}/a", "/keys/ann", f"{home}/b%c", f"/{account.uid}")


@pytest.mark.parametrize("pattern", ["/keys/%x", "/keys/%"])
def test_an_unknown_token_is_an_error(account: Account, pattern: str) -> None:
    with pytest.raises(AccountError, match="is no token"):
        key_paths((pattern,), account)


def test_nobody_but_the_own_user_is_let_in(account: Account, key: PrivateKey) -> None:
    authorize(account, key.public.to_line())
    assert "lets nobody else in" in reason(login(users(account)).check_key("bob", key.public))


def test_r9_an_unknown_name_costs_the_same_look_ups(
    account: Account, key: PrivateKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sshkit_keys.authorized_keys as files

    authorize(account, key.public.to_line())
    calls: list[str] = []
    load = files.load_authorized_keys

    def counted(path: Any, *arguments: Any) -> Any:
        calls.append(str(path))
        return load(path, *arguments)

    monkeypatch.setattr(files, "load_authorized_keys", counted)
    both = users(account, deny_users=("ann",))
    for name in ("ann", "nobody-of-this-name"):
        calls.clear()
        assert not login(both).check_key(name, key.public)
        assert calls == [f"{account.home}/.ssh/authorized_keys"]
    assert both.methods() == login(both).methods() == ("publickey",)


@pytest.mark.parametrize(
    ("rules", "why"),
    [
        ({"deny_users": ("bob", "a*")}, "DenyUsers a"),
        ({"deny_users": ("ann@192.0.2.0/24",)}, "DenyUsers ann@192"),
        ({"allow_users": ("bob", "ann@10.*")}, "not listed in AllowUsers"),
        ({"deny_users": ("*@192.*",), "allow_users": ("ann",)}, "DenyUsers"),
        ({"deny_groups": ("sta*",)}, "DenyGroups has group staff"),
        ({"allow_groups": ("wheel",)}, "no group is listed"),
    ],
)
def test_lists_of_users_and_groups_keep_out(
    account: Account, rules: dict[str, Any], why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(login_rules, "group_names", lambda account: ["users", "staff"])
    assert why in (refusal(account, **rules) or "")


@pytest.mark.parametrize(
    "rules",
    [
        {"allow_users": ("bob", "an?")},
        {"allow_users": ("ann@192.0.2.*",)},
        {"deny_users": ("ann@10.0.0.0/8",)},
        {"allow_groups": ("wheel", "staff")},
        {"deny_groups": ("wheel",)},
    ],
)
def test_lists_of_users_and_groups_let_in(
    account: Account, rules: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(login_rules, "group_names", lambda account: ["users", "staff"])
    assert refusal(account, **rules) is None


def test_groups_are_those_of_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    account = own_account()
    assert group_names(account)
    monkeypatch.setattr(os, "getgrouplist", lambda name, number: [4_000_000])
    assert group_names(account) == []


def root(tmp_path: Path) -> Account:
    return Account("root", 0, 0, str(tmp_path), "/bin/sh")


def test_root_may_be_kept_out_altogether(tmp_path: Path) -> None:
    assert refusal(root(tmp_path), permit_root="no") == "PermitRootLogin is no"
    assert refusal(root(tmp_path)) is None


def test_root_may_be_limited_to_forced_commands(tmp_path: Path, key: PrivateKey) -> None:
    account = root(tmp_path)
    line = key.public.to_line()
    authorize(account, line)
    forced = users(account, permit_root="forced-commands-only")
    assert "wants a forced command" in reason(login(forced).check_key("root", key.public))
    authorize(account, line, f'command="only" {line}')
    assert login(forced).check_key("root", key.public).command == "only"
    authorize(account, line)
    everybody = users(account, permit_root="forced-commands-only", forced_command=True)
    assert login(everybody).check_key("root", key.public)


def test_root_has_no_password_unless_allowed(tmp_path: Path) -> None:
    assert AccountLogins(root(tmp_path)).password_refusal() == "PermitRootLogin is prohibit-password"
    assert AccountLogins(root(tmp_path), LoginRules(permit_root="yes")).password_refusal() is None


def test_short_rsa_keys_are_refused(account: Account) -> None:
    key = generate_private_key("rsa", 2048).public
    authorize(account, key.to_line())
    assert login(users(account)).check_key("ann", key)
    text = reason(login(users(account, required_rsa_size=3072)).check_key("ann", key))
    assert text == "RSA with 2048 bits, RequiredRSASize is 3072"


def test_none_lets_nobody_in_and_logins_belong_to_a_connection(account: Account, key: PrivateKey) -> None:
    whole = users(account)
    assert not login(whole).allows_none("ann")
    with pytest.raises(AssertionError):
        whole.check_key("ann", key.public)
    with pytest.raises(AssertionError):
        whole.check_password("ann", "x")


def test_a_refusal_shows_its_reason() -> None:
    assert repr(Refusal("because")) == "<Refusal because>"
