"""The client's side: pipelined, bounded, and never left without an answer."""

from typing import Any

import pytest
from sshkit_keys.wire import string, uint32

from sshkit.deferred import CancelledError, Deferred
from sshkit.ssh.agent import messages
from sshkit.ssh.agent.client import MAX_WAITING, SIGN_TIMEOUT, TIMEOUT, AgentClient
from sshkit.ssh.agent.errors import AgentError, AgentLost, AgentRefused, AgentTimeout
from sshkit.testing import MemoryClock, MemoryTransport
from tests.ssh.agent.world import ED25519, RSA


class Fake:
    """A client before an agent that says what the test wants."""

    def __init__(self) -> None:
        self.clock = MemoryClock()
        self.client = AgentClient(self.clock, "agent at /run/x")
        self.transport = MemoryTransport(self.client)
        self.client.connection_made(self.transport)

    def say(self, *payloads: bytes) -> None:
        self.client.data_received(b"".join(string(payload) for payload in payloads))

    def error(self, deferred: "Deferred[Any]") -> BaseException:
        with pytest.raises(BaseException) as caught:  # noqa: PT011 - which one is the tests' question
            deferred.result()
        return caught.value


SUCCESS, FAILURE = bytes((messages.SUCCESS,)), bytes((messages.FAILURE,))


def keys_answer(*entries: tuple[bytes, bytes]) -> bytes:
    body = b"".join(string(blob) + string(comment) for blob, comment in entries)
    return messages.IdentitiesAnswer(len(entries), body).encode()


def test_requests_are_answered_in_order() -> None:
    fake = Fake()
    first, second, third = fake.client.lock(b"x"), fake.client.remove_all(), fake.client.list_keys()
    fake.say(SUCCESS, FAILURE, keys_answer())
    assert first.result() is None
    assert str(fake.error(second)) == "agent at /run/x refused the request"
    assert third.result() == []


def test_an_answer_in_pieces_is_put_together() -> None:
    fake = Fake()
    listing = fake.client.list_keys()
    for octet in string(keys_answer((ED25519.public.blob, b"mine"))):
        fake.client.data_received(bytes((octet,)))
    assert [key.comment for key in listing.result()] == ["mine"]


def test_a_key_of_an_unknown_type_is_listed_and_signs_nothing() -> None:
    fake = Fake()
    listing = fake.client.list_keys()
    blob = string("ssh-new\x1b@example.com") + b"whatever"
    fake.say(keys_answer((blob, b"\xff new"), (ED25519.public.blob, b"known")))
    new, known = listing.result()
    assert (new.public, new.signature_algorithms, new.comment) == (None, (), "\ufffd new")
    assert known.public == ED25519.public
    assert isinstance(fake.error(new.sign("ssh-new", b"data")), AgentError)
    assert "\x1b" not in repr(new)


@pytest.mark.parametrize(
    "answer",
    [
        SUCCESS,
        bytes((messages.IDENTITIES_ANSWER,)) + uint32(1),
        bytes((messages.IDENTITIES_ANSWER,)) + uint32(messages.MAX_KEYS + 1),
        keys_answer((ED25519.public.blob, b"")) + b"x",
        keys_answer((b"", b"")),
    ],
    ids=range(5),
)
def test_r18_an_answer_that_is_none_ends_the_connection(answer: bytes) -> None:
    fake = Fake()
    first, second = fake.client.list_keys(), fake.client.list_keys()
    fake.say(answer)
    assert isinstance(fake.error(first), AgentLost)
    assert isinstance(fake.error(second), AgentLost)
    assert fake.transport.aborted
    assert fake.client.lost
    fake.client.connection_lost(None)
    assert "broke the protocol" in str(fake.error(fake.client.list_keys()))


@pytest.mark.parametrize("data", [uint32(0), uint32(messages.MAX_MESSAGE + 1), string(SUCCESS)], ids=range(3))
def test_r18_an_impossible_length_and_an_answer_to_nothing_end_the_connection(data: bytes) -> None:
    fake = Fake()
    fake.client.data_received(data)
    assert fake.transport.aborted


