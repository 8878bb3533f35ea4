"""A host key that signs later: in an agent, or in another process (RFC 4253 section 8)."""

from typing import Any

import pytest
from sshkit_keys import PublicKey
from sshkit_keys.errors import UnsupportedKey

from sshkit.deferred import Deferred, succeed
from sshkit.ssh.errors import ConnectionLost, HostKeySigningFailed, RemoteProtocolError
from sshkit.ssh.messages import transport as messages
from sshkit.ssh.transport.rekeying import TIMEOUT
from tests.ssh.harness import HOST_KEYS, Scene
from tests.ssh.raw_peer import HOST_KEY


class Elsewhere:
    """A host key whose signatures the test lets come."""

    def __init__(self, *, at_once: bool = False) -> None:
        self.asked: list[tuple[str, bytes, Deferred[bytes]]] = []
        self.cancelled = 0
        self.at_once = at_once

    @property
    def public(self) -> PublicKey:
        return HOST_KEY.public

    def sign(self, algorithm: str, data: bytes) -> Deferred[bytes]:
        if self.at_once:
            return succeed(HOST_KEY.sign(algorithm, data))
        signing: Deferred[bytes] = Deferred(self._cancel)
        self.asked.append((algorithm, data, signing))
        return signing

    def _cancel(self, signing: Deferred[bytes]) -> None:
        self.cancelled += 1

    def answer(self) -> None:
        algorithm, data, signing = self.asked.pop(0)
        signing.callback(HOST_KEY.sign(algorithm, data))


def scene_with(key: Elsewhere) -> Scene:
    scene = Scene(core_is_client=False)
    scene.layer.host_keys = dict.fromkeys(HOST_KEYS, key)
    return scene


def asked(key: Elsewhere) -> Scene:
    """Return a scene whose server waits for the signature."""
    scene = scene_with(key)
    scene.propose()
    scene.send(scene.raw.start_init())
    assert len(key.asked) == 1
    return scene


def finish(scene: Scene) -> None:
    scene.raw.take_reply()
    scene.raw.new_keys()
    scene.settle()


def test_until_the_signature_comes_nothing_is_sent_and_no_packet_is_handled() -> None:
    key = Elsewhere()
    scene = asked(key)
    assert key.asked[0][0] == "ssh-ed25519"
    assert scene.core_end.reading_paused
    assert scene.raw.numbers() == []
    key.answer()
    assert not scene.core_end.reading_paused
    scene.settle()
    assert scene.raw.numbers() == [messages.KEX_REPLY, messages.NEWKEYS]
    finish(scene)
    assert scene.owner.ready == 1
    assert scene.layer.session_id == scene.raw.session_id


def test_a_signature_that_is_there_at_once_as_a_deferred_works_like_bytes() -> None:
    scene = scene_with(Elsewhere(at_once=True))
    scene.handshake()
    assert scene.owner.ready == 1
    assert not scene.core_end.reading_paused


def test_r15_a_second_kex_init_that_came_meanwhile_is_refused_after_the_signature() -> None:
    key = Elsewhere()
    scene = asked(key)
    scene.send(scene.raw.start_init())
    assert scene.owner.lost is None
    assert len(key.asked) == 1
    key.answer()
    scene.settle()
    assert "message 30 is not allowed while NEWKEYS" in str(scene.owner.lost)


def test_r20_a_rekey_waits_for_its_signature_while_messages_of_the_service_wait() -> None:
    key = Elsewhere()
    scene = asked(key)
    key.answer()
    scene.settle()
    finish(scene)
    scene.raw.received.clear()
    scene.send(scene.raw.proposal(()))
    scene.raw.take_proposal()
    scene.send(scene.raw.start_init())
    scene.layer.send(messages.Ignore(b"later").encode())
    scene.settle()
    assert scene.raw.numbers() == []
    key.answer()
    scene.settle()
    assert scene.raw.numbers() == [messages.KEX_REPLY, messages.NEWKEYS]
    finish(scene)
    assert scene.raw.numbers()[-1] == messages.IGNORE
    assert scene.owner.lost is None


def test_who_holds_the_key_and_does_not_sign_ends_the_connection_without_telling_why() -> None:
    key = Elsewhere()
    scene = asked(key)
    refusal = UnsupportedKey("the agent at /run/hostkeys.sock refused the request")
    key.asked[0][2].errback(refusal)
    scene.settle()
    assert isinstance(scene.owner.lost, HostKeySigningFailed)
    assert scene.owner.lost.__cause__ is refusal
    assert "/run/hostkeys.sock" in str(scene.owner.lost)
    told = scene.told
    assert (told.code, told.description) == (3, b"the host key could not sign")


def test_r41_an_answer_that_is_no_signature_ends_that_connection_only() -> None:
    key = Elsewhere()
    scene = asked(key)
    wrong: Any = key.asked[0][2]
    wrong.callback(None)
    scene.settle()
    assert scene.owner.lost is not None
    assert scene.told.code == 11


def test_r20_a_signature_that_does_not_come_in_time_ends_the_connection() -> None:
    key = Elsewhere()
    scene = asked(key)
    scene.clock.advance(TIMEOUT)
    scene.settle()
    assert isinstance(scene.owner.lost, RemoteProtocolError)
    assert key.cancelled == 1
    assert isinstance(scene.raw.ended, ConnectionResetError)


@pytest.mark.parametrize("late", [False, True])
def test_a_connection_that_ends_meanwhile_wants_no_signature_any_more(late: bool) -> None:
    key = Elsewhere()
    scene = asked(key)
    scene.pair.cut()
    scene.settle()
    assert isinstance(scene.owner.lost, ConnectionLost)
    assert key.cancelled == 1
    signing = key.asked[0][2]
    if late:
        key.answer()
    assert signing.called
    assert scene.clock.next_due() is None


def test_a_signature_that_nobody_could_cancel_comes_to_nothing() -> None:
    class Stubborn(Deferred[bytes]):
        """Ends in its own time."""

        def cancel(self) -> None:
            """Go on."""

    key = Elsewhere()
    scene = scene_with(key)
    stubborn = Stubborn()
    key.sign = lambda algorithm, data: stubborn  # type: ignore[method-assign]
    scene.propose()
    scene.send(scene.raw.start_init())
    scene.pair.cut()
    stubborn.callback(b"late")
    assert isinstance(scene.owner.lost, ConnectionLost)
    assert messages.KEX_REPLY not in scene.raw.numbers()
