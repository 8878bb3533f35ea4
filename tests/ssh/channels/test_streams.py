"""Streams at the end of a channel: what each kind of reading gives, and what it costs."""

import random
from typing import Any

import pytest

from sshkit.deferred import CancelledError, Deferred, ensure_deferred
from sshkit.ssh.channels import streams
from sshkit.ssh.channels.streams import FULL_AT, JOIN_BELOW, StreamOverflow, StreamReader, StreamWriter
from sshkit.ssh.connection.channel import HIGH_WATER
from sshkit.ssh.errors import ChannelClosed, LocalProtocolError
from sshkit.ssh.messages import connection as messages
from tests.ssh.harness import Duo, channel_of


def make() -> tuple[StreamReader, list[str]]:
    changes: list[str] = []
    return StreamReader(lambda: changes.append("changed")), changes


def outcome(deferred: Deferred[Any]) -> Any:
    found: list[Any] = []
    deferred.add_callbacks(found.append, lambda failure: found.append(failure.exception))
    return found[0] if found else None


def test_read_gives_what_is_there_at_most_so_much() -> None:
    reader, _ = make()
    assert outcome(reader.read(0)) == b""
    waiting: list[bytes] = []
    reader.read(4).add_callback(waiting.append)
    assert reader.is_waited_for
    assert waiting == []
    reader.feed(b"x" * 2000)
    assert waiting == [b"xxxx"]
    assert not reader.is_waited_for
    reader.feed(b"y" * 2000)
    assert outcome(reader.read(1996)) == b"x" * 1996
    assert outcome(reader.read(5000)) == b"y" * 2000
    reader.end()
    assert outcome(reader.read(5)) == outcome(reader.read()) == b""


def test_read_to_the_end_waits_for_it() -> None:
    reader, _ = make()
    everything: list[bytes] = []
    reader.read().add_callback(everything.append)
    reader.feed(b"a" * 2000)
    reader.feed(b"b")
    assert everything == []
    reader.end()
    assert everything == [b"a" * 2000 + b"b"]


def test_read_exactly_gives_so_much_or_an_error_with_what_there_was() -> None:
    reader, _ = make()
    reader.feed(b"abc")
    assert outcome(reader.read_exactly(2)) == b"ab"
    found: list[Any] = []
    reader.read_exactly(4).add_errback(lambda failure: found.append(failure.exception))
    reader.end()
    assert isinstance(found[0], EOFError)
    assert str(found[0]) == "4 bytes wanted, 1 before the end"
    assert outcome(reader.read_exactly(1)) == b"c"
    assert outcome(reader.read_exactly(0)) == b""


def test_lines_come_one_by_one_and_the_last_may_have_no_end() -> None:
    reader, _ = make()
    reader.feed(b"one\ntw")
    assert outcome(reader.read_line()) == b"one\n"
    line: list[bytes] = []
    reader.read_line().add_callback(line.append)
    reader.feed(b"o\nthr")
    assert line == [b"two\n"]
    reader.feed(b"ee")
    reader.end()
    assert outcome(reader.read_line()) == b"three"
    assert outcome(reader.read_line()) == b""

    async def collect(reader: StreamReader) -> list[bytes]:
        return [line async for line in reader]

    reader, _ = make()
    reader.feed(b"a\nb\nc")
    reader.end()
    assert outcome(ensure_deferred(collect(reader))) == [b"a\n", b"b\n", b"c"]


@pytest.mark.parametrize("separator", [b"\n", b"\r\n", b"ABCA"])
def test_a_separator_is_found_wherever_the_pieces_are_cut(separator: bytes) -> None:
    text = b"ABCABCA\r\n" + separator + b"AB\nCA\r\r\nABCABCA" + separator + b"rest"
    expected = []
    left = text
    while separator in left:
        head, _, left = left.partition(separator)
        expected.append(head + separator)
    expected.append(left)
    for cut in range(1, len(text)):
        reader, _ = make()
        found: list[bytes] = []

        def again(data: bytes, reader: StreamReader = reader, found: list[bytes] = found) -> None:
            found.append(data)
            if data:
                reader.read_until(separator).add_callback(again)

        reader.read_until(separator).add_callback(again)
        for start in range(0, len(text), cut):
            reader.feed(text[start : start + cut])
        reader.end()
        assert found == [*expected, b""]


def test_mixed_reads_give_every_byte_once_and_in_order() -> None:
    source = random.Random(3)
    data = source.randbytes(200_000)
    for _ in range(5):
        reader, _ = make()
        position, got = 0, bytearray()
        while len(got) < len(data):
            if position < len(data) and source.random() < 0.6:
                size = source.choice((1, 10, 1023, 1024, 1025, 30_000))
                reader.feed(data[position : position + size])
                position = min(position + size, len(data))
                if position == len(data):
                    reader.end()
                continue
            if not reader.size:
                continue
            way = source.randrange(3)
            if way == 0:
                got += outcome(reader.read(source.choice((1, 100, 5000, 100_000))))
            elif way == 1:
                got += outcome(reader.read_exactly(source.randint(1, reader.size)))
            else:
                line = reader.read_until(b"\x07")
                line.add_errback(lambda _: b"")
                if line.called:
                    got += line.result()
                else:
                    line.cancel()
        assert bytes(got) == data
        assert reader.size == 0


