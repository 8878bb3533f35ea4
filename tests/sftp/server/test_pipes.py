"""The server on two pipes, as the command runs it."""

import os
import threading
from collections.abc import Callable
from struct import pack

import pytest
from sshkit_keys import wire

from sshkit.sftp import messages as m
from sshkit.sftp.backends.memory import MemoryBackend
from sshkit.sftp.errors import SFTPProtocolError
from sshkit.sftp.server import SFTPServer
from sshkit.sftp.server_pipes import PipeTransport, serve_pipes
from tests.sftp.server.session import counting

INIT = b"\0\0\0\5\1\0\0\0\3"


def served(data: bytes, ended: Callable[[], object] = lambda: None) -> tuple[bytes, MemoryBackend]:
    """Let a server read `data` to the end; return what it wrote."""
    backend = MemoryBackend({"/file": b"content"})
    server = SFTPServer(backend, random_bytes=counting(), now=lambda: 0.0, on_end=ended)
    inner, into = os.pipe()
    out, outer = os.pipe()
    parts: list[bytes] = []

    def feed() -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(into, view[:100_000]) :]
        except BrokenPipeError:
            pass
        os.close(into)

    def drain() -> None:
        while part := os.read(out, 65536):
            parts.append(part)
        os.close(out)

    threads = [threading.Thread(target=feed), threading.Thread(target=drain)]
    for thread in threads:
        thread.start()
    try:
        serve_pipes(server, inner, outer)
    finally:
        os.close(inner)
        os.close(outer)
        for thread in threads:
            thread.join()
    return b"".join(parts), backend


def packet(kind: int, number: int, body: bytes) -> bytes:
    return m.frame(bytes([kind]) + wire.uint32(number) + body)


def test_requests_are_answered_until_the_stream_ends() -> None:
    ended: list[int] = []
    out, _ = served(INIT + packet(m.STAT, 5, wire.string(b"/file")), lambda: ended.append(1))
    assert out[4] == m.VERSION
    assert b"\0\0\0\x25\x69\0\0\0\x05" in out
    assert ended == [1]


def test_many_large_writes_pass_through_one_buffer() -> None:
    handle = (1).to_bytes(16, "big")
    flags = wire.uint32(m.WRITE_FLAG | m.CREATE)
    parts = [INIT, packet(m.OPEN, 1, wire.string(b"/big") + flags + bytes(4))]
    piece = bytes(range(251)) * 1000
    for number in range(20):
        body = wire.string(handle) + wire.uint64(number * len(piece)) + wire.string(piece)
        parts.append(packet(m.WRITE, number + 2, body))
    _, backend = served(b"".join(parts))
    assert backend.get("/big") == piece * 20


def test_r33_a_stream_that_ends_within_a_packet_is_an_error() -> None:
    with pytest.raises(SFTPProtocolError, match="within a packet"):
        served(INIT + b"\0\0\0\x09\x11")


@pytest.mark.parametrize("length", [0, 1 << 20, (1 << 32) - 1])
def test_r33_a_bad_length_is_an_error(length: int) -> None:
    with pytest.raises(SFTPProtocolError, match=f"a packet of {length} bytes"):
        served(INIT + pack(">I", length) + b"x" * 10)


def test_r33_a_request_before_init_is_an_error() -> None:
    with pytest.raises(SFTPProtocolError, match="before INIT"):
        served(packet(m.STAT, 5, wire.string(b"/file")))


@pytest.mark.parametrize("left", [1, 2, 3, 4, 100])
def test_a_packet_may_begin_at_the_very_end_of_the_buffer(monkeypatch: pytest.MonkeyPatch, left: int) -> None:
    """Small requests fill the buffer up to `left` bytes before its end."""
    size = 300_000
    monkeypatch.setattr("sshkit.sftp.server_pipes._BUFFER", size)
    one = packet(m.STAT, 5, wire.string(b"/file"))
    count, rest = divmod(size - left - len(INIT), len(one))
    filler = packet(m.STAT, 6, wire.string(b"/" + b"x" * (rest + len(one) - 14)))
    assert (len(INIT) + (count - 1) * len(one) + len(filler)) == size - left
    out, _ = served(INIT + one * (count - 1) + filler + one * 3)
    assert out.count(b"\0\0\0\x25\x69\0\0\0\x05") == count + 2


def test_a_session_that_ends_itself_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SFTPServer, "flush", lambda server: server.transport.close())
    out, _ = served(INIT)
    assert out == b""


def test_a_client_that_does_not_listen_ends_the_session() -> None:
    server = SFTPServer(MemoryBackend(), random_bytes=counting(), now=lambda: 0.0)
    inner, into = os.pipe()
    out, outer = os.pipe()
    os.close(out)
    os.write(into, INIT)
    serve_pipes(server, inner, outer)
    assert server.is_over()
    for descriptor in (inner, into, outer):
        os.close(descriptor)


def test_short_writes_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[bytes] = []

    def two(descriptor: int, data: memoryview) -> int:
        written.append(bytes(data[:2]))
        return min(2, len(data))

    monkeypatch.setattr("sshkit.sftp.server_pipes.os.write", two)
    transport = PipeTransport(1)
    transport.write(b"abcde")
    assert written == [b"ab", b"cd", b"e"]
    transport.pause_reading()
    transport.resume_reading()
    transport.close()
    assert transport.closed
