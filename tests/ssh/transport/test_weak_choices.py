"""Warnings about what was agreed on."""

from typing import Any

import pytest

from sshkit.ssh.algorithms import DEFAULT
from sshkit.ssh.transport.weak_choices import is_post_quantum, weak_choices
from tests.ssh.harness import Duo


def warnings(**edits: Any) -> list[str]:
    duo = Duo(algorithms=DEFAULT.edited(**edits))
    duo.settle()
    assert duo.client.negotiated is not None
    return weak_choices(duo.client.negotiated)


def test_the_defaults_give_no_warning() -> None:
    assert warnings() == []


@pytest.mark.parametrize("name", ["sntrup761x25519-sha512@openssh.com", "mlkem1024nistp384-sha384"])
def test_every_hybrid_withstands_quantum_computers(name: str) -> None:
    assert is_post_quantum(name)
    assert warnings(key_exchanges=name) == []


@pytest.mark.parametrize(
    ("edits", "words"),
    [
        ({"key_exchanges": "curve25519-sha256"}, ["curve25519-sha256 does not withstand quantum computers"]),
        ({"key_exchanges": "diffie-hellman-group14-sha1"}, ["quantum computers", "relies on SHA-1"]),
        ({"ciphers": "3des-cbc"}, ["blocks of 64 bits"]),
        ({"ciphers": "aes128-cbc"}, ["aes128-cbc is of a mode"]),
        ({"ciphers": "aes128-ctr", "macs": "hmac-sha1"}, ["the MAC hmac-sha1 relies on SHA-1"]),
        ({"ciphers": "aes128-ctr", "macs": "umac-64@openssh.com"}, ["a tag of 64 bits only"]),
        ({"compressions": "zlib"}, ["before the login"]),
    ],
)
def test_each_weak_choice_has_its_sentence(edits: dict[str, str], words: list[str]) -> None:
    found = warnings(**edits)
    assert len(found) == len(words)
    for sentence, word in zip(found, words, strict=True):
        assert word in sentence
