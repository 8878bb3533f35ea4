"""Host certificates: an authority in known_hosts vouches for hosts that no line names (rules R7 and R38)."""

import os
import subprocess
from pathlib import Path
from time import time
from typing import Any

import pytest
from sshkit_keys import (
    CertificateError,
    CertifiedKey,
    PrivateKey,
    generate_private_key,
    sign_certificate,
    write_private_key,
    write_public_key,
)

import sshkit
from tests.client.world import ECDSA_KEY, HOST_KEY, OTHER_KEY, World
from tests.peers import RealSshd
from tests.servers import OwnServer, Place, command_line

AUTHORITY: PrivateKey = generate_private_key("ed25519")


def certified(key: PrivateKey = HOST_KEY, *names: str, **wanted: Any) -> CertifiedKey:
    wanted.setdefault("role", "host")
    certificate = sign_certificate(
        AUTHORITY,
        key.public,
        key_id="host",
        principals=names or ("host",),
        random_bytes=os.urandom,
        **wanted,
    )
    return CertifiedKey(key, certificate)


def visit(
    path: Path, lines: str, *keys: Any, where: str = "me@host", **options: Any
) -> sshkit.ClientConnection:
    """Connect in memory to a server with these host keys, by a known_hosts file of these lines."""
    path.write_text(lines)
    world = World()
    world.said = options.pop("said", [])

    async def main() -> sshkit.ClientConnection:
        async with (
            world.serve(host_keys=list(keys)),
            world.connect(where, known_hosts=[path], **options) as connection,
        ):
            return connection

    return world.run(main())


def line(key: PrivateKey, names: str = "host", marker: str = "@cert-authority ") -> str:
    return f"{marker}{names} {key.public.to_line()}\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "known_hosts"


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_an_authority_vouches_for_its_hosts(path: Path, kind: Any) -> None:
    key = generate_private_key(kind)
    connection = visit(path, line(AUTHORITY, "*"), certified(key), OTHER_KEY)
    assert connection.host_key.key_type.endswith("-cert-v01@openssh.com")
    assert "-cert-v01@openssh.com" in connection.negotiated.summary()


def test_without_an_authority_no_certificate_is_asked_for(path: Path) -> None:
    connection = visit(path, line(HOST_KEY, marker=""), certified(), HOST_KEY)
    assert connection.host_key == HOST_KEY.public


@pytest.mark.parametrize(
    ("names", "wanted", "cause"),
    [
        (("other", "*", "hos"), {}, "does not list 'host'"),
        ((), {"valid_before": 5}, "expired at"),
        ((), {"valid_after": int(time()) + 1000}, "is not valid before"),
        ((), {"role": "user"}, "is for a user, not for a host"),
        ((), {"critical_options": {"force-command": "x"}}, "has the critical option"),
    ],
)
def test_r07_a_certificate_that_does_not_hold_is_a_key_like_any_other(
    path: Path, names: tuple[str, ...], wanted: dict[str, Any], cause: str
) -> None:
    said: list[str] = []
    key = certified(HOST_KEY, *names, **wanted)
    with pytest.raises(sshkit.HostKeyUnknown):
        visit(path, line(AUTHORITY, "*"), key, HOST_KEY, said=said)
    assert any(cause in text for text in said)
    # Where the key itself is known, it lets in all the same.
    visit(path, line(AUTHORITY, "*") + line(HOST_KEY, marker=""), key, HOST_KEY)


def test_r38_an_authority_for_other_hosts_or_another_one_is_none(path: Path) -> None:
    with pytest.raises(sshkit.HostKeyUnknown):
        visit(path, line(AUTHORITY, "*.example"), certified(), HOST_KEY)
    with pytest.raises(sshkit.HostKeyUnknown):
        visit(path, line(OTHER_KEY, "*"), certified(), HOST_KEY)
    with pytest.raises(sshkit.HostKeyChanged):
        visit(path, line(OTHER_KEY, "*") + line(ECDSA_KEY, marker=""), certified(), HOST_KEY)
    with pytest.raises(sshkit.HostKeyUnknown):  # an authority is no host
        visit(path, line(AUTHORITY, "*"), AUTHORITY)


@pytest.mark.parametrize("revoked", [AUTHORITY, HOST_KEY], ids=["authority", "key"])
def test_r07_a_revoked_key_or_authority_is_refused(path: Path, revoked: PrivateKey) -> None:
    text = line(AUTHORITY, "*") + line(revoked, "*", "@revoked ")
    with pytest.raises(sshkit.HostKeyRevoked, match=rf"is revoked in {path}:2"):
        visit(path, text, certified(), HOST_KEY)


def test_keys_that_a_program_names_are_compared_with_the_key_itself() -> None:
    world = World()

    async def main() -> None:
        async with world.serve(host_keys=[certified(), HOST_KEY]), world.connect():
            pass

    world.run(main())


def test_a_certificate_of_another_key_is_refused_at_once() -> None:
    with pytest.raises(CertificateError, match="is about another key"):
        CertifiedKey(OTHER_KEY, certified().public)
    assert repr(certified()).startswith("<CertifiedKey ssh-ed25519-cert-v01@openssh.com SHA256:")


@pytest.mark.peer("sshd")
def test_real_sshd_is_trusted_by_its_certificate(tmp_path: Path) -> None:
    with_certificate = RealSshd(tmp_path, f"HostCertificate {tmp_path}/host_key-cert.pub")
    write_public_key(tmp_path / "host_key-cert.pub", certified(with_certificate.host_key, "127.0.0.1").public)
    (tmp_path / "authorities").write_text(
        f"@cert-authority [127.0.0.1]:{with_certificate.port} {AUTHORITY.public.to_line()}\n"
    )

    async def main() -> str:
        async with sshkit.connect(
            f"root@127.0.0.1:{with_certificate.port}",
            identities=[with_certificate.user_key],
            known_hosts=[tmp_path / "authorities"],
        ) as connection:
            return connection.host_key.key_type

    with with_certificate:
        assert sshkit.run(main()) == "ssh-ed25519-cert-v01@openssh.com"


@pytest.mark.peer("ssh")
def test_the_real_client_trusts_us_by_our_certificate(tmp_path: Path) -> None:
    place = Place(tmp_path)
    key = generate_private_key("rsa", 2048)
    write_private_key(tmp_path / "rsa", key.to_openssh(random_bytes=os.urandom))
    write_public_key(tmp_path / "rsa-cert.pub", certified(key, "127.0.0.1").public)
    config = place.config(
        f"HostKey {tmp_path}/rsa", f"HostCertificate {tmp_path}/rsa-cert.pub", "PermitRootLogin yes"
    )
    server = OwnServer(place, "-D", "-e", "-f", str(config))
    try:
        (tmp_path / "known_hosts").write_text(
            f"@cert-authority [127.0.0.1]:{server.port} {AUTHORITY.public.to_line()}\n"
        )
        done = server.ssh("echo in", options=("-o", "StrictHostKeyChecking=yes"))
        assert (done.returncode, done.stdout) == (0, b"in\n"), done.stderr
    finally:
        server.stop()
    for name, cause in (
        ("none", "No such file"),
        ("id.pub", "not a certificate of a host"),
        ("rsa-cert.pub", "there is no HostKey for it"),
    ):
        text = place.config(f"HostCertificate {tmp_path}/{name}")
        failed = subprocess.run(
            [*command_line("-t", "-f", str(text))], capture_output=True, text=True, check=False
        )
        assert failed.returncode == 255
        assert cause in failed.stderr
