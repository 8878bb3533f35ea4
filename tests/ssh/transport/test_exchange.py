"""The first key exchange: what may come when, strict and lenient, in both roles (R1, R3, R13 to R15)."""

from typing import Any

import pytest
from sshkit_keys import generate_private_key

from sshkit.deferred import Deferred, fail, succeed
from sshkit.ssh.algorithms import DEFAULT
from sshkit.ssh.errors import (
    ConnectionLost,
    DisconnectedByPeer,
    HostKeyNotVerified,
    KeyExchangeFailed,
    RemoteProtocolError,
)
from sshkit.ssh.messages import transport as messages
from sshkit.ssh.transport.negotiation import STRICT_CLIENT, STRICT_SERVER
from sshkit.ssh.transport.rekeying import TIMEOUT
from tests.ssh.harness import Scene
from tests.ssh.raw_peer import HOST_KEY

BOTH_ROLES = pytest.mark.parametrize("core_is_client", [True, False], ids=["client", "server"])
MARKERS = pytest.mark.parametrize("markers", [None, ()], ids=["strict", "lenient"])
NOISE = {
    "IGNORE": messages.Ignore(b"\0\0\0\0"),
    "DEBUG": messages.Debug(False, b"", b""),
    "UNIMPLEMENTED": messages.Unimplemented(0),
}
EXT_INFO = messages.ExtInfo(0, b"")
NEW_KEYS = bytes((messages.NEWKEYS,))


@BOTH_ROLES
@MARKERS
def test_keys_are_in_force_after_the_exchange(core_is_client: bool, markers: Any) -> None:
    scene = Scene(core_is_client=core_is_client)
    scene.handshake(markers)
    assert scene.owner.ready == 1
    assert scene.layer.strict is (markers is None)
    assert scene.layer.session_id == scene.raw.session_id
    scene.send(messages.Ignore(b""), bytes((19,)))
    assert scene.owner.lost is None
    unknown = messages.Unimplemented.decode(scene.raw.take(messages.UNIMPLEMENTED))
    assert unknown.sequence == (1 if markers is None else 4)


@BOTH_ROLES
def test_r13_both_sides_offer_the_marker_of_their_role_in_the_first_proposal_only(
    core_is_client: bool,
) -> None:
    scene = Scene(core_is_client=core_is_client)
    scene.handshake()
    first = scene.raw.their_proposal
    own, other = (b"kex-strict-c", b"kex-strict-s") if core_is_client else (b"kex-strict-s", b"kex-strict-c")
    assert own in first
    assert other not in first
    scene.rekey()
    assert b"kex-strict" not in scene.raw.their_proposal
    assert b"ext-info" not in scene.raw.their_proposal


@BOTH_ROLES
@pytest.mark.parametrize("noise", NOISE)
def test_r13_terrapin_a_message_before_kexinit_ends_a_strict_exchange(
    core_is_client: bool, noise: str
) -> None:
    scene = Scene(core_is_client=core_is_client)
    scene.raw.identify()
    scene.raw.send(NOISE[noise], scene.raw.proposal())
    scene.settle()
    assert isinstance(scene.owner.lost, RemoteProtocolError)
    assert "strict" in str(scene.owner.lost)


@BOTH_ROLES
@pytest.mark.parametrize("noise", NOISE)
def test_r13_a_foreign_message_before_newkeys_ends_a_strict_exchange(
    core_is_client: bool, noise: str
) -> None:
    for after_exchange in (False, True):
        scene = Scene(core_is_client=core_is_client)
        scene.propose()
        if after_exchange:
            if core_is_client:
                scene.send(scene.raw.serve_init())
            else:
                scene.send(scene.raw.start_init())
        scene.send(NOISE[noise])
        assert isinstance(scene.owner.lost, RemoteProtocolError)
        assert scene.owner.ready == 0


