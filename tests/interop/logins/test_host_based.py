"""Hosts that vouch for their users: at OpenSSH's server, by our own, and by the helper ssh-keysign."""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sshkit_keys import generate_private_key
from sshkit_keys.key_files import write_public_key

import sshkit
from sshkit.client import host_based as host_based_module
from sshkit.client.host_based import HostBased
from sshkit.client.keysign import KeysignFailed, call_keysign, find_keysign
from sshkit.server.host_logins import HostUsers
from tests.client.world import key_file
from tests.interop.logins.servers import VERSIONS, Sshd

HOST = "client.sshkit.test"


@contextlib.contextmanager
def lines_at_home(**files: str) -> Iterator[None]:
    """Add lines to files of the user's home for as long as sshd reads them there."""
    home = Path.home()
    before = {}
    for name, text in files.items():
        path = home / {"shosts": ".shosts", "known_hosts": ".ssh/known_hosts"}[name]
        path.parent.mkdir(mode=0o700, exist_ok=True)
        before[path] = path.read_text() if path.exists() else None
        path.write_text((before[path] or "") + text)
        path.chmod(0o600)
    try:
        yield
    finally:
        for (path, old), text in zip(before.items(), files.values(), strict=True):
            left = path.read_text().replace(text, "", 1)  # others may have added lines meanwhile
            if left or old is not None:
                path.write_text(left)
            else:
                path.unlink()


@pytest.mark.peer("sshd")
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("kind", ["ed25519", "rsa"])
def test_real_servers_take_a_hosts_word(tmp_path: Path, version: str, kind: Any) -> None:
    key = generate_private_key(kind)
    path = key_file(tmp_path, "ssh_host_key", key)
    known = f"{HOST} {' '.join(key.public.to_line().split(' ')[:2])}\n"
    with (
        lines_at_home(shosts=f"{HOST} root\n", known_hosts=known),
        Sshd(
            tmp_path,
            version,
            "HostbasedAuthentication yes",
            "HostbasedUsesNameFromPacketOnly yes",
            "IgnoreRhosts no",
            "PubkeyAuthentication no",
        ) as sshd,
    ):

        async def main(user: str) -> list[str]:
            async with sshkit.connect(
                f"root@127.0.0.1:{sshd.port}",
                known_hosts=sshd.known_hosts,
                identities=[],
                host_based=HostBased([path], host=HOST, user=user),
            ) as connection:
                return [f"{attempt.method} {attempt.verdict}" for attempt in connection.trail]

        assert sshkit.run(main("root")) == ["hostbased accepted"]
        with pytest.raises(sshkit.AuthenticationFailed) as refused:
            sshkit.run(main("nobody"))
        assert refused.value.trail[-1].method == "hostbased"
        assert refused.value.trail[-1].fingerprint == key.public.fingerprint()


#: What OpenSSH's helper does, with a key that is named beside it.
HELPER = """\
#!{python}
import os, sys
from sshkit_keys import load_private_key
from sshkit_keys.wire import WireReader, byte, string, uint32
folder = os.path.dirname(sys.argv[0])
outer = WireReader(sys.stdin.buffer.read())
reader = WireReader(outer.string("request"))
assert reader.byte("version") == 2
descriptor = reader.uint32("descriptor")
os.fstat(descriptor)
data = reader.string("data")
signed = WireReader(data)
signed.string("session"); signed.byte("50"); signed.string("user"); signed.string("service")
assert signed.string("method") == b"hostbased"
algorithm = signed.text("algorithm")
signature = load_private_key(os.path.join(folder, "secret")).sign(algorithm, data)
answer = byte(int(os.environ.get("KEYSIGN_VERSION", "2"))) + string(signature)
sys.stdout.buffer.write(uint32(len(answer)) + answer)
"""


@pytest.fixture
def helper(tmp_path: Path) -> str:
    folder = tmp_path / "helper"
    folder.mkdir()
    program = folder / "ssh-keysign"
    program.write_text(HELPER.format(python=sys.executable))
    program.chmod(0o755)
    return str(program)


