"""Channels: windows, packets, EOF and CLOSE in every order, requests in order (R23 to R25)."""

import itertools
from collections import deque
from typing import Any

import pytest

from sshkit.deferred import Deferred, succeed
from sshkit.ssh.connection import channel_states as states
from sshkit.ssh.connection.channel import HIGH_WATER, LOW_WATER, MAX_PIECES, MAX_UNANSWERED, Channel
from sshkit.ssh.connection.window import INITIAL, LARGEST, MAX_PACKET, MAX_WINDOW, SMALLEST, grown, shrunk
from sshkit.ssh.errors import (
    ChannelClosed,
    ChannelRequestFailed,
    LocalProtocolError,
    RemoteProtocolError,
)
from sshkit.ssh.messages import connection as messages
from tests.ssh.harness import Duo, Recorder, Scene, channel_of

DATA, EXTENDED, EOF, CLOSE, ADJUST, REQUEST = 94, 95, 96, 97, 93, 98


class Open(Scene):
    """A server core with one open channel (its number 0, the peer's 7) and a raw client."""

    def __init__(self, window: int = 1 << 20, max_packet: int = 32768, protocol: Any = None) -> None:
        super().__init__(core_is_client=False)
        self.run()
        self.protocol = protocol or Recorder()
        self.owner.open_answer = lambda: self.protocol
        self.send(messages.ChannelOpen("session", 7, window, max_packet, b""))
        self.confirmation = messages.ChannelOpenConfirmation.decode(self.raw.take(91))
        self.number = self.confirmation.sender
        self.channel: Channel = self.protocol.channel

    def data(self, data: bytes, kind: int | None = None) -> None:
        if kind is None:
            self.send(messages.ChannelData(self.number, data))
        else:
            self.send(messages.ChannelExtendedData(self.number, kind, data))

    def sent(self) -> list[tuple[int, bytes]]:
        """Return kind and data of what the core sent on its channel, and the numbers of the rest."""
        self.settle()
        result: list[tuple[int, bytes]] = []
        for payload in self.raw.received:
            if payload[0] == DATA:
                result.append((DATA, messages.ChannelData.decode(payload).data))
            elif payload[0] == EXTENDED:
                result.append((EXTENDED, messages.ChannelExtendedData.decode(payload).data))
            else:
                result.append((payload[0], b""))
        self.raw.received.clear()
        return result


def test_r24_data_beyond_the_window_ends_the_connection() -> None:
    for kind in (None, 1, 5):
        scene = Open()
        scene.channel.receive_window = 10
        scene.protocol.channel.pause_reading()
        scene.data(b"x" * 10, kind)
        assert scene.owner.lost is None
        scene.data(b"x", kind)
        assert isinstance(scene.owner.lost, RemoteProtocolError)
        assert "window" in str(scene.owner.lost)
        assert scene.told.code == 2


def test_r24_a_packet_larger_than_offered_ends_the_connection() -> None:
    for kind in (None, 1):
        scene = Open()
        assert scene.confirmation.max_packet == MAX_PACKET
        scene.data(bytes(MAX_PACKET), kind)
        assert scene.owner.lost is None
        scene.data(bytes(MAX_PACKET + 1), kind)
        assert isinstance(scene.owner.lost, RemoteProtocolError)


@pytest.mark.parametrize("size", [0, 4, 6, 0xFFFFFFFF])
def test_r24_a_data_packet_that_lies_about_its_size_ends_the_connection(size: int) -> None:
    scene = Open()
    scene.send(bytes((DATA,)) + (0).to_bytes(4, "big") + size.to_bytes(4, "big") + b"12345")
    assert isinstance(scene.owner.lost, RemoteProtocolError)
    assert scene.protocol.data == b""


def test_r24_an_overflowing_window_ends_the_connection() -> None:
    scene = Open(window=MAX_WINDOW - 5)
    scene.send(messages.ChannelWindowAdjust(scene.number, 5))
    assert scene.owner.lost is None
    assert scene.channel.send_window == MAX_WINDOW
    scene.send(messages.ChannelWindowAdjust(scene.number, 1))
    assert "grew past" in str(scene.owner.lost)
    damaged = Open()
    damaged.send(bytes((ADJUST,)) + bytes(9))
    assert "WINDOW_ADJUST of 10 bytes" in str(damaged.owner.lost)


