"""Forwards and direct streams from plain threads."""

import os
import socket
import threading
from collections.abc import Iterator

import pytest

import sshkit
from sshkit.blocking import BlockingConnection
from sshkit.forwarding.stream import ForwardStream
from tests.client.world import HOST_KEY, USER_KEY, echo

LIMIT = 20.0


@pytest.fixture
def target() -> Iterator[int]:
    """A port whose programs say everything back."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection:
                while data := connection.recv(65536):
                    connection.sendall(data)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield int(listening.getsockname()[1])
    listening.shutdown(socket.SHUT_RDWR)
    listening.close()
    thread.join(LIMIT)


@pytest.fixture
def connection() -> Iterator[BlockingConnection]:
    with (
        sshkit.blocking.serve(
            "127.0.0.1:0", echo, host_keys=[HOST_KEY], authorized_keys=[USER_KEY.public], forwards=True
        ) as server,
        sshkit.blocking.connect(
            f"me@127.0.0.1:{server.address[1]}", identities=[USER_KEY], host_keys=[HOST_KEY.public]
        ) as connection,
    ):
        yield connection


def ask(port: int, request: bytes = b"hello") -> bytes:
    with socket.create_connection(("127.0.0.1", port), LIMIT) as sock:
        sock.sendall(request)
        sock.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: sock.recv(65536), b""))


def test_a_forward_is_a_context_manager_with_counters(connection: BlockingConnection, target: int) -> None:
    with connection.forward_local("0", ("127.0.0.1", target)) as forward:
        assert ask(forward.port) == b"hello"
        assert forward.address == ("127.0.0.1", forward.port)
        assert (forward.kind, str(forward.destination)) == ("local", f"127.0.0.1:{target}")
        assert (forward.total, forward.refused) == (1, 0)
        assert (forward.bytes_in, forward.bytes_out) == (5, 5)
        assert forward.open in (0, 1)
        assert "local" in repr(forward)
    forward.wait_closed(timeout=LIMIT)
    with pytest.raises(ConnectionRefusedError):
        ask(forward.port)


def test_all_kinds_are_there(connection: BlockingConnection, target: int) -> None:
    def upper(stream: ForwardStream, originator: tuple[str, int]) -> "sshkit.Deferred[None]":
        return stream.read().add_callback(lambda data: stream.write(data.upper()))

    with connection.forward_remote("0", f"127.0.0.1:{target}") as forward:
        assert ask(forward.port) == b"hello"
    with connection.forward_remote("0", upper) as forward:
        assert ask(forward.port) == b"HELLO"
    socks = b"\x04\x01" + target.to_bytes(2, "big") + b"\x7f\0\0\x01\0"
    with connection.forward_dynamic("0") as forward:
        assert ask(forward.port, socks + b"hello")[8:] == b"hello"
    with connection.forward_remote_dynamic("0", [f"*:{target}"]) as forward:
        assert ask(forward.port, socks + b"hello")[8:] == b"hello"


def test_a_stream_waits(connection: BlockingConnection, target: int) -> None:
    with connection.open_connection(("127.0.0.1", target)) as stream:
        stream.write(b"line\n")
        assert stream.readuntil() == b"line\n"
        stream.write("0123456789")
        assert stream.readexactly(4) == b"0123"
        assert stream.reader.read_exactly(6) == b"456789"
        stream.write_eof()
        assert stream.read() == b""
    with pytest.raises(sshkit.ChannelOpenFailed):
        connection.open_connection("127.0.0.1:1")


def test_in_a_child_process_closing_waits_for_nobody(connection: BlockingConnection, target: int) -> None:
    forward = connection.forward_local("0", ("127.0.0.1", target))
    stream = connection.open_connection(("127.0.0.1", target))
    child = os.fork()
    if not child:
        status = 1
        try:
            stream.close()
            forward.close()
            status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    stream.close()
    forward.close()
