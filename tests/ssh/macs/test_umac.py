"""UMAC against the vectors of RFC 4418 (appendix), and as a suite of a connection."""

import os

import pytest

from sshkit.ssh.algorithms import DEFAULT
from sshkit.ssh.errors import MACMismatch
from sshkit.ssh.macs.umac import UMAC_64, UMAC_128
from sshkit.ssh.macs.umac_hash import UMAC, Stream
from tests.ssh.harness import Duo, Scene, channel_of

KEY = b"abcdefghijklmnop"
NONCE = int.from_bytes(b"bcdefghi", "big")
VECTORS = {
    b"": "6E155FAD26900BE1",
    b"aaa": "44B5CB542F220104",
    b"a" * 1024: "26BF2F5D60118BD9",
    b"a" * 32768: "27F8EF643B0D118D",
    b"a" * 1048576: "A4477E87E9F55853",
    b"abc": "D4D7B9F6BD4FBFCF",
    b"abc" * 500: "D4CF26DDEFD5C01A",
}


@pytest.mark.parametrize("message", VECTORS, ids=[str(len(message)) for message in VECTORS])
def test_the_tags_are_those_of_the_rfc(message: bytes) -> None:
    assert UMAC_64.start(KEY)(NONCE, memoryview(message)).hex().upper() == VECTORS[message]


def test_the_first_half_of_a_long_tag_differs_by_what_hides_it_only() -> None:
    message = memoryview(os.urandom(3000))
    short, long = UMAC(KEY, 8), UMAC(KEY, 16)
    for sequence in (0, 1, 7, 0xFFFFFFFF):
        a, b = short(sequence, message), long(sequence, message)
        plain = int.from_bytes(a, "big") ^ short._hidden_by(sequence)
        assert plain == (int.from_bytes(b, "big") ^ long._hidden_by(sequence)) >> 64


def test_words_over_the_largest_that_fits_take_the_longer_way() -> None:
    stream = Stream(bytes(1024), b"\1" * 24, bytes(64), bytes(4))
    key = int.from_bytes(b"\1" * 8, "big") & 0x01FFFFFF01FFFFFF
    prime = (1 << 64) - 59
    word = (1 << 64) - 1
    expected = (key * ((key + prime - 1) % prime) + word - 59) % prime
    assert stream.poly([word]) == expected


@pytest.mark.parametrize("mac", ["umac-64", "umac-128", "umac-64-etm", "umac-128-etm"])
def test_data_passes_under_it(mac: str) -> None:
    duo = Duo(algorithms=DEFAULT.edited(ciphers="aes128-ctr", macs=f"{mac}@openssh.com")).login()
    near, far = duo.open()
    data = os.urandom(70_000)
    channel_of(near).write(data)
    duo.settle()
    assert bytes(far.data) == data
    assert duo.client.lost is None


def test_r17_a_changed_byte_is_noticed() -> None:
    scene = Scene(
        core_is_client=False,
        algorithms=DEFAULT.edited(ciphers="aes128-ctr", macs="umac-64-etm@openssh.com"),
    )
    scene.handshake()
    packet = bytearray(scene.raw.packet(bytes((2,)) + bytes(100)))
    packet[30] ^= 1
    scene.raw.send_bytes(bytes(packet))
    scene.settle()
    assert isinstance(scene.owner.lost, MACMismatch)


def test_r43_no_part_shows_its_key() -> None:
    stream = Stream(b"K" * 1024, b"K" * 24, b"K" * 64, b"K" * 4)
    assert repr(stream) == "<UMAC stream>"
    assert not hasattr(UMAC_128.start(KEY), "__dict__")
