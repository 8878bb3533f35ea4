"""Descriptors over UNIX streams, and who is at the other end, on every engine."""

import array
import errno
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sshkit.reactor import new_reactor
from sshkit.reactor.transports import unix
from sshkit.reactor.transports.credentials import PeerCredentials, peer_credentials

from .helpers import BufferedRecorder, Recorder, later, socket_pair

Run = Callable[[Any], Any]


class Taker(Recorder):
    """Takes descriptors."""

    def __init__(self) -> None:
        super().__init__()
        self.fds: list[int] = []

    def fds_received(self, fds: list[int]) -> None:
        self.events.append(f"{len(fds)} fds before {bytes(self.received)!r}")
        self.fds += fds


class BufferedTaker(BufferedRecorder):
    """The same with a small buffer of its own."""

    size = 3
    fds_received = Taker.fds_received

    def __init__(self) -> None:
        super().__init__()
        self.fds: list[int] = []


def open_fds() -> int:
    return len(os.listdir("/proc/self/fd"))


def pair(reactor: Any, taker: Any) -> tuple[Any, Any]:
    ours, theirs = socket.socketpair()
    sender = Recorder()
    reactor.adopt_socket(ours, lambda: sender)
    reactor.adopt_socket(theirs, lambda: taker)
    return sender, taker


@pytest.mark.parametrize("kind", [Taker, BufferedTaker])
def test_descriptors_come_before_their_data_and_close_on_exec(run: Run, kind: Any) -> None:
    async def main(reactor: Any) -> None:
        sender, taker = pair(reactor, kind())
        read_fd, write_fd = os.pipe()
        sender.transport.write_with_fds(b"a pipe", [read_fd, write_fd])
        os.close(read_fd)
        os.close(write_fd)
        assert await taker.bytes_received(6) == b"a pipe"
        assert taker.events == ["made", "2 fds before b''"]
        assert not any(os.get_inheritable(fd) for fd in taker.fds)
        os.write(taker.fds[1], b"works")
        assert os.read(taker.fds[0], 10) == b"works"
        for fd in taker.fds:
            os.close(fd)
        sender.transport.close()
        assert await taker.lost is None

    run(main)


def test_descriptors_wait_in_turn_with_what_was_written(run: Run) -> None:
    async def main(reactor: Any) -> None:
        sender, taker = pair(reactor, Taker())
        taker.transport.pause_reading()
        big = os.urandom(1 << 20)
        read_fd, write_fd = os.pipe()
        sender.transport.write(big)
        sender.transport.write_with_fds(b"middle", [read_fd])
        sender.transport.write(b"end")
        os.close(read_fd)
        taker.transport.resume_reading()
        assert await taker.bytes_received(len(big) + 9) == big + b"middleend"
        assert len(taker.fds) == 1
        assert sender.events[:3] == ["made", "pause", "resume"]
        os.close(write_fd)
        assert os.read(taker.fds[0], 1) == b""
        os.close(taker.fds[0])

    run(main)


def test_a_long_write_sends_its_descriptors_once(run: Run) -> None:
    async def main(reactor: Any) -> None:
        big = os.urandom(1 << 20)
        sender, taker = pair(reactor, Taker())
        for _ in range(2):  # at once, and waiting
            sender.transport.write_with_fds(big, [0])
        assert await taker.bytes_received(2 * len(big)) == big + big
        assert len(taker.fds) == 2
        for fd in taker.fds:
            os.close(fd)

    run(main)


def test_what_nobody_takes_is_closed(run: Run, reports: list[str]) -> None:
    class Broken(Taker):
        def fds_received(self, fds: list[int]) -> None:
            fds.clear()
            raise LookupError("bug")

    async def main(reactor: Any) -> None:
        before = open_fds()
        sender, taker = pair(reactor, Recorder())
        sender.transport.write_with_fds(b"x", [0, 1])
        await taker.bytes_received(1)
        taker.transport.set_protocol(broken := Broken())
        sender.transport.write_with_fds(b"x", [0, 1])
        assert isinstance(await broken.lost, LookupError)
        await sender.lost
        await later(reactor)
        assert reports == ["fds_received of Broken failed: bug"]
        assert open_fds() == before
        sender.transport.write_with_fds(b"x", [0])
        sender, taker = pair(reactor, Taker())
        sender.transport.write(bytes(1 << 20))
        sender.transport.write_with_fds(b"never sent", [0, 1])
        sender.transport.abort()
        taker.transport.abort()
        await sender.lost
        await taker.lost
        await later(reactor)
        assert open_fds() == before

    run(main)


