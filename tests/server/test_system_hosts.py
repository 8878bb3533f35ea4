"""Hosts that vouch for users of the system."""

import os
from pathlib import Path
from typing import Any

import pytest
from sshkit_keys import PrivateKey, generate_private_key, sign_certificate

from sshkit.deferred import Deferred, succeed
from sshkit.reactor.engines.native import NativeReactor
from sshkit.server.accounts import Account
from sshkit.server.system_hosts import HostRules, addresses_in_child, check_host
from sshkit.server.users import Refusal

KEY: PrivateKey = generate_private_key("ed25519")
HOST, SOURCE = "desk.example.org", "192.0.2.7"


class Site:
    """A home, and the system's files."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        (self.home / ".ssh").mkdir(parents=True)
        for path in (folder, self.home, self.home / ".ssh"):
            path.chmod(0o700)
        self.account = Account("ann", os.getuid(), os.getgid(), str(self.home), "/bin/sh")
        self.folder = folder
        self.rules: dict[str, Any] = {
            "known_hosts": (str(folder / "known_hosts"), str(folder / "missing")),
            "equivalents": (str(folder / "hosts.equiv"), str(folder / "shosts.equiv")),
        }
        self.addresses: Any = [SOURCE]

    def write(self, name: str, *lines: str) -> Path:
        path = self.folder / name
        path.write_text("".join(f"{line}\n" for line in lines))
        path.chmod(0o600)
        return path

    def know(self, name: str = "known_hosts", key: Any = KEY.public, host: str = HOST) -> None:
        self.write(name, f"{host} {key.to_line()}")

    def ask(self, key: Any = KEY.public, host: str = HOST, user: str = "ann", **rules: Any) -> Any:
        answer = check_host(
            self.account,
            HostRules(**{**self.rules, **rules}),
            key,
            host,
            user,
            SOURCE,
            lambda name: self.addresses,
        )
        return answer.result() if isinstance(answer, Deferred) else answer

    def reason(self, **asked: Any) -> str:
        answer = self.ask(**asked)
        assert isinstance(answer, Refusal), answer
        return answer.reason.replace(str(self.folder), "FOLDER")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.fixture
def other(site: Site) -> Site:
    """The same of somebody who is not root, whoever runs the test."""
    site.account = site.account._replace(uid=site.account.uid or 1)
    site.rules["strict_modes"] = False
    return site


@pytest.fixture(autouse=True)
def _as_ourselves(monkeypatch: pytest.MonkeyPatch) -> None:
    import contextlib

    monkeypatch.setattr("sshkit.server.system_hosts.acting_as", lambda account: contextlib.nullcontext())


def test_key_address_and_line_are_all_needed(other: Site) -> None:
    assert other.reason() == f"'ann' of {HOST}: its key {KEY.public.fingerprint()} is unknown"
    other.know()
    assert other.reason() == f"'ann' of {HOST}: no line lets him in as ann"
    other.write("hosts.equiv", HOST)
    assert other.ask() is True
    other.addresses = succeed(["192.0.2.8"])
    assert other.reason() == f"'ann' of {HOST}: the name does not lead to {SOURCE}"
    assert other.ask(name_from_packet_only=True) is True
    assert "no line" in other.reason(user="bob")


def test_a_line_may_have_the_address_unless_names_alone_count(other: Site) -> None:
    other.know()
    other.write("shosts.equiv", SOURCE)
    assert other.ask() is True
    assert "no line" in other.reason(name_from_packet_only=True)


def test_the_users_own_files_count_where_ignore_rhosts_lets_them(other: Site) -> None:
    other.know()
    other.write("home/.shosts", f"{HOST} bob")
    assert "no line" in other.reason(user="bob")
    assert other.ask(user="bob", ignore_rhosts="shosts-only") is True
    assert other.ask(user="bob", ignore_rhosts="no") is True
    other.write("home/.shosts", f"{HOST} -bob")
    other.write("home/.rhosts", f"{HOST} bob")
    assert other.ask(user="bob", ignore_rhosts="no") is True
    assert "no line" in other.reason(user="bob", ignore_rhosts="shosts-only")


def test_the_users_known_hosts_count_unless_they_are_ignored(other: Site) -> None:
    other.write("hosts.equiv", HOST)
    other.know("home/.ssh/known_hosts")
    assert other.ask() is True
    assert "is unknown" in other.reason(ignore_user_known_hosts=True)
    other.know(key=generate_private_key("ed25519").public)
    assert "is changed" in other.reason(ignore_user_known_hosts=True)


def test_root_is_let_in_by_his_own_files_only(site: Site) -> None:
    site.account = site.account._replace(uid=0, name="root")
    site.rules["strict_modes"] = False
    site.know()
    site.write("hosts.equiv", HOST)
    assert "no line" in site.reason(user="root")
    site.write("home/.shosts", HOST)
    assert site.ask(user="root", ignore_rhosts="no") is True


def test_r38_files_that_others_could_write_do_not_count(site: Site) -> None:
    site.know()
    path = site.write("home/.shosts", HOST)
    assert site.ask(ignore_rhosts="no") is True
    path.chmod(0o620)
    assert "FOLDER/home/.shosts: mode 0620" in site.reason(ignore_rhosts="no")
    assert site.ask(ignore_rhosts="no", strict_modes=False) is True
    path.chmod(0o600)
    site.home.chmod(0o777)
    assert "FOLDER/home: mode 0777" in site.reason(ignore_rhosts="no")
    site.home.chmod(0o700)
    site.know("home/.ssh/known_hosts", host="other.example.org")
    Path(site.home, ".ssh/known_hosts").chmod(0o666)
    site.write("known_hosts")
    assert "known_hosts: mode 0666" in site.reason(ignore_rhosts="no", host="other.example.org")


def test_a_pipe_that_a_user_has_put_there_holds_nobody_up(other: Site) -> None:
    other.know()
    os.mkfifo(other.home / ".shosts")
    os.mkfifo(other.home / ".ssh/known_hosts")
    os.mkfifo(other.folder / "hosts.equiv")
    os.mkfifo(other.folder / "missing")
    reason = other.reason(ignore_rhosts="no")
    assert reason.count("not a plain file") == 4
    (other.home / ".rhosts").symlink_to(".rhosts")
    assert "symbolic links" in other.reason(ignore_rhosts="no")


def test_a_hosts_certificate_holds_by_its_authority(other: Site) -> None:
    authority = generate_private_key("ed25519")
    certificate = sign_certificate(
        authority, KEY.public, role="host", key_id="", principals=[HOST], random_bytes=os.urandom
    )
    other.write("hosts.equiv", HOST)
    other.write("known_hosts", f"@cert-authority *.example.org {authority.public.to_line()}")
    assert other.ask(key=certificate) is True
    strange = sign_certificate(
        authority, KEY.public, role="host", key_id="", principals=["x"], random_bytes=os.urandom
    )
    assert "does not list" in other.reason(key=strange)
    other.write("known_hosts", f"@revoked * {authority.public.to_line()}")
    assert "revoked" in other.reason(key=certificate)
    other.know()
    assert other.ask(key=certificate) is True


def test_r36_names_of_strangers_are_shown_without_control_characters(other: Site) -> None:
    reason = other.reason(host="a\x1bb", user="c\nd")
    assert reason.isprintable()


def test_names_are_looked_up_in_a_child() -> None:
    reactor: Any = NativeReactor()
    try:
        assert "127.0.0.1" in reactor.run_until(addresses_in_child(reactor, "127.0.0.1"))
        assert reactor.run_until(addresses_in_child(reactor, "no-such-name.invalid")) == []
    finally:
        reactor.close()
