"""A running sshkit-server in trouble: no descriptors left, a process killed, clients that go at any byte.

What is held: nobody but those concerned notices, and nothing stays behind.
"""

import contextlib
import os
import random
import resource
import signal
import socket
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import sshkit
from sshkit.ssh.algorithms import DEFAULT
from sshkit.ssh.transport.negotiation import propose
from tests.servers import USER, OwnServer, Place

IDENTIFICATION = b"SSH-2.0-hostile\r\n"
RESETS = 500


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., OwnServer]]:
    started: list[OwnServer] = []

    def make(*lines: str) -> OwnServer:
        config = Place(tmp_path)
        path = config.config("MaxStartups 1000", "LoginGraceTime 30", *lines)
        started.append(OwnServer(config, "-D", "-f", str(path)))
        return started[-1]

    yield make
    for server in started:
        server.stop()


def workers(server: OwnServer) -> list[int]:
    """Return the monitor's children that are the server's own: workers, and processes of sessions."""
    found = []
    for number in server.processes():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            parent = int(Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[1])
            if parent == server.process.pid and number not in server.children():
                found.append(number)
    return found


def descriptors(server: OwnServer) -> int:
    """Return how many descriptors the server's processes have open, all together."""
    total = 0
    for number in (server.process.pid, *server.processes()):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            total += len(os.listdir(f"/proc/{number}/fd"))
    return total


def log_in(server: OwnServer) -> Any:
    return sshkit.connect(
        f"{USER}@127.0.0.1:{server.port}",
        identities=[server.place.key],
        host_key_policy="off",
        known_hosts=(),
    )


def assert_it_serves(server: OwnServer) -> None:
    async def main() -> None:
        async with log_in(server) as connection:
            assert (await connection.run("echo well")).stdout == b"well\n"

    sshkit.run(main(), engine="native")
    assert "Traceback" not in server.log
    assert "internal error" not in server.log


def settled(read: Callable[[], int], most: int) -> int:
    """Return what `read` gives, once it is no more than `most`, or after a while."""
    value = read()

    async def main() -> int:
        nonlocal value
        reactor = sshkit.current_reactor()
        for _ in range(100):
            value = read()
            if value <= most:
                break
            pause: sshkit.Deferred[None] = sshkit.Deferred()
            reactor.call_later(0.05, pause.callback, None)
            await pause
        return value

    return sshkit.run(main(), engine="native")


@contextlib.contextmanager
def few_descriptors(number: int) -> Iterator[None]:
    """Let programs that are started meanwhile have so many."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = max(int(fd) for fd in os.listdir("/proc/self/fd"))  # our own have to fit as well
    resource.setrlimit(resource.RLIMIT_NOFILE, (most + number, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_r41_a_monitor_without_descriptors_goes_on_when_there_are_some_again(
    start: Callable[..., OwnServer],
) -> None:
    server = start("LogLevel ERROR")
    assert_it_serves(server)
    monitor = server.process.pid

    async def main() -> None:
        async with log_in(server) as there:
            await there.run("true")
            most = max(map(int, os.listdir(f"/proc/{monitor}/fd")))
            limit = resource.prlimit(monitor, resource.RLIMIT_NOFILE)
            resource.prlimit(monitor, resource.RLIMIT_NOFILE, (most + 1, limit[1]))
            with contextlib.ExitStack() as stack:
                for _ in range(30):
                    stack.enter_context(contextlib.closing(server.connect()))
                assert (await there.run("echo well", timeout=20)).stdout == b"well\n"
            resource.prlimit(monitor, resource.RLIMIT_NOFILE, limit)
            assert (await there.run("echo well")).stdout == b"well\n"

    before = descriptors(server)
    sshkit.run(main(), engine="native")
    assert_it_serves(server)
    assert settled(lambda: descriptors(server), before) <= before


def test_r41_a_worker_without_descriptors_keeps_those_whom_it_serves(
    start: Callable[..., OwnServer],
) -> None:
    with few_descriptors(64):
        server = start("LogLevel ERROR")
    assert_it_serves(server)
    before = descriptors(server)

    async def main() -> None:
        async with log_in(server) as there:
            await there.run("true")
            with contextlib.ExitStack() as stack:
                for _ in range(400):
                    stack.enter_context(contextlib.closing(server.connect()))
                assert (await there.run("echo well", timeout=20)).stdout == b"well\n"
            assert (await there.run("echo well")).stdout == b"well\n"

    sshkit.run(main(), engine="native")
    assert "no descriptor is left for another connection" in server.log
    assert_it_serves(server)
    assert settled(lambda: descriptors(server), before) <= before
    assert "started again" not in server.log


def test_r41_a_worker_that_is_killed_ends_its_own_connections_only(start: Callable[..., OwnServer]) -> None:
    server = start("Workers 2")

    async def main() -> None:
        connections = [await log_in(server) for _ in range(6)]
        before = workers(server)
        holders: dict[int, list[sshkit.ClientConnection]] = {}
        for connection in connections:
            assert connection.layer.transport is not None
            port = connection.layer.transport.get_extra_info("sockname")[1]
            holders.setdefault(holder(before, port, server.port), []).append(connection)
        assert len(holders) == 2
        killed, other = holders
        os.kill(killed, signal.SIGKILL)
        for connection in holders[killed]:
            await connection.wait_closed()
        for connection in holders[other]:
            assert (await connection.run("echo well")).stdout == b"well\n"
            await connection.close()
        server.wait_for(f"worker {killed} has ended .* is started again")
        async with log_in(server) as one, log_in(server) as two:
            assert (await one.run("echo well")).stdout == b"well\n"
            assert (await two.run("echo well")).stdout == b"well\n"

    sshkit.run(main(), engine="native")
    assert_it_serves(server)


def holder(numbers: list[int], client: int, port: int) -> int:
    """Return which process has the server's end of the connection between two ports."""
    inode = ""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[1].endswith(f":{port:04X}") and fields[2].endswith(f":{client:04X}"):
            inode = fields[9]
    for number in numbers:
        for fd in Path(f"/proc/{number}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                if str(fd.readlink()) == f"socket:[{inode}]":
                    return number
    raise AssertionError(f"nobody has socket {inode} of {numbers}")


def test_r41_resets_at_any_byte_leave_no_descriptor(start: Callable[..., OwnServer]) -> None:
    server = start("LogLevel ERROR")
    assert_it_serves(server)
    payload = propose(DEFAULT, ("ssh-ed25519",), ("ext-info-c", "kex-strict-c-v00@openssh.com"), bytes(16))
    padding = 4 + (-(9 + len(payload)) & 7)
    packet = struct.pack(">IB", 1 + len(payload) + padding, padding) + payload + bytes(padding)
    init = struct.pack(">IBBI", 44, 6, 30, 32) + bytes(range(1, 33)) + bytes(6)
    whole = IDENTIFICATION + packet + init
    before = descriptors(server)
    chance = random.Random(6)
    for _ in range(RESETS):
        with contextlib.suppress(OSError):
            sock = server.connect()
            with contextlib.closing(sock):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                if chance.random() < 0.5:
                    sock.recv(chance.randrange(1, 2000))
                sock.sendall(whole[: chance.randrange(len(whole) + 1)])
    assert_it_serves(server)
    assert settled(lambda: descriptors(server), before) <= before
    assert "started again" not in server.log
