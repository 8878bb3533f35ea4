"""New keys while everything else goes on: by bytes, by time, by request, from both sides (R20)."""

import os
from typing import Any

import pytest
from sshkit_keys import generate_private_key

from sshkit.ssh.errors import HostKeyNotVerified, RemoteProtocolError
from sshkit.ssh.messages import connection, transport
from sshkit.ssh.transport.packet_writer import MAX_HELD
from sshkit.ssh.transport.rekeying import DEFAULT_BYTES, MAX_BYTES, MIN_BYTES, TIMEOUT, RekeyLimits
from tests.ssh.harness import Duo, Recorder, Scene, channel_of

BOTH_ROLES = pytest.mark.parametrize("core_is_client", [True, False], ids=["client", "server"])
SIZE = 400_000


def count_runs(duo: Duo) -> list[Any]:
    """Return a list that grows with every key exchange of the client."""
    runs: list[Any] = []
    start = duo.client._start_exchange

    class Counting(type(duo.client)):  # type: ignore[misc]
        __slots__ = ()

        def _start_exchange(self) -> None:
            runs.append(self.session_id)
            start()

    duo.client.__class__ = Counting
    return runs


@pytest.mark.parametrize("limited", ["client", "server", "both"])
def test_r20_data_in_both_directions_survives_keys_that_change_by_bytes(limited: str) -> None:
    small, none = RekeyLimits(MIN_BYTES, 0), RekeyLimits(0, 0)
    duo = Duo(
        limits=small if limited != "server" else none, server_limits=small if limited != "client" else none
    ).login()
    runs = count_runs(duo)
    session = duo.client.session_id
    near, far = duo.open()
    data = os.urandom(SIZE)
    channel_of(near).write(data)
    channel_of(far).write(data)
    channel_of(near).write_eof()
    channel_of(far).write_eof()
    duo.settle()
    assert bytes(far.data) == bytes(near.data) == data
    assert near.events[-1] == far.events[-1] == "eof"
    assert len(runs) >= 3
    assert duo.client.session_id == duo.server.session_id == session


def test_r20_a_limit_smaller_than_a_key_exchange_does_not_go_round_for_ever() -> None:
    duo = Duo(limits=RekeyLimits(1, 0)).login()
    runs = count_runs(duo)
    near, far = duo.open()
    channel_of(near).write(b"x" * 1000)
    duo.settle()
    assert runs == []
    assert far.data == b"x" * 1000


def test_r20_keys_change_by_time_from_either_side() -> None:
    for limits, server_limits in (
        (RekeyLimits(0, 60), RekeyLimits(0, 0)),
        (RekeyLimits(0, 0), RekeyLimits(0, 60)),
    ):
        duo = Duo(limits=limits, server_limits=server_limits).login()
        runs = count_runs(duo)
        for expected in (1, 2):
            duo.clock.advance(59.5 if expected == 1 else 60)
            duo.clock.advance(0.5)
            duo.settle()
            assert len(runs) == expected
        assert duo.client.lost is None


def test_r20_both_sides_may_start_at_the_same_moment() -> None:
    duo = Duo().login()
    runs = count_runs(duo)
    near, far = duo.open()
    for _ in range(3):
        duo.client.rekey()
        duo.server.rekey()
        duo.client.rekey()  # one at a time
        channel_of(near).write(b"a" * 1000)
        channel_of(far).write(b"b" * 1000)
        duo.settle()
    assert len(runs) == 3
    assert (far.data, near.data) == (b"a" * 3000, b"b" * 3000)
    assert duo.client.exchange is duo.server.exchange is None


def test_a_rekey_before_the_first_keys_is_not_begun() -> None:
    duo = Duo()
    first = duo.client.exchange
    duo.client.rekey()
    assert duo.client.exchange is first
    duo.login()


@BOTH_ROLES
def test_r20_while_new_keys_are_made_nothing_else_is_sent(core_is_client: bool) -> None:
    scene = Scene(core_is_client=core_is_client)
    connected = scene.run()
    opened = connected.open_channel("session", b"", Recorder())
    scene.settle()
    scene.raw.received.clear()
    scene.send(connection.ChannelOpenConfirmation(0, 7, 1 << 20, 32768, b""))
    channel = opened.result()
    scene.layer.rekey()
    connected.global_request("x").add_errback(lambda _: None)
    channel.write(b"data")
    channel.request("exec").add_errback(lambda _: None)
    channel.write_eof()
    scene.settle()
    assert scene.raw.numbers() == [transport.KEXINIT]
    scene.send(connection.ChannelWindowAdjust(0, 5), bytes((19,)))  # the peer has not proposed yet
    scene.raw.send(scene.raw.proposal(()))
    scene.settle()
    scene.raw.take_proposal()
    expected = [transport.KEX_INIT] if core_is_client else []
    assert scene.raw.numbers() == expected
    scene.exchange()
    after = scene.raw.numbers()
    assert after[:3] == [transport.NEWKEYS, connection.GLOBAL_REQUEST, connection.CHANNEL_REQUEST]
    assert sorted(after[3:]) == [3, connection.CHANNEL_DATA, connection.CHANNEL_EOF]
    assert after.index(connection.CHANNEL_DATA) < after.index(connection.CHANNEL_EOF)


