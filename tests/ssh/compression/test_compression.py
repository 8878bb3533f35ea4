"""Compression: from the login on, over changes of keys, and what a hostile peer gets (R21)."""

import os
import zlib
from typing import Any

import pytest

from sshkit.ssh.algorithms import DEFAULT, Algorithms
from sshkit.ssh.compression.packets import DeflatingSealer, InflatingOpener, WatchingOpener, WatchingSealer
from sshkit.ssh.errors import CompressionFailed
from sshkit.ssh.messages import transport as messages
from sshkit.ssh.transport.packet_reader import LIMIT
from sshkit.ssh.transport.packet_writer import MAX_PAYLOAD
from sshkit.ssh.transport.rekeying import MIN_BYTES, RekeyLimits
from tests.ssh.harness import Duo, Policy, Scene, channel_of

DELAYED = DEFAULT.with_compression()
AT_ONCE = DEFAULT.edited(compressions="zlib")
BOTH_KINDS = pytest.mark.parametrize("algorithms", [DELAYED, AT_ONCE], ids=["zlib@openssh.com", "zlib"])
BOTH_ROLES = pytest.mark.parametrize("core_is_client", [True, False], ids=["client", "server"])


def halves(duo: Duo) -> list[Any]:
    return [duo.client.writer.sealer, duo.client.opener, duo.server.writer.sealer, duo.server.opener]


@BOTH_KINDS
def test_data_that_repeats_itself_takes_little_and_arrives_whole(algorithms: Algorithms) -> None:
    duo = Duo(algorithms=algorithms).login()
    assert [type(half) for half in halves(duo)] == [DeflatingSealer, InflatingOpener] * 2
    near, far = duo.open()
    data = b"the same again " * 50_000
    before = duo.server.bytes_received
    channel_of(near).write(data)
    channel_of(far).write(data)
    duo.settle()
    assert bytes(far.data) == bytes(near.data) == data
    assert duo.server.bytes_received - before < len(data) // 50
    for layer in (duo.client, duo.server):
        layer.rest()
    channel_of(near).write(b"and after a rest")
    duo.settle()
    assert bytes(far.data[-16:]) == b"and after a rest"


@BOTH_KINDS
def test_data_that_does_not_compress_grows_within_the_room_of_the_buffer(algorithms: Algorithms) -> None:
    duo = Duo(algorithms=algorithms).login()
    near, far = duo.open()
    data = os.urandom(700_000)
    channel_of(near).write(data)
    duo.client.send(bytes((messages.IGNORE,)) + os.urandom(MAX_PAYLOAD - 1))
    duo.client.send(bytes((messages.IGNORE,)) + bytes(MAX_PAYLOAD - 1))
    duo.settle()
    assert bytes(far.data) == data
    assert duo.server.lost is None


@BOTH_KINDS
@pytest.mark.parametrize("limited", ["client", "server"])
def test_new_keys_begin_a_new_context(algorithms: Algorithms, limited: str) -> None:
    small, none = RekeyLimits(MIN_BYTES, 0), RekeyLimits(0, 0)
    duo = Duo(
        algorithms=algorithms,
        limits=small if limited == "client" else none,
        server_limits=small if limited == "server" else none,
    ).login()
    first = halves(duo)
    near, far = duo.open()
    data = os.urandom(100_000)
    channel_of(near).write(data)
    channel_of(far).write(data)
    duo.settle()
    assert bytes(far.data) == bytes(near.data) == data
    assert all(new is not old for new, old in zip(halves(duo), first, strict=True))
    assert [type(half) for half in halves(duo)] == [DeflatingSealer, InflatingOpener] * 2


def test_r21_before_the_login_nothing_is_compressed() -> None:
    duo = Duo(algorithms=DELAYED, policy=Policy())
    duo.settle()
    sealer, opener = duo.server.writer.sealer, duo.client.opener
    assert isinstance(sealer, WatchingSealer)
    assert isinstance(opener, WatchingOpener)
    assert not isinstance(duo.server.opener, InflatingOpener)
    assert not isinstance(duo.client.writer.sealer, DeflatingSealer)
    assert duo.server.opener.sequence > 0


def test_r21_compression_is_off_by_default_and_for_who_does_not_want_it() -> None:
    duo = Duo(algorithms=DELAYED, server_algorithms=DEFAULT).login()
    assert duo.client.negotiated is not None
    assert not duo.client.negotiated.compresses
    assert "zlib" not in duo.client.negotiated.summary()


def test_the_summary_names_the_compression() -> None:
    duo = Duo(algorithms=DELAYED).login()
    assert duo.client.negotiated is not None
    assert duo.client.negotiated.summary().endswith(", zlib@openssh.com")


