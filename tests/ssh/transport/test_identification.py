"""The first line of a connection: what is taken for one, and what may come before it."""

import os

import pytest

from sshkit.ssh.errors import RemoteProtocolError, VersionNotSupported
from sshkit.ssh.transport.identification import (
    MAX_BEFORE_LINE,
    MAX_BEFORE_LINES,
    LineOpener,
    parse_identification,
)
from sshkit.ssh.transport.layer import TransportLayer
from sshkit.testing import MemoryClock
from tests.ssh.harness import HOST_KEYS, Owner, Scene


@pytest.mark.parametrize("line", [b"SSH-2.0-x\r\n", b"SSH-2.0-x\n", b"SSH-1.99-x y z\r\n"])
def test_an_identification_is_taken_with_either_line_end(line: bytes) -> None:
    assert parse_identification(line) == line.rstrip()


@pytest.mark.parametrize("line", [b"SSH-1.5-old\r\n", b"HTTP/1.1 400\r\n", b"SSH-2\r\n", b"\n"])
def test_another_version_is_refused_with_its_text_made_harmless(line: bytes) -> None:
    with pytest.raises(VersionNotSupported):
        parse_identification(line)
    with pytest.raises(VersionNotSupported, match=r"\\x1b"):
        parse_identification(b"GET \x1b[2J\r\n")


def test_r19_a_version_line_over_255_bytes_is_refused() -> None:
    longest = b"SSH-2.0-" + b"x" * (255 - 8 - 2) + b"\r\n"
    assert len(parse_identification(longest)) == 253
    with pytest.raises(RemoteProtocolError, match="256 bytes"):
        parse_identification(b"SSH-2.0-x" + longest[8:])


def test_r19_a_nul_in_the_version_line_is_refused() -> None:
    with pytest.raises(RemoteProtocolError, match="NUL"):
        parse_identification(b"SSH-2.0-x\0y\r\n")


def test_r19_a_line_without_end_is_refused_before_it_fills_memory() -> None:
    scene = Scene(core_is_client=True)
    scene.raw.send_bytes(b"x" * (MAX_BEFORE_LINE - 1))
    scene.settle()
    assert scene.owner.lost is None
    scene.raw.send_bytes(b"x")
    scene.settle()
    assert "no line end" in str(scene.owner.lost)


class Wire:
    """A transport that keeps what it is given."""

    copies_on_write = True

    def __init__(self) -> None:
        self.sent = bytearray()

    def write(self, data: bytes | memoryview) -> None:
        self.sent += data

    def close(self) -> None:
        """It is the test's."""

    abort = close

    def get_write_buffer_size(self) -> int:
        return 0


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"hello\r\n", b"\r\nInvalid SSH identification string.\r\n"),
        (b"SSH-1.5-x\r\n", b"\r\nProtocol major versions differ.\r\n"),
    ],
)
def test_r19_a_server_accepts_no_line_before_the_identification(line: bytes, words: bytes) -> None:
    owner = Owner()
    layer = TransportLayer(owner, MemoryClock(), os.urandom, host_keys=HOST_KEYS)
    wire = Wire()
    layer.connection_made(wire)  # type: ignore[arg-type]
    said = len(wire.sent)
    layer.data_received(line + b"SSH-2.0-x\r\n")
    assert isinstance(owner.lost, VersionNotSupported)
    # Who does not speak SSH is told in words, after our identification and proposal, and in nothing else.
    assert b"\r\n" + wire.sent[said:] == words


def test_r19_a_client_accepts_a_bounded_number_of_lines_and_drops_them() -> None:
    scene = Scene(core_is_client=True)
    scene.raw.send_bytes(b"Welcome \x1b[31m\r\n" * (MAX_BEFORE_LINES - 1))
    scene.handshake()
    assert scene.owner.ready == 1
    assert scene.layer.peer_identification == b"SSH-2.0-raw_peer"


def test_r19_more_lines_than_that_end_the_connection() -> None:
    scene = Scene(core_is_client=True)
    scene.raw.send_bytes(b"x\n" * MAX_BEFORE_LINES)
    scene.settle()
    assert "no identification" in str(scene.owner.lost)


def test_a_line_is_found_however_it_is_cut() -> None:
    opener = LineOpener()
    line = b"SSH-2.0-x\r\n"
    buffer = memoryview(line)
    for end in range(1, len(line)):
        assert opener.open(buffer, 0, end) is None
        assert opener.needed == end + 1
    opened = opener.open(buffer, 0, len(line))
    assert opened is not None
    assert (bytes(opened[0]), opened[1]) == (line, len(line))


def test_our_identification_and_proposal_leave_in_one_write() -> None:
    scene = Scene(core_is_client=True)
    sent = bytes(scene.core_end.outgoing)
    assert sent.startswith(b"SSH-2.0-sshkit_0.1\r\n")
    assert sent[20 + 5] == 20  # KEXINIT
