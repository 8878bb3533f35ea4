"""What is taken for a login or a file is exactly one."""

import pytest
from sshkit_keys.wire import string

from sshkit.ssh.agent.signed_data import UNKNOWN, SignedData, parse_signed_data
from tests.ssh.agent.world import ECDSA, ED25519, HOST, RSA, login, sshsig

GOOD = login(ED25519, b"session", "ann")


def parse(data: bytes) -> SignedData:
    return parse_signed_data(data, ED25519.public.blob, ED25519.public.signature_algorithms)


def test_a_login_is_read() -> None:
    assert parse(GOOD) == SignedData("login", "ann", "ssh-connection", b"session", "ssh-ed25519")
    bound = parse(login(ED25519, b"session", "ann", HOST))
    assert (bound.kind, bound.host_key) == ("login", HOST.public)


def test_a_file_is_read() -> None:
    assert parse(sshsig("git")) == SignedData("sshsig", namespace="git")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        GOOD[:-1],
        GOOD + b"x",
        login(ED25519, b"", "ann"),
        login(ECDSA, b"session", "ann"),
        login(ED25519, b"session", "ann", algorithm="rsa-sha2-512"),
        GOOD.replace(b"\x32\0\0\0\3ann", b"\x33\0\0\0\3ann"),
        GOOD.replace(b"ssh-connection", b"ssh-connectiom"),
        GOOD.replace(b"publickey", b"publickez"),
        GOOD.replace(b"publickey\1", b"publickey\0"),
        sshsig("git") + b"x",
        sshsig("git")[:-1],
        b"SSHSIG",
        b"SSHSIG" + string(b"\xff") + string("") * 3,
    ],
    ids=range(14),
)
def test_anything_else_is_unknown(data: bytes) -> None:
    assert parse(data) is UNKNOWN


def test_a_login_that_asks_for_sha_1_is_unknown() -> None:
    data = login(RSA, b"session", algorithm="ssh-rsa")
    assert parse_signed_data(data, RSA.public.blob, RSA.public.signature_algorithms) is UNKNOWN
