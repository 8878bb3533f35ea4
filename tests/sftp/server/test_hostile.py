"""Clients that break the protocol: what they send is answered, or ends the session, at little cost (R33)."""

import os
from pathlib import Path
from random import Random
from struct import pack, unpack

import pytest
from sshkit_keys import wire

from sshkit.sftp import messages as m
from sshkit.sftp.attributes import Attributes
from sshkit.sftp.backends.local import LocalBackend
from sshkit.sftp.backends.memory import MemoryBackend
from sshkit.sftp.errors import SFTPProtocolError
from sshkit.sftp.packets import MAX_REQUEST
from sshkit.sftp.server_requests import REQUESTS, SFTPRequest, UnknownRequest, request_names
from tests.sftp.server.session import (
    BAD_MESSAGE,
    DENIED,
    EOF,
    FAILURE,
    NO_SUCH_FILE,
    OK,
    UNSUPPORTED,
    Session,
    counting,
)

READ_WRITE = m.READ_FLAG | m.WRITE_FLAG | m.CREATE


@pytest.fixture
def session() -> Session:
    return Session(MemoryBackend({"/file": b"content", "/dir/a": b"a"}))


def ended(session: Session, words: str) -> None:
    assert session.wire.closed
    assert words in str(session.server.failed)
    session.wire.data.clear()
    session.feed(session.packet(m.STAT, wire.string(b"/file")))
    assert not session.wire.data


@pytest.mark.parametrize("kind", [0, 2, *REQUESTS, m.EXTENDED, 201, 255])
def test_r33_a_request_before_init_ends_the_session(kind: int) -> None:
    session = Session(MemoryBackend(), init=False)
    session.feed(session.packet(kind, wire.string(b"/")))
    ended(session, f"packet {kind} before INIT")


def test_r33_init_comes_once(session: Session) -> None:
    session.feed(b"\0\0\0\5\1\0\0\0\3")
    ended(session, "a second INIT")


@pytest.mark.parametrize("data", [b"\0\0\0\5\1\0\0\0\2", b"\0\0\0\3\1\0\0", b"\0\0\0\1\1"])
def test_r33_a_version_that_is_too_low_or_damaged_ends_the_session(data: bytes) -> None:
    session = Session(MemoryBackend(), init=False)
    session.feed(data)
    assert session.wire.closed


@pytest.mark.parametrize("length", [0, MAX_REQUEST + 1, 1 << 31, (1 << 32) - 1])
def test_r33_a_bad_length_ends_the_session(session: Session, length: int) -> None:
    session.feed(pack(">I", length))
    session.feed(b"x" * 100)
    ended(session, f"a packet of {length} bytes")


@pytest.mark.parametrize("kind", [*REQUESTS, m.EXTENDED])
def test_r33_every_length_of_every_request_is_answered(session: Session, kind: int) -> None:
    """Cut short, or with bytes left over: a bad message, and the session goes on."""
    handle = session.open(b"/file", READ_WRITE)
    two = wire.string(b"a") + wire.string(b"b")
    attributes = Attributes(permissions=0o600).encode()
    bodies = {
        m.OPEN: wire.string(b"/x") + wire.uint32(1) + attributes,
        m.READ: wire.string(handle) + bytes(12),
        m.WRITE: wire.string(handle) + bytes(8) + wire.string(b"abc"),
        m.RENAME: two,
        m.SYMLINK: two,
        m.EXTENDED: wire.string(b"posix-rename@openssh.com") + two,
    }
    for other in (m.SETSTAT, m.FSETSTAT, m.MKDIR):
        bodies[other] = wire.string(b"/x") + attributes
    body = bodies.get(kind, wire.string(b"/x"))
    for size in range(len(body)):
        assert session.status(kind, body[:size]) == BAD_MESSAGE
    assert session.status(kind, body + b"x") == BAD_MESSAGE
    session.feed(m.frame(bytes([kind]) + b"\0\0\0"))  # not even a number
    assert session.wire.closed