@pytest.mark.parametrize("out", [True, False], ids=["to the server", "to the client"])
@pytest.mark.parametrize("core_is_client", [True, False], ids=["client", "server"])
def test_one_direction_alone_may_be_compressed(core_is_client: bool, out: bool) -> None:
    scene = Scene(core_is_client=core_is_client, algorithms=DELAYED)
    names = {"compressions_to_server": ("none",)} if out else {"compressions_to_client": ("none",)}
    scene.propose(**names)
    scene.exchange()
    negotiated = scene.layer.negotiated
    assert negotiated is not None
    compressed_out = negotiated.compression_out.name != "none"
    assert compressed_out is (core_is_client is not out)
    assert negotiated.compresses
    watched = scene.layer.opener if core_is_client else scene.layer.writer.sealer
    assert isinstance(watched, (WatchingOpener, WatchingSealer))
    watched._begin()
    assert isinstance(scene.layer.writer.sealer, DeflatingSealer) is compressed_out
    assert isinstance(scene.layer.opener, InflatingOpener) is not compressed_out
    assert not isinstance(scene.layer.writer.sealer, WatchingSealer)


def test_a_success_that_waits_for_new_keys_is_not_compressed_itself() -> None:
    duo = Duo(algorithms=DELAYED)
    granted = duo.policy.on_grant
    assert granted is not None

    def grant_in_the_middle_of_a_rekey() -> None:
        granted()
        duo.server._start_exchange()

    duo.policy.on_grant = grant_in_the_middle_of_a_rekey
    duo.login()
    assert [type(half) for half in halves(duo)] == [DeflatingSealer, InflatingOpener] * 2
    near, far = duo.open()
    channel_of(near).write(b"hello")
    duo.settle()
    assert bytes(far.data) == b"hello"


def hostile(core_is_client: bool) -> Scene:
    """Return a scene where the core inflates and the raw peer sends any bytes."""
    scene = Scene(core_is_client=core_is_client, algorithms=AT_ONCE)
    scene.handshake()
    assert isinstance(scene.layer.opener, InflatingOpener)
    return scene


@BOTH_ROLES
def test_r21_a_bomb_is_refused_before_it_is_inflated(core_is_client: bool) -> None:
    scene = hostile(core_is_client)
    limit = scene.layer.packet_limit
    bomb = zlib.compress(bytes((messages.IGNORE,)) + bytes(20_000_000), 9)
    assert len(bomb) < 30_000
    scene.send(bomb)
    assert isinstance(scene.owner.lost, CompressionFailed)
    assert str(limit) in str(scene.owner.lost)
    assert limit == (LIMIT if core_is_client else 40 * 1024)


@BOTH_ROLES
@pytest.mark.parametrize(
    "payload",
    [b"garbage", b"\x02\0\0\0\0", zlib.compress(b"\x02whole stream, and its end"), b"\x78\x9c"],
    ids=["garbage", "plain", "stream that ends", "nothing"],
)
def test_r21_what_is_no_compressed_payload_ends_the_connection(core_is_client: bool, payload: bytes) -> None:
    scene = hostile(core_is_client)
    scene.send(payload)
    assert isinstance(scene.owner.lost, CompressionFailed)
    assert scene.owner.lost.reason == 6


@BOTH_ROLES
def test_payloads_share_a_context(core_is_client: bool) -> None:
    scene = hostile(core_is_client)
    compressor = zlib.compressobj()
    for number in (messages.IGNORE, 19):
        data = compressor.compress(bytes((number,)) + b"\0\0\0\0") + compressor.flush(zlib.Z_PARTIAL_FLUSH)
        scene.send(data)
    assert scene.owner.lost is None
    assert scene.layer.opener.sequence == 2


def test_a_sequence_number_is_that_of_the_cipher() -> None:
    duo = Duo(algorithms=DELAYED).login()
    for half in halves(duo):
        half.sequence = 7
        assert half.inner.sequence == half.sequence == 7


def test_what_comes_in_pieces_is_opened_when_it_is_whole() -> None:
    for algorithms in (AT_ONCE, DELAYED):
        scene = Scene(core_is_client=True, algorithms=algorithms)
        scene.handshake()
        compressor = zlib.compressobj()
        payload = bytes((messages.IGNORE,)) + b"\0\0\0\0"
        if algorithms is AT_ONCE:
            payload = compressor.compress(payload) + compressor.flush(zlib.Z_PARTIAL_FLUSH)
        before = scene.layer.opener.sequence
        for byte in scene.raw.packet(payload):
            scene.raw.send_bytes(bytes((byte,)))
            scene.settle()
        assert scene.owner.lost is None
        assert scene.layer.opener.sequence == before + 1
        scene.layer.rest()


def test_halves_of_a_cipher_that_keeps_nothing_rest_as_they_are() -> None:
    duo = Duo(algorithms=DEFAULT.edited(ciphers="aes128-ctr", compressions="zlib")).login()
    duo.client.rest()
    near, far = duo.open()
    channel_of(near).write(b"hello")
    duo.settle()
    assert bytes(far.data) == b"hello"