@BOTH_ROLES
def test_r13_terrapin_packets_cut_off_and_replaced_are_noticed_by_their_tags(core_is_client: bool) -> None:
    """The attack: insert n IGNOREs in the clear, drop the first n packets under keys."""
    chacha = DEFAULT.edited(ciphers="chacha20-poly1305@openssh.com")
    scene = Scene(core_is_client=core_is_client, algorithms=chacha)
    scene.handshake()
    scene.raw.packet(EXT_INFO.encode())  # sealed, and never sent
    scene.send(messages.Ignore(b""))
    assert scene.owner.lost is not None
    assert scene.told.code == 5
    lenient = Scene(core_is_client=core_is_client, algorithms=chacha)
    lenient.propose(())
    lenient.send(messages.Ignore(b""))
    lenient.exchange()
    assert lenient.owner.ready == 1


@BOTH_ROLES
@pytest.mark.parametrize("noise", NOISE)
def test_r3_a_lenient_exchange_takes_noise_and_nothing_else(core_is_client: bool, noise: str) -> None:
    scene = Scene(core_is_client=core_is_client)
    scene.raw.identify()
    scene.raw.send(NOISE[noise])
    scene.raw.send(scene.raw.proposal(()))
    scene.settle()
    scene.raw.take_proposal()
    scene.send(NOISE[noise])
    scene.exchange()
    assert scene.owner.ready == 1


@BOTH_ROLES
@MARKERS
@pytest.mark.parametrize("number", [0, 5, 6, 7, 8, 20, 21, 50, 52, 80, 90, 94, 100, 192, 255])
def test_r3_between_kexinit_and_newkeys_only_the_exchange_is_accepted(
    core_is_client: bool, markers: Any, number: int
) -> None:
    scene = Scene(core_is_client=core_is_client)
    scene.propose(markers)
    scene.send(bytes((number,)) + bytes(8))
    assert isinstance(scene.owner.lost, RemoteProtocolError)
    assert scene.told.code == 2
    assert scene.owner.ready == 0


@BOTH_ROLES
@pytest.mark.parametrize("number", [5, 6, 7, 21, 30, 31, 50, 80, 90, 200])
def test_r3_before_the_first_kexinit_nothing_else_is_accepted(core_is_client: bool, number: int) -> None:
    scene = Scene(core_is_client=core_is_client)
    scene.identify()
    scene.send(bytes((number,)) + bytes(8))
    assert isinstance(scene.owner.lost, RemoteProtocolError)


@BOTH_ROLES
def test_r15_newkeys_before_the_own_exchange_is_complete_is_refused(core_is_client: bool) -> None:
    scene = Scene(core_is_client=core_is_client)
    scene.propose()
    scene.send(NEW_KEYS)
    assert "message 21 is not allowed" in str(scene.owner.lost)


@BOTH_ROLES
def test_r15_the_handlers_of_the_other_role_do_not_exist(core_is_client: bool) -> None:
    scene = Scene(core_is_client=core_is_client)
    scene.propose()
    number = messages.KEX_INIT if core_is_client else messages.KEX_REPLY
    scene.send(bytes((number,)) + bytes(40))
    assert f"message {number} is not allowed" in str(scene.owner.lost)


def test_r15_a_second_kex_init_is_refused() -> None:
    scene = Scene(core_is_client=False)
    scene.propose()
    scene.send(scene.raw.start_init())
    scene.send(scene.raw.start_init())
    assert "message 30 is not allowed while NEWKEYS" in str(scene.owner.lost)


