"""Pipes, files, terminals, and standard input and output."""

import os
import pty
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from zope.interface.verify import verifyObject

from sshkit.deferred import gather
from sshkit.interfaces import ITransport
from sshkit.reactor import ReactorClosed, new_reactor
from sshkit.reactor.transports.stdio import open_stdio, unblocked

from .helpers import BufferedRecorder, Echo, HalfOpen, Recorder, later

Run = Callable[[Any], Any]
BIG = 1 << 20


class Pipes:
    """Two pipes: ours to hand to a transport, theirs to play the other side."""

    def __init__(self) -> None:
        self.read_fd, self.their_write = os.pipe()
        self.their_read, self.write_fd = os.pipe()
        os.set_blocking(self.their_read, False)
        self._theirs = {self.their_write, self.their_read}

    def send(self, data: bytes) -> None:
        os.write(self.their_write, data)

    def close(self, fd: int) -> None:
        self._theirs.discard(fd)
        os.close(fd)

    def read(self) -> bytes:
        data = b""
        try:
            while piece := os.read(self.their_read, BIG):
                data += piece
        except BlockingIOError:
            pass
        return data

    def finish(self) -> None:
        for fd in self._theirs:
            os.close(fd)


@pytest.fixture
def pipes() -> Iterator[Pipes]:
    made = Pipes()
    yield made
    made.finish()


def test_two_pipes_are_one_stream(run: Run) -> None:
    async def main(reactor: Any) -> None:
        pipes = Pipes()
        protocol = Echo()
        transport = reactor.open_pipes(protocol, pipes.read_fd, pipes.write_fd)
        assert verifyObject(ITransport, transport)
        assert transport.get_extra_info("read_fd") == pipes.read_fd
        assert transport.get_extra_info("peername", "none") == "none"
        assert transport.can_write_eof()
        assert transport.get_protocol() is protocol
        pipes.send(b"hello")
        await protocol.bytes_received(5)
        transport.writelines([b" ", b"world"])
        assert pipes.read() == b"hello world"
        pipes.close(pipes.their_write)
        assert await protocol.lost is None
        assert protocol.events == ["made", "eof", "lost"]
        assert pipes.read() == b""
        assert transport.get_extra_info("read_fd") is None
        assert transport.is_closing()
        transport.close()
        transport.pause_reading()
        transport.resume_reading()
        pipes.finish()

    run(main)


