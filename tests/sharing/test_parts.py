"""Parts of sharing, each alone: the stream of a control socket, a passenger's channel."""

import errno
import os
import socket
from typing import TYPE_CHECKING, Any, cast

import pytest
from sshkit_keys import wire

from sshkit.client.sharing.descriptors import Input
from sshkit.client.sharing.messages import SessionRequest
from sshkit.client.sharing.passenger import Passenger
from sshkit.client.sharing.stream import ControlStream
from sshkit.reactor.engines.native import NativeReactor
from sshkit.ssh.errors import ChannelRequestFailed
from tests.sharing.world import pipes

if TYPE_CHECKING:
    from sshkit.interfaces import Reactor


class Listener:
    """Who has a stream."""

    def __init__(self) -> None:
        self.packets: list[bytes] = []
        self.lost: list[BaseException | None] = []

    def packet_received(self, payload: bytes) -> None:
        self.packets.append(payload)

    def stream_lost(self, error: BaseException | None) -> None:
        self.lost.append(error)


class Place:
    """A stream, and the other end of its socket."""

    def __init__(self) -> None:
        self.reactor = NativeReactor()
        ours, self.other = socket.socketpair()
        self.other.settimeout(10)
        self.listener = Listener()
        self.stream = ControlStream(cast("Reactor", self.reactor), ours, self.listener)

    def turn(self) -> None:
        for _ in range(5):
            self.reactor.turn(0.0)

    def __enter__(self) -> "Place":
        return self

    def __exit__(self, *exception: object) -> None:
        self.stream.close()
        self.other.close()
        self.reactor.close()


def test_what_does_not_go_at_once_goes_later() -> None:
    with Place() as place:
        data = os.urandom(1_000_000)
        place.stream.send(data)
        place.stream.send(b"end")
        place.stream.close_when_sent()
        assert place.listener.lost == []
        received = b""
        while len(received) < len(data) + 3:
            place.turn()
            received += place.other.recv(200_000)
        assert received == data + b"end"
        place.turn()
        assert place.listener.lost == [None]
        place.stream.send(b"more")  # too late, and no harm


def test_a_peer_that_has_gone_is_noticed_by_reading() -> None:
    with Place() as place:
        place.other.close()
        place.stream.send(b"x")
        place.turn()
        assert len(place.listener.lost) == 1


def test_a_peer_that_goes_while_something_waits_is_noticed() -> None:
    with Place() as place:
        place.stream.send(bytes(1_000_000))
        place.other.close()
        place.turn()
        assert len(place.listener.lost) == 1
        assert place.stream.closed


def test_packets_wait_while_one_is_answered() -> None:
    with Place() as place:
        place.stream.pause()
        place.other.sendall(wire.string(b"packet 1") + wire.string(b"packet 2") + bytes(200_000))
        place.turn()
        assert place.listener.packets == []
        place.stream.resume()
        place.turn()
        assert place.listener.packets == [b"packet 1", b"packet 2"]
        assert len(place.listener.lost) == 1  # for what is no packet


def test_a_released_socket_takes_what_was_read_along() -> None:
    with Place() as place:
        place.stream.pause()
        place.other.sendall(b"early")
        place.turn()
        sock, rest = place.stream.release()
        assert rest == b"early"
        assert place.stream.closed
        place.stream.close()
        assert sock.fileno() >= 0
        sock.close()


class Channel:
    """What a passenger writes to."""

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.waiting = 0

    def get_write_buffer_size(self) -> int:
        return self.waiting

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any) -> Any:
            taken = tuple(bytes(each) if isinstance(each, memoryview) else each for each in arguments)
            self.calls.append((name, *taken))
            from sshkit.deferred import Deferred, fail

            if name == "request":
                if arguments[0] in ("subsystem", "pty-req"):
                    return fail(ChannelRequestFailed("no"))
                return Deferred()
            return None

        return call


