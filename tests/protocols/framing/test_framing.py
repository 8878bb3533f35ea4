"""Every receiver: pieces, chopped anyhow, come out as they went in; one too long ends the connection."""

from collections.abc import Callable
from struct import Struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sshkit.protocols.framing import (
    FramedReceiver,
    FramingError,
    Int8Receiver,
    Int16Receiver,
    Int32Receiver,
    LineReceiver,
    NetstringReceiver,
    Receiver,
)


class Wire:
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        self.sent = b""
        self.aborted = False
        self.reading = True

    def writelines(self, pieces: Any) -> None:
        self.sent += b"".join(pieces)

    def abort(self) -> None:
        self.aborted = True

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


class Keeps:
    """Mixed into a receiver: keeps its pieces."""

    def __init__(self) -> None:
        super().__init__()
        self.got: list[Any] = []
        self.when: Callable[[Any], None] = lambda piece: None

    def _keep(self, piece: Any) -> None:
        self.got.append(piece)
        self.when(piece)

    def line_received(self, line: bytes) -> None:
        self._keep(line)

    def string_received(self, string: bytes) -> None:
        self._keep(string)

    def message_received(self, message: bytes) -> None:
        self._keep(message)

    def raw_data_received(self, data: bytes) -> None:
        self._keep(("raw", data))


class KeptLines(Keeps, LineReceiver):
    max_length = 20


class KeptStrings(Keeps, NetstringReceiver):
    max_length = 20


class Kept8(Keeps, Int8Receiver):
    pass


class Kept16(Keeps, Int16Receiver):
    pass


class Kept32(Keeps, Int32Receiver):
    max_length = 20


class Headed(Keeps, FramedReceiver):
    """A length in the middle that counts the header."""

    header = Struct("<BHB")

    def length_of(self, fields: tuple[Any, ...]) -> int:
        return int(fields[1]) - 4

    def pack_header(self, length: int, fields: tuple[Any, ...]) -> bytes:
        return self.header.pack(fields[0], length + 4, fields[1])

    def frame_received(self, fields: tuple[Any, ...], body: bytes) -> None:
        self._keep((fields[0], fields[2], body))


SENDERS: list[tuple[Any, Callable[[Any, bytes], None]]] = [
    (KeptLines, lambda receiver, piece: receiver.send_line(piece.replace(b"\n", b""))),
    (KeptStrings, lambda receiver, piece: receiver.send_string(piece)),
    (Kept8, lambda receiver, piece: receiver.send_message(piece)),
    (Kept16, lambda receiver, piece: receiver.send_message(piece)),
    (Kept32, lambda receiver, piece: receiver.send_message(piece)),
    (Headed, lambda receiver, piece: receiver.send_frame(piece, 7, 9)),
]


def made(kind: Any) -> Any:
    receiver = kind()
    receiver.connection_made(Wire())
    return receiver


def chopped(data: bytes, sizes: list[int]) -> list[bytes]:
    pieces = []
    for size in [*sizes, len(data)]:
        pieces.append(data[:size])
        data = data[size:]
    return [piece for piece in pieces if piece]


@pytest.mark.parametrize(("kind", "send"), SENDERS, ids=[kind.__name__ for kind, _ in SENDERS])
@given(
    pieces=st.lists(st.binary(max_size=20), max_size=10),
    sizes=st.lists(st.integers(1, 8), max_size=40),
    pauses=st.booleans(),
)
def test_what_is_sent_is_received_however_it_is_chopped(
    kind: Any, send: Any, pieces: list[bytes], sizes: list[int], pauses: bool
) -> None:
    sender, receiver = made(kind), made(kind)
    for piece in pieces:
        send(sender, piece)
    if pauses:
        receiver.when = lambda piece: receiver.pause()
    for data in chopped(sender.transport.sent, sizes):
        receiver.data_received(data)
        while pauses and receiver._paused:
            assert not receiver.transport.reading
            receiver.resume()
    if kind is KeptLines:
        pieces = [piece.replace(b"\n", b"") for piece in pieces]
    expected: list[Any] = [(7, 9, piece) for piece in pieces] if kind is Headed else pieces
    assert receiver.got == expected
    assert receiver.transport.reading
    assert not receiver._buffer
    assert receiver.error is None


@pytest.mark.parametrize(
    ("kind", "data", "words"),
    [
        (KeptLines, b"x" * 22, "a line of more than 20 bytes"),
        (KeptLines, b"x" * 21 + b"\r\n", "a line of more than 20 bytes"),
        (KeptStrings, b"21:", "a netstring of 21 bytes, 20 allowed"),
        (KeptStrings, b"9" * 30, "a netstring of more than 20 bytes"),
        (KeptStrings, b"1:ab", "does not end with a comma"),
        (KeptStrings, b":,", "no length"),
        (KeptStrings, b"01:a,", "no length"),
        (KeptStrings, b"-1:a,", "no length"),
        (KeptStrings, b"GET / ", "no length"),
        (Kept32, b"\0\0\0\x15", "a message of 21 bytes, 20 allowed"),
        (Kept32, b"\xff\xff\xff\xff", "a message of 4294967295 bytes"),
        (Headed, b"\1\3\0\1", "a message of -1 bytes"),
    ],
)
@pytest.mark.parametrize("size", [1, 100])
def test_a_piece_that_is_too_long_or_none_aborts_the_connection(
    kind: Any, data: bytes, words: str, size: int
) -> None:
    receiver = made(kind)
    for piece in chopped(data, [size] * len(data)):
        receiver.data_received(piece)
    assert receiver.transport.aborted
    assert words in str(receiver.error)
    receiver.data_received(b"a\r\n1:a,")
    assert receiver.got == []
    assert not receiver._buffer