def test_a_slow_reader_of_a_pipe_pauses_the_writer(run: Run) -> None:
    async def main(reactor: Any) -> None:
        pipes = Pipes()
        protocol = Recorder()
        transport = reactor.open_pipes(protocol, pipes.read_fd, pipes.write_fd)
        data = os.urandom(BIG)
        transport.write(data[: BIG // 2])
        transport.write(data[BIG // 2 :])
        assert transport.get_write_buffer_size() > BIG // 2
        assert "pause" in protocol.events
        transport.close()
        transport.write(b"late")
        received = b""
        while not protocol.lost.called:
            received += pipes.read()
            await later(reactor)
        assert received + pipes.read() == data
        assert "resume" in protocol.events
        pipes.finish()

    run(main)


def test_the_marks_of_a_pipe_can_be_moved(run: Run) -> None:
    async def main(reactor: Any) -> None:
        pipes = Pipes()
        protocol = Recorder()
        transport = reactor.open_pipes(protocol, pipes.read_fd, pipes.write_fd)
        transport.set_write_buffer_limits(high=2 * BIG)
        transport.write(bytes(BIG))
        assert "pause" not in protocol.events
        transport.set_write_buffer_limits(high=10)
        assert protocol.events[-1] == "pause"
        transport.abort()
        transport.abort()
        assert transport.get_write_buffer_size() == 0
        assert await protocol.lost is None
        pipes.finish()

    run(main)


def test_each_end_closes_by_itself(run: Run) -> None:
    async def main(reactor: Any) -> None:
        pipes = Pipes()
        protocol = HalfOpen()
        transport = reactor.open_pipes(protocol, pipes.read_fd, pipes.write_fd)
        pipes.close(pipes.their_write)
        await protocol.ended
        transport.write(b"answer")
        transport.write_eof()
        transport.write_eof()
        assert await protocol.lost is None
        assert pipes.read() == b"answer"
        second = Pipes()
        protocol = HalfOpen()
        transport = reactor.open_pipes(protocol, second.read_fd, second.write_fd)
        transport.write_eof()
        second.send(b"x")
        await protocol.bytes_received(1)
        assert second.read() == b""
        second.close(second.their_write)
        assert await protocol.lost is None
        for each in (pipes, second):
            each.finish()

    run(main)


def test_one_end_alone_is_enough(run: Run) -> None:
    async def main(reactor: Any) -> None:
        pipes = Pipes()
        reading, writing = HalfOpen(), Recorder()
        reader = reactor.open_pipes(reading, pipes.read_fd, None)
        writer = reactor.open_pipes(writing, None, pipes.write_fd)
        assert not reader.can_write_eof()
        reader.write(b"nowhere")
        reader.write_eof()
        reader.set_write_buffer_limits(1)
        assert reader.get_write_buffer_size() == 0
        writer.pause_reading()
        writer.resume_reading()
        writer.write(b"out")
        assert pipes.read() == b"out"
        writer.write_eof()
        pipes.send(b"in")
        pipes.close(pipes.their_write)
        await gather(reading.lost, writing.lost)
        assert reading.received == b"in"
        pipes.finish()

    run(main)


def test_a_reader_that_went_ends_the_transport_with_the_reason(run: Run) -> None:
    async def main(reactor: Any) -> None:
        for waiting in (False, True):
            pipes = Pipes()
            protocol = Recorder()
            transport = reactor.open_pipes(protocol, pipes.read_fd, pipes.write_fd)
            if waiting:
                transport.write(bytes(BIG))
            pipes.close(pipes.their_read)
            transport.write(b"x")
            assert isinstance(await protocol.lost, BrokenPipeError)
            pipes.finish()

    run(main)


def test_paused_pipes_deliver_nothing(run: Run) -> None:
    async def main(reactor: Any) -> None:
        pipes = Pipes()
        protocol = Recorder()
        transport = reactor.open_pipes(protocol, pipes.read_fd, pipes.write_fd)
        transport.pause_reading()
        pipes.send(b"early")
        await later(reactor, 0.001)
        assert protocol.received == b""
        transport.resume_reading()
        await protocol.bytes_received(5)
        transport.close()
        await protocol.lost
        pipes.finish()

    run(main)


def test_a_buffered_protocol_and_a_new_protocol_work_on_pipes(run: Run) -> None:
    async def main(reactor: Any) -> None:
        pipes = Pipes()
        first, second = BufferedRecorder(), Recorder()
        transport = reactor.open_pipes(first, pipes.read_fd, pipes.write_fd)
        pipes.send(bytes(100))
        await first.bytes_received(100)
        transport.set_protocol(second)
        pipes.send(b"second")
        await second.bytes_received(6)
        assert len(first.received) == 100
        pipes.close(pipes.their_write)
        await second.lost
        pipes.finish()

    run(main)


def test_a_socket_or_terminal_may_be_both_ends(run: Run) -> None:
    async def main(reactor: Any) -> None:
        master, slave = pty.openpty()
        protocol = Recorder()
        transport = reactor.open_pipes(protocol, master, master)
        os.write(slave, b"from below")
        await protocol.bytes_received(10)
        transport.write(b"line\n")
        assert os.read(slave, 100) == b"line\n"
        os.close(slave)
        assert await protocol.lost is None  # EIO of a master is the end

    run(main)


@pytest.mark.parametrize("method", ["data_received", "eof_received", "connection_lost", "pause_writing"])
def test_r41_an_exception_on_a_pipe_ends_that_transport_only(
    run: Run, method: str, reports: list[str]
) -> None:
    def fail(self: Any, *args: Any) -> None:
        raise RuntimeError("bug")

    async def main(reactor: Any) -> None:
        pipes = Pipes()
        protocol = type("Faulty", (Recorder,), {method: fail})()
        transport = reactor.open_pipes(protocol, pipes.read_fd, pipes.write_fd)
        if method == "pause_writing":
            transport.write(bytes(BIG))
            transport.abort()
        elif method == "data_received":
            pipes.send(b"x")
        else:
            pipes.close(pipes.their_write)
        while transport.get_protocol() is not None:
            await later(reactor)
        assert next(iter(reports)).endswith("failed: bug")
        if method in ("data_received", "eof_received"):
            assert isinstance(protocol.lost.result(), RuntimeError)
        pipes.finish()

    run(main)


def test_connection_made_that_fails_closes_the_pipes(run: Run) -> None:
    class Refusing(Recorder):
        def connection_made(self, transport: Any) -> None:
            raise RuntimeError("refused")

    class Leaving(Recorder):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            transport.close()

    async def main(reactor: Any) -> None:
        pipes = Pipes()
        protocol = Refusing()
        with pytest.raises(RuntimeError, match="refused"):
            reactor.open_pipes(protocol, pipes.read_fd, pipes.write_fd)
        assert isinstance(await protocol.lost, RuntimeError)
        pipes.finish()
        pipes = Pipes()
        leaving = Leaving()
        reactor.open_pipes(leaving, pipes.read_fd, pipes.write_fd)
        assert await leaving.lost is None
        pipes.finish()

    run(main)


def test_closing_the_reactor_ends_pipes_with_a_reason(pipes: Pipes) -> None:
    reactor = new_reactor("native")
    both, writing = Recorder(), Recorder()
    second = Pipes()

    async def main() -> None:
        reactor.open_pipes(both, pipes.read_fd, pipes.write_fd)
        reactor.open_pipes(writing, None, second.write_fd)

    reactor.run_until(main())
    reactor.close()
    assert isinstance(both.lost.result(), ReactorClosed)
    assert writing.lost.called
    second.finish()


# -- files -----------------------------------------------------------------------------------------


def test_a_file_is_read_to_its_end_and_written_although_it_cannot_be_waited_for(
    run: Run, tmp_path: Path
) -> None:
    async def main(reactor: Any) -> None:
        source, target = tmp_path / "source", tmp_path / "target"
        source.write_bytes(os.urandom(BIG + 17))
        protocol = Recorder()
        transport = reactor.open_pipes(
            protocol, os.open(source, os.O_RDONLY), os.open(target, os.O_WRONLY | os.O_CREAT)
        )
        transport.pause_reading()
        await later(reactor, 0.001)
        assert protocol.received == b""
        transport.resume_reading()
        await protocol.bytes_received(1)
        transport.pause_reading()
        read = len(protocol.received)
        await later(reactor, 0.001)
        assert len(protocol.received) == read
        transport.resume_reading()
        transport.write(bytes(BIG))
        assert transport.get_write_buffer_size() == 0
        assert await protocol.lost is None
        assert protocol.received == source.read_bytes()
        assert target.read_bytes() == bytes(BIG)

    run(main)


def test_the_null_device_is_at_its_end_and_takes_everything(run: Run) -> None:
    async def main(reactor: Any) -> None:
        protocol = HalfOpen()
        null = os.open("/dev/null", os.O_RDWR)
        transport = reactor.open_pipes(protocol, null, null)
        await protocol.ended
        transport.write(bytes(BIG))
        transport.close()
        assert await protocol.lost is None

    run(main)


def test_a_directory_is_an_error_and_not_the_end(run: Run, tmp_path: Path) -> None:
    async def main(reactor: Any) -> None:
        protocol = Recorder()
        reactor.open_pipes(protocol, os.open(tmp_path, os.O_RDONLY), None)
        assert isinstance(await protocol.lost, IsADirectoryError)

    run(main)


# -- standard input and output ---------------------------------------------------------------------


def kinds(tmp_path: Path) -> Any:
    """(name, descriptor for input, descriptor for output, others to close)."""
    read_fd, write_fd = os.pipe()
    yield "pipe", read_fd, write_fd, []
    master, slave = pty.openpty()
    yield "terminal", slave, os.dup(slave), [master]
    ours, theirs = socket.socketpair()
    yield "socket", os.dup(ours.fileno()), ours.detach(), [theirs.detach()]
    path = tmp_path / "file"
    path.write_text("text")
    yield "file", os.open(path, os.O_RDONLY), os.open(path, os.O_RDWR), []


def test_standard_descriptors_are_as_before_when_the_transport_has_closed(run: Run, tmp_path: Path) -> None:
    async def main(reactor: Any) -> None:
        for name, stdin, stdout, others in kinds(tmp_path):
            before = [os.get_blocking(fd) for fd in (stdin, stdout)]
            protocol = Recorder()
            transport = open_stdio(reactor, protocol, stdin, stdout)
            if name != "socket":
                assert [os.get_blocking(fd) for fd in (stdin, stdout)] == before, name
            transport.abort()
            await protocol.lost
            await later(reactor)
            assert [os.get_blocking(fd) for fd in (stdin, stdout)] == before, name
            for fd in (stdin, stdout, *others):
                os.close(fd)

    run(main)


def test_without_proc_the_flag_is_set_and_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*args: Any) -> int:
        raise OSError

    monkeypatch.setattr(os, "open", none)
    read_fd, write_fd = os.pipe()
    copy, restore = unblocked(read_fd, os.O_RDONLY)
    assert not os.get_blocking(read_fd)
    assert os.path.sameopenfile(copy, read_fd)
    again, nothing = unblocked(read_fd, os.O_RDONLY)
    nothing()
    assert not os.get_blocking(read_fd)
    restore()
    assert os.get_blocking(read_fd)
    for fd in (copy, again, read_fd, write_fd):
        os.close(fd)
    restore()


def test_a_standard_output_that_is_not_open_leaves_the_input_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reactor = new_reactor("native")
    read_fd, write_fd = os.pipe()
    os.close(write_fd)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match="Bad file descriptor"):
        open_stdio(reactor, Recorder(), read_fd, write_fd)
    assert len(os.listdir("/proc/self/fd")) == before
    os.close(read_fd)
    reactor.close()


SCRIPT = """
from sshkit.deferred import Deferred
from sshkit.reactor import run
from sshkit.reactor.current import current

class Upper:
    def __init__(self): self.done = Deferred()
    def connection_made(self, transport): self.transport = transport
    def data_received(self, data): self.transport.write(data.upper())
    def eof_received(self): return None
    def connection_lost(self, exc): self.done.callback(exc)
    def pause_writing(self): self.transport.pause_reading()
    def resume_writing(self): self.transport.resume_reading()

async def main():
    protocol = Upper()
    current().open_stdio(protocol)
    if await protocol.done is not None: raise SystemExit(3)

run(main(), {engine!r})
"""


@pytest.mark.parametrize("engine", ["native", "direct"])
@pytest.mark.parametrize("source", ["pipe", "file", "null"])
@pytest.mark.parametrize("target", ["pipe", "file"])
def test_a_filter_works_on_whatever_it_is_started_with(
    engine: str, source: str, target: str, tmp_path: Path
) -> None:
    text = "some text\n" * 100_000
    path, result = tmp_path / "source", tmp_path / "target"
    path.write_text(text)
    command = [sys.executable, "-c", SCRIPT.format(engine=engine)]
    with open(path if source == "file" else "/dev/null") as stdin, open(result, "w") as stdout:
        done = subprocess.run(
            command,
            **({"input": text} if source == "pipe" else {"stdin": stdin}),
            stdout=stdout if target == "file" else subprocess.PIPE,
            text=True,
            check=True,
            timeout=30,
        )
    output = result.read_text() if target == "file" else done.stdout
    assert output == ("" if source == "null" else text.upper())
