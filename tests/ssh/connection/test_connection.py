"""Opening channels and global requests: refused, late, cancelled, too many (R23, R26, R27); keepalive."""

from typing import Any

import pytest

from sshkit.deferred import Deferred, fail, succeed
from sshkit.ssh.connection.channel import Channel
from sshkit.ssh.connection.connection import MAX_CHANNELS, MAX_GLOBAL_REQUESTS
from sshkit.ssh.connection.keepalive import Keepalive
from sshkit.ssh.connection.protocol import ChannelProtocol
from sshkit.ssh.errors import (
    ChannelOpenFailed,
    ChannelRequestFailed,
    ConnectionLost,
    LocalProtocolError,
    RemoteProtocolError,
)
from sshkit.ssh.messages import connection as messages
from sshkit.ssh.messages import transport
from tests.ssh.harness import Duo, Recorder, Scene, channel_of

BOTH_ROLES = pytest.mark.parametrize("core_is_client", [True, False], ids=["client", "server"])
CONFIRMED, REFUSED = 91, 92


def running(core_is_client: bool = False) -> Any:
    scene = Scene(core_is_client=core_is_client)
    return scene, scene.run()


def ask(
    scene: Scene, kind: str = "session", sender: int = 7, window: int = 100, max_packet: int = 100
) -> list[int]:
    scene.raw.received.clear()
    scene.send(messages.ChannelOpen(kind, sender, window, max_packet, b"body"))
    return scene.raw.numbers()


def outcome_of(deferred: Deferred[Any]) -> list[Any]:
    outcomes: list[Any] = []
    deferred.add_callbacks(outcomes.append, lambda failure: outcomes.append(failure.exception))
    return outcomes


def test_a_channel_that_the_peer_opens_is_confirmed_and_its_protocol_told() -> None:
    scene, connected = running()
    assert ask(scene) == [CONFIRMED]
    message = messages.ChannelOpenConfirmation.decode(scene.raw.take(CONFIRMED))
    assert (message.recipient, message.sender) == (7, 0)
    assert scene.owner.opens == [("session", b"body")]
    assert scene.owner.protocols[0].events == [("opened", b"body")]
    assert ask(scene, sender=7) == [CONFIRMED]  # its number is its own affair
    assert set(connected.channels) == {0, 1}


def test_r26_nothing_stays_of_a_refused_open() -> None:
    def refuse() -> Any:
        raise ChannelOpenFailed(1, "not today")

    def refuse_late() -> Any:
        return fail(ChannelOpenFailed(4, "full"))

    for answer, code, words in ((refuse, 1, b"not today"), (refuse_late, 4, b"full")):
        scene, connected = running()
        scene.owner.open_answer = answer
        assert ask(scene) == [REFUSED]
        message = messages.ChannelOpenFailure.decode(scene.raw.take(REFUSED))
        assert (message.recipient, message.code, message.description) == (7, code, words)
        assert connected.channels == {}
        assert scene.owner.ended == []


def test_a_fault_while_an_open_is_decided_late_refuses_that_channel(unhandled: list[Any]) -> None:
    scene, connected = running()
    scene.owner.open_answer = lambda: fail(ZeroDivisionError("secret"))
    assert ask(scene) == [REFUSED]
    message = messages.ChannelOpenFailure.decode(scene.raw.take(REFUSED))
    assert (message.code, message.description) == (2, b"internal error")
    assert connected.channels == {}
    assert len(unhandled) == 1
    unhandled.clear()


def test_r23_a_channel_whose_packets_hold_nothing_is_refused() -> None:
    scene, connected = running()
    assert ask(scene, max_packet=0) == [REFUSED]
    assert scene.owner.opens == []
    assert ask(scene, window=0, max_packet=1) == [CONFIRMED]
    client, connected = running(True)
    opened = outcome_of(connected.open_channel("session", b"", Recorder()))
    client.send(messages.ChannelOpenConfirmation(0, 1, 10, 0, b""))
    assert "0 bytes" in str(client.owner.lost)
    assert opened == [client.owner.lost]


def test_r26_the_number_of_channels_is_limited_open_or_not() -> None:
    scene, connected = running()
    scene.owner.open_answer = Deferred
    for number in range(MAX_CHANNELS - 1):
        scene.raw.send(messages.ChannelOpen("session", number, 1, 1, b""))
    scene.settle()
    scene.owner.open_answer = Recorder
    assert ask(scene) == [CONFIRMED]
    assert ask(scene) == [REFUSED]
    assert messages.ChannelOpenFailure.decode(scene.raw.take(REFUSED)).code == 4
    with pytest.raises(LocalProtocolError, match="1024 channels"):
        connected.open_channel("session", b"", Recorder())
    scene.pair.cut()


