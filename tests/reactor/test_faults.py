"""Faults that a kernel shows seldom, played by stand-ins."""

import errno
import os
import signal
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sshkit.deferred import Deferred
from sshkit.reactor import ReactorClosed, connector, new_reactor
from sshkit.reactor.connector import Race
from sshkit.reactor.core import ReactorCore
from sshkit.reactor.life import LivingReactor
from sshkit.reactor.listener import bind_all
from sshkit.reactor.threads import blocking_call
from sshkit.reactor.timers import Timers, fire
from sshkit.reactor.transports import stdio
from sshkit.reactor.transports.ends import ReadEnd, WriteEnd
from sshkit.reactor.wakeup import Wakeup

from .helpers import BufferedRecorder, Recorder, later


@pytest.fixture
def reactor() -> Iterator[Any]:
    made = new_reactor("native")
    yield made
    made.close()


class Scripted:
    """A socket of which some methods do what a test says."""

    def __init__(self, **methods: Callable[..., Any]) -> None:
        self._sock, self.peer = socket.socketpair()
        for name, method in methods.items():
            setattr(self, name, method)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


def failing(code: int) -> Callable[..., Any]:
    def fail(*args: Any) -> Any:
        raise OSError(code, os.strerror(code))

    return fail


def adopted(reactor: Any, protocol: Any, **methods: Any) -> Any:
    sock: Any = Scripted(**methods)
    reactor.adopt_socket(sock, lambda: protocol)
    return sock


def finish(reactor: Any, *waits: Deferred[Any]) -> None:
    async def main() -> None:
        for wait in waits:
            await wait

    reactor.run_until(main())


@pytest.mark.parametrize("kind", [Recorder, BufferedRecorder])
def test_an_error_of_receiving_is_the_reason_of_the_loss(reactor: Any, kind: Any) -> None:
    protocol = kind()
    sock = adopted(reactor, protocol, recv_into=failing(errno.ETIMEDOUT))
    sock.peer.send(b"x")
    finish(reactor, protocol.lost)
    assert isinstance(protocol.lost.result(), TimeoutError)
    sock.peer.close()


@pytest.mark.parametrize("kind", [Recorder, BufferedRecorder])
def test_readiness_without_data_is_no_end(reactor: Any, kind: Any) -> None:
    protocol = kind()
    sock = adopted(reactor, protocol)
    protocol.transport.read_ready()
    assert protocol.events == ["made"]
    sock.peer.close()
    finish(reactor, protocol.lost)


def test_a_buffer_taken_for_nothing_may_be_let_go(reactor: Any) -> None:
    class Lending(BufferedRecorder):
        held = False

        def get_buffer(self, sizehint: int) -> memoryview:
            self.held = True
            return super().get_buffer(sizehint)

        def buffer_updated(self, nbytes: int) -> None:
            self.held = False
            super().buffer_updated(nbytes)

    protocol = Lending()
    sock = adopted(reactor, protocol)
    sock.peer.send(bytes(protocol.size))
    protocol.transport.read_ready()
    assert len(protocol.received) == protocol.size
    assert not protocol.held
    sock.peer.close()
    finish(reactor, protocol.lost)


def test_r41_a_fault_in_letting_go_ends_that_connection_only(reactor: Any, reports: list[str]) -> None:
    class Faulty(BufferedRecorder):
        def buffer_updated(self, nbytes: int) -> None:
            raise RuntimeError("bug")

    protocol = Faulty()
    sock = adopted(reactor, protocol)
    protocol.transport.read_ready()
    finish(reactor, protocol.lost)
    assert list(reports) == ["buffer_updated of Faulty failed: bug"]
    sock.peer.close()


def test_a_full_socket_keeps_all_of_a_write(reactor: Any) -> None:
    full = [True]

    def send(data: Any) -> int:
        if full:
            raise BlockingIOError
        sent: int = sock._sock.send(data)
        return sent

    protocol = Recorder()
    sock = adopted(reactor, protocol, send=send)
    transport = protocol.transport
    transport.write_ready()
    transport.write(b"abc")
    transport.write(b"")
    transport.write_ready()
    assert transport.get_write_buffer_size() == 3
    full.clear()
    transport.close()
    finish(reactor, protocol.lost)
    assert sock.peer.recv(10) == b"abc"
    sock.peer.close()