def test_r20_what_waits_for_new_keys_is_bounded() -> None:
    scene = Scene(core_is_client=False)
    scene.run()
    scene.layer.rekey()
    scene.settle()
    request = scene.raw.packet(connection.GlobalRequest("x" * 100, True, b"").encode())
    for _ in range(MAX_HELD // 65 + 1):
        scene.raw.send_bytes(request)
        request = scene.raw.packet(connection.GlobalRequest("x" * 100, True, b"").encode())
        if len(scene.raw_end.outgoing) > 1 << 18:
            scene.settle()
    scene.settle()
    assert "wait for the key exchange to end" in str(scene.owner.lost)


def test_r20_held_messages_do_not_leave_behind_the_next_proposal() -> None:
    """The messages that waited are many enough to make the next keys due."""
    scene = Scene(core_is_client=True, limits=RekeyLimits(MIN_BYTES, 0))
    connected = scene.run()
    scene.layer.rekey()
    for _ in range(8):
        connected.global_request("x", bytes(60_000)).add_errback(lambda _: None)
    scene.settle()
    runs = 0
    while scene.raw.numbers()[-1:] == [transport.KEXINIT]:
        scene.send(scene.raw.proposal(()))
        scene.raw.take_proposal()
        scene.exchange()
        scene.raw.take(transport.NEWKEYS)
        runs += 1
    assert runs == 4
    assert scene.raw.numbers() == [connection.GLOBAL_REQUEST] * 8
    assert scene.owner.lost is None


def test_r20_a_rekey_that_is_not_finished_in_time_ends_the_connection() -> None:
    scene = Scene(core_is_client=True)
    scene.run()
    scene.layer.rekey()
    scene.clock.advance(TIMEOUT)
    scene.settle()
    assert "no new keys within" in str(scene.owner.lost)


def test_r20_the_host_key_of_a_rekey_must_be_the_first_one() -> None:
    scene = Scene(core_is_client=True)
    scene.handshake()
    scene.raw.host_key = generate_private_key("ed25519")
    scene.send(scene.raw.proposal(()))
    scene.raw.take_proposal()
    scene.exchange()
    assert isinstance(scene.owner.lost, HostKeyNotVerified)
    assert len(scene.owner.keys) == 1


@BOTH_ROLES
def test_r13_markers_in_later_proposals_mean_nothing(core_is_client: bool) -> None:
    strict = Scene(core_is_client=core_is_client)
    strict.handshake()
    strict.rekey()
    assert strict.layer.strict
    lenient = Scene(core_is_client=core_is_client)
    lenient.handshake(())
    lenient.send(lenient.raw.proposal())  # with the markers
    lenient.raw.take_proposal()
    lenient.send(transport.Ignore(b""))
    lenient.exchange()
    assert not lenient.layer.strict
    assert lenient.owner.lost is None


@BOTH_ROLES
def test_r13_sequence_numbers_start_again_at_every_newkeys_of_a_strict_connection(
    core_is_client: bool,
) -> None:
    for markers, expected in ((None, 0), ((), 6)):
        scene = Scene(core_is_client=core_is_client)
        scene.handshake(markers)
        scene.raw.received.clear()
        scene.rekey()
        scene.send(bytes((19,)))
        unimplemented = transport.Unimplemented.decode(scene.raw.take(transport.UNIMPLEMENTED))
        assert unimplemented.sequence == expected


@BOTH_ROLES
@pytest.mark.parametrize("number", [21, 30, 31, 80, 94, 6])
def test_r3_in_a_rekey_only_the_exchange_is_accepted_after_the_peers_proposal(
    core_is_client: bool, number: int
) -> None:
    if number == (transport.KEX_REPLY if core_is_client else transport.KEX_INIT):
        return
    scene = Scene(core_is_client=core_is_client)
    scene.run()
    scene.send(scene.raw.proposal(()))
    scene.raw.received.clear()
    scene.send(bytes((number,)) + bytes(8))
    assert isinstance(scene.owner.lost, RemoteProtocolError)


def test_r20_the_default_limits_are_those_of_the_rfc() -> None:
    assert RekeyLimits() == (1 << 30, 3600.0)
    assert DEFAULT_BYTES <= MAX_BYTES < 16 << 31  # a packet has 16 bytes at least


def test_a_phase_entered_during_a_rekey_holds_after_it() -> None:
    scene = Scene(core_is_client=True)
    scene.handshake()
    scene.send(scene.raw.proposal(()))
    scene.raw.take_proposal()
    from sshkit.ssh.connection.connection import Connection

    scene.owner.connection = Connection(scene.layer, scene.owner)
    scene.exchange()
    scene.send(connection.GlobalRequest("x", True, b""))
    assert scene.owner.requests == [("x", b"")]


def test_r20_the_end_of_a_connection_leaves_no_timer_behind() -> None:
    duo = Duo(limits=RekeyLimits(0, 3600)).login()
    assert duo.client._rekey_timer is not None
    duo.client.disconnect()
    duo.settle()
    assert duo.client._rekey_timer is None
    assert duo.server._rekey_timer is None
