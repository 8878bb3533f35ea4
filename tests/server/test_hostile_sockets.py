"""Hostile peers on raw sockets: a running sshkit-server goes on serving, stays small, shows no traceback."""

import contextlib
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import sshkit
from sshkit.ssh.channels.session import ExecRequest
from sshkit.ssh.connection.protocol import ChannelProtocol
from tests.servers import USER, OwnServer, Place

MIB = 1024 * 1024
IDENTIFICATION = b"SSH-2.0-hostile\r\n"
#: Beginnings that a server meets on the Internet, and some that it should never see.
BEGINNINGS = (
    b"",
    b"S",
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"SSH-1.5-old\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64),
    b"x" * 20_000,
    IDENTIFICATION,
    IDENTIFICATION + struct.pack(">I", 0),
    IDENTIFICATION + struct.pack(">I", 0xFFFFFFFF),
    IDENTIFICATION + struct.pack(">IBB", 12, 4, 20) + bytes(10),
    IDENTIFICATION + struct.pack(">IBB", 34_996, 4, 2) + bytes(20_000),
    IDENTIFICATION + os.urandom(5000),
)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[OwnServer]:
    place = Place(tmp_path)
    config = place.config("MaxStartups 400", "LoginGraceTime 20", "LogLevel ERROR")
    running = OwnServer(place, "-D", "-f", str(config))
    yield running
    running.stop()


def connect(server: OwnServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=20)


def resident(server: OwnServer) -> int:
    """Return the server's resident memory in bytes."""
    status = Path(f"/proc/{server.process.pid}/smaps_rollup").read_text()
    return int(status.partition("Rss:")[2].split()[0]) * 1024


async def log_in(server: OwnServer) -> sshkit.ClientConnection:
    return await sshkit.connect(
        f"{USER}@127.0.0.1:{server.port}",
        identities=[server.place.key],
        host_key_policy="off",
        known_hosts=(),
    )


def assert_it_serves(server: OwnServer) -> None:
    async def main() -> None:
        async with await log_in(server) as connection:
            assert (await connection.run("echo well")).stdout == b"well\n"

    sshkit.run(main(), engine="native")
    assert "Traceback" not in server.log
    assert "internal error" not in server.log


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def test_r42_a_flood_of_connections_that_say_anything_leaves_the_server_well(server: OwnServer) -> None:
    assert_it_serves(server)
    before = resident(server)
    with contextlib.ExitStack() as stack:
        for number in range(360):
            sock = stack.enter_context(connect(server))
            with contextlib.suppress(OSError):
                sock.sendall(BEGINNINGS[number % len(BEGINNINGS)])
        assert_it_serves(server)
        assert resident(server) - before < 60 * MIB
    assert_it_serves(server)


def test_r41_connections_reset_in_the_middle_of_anything_harm_nobody(server: OwnServer) -> None:
    for size in range(0, 120, 3):
        sock = connect(server)
        sock.recv(10)
        with contextlib.suppress(OSError):
            sock.sendall((IDENTIFICATION + struct.pack(">IBB", 1000, 4, 20) + bytes(200))[:size])
        reset(sock)

    async def main() -> None:
        for _ in range(10):
            connection = await log_in(server)
            process = await connection.start("cat")
            process.stdin.write(bytes(300_000))
            transport = connection.layer.transport
            assert transport is not None
            transport.abort()

    sshkit.run(main(), engine="native")
    assert_it_serves(server)


def test_r24_a_peer_that_stops_to_read_fills_no_memory(server: OwnServer) -> None:
    async def main() -> None:
        async with await log_in(server) as other, await log_in(server) as hostile:
            await other.run("true")
            channel = await hostile.open_session(ChannelProtocol())
            transport = hostile.layer.transport
            assert transport is not None
            transport.set_write_buffer_limits(1 << 40)
            before = resident(server)
            transport.pause_reading()
            channel.notify("exec", ExecRequest(b"yes").encode())
            for _ in range(30):
                for _ in range(2000):
                    hostile.layer.send(b"\x50" + struct.pack(">I", 1000) + b"x" * 1000 + b"\x01")
                assert (await other.run("echo well")).stdout == b"well\n"
                assert resident(server) - before < 12 * MIB
            transport.abort()

    sshkit.run(main(), engine="native")
    assert_it_serves(server)


class Line:
    """One end of a slow line: what comes goes on at the other end, one byte at a time."""

    def __init__(self) -> None:
        self.other: Line = self
        self.transport: Any = None
        self.waiting = b""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.send(b"")

    def data_received(self, data: bytes) -> None:
        self.other.send(data)

    def send(self, data: bytes) -> None:
        self.waiting += data
        while self.transport is not None and self.waiting:
            self.transport.write(self.waiting[:1])
            self.waiting = self.waiting[1:]

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, error: BaseException | None) -> None:
        """The line is cut."""

    def pause_writing(self) -> None:
        """Little is sent."""

    def resume_writing(self) -> None:
        """Little is sent."""


def test_a_peer_that_sends_one_byte_at_a_time_is_served(server: OwnServer) -> None:
    async def main() -> None:
        reactor = sshkit.current_reactor()
        near, far = Line(), Line()
        near.other, far.other = far, near
        await reactor.connect_tcp("127.0.0.1", server.port, lambda: far)
        listener = await reactor.listen_tcp("127.0.0.1", 0, lambda: near)
        slow = sshkit.connect(
            f"{USER}@127.0.0.1:{listener.address[1]}",
            identities=[server.place.key],
            host_key_policy="off",
            known_hosts=(),
        )
        async with slow as connection:
            assert (await connection.run("echo well")).stdout == b"well\n"
        listener.close()

    sshkit.run(main(), engine="native")
    assert_it_serves(server)