def test_a_deadline_fails_one_request_and_not_the_next() -> None:
    fake = Fake()
    signing = fake.client.sign(ED25519.public, b"data")
    listing = fake.client.list_keys()
    fake.clock.advance(TIMEOUT + 1)
    assert not signing.called
    error = fake.error(listing)
    assert isinstance(error, AgentTimeout)
    assert str(error) == "agent at /run/x: listing its keys did not end within 30 s"
    fake.clock.advance(SIGN_TIMEOUT)
    assert isinstance(fake.error(signing), TimeoutError)
    last = fake.client.list_keys()
    fake.say(FAILURE, keys_answer(), keys_answer((ED25519.public.blob, b"")))
    assert len(last.result()) == 1


def test_a_request_that_is_cancelled_leaves_the_others_in_order() -> None:
    fake = Fake()
    first, second = fake.client.list_keys(), fake.client.remove_all()
    first.cancel()
    assert isinstance(fake.error(first), CancelledError)
    fake.say(keys_answer(), SUCCESS)
    assert second.result() is None
    assert fake.clock.next_due() is None


def test_requests_that_wait_fail_when_the_connection_ends() -> None:
    fake = Fake()
    waiting = fake.client.list_keys()
    closing = fake.client.close()
    assert not closing.called
    fake.client.connection_lost(ConnectionResetError("reset"))
    assert str(fake.error(waiting)) == "agent at /run/x was lost: reset"
    assert closing.result() is None
    assert fake.client.close().called
    assert fake.client.eof_received() is False
    fake.client.pause_writing()
    fake.client.resume_writing()


def test_r18_the_number_and_the_size_of_requests_are_limited() -> None:
    fake = Fake()
    waiting = [fake.client.list_keys() for _ in range(MAX_WAITING)]
    assert isinstance(fake.error(fake.client.list_keys()), AgentError)
    fake.client.connection_lost(None)
    assert all(isinstance(fake.error(one), AgentLost) for one in waiting)
    assert isinstance(fake.error(Fake().client.lock(b"x" * messages.MAX_MESSAGE)), AgentError)
    alone = AgentClient(MemoryClock())
    assert isinstance(fake.error(alone.list_keys()), AgentError)
    assert alone.close().called


def test_the_hash_of_an_rsa_signature_is_asked_for() -> None:
    fake = Fake()
    for algorithm, flag in (("rsa-sha2-256", 2), ("rsa-sha2-512", 4), ("", 4)):
        signing = fake.client.sign(RSA.public, b"data", algorithm)
        sent = fake.transport.outgoing
        assert bytes(sent[-4:]) == uint32(flag)
        sent.clear()
        good = RSA.sign(algorithm or "rsa-sha2-512", b"data")
        fake.say(messages.SignResponse(good).encode())
        assert signing.result() == good
    assert isinstance(fake.error(fake.client.sign(RSA.public, b"data", "ssh-rsa")), AgentError)


def test_extensions_are_read_in_both_forms() -> None:
    fake = Fake()
    asked = [fake.client.extensions() for _ in range(3)]
    names = string("query") + string("other")
    fake.say(
        messages.ExtensionResponse("query", names).encode(),
        SUCCESS + names,
        bytes((messages.EXTENSION_FAILURE,)),
    )
    assert asked[0].result() == asked[1].result() == ["query", "other"]
    assert isinstance(fake.error(asked[2]), AgentRefused)
    again = fake.client.extension("other", b"")
    fake.say(SUCCESS + b"contents")
    assert again.result() == b"contents"
    wrong = fake.client.extensions()
    fake.say(messages.ExtensionResponse("other", names).encode())
    assert isinstance(fake.error(wrong), AgentLost)


def test_what_is_sent_to_remove_a_token() -> None:
    fake = Fake()
    removing = fake.client.remove_smartcard("/lib/x.so", "12")
    expected = bytes((messages.REMOVE_SMARTCARD_KEY,)) + string("/lib/x.so") + string("12")
    assert bytes(fake.transport.outgoing) == string(expected)
    fake.client.connection_lost(None)
    assert isinstance(fake.error(removing), AgentLost)
