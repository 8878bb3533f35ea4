"""Logins by certificate: who vouches, for which names, with which limits (rule R7)."""

import contextlib
import os
from pathlib import Path
from time import time
from types import SimpleNamespace
from typing import Any

import pytest
from sshkit_keys import (
    DEFAULT_USER_EXTENSIONS,
    Certificate,
    PrivateKey,
    RevocationList,
    generate_private_key,
    sign_certificate,
    write_private_key,
    write_public_key,
)

from sshkit.server import login_rules
from sshkit.server.accounts import Account, AccountError
from sshkit.server.key_limits import KeyLimits
from sshkit.server.login_policy import LoginPolicy
from sshkit.server.login_rules import LoginRules
from sshkit.server.system_users import SystemUsers
from sshkit.server.users import EveryUser, Refusal, Users
from tests.servers import USER, OwnServer, Place

SOURCE = "192.0.2.7"
AUTHORITY: PrivateKey = generate_private_key("ed25519")
KEY: PrivateKey = generate_private_key("ecdsa")


def certify(authority: PrivateKey = AUTHORITY, **wanted: Any) -> Certificate:
    wanted.setdefault("principals", ["ann"])
    wanted.setdefault("extensions", DEFAULT_USER_EXTENSIONS)
    wanted.setdefault("role", "user")
    return sign_certificate(authority, KEY.public, key_id="id", random_bytes=os.urandom, **wanted)


@pytest.fixture(autouse=True)
def _as_ourselves(monkeypatch: pytest.MonkeyPatch) -> None:
    """The account is made up, and the folders of tests are of whoever runs them."""
    monkeypatch.setattr(login_rules, "acting_as", lambda account: contextlib.nullcontext())


@pytest.fixture
def account(tmp_path: Path) -> Account:
    return Account("ann", os.getuid() or 1000, os.getgid(), str(tmp_path), "/bin/sh")


