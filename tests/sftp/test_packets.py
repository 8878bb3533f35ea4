"""Packets come out of a stream as they were put in, whatever its pieces, and no length is believed."""

import random

import pytest

from sshkit.sftp import messages as m
from sshkit.sftp.errors import SFTPProtocolError
from sshkit.sftp.packets import MAX_REQUEST, PacketReader

PACKETS = [m.pack_string(m.DATA, i, bytes([i]) * n) for i, n in enumerate((0, 1, 5, 20, 200, 5000, 70000, 3))]
STREAM = b"".join(PACKETS)


def feed_chopped(reader: PacketReader, seed: int) -> None:
    chance = random.Random(seed)
    position = 0
    while position < len(STREAM):
        size = chance.choice((1, 2, 3, 7, 100, 6000, 50000))
        reader.feed(memoryview(STREAM)[position : position + size])
        position += size


@pytest.mark.parametrize("seed", range(20))
def test_packets_are_the_same_however_the_stream_is_cut(seed: int) -> None:
    out: list[bytes] = []
    reader = PacketReader(lambda kind, payload: out.append(bytes(payload)))
    feed_chopped(reader, seed)
    assert out == [packet[4:] for packet in PACKETS]
    assert reader.pending == 0


@pytest.mark.parametrize("seed", range(40))
def test_packets_that_come_in_pieces_are_the_same(seed: int) -> None:
    chance = random.Random(seed)
    out: list[bytes] = []

    def begin(kind: int, length: int, head: memoryview) -> "tuple[int, object] | None":
        if chance.random() < 0.3:
            return None
        whole = bytearray(head[:9])

        def piece(view: memoryview) -> None:
            whole.extend(view)
            if len(whole) == length:
                out.append(bytes(whole))

        return 9, piece

    reader = PacketReader(lambda kind, payload: out.append(bytes(payload)), begin=begin)  # type: ignore[arg-type]
    feed_chopped(reader, seed)
    assert [packet for packet in out if len(packet) > 9] == [p[4:] for p in PACKETS if len(p) > 13]
    assert reader.pending == 0
    assert not reader.streaming


def test_a_whole_packet_is_handed_on_without_a_copy() -> None:
    stream = bytearray(PACKETS[4])
    seen: list[bytes] = []

    def handler(kind: int, payload: memoryview) -> None:
        stream[20] = 77  # shows through the view
        seen.append(bytes(payload))

    PacketReader(handler).feed(memoryview(stream))
    assert seen[0][16] == 77


@pytest.mark.parametrize("length", [0, MAX_REQUEST + 1, 0xFFFFFFFF])
@pytest.mark.parametrize("cut", [4, 2])
def test_r33_a_length_of_zero_or_too_large_is_refused(length: int, cut: int) -> None:
    reader = PacketReader(lambda kind, payload: None)
    raw = memoryview(length.to_bytes(4, "big"))
    if cut < 4:
        reader.feed(raw[:cut])
        raw = raw[cut:]
    with pytest.raises(SFTPProtocolError, match="are allowed"):
        reader.feed(raw)


def test_r18_a_long_length_alone_takes_no_memory() -> None:
    reader = PacketReader(lambda kind, payload: None)
    reader.feed(memoryview(MAX_REQUEST.to_bytes(4, "big") + b"x"))
    assert len(reader._buffer) <= 4096
    assert reader.pending == 5


@pytest.mark.parametrize("sizes", [(1 << 20,), (7, 1 << 20), (9, 3, 1 << 20)])
def test_nothing_is_handled_after_stop(sizes: tuple[int, ...]) -> None:
    seen: list[int] = []

    def handler(kind: int, payload: memoryview) -> None:
        seen.append(kind)
        reader.stopped = True

    reader = PacketReader(handler)
    position = 0
    for size in sizes:
        reader.feed(memoryview(STREAM)[position : position + size])
        position += size
    assert seen == [m.DATA]


def test_nothing_is_handled_after_a_piece_that_stops() -> None:
    def begin(kind: int, length: int, head: memoryview) -> "tuple[int, object] | None":
        def piece(view: memoryview) -> None:
            reader.stopped = True

        return 9, piece

    seen: list[int] = []
    reader = PacketReader(lambda kind, payload: seen.append(kind), begin=begin)  # type: ignore[arg-type]
    reader.feed(memoryview(PACKETS[5][:100]))
    reader.stopped = False
    reader.feed(memoryview(PACKETS[5][100:] + PACKETS[1]))
    assert seen == []