def test_r18_tiny_pieces_are_put_together() -> None:
    reader, _ = make()
    for _ in range(100_000):
        reader.feed(b"x")
    assert len(reader._chunks) <= 100_000 // JOIN_BELOW + 1
    assert outcome(reader.read_exactly(100_000)) == b"x" * 100_000


def test_r23_many_lines_in_one_piece_and_one_line_in_many_pieces_are_linear() -> None:
    """What is searched is not searched again, and what is left is not copied again."""
    reader, _ = make()
    line: list[bytes] = []
    reader.read_line().add_callback(line.append)
    for _ in range(1000):
        reader.feed(b"x" * 2000)
        assert reader._searched == len(reader._head)
        assert not reader._chunks
    reader.feed(b"\n" + b"y\n" * 50_000)
    assert len(line[0]) == 2_000_001
    head = reader._head
    for _ in range(50_000):
        assert outcome(reader.read_line()) == b"y\n"
    assert reader._head is head


def test_a_separator_that_never_comes_gives_what_there_is_at_the_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(streams, "MOST", 5000)
    reader, _ = make()
    line: list[bytes] = []
    reader.read_line().add_callback(line.append)
    reader.feed(b"x" * 5000)
    assert line == []
    reader.feed(b"x")
    assert line == [b"x" * 5001]


def test_a_stream_that_nobody_reads_fails_at_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "MOST", 5000)
    reader, _ = make()
    reader.feed(b"x" * 5001)
    assert outcome(reader.read_exactly(5001)) == b"x" * 5001
    assert isinstance(outcome(reader.read()), StreamOverflow)


def test_a_reader_that_waits_for_too_much_fails_and_what_comes_later_is_dropped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(streams, "MOST_WANTED", 5000)
    reader, _ = make()
    found: list[Any] = []
    reader.read().add_errback(lambda failure: found.append(failure.exception))
    reader.feed(b"x" * 5001)
    assert isinstance(found[0], StreamOverflow)
    reader.feed(b"y")
    assert reader.size == 5001


def test_an_error_comes_after_what_was_received_before_it() -> None:
    reader, _ = make()
    error = ValueError("broken")
    reader.feed(b"abc")
    reader.fail(error)
    assert outcome(reader.read(2)) == b"ab"
    assert outcome(reader.read()) is error  # which was not all, and must not look so
    assert outcome(reader.read(5)) == b"c"
    assert outcome(reader.read(5)) is error
    assert outcome(reader.read_exactly(1)) is error
    waiting, _ = make()
    found: list[Any] = []
    waiting.read(1).add_errback(lambda failure: found.append(failure.exception))
    waiting.fail(error)
    assert found == [error]
    ended, _ = make()
    ended.end()
    ended.fail(error)
    assert outcome(ended.read()) == b""


def test_two_readers_at_a_time_are_our_own_mistake_and_a_cancelled_one_makes_room() -> None:
    reader, changes = make()
    first = reader.read(1)
    with pytest.raises(LocalProtocolError, match="two readers"):
        reader.read(1)
    found: list[Any] = []
    first.add_errback(lambda failure: found.append(failure.exception))
    first.cancel()
    assert isinstance(found[0], CancelledError)
    reader.feed(b"x")
    assert outcome(reader.read(1)) == b"x"
    assert changes == ["changed", "changed"]


def test_a_reader_tells_when_it_is_full() -> None:
    reader, _ = make()
    reader.feed(bytes(FULL_AT - 1))
    assert not reader.is_full
    reader.feed(b"x")
    assert reader.is_full


def test_writing_goes_by_the_channel_and_drain_waits_for_the_peer() -> None:
    duo = Duo().login()
    near, far = duo.open()
    writer, errors = StreamWriter(channel_of(far)), StreamWriter(channel_of(far), extended=True)
    writer.write("h\xe9")
    writer.write(b"llo")
    errors.write("no")
    assert writer.drain().called
    duo.settle()
    assert (near.data.decode(), near.errors) == ("h\xe9llo", b"no")
    writer.pause()
    waiting: list[Any] = []
    writer.drain().add_callback(waiting.append)
    writer.drain().add_callback(waiting.append)
    assert waiting == []
    writer.resume()
    assert waiting == [None, None]
    writer.pause()
    failed: list[Any] = []
    writer.drain().add_errback(lambda failure: failed.append(failure.exception))
    error = ValueError()
    writer.fail(error)
    assert failed == [error]
    writer.write_eof()
    channel_of(far).close()
    assert isinstance(outcome(writer.drain()), ChannelClosed)
    duo.settle()
    assert near.events[-1] == "eof"


def test_each_drain_has_an_outcome_of_its_own() -> None:
    duo = Duo().login()
    _, far = duo.open()
    writer = StreamWriter(channel_of(far))
    writer.drain().add_callback(lambda _: 1 / 0).add_errback(lambda _: "handled")
    assert outcome(writer.drain().add_callback(lambda value: [value])) == [None]


def test_a_writer_over_a_full_window_is_paused_by_its_channel() -> None:
    duo = Duo().login()
    near, far = duo.open()
    channel_of(near).pause_reading()
    channel_of(far).write(bytes((1 << 20) + HIGH_WATER + 1))
    duo.settle()
    assert not far.writable
    channel_of(near).resume_reading()
    duo.settle()
    assert far.writable
    assert len(near.data) == (1 << 20) + HIGH_WATER + 1
    assert messages.CHANNEL_DATA == 94