class Site:
    """The files and the answers of a server."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.folder = Path(account.home)
        self.rules: dict[str, Any] = {"strict_modes": False}

    def write(self, name: str, *lines: str) -> str:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True, mode=0o700)
        path.write_text("".join(f"{line}\n" for line in lines))
        path.chmod(0o600)
        return str(path)

    def trust(self, *authorities: PrivateKey) -> None:
        keys = [key.public.to_line() for key in authorities or (AUTHORITY,)]
        self.rules["authorities"] = self.write("ca.pub", "# authorities", *keys)

    def vouch(self, options: str = "cert-authority", authority: PrivateKey = AUTHORITY) -> str:
        return self.write(".ssh/authorized_keys", f"{options} {authority.public.to_line()}")

    def answer(self, key: Any, user: str = "ann", source: str = SOURCE) -> Any:
        users = SystemUsers(self.account, LoginRules(**self.rules))
        return users.for_connection(SimpleNamespace(source=source)).check_key(user, key)

    def reason(self, key: Any, **how: Any) -> str:
        answer = self.answer(key, **how)
        assert isinstance(answer, Refusal), answer
        return answer.reason


@pytest.fixture
def site(account: Account) -> Site:
    return Site(account)


def test_a_trusted_authority_lets_its_users_in(site: Site) -> None:
    site.trust(generate_private_key("ed25519"), AUTHORITY)
    limits = site.answer(certify())
    assert limits == KeyLimits("certificate id")
    assert "lets nobody else in" in site.reason(certify(principals=["bob"]), user="bob")


def test_r07_what_does_not_hold_is_refused_and_says_why(site: Site) -> None:
    site.trust()
    now = int(time())
    for wanted, cause in (
        ({"principals": ["Ann", "anna", "*"]}, "does not list 'ann' as a principal"),
        ({"principals": []}, "lists no principal"),
        ({"valid_before": now}, "expired at"),
        ({"valid_after": now + 1000}, "is not valid before"),
        ({"role": "host", "extensions": {}}, "is for a host, not for a user"),
        ({"critical_options": {"future@example.org": ""}}, "has the critical option 'future@example.org'"),
        ({"critical_options": {"source-address": "10.0.0.0/8"}}, "is not for use from '192.0.2.7'"),
    ):
        assert cause in site.reason(certify(**wanted))
    other = certify(generate_private_key("ed25519"))
    assert "its authority is not in" in site.reason(other)


def test_r07_the_authority_and_the_key_themselves_are_not_let_in(site: Site) -> None:
    site.trust()
    site.vouch()
    for key in (AUTHORITY.public, KEY.public):
        assert isinstance(site.answer(key), Refusal)
    assert "is for certificates of the key, not for the key" in site.reason(AUTHORITY.public)
    # And a line with the plain key lets the key in, not the certificate.
    site.write(".ssh/authorized_keys", AUTHORITY.public.to_line())
    site.rules["authorities"] = None
    assert site.answer(AUTHORITY.public)
    assert "has no cert-authority" in site.reason(certify())


def test_the_limits_of_a_certificate_hold(site: Site) -> None:
    site.trust()
    limits = site.answer(
        certify(extensions={}, critical_options={"force-command": "date", "source-address": "192.0.2.0/24"})
    )
    assert limits == KeyLimits("certificate id", "date", False, False, False, False, permit_user_rc=False)
    limits = site.answer(certify(extensions={"permit-pty": "", "permit-X11-forwarding": ""}))
    assert limits == KeyLimits("certificate id", None, True, False, False, True, permit_user_rc=False)
    limits = site.answer(certify(extensions={"no-touch-required": "", "permit-user-rc": ""}))
    assert (limits.touch_required, limits.permit_user_rc) == (False, True)
    assert site.answer(certify(critical_options={"verify-required": ""})).verify_required


def test_a_line_vouches_for_the_users_own_name_or_for_those_it_lists(site: Site) -> None:
    path = site.vouch()
    assert site.answer(certify()).place == f"certificate id, {path}:1"
    assert "does not list 'ann'" in site.reason(certify(principals=["admin"]))
    site.vouch('cert-authority,principals="ops,admin"')
    assert site.answer(certify(principals=["x", "admin"]))
    assert "has none of the principals" in site.reason(certify(principals=["ann"]))
    assert "lists no principal" in site.reason(certify(principals=[]))


def test_the_limits_of_line_and_certificate_hold_together(site: Site) -> None:
    site.vouch('cert-authority,no-pty,from="192.0.2.0/24",command="date"')
    limits = site.answer(certify(extensions={"permit-pty": "", "permit-port-forwarding": ""}))
    assert limits[1:6] == ("date", False, True, False, False)
    assert site.answer(certify(critical_options={"force-command": "date"})).command == "date"
    assert "force different commands" in site.reason(certify(critical_options={"force-command": "id"}))
    assert "from= does not list 10.0.0.1" in site.reason(certify(), source="10.0.0.1")
    site.vouch('cert-authority,expiry-time="20200101"')
    assert "expired at 20200101" in site.reason(certify())
    site.vouch('cert-authority,tunnel="1",environment="A=1",no-touch-required,no-user-rc')
    limits = site.answer(certify(extensions={"no-touch-required": "", "permit-user-rc": ""}))
    assert (limits.tunnel, limits.environment, limits.touch_required) == (1, (("A", "1"),), False)
    assert not limits.permit_user_rc
    assert site.answer(certify(extensions={})).touch_required  # both have to waive it


def test_principals_come_from_their_file_where_there_is_one(site: Site) -> None:
    site.trust()
    site.rules["principals"] = "%h/principals-%u"
    assert "principals-ann: No such file" in site.reason(certify())
    site.write("principals-ann", "# who", "ops", 'command="date" admin', "tunnel guest", "ann bob")
    assert site.answer(certify(principals=["ops"])) == KeyLimits(
        f"certificate id, {site.folder}/principals-ann:2"
    )
    assert site.answer(certify(principals=["admin"])).command == "date"
    assert "none of the certificate's principals is in" in site.reason(certify())
    site.rules["strict_modes"] = True
    os.chmod(site.folder / "principals-ann", 0o666)
    assert "mode 0666" in site.reason(certify(principals=["ops"]))
    with pytest.raises(AccountError, match="AuthorizedPrincipalsFile '%x': %x is no token"):
        SystemUsers(site.account, LoginRules(principals="%x"))


def test_r07_revocation_covers_key_certificate_and_authority(site: Site) -> None:
    site.trust()
    site.write(".ssh/authorized_keys", KEY.public.to_line())
    certificate = certify(serial=7)
    revoked = RevocationList()

    def with_list() -> None:
        (site.folder / "krl").write_bytes(revoked.to_bytes(generated=1))

    site.rules["revoked"] = str(site.folder / "krl")
    with_list()
    assert site.answer(certificate)
    assert site.answer(KEY.public)
    revoked.revoke_serials(AUTHORITY.public, 7)
    with_list()
    assert "is revoked by the serial 7" in site.reason(certificate)
    assert site.answer(certify(serial=8))
    revoked.revoke_key(KEY.public)
    with_list()
    assert "is revoked" in site.reason(certify(serial=8))
    assert "is revoked" in site.reason(KEY.public)
    (site.folder / "krl").write_bytes(b"damaged")
    assert "RevokedKeys: " in site.reason(certificate)
    os.unlink(site.folder / "krl")
    assert "RevokedKeys: " in site.reason(KEY.public)


def test_files_of_authorities_that_cannot_be_read_trust_nobody(site: Site) -> None:
    site.rules["authorities"] = str(site.folder / "none")
    assert f"TrustedUserCAKeys: {site.folder}/none: No such file" in site.reason(certify())
    (site.folder / "none").write_bytes(bytes(1 << 21))
    assert "the file is larger than" in site.reason(certify())


def test_root_needs_a_command_where_the_rules_say_so(tmp_path: Path) -> None:
    site = Site(Account("root", 0, 0, str(tmp_path), "/bin/sh"))
    site.rules["permit_root"] = "forced-commands-only"
    site.trust()
    certificate = certify(principals=["root"])
    assert "PermitRootLogin wants a forced command" in site.reason(certificate, user="root")
    assert site.answer(certify(principals=["root"], critical_options={"force-command": "date"}), user="root")
    site.rules["authorities"] = None
    site.vouch()
    assert "PermitRootLogin wants a forced command" in site.reason(certificate, user="root")
    site.vouch('cert-authority,command="date"')
    assert site.answer(certificate, user="root").command == "date"


def test_r07_users_of_a_program_that_does_not_know_certificates_meet_none() -> None:
    assert not Users.takes_certificates
    assert not EveryUser([KEY.public]).takes_certificates
    assert SystemUsers.takes_certificates
    policy = LoginPolicy(SimpleNamespace(), object())  # type: ignore[arg-type]
    assert policy.takes_certificates is False


@pytest.mark.peer("ssh")
def test_the_real_client_logs_in_by_certificate(tmp_path: Path) -> None:
    place = Place(tmp_path)
    write_private_key(tmp_path / "key", KEY.to_openssh(random_bytes=os.urandom))
    (tmp_path / "ca.pub").write_text(AUTHORITY.public.to_line() + "\n")
    config = place.config(
        f"TrustedUserCAKeys {tmp_path}/ca.pub", f"RevokedKeys {tmp_path}/krl", "PermitRootLogin yes"
    )
    (tmp_path / "krl").write_bytes(RevocationList().to_bytes(generated=1))

    def run(server: OwnServer, **wanted: Any) -> Any:
        write_public_key(tmp_path / "key-cert.pub", certify(principals=[USER], **wanted), overwrite=True)
        return server.ssh("echo in", identity="key")

    server = OwnServer(place, "-D", "-e", "-f", str(config))
    try:
        done = run(server)
        assert (done.returncode, done.stdout) == (0, b"in\n"), done.stderr
        done = run(server, critical_options={"force-command": "echo forced"})
        assert done.stdout == b"forced\n"
        assert run(server, valid_before=1).returncode == 255
        server.wait_for("the certificate 'id' expired at")
        revoked = RevocationList()
        revoked.revoke_key(AUTHORITY.public)
        (tmp_path / "krl").write_bytes(revoked.to_bytes(generated=1))
        assert run(server).returncode == 255
        server.wait_for("is revoked")
    finally:
        server.stop()