def test_a_late_open_counts_while_it_waits_and_is_not_open_before() -> None:
    scene, connected = running()
    answer: Deferred[ChannelProtocol] = Deferred()
    scene.owner.open_answer = lambda: answer
    assert ask(scene) == []
    assert len(connected.channels) == 1
    protocol = Recorder()
    answer.callback(protocol)
    scene.settle()
    assert scene.raw.numbers() == [CONFIRMED]
    assert len(connected.channels) == 1
    channel_of(protocol).write(b"x")
    scene.settle()
    assert scene.raw.numbers() == [CONFIRMED, 94]


@pytest.mark.parametrize("number", [93, 94, 96, 97, 98])
def test_r25_a_message_for_a_channel_that_is_not_open_yet_ends_the_connection(number: int) -> None:
    body = {98: b"\0\0\0\1x\0", 93: bytes(4), 94: b"\0\0\0\1x"}.get(number, b"")
    for core_is_client in (True, False):
        scene, connected = running(core_is_client)
        scene.owner.open_answer = Deferred
        if core_is_client:
            connected.open_channel("session", b"", Recorder()).add_errback(lambda _: None)
        else:
            ask(scene)
        scene.send(bytes((number,)) + bytes(4) + body)
        assert "which is not open" in str(scene.owner.lost)


def test_a_late_open_after_the_end_tells_the_protocol_once_and_nothing_else() -> None:
    scene, connected = running()
    cancelled: list[Any] = []
    answer: Deferred[ChannelProtocol] = Deferred(cancelled.append)
    scene.owner.open_answer = lambda: answer
    ask(scene)
    scene.pair.cut()
    assert cancelled == [answer]
    assert scene.owner.ended == []

    protocol = Recorder()
    scene, connected = running()
    stubborn = Deferred(lambda deferred: deferred.callback(protocol))
    scene.owner.open_answer = lambda: stubborn
    ask(scene)
    scene.pair.cut()
    assert protocol.closed == [scene.owner.lost]
    assert protocol.events == []
    assert connected.channels == {}


def test_r41_a_protocol_that_fails_when_it_is_opened_ends_the_connection() -> None:
    class Faulty(Recorder):
        def channel_opened(self, channel: Channel, body: bytes) -> None:
            super().channel_opened(channel, body)
            raise ZeroDivisionError

    for late in (False, True):
        scene, _ = running()
        protocol = Faulty()
        scene.owner.open_answer = lambda late=late, protocol=protocol: succeed(protocol) if late else protocol
        ask(scene)
        assert isinstance(scene.owner.lost, ZeroDivisionError)
        assert protocol.closed == [scene.owner.lost]
    client, connected = running(True)
    protocol = Faulty()
    opened = outcome_of(connected.open_channel("session", b"", protocol))
    client.send(messages.ChannelOpenConfirmation(0, 1, 10, 10, b""))
    assert opened == [client.owner.lost]
    assert protocol.closed == [client.owner.lost]


def test_r41_a_protocol_that_fails_at_the_end_does_not_keep_it_from_the_others(unhandled: list[Any]) -> None:
    class Faulty(Recorder):
        def channel_closed(self, error: BaseException | None) -> None:
            raise ZeroDivisionError

    scene, connected = running()
    protocols = [Recorder(), Faulty(), Recorder()]
    for protocol in protocols:
        scene.owner.open_answer = lambda protocol=protocol: protocol
        ask(scene)
    reply = outcome_of(connected.global_request("x"))
    scene.pair.cut()
    assert protocols[0].closed == protocols[2].closed == reply == [scene.owner.lost]
    assert len(scene.owner.ended) == 3
    assert len(unhandled) == 1
    unhandled.clear()


