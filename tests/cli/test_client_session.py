"""The session of sshkit-client with a channel that does what a test wants: refusals, ends, full windows."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from sshkit_cli.escapes import EscapeFilter
from sshkit_cli.local_terminal import LocalTerminal
from sshkit_cli.log import Log
from sshkit_cli.session import MAX_TYPED, ClientSession, Plan
from sshkit_keys.errors import SSHKitError

from sshkit.deferred import Deferred, Failure
from sshkit.reactor.engines.native import NativeReactor
from sshkit.ssh.errors import ChannelClosed, ChannelRequestFailed
from sshkit.ssh.transport.exchange import PINGS
from tests.cli.user import PtyUser, descriptors


class Layer:
    """A transport layer whose peer takes pings."""

    def __init__(self) -> None:
        self.peer_extensions = {PINGS: b"0"}
        self.exchange = None
        self.lost: BaseException | None = None
        self.sent: list[bytes] = []

    def send(self, payload: bytes) -> None:
        self.sent.append(payload)

    def random_bytes(self, size: int) -> bytes:
        return os.urandom(size)


class Channel:
    """Notes what is asked of it; answers to requests come from the test."""

    def __init__(self) -> None:
        self.connection = self
        self.layer = Layer()
        self.calls: list[str] = []
        self.written = bytearray()
        self.replies: dict[str, Deferred[None]] = {}
        self.waiting = 0

    def request(self, kind: str, body: bytes = b"") -> Deferred[None]:
        self.replies[kind] = Deferred()
        return self.replies[kind]

    def write(self, data: Any) -> None:
        self.written += data

    def get_write_buffer_size(self) -> int:
        return self.waiting

    def __getattr__(self, name: str) -> Any:
        return lambda *_: self.calls.append(name)


class Place:
    """A session on a terminal."""

    def __init__(self, user: PtyUser, folder: Path) -> None:
        self.user = user
        self.reactor = NativeReactor()
        self.channel = Channel()
        self.log = Log(path=str(folder / "log"))
        self.log.level = 7
        self.told = folder / "log"
        self.failed: list[Failure] = []

    def open(self, *, terminal: bool = True, escapes: bool = False, **plan: Any) -> ClientSession:
        wanted = Plan()
        wanted.terminal = LocalTerminal(self.user.slave) if terminal else None
        for name, value in plan.items():
            setattr(wanted, name, value)
        found = EscapeFilter(ord("~"), {}) if escapes else None
        session = ClientSession(self.reactor, self.log, wanted, found)
        session.finished.add_errback(self.failed.append)
        with descriptors(self.user.slave, self.user.slave, self.user.slave):
            session.channel_opened(cast("Any", self.channel), b"")
        return session

    def turn(self, times: int = 3) -> None:
        for _ in range(times):
            self.reactor.turn(0.02)


@pytest.fixture
def place(user: PtyUser, tmp_path: Path) -> Iterator[Place]:
    found = Place(user, tmp_path)
    yield found
    found.reactor.close()


def test_keys_leave_as_they_are_typed_where_their_timing_is_not_hidden(place: Place) -> None:
    session = place.open()
    place.user.type("abc")
    place.turn()
    assert place.channel.written == b"abc"
    session.close()


def test_keys_and_chaff_leave_at_fixed_times_where_it_is(place: Place) -> None:
    session = place.open(keystroke_interval=0.02)
    place.user.type("a")
    place.turn(2)
    place.user.type("b")
    place.turn(8)
    assert place.channel.written == b"ab"
    assert place.channel.layer.sent
    sent = len(place.channel.layer.sent)
    place.channel.layer.lost = SSHKitError("gone")
    place.turn(4)
    assert len(place.channel.layer.sent) == sent
    session.close()


def test_what_is_typed_while_nothing_leaves_has_an_end_and_goes_on_later(place: Place) -> None:
    session = place.open(escapes=True)
    place.channel.waiting = MAX_TYPED + 1
    place.user.type("a")
    place.turn()
    place.user.type("b")
    place.turn()
    assert place.channel.written == b"a"  # the rest stays in the terminal
    place.channel.waiting = 0
    session.resume_writing()
    place.turn()
    assert place.channel.written == b"ab"
    session.close()


def test_without_a_terminal_there_the_one_here_is_put_back(place: Place) -> None:
    session = place.open(escapes=True)
    assert place.user.is_raw
    place.channel.replies["pty-req"].errback(ChannelRequestFailed("no"))
    assert not place.user.is_raw
    assert "going on without one" in place.told.read_text()
    place.user.type("~.\n")
    place.turn()
    assert place.channel.written == b"~.\n"  # no escape any more
    session.close()


@pytest.mark.parametrize(
    ("error", "told"), [(ChannelRequestFailed("no"), True), (ChannelClosed("gone"), False)]
)
def test_what_is_refused_is_told_and_what_ends_with_the_channel_is_not(
    place: Place, error: SSHKitError, told: bool
) -> None:
    session = place.open(terminal=False, input=False, x11=b"words", forward_agent=True)
    place.channel.replies["x11-req"].errback(error)
    place.channel.replies["auth-agent-req@openssh.com"].errback(error)
    text = place.told.read_text() if place.told.exists() else ""
    assert ("X11 forwarding was refused by the server." in text) is told
    assert ("the server refused agent forwarding" in text) is told
    place.channel.replies["shell"].errback(error)
    assert [str(failure.exception) for failure in place.failed] == (
        ["the server refused the shell request"] if told else []
    )
    session.close()


def test_a_refusal_that_comes_after_the_end_changes_nothing(place: Place) -> None:
    session = place.open(terminal=False, input=False, subsystem=True, command="sftp")
    session.channel_closed(SSHKitError("first"))
    place.channel.replies["subsystem"].errback(ChannelRequestFailed("no"))
    place.turn()
    assert [str(failure.exception) for failure in place.failed] == ["first"]
    session.leave_terminal()
    session.pause_typing()
    session.resume_typing()
    session.timed_out()
    assert len(place.failed) == 1


def test_typing_waits_while_somebody_else_asks(place: Place) -> None:
    session = place.open()
    session.pause_typing()
    place.user.type("a")
    place.turn()
    assert place.channel.written == b""
    session.resume_typing()
    place.turn()
    assert place.channel.written == b"a"
    session.close()