class Vouched:
    """A server of ours that knows the client's host, and this machine's keys in a folder."""

    def __init__(self, tmp: Path, *equivalents: str, **options: Any) -> None:
        self.key = generate_private_key("ed25519")
        self.tmp = tmp
        (tmp / "known").write_text(f"{HOST} {' '.join(self.key.public.to_line().split(' ')[:2])}\n")
        (tmp / "equiv").write_text("".join(f"{line}\n" for line in equivalents or (HOST,)))
        options.setdefault("resolve", lambda host: ["127.0.0.1"] if host == HOST else [])
        options.setdefault("equivalents", [tmp / "equiv"])
        self.users = HostUsers(known_hosts=[tmp / "known"], **options)
        self.host_key = generate_private_key("ed25519")
        self.log: list[str] = []

    def visit(self, *lines: str, user: str = "me", **options: Any) -> Any:
        """Log in by the configuration; return the trail, or the error."""

        async def main() -> Any:
            async with sshkit.serve(
                "127.0.0.1:0",
                lambda session: None,
                host_keys=[self.host_key],
                users=self.users,
                log=lambda level, text, error: self.log.append(text),
            ) as server:
                (self.tmp / "config").write_text("\n".join(lines))
                try:
                    async with sshkit.connect(
                        f"{user}@127.0.0.1:{server.address[1]}",
                        config=self.tmp / "config",
                        host_keys=[self.host_key.public],
                        identities=[],
                        agent="",
                        **options,
                    ) as connection:
                        return [str(attempt) for attempt in connection.trail]
                except sshkit.AuthenticationFailed as error:
                    return error

        return sshkit.run(main())


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "etc"
    folder.mkdir()
    original = host_based_module.system_host_keys

    def here(*arguments: Any, **options: Any) -> Any:
        return original(*arguments, folder=str(folder), **options)

    monkeypatch.setattr(host_based_module, "system_host_keys", here)
    monkeypatch.setattr(host_based_module, "local_name", lambda address: HOST)
    return folder


def me() -> str:
    return host_based_module.local_user()


def test_root_signs_with_the_hosts_keys_themselves(tmp_path: Path, place: Path) -> None:
    vouched = Vouched(tmp_path)
    path = key_file(place, "ssh_host_ed25519_key", vouched.key)
    trail = vouched.visit("HostbasedAuthentication yes", user=me())
    fingerprint = vouched.key.public.fingerprint()
    assert trail == [f"hostbased (ssh-ed25519 {fingerprint} {path}): accepted"]


