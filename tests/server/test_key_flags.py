"""What security keys saw decides logins, through the policy and the monitor."""

import os
from pathlib import Path
from typing import Any

from sshkit.server.accounts import Account
from sshkit.server.login_policy import LoginPolicy
from sshkit.server.login_rules import LoginRules
from sshkit.server.system_users import SystemUsers
from sshkit.ssh.authentication.methods.public_key import SignatureFlags
from sshkit.ssh.authentication.verdicts import Grant, Partial
from tests.keys.test_security_keys import Device

DEVICE = Device("sk-ssh-ed25519@openssh.com")


class Owner:
    source = "192.0.2.7"
    settings: Any = None

    def addresses(self) -> Any:
        return ("192.0.2.7", 1, "192.0.2.1", 22)

    def log(self, *_: Any) -> None: ...


def ask(folder: Path, line: str, touched: bool, verified: bool, **rules: Any) -> Any:
    folder.joinpath("keys").write_text(f"{line}{DEVICE.public.to_line()}\n")
    account = Account("ann", os.getuid(), os.getgid(), str(folder), "/bin/sh")
    rules.setdefault("key_files", ("keys",))
    users = SystemUsers(account, LoginRules(strict_modes=False, permit_root="yes", **rules))
    owner: Any = Owner()
    policy = LoginPolicy(owner, users.for_connection(owner))
    policy.prepare("ann")
    policy.methods("ann")
    return policy.public_key("ann", DEVICE.public, True, SignatureFlags(touched, verified)).result()


def test_r06_lines_and_configuration_decide_what_a_security_key_must_have_seen(tmp_path: Path) -> None:
    assert ask(tmp_path, "", False, True) is None
    assert isinstance(ask(tmp_path, "", True, False), Grant)
    assert isinstance(ask(tmp_path, "no-touch-required ", False, False), Grant)
    assert ask(tmp_path, "verify-required ", True, False) is None
    assert isinstance(ask(tmp_path, "verify-required ", True, True), Grant)
    options = frozenset(("touch-required",))
    assert ask(tmp_path, "no-touch-required ", False, True, key_options=options) is None
    options = frozenset(("verify-required",))
    assert ask(tmp_path, "no-touch-required ", False, False, key_options=options) is None
    assert isinstance(ask(tmp_path, "no-touch-required ", False, True, key_options=options), Grant)
    chains = (("publickey", "publickey"),)
    assert ask(tmp_path, "verify-required ", True, False, chains=chains) is None
    assert isinstance(ask(tmp_path, "verify-required ", True, True, chains=chains), Partial)