def test_a_channel_of_ours_opens_is_refused_or_fails_with_the_connection() -> None:
    scene, connected = running(True)
    outcomes = [outcome_of(connected.open_channel("session", b"x", Recorder())) for _ in range(3)]
    opens = [messages.ChannelOpen.decode(payload) for payload in (scene.settle(), scene.raw.received)[1]]
    assert [(open_.kind, open_.sender, open_.body) for open_ in opens] == [
        ("session", number, b"x") for number in range(3)
    ]
    scene.send(
        messages.ChannelOpenConfirmation(1, 9, 5, 6, b"more"),
        messages.ChannelOpenFailure(0, 2, b"nobody \x1b[2J", b""),
    )
    channel = outcomes[1][0]
    assert (channel.peer, channel.send_window, channel.max_packet) == (9, 5, 6)
    assert channel.protocol.events == [("opened", b"more")]
    refusal = outcomes[0][0]
    assert isinstance(refusal, ChannelOpenFailed)
    assert str(refusal) == "channel refused: connect failed: nobody \\x1b[2J"
    assert "code 77" in str(ChannelOpenFailed(77, ""))
    scene.pair.cut()
    assert outcomes[2] == [scene.owner.lost]
    assert scene.owner.ended == [channel]


@pytest.mark.parametrize("number", [CONFIRMED, REFUSED])
def test_r25_an_answer_to_an_open_that_was_not_made_ends_the_connection(number: int) -> None:
    for twice in (False, True):
        scene, connected = running(True)
        if twice:
            connected.open_channel("session", b"", Recorder()).add_errback(lambda _: None)
            scene.send(messages.ChannelOpenConfirmation(0, 0, 1, 1, b""))
        scene.send(bytes((number,)) + bytes(16))
        assert "which was not asked for" in str(scene.owner.lost)


def test_an_open_that_was_given_up_is_closed_as_soon_as_it_is_open() -> None:
    for answer in ("confirmed", "refused", "lost"):
        scene, connected = running(True)
        protocol = Recorder()
        opened = connected.open_channel("session", b"", protocol)
        outcomes = outcome_of(opened)
        opened.cancel()
        assert len(outcomes) == 1
        scene.settle()
        scene.raw.received.clear()
        if answer == "confirmed":
            scene.send(messages.ChannelOpenConfirmation(0, 9, 5, 6, b""))
            assert scene.raw.numbers() == [97]
            scene.send(messages.ChannelClose(0))
        elif answer == "refused":
            scene.send(messages.ChannelOpenFailure(0, 1, b"", b""))
        else:
            scene.pair.cut()
        assert connected.channels == {}
        assert protocol.events == protocol.closed == []
        assert len(outcomes) == 1


def test_numbers_are_not_reused_at_once_and_never_while_in_use() -> None:
    scene, connected = running()
    seen = []
    for _ in range(3):
        ask(scene)
        seen.append(messages.ChannelOpenConfirmation.decode(scene.raw.take(CONFIRMED)).sender)
        scene.send(messages.ChannelClose(seen[-1]))
    assert seen == [0, 1, 2]
    connected._next_number = 0xFFFF
    ask(scene)
    ask(scene)
    assert set(connected.channels) == {0xFFFF, 0}
    connected._next_number = 0xFFFF
    ask(scene)
    assert set(connected.channels) == {0xFFFF, 0, 0x10000}


# Global requests


def test_global_requests_are_answered_in_their_order() -> None:
    scene, _ = running()
    late: Deferred[Any] = Deferred()
    unwanted: Deferred[Any] = Deferred()
    failing: Deferred[Any] = Deferred()
    answers: list[Any] = [late, b"b", unwanted, None, failing, b""]
    scene.owner.request_answer = lambda: answers.pop(0)
    for number in range(6):
        scene.send(messages.GlobalRequest(f"r{number}", number != 2, b"body"))
    assert scene.raw.numbers() == []
    failing.errback(ValueError())
    unwanted.callback(b"unwanted")
    late.callback(b"a")
    scene.settle()
    assert [bytes(payload) for payload in scene.raw.received] == [
        b"\x51a",
        b"\x51b",
        b"\x52",
        b"\x52",
        b"\x51",
    ]
    assert scene.owner.requests[0] == ("r0", b"body")


def test_r26_global_requests_that_wait_are_limited_whether_they_want_an_answer_or_not() -> None:
    for want_reply in (True, False):
        scene, _ = running()
        scene.owner.request_answer = Deferred
        for _ in range(MAX_GLOBAL_REQUESTS):
            scene.send(messages.GlobalRequest("x", want_reply, b""))
        assert scene.owner.lost is None
        scene.send(messages.GlobalRequest("x", want_reply, b""))
        assert "global requests at a time" in str(scene.owner.lost)
        assert len(scene.owner.requests) == MAX_GLOBAL_REQUESTS