def test_r23_a_window_of_nothing_holds_the_data_and_small_ones_let_it_through_piece_by_piece() -> None:
    scene = Open(window=0, max_packet=2)
    scene.channel.write(b"abc")
    scene.channel.write_extended(b"de")
    scene.channel.write_eof()
    assert scene.sent() == []
    assert scene.channel.get_write_buffer_size() == 5
    for adjust, expected in (
        (0, []),
        (1, [(DATA, b"a")]),
        (2, [(DATA, b"bc")]),
        (1, [(EXTENDED, b"d")]),
        (10, [(EXTENDED, b"e"), (EOF, b"")]),
    ):
        scene.send(messages.ChannelWindowAdjust(scene.number, adjust))
        assert scene.sent() == expected
    scene = Open(max_packet=1)
    scene.channel.write(b"abc")
    assert scene.sent() == [(DATA, b"a"), (DATA, b"b"), (DATA, b"c")]


@pytest.mark.parametrize("max_packet", [32768, 1 << 20, 0xFFFFFFFF])
def test_r23_packets_are_split_at_what_the_peer_takes_and_at_our_own_limit(max_packet: int) -> None:
    scene = Open(window=MAX_WINDOW, max_packet=max_packet)
    data = bytes(range(256)) * 2000
    scene.channel.write(data)
    scene.settle()
    sent = scene.sent()
    assert b"".join(part for _, part in sent) == data
    assert max(len(part) for _, part in sent) == min(max_packet, MAX_PACKET)


def test_written_data_may_be_reused_at_once() -> None:
    scene = Open(window=3)
    buffer = bytearray(b"abcdef")
    scene.channel.write(buffer)
    buffer[:] = b"xxxxxx"
    scene.send(messages.ChannelWindowAdjust(scene.number, 10))
    assert b"".join(part for _, part in scene.sent()) == b"abcdef"


def test_r24_a_producer_is_paused_above_the_mark_and_goes_on_below_it() -> None:
    scene = Open(window=0)
    scene.channel.write(bytes(HIGH_WATER))
    assert scene.protocol.writable
    scene.channel.write(b"x")
    assert not scene.protocol.writable
    scene.channel.write(b"x")
    scene.send(messages.ChannelWindowAdjust(scene.number, HIGH_WATER + 2 - LOW_WATER - 1))
    assert not scene.protocol.writable
    scene.send(messages.ChannelWindowAdjust(scene.number, 1))
    assert scene.protocol.writable
    scene.send(messages.ChannelWindowAdjust(scene.number, LOW_WATER))
    assert scene.channel.get_write_buffer_size() == 0


def test_r24_a_network_that_is_full_holds_the_channels_and_lets_them_go_on_in_order() -> None:
    duo = Duo().login()
    ends = [duo.open() for _ in range(3)]
    duo.pair.server.pause_reading()
    data = bytes(range(256)) * 1024
    for near, _ in ends:
        channel_of(near).write(data)
        channel_of(near).write_extended(b"error")
        channel_of(near).write_eof()
    assert len(duo.pair.client.outgoing) < 600_000
    held = {number for number, channel in duo.there.channels.items() if channel.get_write_buffer_size()}
    assert set(duo.there.waiting) == held != set()
    duo.pair.server.resume_reading()
    duo.settle()
    for near, far in ends:
        assert bytes(far.data) == data
        assert bytes(far.errors) == b"error"
        assert far.events[-1] == "eof"
        assert channel_of(near).get_write_buffer_size() == 0
    assert duo.there.waiting == {}


