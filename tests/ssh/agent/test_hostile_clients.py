"""What a hostile client sends harms nobody but itself (rules R18, R40, R43)."""

import gc
import os
import weakref
from binascii import b2a_base64
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sshkit_keys import PrivateKey, generate_private_key, sign_certificate
from sshkit_keys.security_keys import (
    SKECDSAPrivateKey,
    SKECDSAPublicKey,
    SKEd25519PrivateKey,
    SKEd25519PublicKey,
)
from sshkit_keys.wire import WireReader, boolean, byte, string, uint32

from sshkit.deferred import Deferred
from sshkit.ssh.agent import messages
from sshkit.ssh.agent.constraints import (
    ASSOCIATED_CERTIFICATES,
    CONFIRM,
    EXTENSION,
    LIFETIME,
    MAX_CERTIFICATES,
    MAXSIGN,
    SECURITY_KEY_PROVIDER,
    Constraints,
    read_constraints,
)
from sshkit.ssh.agent.errors import AgentError, AgentRefused, ConstraintError
from sshkit.ssh.agent.messages import MAX_KEYS, MAX_MESSAGE
from sshkit.ssh.agent.policy import Restrictions
from sshkit.ssh.agent.private_keys import encode_key
from sshkit.ssh.agent.server import REQUESTS_A_TURN
from tests.ssh.agent.world import (
    AUTHORITY,
    ECDSA,
    ED25519,
    FAILURE,
    RSA,
    SUCCESS,
    World,
    fixed_bytes,
    login,
    sshsig,
)

ADD = bytes((messages.ADD_IDENTITY_CONSTRAINED,)) + encode_key(ED25519, "comment")


def test_r40_a_message_beyond_the_limit_ends_the_connection() -> None:
    for size in (0, MAX_MESSAGE + 1, 0xFFFFFFFF):
        world = World()
        other = world.connect()
        raw = world.raw()
        raw.transport.write(uint32(size))
        world.settle()
        assert raw.lost
        assert world.result(other.list_keys()) == []
        assert world.outcomes[0][:2] == ("other", "failed")


def test_r40_the_largest_message_is_answered() -> None:
    raw = World().raw()
    assert raw.ask(byte(99).ljust(MAX_MESSAGE, b"x")) == FAILURE


def test_r40_unknown_messages_fail_and_the_connection_goes_on() -> None:
    world = World()
    raw = world.raw()
    known = {9, 11, *range(13, 14), *range(17, 24), 25, 26, 27}
    for number in sorted({*range(256)} - known):
        assert raw.ask(byte(number)) == FAILURE
    assert raw.ask(byte(messages.REQUEST_IDENTITIES))[0] == messages.IDENTITIES_ANSWER


def test_r40_messages_in_pieces_are_put_together() -> None:
    world = World()
    raw = world.raw()
    for octet in string(byte(messages.REQUEST_IDENTITIES)):
        raw.transport.write(byte(octet))
        world.settle()
    assert len(raw.answers()) == 1


def test_r40_half_a_message_leaves_nothing_behind() -> None:
    world = World()
    raw = world.raw()
    raw.transport.write(string(ADD)[:-5])
    world.settle()
    raw.transport.close()
    world.settle()
    assert len(world.keyring) == 0
    assert world.agent.connections == set()


@pytest.mark.parametrize(
    "constraints",
    [
        byte(4),
        byte(0),
        byte(254) + b"x",
        byte(EXTENSION) + string("unknown@example.com"),
        byte(EXTENSION) + string("restrict-destination-v00@openssh.com") + string(b""),
        byte(EXTENSION) + string(ASSOCIATED_CERTIFICATES) + boolean(False) + string(b""),
        byte(CONFIRM) + byte(CONFIRM),
        byte(LIFETIME) + uint32(1) + byte(LIFETIME) + uint32(1),
        byte(LIFETIME) + b"\0\0",
        byte(MAXSIGN) + uint32(5),
        byte(EXTENSION) + string(SECURITY_KEY_PROVIDER) + string("internal"),
        byte(CONFIRM) + byte(99),
    ],
    ids=range(12),
)
def test_r40_a_key_with_constraints_that_are_not_known_or_obeyed_is_not_added(constraints: bytes) -> None:
    world = World()
    raw = world.raw()
    assert raw.ask(ADD + constraints) == FAILURE
    assert len(world.keyring) == 0