def test_a_late_answer_after_the_end_goes_nowhere() -> None:
    scene, _ = running()
    late: Deferred[Any] = Deferred()
    scene.owner.request_answer = lambda: late
    scene.send(messages.GlobalRequest("x", True, b""))
    scene.pair.cut()
    late.callback(b"x")
    scene.settle()
    assert scene.layer.writer._buffer is None


def test_our_global_requests_fire_in_order() -> None:
    scene, connected = running()
    outcomes = [outcome_of(connected.global_request("x", b"body")) for _ in range(3)]
    scene.send(messages.RequestSuccess(b"one"), messages.RequestFailure())
    assert outcomes[0] == [b"one"]
    assert isinstance(outcomes[1][0], ChannelRequestFailed)
    scene.pair.cut()
    assert outcomes[2] == [scene.owner.lost]


@pytest.mark.parametrize("payload", [b"\x51body", b"\x52"])
def test_r25_an_answer_to_no_global_request_ends_the_connection(payload: bytes) -> None:
    for before in (0, 1):
        scene, connected = running()
        for _ in range(before):
            connected.global_request("x").add_errback(lambda _: None)
            scene.send(messages.RequestSuccess(b""))
        scene.send(payload)
        assert "was not made" in str(scene.owner.lost)


@BOTH_ROLES
@pytest.mark.parametrize("number", [1 + 4, 6, 7, 51, 52, 53, 60, 61, 21, 30, 31])
def test_r1_after_the_login_only_the_connection_protocol_is_left(core_is_client: bool, number: int) -> None:
    scene, _ = running(core_is_client)
    scene.send(bytes((number,)) + bytes(8))
    assert isinstance(scene.owner.lost, RemoteProtocolError)
    assert "after the login" in str(scene.owner.lost)


def test_r27_a_late_request_to_log_in_is_ignored_by_servers_and_refused_by_clients() -> None:
    scene, _ = running(False)
    scene.send(b"\x32anything")
    assert scene.owner.lost is None
    scene, _ = running(True)
    scene.send(b"\x32anything")
    assert isinstance(scene.owner.lost, RemoteProtocolError)


@pytest.mark.parametrize("number", [80, 90, 91, 92, 93, 95, 96, 97, 98, 99, 100])
def test_damaged_messages_end_the_connection(number: int) -> None:
    for damage in (b"", b"\0", b"\xff" * 7):
        scene, _ = running()
        scene.send(bytes((number,)) + damage)
        assert isinstance(scene.owner.lost, RemoteProtocolError)
        assert scene.told.code == 2


# Keepalive


def test_a_silent_peer_is_asked_and_given_up_after_so_many_questions() -> None:
    scene, connected = running()
    Keepalive(connected, 10, 3)
    for expected in (1, 2, 3):
        scene.clock.advance(10)
        scene.pair.client.reading_paused = False
        scene.settle()
        assert scene.raw.numbers() == [messages.GLOBAL_REQUEST] * expected
        assert b"keepalive@openssh.com" in scene.raw.received[-1]
    scene.clock.advance(10)
    assert isinstance(scene.owner.lost, ConnectionLost)
    assert str(scene.owner.lost) == "the peer answered nothing for 40 seconds"


def test_whatever_comes_is_a_sign_of_life() -> None:
    scene, connected = running()
    keepalive = Keepalive(connected, 10, 1)
    for _ in range(5):
        scene.clock.advance(9)
        scene.send(transport.Ignore(b""))
        scene.clock.advance(1)
        scene.settle()
    assert scene.raw.numbers() == []
    scene.clock.advance(10)
    scene.settle()
    assert scene.raw.numbers() == [80]
    scene.send(messages.RequestFailure())
    scene.clock.advance(10)
    assert scene.owner.lost is None
    keepalive.stop()
    scene.clock.advance(1000)
    assert scene.owner.lost is None


def test_a_keepalive_whose_connection_has_ended_does_nothing() -> None:
    scene, connected = running()
    Keepalive(connected, 10, 1)
    scene.pair.cut()
    scene.clock.advance(100)
    assert scene.clock.next_due() is None


def test_channels_of_two_cores_carry_data_both_ways_and_end() -> None:
    duo = Duo().login()
    near, far = duo.open()
    channel_of(near).write(b"question")
    channel_of(far).write(b"answer")
    channel_of(far).write_extended(b"error")
    duo.settle()
    channel_of(far).close()
    duo.settle()
    assert (far.data, near.data, near.errors) == (b"question", b"answer", b"error")
    assert near.closed == far.closed == [None]
    assert duo.there.channels == duo.here.channels == {}
