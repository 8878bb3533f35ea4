"""Ciphers and MACs against published vectors, and against an independent implementation of the framing."""

import os

import pytest
from asyncssh.encryption import get_encryption

from sshkit.ssh.ciphers import BY_NAME, CIPHERS
from sshkit.ssh.ciphers.aes_ctr import AES128_CTR
from sshkit.ssh.ciphers.packet import Cipher, Keys
from sshkit.ssh.macs import MACS
from sshkit.ssh.macs.hmac_sha1 import HMAC_SHA1, HMAC_SHA1_ETM
from sshkit.ssh.macs.hmac_sha2 import HMAC_SHA2_256, HMAC_SHA2_512
from sshkit.ssh.macs.mac import MAC

HMACS = (*MACS, HMAC_SHA1, HMAC_SHA1_ETM)
EVERY_CIPHER = (*CIPHERS, *BY_NAME)
SUITES = [(cipher, mac) for cipher in EVERY_CIPHER for mac in (HMACS if cipher.needs_mac else (None,))]
EVERY_SUITE = pytest.mark.parametrize(
    ("cipher", "mac"),
    SUITES,
    ids=[f"{cipher.name} {mac.name if mac else ''}".strip() for cipher, mac in SUITES],
)
SIZES = (1, 2, 7, 8, 9, 15, 16, 17, 100, 1000, 32_768)


def make_keys(cipher: Cipher, mac: MAC | None) -> Keys:
    return Keys(
        os.urandom(cipher.key_size), os.urandom(cipher.iv_size), os.urandom(mac.key_size if mac else 0)
    )


def independent(cipher: Cipher, mac: MAC | None, keys: Keys):  # type: ignore[no-untyped-def]
    return get_encryption(
        cipher.name.encode(),
        keys.key,
        keys.iv,
        mac.name.encode() if mac else b"",
        keys.mac_key,
        mac.etm if mac else False,
    )


def packed(payload: bytes, mask: int, overhead: int) -> bytes:
    padding = 4 + (-(5 + len(payload) + overhead) & mask)
    body = bytes((padding,)) + payload + os.urandom(padding)
    return len(body).to_bytes(4, "big") + body


@EVERY_SUITE
@pytest.mark.parametrize("first", [0, 3, 0xFFFFFFFE])
def test_what_we_seal_another_implementation_opens(cipher: Cipher, mac: MAC | None, first: int) -> None:
    keys = make_keys(cipher, mac)
    sealer, other = cipher.make_sealer(keys, mac, first), independent(cipher, mac, keys)
    sequence = first
    for size in SIZES:
        payload = os.urandom(size)
        packet = packed(payload, sealer.mask, sealer.overhead)
        buffer = bytearray(packet + bytes(64))
        with memoryview(buffer) as view:
            end = sealer.seal(view, 0, len(packet) - 4)
        sealed = bytes(buffer[:end])
        assert end == len(packet) + sealer.tag_size
        body, tag = sealed[: len(packet)], sealed[len(packet) :]
        block = cipher.iv_size if cipher.needs_mac else 8
        head, header = other.decrypt_header(sequence, body[:block], 4)
        assert header == packet[:4]
        assert other.decrypt_packet(sequence, head, body[block:], 4, tag) == packet[4:]
        sequence = (sequence + 1) & 0xFFFFFFFF
        assert sealer.sequence == sequence


@EVERY_SUITE
@pytest.mark.parametrize("first", [0, 3, 0xFFFFFFFE])
def test_what_another_implementation_seals_we_open(cipher: Cipher, mac: MAC | None, first: int) -> None:
    keys = make_keys(cipher, mac)
    opener, other = cipher.make_opener(keys, mac, first), independent(cipher, mac, keys)
    sealer = cipher.make_sealer(keys, mac, first)
    sequence = first
    for size in SIZES:
        payload = os.urandom(size)
        packet = packed(payload, sealer.mask, sealer.overhead)
        body, tag = other.encrypt_packet(sequence, packet[:4], packet[4:])
        buffer = bytearray(b"before" + body + tag + b"behind")
        whole = len(body) + len(tag)
        with memoryview(buffer) as view:
            for end in {0, 1, 3, 4, 5, 15, 16, 17, whole - 1}:
                if end < whole and end <= max(opener.needed, 20):
                    assert opener.open(view, 6, 6 + end) is None
                    assert end < opener.needed <= whole
            opened = opener.open(view, 6, 6 + whole + 6)
            assert opened is not None
            with opened[0] as got:
                assert bytes(got) == payload
        assert opened[1] == 6 + whole
        assert bytes(buffer[-6:]) == b"behind"
        sequence = (sequence + 1) & 0xFFFFFFFF
        assert opener.sequence == sequence


def test_hmac_is_that_of_rfc_4231() -> None:
    tags = {}
    for mac in (HMAC_SHA2_256, HMAC_SHA2_512):
        tag = mac.start(b"\x0b" * 20)
        tags[mac.name] = tag(int.from_bytes(b"Hi T", "big"), memoryview(b"here")).hex()
    assert tags["hmac-sha2-256"] == "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
    assert tags["hmac-sha2-512"].startswith(
        "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cde"
    )


def test_counter_mode_is_that_of_nist_sp_800_38a() -> None:
    keys = Keys(
        bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c"),
        bytes.fromhex("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"),
        bytes(32),
    )
    sealer = AES128_CTR.make_sealer(keys, HMAC_SHA2_256, 0)
    buffer = bytearray.fromhex("6bc1bee22e409f96e93d7e117393172a") + bytes(32)
    with memoryview(buffer) as view:
        sealer.seal(view, 0, 12)
    assert buffer[:16].hex() == "874d6191b620e3261bef6864990db6ce"


def test_r16_every_line_of_the_tables_has_its_own_name_and_a_real_key() -> None:
    names = [cipher.name for cipher in EVERY_CIPHER] + [mac.name for mac in HMACS]
    assert len(set(names)) == len(names)
    assert all(cipher.key_size >= 16 for cipher in CIPHERS)
    assert all(mac.tag_size >= 32 for mac in MACS)


@EVERY_SUITE
def test_r43_no_part_of_a_cipher_shows_its_keys(cipher: Cipher, mac: MAC | None) -> None:
    keys = Keys(b"K" * cipher.key_size, b"I" * cipher.iv_size, b"M" * (mac.tag_size if mac else 0))
    for half in (cipher.make_sealer(keys, mac, 0), cipher.make_opener(keys, mac, 0)):
        assert "KKKK" not in repr(half)
        assert not hasattr(half, "__dict__")