@BOTH_ROLES
@MARKERS
def test_r15_a_wrong_guess_is_skipped_exactly_once(core_is_client: bool, markers: Any) -> None:
    other = ("ecdh-sha2-nistp521", "mlkem768x25519-sha256")
    scene = Scene(core_is_client=core_is_client)
    if markers is None:
        other = (*other, STRICT_SERVER if core_is_client else STRICT_CLIENT)
    scene.propose(markers, first_packet_follows=True, key_exchanges=other)
    guess = bytes((messages.KEX_INIT,)) + b"\0\0\0\1x"
    scene.send(guess)
    assert scene.owner.lost is None
    scene.exchange()
    assert scene.owner.ready == 1
    again = Scene(core_is_client=core_is_client)
    again.propose(markers, first_packet_follows=True, key_exchanges=other)
    again.send(guess)
    again.send(guess)
    assert isinstance(again.owner.lost, (RemoteProtocolError, KeyExchangeFailed))


@BOTH_ROLES
def test_r15_a_right_guess_is_used(core_is_client: bool) -> None:
    scene = Scene(core_is_client=core_is_client)
    scene.propose(first_packet_follows=True)
    scene.exchange()
    assert scene.owner.ready == 1


@BOTH_ROLES
def test_r15_instead_of_the_guessed_packet_nothing_else_is_accepted(core_is_client: bool) -> None:
    scene = Scene(core_is_client=core_is_client)
    scene.propose((), first_packet_follows=True, host_keys=("rsa-sha2-512", "ssh-ed25519"))
    scene.send(NEW_KEYS)
    assert "wrongly guessed" in str(scene.owner.lost)


@BOTH_ROLES
@pytest.mark.parametrize("when", ["identified", "proposed", "in force"])
def test_a_disconnect_is_taken_at_each_phase(core_is_client: bool, when: str) -> None:
    scene = Scene(core_is_client=core_is_client)
    {"identified": scene.identify, "proposed": scene.propose, "in force": scene.handshake}[when]()
    scene.send(messages.Disconnect(11, b"bye \x1b[2J", b""))
    assert isinstance(scene.owner.lost, DisconnectedByPeer)
    assert (scene.owner.lost.code, scene.owner.lost.description) == (11, "bye \\x1b[2J")
    assert scene.core_end.closed
    assert messages.DISCONNECT not in scene.raw.numbers()


@BOTH_ROLES
@pytest.mark.parametrize("when", ["connected", "identified", "proposed", "in force"])
def test_a_peer_that_goes_away_ends_the_connection_at_each_phase(core_is_client: bool, when: str) -> None:
    texts = {"connected": "before it identified itself", "in force": "closed the connection"}
    for reset in (False, True):
        scene = Scene(core_is_client=core_is_client)
        steps = {"connected": scene.settle, "identified": scene.identify, "proposed": scene.propose}
        steps.get(when, scene.handshake)()
        if reset:
            scene.raw_end.abort()
        else:
            scene.raw_end.close()
        scene.settle()
        assert isinstance(scene.owner.lost, ConnectionLost)
        expected = texts.get(when, "during the key exchange")
        assert (expected if not reset or when != "in force" else "reset by the peer") in str(scene.owner.lost)
        assert scene.clock.next_due() is None  # no timer stays


@BOTH_ROLES
def test_r20_an_exchange_that_does_not_end_in_time_ends_the_connection(core_is_client: bool) -> None:
    scene = Scene(core_is_client=core_is_client)
    scene.propose()
    scene.clock.advance(TIMEOUT)
    scene.settle()
    assert "no new keys within 120 seconds" in str(scene.owner.lost)
    assert isinstance(scene.raw.ended, ConnectionResetError)


@BOTH_ROLES
def test_r13_a_sequence_number_that_wraps_in_the_clear_ends_the_connection(core_is_client: bool) -> None:
    scene = Scene(core_is_client=core_is_client)
    scene.identify()
    scene.layer.opener.sequence = 0xFFFFFFFF
    scene.send(messages.Ignore(b""))
    assert "sequence number wrapped" in str(scene.owner.lost)


