"""Certificates go round between ssh-keygen, ssh, sshd, asyncssh and us."""

import os
import shutil
import subprocess
from pathlib import Path

import asyncssh
import pytest
from sshkit_keys import (
    DEFAULT_USER_EXTENSIONS,
    FOREVER,
    Certificate,
    PrivateKey,
    RevocationList,
    format_certificate,
    generate_private_key,
    load_private_key,
    parse_key_or_certificate_line,
    parse_validity,
    sign_certificate,
    write_private_key,
    write_public_key,
)

from tests.interop.peers import BACKPORTS
from tests.peers import RealSshd

from .conftest import KINDS
from .test_security_keys import Device

KEYGENS = ["ssh-keygen", str(BACKPORTS / "usr/bin/ssh-keygen")]
NOW = 1_700_000_000


@pytest.fixture(params=KEYGENS, ids=["system", "backports"])
def keygen(request: pytest.FixtureRequest) -> str:
    """Each ssh-keygen there is."""
    program: str = request.param
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    return program


def run(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        arguments,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def write_pair(path: Path, key: PrivateKey) -> None:
    write_private_key(path, key.to_openssh(random_bytes=os.urandom))
    write_public_key(f"{path}.pub", key.public)


@pytest.mark.peer("ssh-keygen")
@pytest.mark.parametrize("kind", list(KINDS))
def test_what_ssh_keygen_certifies_reads_and_shows_the_same(
    tmp_path: Path, keys: dict[str, PrivateKey], keygen: str, kind: str
) -> None:
    write_pair(tmp_path / "ca", keys["rsa" if kind == "ecdsa256" else kind])
    write_public_key(tmp_path / "id.pub", keys[kind].public)
    for options in (
        ["-n", "alice,bob", "-V", "+52w", "-z", "7", "-O", "force-command=/bin/true"],
        ["-h", "-n", "*.example", "-V", "20200101Z:20300101120000Z"],
        ["-O", "clear", "-O", "verify-required", "-O", "no-touch-required", "-V", "always:forever"],
        ["-O", "source-address=10.0.0.0/8,::1", "-O", "extension:a@b=c", "-O", "critical:d@e"],
        ["-V", "20200101Z:forever", "-z", str(2**64 - 1)],
    ):
        run(tmp_path, keygen, "-q", "-s", "ca", "-I", "wer da", *options, "id.pub")
        shown = run(tmp_path, keygen, "-L", "-f", "id-cert.pub").splitlines()
        certificate = parse_key_or_certificate_line((tmp_path / "id-cert.pub").read_text())
        assert isinstance(certificate, Certificate)
        assert certificate.key == keys[kind].public
        assert ["id-cert.pub:", *format_certificate(certificate)] == shown


@pytest.mark.peer("ssh-keygen")
@pytest.mark.parametrize("kind", [*KINDS, "sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com"])
def test_what_we_certify_ssh_keygen_shows_the_same(
    tmp_path: Path, keys: dict[str, PrivateKey], keygen: str, kind: str
) -> None:
    public = keys[kind].public if kind in keys else Device(kind).public
    valid_after, valid_before = parse_validity("-1d:+52w", NOW)
    for number, authority in enumerate((keys["ed25519"], keys["rsa"], keys["ecdsa384"])):
        certificate = sign_certificate(
            authority,
            public,
            role="user",
            key_id=f"number {number}",
            principals=("alice", "b o b"),
            serial=number,
            valid_after=valid_after,
            valid_before=valid_before if number else FOREVER,
            critical_options={"force-command": "echo a b", "verify-required": "", "x@y": "z", "w@y": ""},
            extensions={**DEFAULT_USER_EXTENSIONS, "no-touch-required": "", "e@f": b"\x01"},
            algorithm="rsa-sha2-256" if number == 1 else None,
            random_bytes=os.urandom,
        )
        write_public_key(tmp_path / "id-cert.pub", certificate, overwrite=True)
        shown = run(tmp_path, keygen, "-L", "-f", "id-cert.pub").splitlines()
        assert shown == ["id-cert.pub:", *format_certificate(certificate)]
        fingerprint = run(tmp_path, keygen, "-l", "-f", "id-cert.pub")
        expected = f"{certificate.bits} {certificate.fingerprint()} "
        assert fingerprint.startswith(expected)
        assert fingerprint.endswith(f"({certificate.label})\n")


@pytest.mark.peer("ssh-keygen")
@pytest.mark.parametrize("text", ["+52w", "-1d:+1h30m", "20200101:20300101120000", "0x10:0x7fffffff", "+90"])
def test_ssh_keygen_takes_a_validity_as_we_do(tmp_path: Path, keys: dict[str, PrivateKey], text: str) -> None:
    write_pair(tmp_path / "ca", keys["ed25519"])
    from datetime import datetime

    before = int(datetime.now().timestamp())
    run(tmp_path, "ssh-keygen", "-q", "-s", "ca", "-I", "x", "-V", text, "ca.pub")
    after = int(datetime.now().timestamp())
    made = parse_key_or_certificate_line((tmp_path / "ca-cert.pub").read_text())
    assert isinstance(made, Certificate)
    assert (made.valid_after, made.valid_before) in [
        parse_validity(text, now) for now in range(before, after + 1)
    ]


def test_asyncssh_reads_ours_and_we_its_own(key: PrivateKey, keys: dict[str, PrivateKey]) -> None:
    ours = sign_certificate(
        keys["rsa"],
        key.public,
        role="user",
        key_id="id",
        principals=("alice",),
        serial=3,
        critical_options={"force-command": "ls"},
        extensions=DEFAULT_USER_EXTENSIONS,
        random_bytes=os.urandom,
    )
    theirs = asyncssh.import_certificate(ours.to_line())
    assert theirs.principals == ["alice"]
    assert theirs.options["force-command"] == "ls"
    theirs.validate(1, "alice")
    authority = asyncssh.import_private_key(keys["ed25519"].to_openssh(random_bytes=os.urandom))
    public = asyncssh.import_public_key(key.public.to_line())
    made = authority.generate_host_certificate(public, "host id", principals=["h.example"], serial=9)
    read = parse_key_or_certificate_line(made.export_certificate().decode())
    assert isinstance(read, Certificate)
    assert (read.role, read.key_id, read.principals, read.serial) == ("host", "host id", ("h.example",), 9)
    assert (read.key, read.authority) == (key.public, keys["ed25519"].public)
    read.check("host", "h.example", NOW, enforced_options=frozenset())


def test_asyncssh_reads_a_certificate_of_an_ed448_key() -> None:
    key = generate_private_key("ed448")
    ours = sign_certificate(
        key, key.public, role="user", key_id="id", principals=("alice",), random_bytes=os.urandom
    )
    asyncssh.import_certificate(ours.to_line()).validate(1, "alice")


def ssh(peer: RealSshd, *options: str, name: str = "127.0.0.1") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            "ssh", "-F", "none", "-p", str(peer.port), "-i", str(peer.folder / "id"),
            "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-o", "GlobalKnownHostsFile=none",
            "-o", f"UserKnownHostsFile={peer.known_hosts}", "-o", f"HostKeyAlias={name}", *options,
            "127.0.0.1", "echo in",
        ],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=50, check=False,
    )  # fmt: skip