def test_r40_an_add_without_constraints_takes_none() -> None:
    world = World()
    raw = world.raw()
    plain = byte(messages.ADD_IDENTITY) + ADD[1:]
    assert raw.ask(plain + byte(CONFIRM)) == FAILURE
    assert len(world.keyring) == 0
    assert raw.ask(plain) == SUCCESS
    assert raw.ask(ADD) == SUCCESS


def test_r40_constraints_travel_unchanged() -> None:
    for limits in (
        Constraints(),
        Constraints(lifetime=5, confirm=True, max_signatures=7, provider="internal"),
    ):
        assert read_constraints(WireReader(limits.encode())) == limits
    certificate = sign_certificate(AUTHORITY, ECDSA.public, role="user", key_id="", random_bytes=fixed_bytes)
    of_token = Constraints(certificates=(certificate,), certificates_only=True)
    assert read_constraints(WireReader(of_token.encode()), of_token=True) == of_token


def test_r40_a_token_has_constraints_of_its_own() -> None:
    certificates = string(ED25519.public.blob) * (MAX_CERTIFICATES + 1)
    for constraint in (
        byte(MAXSIGN) + uint32(1),
        byte(EXTENSION) + string(SECURITY_KEY_PROVIDER) + string("internal"),
        byte(EXTENSION) + string(ASSOCIATED_CERTIFICATES) + boolean(False) + string(certificates),
    ):
        with pytest.raises(ConstraintError):
            read_constraints(WireReader(constraint), of_token=True)


def security_key(application: str) -> SKEd25519PrivateKey:
    signer = generate_private_key("ed25519")
    raw = signer.public.blob[-32:]
    blob = string("sk-ssh-ed25519@openssh.com") + string(raw) + string(application)
    reader = WireReader(blob)
    reader.view()
    public = SKEd25519PublicKey.read("sk-ssh-ed25519@openssh.com", reader, blob, "sk")
    return SKEd25519PrivateKey(public, b"handle", 1)


def ecdsa_security_key() -> SKECDSAPrivateKey:
    blob = ECDSA.public.blob
    reader = WireReader(blob)
    reader.view()
    fields = string(reader.string()) + string(reader.string()) + string("ssh:")
    name = "sk-ecdsa-sha2-nistp256@openssh.com"
    return SKECDSAPrivateKey(
        SKECDSAPublicKey.read(name, WireReader(fields), string(name) + fields, "sk"), b"handle", 1
    )


def test_r40_a_security_key_is_added_and_no_library_with_it() -> None:
    world = World()
    client = world.connect()
    key = security_key("ssh:")
    world.result(client.add(key, provider="internal"))
    world.result(client.add(ecdsa_security_key(), provider="Internal"))
    for provider in ("/usr/lib/libevil.so", "x"):
        assert isinstance(world.error(client.add(key, provider=provider)), AgentRefused)
    assert [found.public for found in world.result(client.list_keys())] == [
        key.public,
        ecdsa_security_key().public,
    ]
    certificate = sign_certificate(
        AUTHORITY, ecdsa_security_key().public, role="user", key_id="", random_bytes=fixed_bytes
    )
    world.result(client.add(ecdsa_security_key(), certificate=certificate))
    (_, _, certified) = world.keyring
    assert certified.public == certificate


class Device:
    """A security key that signs."""

    def __init__(self, application: str) -> None:
        self.private = security_key(application)
        self.public = self.private.public
        self.comment = "device"
        self.key_handle = b"handle"
        self.signed: list[bytes] = []

    def sign(self, algorithm: str, data: bytes) -> bytes:
        self.signed.append(data)
        return b"signature"


def test_r40_a_security_key_of_a_web_page_signs_logins_and_files_only() -> None:
    def in_thread(function: Any, *arguments: Any) -> Deferred[bytes]:
        done: Deferred[bytes] = Deferred()
        done.callback(function(*arguments))
        return done

    world = World(in_thread=in_thread)
    raw = world.raw()
    page, ours = Device("https://example.com"), Device("ssh:mine")

    def sign(device: Device, data: bytes) -> int:
        request = messages.SignRequest(device.public.blob, data, 0)
        return raw.ask(request.encode())[0]

    for device in (page, ours):
        world.keyring.add(device)
    challenge = b"a web page's challenge"
    assert sign(page, challenge) == messages.FAILURE
    assert page.signed == []
    for data in (login(page, b"session"), sshsig("file")):  # type: ignore[arg-type]
        assert sign(page, data) == messages.SIGN_RESPONSE
    assert sign(ours, challenge) == messages.SIGN_RESPONSE
    world.agent.restrictions = Restrictions(websafe=None)
    assert sign(page, challenge) == messages.SIGN_RESPONSE
    world.agent.restrictions = Restrictions(websafe=("https://*.com",))
    assert sign(page, challenge) == messages.SIGN_RESPONSE
    world.agent.in_thread = None
    assert sign(page, challenge) == messages.SIGN_RESPONSE


