"""The streams at the end of a channel, by themselves."""

from typing import Any

import pytest

import sshkit
from sshkit.ssh.channels import streams
from sshkit.ssh.channels.streams import StreamOverflow, StreamReader, StreamWriter


def now(deferred: "sshkit.Deferred[Any]") -> Any:
    """Return what is there already."""
    assert deferred.called
    return deferred.result()


class Told:
    """Counts what an owner is told."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> None:
        self.times += 1


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def reader(told: Told) -> StreamReader:
    return StreamReader(told)


def test_what_is_here_is_read_at_once(reader: StreamReader, told: Told) -> None:
    reader.feed(b"abc")
    assert reader.size == 3
    assert now(reader.read(2)) == b"ab"
    assert now(reader.read(2)) == b"c"
    assert reader.size == 0
    assert told.times == 2


def test_reading_nothing_waits_for_nothing(reader: StreamReader) -> None:
    assert now(reader.read(0)) == b""


def test_a_reader_waits_for_what_comes(reader: StreamReader, told: Told) -> None:
    waiting = reader.read(100)
    assert reader.is_waited_for
    assert told.times == 1
    reader.feed(b"abc")
    assert now(waiting) == b"abc"
    assert not reader.is_waited_for


def test_one_reader_at_a_time_may_wait(reader: StreamReader) -> None:
    reader.read(1)
    with pytest.raises(sshkit.LocalProtocolError, match="two readers wait for the same stream"):
        reader.read(1)


def test_a_reader_that_gave_up_takes_nothing(reader: StreamReader) -> None:
    waiting = reader.read(1)
    waiting.cancel()
    with pytest.raises(sshkit.CancelledError):
        waiting.result()
    reader.feed(b"abc")
    assert now(reader.read(10)) == b"abc"


def test_the_end_is_empty_and_stays_so(reader: StreamReader) -> None:
    reader.feed(b"x")
    reader.end()
    reader.end()
    assert now(reader.read(5)) == b"x"
    for _ in range(2):
        assert now(reader.read(5)) == b""
        assert now(reader.read()) == b""
        assert now(reader.read_line()) == b""


def test_the_end_wakes_who_waits(reader: StreamReader) -> None:
    waiting = reader.read()
    reader.feed(b"ab")
    reader.feed(b"c")
    assert not waiting.called
    reader.end()
    assert now(waiting) == b"abc"


def test_lines_keep_their_newline_and_the_last_may_have_none(reader: StreamReader) -> None:
    reader.feed(b"one\ntw")
    assert now(reader.read_line()) == b"one\n"
    waiting = reader.read_line()
    reader.feed(b"o\nrest")
    assert now(waiting) == b"two\n"
    reader.end()
    assert now(reader.read_line()) == b"rest"


def test_a_separator_cut_by_packets_is_found(reader: StreamReader) -> None:
    waiting = reader.read_until(b"\r\n\r\n")
    for piece in (b"a\r", b"\n", b"\r", b"x\r\n\r", b"\nrest"):
        assert not waiting.called
        reader.feed(piece)
    assert now(waiting) == b"a\r\n\rx\r\n\r\n"
    assert now(reader.read(10)) == b"rest"


def test_another_separator_is_searched_from_the_front(reader: StreamReader) -> None:
    reader.feed(b"a,b;c")
    waiting = reader.read_until(b"!")
    waiting.cancel()
    waiting.add_errback(lambda _: None)
    assert now(reader.read_until(b";")) == b"a,b;"
    assert now(reader.read_until(b"c")) == b"c"


def test_exactly_so_many_bytes_are_read_over_any_pieces(reader: StreamReader) -> None:
    waiting = reader.read_exactly(5)
    reader.feed(b"ab")
    assert not waiting.called
    reader.feed(b"x" * 2000)
    assert now(waiting) == b"abxxx"
    assert now(reader.read_exactly(1997)) == b"x" * 1997
    assert now(reader.read_exactly(0)) == b""


def test_an_end_before_enough_is_an_eof_error_and_loses_nothing(reader: StreamReader) -> None:
    waiting = reader.read_exactly(5)
    reader.feed(b"ab")
    reader.end()
    with pytest.raises(EOFError, match="5 bytes wanted, 2 before the end"):
        waiting.result()
    assert now(reader.read(10)) == b"ab"


def test_chunks_of_every_size_come_out_as_they_went_in(reader: StreamReader) -> None:
    pieces = [bytes([number % 251]) * (1 + number * 37 % 3000) for number in range(200)]
    for piece in pieces:
        reader.feed(piece)
    whole = b"".join(pieces)
    taken = []
    for number in range(1, 400):
        taken.append(now(reader.read(number * 53 % 4001 + 1)))
        if not reader.size:
            break
    assert b"".join(taken) == whole


def test_a_large_chunk_is_handed_on_without_a_copy(reader: StreamReader) -> None:
    chunk = bytes(streams.JOIN_BELOW)
    reader.feed(chunk)
    assert now(reader.read(1 << 20)) is chunk


def test_an_error_comes_after_what_was_there(reader: StreamReader) -> None:
    reader.feed(b"ab\nc")
    reader.fail(ZeroDivisionError("broken"))
    reader.fail(ValueError("too late"))
    reader.feed(b"late")
    assert now(reader.read_line()) == b"ab\n"
    assert now(reader.read_line()) == b"c"
    reads: list[Any] = [
        lambda: reader.read(5),
        reader.read_line,
        reader.read,
        lambda: reader.read_exactly(1),
    ]
    for read in reads:
        with pytest.raises(ZeroDivisionError, match="broken"):
            read().result()


def test_r30_half_of_the_output_is_not_taken_for_all_of_it(reader: StreamReader) -> None:
    reader.feed(b"half")
    waiting = reader.read()
    reader.fail(ZeroDivisionError("broken"))
    with pytest.raises(ZeroDivisionError):
        waiting.result()
    with pytest.raises(ZeroDivisionError):
        reader.read().result()
    assert now(reader.read(10)) == b"half"  # for whoever wants it nevertheless


def test_an_error_after_the_end_is_none(reader: StreamReader) -> None:
    reader.end()
    reader.fail(ZeroDivisionError())
    assert now(reader.read()) == b""


def test_a_reader_is_full_from_its_limit_on(reader: StreamReader) -> None:
    reader.feed(bytes(streams.FULL_AT - 1))
    assert not reader.is_full
    reader.feed(b"x")
    assert reader.is_full
    now(reader.read(1))
    assert not reader.is_full


def test_r24_a_stream_that_nobody_reads_stops_growing(
    reader: StreamReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "MOST", 10_000)
    for _ in range(100):
        reader.feed(bytes(3000))
    assert reader.size == 12_000
    with pytest.raises(StreamOverflow, match=r"^12000 bytes wait in a stream that nobody reads$"):
        reader.read().result()
    assert len(now(reader.read(20_000))) <= 12_000


def test_r24_a_line_without_an_end_stops_growing(
    reader: StreamReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "MOST", 10_000)
    waiting = reader.read_line()
    for _ in range(3):
        reader.feed(bytes(3000))
    assert not waiting.called
    reader.feed(bytes(3000))
    assert now(waiting) == bytes(12_000)


def test_r24_a_read_to_an_end_that_never_comes_stops_growing(
    reader: StreamReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "MOST_WANTED", 10_000)
    waits: list[Any] = [reader.read, lambda: reader.read_exactly(1 << 40)]
    for wait in waits:
        waiting = wait()
        for _ in range(4):
            reader.feed(bytes(3000))
        with pytest.raises(StreamOverflow, match=r"^12000 bytes came, and not yet what is waited for$"):
            waiting.result()


class Channel:
    """What a writer needs of a channel."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.closing = False

    def write(self, data: bytes) -> None:
        self.sent.append(data)

    def write_extended(self, data: bytes) -> None:
        self.sent.append((1, data))

    def write_eof(self) -> None:
        self.sent.append("eof")

    def is_closing(self) -> bool:
        return self.closing


