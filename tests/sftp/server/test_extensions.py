"""Every extension, on real files and in memory."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from struct import unpack

import pytest
from sshkit_keys import wire
from sshkit_keys.wire import WireReader

from sshkit.sftp import messages as m
from sshkit.sftp.attributes import Attributes
from sshkit.sftp.backends.local import LocalBackend
from sshkit.sftp.backends.memory import MemoryBackend
from sshkit.sftp.backends.quota import Quota
from sshkit.sftp.extensions import check_file, copy_data
from tests.sftp.server.session import DENIED, FAILURE, NO_SUCH_FILE, OK, UNSUPPORTED, Session

BAD = 5
READ_WRITE = m.READ_FLAG | m.WRITE_FLAG | m.CREATE
CONTENT = bytes(range(256)) * 40


@pytest.fixture(params=["local", "memory", "quota"])
def session(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Session]:
    if request.param == "memory":
        yield Session(MemoryBackend({"/file": CONTENT, "/dir/a": b"a"}))
        return
    (tmp_path / "file").write_bytes(CONTENT)
    (tmp_path / "dir").mkdir()
    (tmp_path / "dir" / "a").write_bytes(b"a")
    quota = Quota(bytes=1 << 20) if request.param == "quota" else None
    backend = LocalBackend(tmp_path, quota=quota)
    session = Session(backend, on_end=backend.close)
    yield session
    session.server.connection_lost(None)


def test_posix_rename_replaces(session: Session) -> None:
    two = wire.string(b"/file") + wire.string(b"/dir/a")
    assert session.extended_status(b"posix-rename@openssh.com", two) == OK
    found = session.attributes(m.STAT, b"/dir/a")
    assert isinstance(found, Attributes)
    assert found.size == len(CONTENT)
    assert session.attributes(m.STAT, b"/file") == NO_SUCH_FILE
    assert session.events == ['posix-rename old "/file" new "/dir/a"']


def test_hardlink_gives_a_second_name(session: Session) -> None:
    two = wire.string(b"/file") + wire.string(b"/second")
    assert session.extended_status(b"hardlink@openssh.com", two) == OK
    assert session.extended_status(b"hardlink@openssh.com", two) == FAILURE
    assert session.path(m.REMOVE, b"/file") == OK
    assert session.read(session.open(b"/second"), 0, 4) == CONTENT[:4]
    assert session.events[0] == 'hardlink old "/file" new "/second"'


def test_sizes_of_the_file_system(session: Session) -> None:
    handle = session.open(b"/file")
    by_path = session.extended(b"statvfs@openssh.com", wire.string(b"/dir"))
    by_handle = session.extended(b"fstatvfs@openssh.com", wire.string(handle))
    for kind, body in (by_path, by_handle):
        assert kind == m.EXTENDED_REPLY
        facts = unpack(">11Q", body)
        assert facts[0] == 4096
        assert facts[10] == 255
    assert session.extended_status(b"statvfs@openssh.com", wire.string(b"/none")) == NO_SUCH_FILE
    assert session.extended_status(b"fstatvfs@openssh.com", wire.string(b"none")) == FAILURE


def test_fsync_answers_when_it_is_done(session: Session) -> None:
    handle = session.open(b"/file", READ_WRITE)
    assert session.extended_status(b"fsync@openssh.com", wire.string(handle)) == OK
    assert session.extended_status(b"fsync@openssh.com", wire.string(b"none")) == FAILURE


def test_lsetstat_changes_the_link(session: Session) -> None:
    assert session.path(m.SYMLINK, b"file", wire.string(b"/l")) == OK
    times = Attributes(atime=3, mtime=4).encode()
    assert session.extended_status(b"lsetstat@openssh.com", wire.string(b"/l") + times) == OK
    link, file = session.attributes(m.LSTAT, b"/l"), session.attributes(m.STAT, b"/l")
    assert isinstance(link, Attributes)
    assert isinstance(file, Attributes)
    assert link.mtime == 4
    assert file.mtime != 4


def test_limits_are_told(session: Session) -> None:
    _, body = session.extended(b"limits@openssh.com")
    assert unpack(">4Q", body) == (257 * 1024, 256 * 1024, 256 * 1024, 1024)


def test_paths_are_expanded(session: Session) -> None:
    for path, wanted in ((b"~/dir", b"/dir"), (b"dir/../file", b"/file"), (b"~", b"/"), (b"", b"/")):
        assert session.one_name(*session.extended(b"expand-path@openssh.com", wire.string(path))) == wanted
    assert session.one_name(*session.extended(b"home-directory", wire.string(b""))) == b"/"
    assert session.extended_status(b"home-directory", wire.string(b"nobody")) == NO_SUCH_FILE
    assert session.extended_status(b"expand-path@openssh.com", wire.string(b"~nobody/x")) == NO_SUCH_FILE


def test_names_of_owners_are_told(tmp_path: Path) -> None:
    session = Session(LocalBackend(tmp_path))
    numbers = wire.string(wire.uint32(0) + wire.uint32(987654)), wire.string(wire.uint32(0))
    _, body = session.extended(b"users-groups-by-id@openssh.com", b"".join(numbers))
    reader = WireReader(body)
    users, groups = WireReader(reader.string()), WireReader(reader.string())
    assert (users.string(), users.string(), groups.string()) == (b"root", b"", b"root")
    session.server.backend.close()


# copy-data


def copy(session: Session, source: bytes, start: int, size: int, target: bytes, place: int) -> int:
    body = (
        wire.string(source)
        + wire.uint64(start)
        + wire.uint64(size)
        + wire.string(target)
        + wire.uint64(place)
    )
    return session.extended_status(b"copy-data", body)


def test_data_are_copied_without_the_client(session: Session) -> None:
    source, target = session.open(b"/file"), session.open(b"/copy", READ_WRITE)
    assert copy(session, source, 0, 0, target, 0) == OK
    assert session.read(target, 0, 1 << 20) == CONTENT
    assert copy(session, source, 5, 10, target, 20000) == OK
    assert session.read(target, 20000, 100) == CONTENT[5:15]
    assert copy(session, source, 1 << 40, 0, target, 0) == OK  # nothing is there
    assert session.events[-1] == 'copy-data from "/file" to "/copy"'


def test_a_file_is_copied_within_itself_where_the_ranges_differ(session: Session) -> None:
    handle = session.open(b"/file", READ_WRITE)
    assert copy(session, handle, 0, 100, handle, 20000) == OK
    assert session.read(handle, 20000, 100) == CONTENT[:100]
    assert copy(session, handle, 0, 100, handle, 50) == BAD
    assert copy(session, handle, 50, 100, handle, 0) == BAD
    assert copy(session, handle, 0, 0, handle, 1 << 30) == BAD


def test_copies_that_cannot_be_are_refused(session: Session) -> None:
    reader, writer = session.open(b"/file"), session.open(b"/w", m.WRITE_FLAG | m.CREATE)
    assert copy(session, writer, 0, 0, writer, 0) == DENIED
    assert copy(session, reader, 0, 0, reader, 0) == DENIED
    assert copy(session, b"none", 0, 0, writer, 0) == FAILURE
    assert copy(session, reader, 0, 0, b"none", 0) == FAILURE
    assert copy(session, reader, (1 << 64) - 1, 5, writer, 0) == BAD
    assert copy(session, reader, 0, 5, writer, (1 << 63) - 1) == BAD


@pytest.mark.parametrize("failure", [OSError(22, "no"), AttributeError("none")])
def test_what_the_kernel_does_not_copy_we_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    def refuse(*args: object) -> int:
        raise failure

    monkeypatch.setattr(copy_data.os, "copy_file_range", refuse)
    (tmp_path / "file").write_bytes(CONTENT)
    session = Session(LocalBackend(tmp_path))
    target = session.open(b"/copy", READ_WRITE)
    assert copy(session, session.open(b"/file"), 0, 0, target, 0) == OK
    assert session.read(target, 0, 1 << 20) == CONTENT
    monkeypatch.setattr(copy_data.os, "copy_file_range", full)
    assert copy(session, session.open(b"/file"), 0, 0, target, 0) == FAILURE
    session.server.connection_lost(None)
    session.server.backend.close()


def full(*args: object) -> int:
    raise OSError(28, "full")


# check-file


def check(
    session: Session, what: bytes, names: bytes, start: int = 0, size: int = 0, block: int = 0
) -> bytes | int:
    """Ask by handle or path; return the answer or a status."""
    name = b"check-file-name" if what.startswith(b"/") else b"check-file-handle"
    body = (
        wire.string(what) + wire.string(names) + wire.uint64(start) + wire.uint64(size) + wire.uint32(block)
    )
    kind, answer = session.extended(name, body)
    return int(unpack(">I", answer[:4])[0]) if kind == m.STATUS else answer


@pytest.mark.parametrize("name", ["sha256", "sha512", "sha384", "sha224", "sha1", "md5"])
def test_hashes_of_a_file(session: Session, name: str) -> None:
    wanted = wire.string(name.encode()) + hashlib.new(name, CONTENT).digest()
    handle = session.open(b"/file")
    for what in (handle, b"/file"):
        assert check(session, what, b"crc32," + name.encode() + b",md5") == wanted
    body = wire.string(handle) + wire.string(name.encode()) + bytes(20)
    assert session.extended(b"check-file", body) == (m.EXTENDED_REPLY, wire.string(b"check-file") + wanted)


def test_hashes_of_ranges_and_blocks(session: Session) -> None:
    handle = session.open(b"/file")
    head = wire.string(b"md5")

    def md5(start: int, stop: int) -> bytes:
        return hashlib.md5(CONTENT[start:stop]).digest()

    assert check(session, handle, b"md5", 100, 50) == head + md5(100, 150)
    assert check(session, handle, b"md5", 100, 1 << 40) == head + md5(100, len(CONTENT))
    blocks = b"".join(md5(start, start + 1000) for start in range(0, len(CONTENT), 1000))
    assert check(session, handle, b"md5", 0, 0, 1000) == head + blocks
    assert check(session, handle, b"md5", 0, 2500, 1000) == head + md5(0, 1000) + md5(1000, 2000) + md5(
        2000, 2500
    )
    assert check(session, handle, b"md5", 0, 512, 256) == head + md5(0, 256) + md5(256, 512)
    assert check(session, handle, b"md5", 0, 10240, 256) == check(session, handle, b"md5", 0, 0, 256)
    assert check(session, handle, b"md5", 1 << 50) == head + md5(0, 0)
    assert check(session, handle, b"md5", (1 << 64) - 1, (1 << 64) - 1) == head + md5(0, 0)


def test_hashes_that_cannot_be_are_refused(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    handle = session.open(b"/file")
    assert check(session, handle, b"crc32,none") == UNSUPPORTED
    assert check(session, handle, b"") == UNSUPPORTED
    assert check(session, handle, b"md5", block=255) == BAD
    assert check(session, b"/none", b"md5") == NO_SUCH_FILE
    assert check(session, b"none", b"md5") == FAILURE
    assert check(session, session.open(b"/w", m.WRITE_FLAG | m.CREATE), b"md5") == DENIED
    monkeypatch.setattr(check_file, "MAX_ANSWER", 64)
    assert check(session, handle, b"md5", block=256) == BAD


def test_a_hash_ends_with_the_session(tmp_path: Path) -> None:
    """It runs in a thread, and nobody waits for it any more."""
    jobs: list[tuple[object, tuple[object, ...]]] = []

    def later(function: object, *args: object) -> object:
        from sshkit.deferred import Deferred

        jobs.append((function, args))
        return Deferred()

    (tmp_path / "file").write_bytes(CONTENT)
    backend = LocalBackend(tmp_path)
    session = Session(backend, defer_to_thread=later)
    handle = session.open(b"/file", READ_WRITE)
    for name, rest in ((b"check-file-handle", wire.string(b"md5") + bytes(20)), (b"copy-data", None)):
        body = wire.string(handle) + (rest if rest is not None else bytes(8) + wire.uint64(1))
        if rest is None:
            body += wire.string(handle) + wire.uint64(1 << 20)
        session.server._work.__init__()  # type: ignore[misc]
        session.server._free = True
        session.feed(session.packet(m.EXTENDED, wire.string(name) + body))
    session.server._work.__init__()  # type: ignore[misc]
    session.server._stop()
    for function, args in jobs:
        function(*args)  # type: ignore[operator]
    assert len(jobs) == 2
    assert os.path.getsize(tmp_path / "file") == len(CONTENT)
    session.server.connection_lost(None)
    backend.close()