@pytest.mark.parametrize("key", [ED25519, ECDSA, RSA], ids=lambda key: key.comment)
def test_a_damaged_key_is_not_added(key: PrivateKey) -> None:
    world = World()
    raw = world.raw()
    whole = encode_key(key, "comment")
    for size in range(0, len(whole), 1 + len(whole) // 40):
        assert raw.ask(byte(messages.ADD_IDENTITY) + whole[:size]) == FAILURE
    for body in (
        string("ssh-unknown") + whole,
        string("ssh-unknown-cert-v01@openssh.com") + string(b"") + whole,
        string("ssh-ed25519-cert-v01@openssh.com") + string(key.public.blob) + whole,
    ):
        assert raw.ask(byte(messages.ADD_IDENTITY) + body) == FAILURE
    assert len(world.keyring) == 0


def test_a_certificate_of_another_key_is_not_added() -> None:
    world = World()
    other = generate_private_key("ed25519")
    certificate = sign_certificate(AUTHORITY, other.public, role="user", key_id="", random_bytes=fixed_bytes)
    with pytest.raises(Exception, match="another key"):
        encode_key(ED25519, "", certificate)
    mixed = encode_key(other, "x", certificate)
    fields = encode_key(ED25519, "x")[len(string("ssh-ed25519")) :]
    head = string(certificate.key_type) + string(certificate.blob)
    assert mixed.startswith(head)
    raw = world.raw()
    assert raw.ask(byte(messages.ADD_IDENTITY) + head + fields) == FAILURE
    wrong_name = string("ssh-rsa-cert-v01@openssh.com") + mixed[len(string(certificate.key_type)) :]
    assert raw.ask(byte(messages.ADD_IDENTITY) + wrong_name) == FAILURE
    assert raw.ask(byte(messages.ADD_IDENTITY) + mixed) == SUCCESS


def test_r22_a_short_rsa_key_is_not_held() -> None:
    from cryptography.hazmat.primitives.asymmetric import rsa
    from sshkit_keys.rsa import RSAPrivateKey

    short = RSAPrivateKey(rsa.generate_private_key(65537, 1024))
    raw = World().raw()
    assert raw.ask(byte(messages.ADD_IDENTITY) + encode_key(short, "")) == FAILURE


def test_r18_the_number_of_keys_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sshkit.ssh.agent.keyring.MAX_KEYS", 2)
    world = World()
    client = world.connect()
    for key in (ED25519, ECDSA):
        world.result(client.add(key))
    assert isinstance(world.error(client.add(RSA)), AgentRefused)
    world.result(client.add(ED25519))
    with pytest.raises(AgentError, match="2 keys already"):
        world.keyring.add(RSA)


def test_r18_an_answer_is_never_larger_than_a_message() -> None:
    world = World()
    client = world.connect()
    world.keyring.add(ED25519, comment="x" * 200_000)
    world.keyring.add(ECDSA, comment="x" * 200_000)
    assert len(world.result(client.list_keys())) == 1
    assert MAX_KEYS == 2048


def test_r40_a_flood_during_a_question_is_bounded_and_answered_in_order() -> None:
    question: Deferred[bool] = Deferred()
    world = World(confirm=lambda request: question)
    other = world.connect()
    world.result(other.add(ED25519, confirm=True))
    raw = world.raw()
    raw.send(messages.SignRequest(ED25519.public.blob, b"x", 0).encode())
    unknown = string(byte(99).ljust(1020, b"x"))
    count = 3 * MAX_MESSAGE // len(unknown)
    for _ in range(3):
        raw.transport.write(unknown * (count // 3))
        world.settle()
    (flooded,) = [server for server in world.agent.connections if server._busy]
    assert len(flooded._frames) < 3 * MAX_MESSAGE
    assert flooded._transport is not None
    assert flooded._transport.reading_paused  # type: ignore[attr-defined]
    assert len(world.result(other.list_keys())) == 1
    question.callback(True)
    world.settle()
    first, *rest = raw.answers()
    assert first[0] == messages.SIGN_RESPONSE
    assert len(rest) == count // 3 * 3


def test_r41_a_flood_of_requests_leaves_turns_to_the_others() -> None:
    world = World()
    raw, other = world.raw(), world.connect()
    raw.transport.write(string(byte(messages.REQUEST_IDENTITIES)) * 10 * REQUESTS_A_TURN)
    first, second = world.pairs
    first.settle()
    assert len(raw.answers()) == REQUESTS_A_TURN
    listing = other.list_keys()
    second.settle()
    assert listing.result() == []
    raw.transport.write(string(byte(messages.REQUEST_IDENTITIES)))
    first.settle()
    assert raw.answers() == []
    world.settle()
    assert len(raw.answers()) == 9 * REQUESTS_A_TURN + 1
    raw.transport.write(string(byte(messages.REQUEST_IDENTITIES)) * 2 * REQUESTS_A_TURN)
    first.settle()
    first.cut()
    assert world.clock.next_due() is None


def test_r40_a_thousand_connections_leave_nothing_behind() -> None:
    world = World()
    world.keyring.add(ED25519)
    raws = [world.raw() for _ in range(1000)]
    for raw in raws:
        raw.transport.write(uint32(MAX_MESSAGE) + b"half a message")
    for pair in world.pairs:
        pair.settle()
    assert len(world.agent.connections) == 1000
    client = world.connect()
    world.pairs[-1].settle()
    listing = client.list_keys()
    world.pairs[-1].settle()
    assert len(listing.result()) == 1
    for pair in world.pairs:
        pair.cut()
    assert world.agent.connections == set()


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_r40_every_message_has_exactly_one_answer(payload: bytes) -> None:
    raw = World().raw()
    if payload and payload[0] != messages.UNLOCK:
        assert len(raw.ask(payload)) >= 1


@settings(max_examples=200, deadline=None)
@given(st.sampled_from((ED25519, ECDSA, RSA)), st.integers(0, 10_000), st.integers(0, 255))
def test_a_key_with_a_changed_byte_is_refused_or_sound(key: PrivateKey, position: int, octet: int) -> None:
    world = World()
    body = bytearray(encode_key(key, "comment"))
    body[position % len(body)] = octet
    answer = world.raw().ask(byte(messages.ADD_IDENTITY) + bytes(body))
    assert answer == (SUCCESS if len(world.keyring) else FAILURE)
    for held in world.keyring:
        algorithm = held.public.signature_algorithms[0]
        signature: Any = held.signer.sign(algorithm, b"data")
        held.public.verify(algorithm, b"data", signature)


def test_r43_nothing_secret_is_shown(caplog: pytest.LogCaptureFixture) -> None:
    key = generate_private_key("ed25519", comment="mine")
    secret = key.to_openssh(random_bytes=os.urandom)
    seed = key._private_fields()[-64:-32]
    world = World()
    client = world.connect()
    world.result(client.add(key, lifetime=100, confirm=True))
    world.error(client.sign(key.public, b"x"))
    world.result(client.lock(b"pass word"))
    world.error(client.add(key))
    (held,) = world.keyring
    shown = " ".join(
        [
            repr(held),
            repr(world.keyring),
            repr(world.keyring._lock),
            repr([event.to_dict() for event in world.events]),
            repr(messages.Lock(b"pass word")),
            caplog.text,
        ]
    )
    for form in (seed, secret):
        assert form.hex() not in shown
        assert b2a_base64(form, newline=False).decode() not in shown
        assert repr(form)[2:-1] not in shown
    assert "pass word" not in shown
    assert "locked" in repr(world.keyring)


def test_r43_a_key_that_is_removed_is_dropped() -> None:
    world = World()
    for end in (world.keyring.clear, lambda: world.clock.advance(1001)):
        device = Device("ssh:")
        world.keyring.add(device, lifetime=1000)
        alive = weakref.ref(device)
        del device
        assert alive() is not None
        end()
        gc.collect()
        assert alive() is None
    assert not world.keyring.remove(b"unknown")
    assert repr(world.keyring._lock) == "<Lock open>"