def test_a_writer_takes_bytes_and_text() -> None:
    channel: Any = Channel()
    StreamWriter(channel).write("grüß")
    StreamWriter(channel).write(b"x")
    StreamWriter(channel, extended=True).write("y")
    StreamWriter(channel).write_eof()
    assert channel.sent == ["grüß".encode(), b"x", (1, b"y"), "eof"]


def test_drain_waits_while_the_channel_is_full() -> None:
    writer = StreamWriter(Channel())  # type: ignore[arg-type]
    assert now(writer.drain()) is None
    writer.pause()
    waiting = [writer.drain(), writer.drain()]
    assert not any(wait.called for wait in waiting)
    waiting[0].cancel()
    waiting[0].add_errback(lambda _: None)
    writer.resume()
    assert now(waiting[1]) is None
    assert now(writer.drain()) is None


def test_drain_fails_where_nobody_will_take_more() -> None:
    channel: Any = Channel()
    writer = StreamWriter(channel)
    writer.pause()
    waiting = writer.drain()
    writer.fail(ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        waiting.result()
    channel.closing = True
    with pytest.raises(sshkit.ChannelClosed, match="the channel is closed"):
        writer.drain().result()


def test_iterating_yields_lines(reader: StreamReader) -> None:
    async def collect() -> list[bytes]:
        return [line async for line in reader]

    lines = sshkit.ensure_deferred(collect())
    reader.feed(b"a\nb\n\nc")
    reader.end()
    assert now(lines) == [b"a\n", b"b\n", b"\n", b"c"]
