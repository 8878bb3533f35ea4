"""The lists that people write to change what is offered."""

import pytest

from sshkit.ssh.algorithms import DEFAULT, USER_KEYS, Algorithms
from sshkit.ssh.ciphers import CIPHERS
from sshkit.ssh.errors import LocalProtocolError


def names(algorithms: Algorithms) -> list[str]:
    return [cipher.name for cipher in algorithms.ciphers]


def test_a_plain_list_replaces_and_keeps_its_order() -> None:
    assert names(DEFAULT.edited(ciphers="aes256-ctr,aes128-gcm@openssh.com")) == [
        "aes256-ctr",
        "aes128-gcm@openssh.com",
    ]


def test_signs_add_at_the_end_put_in_front_and_take_away() -> None:
    base = DEFAULT.edited(ciphers="aes128-ctr,aes192-ctr")
    assert names(base.edited(ciphers="+aes256-ctr,aes128-ctr")) == ["aes128-ctr", "aes192-ctr", "aes256-ctr"]
    assert names(base.edited(ciphers="^aes256-ctr,aes192-ctr")) == ["aes256-ctr", "aes192-ctr", "aes128-ctr"]
    assert names(base.edited(ciphers="-aes128*")) == ["aes192-ctr"]
    assert names(base.edited(ciphers="-unknown")) == names(base)


def test_patterns_name_all_that_fit_once() -> None:
    assert names(DEFAULT.edited(ciphers="aes*-gcm@*,aes128-gcm@openssh.com")) == [
        "aes128-gcm@openssh.com",
        "aes256-gcm@openssh.com",
    ]
    edited = DEFAULT.edited(
        key_exchanges="curve*", host_keys="rsa-*", macs="*-512", user_keys="-ecdsa*", ciphers=None
    )
    assert [method.name for method in edited.key_exchanges] == [
        "curve25519-sha256",
        "curve25519-sha256@libssh.org",
    ]
    certificates = ("rsa-sha2-512-cert-v01@openssh.com", "rsa-sha2-256-cert-v01@openssh.com")
    assert edited.host_keys == (*certificates, "rsa-sha2-512", "rsa-sha2-256")
    assert [mac.name for mac in edited.macs] == ["hmac-sha2-512"]
    assert set(edited.user_keys) == {name for name in USER_KEYS if not name.startswith("ecdsa")}
    assert edited.user_keys.index("ssh-ed25519-cert-v01@openssh.com") < edited.user_keys.index("ssh-ed25519")


@pytest.mark.parametrize("text", ["none", "aes128-cbc", "+none", "^none", "3des-cbc,aes128-ctr"])
def test_r16_none_and_weak_names_cannot_be_configured(text: str) -> None:
    with pytest.raises(LocalProtocolError, match=r"unknown cipher algorithm .*; known: aes128-gcm"):
        DEFAULT.edited(ciphers=text)
    for category in ("macs", "key_exchanges", "host_keys", "user_keys"):
        with pytest.raises(LocalProtocolError, match="unknown"):
            DEFAULT.edited(**{category: text})


@pytest.mark.parametrize("text", ["", "+", "-", "^", ","])
def test_an_empty_list_is_a_mistake(text: str) -> None:
    with pytest.raises(LocalProtocolError, match="an empty list"):
        DEFAULT.edited(ciphers=text)


def test_nothing_left_to_offer_is_a_mistake() -> None:
    for category, word in (
        ("ciphers", "cipher"),
        ("key_exchanges", "key exchange"),
        ("host_keys", "host key"),
    ):
        with pytest.raises(LocalProtocolError, match=f"no {word} algorithm left"):
            DEFAULT.edited(**{category: "-*"})
    with pytest.raises(LocalProtocolError, match="no MAC left"):
        DEFAULT.edited(macs="-*")
    assert DEFAULT.edited(macs="-*", ciphers="*gcm*").macs == ()


def test_a_program_brings_its_own_algorithm() -> None:
    mine = CIPHERS[0]._replace(name="mine@example.org")
    own = Algorithms(ciphers=(*CIPHERS, mine))
    assert names(own.edited(ciphers="mine@*")) == ["mine@example.org"]


def test_host_keys_are_put_in_another_order_in_a_copy() -> None:
    assert DEFAULT.with_host_keys(DEFAULT.host_keys) is DEFAULT
    assert DEFAULT.with_host_keys(("rsa-sha2-512",)).host_keys == ("rsa-sha2-512",)
    assert DEFAULT.host_keys[0] == "ssh-ed25519"