def test_the_longest_line_is_taken_whole_in_any_pieces() -> None:
    for size in (1, 7, 21, 100):
        receiver = made(KeptLines)
        for piece in chopped(b"x" * 20 + b"\r\n" + b"y\r\n", [size] * 30):
            receiver.data_received(piece)
        assert receiver.got == [b"x" * 20, b"y"]


def test_a_line_is_searched_once_however_it_comes() -> None:
    receiver = made(KeptLines)
    receiver.max_length = 10_000
    for _ in range(100):
        receiver.data_received(b"x" * 50)
        assert receiver._searched >= len(receiver._buffer) - 1
    receiver.data_received(b"\r")
    receiver.data_received(b"\n")
    assert receiver.got == [b"x" * 5000]


def test_a_line_to_send_that_would_be_two_is_refused() -> None:
    with pytest.raises(FramingError, match="holds its delimiter"):
        made(KeptLines).send_line(b"a\r\nQUIT")


def test_a_message_to_send_that_the_peer_would_refuse_is_refused() -> None:
    with pytest.raises(FramingError, match="256 bytes, 255 allowed"):
        made(Kept8).send_message(b"x" * 256)


@given(st.lists(st.integers(1, 8), max_size=30))
def test_raw_mode_takes_what_follows_and_gives_the_rest_back(sizes: list[int]) -> None:
    receiver = made(KeptLines)
    left = 5
    body = b""

    def when(piece: Any) -> None:
        nonlocal left, body
        if piece == b"DATA":
            receiver.set_raw_mode()
        elif isinstance(piece, tuple):
            receiver.got.pop()
            body += piece[1][:left]
            rest = piece[1][left:]
            left -= min(left, len(piece[1]))
            if not left:
                receiver.set_frame_mode(rest)

    receiver.when = when
    for piece in chopped(b"HELO\r\nDATA\r\nab\r\ncNOOP\r\nQUIT\r\n", sizes):
        receiver.data_received(piece)
    assert body == b"ab\r\nc"
    assert receiver.got == [b"HELO", b"DATA", b"NOOP", b"QUIT"]


def test_going_back_to_lines_delivers_the_rest_at_once() -> None:
    receiver = made(KeptLines)
    receiver.set_raw_mode()
    receiver.data_received(b"raw")
    receiver.set_frame_mode(b"line\r\n")
    assert receiver.got == [("raw", b"raw"), b"line"]
    with pytest.raises(FramingError, match="not in raw mode"):
        receiver.set_frame_mode(b"more")


def test_data_that_comes_during_a_delivery_keeps_its_place() -> None:
    receiver = made(KeptLines)
    receiver.when = lambda piece: receiver.data_received(b"c\r\n") if piece == b"a" else None
    receiver.data_received(b"a\r\nb\r\n")
    receiver.data_received(b"d")
    receiver.data_received(b"\r\na\r\ne\r\n")
    assert receiver.got == [b"a", b"b", b"c", b"d", b"a", b"e", b"c"]


def test_pausing_and_resuming_twice_is_as_good_as_once() -> None:
    receiver = made(KeptLines)
    receiver.pause()
    receiver.pause()
    receiver.data_received(b"a\r\n")
    assert receiver.got == []
    receiver.set_raw_mode()
    receiver.set_frame_mode()
    receiver.when = lambda piece: receiver.pause() if piece == b"a" else None
    receiver.resume()
    assert not receiver.transport.reading
    receiver.when = lambda piece: None
    receiver.resume()
    receiver.resume()
    assert receiver.transport.reading


def test_pausing_and_resuming_inside_a_delivery_goes_on() -> None:
    receiver = made(KeptLines)

    def when(piece: bytes) -> None:
        receiver.pause()
        receiver.resume()

    receiver.when = when
    receiver.data_received(b"a\r\nb\r\n")
    assert receiver.got == [b"a", b"b"]


def test_nothing_is_delivered_after_a_stop() -> None:
    receiver = made(KeptLines)
    receiver.when = lambda piece: receiver.stop()
    receiver.data_received(b"a\r\nb\r\n")
    receiver.data_received(b"c\r\n")
    assert receiver.got == [b"a"]


def test_the_calls_that_a_program_need_not_take_do_nothing() -> None:
    for kind in (LineReceiver, NetstringReceiver, FramedReceiver, Int8Receiver):
        receiver = made(kind)
        receiver.data_received(
            {LineReceiver: b"\r\n", NetstringReceiver: b"0:,", Int8Receiver: b"\0"}.get(kind, b"\0" * 4)
        )
        receiver.set_raw_mode()
        receiver.data_received(b"x")
        receiver.pause_writing()
        receiver.resume_writing()
        assert receiver.eof_received() is None
        receiver.connection_lost(None)
    with pytest.raises(NotImplementedError):
        made(Receiver).data_received(b"x")