def test_r18_a_peer_that_passes_too_many_loses_its_connection(run: Run) -> None:
    async def main(reactor: Any) -> None:
        before = open_fds()
        taker, theirs = socket_pair(reactor, Taker())
        rights = array.array("i", [0] * 200)
        theirs.sendmsg([b"flood"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
        error = await taker.lost
        assert isinstance(error, unix.TooManyDescriptors)
        assert "the peer passed more than 64 descriptors at once" in str(error)
        theirs.close()
        await later(reactor)
        assert open_fds() == before

    run(main)


def test_what_cannot_be_passed_is_refused_and_the_connection_lives(run: Run) -> None:
    async def main(reactor: Any) -> None:
        sender, taker = pair(reactor, Taker())
        for data, fds in ((b"", [0]), (b"x", []), (b"x", [0] * 65)):
            with pytest.raises(ValueError, match="at least one byte of data"):
                sender.transport.write_with_fds(data, fds)
        with pytest.raises(OSError, match="Bad file descriptor"):
            sender.transport.write_with_fds(b"x", [9999])
        sender.transport.write(bytes(1 << 20))
        with pytest.raises(OSError, match="Bad file descriptor"):
            sender.transport.write_with_fds(b"x", [0, 9999])
        sender.transport.write(b"alive")
        received = await taker.bytes_received((1 << 20) + 5)
        assert received.endswith(b"alive")
        taker.transport.abort()
        await taker.lost
        await later(reactor)
        sender.transport.write_with_fds(b"x", [0])
        await sender.lost

    run(main)


class Failing:
    def __init__(self, sock: Any, error: OSError) -> None:
        self._sock, self._error = sock, error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    def recvmsg_into(self, *args: Any) -> Any:
        raise self._error

    sendmsg = recvmsg_into


def test_faults_of_the_kernel_end_the_connection_or_wait(run: Run) -> None:
    class Empty(BufferedTaker):
        def get_buffer(self, sizehint: int) -> memoryview:
            return memoryview(b"")

    async def main(reactor: Any) -> None:
        taker, theirs = socket_pair(reactor, Taker())
        taker.transport.read_ready()
        real = taker.transport._socket
        taker.transport._socket = Failing(real, BlockingIOError(errno.EAGAIN, "full"))
        taker.transport.write_with_fds(b"waits", [0])
        taker.transport._socket = real
        taker.transport.write_ready()
        assert theirs.recv(10) == b"waits"
        error = OSError(errno.ECONNRESET, "reset")
        taker.transport._socket = Failing(real, error)
        taker.transport.read_ready()
        assert await taker.lost is error
        theirs.close()
        empty, theirs = socket_pair(reactor, Empty())
        theirs.send(b"x")
        assert isinstance(await empty.lost, ValueError)
        theirs.close()

    run(main)


def test_the_kernel_says_who_the_peer_of_a_unix_socket_is(run: Run, tmp_path: Path) -> None:
    path, abstract = str(tmp_path / "socket"), f"\0sshkit streams {os.getpid()}"

    async def main(reactor: Any) -> None:
        for name in (path, abstract):
            listener = await reactor.listen_unix(name, Recorder)
            client = await reactor.connect_unix(name, Recorder)
            me = PeerCredentials(os.getpid(), os.getuid(), os.getgid())
            assert client.transport.get_extra_info("peercred") == me
            listener.close()
            client.transport.abort()
            await client.lost
            await later(reactor)
            assert client.transport.get_extra_info("peercred", "gone") == "gone"
        tcp = await reactor.listen_tcp("127.0.0.1", 0, Recorder)
        client = await reactor.connect_tcp(*tcp.address, Recorder)
        assert client.transport.get_extra_info("peercred") is None

    run(main)


def test_the_end_of_the_reactor_closes_what_waits() -> None:
    before = open_fds()
    reactor = new_reactor("native")
    sender, theirs = socket_pair(reactor, Recorder())
    sender.transport.write(bytes(1 << 22))
    sender.transport.write_with_fds(b"x", [0])
    reactor.close()
    theirs.close()
    assert open_fds() == before
    assert peer_credentials(theirs) is None
