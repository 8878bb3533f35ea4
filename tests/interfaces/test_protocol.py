"""A buffered protocol takes bytes from transports that know no buffers."""

from sshkit.interfaces import receive_into_buffer


class Collector:
    def __init__(self, size: int) -> None:
        self.buffer = memoryview(bytearray(size))
        self.hints: list[int] = []
        self.pieces: list[bytes] = []

    def get_buffer(self, sizehint: int) -> memoryview:
        self.hints.append(sizehint)
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.pieces.append(bytes(self.buffer[:nbytes]))

    data_received = receive_into_buffer


def test_bytes_larger_than_the_buffer_arrive_piece_by_piece() -> None:
    collector = Collector(4)
    collector.data_received(b"abcdefghij")
    assert collector.pieces == [b"abcd", b"efgh", b"ij"]
    assert collector.hints == [10, 6, 2]


def test_no_bytes_ask_for_no_buffer() -> None:
    collector = Collector(4)
    collector.data_received(b"")
    assert collector.hints == []
