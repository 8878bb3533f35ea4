"""Iterating over a connection: in order, bounded, and with the right end."""

from struct import Struct
from typing import Any

import pytest

from sshkit.deferred import CancelledError, ensure_deferred
from sshkit.protocols.framing import (
    Frames,
    FramingError,
    Lines,
    Messages8,
    Messages16,
    Messages32,
    Netstrings,
)
from sshkit.testing import MemoryClock, MemoryPair, connect_in_memory


class ShortFrames(Frames):
    header = Struct(">HB")


def pair(kind: Any) -> tuple[Any, Any, MemoryPair]:
    ours, theirs = kind(), kind()
    return ours, theirs, connect_in_memory(ours, theirs, MemoryClock())


def collected(connection: Any) -> list[Any]:
    """Start to iterate; the list grows, and at the end holds the error or "end"."""
    got: list[Any] = []

    async def collect() -> None:
        try:
            async for piece in connection:
                got.append(piece)
            got.append("end")
        except Exception as error:
            got.append(error)

    ensure_deferred(collect())
    return got


@pytest.mark.parametrize(
    ("kind", "send", "pieces"),
    [
        (Lines, "send_line", [b"a", b"b"]),
        (Netstrings, "send_string", [b"a", b"b"]),
        (Messages8, "send_message", [b"a", b"b"]),
        (Messages16, "send_message", [b"a", b"b"]),
        (Messages32, "send_message", [b"a", b"b"]),
    ],
)
def test_pieces_come_in_order_and_end_with_the_connection(kind: Any, send: str, pieces: list[bytes]) -> None:
    ours, theirs, both = pair(kind)
    got = collected(theirs)
    for piece in pieces:
        getattr(ours, send)(piece)
    ours.close()
    both.settle()
    assert got == [*pieces, "end"]
    assert collected(theirs) == ["end"]


def test_frames_come_with_their_fields() -> None:
    ours, theirs, both = pair(ShortFrames)
    got = collected(theirs)
    ours.send_frame(b"abc", 500)
    both.settle()
    assert got == [((500, 3), b"abc")]


def test_a_reader_that_does_not_ask_makes_the_peer_wait() -> None:
    ours, theirs, both = pair(Lines)
    for number in range(200):
        ours.send_line(b"%d" % number)
    both.settle()
    assert len(theirs._pieces) == 64
    assert both.server.reading_paused
    got = collected(theirs)
    assert got == [b"%d" % number for number in range(200)]
    both.settle()
    assert not both.server.reading_paused


def test_a_broken_connection_or_limit_is_raised_after_what_came_before() -> None:
    ours, theirs, both = pair(Lines)
    ours.send_line(b"a")
    both.settle()
    both.cut()
    got = collected(theirs)
    assert got[0] == b"a"
    assert isinstance(got[1], ConnectionResetError)
    ours, theirs, both = pair(Netstrings)
    both.client.write(b"1:a,nonsense")
    both.settle()
    got = collected(theirs)
    assert got[0] == b"a"
    assert isinstance(got[1], FramingError)


def test_a_cancelled_reader_loses_no_piece() -> None:
    ours, theirs, both = pair(Lines)

    async def one() -> bytes:
        return await theirs.__anext__()  # type: ignore[no-any-return]

    waiting = ensure_deferred(one())
    waiting.cancel()
    waiting.add_errback(lambda failure: failure.check(CancelledError))
    ours.send_line(b"a")
    both.settle()
    assert collected(theirs) == [b"a"]


def test_drain_waits_until_the_peer_takes_more() -> None:
    ours, _theirs, both = pair(Lines)
    assert ours.drain().called
    ours.send_line(b"x" * 60_000)
    ours.send_line(b"x" * 60_000)
    first, second, third = ours.drain(), ours.drain(), ours.drain()
    third.add_errback(lambda failure: None)
    third.cancel()
    assert not first.called
    both.settle()
    assert first.called
    assert second.called
    ours.pause_writing()
    last = ours.drain()
    both.cut()
    assert last.called
    assert ours.drain().called