def test_r33_extensions_with_bytes_missing_or_left_over_are_bad_messages(session: Session) -> None:
    handle = wire.string(session.open(b"/file", READ_WRITE))
    one, two = wire.string(b"/file"), wire.string(b"/file") + wire.string(b"/x")
    hashing = wire.string(b"md5") + bytes(20)
    bodies = {
        b"posix-rename@openssh.com": two,
        b"hardlink@openssh.com": two,
        b"statvfs@openssh.com": one,
        b"fstatvfs@openssh.com": handle,
        b"fsync@openssh.com": handle,
        b"lsetstat@openssh.com": one + bytes(4),
        b"limits@openssh.com": b"",
        b"expand-path@openssh.com": one,
        b"home-directory": one,
        b"copy-data": handle + bytes(16) + handle + bytes(8),
        b"check-file": handle + hashing,
        b"check-file-handle": handle + hashing,
        b"check-file-name": one + hashing,
        b"users-groups-by-id@openssh.com": wire.string(b"") + wire.string(b""),
    }
    for name, body in bodies.items():
        for size in range(len(body)):
            assert session.extended_status(name, body[:size]) == BAD_MESSAGE, name
        assert session.extended_status(name, body + b"x") == BAD_MESSAGE, name
    for numbers in (b"123", bytes(4 * 1025)):
        assert (
            session.extended_status(b"users-groups-by-id@openssh.com", wire.string(numbers) * 2)
            == BAD_MESSAGE
        )


@pytest.mark.parametrize("kind", [0, 2, 21, 22, 23, 99, 101, 105, 201, 255])
def test_r33_unknown_requests_are_unsupported(session: Session, kind: int) -> None:
    assert session.status(kind, b"whatever") == UNSUPPORTED


def test_r33_unknown_extensions_are_unsupported(session: Session) -> None:
    assert session.extended_status(b"nothing@example.org", b"data") == UNSUPPORTED
    assert session.extended_status(b"n" * 257) == BAD_MESSAGE


def test_r33_handles_cannot_be_guessed() -> None:
    session = Session(MemoryBackend({"/file": b"content"}), random_bytes=os.urandom)
    handles = {session.open(b"/file") for _ in range(100)}
    assert len(handles) == 100
    assert {len(handle) for handle in handles} == {16}
    random = Random(5)
    for _ in range(300):
        guess = random.randbytes(random.choice((0, 1, 4, 15, 16, 17, 256)))
        assert session.read(guess, 0, 1) == FAILURE
        assert session.write(guess, 0, b"x") == FAILURE
        assert session.close(guess) == FAILURE
        assert session.attributes(m.FSTAT, guess) == FAILURE
        assert session.path(m.READDIR, guess) == FAILURE
        assert session.extended_status(b"fsync@openssh.com", wire.string(guess)) == FAILURE


def test_r33_two_handles_are_never_the_same() -> None:
    values = iter([b"a" * 16, b"a" * 16, b"b" * 16, b"b" * 16, b"c" * 16])
    session = Session(MemoryBackend({"/file": b""}), random_bytes=lambda size: next(values))
    handles = [session.open(b"/file"), session.open(b"/file"), session.opendir(b"/")]
    assert len(set(handles)) == 3


def test_r33_the_number_of_handles_is_bounded() -> None:
    session = Session(MemoryBackend({"/file": b""}))
    for _ in range(1024):
        session.open(b"/file")
    for _ in range(10_000 - 1024):
        session.feed(session.packet(m.OPEN, wire.string(b"/file") + wire.uint32(1) + wire.uint32(0)))
    assert {kind for kind, _ in session.answers()} == {m.STATUS}
    assert session.path(m.OPENDIR, b"/") == FAILURE
    assert len(session.server.handles.files) == 1024
    session.server.connection_lost(None)
    assert not session.server.handles.files
    assert len([event for event in session.events if event.startswith("forced close")]) == 1024