def test_a_socket_that_takes_no_options_is_still_a_stream(reactor: Any) -> None:
    protocol = Recorder()
    sock = adopted(reactor, protocol, setsockopt=failing(errno.EINVAL), family=socket.AF_INET)
    sock.peer.close()
    finish(reactor, protocol.lost)
    assert protocol.lost.result() is None


def test_the_first_error_is_the_reason(reactor: Any) -> None:
    """A write fails, then reading fails, then the protocol does."""

    class Faulty(Recorder):
        def data_received(self, data: bytes) -> None:
            raise RuntimeError("bug")

    for fault in ("receiving", "protocol"):
        protocol = Faulty()
        sock = adopted(reactor, protocol, send=failing(errno.EPIPE))
        if fault == "receiving":
            sock.recv_into = failing(errno.ECONNRESET)
        sock.peer.send(b"x")
        protocol.transport.write(b"x")
        finish(reactor, protocol.lost)
        assert isinstance(protocol.lost.result(), BrokenPipeError)
        sock.peer.close()


def test_an_end_of_our_own_while_another_is_on_its_way_is_one_end(reactor: Any) -> None:
    protocol = Recorder()
    sock = adopted(reactor, protocol)
    protocol.transport.abort()
    protocol.transport._finish_soon()
    assert protocol.transport.get_extra_info("sockname") == ""
    assert protocol.transport.get_extra_info("sockname") == ""
    finish(reactor, protocol.lost)
    sock.peer.close()


def test_marks_between_the_two_change_nothing(reactor: Any) -> None:
    protocol = Recorder()
    sock = adopted(reactor, protocol)
    protocol.transport.write(bytes(1 << 20))
    waiting = protocol.transport.get_write_buffer_size()
    protocol.transport.set_write_buffer_limits(high=waiting, low=waiting - 1)
    assert protocol.events == ["made", "pause"]
    protocol.transport.abort()
    finish(reactor, protocol.lost)
    sock.peer.close()


