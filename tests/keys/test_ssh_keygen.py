"""Both ways between our key files and the real ssh-keygen's."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from sshkit_keys import (
    PassphraseRequired,
    PrivateKey,
    WrongPassphrase,
    load_private_key,
    load_public_key,
    write_private_key,
    write_public_key,
)
from sshkit_keys.private_ciphers import PRIVATE_CIPHERS

pytestmark = pytest.mark.peer("ssh-keygen")
Keygen = Callable[..., str]


@pytest.mark.parametrize("passphrase", ["", "secret"])
@pytest.mark.parametrize("form", ["RFC4716", "PEM", "PKCS8"])
@pytest.mark.parametrize(
    ("kind", "bits"),
    [("ed25519", "256"), ("ecdsa", "256"), ("ecdsa", "384"), ("ecdsa", "521"), ("rsa", "2048")],
)
def test_what_ssh_keygen_writes_is_read(
    tmp_path: Path, ssh_keygen: Keygen, kind: str, bits: str, form: str, passphrase: str
) -> None:
    common = ("-q", "-f", "id", "-N", passphrase, "-C", "me at home", "-a", "1")
    ssh_keygen("-t", kind, "-b", bits, "-m", form, *common)
    public = load_public_key(tmp_path / "id.pub")
    key = load_private_key(tmp_path / "id", passphrase.encode())
    assert key.public == public
    assert public.comment == "me at home"
    assert public.bits == int(bits)
    if form == "RFC4716" or kind == "ed25519":
        assert key.comment == "me at home"
    if passphrase:
        with pytest.raises(WrongPassphrase):
            load_private_key(tmp_path / "id", b"Secret")
        with pytest.raises(PassphraseRequired):
            load_private_key(tmp_path / "id")
    algorithm = public.signature_algorithms[0]
    public.verify(algorithm, b"data", key.sign(algorithm, b"data"))


@pytest.mark.parametrize("cipher", list(PRIVATE_CIPHERS))
def test_every_cipher_of_ssh_keygen_is_read_and_written(
    tmp_path: Path, ssh_keygen: Keygen, cipher: str
) -> None:
    ssh_keygen("-q", "-t", "ed25519", "-f", "id", "-N", "secret", "-Z", cipher, "-a", "1")
    key = load_private_key(tmp_path / "id", b"secret")
    assert key.public == load_public_key(tmp_path / "id.pub")
    with pytest.raises(WrongPassphrase):
        load_private_key(tmp_path / "id", b"Secret")
    if PRIVATE_CIPHERS[cipher].seal:
        write_private_key(tmp_path / "ours", key.to_openssh(b"other", 1, cipher, random_bytes=os.urandom))
        assert ssh_keygen("-y", "-f", "ours", "-P", "other") == key.public.to_line() + "\n"


@pytest.mark.parametrize("passphrase", ["", "secret"])
def test_what_we_write_ssh_keygen_reads(
    tmp_path: Path, key: PrivateKey, ssh_keygen: Keygen, passphrase: str
) -> None:
    secret = passphrase.encode() or None
    write_private_key(tmp_path / "id", key.to_openssh(secret, 1, random_bytes=os.urandom))
    write_public_key(tmp_path / "id.pub", key.public)
    assert ssh_keygen("-y", "-f", "id", "-P", passphrase) == key.public.to_line() + "\n"
    for name in ("id", "id.pub"):
        shown = ssh_keygen("-l", "-f", name)
        assert shown == f"{key.public.bits} {key.public.fingerprint()} {key.comment} ({key.public.label})\n"
    if key.public.label != "ED25519":
        # ssh-keygen of 9.2 does not read ed25519 in PKCS#8.
        write_private_key(tmp_path / "pkcs8", key.to_pkcs8(secret))
        shown = ssh_keygen("-y", "-f", "pkcs8", "-P", passphrase)
        assert shown.split()[:2] == key.public.to_line().split()[:2]