def test_r33_a_file_opened_beside_the_last_one_is_closed_again(session: Session) -> None:
    from sshkit.sftp.server_requests import Asked

    session.server.handles.limit = 0
    session.server.opened(
        Asked("open", 1, 5, b"/x", flags=1), session.server.backend.open(b"/file", 1, Attributes())
    )
    assert [unpack(">II", body[:8]) for _, body in (session.server.flush(), session.answers())[1]] == [
        (5, FAILURE)
    ]


def test_r33_a_read_is_answered_with_256_kib_at_most() -> None:
    session = Session(MemoryBackend({"/file": bytes(1 << 20)}))
    data = session.read(session.open(b"/file"), 0, (1 << 32) - 1)
    assert isinstance(data, bytes)
    assert len(data) == 256 * 1024


def test_r33_a_write_of_256_kib_fits_and_one_of_more_ends_the_session(session: Session) -> None:
    handle = session.open(b"/file", READ_WRITE)
    assert session.write(handle, 0, bytes(256 * 1024)) == OK
    session.feed(session.packet(m.WRITE, wire.string(handle) + bytes(8) + wire.string(bytes(258 * 1024))))
    assert session.wire.closed


OFFSETS = [(1 << 63) - 1, (1 << 63) - 2, 1 << 62, 1 << 63, (1 << 64) - 1]


@pytest.mark.parametrize("offset", OFFSETS)
@pytest.mark.parametrize("local", [True, False])
def test_r33_offsets_reach_to_the_end_and_not_further(tmp_path: Path, offset: int, local: bool) -> None:
    (tmp_path / "file").write_bytes(b"content")
    backend = LocalBackend(tmp_path) if local else MemoryBackend({"/file": b"content"})
    session = Session(backend)
    handle = session.open(b"/file", READ_WRITE)
    assert session.read(handle, offset, 4096) == (EOF if offset < 1 << 63 else BAD_MESSAGE)
    assert session.write(handle, offset, b"xx") in (BAD_MESSAGE, FAILURE)
    assert session.close(handle) == OK
    backend.close()


def test_r33_a_flood_of_reads_waits_for_the_client() -> None:
    """4,000 requests for 256 KiB are 117 KiB; what waits to be sent is one answer at a time."""
    session = Session(MemoryBackend({"/file": bytes(256 * 1024)}))
    handle = session.open(b"/file")
    session.wire.on_write = session.server.pause_writing
    one = wire.string(handle) + bytes(8) + wire.uint32(1 << 20)
    session.feed(b"".join(session.packet(m.READ, one, number) for number in range(4000)))
    assert session.wire.reading_paused
    largest = 0
    answers = 0
    while True:
        largest = max(largest, len(session.wire.data))
        answers += len(session.answers())
        if not session.wire.reading_paused:
            break
        session.server.resume_writing()
    assert answers == 4000
    assert largest <= 512 * 1024


def test_r33_answers_keep_their_order_whatever_pauses(session: Session) -> None:
    session.wire.on_write = session.server.pause_writing
    for number in range(50):
        session.feed(session.packet(m.STAT, wire.string(b"/file"), number))
    session.feed(session.packet(99, b"", 50))
    session.feed(m.frame(b"\x11"))  # malformed; it ends the session when its turn comes
    seen = []
    for _ in range(60):
        seen += [unpack(">I", body[:4])[0] for _, body in session.answers()]
        session.server.resume_writing()
    assert seen == list(range(51))
    assert session.wire.closed
    session.server.pause_writing()
    session.server.resume_writing()


def test_r33_packets_may_come_byte_by_byte(session: Session) -> None:
    data = session.packet(m.STAT, wire.string(b"/file"), 1) + session.packet(m.STAT, wire.string(b"/none"), 2)
    for byte in data:
        session.feed(bytes([byte]))
    assert [kind for kind, _ in session.answers()] == [m.ATTRS, m.STATUS]