def test_without_sockets_there_is_no_attempt(reactor: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    race = Race(reactor, "nowhere", Recorder, 5)
    monkeypatch.setattr(socket, "socket", failing(errno.EMFILE))
    race.start([(socket.AF_INET, ("127.0.0.1", 1))])
    with pytest.raises(OSError, match=r"127.0.0.1:1: Too many open files"):
        race.result.result()
    race.give_up(RuntimeError("too late"))


def test_addresses_that_come_too_late_are_not_tried(reactor: Any) -> None:
    race = Race(reactor, "nowhere", Recorder, 5)
    race.give_up(RuntimeError("stopped"))
    race.start([(socket.AF_INET, ("127.0.0.1", 1))])
    assert race._attempts == set()
    with pytest.raises(RuntimeError, match="stopped"):
        race.result.result()


def test_methods_that_only_another_interest_would_call_do_nothing(reactor: Any) -> None:
    async def main() -> Any:
        return await reactor.listen_tcp("127.0.0.1", 0, Recorder)

    listener = reactor.run_until(main())
    listener._acceptors[0].write_ready()
    listener.close()
    race = Race(reactor, "nowhere", Recorder, 5)
    with socket.socket() as sock:
        connector.Attempt(race, sock, None).read_ready()
    race.give_up(RuntimeError())
    race.result.add_errback(lambda failure: None)
    reactor._wakeup.write_ready()
    reactor._wakeup.read_ready()


def test_several_missing_addresses_are_left_out_too() -> None:
    family = int(socket.AF_INET)
    missing = [(family, (f"198.51.100.{number}", 0)) for number in (1, 2)]
    [sock] = bind_all([*missing, (family, ("127.0.0.1", 0))], 0, 1, False)
    sock.close()


# -- ends of pipes ---------------------------------------------------------------------------------


class Owner:
    def __init__(self) -> None:
        self.events: list[Any] = []

    def end_data(self, end: Any, data: bytes) -> None:
        self.events.append(data)

    def end_finished(self, end: Any, error: Any) -> None:
        self.events.append(error)

    def end_full(self) -> None:
        self.events.append("full")

    def end_room(self) -> None:
        self.events.append("room")

    def end_flushed(self) -> None:
        self.events.append("flushed")

    def end_broken(self, error: OSError) -> None:
        self.events.append(type(error))


def test_the_ends_of_a_pipe_do_nothing_out_of_turn(reactor: Any) -> None:
    read_fd, write_fd = os.pipe()
    for fd in (read_fd, write_fd):
        os.set_blocking(fd, False)
    owner = Owner()
    reader, writer = ReadEnd(reactor, read_fd, owner), WriteEnd(reactor, write_fd, owner)
    reader.write_ready()
    reader.read_ready()
    writer.read_ready()
    writer.write_ready()
    reader.resume()
    reader.read_ready()
    assert owner.events == []
    writer.write(bytes(1 << 20))
    writer.write_ready()
    assert owner.events == ["full"]
    reader.close()
    reader.close()
    reader.reactor_closed(ReactorClosed())
    writer.write_ready()
    assert owner.events == ["full", "room", BrokenPipeError]
    writer.close()
    writer.close_when_flushed()


def test_an_interrupted_write_to_a_pipe_keeps_all(reactor: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    read_fd, write_fd = os.pipe()
    owner = Owner()
    writer = WriteEnd(reactor, write_fd, owner)
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", failing(errno.EINTR))
        writer.write(b"abc")
    with monkeypatch.context() as patch:
        patch.setattr(os, "writev", failing(errno.EINTR))
        writer.write_ready()
    assert writer.waiting == 3
    writer.write_ready()
    assert os.read(read_fd, 10) == b"abc"
    writer.close()
    os.close(read_fd)


# -- the loop --------------------------------------------------------------------------------------


def test_a_wake_up_pipe_full_of_signals_wakes_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    wakeup = Wakeup()
    try:
        while True:
            os.write(wakeup.write_fd, bytes(4096))
    except BlockingIOError:
        pass
    wakeup.wake()
    wakeup.wake()
    while True:
        before = len(os.read(wakeup.read_fd, 65536))
        if before < 65536 or not wakeup._asleep:
            break
    wakeup.read_ready()
    wakeup.reactor_closed(ReactorClosed())
    wakeup._asleep = True
    wakeup.wake()


def test_what_an_engine_must_have_is_said() -> None:
    core = ReactorCore()
    for call in (
        lambda: core.running,
        lambda: core.set_interest(0, None, 0),  # type: ignore[arg-type]
        core.wake,
        core.in_own_thread,
    ):
        with pytest.raises(NotImplementedError):
            call()
    living = LivingReactor()
    for call in (living._loop, living._end_loop):
        with pytest.raises(NotImplementedError):
            call()
    living.release()


def test_a_shutdown_of_an_ended_run_does_not_end_the_next(reactor: Any) -> None:
    reactor.call_soon(reactor._shut_down)

    async def main() -> int:
        await later(reactor)
        return 1

    assert reactor.run_until(main()) == 1


def test_an_interrupt_after_the_result_changes_nothing(reactor: Any) -> None:
    async def main() -> int:
        reactor.call_soon(lambda: signal.raise_signal(signal.SIGINT))
        return 1

    with pytest.raises(KeyboardInterrupt):
        reactor.run_until(main())


def test_what_was_called_too_late_for_a_blocking_call_is_not_called(reactor: Any) -> None:
    with pytest.raises(TimeoutError):
        blocking_call(reactor, lambda: pytest.fail("called"), 0.0)

    async def main() -> None:
        await later(reactor)

    reactor.run_until(main())


def test_a_call_moved_within_its_own_turn_is_made_later() -> None:
    timers = Timers()
    call = timers.call_later(0, pytest.fail, ("made",))
    [due] = timers.due(call.when)
    call.when += 1000
    fire(due)
    assert [entry[2] for entry in timers.heap] == [call]


def test_a_watch_is_told_only_what_it_asked_for(reactor: Any) -> None:
    ours, theirs = socket.socketpair()
    reactor.add_reader(ours.fileno(), lambda: None)
    watch = reactor.pollables[ours.fileno()]
    watch.write_ready()
    watch.reactor_closed(ReactorClosed())
    watch.read_ready()
    ours.close()
    theirs.close()


def test_an_output_that_cannot_be_had_gives_the_input_back(
    reactor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Standard input is as it was, and no copy of it is left open."""
    copies: list[int] = []
    events: list[str] = []

    def unblocked(fd: int, mode: int) -> Any:
        if mode == os.O_WRONLY:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        copies.append(os.dup(fd))
        return copies[0], lambda: events.append("restored")

    monkeypatch.setattr(stdio, "unblocked", unblocked)
    read_fd, write_fd = os.pipe()
    with pytest.raises(OSError, match="Too many open files"):
        stdio.open_stdio(reactor, Recorder(), read_fd, write_fd)
    assert events == ["restored"]
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(copies[0])
    os.close(read_fd)
    os.close(write_fd)
