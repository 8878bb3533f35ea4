"""A worker and what its monitor says: refusals, descriptors that are missing, answers that come too late."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sshkit_keys import generate_private_key

from sshkit.deferred import Deferred
from sshkit.server.connection import LoginTimedOut
from sshkit.server.workers import messages
from sshkit.server.workers.link import LinkBroken, pair
from sshkit.server.workers.worker import LinkedServer, RemoteKey, SigningRefused, WorkerServer, _punished
from sshkit.ssh.errors import RemoteProtocolError
from tests.server.workers.parts import HandReactor, Log, make_key, make_plan


class Place:
    """A worker, and the monitor's end of its link."""

    def __init__(self, folder: Path) -> None:
        make_key(folder, "host")
        self.reactor = HandReactor()
        self.log = Log()
        reactor: Any = self.reactor
        self.monitor, theirs = pair()
        self.plan = make_plan(folder)._replace(account=None)
        self.server = WorkerServer(reactor, self.plan, theirs, self.log)
        assert self.monitor.recv(100) == messages.Ready().encode()

    def say(self, message: Any) -> None:
        self.monitor.send(message.encode())
        self.reactor.settle()

    def ask(self) -> list[Any]:
        """Ask something; what is returned gets the answer or the error."""
        got: list[Any] = []
        asked: Deferred[Any] = self.server.ask(set(), lambda request: messages.Sign(request, 1, "x", b"data"))
        asked.add_callbacks(got.append, lambda failure: got.append(failure.exception))
        return got


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    place.monitor.close()
    place.server._link.close()


def test_a_signature_that_the_monitor_refuses_is_an_error_with_its_words() -> None:
    answer: Deferred[Any] = Deferred()

    class Connection:
        """What a key asks."""

        def ask(self, question: Any) -> Deferred[Any]:
            return answer

    connection: Any = Connection()
    signed = RemoteKey(connection, generate_private_key("ed25519").public).sign("x", b"data")
    got: list[BaseException] = []
    signed.add_errback(lambda failure: got.append(failure.exception))
    answer.callback((messages.Answer(1, messages.FAULT, b"not signed"), []))
    assert [(type(error), str(error)) for error in got] == [(SigningRefused, "not signed")]


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (LoginTimedOut("late"), "grace_exceeded"),
        (ZeroDivisionError(), "crash"),
        (RemoteProtocolError("nonsense"), "noauth"),
    ],
)
def test_what_an_end_before_the_login_is_punished_for(error: BaseException, cause: str) -> None:
    connection: Any = object()
    assert _punished(connection, error) == cause


def test_a_connection_whose_descriptor_did_not_arrive_is_told_as_ended(place: Place) -> None:
    place.say(messages.NewConnection(7))
    assert place.monitor.recv(1000) == messages.Ended(7, "", 0, 0, "").encode()
    assert "error: no descriptor is left for another connection" in place.log.text


def test_an_order_for_a_connection_that_has_ended_means_nothing(place: Place) -> None:
    place.say(messages.Drop(7))
    assert not place.server._link.closed


def test_a_message_that_no_monitor_sends_means_nothing(place: Place) -> None:
    place.say(messages.Ready())
    assert not place.server._link.closed


def test_an_answer_that_nobody_waits_for_leaves_no_descriptor_open(place: Place) -> None:
    reading, writing = os.pipe()
    place.server.received(messages.Answer(99, messages.GRANTED, b"").encode(), [writing])
    assert os.read(reading, 1) == b""
    os.close(reading)


def test_questions_fail_when_the_monitor_has_gone(place: Place) -> None:
    waiting = place.ask()
    place.monitor.close()
    place.reactor.settle()
    assert isinstance(waiting[0], LinkBroken)
    (error,) = place.ask()
    assert str(error) == "the monitor has gone"
    assert "error: the monitor has gone: the other process has gone" in place.log.text


def test_each_kind_of_worker_makes_its_own_connections(tmp_path: Path) -> None:
    make_key(tmp_path, "host")
    reactor: Any = HandReactor()
    ours, theirs = pair()
    server = LinkedServer(reactor, make_plan(tmp_path), theirs, Log())
    with pytest.raises(NotImplementedError):
        server.make_connection(1)
    server._link.close()
    ours.close()