@pytest.mark.peer("sshd")
def test_a_real_sshd_lets_our_certificate_in_until_it_is_revoked(
    tmp_path: Path, keys: dict[str, PrivateKey]
) -> None:
    import getpass

    authority = keys["ed25519"]
    write_public_key(tmp_path / "user_ca.pub", authority.public)
    revoked = RevocationList()
    (tmp_path / "revoked").write_bytes(revoked.to_bytes(generated=NOW))
    peer = RealSshd(tmp_path, f"TrustedUserCAKeys {tmp_path}/user_ca.pub", f"RevokedKeys {tmp_path}/revoked")
    peer.known_hosts.write_text("alias " + " ".join(peer.host_key.public.to_line().split()[:2]) + "\n")

    def enter(kind: str, serial: int) -> subprocess.CompletedProcess[str]:
        for name in ("id", "id.pub", "id-cert.pub"):
            (tmp_path / name).unlink(missing_ok=True)
        write_pair(tmp_path / "id", keys[kind])
        certificate = sign_certificate(
            authority,
            keys[kind].public,
            role="user",
            key_id=f"{kind} {serial}",
            principals=(getpass.getuser(),),
            serial=serial,
            extensions=DEFAULT_USER_EXTENSIONS,
            random_bytes=os.urandom,
        )
        write_public_key(tmp_path / "id-cert.pub", certificate)
        return ssh(peer, "-o", f"CertificateFile={tmp_path}/id-cert.pub", name="alias")

    with peer:
        for serial, kind in enumerate(KINDS, 1):
            done = enter(kind, serial)
            assert done.stdout == "in\n", (kind, done.stderr, peer.log)
        revoked.revoke_serials(authority.public, 1, 2)
        revoked.revoke_key_id(None, "rsa 9")
        revoked.revoke_hash(keys["ecdsa521"].public)
        revoked.revoke_key(keys["ecdsa384"].public)
        (tmp_path / "revoked").write_bytes(revoked.to_bytes(generated=NOW))
        for serial, kind in ((1, "ed25519"), (2, "ecdsa256"), (9, "rsa"), (9, "ecdsa521"), (9, "ecdsa384")):
            done = enter(kind, serial)
            assert done.stdout == "", (kind, serial)
            assert "Permission denied" in done.stderr
        assert enter("rsa", 8).stdout == "in\n"


@pytest.mark.peer("sshd")
def test_a_real_ssh_trusts_our_host_certificate_for_its_principals_only(
    tmp_path: Path, keys: dict[str, PrivateKey]
) -> None:
    authority = keys["rsa"]
    peer = RealSshd(tmp_path, f"HostCertificate {tmp_path}/host_key-cert.pub")
    certificate = sign_certificate(
        authority,
        peer.host_key.public,
        role="host",
        key_id="this host",
        principals=("good.example", "*.wild.example"),
        random_bytes=os.urandom,
    )
    write_public_key(tmp_path / "host_key-cert.pub", certificate)
    shutil.copy(peer.user_key_path, tmp_path / "id")
    line = " ".join(authority.public.to_line().split()[:2])
    peer.known_hosts.write_text(f"@cert-authority *.example {line}\n")
    with peer:
        assert ssh(peer, name="good.example").stdout == "in\n", peer.log
        for name in ("bad.example", "a.wild.example"):
            refused = ssh(peer, name=name)
            assert refused.stdout == ""
            assert "Certificate invalid" in refused.stderr or "verification failed" in refused.stderr
        assert load_private_key(tmp_path / "host_key").public == certificate.key