def test_the_helper_signs_where_the_keys_cannot_be_read(
    tmp_path: Path, place: Path, helper: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    vouched = Vouched(tmp_path)
    key_file(Path(helper).parent, "secret", vouched.key)
    write_public_key(place / "ssh_host_ed25519_key.pub", vouched.key.public)
    monkeypatch.setattr("sshkit.client.keysign.find_keysign", lambda: helper)
    lines = ("HostbasedAuthentication yes", "EnableSSHKeysign yes")
    assert vouched.visit(*lines, user=me())[-1].endswith("(ssh-keysign)): accepted")
    error = vouched.visit(lines[0], user=me())
    assert "this host has no key to sign with" in str(error)
    monkeypatch.setenv("KEYSIGN_VERSION", "1")
    assert "answers in version 1" in str(vouched.visit(*lines, user=me()))
    (Path(helper).parent / "secret").unlink()
    assert "did not sign (status 1)" in str(vouched.visit(*lines, user=me()))


def test_a_helper_that_is_not_there_or_never_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_keysign((str(tmp_path / "none"),)) is None
    reads, writes = os.pipe()
    os.close(writes)
    with pytest.raises(KeysignFailed, match="No such file"):
        call_keysign(str(tmp_path / "none"), reads, b"")
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.close(reads)  # it was closed already
    slow = tmp_path / "slow"
    slow.write_text("#!/bin/sh\nexec sleep 1000\n")
    slow.chmod(0o755)
    monkeypatch.setattr("sshkit.client.keysign.TIMEOUT", 0.05)
    reads, writes = os.pipe()
    os.close(writes)
    with pytest.raises(KeysignFailed, match=r"no signature within 0\.05 s"):
        call_keysign(str(slow), reads, b"")


def given(vouched: Vouched, **options: Any) -> Any:
    options.setdefault("user", "me")
    options.setdefault("host", HOST)
    login = options.pop("login", "me")
    return vouched.visit(user=login, host_based=HostBased([options.pop("key", vouched.key)], **options))


@pytest.mark.parametrize(
    ("line", "options", "let_in"),
    [
        (HOST, {}, True),
        (f"{HOST.upper()} # ours", {}, True),
        (f"{HOST} me", {}, True),
        (HOST, {"login": "root"}, False),
        (f"{HOST} me", {"login": "root"}, False),
        (f"{HOST} you", {}, False),
        (f"-{HOST}", {}, False),
        (f"{HOST} -me", {}, False),
        ("+", {}, False),
        ("+ +", {}, False),
        ("+@group", {}, False),
        ("@group", {}, False),
        (f"{HOST} me too", {}, False),
        ("", {}, False),
        ("other.example", {}, False),
        (HOST, {"host": "unknown.example"}, False),
        (HOST, {"key": generate_private_key("ed25519")}, False),
    ],
)
def test_r07_a_host_vouches_for_whom_a_line_lets_in(
    tmp_path: Path, line: str, options: Any, let_in: bool
) -> None:
    vouched = Vouched(tmp_path, line)
    assert isinstance(given(vouched, **options), list) is let_in, vouched.log
    if not let_in:
        assert any("'me' of " in text for text in vouched.log)


def test_a_users_own_file_may_name_another_user_of_the_host(tmp_path: Path) -> None:
    (tmp_path / "shosts").write_text(f"{HOST} me\n")
    files: Any = {"root": [tmp_path / "shosts", tmp_path / "missing"]}
    vouched = Vouched(tmp_path, equivalents=[], user_equivalents=files)
    assert isinstance(given(vouched, login="root"), list)
    assert not isinstance(given(vouched), list)


def test_r07_the_name_has_to_lead_to_where_the_client_is(tmp_path: Path) -> None:
    vouched = Vouched(tmp_path, resolve=lambda host: ["192.0.2.1"])
    assert not isinstance(given(vouched), list)
    assert any(f"{HOST} does not lead to 127.0.0.1" in text for text in vouched.log)
    assert isinstance(given(Vouched(tmp_path, resolve=lambda host: [], names_are_enough=True)), list)
    assert not isinstance(given(Vouched(tmp_path, resolve=None)), list)  # the system knows no such host


@pytest.mark.parametrize("revoked", [None, "key", "authority"])
def test_r07_a_certified_host_needs_an_authority_that_is_not_revoked(
    tmp_path: Path, revoked: str | None
) -> None:
    from sshkit_keys import CertifiedKey, sign_certificate

    vouched = Vouched(tmp_path)
    vouched.users.takes_certificates = True
    authority = generate_private_key("ed25519")
    text = f"@cert-authority *.test {authority.public.to_line()}\n"
    if revoked:
        key = vouched.key if revoked == "key" else authority
        text += f"@revoked * {key.public.to_line()}\n"
    (tmp_path / "known").write_text(text)

    def certified(*names: str) -> CertifiedKey:
        made = sign_certificate(
            authority,
            vouched.key.public,
            role="host",
            key_id="x",
            principals=names,
            random_bytes=os.urandom,
        )
        return CertifiedKey(vouched.key, made)

    assert isinstance(given(vouched, key=certified(HOST)), list) is (revoked is None)
    assert not isinstance(given(vouched, key=certified("other.example")), list)


def test_a_host_is_named_whole_and_its_certificate_goes_first(tmp_path: Path) -> None:
    from sshkit_keys import sign_certificate

    key = generate_private_key("ed25519")
    path = key_file(tmp_path, "key", key)
    made = sign_certificate(key, key.public, role="host", key_id="x", random_bytes=os.urandom)
    write_public_key(tmp_path / "key-cert.pub", made)
    host = HostBased([str(path)])
    assert host.host == f"{os.uname().nodename}."
    assert [identity.public.key_type for identity in host.identities] == [
        "ssh-ed25519-cert-v01@openssh.com",
        "ssh-ed25519",
    ]
    (tmp_path / "key-cert.pub").unlink()
    write_public_key(tmp_path / "key-cert.pub", key.public)
    assert len(HostBased([str(path)], host="a.", user="b").identities) == 1


def test_the_name_of_our_own_address_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    assert host_based_module.local_name(None) == os.uname().nodename
    monkeypatch.setattr("socket.getnameinfo", lambda *arguments: ("here.example", "0"))
    assert host_based_module.local_name(("127.0.0.1", 5)) == "here.example"

    def unknown(*arguments: Any) -> Any:
        raise OSError

    monkeypatch.setattr("socket.getnameinfo", unknown)
    assert host_based_module.local_name(("127.0.0.1", 5)) == os.uname().nodename