def test_the_window_follows_the_reader() -> None:
    assert (grown(INITIAL), grown(LARGEST)) == (2 * INITIAL, LARGEST)
    assert (shrunk(INITIAL), shrunk(SMALLEST)) == (INITIAL // 2, SMALLEST)
    scene = Open()
    for _ in range(INITIAL // 2 // 65536):
        scene.data(bytes(65536))
    assert scene.sent() == []
    scene.data(b"x")
    assert scene.sent() == [(ADJUST, b"")]
    assert scene.channel.receive_window == scene.channel.receive_size == 2 * INITIAL


def test_r24_a_paused_reader_is_given_nothing_and_stops_the_peer() -> None:
    scene = Open()
    scene.channel.pause_reading()
    for _ in range(INITIAL // 65536):
        scene.data(bytes(65536))
    scene.send(messages.ChannelEof(scene.number))
    assert scene.sent() == []
    assert scene.protocol.events == [("opened", b"")]
    scene.channel.resume_reading()
    scene.channel.resume_reading()
    assert len(scene.protocol.data) == INITIAL
    assert scene.protocol.events[-1] == "eof"
    assert scene.sent() == []  # nothing more comes after EOF, so the window stays shut
    again = Open()
    again.channel.pause_reading()
    for _ in range(INITIAL // 65536):
        again.data(bytes(65536))
    again.channel.resume_reading()
    assert again.sent() == [(ADJUST, b"")]
    assert again.channel.receive_size == INITIAL // 2
    assert again.channel.receive_window == INITIAL // 2


def test_a_reader_may_pause_again_between_two_pieces() -> None:
    class OneByOne(Recorder):
        def data_received(self, data: memoryview) -> None:
            super().data_received(data)
            channel_of(self).pause_reading()

        extended_data_received = Recorder.extended_data_received

    scene = Open(protocol=OneByOne())
    scene.data(b"a")
    scene.data(b"e", 1)
    scene.data(b"b")
    scene.data(b"f", 1)
    assert scene.protocol.data == b"a"
    scene.channel.resume_reading()
    assert (scene.protocol.data, scene.protocol.errors) == (b"ab", b"e")
    scene.channel.resume_reading()
    assert scene.protocol.errors == b"ef"
    scene.channel.pause_reading()
    scene.data(b"c")
    scene.send(messages.ChannelClose(scene.number))
    assert scene.protocol.data == b"abc"
    assert scene.protocol.closed == [None]


def test_r24_small_packets_to_a_paused_reader_cost_no_more_than_large_ones() -> None:
    scene = Open()
    scene.channel.pause_reading()
    for _ in range(2):
        scene.raw.send(*[messages.ChannelData(scene.number, b"x")] * 5000)
        scene.settle()
    inbox = scene.channel._inbox
    assert inbox is not None
    assert [(kind, len(data)) for kind, data in inbox] == [(0, 10_000)]
    for number in range(2000):
        scene.raw.send(
            messages.ChannelData(scene.number, b"%d," % number),
            messages.ChannelExtendedData(scene.number, 1, b"%d;" % number),
        )
    scene.settle()
    assert len(inbox) <= MAX_PIECES
    scene.channel.resume_reading()
    assert bytes(scene.protocol.data[10_000:]) == b"".join(b"%d," % number for number in range(2000))
    assert bytes(scene.protocol.errors) == b"".join(b"%d;" % number for number in range(2000))


def test_a_kind_that_first_comes_when_the_inbox_is_full_is_kept_as_well() -> None:
    scene = Open()
    scene.channel.pause_reading()
    scene.channel._inbox = deque([(0, bytearray(b"a"))] * MAX_PIECES)
    scene.data(b"e", 1)
    scene.channel.resume_reading()
    assert scene.protocol.errors == b"e"


@pytest.mark.parametrize("kind", [0, 2, 3, 0xFFFFFFFF])
def test_extended_data_without_meaning_is_counted_and_dropped(kind: int) -> None:
    scene = Open()
    for _ in range(INITIAL // 65536):
        scene.data(bytes(65536), kind)
    assert scene.protocol.events == [("opened", b"")]
    assert (ADJUST, b"") in scene.sent()
    assert scene.owner.lost is None


MOVES = {
    "send eof": lambda scene: scene.channel.write_eof(),
    "send close": lambda scene: scene.channel.close(),
    "eof": lambda scene: scene.send(messages.ChannelEof(scene.number)),
    "close": lambda scene: scene.send(messages.ChannelClose(scene.number)),
    "data": lambda scene: scene.data(b"x"),
}


@pytest.mark.parametrize("order", list(itertools.permutations(MOVES)), ids=" ".join)
def test_r25_eof_and_close_in_every_order(order: tuple[str, ...]) -> None:
    scene = Open()
    done: list[str] = []
    for move in order:
        closed_both_ways = "close" in done
        allowed = True
        if move in ("eof", "close", "data"):
            # After our CLOSE what still comes is dropped, whatever it is (R25).
            after_eof = move == "data" and "eof" in done and "send close" not in done
            allowed = not closed_both_ways and not after_eof
        MOVES[move](scene)
        if not allowed:
            assert isinstance(scene.owner.lost, RemoteProtocolError)
            assert "channel" in str(scene.owner.lost)
            return
        assert scene.owner.lost is None, move
        done.append(move)
        if move == "data":
            expected = b"" if "send close" in done else b"x"
            assert scene.protocol.data == expected
    numbers = [number for number, _ in scene.sent()]
    assert numbers.count(CLOSE) == 1
    assert numbers[-1] == CLOSE
    assert numbers.count(EOF) == ("send eof" in done[: min(done.index("send close"), done.index("close"))])
    assert scene.protocol.closed == [None]
    assert scene.channel.state == states.CLOSED
    assert scene.owner.ended == [scene.channel]
    assert scene.connection is not None
    assert scene.connection.channels == {}


def test_r25_the_table_of_states_allows_what_it_says_and_blames_whoever_broke_it() -> None:
    for state in range(6):
        for event in range(4):
            if (state, event) in states.NEXT:
                assert states.advance(state, event) == states.NEXT[state, event]
            else:
                blame = RemoteProtocolError if event in (1, 3) else LocalProtocolError
                with pytest.raises(blame, match="is not allowed on a channel that is"):
                    states.advance(state, event)
    assert tuple(state in (0, 1, 4) for state in range(6)) == states.RECEIVES
    assert tuple(state in (0, 2) for state in range(6)) == states.SENDS


@pytest.mark.parametrize("number", [93, 94, 95, 96, 97, 98, 99, 100])
def test_r25_a_message_for_a_channel_that_does_not_exist_ends_the_connection(number: int) -> None:
    bodies = {93: bytes(4), 94: bytes(4), 95: bytes(8), 98: b"\0\0\0\1x\0"}
    for missing in (1, 7, 0xFFFFFFFF):
        scene = Open()
        scene.send(bytes((number,)) + missing.to_bytes(4, "big") + bodies.get(number, b""))
        assert isinstance(scene.owner.lost, RemoteProtocolError)
        assert "channel" in str(scene.owner.lost)
    short = Open()
    short.send(bytes((number, 0)))
    assert isinstance(short.owner.lost, RemoteProtocolError)


def test_nothing_is_sent_after_close_and_data_after_eof_is_our_own_mistake() -> None:
    scene = Open()
    scene.channel.write_eof()
    scene.channel.write_eof()
    with pytest.raises(LocalProtocolError):
        scene.channel.write(b"x")
    with pytest.raises(LocalProtocolError):
        scene.channel.write_extended(b"x")
    assert not scene.channel.is_closing()
    scene.channel.close()
    scene.channel.close()
    scene.channel.abort()
    assert scene.channel.is_closing()
    scene.channel.write(b"x")
    scene.channel.write_extended(b"x")
    scene.channel.notify("x")
    assert scene.sent() == [(EOF, b""), (CLOSE, b"")]
    refused: list[Any] = []
    scene.channel.request("x").add_errback(lambda failure: refused.append(failure.exception))
    assert isinstance(refused[0], ChannelClosed)


def test_close_waits_for_the_data_and_abort_drops_it_also_after_close() -> None:
    for first in ("close", "abort", "close and abort"):
        scene = Open(window=0)
        scene.channel.write(b"x" * 10)
        scene.channel.write_eof()
        if "close" in first:
            scene.channel.close()
            assert scene.channel.is_closing()
            assert scene.sent() == []
        if "abort" in first:
            scene.channel.abort()
            assert (CLOSE, b"") in scene.sent()
        else:
            scene.send(messages.ChannelWindowAdjust(scene.number, 100))
            assert scene.sent() == [(DATA, b"x" * 10), (EOF, b""), (CLOSE, b"")]
        scene.send(messages.ChannelClose(scene.number))
        assert scene.protocol.closed == [None]


def test_what_is_written_between_close_and_its_leaving_is_dropped() -> None:
    scene = Open(window=1)
    scene.channel.write(b"ab")
    scene.channel.close()
    scene.channel.write(b"c")
    scene.channel.write(b"")
    scene.send(messages.ChannelWindowAdjust(scene.number, 100))
    assert scene.sent() == [(DATA, b"a"), (DATA, b"b"), (CLOSE, b"")]
    empty = Open()
    empty.channel.write(b"")
    empty.channel.write_extended(b"")
    assert empty.sent() == []


def test_the_peers_close_delivers_what_a_paused_reader_has_not_seen() -> None:
    scene = Open(window=0)
    scene.channel.write(b"never sent")
    scene.channel.pause_reading()
    scene.data(b"a")
    scene.data(b"e", 1)
    scene.send(messages.ChannelEof(scene.number), messages.ChannelClose(scene.number))
    assert scene.protocol.events[1:] == [("data", b"a"), ("extended", 1, b"e"), "eof"]
    assert scene.protocol.closed == [None]
    assert scene.sent() == [(CLOSE, b"")]


def test_r41_an_exception_while_the_last_data_is_delivered_still_ends_the_channel() -> None:
    class Faulty(Recorder):
        def data_received(self, data: memoryview) -> None:
            raise ZeroDivisionError

    scene = Open(protocol=Faulty())
    scene.channel.pause_reading()
    scene.data(b"x")
    scene.send(messages.ChannelClose(scene.number))
    assert isinstance(scene.owner.lost, ZeroDivisionError)
    assert scene.protocol.closed == [None]


# Requests


def request(scene: Open, kind: str, want_reply: bool = True, body: bytes = b"") -> None:
    scene.send(messages.ChannelRequest(scene.number, kind, want_reply, body))


def test_requests_are_answered_in_their_order_whenever_the_answers_come() -> None:
    late: Deferred[bool] = Deferred()
    never_wanted: Deferred[bool] = Deferred()
    failing: Deferred[bool] = Deferred()
    scene = Open(protocol=Recorder(a=late, b=True, c=False, d=never_wanted, e=failing, f=succeed(True)))
    for kind, want_reply in (("a", True), ("b", True), ("d", False), ("c", True), ("e", True), ("f", True)):
        request(scene, kind, want_reply)
    assert scene.sent() == []
    failing.errback(ValueError())
    never_wanted.callback(True)
    assert scene.sent() == []
    late.callback(True)
    assert [number for number, _ in scene.sent()] == [99, 99, 100, 100, 99]
    granted = [event[1] for event in scene.protocol.events if event[0] == "granted"]
    assert sorted(granted) == ["a", "b", "d", "f"]
    request(scene, "b", False)
    assert scene.sent() == []


def test_an_unknown_request_is_refused_and_not_fatal() -> None:
    scene = Open()
    request(scene, "exec")
    request(scene, "", False)
    assert [number for number, _ in scene.sent()] == [100]


def test_r26_requests_that_wait_are_limited_whether_they_want_an_answer_or_not() -> None:
    for want_reply in (True, False):
        for waiting in ("slow", "fast"):
            scene = Open(protocol=Recorder(slow=Deferred, fast=True))
            request(scene, "slow", want_reply)
            for _ in range(MAX_UNANSWERED - 1):
                request(scene, waiting, want_reply or waiting == "fast")
            assert scene.owner.lost is None
            request(scene, "slow", want_reply)
            assert "requests at a time" in str(scene.owner.lost)
            asked = [event for event in scene.protocol.events if event[0] == "request"]
            assert len(asked) == MAX_UNANSWERED


def test_an_answer_after_the_end_of_the_channel_goes_nowhere() -> None:
    for ours in (True, False):
        late: Deferred[bool] = Deferred()
        scene = Open(protocol=Recorder(a=late))
        request(scene, "a")
        if ours:
            scene.channel.close()
            request(scene, "a")  # dropped: the peer has not seen our CLOSE
        else:
            scene.send(messages.ChannelClose(scene.number))
        late.callback(True)
        assert scene.sent() == [(CLOSE, b"")]
        granted = [event for event in scene.protocol.events if event[0] == "granted"]
        assert len(granted) == ours
        assert scene.owner.lost is None


def test_a_protocol_that_closes_its_channel_in_a_request_gives_no_answer() -> None:
    scene = Open()
    scene.protocol.answers["exec"] = lambda: scene.channel.close() or True  # type: ignore[func-returns-value]
    request(scene, "exec")
    assert scene.sent() == [(CLOSE, b"")]


def test_r41_an_exception_after_a_late_answer_ends_the_connection() -> None:
    class Faulty(Recorder):
        def request_granted(self, kind: str) -> None:
            raise ZeroDivisionError

    late: Deferred[bool] = Deferred()
    scene = Open(protocol=Faulty(a=late))
    request(scene, "a")
    late.callback(True)
    assert isinstance(scene.owner.lost, ZeroDivisionError)


def test_our_own_requests_fire_in_order_and_fail_with_the_channel() -> None:
    scene = Open()
    results: list[Any] = []
    for number in range(4):
        scene.channel.request(f"r{number}").add_both(lambda outcome: results.append(outcome))
    scene.send(messages.ChannelSuccess(scene.number), messages.ChannelFailure(scene.number))
    assert results[0] is None
    assert isinstance(results[1].exception, ChannelRequestFailed)
    scene.send(messages.ChannelClose(scene.number))
    assert [type(failure.exception) for failure in results[2:]] == [ChannelClosed] * 2
    cut = Open()
    cut.channel.request("x").add_errback(lambda failure: results.append(failure.exception))
    cut.pair.cut()
    assert results[-1] is cut.owner.lost
    assert cut.protocol.closed == [cut.owner.lost]


def test_r26_an_answer_that_nobody_waits_for_any_more_is_dropped() -> None:
    scene = Open()
    given_up = scene.channel.request("x")
    given_up.add_errback(lambda _: None)
    given_up.cancel()
    answered: list[Any] = []
    scene.channel.request("y").add_callback(answered.append)
    scene.send(messages.ChannelSuccess(scene.number))
    assert answered == []
    scene.send(messages.ChannelSuccess(scene.number))
    assert answered == [None]


@pytest.mark.parametrize("number", [99, 100])
def test_r25_an_answer_to_nothing_ends_the_connection(number: int) -> None:
    scene = Open()
    scene.send(bytes((number,)) + bytes(4))
    assert "was not made" in str(scene.owner.lost)


def test_a_channel_shows_its_number_kind_and_state() -> None:
    scene = Open()
    assert repr(scene.channel) == "<Channel 0 session open>"


def test_a_protocol_that_overrides_nothing_refuses_and_drops() -> None:
    from sshkit.ssh.connection.protocol import ChannelProtocol

    class Quiet(ChannelProtocol):
        channel: Any = None

        def channel_opened(self, channel: Channel, body: bytes) -> None:
            super().channel_opened(channel, body)
            self.channel = channel

    scene = Open(window=0, protocol=Quiet())
    scene.data(b"x")
    scene.data(b"x", 1)
    request(scene, "exec")
    scene.channel.write(bytes(HIGH_WATER + 1))
    scene.send(messages.ChannelWindowAdjust(scene.number, HIGH_WATER + 1), messages.ChannelEof(scene.number))
    scene.protocol.request_granted("x")
    scene.send(messages.ChannelClose(scene.number))
    assert scene.owner.lost is None


def test_bulk_data_takes_the_short_way_also_after_our_eof(monkeypatch: pytest.MonkeyPatch) -> None:
    def long_way(*_: Any) -> None:
        raise AssertionError("data_arrived was called")

    monkeypatch.setattr(Channel, "data_arrived", long_way)
    scene = Open()
    scene.data(b"x")
    scene.channel.write_eof()
    scene.data(b"y")
    assert scene.protocol.data == b"xy"
