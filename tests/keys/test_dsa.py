"""DSA keys can be read and shown, and are of no use; SHA-1 only on demand; no table offers any of it."""

import os
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa
from sshkit_keys import (
    KEY_TYPES,
    KeyFormatError,
    UnsupportedKey,
    parse_private_key,
    parse_public_key,
    parse_public_line,
)
from sshkit_keys.dsa import DSAPrivateKey
from sshkit_keys.wire import WireReader, mpint, string

from sshkit.ssh.algorithms import SIGNATURES, Algorithms


@pytest.fixture(scope="module")
def key() -> DSAPrivateKey:
    return DSAPrivateKey(dsa.generate_private_key(1024), "old")


def numbers(key: DSAPrivateKey) -> dict[str, int]:
    private = key._handle().private_numbers()
    group = private.public_numbers.parameter_numbers
    return {"p": group.p, "q": group.q, "g": group.g, "y": private.public_numbers.y, "x": private.x}


def test_a_dsa_key_is_shown(key: DSAPrivateKey) -> None:
    public = parse_public_line(key.public.to_line())
    assert public == key.public
    assert (public.bits, public.label, public.comment) == (1024, "DSA", "old")
    assert public.fingerprint().startswith("SHA256:")


def test_a_dsa_key_neither_signs_nor_verifies(key: DSAPrivateKey) -> None:
    assert key.public.signature_algorithms == KEY_TYPES["ssh-dss"].signature_algorithms == ()
    for use in (
        key.public.check_usable,
        lambda: key.public.verify("ssh-dss", b"", string("ssh-dss") + string(bytes(40))),
        lambda: key.public._verify("ssh-dss", b"", bytes(40)),
        lambda: key.sign("ssh-dss", b""),
    ):
        with pytest.raises(UnsupportedKey, match="DSA is too weak"):
            use()


def test_a_dsa_key_is_converted(key: DSAPrivateKey) -> None:
    for data in (key.to_openssh(random_bytes=os.urandom), key.to_pkcs8()):
        read = parse_private_key(data)
        assert read.public == key.public
        assert isinstance(read, DSAPrivateKey)
        assert numbers(read) == numbers(key)
    assert DSAPrivateKey.from_cryptography(object()) is None


@pytest.mark.parametrize(
    ("field", "value", "cause"),
    [
        ("p", 2, "not an odd positive number"),
        ("p", 1 << 1024, "not an odd positive number"),
        ("p", (1 << 3072) + 1, "at most 3072 bits"),
        ("q", 1, "does not divide"),
        ("q", (1 << 159) + 1, "does not divide"),
        ("q", (1 << 256) + 1, "does not divide"),
        ("q", (1 << 2000) + 1, "does not divide"),
        ("g", 1, "outside of its range"),
        ("y", 0, "outside of its range"),
    ],
)
def test_r18_a_dsa_key_that_cannot_be_is_refused(
    key: DSAPrivateKey, field: str, value: int, cause: str
) -> None:
    parts = {**numbers(key), field: value}
    blob = string("ssh-dss") + b"".join(mpint(parts[name]) for name in "pqgy")
    with pytest.raises(KeyFormatError, match=cause):
        parse_public_key(blob)


@pytest.mark.parametrize("x", [0, 1, -1, 1 << 200])
def test_a_dsa_pair_that_does_not_belong_together_is_refused(key: DSAPrivateKey, x: int) -> None:
    parts = {**numbers(key), "x": x}
    with pytest.raises(KeyFormatError, match="does not belong to the private half"):
        DSAPrivateKey.read("ssh-dss", WireReader(b"".join(mpint(parts[name]) for name in "pqgyx")))


def test_a_dsa_key_of_an_unusual_size_is_unsupported() -> None:
    # 23 = 2 * 11 + 1; 2 is of order 11.
    fields = b"".join(mpint(number) for number in (23, 11, 2, 8, 3))
    with pytest.raises(UnsupportedKey, match="a DSA key of 5 and 4 bits"):
        DSAPrivateKey.read("ssh-dss", WireReader(fields))


@pytest.mark.peer("ssh-keygen")
def test_ssh_keygen_shows_a_dsa_key_as_we_do(key: DSAPrivateKey, tmp_path: Path) -> None:
    (tmp_path / "id.pub").write_text(key.public.to_line() + "\n")
    shown = subprocess.run(
        ["ssh-keygen", "-l", "-f", "id.pub"], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout
    assert shown == f"1024 {key.public.fingerprint()} old (DSA)\n"


def test_r16_what_the_table_of_key_types_holds_is_not_thereby_offered() -> None:
    known = {name for kind in KEY_TYPES.values() for name in kind.signature_algorithms}
    assert known > set(SIGNATURES)
    weak = ("ssh-dss", "ssh-rsa", "ssh-dss-cert-v01@openssh.com", "ssh-rsa-cert-v01@openssh.com")
    for offered in (Algorithms().host_keys, Algorithms().user_keys):
        assert not set(offered) & set(weak)
    assert (
        set(Algorithms().host_keys)
        == set(SIGNATURES)
        == {
            "ssh-ed25519",
            "ecdsa-sha2-nistp256",
            "ecdsa-sha2-nistp384",
            "ecdsa-sha2-nistp521",
            "rsa-sha2-512",
            "rsa-sha2-256",
        }
    )
