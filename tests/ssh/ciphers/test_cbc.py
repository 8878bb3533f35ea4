"""CBC with a tag over the plaintext: a peer learns nothing from when and how a bad packet is told (R17)."""

import os
from typing import Any

import pytest

from sshkit.ssh.algorithms import DEFAULT
from sshkit.ssh.ciphers import BY_NAME
from sshkit.ssh.ciphers.cbc import FIRST, SMALL_BLOCK_BYTES, WHOLE
from sshkit.ssh.ciphers.packet import MAX_PACKET_LENGTH, Cipher, Keys
from sshkit.ssh.errors import MACMismatch
from sshkit.ssh.macs.hmac_sha2 import HMAC_SHA2_256, HMAC_SHA2_256_ETM
from tests.ssh.harness import Duo, Scene

EVERY_CIPHER = pytest.mark.parametrize("cipher", BY_NAME, ids=[cipher.name for cipher in BY_NAME])


def pair(cipher: Cipher) -> tuple[Any, Any, memoryview]:
    keys = Keys(os.urandom(cipher.key_size), os.urandom(cipher.iv_size), os.urandom(32))
    halves = (cipher.make_sealer(keys, HMAC_SHA2_256, 0), cipher.make_opener(keys, HMAC_SHA2_256, 0))
    return (*halves, memoryview(bytearray(WHOLE + 4096)))


def seal(sealer: Any, buffer: memoryview, length: int) -> int:
    """Seal a packet of `length`, which need not be one that may be sent."""
    buffer[:4] = length.to_bytes(4, "big")
    buffer[4] = 4
    size = min(length + 4, WHOLE)
    end: int = sealer.seal(buffer, 0, size - size % 16 - 4)
    return end


def told_at(opener: Any, buffer: memoryview) -> list[int]:
    """Return how many bytes the opener wanted before it told of a bad packet."""
    wanted = []
    while True:
        wanted.append(opener.needed)
        try:
            assert opener.open(buffer, 0, opener.needed) is None
        except MACMismatch as error:
            told = str(error)
            break
    assert told == "message authentication code incorrect"
    return wanted


@EVERY_CIPHER
@pytest.mark.parametrize("length", [0, 4, 13, 100, MAX_PACKET_LENGTH + 12, 0x7FFFFFFC, 0xFFFFFFFF])
def test_r17_a_bad_length_is_told_after_as_many_bytes_as_a_bad_tag(cipher: Cipher, length: int) -> None:
    sealer, opener, buffer = pair(cipher)
    seal(sealer, buffer, length)
    if length == 100:  # a good length, and a bad tag
        buffer[110] ^= 1
    wanted = told_at(opener, buffer)
    assert wanted[-2:] == [FIRST, WHOLE]
    with pytest.raises(MACMismatch):  # and stays bad
        opener.open(buffer, 0, WHOLE)


@EVERY_CIPHER
def test_r17_a_long_packet_asks_for_no_more_than_a_bad_one_until_as_much_has_come(cipher: Cipher) -> None:
    sealer, opener, buffer = pair(cipher)
    end = seal(sealer, buffer, 100_012)
    wanted = []
    opened = None
    while opened is None:
        wanted.append(opener.needed)
        opened = opener.open(buffer, 0, opener.needed)
    assert wanted == [cipher.iv_size, FIRST, end]
    with opened[0] as payload:
        assert len(payload) == 100_012 - 5


@pytest.mark.parametrize("core_is_client", [True, False], ids=["client", "server"])
def test_r17_before_the_login_all_bad_packets_end_a_server_at_the_same_byte(core_is_client: bool) -> None:
    ends = set()
    for kind in ("length", "tag", "long"):
        algorithms = DEFAULT.edited(ciphers="aes128-cbc", macs="hmac-sha2-256")
        scene = Scene(core_is_client=core_is_client, algorithms=algorithms)
        scene.handshake()
        payload = bytes((2,)) + bytes(100)
        packet = bytearray(scene.raw.packet(payload, length={"long": 60_012, "length": 7}.get(kind)))
        if kind == "tag":
            packet[-1] ^= 1
        sent = len(packet)
        scene.raw.send_bytes(bytes(packet) + bytes(FIRST - 1 - sent))
        scene.settle()
        assert scene.owner.lost is None, kind
        scene.raw.send_bytes(bytes(1))
        scene.settle()
        if core_is_client:  # he chose his server, and lets it send as much as after the login
            assert scene.owner.lost is None, kind
        else:
            ends.add(str(scene.owner.lost))
    assert len(ends) == (0 if core_is_client else 1)


@EVERY_CIPHER
@pytest.mark.parametrize("length", [0, 7, MAX_PACKET_LENGTH + 16])
def test_r18_a_length_in_the_clear_is_refused_at_once(cipher: Cipher, length: int) -> None:
    keys = Keys(os.urandom(cipher.key_size), os.urandom(cipher.iv_size), os.urandom(32))
    opener = cipher.make_opener(keys, HMAC_SHA2_256_ETM, 0)
    with pytest.raises(MACMismatch):
        opener.open(memoryview(length.to_bytes(4, "big") + bytes(20)), 0, 24)


def test_r17_a_bad_tag_over_ciphertext_is_refused_before_anything_is_decrypted() -> None:
    cipher = BY_NAME[0]
    keys = Keys(os.urandom(cipher.key_size), os.urandom(cipher.iv_size), os.urandom(32))
    opener = cipher.make_opener(keys, HMAC_SHA2_256_ETM, 0)
    with pytest.raises(MACMismatch):
        opener.open(memoryview((16).to_bytes(4, "big") + bytes(48)), 0, 52)


def test_r20_keys_of_a_cipher_with_small_blocks_change_early() -> None:
    duo = Duo(algorithms=DEFAULT.edited(ciphers="3des-cbc", macs="hmac-sha1")).login()
    assert duo.client.rekey_in_at - duo.client.bytes_received <= SMALL_BLOCK_BYTES
    assert duo.server.writer.rekey_at - duo.server.writer.bytes_sent <= SMALL_BLOCK_BYTES
    assert SMALL_BLOCK_BYTES == 32 * 1024 * 1024