class Owner:
    """Who has a passenger."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def passenger_exited(self, status: int) -> None:
        self.told.append(status)

    def passenger_has_no_terminal(self) -> None:
        self.told.append("no terminal")

    def passenger_left(self) -> None:
        self.told.append("left")


class Escapes:
    """Takes every ~ out."""

    def feed(self, data: bytes | memoryview) -> bytes:
        return bytes(data).replace(b"~", b"")


def test_a_passengers_life() -> None:
    reactor = NativeReactor()
    owner, channel = Owner(), Channel()
    with pipes() as (given, out, err):
        fds = [os.dup(given[0]), os.dup(out[1]), os.dup(err[1])]
        request = SessionRequest(b"mine", subsystem=True, terminal=True, environment=((b"A", b"1"),))
        passenger = Passenger(reactor, fds, owner, request)
        passenger.extras = [("extra", b"")]
        passenger.use_escapes(Escapes())
        passenger.resized()
        passenger.send_break()
        passenger.channel_opened(channel, b"")  # type: ignore[arg-type]
        assert [call[:2] for call in channel.calls] == [
            ("notify", "extra"),
            ("notify", "env"),
            ("request", "pty-req"),
            ("request", "subsystem"),
            ("abort",),
        ]
        assert owner.told == ["no terminal"]
        assert os.read(err[0], 100) == b"the server refused the subsystem\r\n"
        os.write(given[1], b"a~b")
        reactor.turn(0.0)
        assert channel.calls[-1] == ("write", b"a~b")  # no terminal, no escapes
        passenger.use_escapes(Escapes())
        os.write(given[1], b"a~b")
        reactor.turn(0.0)
        assert channel.calls[-1] == ("write", b"ab")
        os.write(given[1], b"~")
        reactor.turn(0.0)
        passenger.pause_writing()  # what is typed is read on, until it is too much
        channel.waiting = 2_000_000
        os.write(given[1], b"x")
        reactor.turn(0.0)
        os.write(given[1], b"y")
        reactor.turn(0.0)
        assert channel.calls[-1] == ("write", b"x")
        channel.waiting = 0
        passenger.resume_writing()
        reactor.turn(0.0)
        assert channel.calls[-1] == ("write", b"y")
        assert passenger.request_received("keepalive", b"") is False
        assert passenger.request_received("exit-status", b"\0\0\0\7") is True
        assert passenger.request_received("eow@openssh.com", b"") is False
        assert passenger.request_received("eow@openssh.com", b"") is False
        assert channel.calls[-1] == ("write_eof",)
        passenger.resume_writing()
        passenger.pause_writing()
        passenger.data_received(memoryview(b"out"))
        passenger.extended_data_received(1, memoryview(b"err"))
        passenger.extended_data_received(2, memoryview(b"nothing"))
        passenger.channel_closed(None)
        assert (os.read(out[0], 100), os.read(err[0], 100)) == (b"out", b"err")
        assert owner.told == ["no terminal", 7, "left"]
        passenger.channel_closed(None)
        passenger.close()
        passenger.close()
        passenger.data_received(memoryview(b"late"))
        passenger.send_break()
    reactor.close()


def test_a_passenger_that_was_closed_takes_no_channel() -> None:
    reactor = NativeReactor()
    owner, channel = Owner(), Channel()
    with pipes(2) as (given, out):
        passenger = Passenger(reactor, [os.dup(given[0]), os.dup(out[1])], owner, None)
        passenger.close()
        passenger.channel_opened(channel, b"")  # type: ignore[arg-type]
        assert channel.calls == [("abort",)]
        passenger.channel_closed(None)
        passenger.show("nobody sees it")
        assert owner.told == []
    reactor.close()


def test_a_full_output_stops_the_channel_and_a_reader_lets_it_go_on() -> None:
    reactor = NativeReactor()
    owner, channel = Owner(), Channel()
    with pipes(2) as (given, out):
        passenger = Passenger(reactor, [os.dup(given[0]), os.dup(out[1])], owner, None)
        passenger.channel_opened(channel, b"")  # type: ignore[arg-type]
        for _ in range(40):
            passenger.data_received(memoryview(bytes(65536)))
        assert channel.calls[-1] == ("pause_reading",)
        passenger.channel_closed(None)
        assert owner.told == []
        while not owner.told:
            os.read(out[0], 1 << 20)
            reactor.turn(0.0)
        assert owner.told == ["left"]
    reactor.close()


def test_a_reactor_that_closes_takes_the_descriptors_along() -> None:
    reactor = NativeReactor()
    with pipes(2) as (given, out):
        passenger = Passenger(reactor, [os.dup(given[0]), os.dup(out[1])], Owner(), None)
        passenger.channel_opened(Channel(), b"")  # type: ignore[arg-type]
        reactor.close()
        passenger.close()


# The input of a program.


def read_all(reactor: NativeReactor, fd: int) -> tuple[bytes, list[str]]:
    """Read a descriptor as a passenger does, until it ends."""
    data, ended = bytearray(), []
    source = Input(reactor, fd, lambda view: data.extend(view), lambda: ended.append("ended"))
    source.resume()
    for _ in range(100):
        if ended:
            break
        reactor.turn(0.05)
    source.close()
    source.close()
    return bytes(data), ended


def test_a_terminal_that_goes_away_is_the_end_of_input() -> None:
    master, slave = os.openpty()
    reactor = NativeReactor()
    try:
        os.write(master, b"typed\n")
        os.close(master)
        assert read_all(reactor, slave)[1] == ["ended"]
    finally:
        os.close(slave)
        reactor.close()


def test_an_error_of_reading_is_the_end_of_input(monkeypatch: pytest.MonkeyPatch) -> None:
    reads, writes = os.pipe()
    reactor = NativeReactor()
    real = os.readv

    def fail(fd: int, buffers: Any) -> int:
        if calls.pop():
            raise BlockingIOError
        raise OSError(errno.EIO if not calls else errno.ENXIO, "broken")

    calls = [False, False, True]
    try:
        os.write(writes, b"x")
        monkeypatch.setattr(os, "readv", fail)
        assert read_all(reactor, reads) == (b"", ["ended"])
    finally:
        monkeypatch.setattr(os, "readv", real)
        os.close(reads)
        os.close(writes)
        reactor.close()