def test_r14_an_invalid_public_value_ends_the_exchange_without_a_traceback() -> None:
    for payload in (b"\0\0\0\0", b"\0\0\0\x20" + bytes(32), b"\0\0\0\x04abcd"):
        scene = Scene(core_is_client=False, algorithms=DEFAULT.edited(key_exchanges="curve25519-sha256"))
        scene.propose()
        scene.send(bytes((messages.KEX_INIT,)) + payload)
        assert isinstance(scene.owner.lost, KeyExchangeFailed)
        told = scene.told
        assert told.code == 3
        assert told.description == b"curve25519-sha256: the peer's public value is not valid"


def test_a_damaged_kex_message_is_a_protocol_error() -> None:
    for core_is_client, number in ((False, messages.KEX_INIT), (True, messages.KEX_REPLY)):
        scene = Scene(core_is_client=core_is_client)
        scene.propose()
        scene.send(bytes((number,)) + b"\xff\xff\xff\xffx")
        assert isinstance(scene.owner.lost, RemoteProtocolError)
        assert "a damaged message" in str(scene.owner.lost)


def test_a_signature_that_does_not_verify_is_refused() -> None:
    for change in ("signature", "other key", "no key", "label"):
        scene = Scene(core_is_client=True)
        scene.propose()
        raw = scene.raw
        if change == "signature":
            reply = raw.serve_init(signature=HOST_KEY.sign("ssh-ed25519", b"something else"))
        elif change == "other key":
            reply = raw.serve_init(host_key=generate_private_key("ed25519").public.blob)
        elif change == "no key":
            reply = raw.serve_init(host_key=b"\0\0\0\7ssh-abc")
        else:
            reply = raw.serve_init(signature=b"\0\0\0\7ssh-rsa\0\0\0\0")
        scene.send(reply)
        assert isinstance(scene.owner.lost, KeyExchangeFailed)
        assert scene.owner.keys == []
        assert scene.told.code == 3


def test_a_refused_host_key_tells_the_server_nothing_of_our_files() -> None:
    secret = HostKeyNotVerified("/home/user/.ssh/known_hosts:3 has another key")
    for verdict in (lambda: (_ for _ in ()).throw(secret), lambda: fail(secret)):
        scene = Scene(core_is_client=True)
        scene.owner.verdict = verdict
        scene.propose()
        scene.exchange()
        assert scene.owner.lost is secret
        told = scene.told
        assert told.code == 9
        assert b"known_hosts" not in told.description
        assert scene.owner.ready == 0


def test_a_verdict_that_is_there_at_once_as_a_deferred_works_like_none() -> None:
    scene = Scene(core_is_client=True)
    scene.owner.verdict = lambda: succeed(None)
    scene.propose()
    raw = scene.raw
    raw.send(raw.serve_init())
    raw.new_keys()
    raw.send(EXT_INFO, messages.Ignore(b"x" * 100), messages.Debug(True, b"", b""))
    scene.settle()
    assert scene.owner.lost is None
    assert scene.owner.ready == 1
    assert scene.layer.host_key == HOST_KEY.public


def test_until_the_verdict_no_packet_is_handled_and_nothing_is_read() -> None:
    scene = Scene(core_is_client=True)
    verdict: Deferred[None] = Deferred()
    scene.owner.verdict = verdict
    scene.propose()
    scene.exchange()
    assert scene.core_end.reading_paused
    assert scene.owner.ready == 0
    assert messages.NEWKEYS not in scene.raw.numbers()
    verdict.callback(None)
    scene.settle()
    assert scene.owner.ready == 1
    assert not scene.core_end.reading_paused


@pytest.mark.parametrize("ok", [True, False])
def test_a_verdict_after_the_end_changes_nothing(ok: bool) -> None:
    scene = Scene(core_is_client=True)
    verdict: Deferred[None] = Deferred()
    scene.owner.verdict = verdict
    scene.propose()
    scene.exchange()
    scene.pair.cut()
    if ok:
        verdict.callback(None)
    else:
        verdict.errback(HostKeyNotVerified("no"))
    scene.settle()
    assert isinstance(scene.owner.lost, ConnectionLost)
    assert scene.owner.ready == 0