def test_r33_the_stream_may_not_end_within_a_packet(session: Session) -> None:
    session.feed(b"\0\0\0\x09\x11\0")
    session.server.eof_received()
    assert session.wire.closed
    assert str(session.server.failed) == "the stream ended within a packet"


def test_the_stream_may_end_before_it_begins() -> None:
    session = Session(MemoryBackend(), init=False)
    session.server.eof_received()
    assert session.wire.closed
    assert session.server.failed is None
    session.server.connection_lost(None)
    session.server.connection_lost(None)
    session.server.resume_writing()
    session.server.send(b"x")
    session.server.flush()
    session.server.end(SFTPProtocolError("x"))


@pytest.mark.parametrize("seed", range(40))
def test_r33_random_bytes_harm_nobody(seed: int) -> None:
    random = Random(seed)
    session = Session(MemoryBackend({"/file": b"content"}))
    handle = session.open(b"/file", READ_WRITE)
    for _ in range(300):
        kind = random.choice([*REQUESTS, m.EXTENDED, random.randrange(256)])
        body = random.choice((wire.string(handle), wire.string(b"/file"), b"")) + random.randbytes(
            random.randrange(40)
        )
        if kind != m.INIT and not session.wire.closed:
            session.feed(session.packet(kind, body))
            assert len(session.answers()) == 1
    assert not session.errors


def test_r33_broken_streams_end_without_a_trace() -> None:
    for seed in range(100):
        random = Random(seed)
        session = Session(MemoryBackend({"/file": b"content"}))
        for _ in range(20):
            session.feed(random.randbytes(random.randrange(1, 50)))
        assert not session.errors
        session.server.connection_lost(ConnectionResetError())


# Read only, and lists of requests (R34).


CHANGES = [
    (m.WRITE, b""),
    (m.SETSTAT, wire.string(b"/file") + Attributes(size=0).encode()),
    (m.FSETSTAT, wire.string(b"h" * 16) + Attributes(size=0).encode()),
    (m.REMOVE, wire.string(b"/file")),
    (m.MKDIR, wire.string(b"/new") + bytes(4)),
    (m.RMDIR, wire.string(b"/dir")),
    (m.RENAME, wire.string(b"/file") + wire.string(b"/new")),
    (m.SYMLINK, wire.string(b"/file") + wire.string(b"/l")),
    (m.EXTENDED, wire.string(b"posix-rename@openssh.com") + wire.string(b"/file") + wire.string(b"/new")),
    (m.EXTENDED, wire.string(b"hardlink@openssh.com") + wire.string(b"/file") + wire.string(b"/new")),
    (m.EXTENDED, wire.string(b"fsync@openssh.com") + wire.string(b"h" * 16)),
    (m.EXTENDED, wire.string(b"lsetstat@openssh.com") + wire.string(b"/file") + bytes(4)),
    (m.EXTENDED, wire.string(b"copy-data") + wire.string(b"h" * 16)),
]


@pytest.mark.parametrize("by_backend", [True, False])
def test_r34_a_read_only_server_changes_nothing(by_backend: bool) -> None:
    files = {"/file": b"content", "/dir/a": b"a"}
    backend = MemoryBackend(files, read_only=by_backend)
    session = Session(backend, read_only=not by_backend)
    for kind, body in CHANGES:
        assert session.status(kind, body) == DENIED
    for flags in range(64):
        if flags & (m.WRITE_FLAG | m.APPEND | m.CREATE | m.TRUNCATE):
            assert session.open_status(b"/file", flags) == DENIED
            assert session.open_status(b"/new", flags) == DENIED
        else:
            assert session.close(session.open(b"/file", flags)) == OK
    handle = session.open(b"/file")
    assert session.write(handle, 0, b"x") == DENIED
    assert session.path(m.FSETSTAT, handle, Attributes(size=0).encode()) == DENIED
    assert session.read(handle, 0, 10) == b"content"
    assert backend.get("/file") == b"content"
    assert [name for name, _, _ in session.listing(b"/")] == [b".", b"..", b"file", b"dir"]
    offered = m.unpack_extensions(session.version[4:])
    assert "posix-rename@openssh.com" not in offered
    assert "statvfs@openssh.com" in offered
    assert 'denied "remove"' in session.events


