"""What two proposals agree on, and what is never offered."""

import pytest

from sshkit.ssh.algorithms import DEFAULT, Algorithms
from sshkit.ssh.errors import KeyExchangeFailed
from sshkit.ssh.messages.transport import KexInit
from sshkit.ssh.transport import negotiation
from sshkit.ssh.transport.negotiation import negotiate, parse_proposal, propose
from tests.ssh.harness import Scene

COOKIE = bytes(16)


def proposal(algorithms: Algorithms = DEFAULT, markers: tuple[str, ...] = (), **changes: object) -> bytes:
    payload = propose(algorithms, algorithms.host_keys, markers, COOKIE)
    record = parse_proposal(payload)
    for name, value in changes.items():
        setattr(record, name, value)
    encoded = record.encode()
    return encoded[:1] + COOKIE + encoded[1:]


def test_the_first_of_the_clients_names_that_the_server_has_is_chosen() -> None:
    theirs = DEFAULT.edited(
        key_exchanges="curve25519-sha256,ecdh-sha2-nistp256", ciphers="aes256-ctr,aes128-gcm@openssh.com"
    )
    ours = DEFAULT.edited(
        key_exchanges="ecdh-sha2-nistp256,curve25519-sha256", ciphers="aes128-gcm@openssh.com,aes256-ctr"
    )
    as_client = negotiate(ours, proposal(ours), proposal(theirs), is_client=True)
    assert as_client.key_exchange.name == "ecdh-sha2-nistp256"
    assert as_client.cipher_out.name == as_client.cipher_in.name == "aes128-gcm@openssh.com"
    as_server = negotiate(ours, proposal(ours), proposal(theirs), is_client=False)
    assert as_server.key_exchange.name == "curve25519-sha256"
    assert as_server.cipher_out.name == "aes256-ctr"
    assert as_server.mac_out is not None


def test_directions_may_differ_and_the_summary_says_so() -> None:
    theirs = proposal(
        ciphers_to_client=("aes128-ctr",),
        macs_to_client=("hmac-sha2-512",),
        ciphers_to_server=("aes256-ctr",),
    )
    found = negotiate(DEFAULT, proposal(), theirs, is_client=True)
    assert found.cipher_in.name == "aes128-ctr"
    assert found.mac_in is not None
    assert found.mac_in.name == "hmac-sha2-512"
    assert found.cipher_out.name == "aes256-ctr"
    assert found.summary().endswith("aes256-ctr, hmac-sha2-256-etm@openssh.com, in: aes128-ctr hmac-sha2-512")
    plain = negotiate(
        DEFAULT, proposal(), proposal(ciphers_to_client=("aes256-gcm@openssh.com",)), is_client=True
    )
    assert plain.summary().endswith("aes128-gcm@openssh.com, in: aes256-gcm@openssh.com")


def test_r16_an_aead_cipher_ignores_the_list_of_macs() -> None:
    found = negotiate(
        DEFAULT, proposal(), proposal(macs_to_server=("none",), macs_to_client=()), is_client=True
    )
    assert found.mac_in is None
    assert found.mac_out is None


def test_r16_a_cipher_without_its_own_tag_needs_a_mac() -> None:
    theirs = proposal(ciphers_to_server=("aes128-ctr",), macs_to_server=("none",))
    with pytest.raises(KeyExchangeFailed, match="no common MAC"):
        negotiate(DEFAULT, proposal(), theirs, is_client=True)


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"key_exchanges": ("diffie-hellman-group1-sha1",)}, "key exchange method"),
        ({"key_exchanges": ()}, "key exchange method"),
        ({"host_keys": ("ssh-dss",)}, "host key algorithm"),
        ({"ciphers_to_server": ("none",)}, "cipher \\(client to server\\)"),
        ({"ciphers_to_client": ("3des-cbc",)}, "cipher \\(server to client\\)"),
        ({"compressions_to_server": ("zlib",)}, "compression \\(client to server\\)"),
        ({"compressions_to_client": ("zlib@openssh.com",)}, "compression \\(server to client\\)"),
    ],
)
def test_without_a_common_name_both_lists_are_shown(changes: dict[str, object], what: str) -> None:
    with pytest.raises(KeyExchangeFailed, match=f"no common {what}: we offer .*; the peer offers"):
        negotiate(DEFAULT, proposal(), proposal(**changes), is_client=True)


def test_r13_markers_are_never_chosen_as_methods() -> None:
    markers = tuple(negotiation.MARKERS)
    with pytest.raises(KeyExchangeFailed, match="the peer offers nothing"):
        negotiate(DEFAULT, proposal(markers=markers), proposal(key_exchanges=markers), is_client=True)


def test_r21_no_compression_is_offered() -> None:
    record = parse_proposal(proposal())
    assert record.compressions_to_server == record.compressions_to_client == ("none",)


def test_r16_the_proposal_offers_no_none_and_no_weak_name() -> None:
    record = parse_proposal(proposal())
    names = [
        name
        for field, _, _ in KexInit.fields
        if isinstance(getattr(record, field), tuple) and not field.startswith("compressions")
        for name in getattr(record, field)
    ]
    for word in ("none", "sha1", "md5", "cbc", "arcfour", "3des", "dss", "group1-", "ssh-rsa", "-96"):
        assert not any(word in name for name in names), word


@pytest.mark.parametrize(
    ("first", "kex", "host_key", "wrong"),
    [
        (False, ("ecdh-sha2-nistp256", "curve25519-sha256"), None, False),
        (True, None, None, False),
        (True, ("ecdh-sha2-nistp256", "curve25519-sha256"), None, True),
        (True, None, ("ecdsa-sha2-nistp256", "ssh-ed25519"), True),
    ],
)
def test_r15_a_guess_is_wrong_if_either_first_name_differs(
    first: bool, kex: tuple[str, ...] | None, host_key: tuple[str, ...] | None, wrong: bool
) -> None:
    ours = DEFAULT.edited(key_exchanges="curve25519-sha256,ecdh-sha2-nistp256")
    changes: dict[str, object] = {"first_packet_follows": first}
    if kex:
        changes["key_exchanges"] = kex
    if host_key:
        changes["host_keys"] = host_key
    for is_client in (True, False):
        found = negotiate(ours, proposal(ours), proposal(ours, **changes), is_client=is_client)
        assert found.guess_was_wrong is wrong


def test_a_proposal_cut_in_its_cookie_is_refused() -> None:
    with pytest.raises(KeyExchangeFailed, match="KEXINIT of 5 bytes"):
        negotiate(DEFAULT, proposal(), b"\x14abcd", is_client=True)
    with pytest.raises(KeyExchangeFailed, match="KEXINIT of 16 bytes"):
        parse_proposal(bytes(16))


def test_r18_proposals_longer_than_programs_make_are_not_remembered() -> None:
    before = negotiation._agree.cache_info().currsize
    for number in range(40):
        languages = tuple(f"x{number}-{index:050}" for index in range(200))
        negotiate(DEFAULT, proposal(), proposal(languages_to_client=languages), is_client=True)
    assert negotiation._agree.cache_info().currsize == before


def test_a_core_without_a_fitting_host_key_fails_the_key_exchange() -> None:
    scene = Scene(core_is_client=False)
    scene.layer.algorithms = DEFAULT
    scene.raw.identify()
    scene.raw.send(scene.raw.proposal(host_keys=("rsa-sha2-512",)))
    scene.settle()
    assert isinstance(scene.owner.lost, KeyExchangeFailed)
    assert scene.told.code == 3
