"""The lists that people write to change what is offered."""

import pytest

from sshkit.ssh.algorithms import DEFAULT, USER_KEYS, Algorithms, known_names
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


@pytest.mark.parametrize("text", ["none", "+none", "^none", "aes256-ctr,none", "hmac-md5", "*sha1*"])
def test_r16_none_and_what_is_not_there_cannot_be_configured(text: str) -> None:
    for category in ("ciphers", "macs", "key_exchanges", "host_keys", "user_keys"):
        with pytest.raises(LocalProtocolError, match=r"unknown .* algorithm .*; known: "):
            DEFAULT.edited(**{category: text})


def test_r16_no_default_is_weak() -> None:
    offered = [
        entry.name for table in (DEFAULT.ciphers, DEFAULT.macs, DEFAULT.key_exchanges) for entry in table
    ]
    assert not [name for name in offered if "cbc" in name or "sha1" in name or "umac-64" in name]
    assert [method.name for method in DEFAULT.compressions] == ["none"]
    assert "diffie-hellman-group1-sha1" not in known_names("key_exchanges")


def test_weak_ones_are_taken_by_their_whole_names_and_no_pattern_means_them() -> None:
    assert names(DEFAULT.edited(ciphers="3des-cbc,aes128-ctr")) == ["3des-cbc", "aes128-ctr"]
    assert names(DEFAULT.edited(ciphers="+aes128-cbc"))[-1] == "aes128-cbc"
    assert "aes128-cbc" not in names(DEFAULT.edited(ciphers="aes128-*"))
    with_cbc = DEFAULT.edited(ciphers="+aes128-cbc,aes256-cbc")
    assert names(with_cbc.edited(ciphers="-*-cbc")) == names(DEFAULT)
    with pytest.raises(LocalProtocolError, match=r"unknown cipher algorithm '\*-cbc'; known: .*3des-cbc"):
        DEFAULT.edited(ciphers="+*-cbc")


def test_every_list_is_edited_by_its_own_names() -> None:
    edited = DEFAULT.edited(
        compressions="zlib,none",
        hostbased_keys="rsa-*",
        ca_signatures="^ssh-ed448",
        macs="umac-64@openssh.com",
    )
    assert [method.name for method in edited.compressions] == ["zlib", "none"]
    assert all(name.startswith("rsa-") for name in edited.hostbased_keys)
    assert edited.ca_signatures[0] == "ssh-ed448"
    assert edited.user_keys == DEFAULT.user_keys
    assert [method.name for method in DEFAULT.with_compression().compressions] == ["zlib@openssh.com", "none"]
    assert known_names("compressions") == ("zlib@openssh.com", "none", "zlib")


def test_a_processor_without_aes_does_chacha20_first() -> None:
    assert DEFAULT.for_processor(fast_aes=True) is DEFAULT
    slow = DEFAULT.for_processor(fast_aes=False)
    assert names(slow)[0] == "chacha20-poly1305@openssh.com"
    assert sorted(names(slow)) == sorted(names(DEFAULT))
    chosen = DEFAULT.edited(ciphers="aes256-ctr")
    assert chosen.for_processor(fast_aes=False) is chosen


@pytest.mark.parametrize("text", ["", "+", "-", "^", ","])
def test_an_empty_list_is_a_mistake(text: str) -> None:
    with pytest.raises(LocalProtocolError, match="an empty list"):
        DEFAULT.edited(ciphers=text)


def test_nothing_left_to_offer_is_a_mistake() -> None:
    for category, word in (
        ("ciphers", "cipher"),
        ("key_exchanges", "key exchange"),
        ("host_keys", "host key"),
        ("compressions", "compression"),
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