def test_r34_every_request_can_be_denied() -> None:
    names = request_names()
    assert len(names) == len(set(names)) == 32
    session = Session(MemoryBackend({"/file": b"x"}), denied=names)
    for kind in REQUESTS:
        assert session.status(kind, b"anything") == DENIED
    from sshkit.sftp.extensions import EXTENSIONS

    for name in EXTENSIONS:
        assert session.extended_status(name, b"anything") == DENIED
    assert m.unpack_extensions(session.version[4:]) == {}


def test_r34_only_what_is_allowed_is_served() -> None:
    session = Session(
        MemoryBackend({"/file": b"x"}), allowed=["open", "read", "close", "stat"], denied=["stat"]
    )
    handle = session.open(b"/file", READ_WRITE)
    assert session.read(handle, 0, 1) == b"x"
    assert session.write(handle, 0, b"y") == DENIED
    assert session.attributes(m.STAT, b"/file") == DENIED
    assert session.name(m.REALPATH, b".") == DENIED
    assert session.extended_status(b"limits@openssh.com") == DENIED


def test_r34_a_name_that_no_request_has_is_an_error() -> None:
    with pytest.raises(UnknownRequest, match="'opne'"):
        Session(MemoryBackend(), denied=["opne"])
    with pytest.raises(UnknownRequest, match="'reed'"):
        Session(MemoryBackend(), allowed=["reed"])


def test_r34_a_hook_is_asked_before_every_request_that_names_something() -> None:
    asked: list[SFTPRequest] = []

    def permit(request: SFTPRequest) -> bool:
        asked.append(request)
        return not request.path.startswith(b"/private") and not request.target.startswith(b"/private")

    session = Session(MemoryBackend({"/file": b"x", "/private/x": b"y"}), permit=permit)
    handle = session.open(b"/file", READ_WRITE)
    assert session.read(handle, 0, 1) == b"x"
    assert session.write(handle, 0, b"y") == OK
    assert session.open_status(b"/private/x") == DENIED
    assert session.attributes(m.STAT, b"/private/x") == DENIED
    assert session.path(m.RENAME, b"/file", wire.string(b"/private/y")) == DENIED
    private = wire.string(b"/private/x") + wire.string(b"md5") + bytes(20)
    assert session.extended_status(b"check-file-name", private) == DENIED
    assert session.extended_status(b"fsync@openssh.com", wire.string(handle)) == OK
    assert session.close(handle) == OK
    assert [request.name for request in asked] == [
        "open",
        "open",
        "stat",
        "rename",
        "check-file-name",
        "fsync",
    ]
    assert asked[0] == SFTPRequest("open", b"/file", b"", READ_WRITE)
    assert asked[-1].path == b"/file"


# What is logged (R36).


def test_r36_names_in_the_log_are_escaped(session: Session) -> None:
    name = b'/\x1b[2J\n\xff"\xe2\x80\xae'
    assert session.close(session.open(name, READ_WRITE)) == OK
    assert session.path(m.REMOVE, b"/gone\r\n") == NO_SUCH_FILE
    for line in session.events:
        assert line.isprintable()
    assert session.events[0].startswith('open "/\\x1b[2J\\n\\udcff\\"\\u202e" flags READ,WRITE,CREATE')


def test_no_log_is_no_trouble() -> None:
    session = Session(MemoryBackend({"/file": b"x"}), on_event=None, random_bytes=counting(), read_only=True)
    handle = session.open(b"/file")
    assert session.path(m.REMOVE, b"/file") == DENIED
    assert session.attributes(m.STAT, b"/none") == NO_SUCH_FILE
    assert session.close(session.opendir(b"/")) == OK
    assert session.close(handle) == OK
    session.open(b"/file")
    session.server.connection_lost(None)
