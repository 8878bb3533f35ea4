"""Revocation lists go round between ssh-keygen and us."""

import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest
from sshkit_keys import (
    PrivateKey,
    RevocationList,
    RevokedKeyError,
    generate_private_key,
    sign_certificate,
    write_public_key,
)

from tests.interop.peers import BACKPORTS

pytestmark = pytest.mark.peer("ssh-keygen")
KEYGENS = ["ssh-keygen", str(BACKPORTS / "usr/bin/ssh-keygen")]


@pytest.fixture(params=KEYGENS, ids=["system", "backports"])
def keygen(request: pytest.FixtureRequest) -> str:
    """Each ssh-keygen there is."""
    program: str = request.param
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    return program


def run(folder: Path, *arguments: str, status: int = 0) -> str:
    done = subprocess.run(
        arguments,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == status, done.stderr
    return done.stdout


def random_serials(made: random.Random) -> str:
    """Return serial lines with gaps and runs of every size."""
    lines, position = [], 1
    for _ in range(made.randrange(1, 60)):
        position += made.choice((1, 2, 3, 10, 70, 100, 500, 5000, 2 ** made.randrange(1, 50)))
        length = made.choice((1, 1, 1, 2, 5, 20, 40, 200, 1000))
        lines.append(f"serial: {position}-{position + length}" if length > 1 else f"serial: {position}")
        position += length + 1
    made.shuffle(lines)
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("seed", range(12))
def test_ssh_keygen_writes_the_same_bytes(
    tmp_path: Path, keys: dict[str, PrivateKey], keygen: str, seed: int
) -> None:
    authority = keys["ed25519"].public
    write_public_key(tmp_path / "ca.pub", authority)
    text = random_serials(random.Random(seed)) + "id: one\nid: another one\n"
    for number, key in enumerate(keys.values()):
        text += ("", "key: ", "sha1: ", "sha256: ", "")[number] + key.public.to_line() + "\n"
    (tmp_path / "spec").write_text(text)
    run(tmp_path, keygen, "-q", "-k", "-f", "krl", "-s", "ca.pub", "-z", "12", "-C", "why not", "spec")
    theirs = RevocationList.load(tmp_path / "krl")
    assert (theirs.version, theirs.comment) == (12, "why not")
    ours = RevocationList()
    ours.update(text.encode(), authority)
    assert ours.to_bytes(12, "why not", generated=theirs.generated) == (tmp_path / "krl").read_bytes()
    assert "\n".join(theirs.lines()) + "\n" == run(tmp_path, keygen, "-Q", "-l", "-f", "krl")


def test_an_existing_list_is_added_to_as_ssh_keygen_does(
    tmp_path: Path, keys: dict[str, PrivateKey], keygen: str
) -> None:
    authority = keys["ed25519"].public
    write_public_key(tmp_path / "ca.pub", authority)
    (tmp_path / "one").write_text("serial: 5\nserial: 20-300\n")
    (tmp_path / "two").write_text(f"serial: 7-19\nid: a\n{keys['rsa'].public.to_line()}\n")
    run(tmp_path, keygen, "-q", "-k", "-f", "krl", "-s", "ca.pub", "one")
    ours = RevocationList.load(tmp_path / "krl")
    run(tmp_path, keygen, "-q", "-k", "-u", "-f", "krl", "-s", "ca.pub", "-z", "2", "two")
    ours.update((tmp_path / "two").read_bytes(), authority)
    theirs = RevocationList.load(tmp_path / "krl")
    assert ours.to_bytes(2, generated=theirs.generated) == (tmp_path / "krl").read_bytes()
    wild = RevocationList()
    run(tmp_path, keygen, "-q", "-k", "-f", "wild", "-s", "none", "one")
    wild.update((tmp_path / "one").read_bytes(), any_authority=True)
    generated = RevocationList.load(tmp_path / "wild").generated
    assert wild.to_bytes(generated=generated) == (tmp_path / "wild").read_bytes()


def test_ssh_keygen_finds_revoked_what_we_revoke(
    tmp_path: Path, keys: dict[str, PrivateKey], keygen: str
) -> None:
    authority, plain = keys["ed25519"], generate_private_key("ed25519")
    revoked = RevocationList()
    revoked.revoke_key(keys["rsa"].public)
    revoked.revoke_hash(keys["ecdsa256"].public)
    revoked.revoke_hash(keys["ecdsa384"].public, "sha1")
    for serial in range(1, 40001, 3):
        revoked.revoke_serials(authority.public, serial)
    revoked.revoke_serials(None, 10**9, 10**12)
    revoked.revoke_key_id(None, "gone")
    (tmp_path / "krl").write_bytes(revoked.to_bytes(1, "ours", generated=1_700_000_000))
    for number, (key, serial, key_id) in enumerate(
        [
            (keys["rsa"], None, ""),
            (keys["ecdsa256"], None, ""),
            (keys["ecdsa384"], None, ""),
            (keys["ecdsa521"], None, ""),
            (plain, 1, "a"),
            (plain, 2, "b"),
            (plain, 39997, "c"),
            (plain, 10**12, "d"),
            (plain, 10**12 + 1, "e"),
            (plain, 2, "gone"),
        ]
    ):
        public = key.public
        if serial is not None:
            public = sign_certificate(
                authority, public, role="user", key_id=key_id, serial=serial, random_bytes=os.urandom
            )
        write_public_key(tmp_path / f"{number}.pub", public)
        try:
            revoked.check(public)
            status = 0
        except RevokedKeyError:
            status = 1
        assert status == (number not in (3, 5, 8))
        run(tmp_path, keygen, "-Q", "-f", "krl", f"{number}.pub", status=status)
