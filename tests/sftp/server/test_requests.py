"""Every request of version 3, answered from a MemoryBackend."""

import errno
from struct import unpack

import pytest
from sshkit_keys import wire

from sshkit.deferred import Deferred, fail, succeed
from sshkit.sftp import messages as m
from sshkit.sftp.attributes import Attributes
from sshkit.sftp.backends.interface import Backend, BackendDirectory, BackendFile
from sshkit.sftp.backends.memory import MemoryBackend
from sshkit.sftp.backends.quota import Quota
from sshkit.sftp.errors import SFTPNoSuchFile
from tests.sftp.server.session import (
    BAD_MESSAGE,
    DENIED,
    EOF,
    FAILURE,
    NO_SUCH_FILE,
    NOW,
    OK,
    UNSUPPORTED,
    Session,
)

READ_WRITE = m.READ_FLAG | m.WRITE_FLAG | m.CREATE


@pytest.fixture
def session() -> Session:
    return Session(MemoryBackend({"/file": b"content", "/dir/a": b"a"}, now=lambda: NOW))


def test_the_version_tells_every_extension(session: Session) -> None:
    (version,) = unpack(">I", session.version[:4])
    offered = m.unpack_extensions(session.version[4:])
    assert version == 3
    assert list(offered) == [
        "posix-rename@openssh.com",
        "statvfs@openssh.com",
        "fstatvfs@openssh.com",
        "hardlink@openssh.com",
        "fsync@openssh.com",
        "lsetstat@openssh.com",
        "limits@openssh.com",
        "expand-path@openssh.com",
        "copy-data",
        "home-directory",
        "users-groups-by-id@openssh.com",
        "check-file",
        "check-file-handle",
        "check-file-name",
    ]
    assert offered["statvfs@openssh.com"] == b"2"


def test_files_are_read_written_and_closed(session: Session) -> None:
    handle = session.open(b"/file")
    assert session.read(handle, 0, 4) == b"cont"
    assert session.read(handle, 4, 100) == b"ent"
    assert session.read(handle, 7, 100) == EOF
    assert session.read(handle, 0, 0) == EOF
    assert session.write(handle, 0, b"x") == DENIED
    assert session.close(handle) == OK
    assert session.close(handle) == FAILURE
    assert session.read(handle, 0, 1) == FAILURE
    assert session.write(handle, 0, b"x") == FAILURE
    writer = session.open(b"/new", m.WRITE_FLAG | m.CREATE, mode=0o600)
    assert session.write(writer, 2, b"abc") == OK
    assert session.read(writer, 0, 3) == DENIED
    found = session.attributes(m.FSTAT, writer)
    assert isinstance(found, Attributes)
    assert (found.size, found.mode) == (5, 0o600)
    assert session.path(m.FSETSTAT, writer, Attributes(size=1, permissions=0o640).encode()) == OK
    assert session.close(writer) == OK
    assert session.events == [
        'open "/file" flags READ mode 0666',
        'close "/file" bytes read 7 written 0',
        'open "/new" flags WRITE,CREATE mode 0600',
        'fsetstat "/new" size 1 mode 0640',
        'close "/new" bytes read 0 written 3',
    ]


def test_paths_are_looked_at_and_changed(session: Session) -> None:
    assert session.path(m.SYMLINK, b"file", wire.string(b"/link")) == OK
    for kind, size in ((m.STAT, 7), (m.LSTAT, 4)):
        found = session.attributes(kind, b"/link")
        assert isinstance(found, Attributes)
        assert found.size == size
    assert session.name(m.READLINK, b"/link") == b"file"
    assert session.name(m.REALPATH, b"") == b"/"
    assert session.name(m.REALPATH, b"dir/../link") == b"/file"
    assert session.path(m.SETSTAT, b"/link", Attributes(mtime=5, atime=5).encode()) == OK
    assert session.path(m.MKDIR, b"/new", Attributes(permissions=0o700).encode()) == OK
    assert session.path(m.RENAME, b"/file", wire.string(b"/new/file")) == OK
    assert session.path(m.RENAME, b"/dir/a", wire.string(b"/new/file")) == FAILURE
    assert session.path(m.RMDIR, b"/new") == FAILURE
    assert session.path(m.REMOVE, b"/new/file") == OK
    assert session.path(m.RMDIR, b"/new") == OK
    assert session.attributes(m.STAT, b"/new") == NO_SUCH_FILE
    assert session.events == [
        'symlink old "file" new "/link"',
        'setstat "/link" modtime 5',
        'mkdir name "/new" mode 0700',
        'rename old "/file" new "/new/file"',
        'rename old "/dir/a" new "/new/file": File exists',
        'rmdir name "/new": Directory not empty',
        'remove name "/new/file"',
        'rmdir name "/new"',
    ]


def test_directories_are_listed_with_lines_as_of_ls(session: Session) -> None:
    entries = session.listing(b"/")
    assert [name for name, _, _ in entries] == [b".", b"..", b"file", b"dir"]
    _, line, attributes = entries[2]
    assert line.startswith(b"-rw-r--r--   1 0        0               7 Nov 14 ")
    assert line.endswith(b" file")
    assert attributes.size == 7
    assert session.events == ['opendir "/"', 'closedir "/"']
    assert session.path(m.OPENDIR, b"/file") == NO_SUCH_FILE
    assert session.path(m.READDIR, b"h" * 16) == FAILURE


def test_long_listings_come_in_parts() -> None:
    session = Session(MemoryBackend({f"/{number}": b"" for number in range(1000)}))
    handle = session.opendir(b"/")
    sizes = []
    while True:
        kind, body = session.ask(m.READDIR, wire.string(handle))
        if kind == m.STATUS:
            break
        sizes.append(unpack(">I", body[:4])[0])
        assert len(body) < 64 * 1024
    assert sizes == [400, 400, 202]


@pytest.mark.parametrize("path", [b"", b"a\0b"])
def test_a_path_that_no_file_can_have_is_not_found(session: Session, path: bytes) -> None:
    two = wire.string(path)
    rest = {m.SETSTAT: b"\0\0\0\0", m.MKDIR: b"\0\0\0\0", m.RENAME: two, m.SYMLINK: two}
    kinds = [
        m.STAT,
        m.LSTAT,
        m.SETSTAT,
        m.OPENDIR,
        m.REMOVE,
        m.MKDIR,
        m.RMDIR,
        m.RENAME,
        m.READLINK,
        m.SYMLINK,
    ]
    for kind in kinds:
        assert session.path(kind, path, rest.get(kind, b"")) == NO_SUCH_FILE
    assert session.open_status(path) == NO_SUCH_FILE
    for name in (b"posix-rename@openssh.com", b"hardlink@openssh.com"):
        assert session.extended_status(name, two + two) == NO_SUCH_FILE
    assert session.extended_status(b"statvfs@openssh.com", two) == NO_SUCH_FILE
    assert session.extended_status(b"lsetstat@openssh.com", two + b"\0\0\0\0") == NO_SUCH_FILE
    if path:
        assert session.name(m.REALPATH, path) == NO_SUCH_FILE
        assert session.extended_status(b"expand-path@openssh.com", two) == NO_SUCH_FILE
        assert session.extended_status(b"home-directory", two) == NO_SUCH_FILE
        assert (
            session.extended_status(b"check-file-name", two + wire.string(b"md5") + bytes(20)) == NO_SUCH_FILE
        )


@pytest.mark.parametrize("path", [b"", b"a\0b"])
def test_a_link_in_the_drafts_order_needs_paths_that_a_file_can_have(path: bytes) -> None:
    session = Session(MemoryBackend(), as_drafted=True)
    assert session.path(m.SYMLINK, path, wire.string(b"target")) == NO_SUCH_FILE
    assert session.path(m.SYMLINK, b"link", wire.string(path)) == NO_SUCH_FILE


def test_what_a_backend_leaves_out_is_unsupported() -> None:
    session = Session(Backend.__new__(type("Empty", (Backend,), {})))
    two = wire.string(b"x") + wire.string(b"y")
    for kind in (m.STAT, m.LSTAT, m.OPENDIR, m.REMOVE, m.RMDIR, m.READLINK, m.REALPATH):
        assert session.path(kind, b"x") == UNSUPPORTED
    for kind in (m.SETSTAT, m.MKDIR):
        assert session.path(kind, b"x", b"\0\0\0\0") == UNSUPPORTED
    for kind in (m.RENAME, m.SYMLINK):
        assert session.status(kind, two) == UNSUPPORTED
    for name in (b"posix-rename@openssh.com", b"hardlink@openssh.com"):
        assert session.extended_status(name, two) == UNSUPPORTED
    for name in (b"statvfs@openssh.com", b"expand-path@openssh.com", b"home-directory"):
        assert session.extended_status(name, wire.string(b"x")) == UNSUPPORTED
    assert session.extended_status(b"lsetstat@openssh.com", wire.string(b"x") + b"\0\0\0\0") == UNSUPPORTED
    assert session.open_status(b"x") == UNSUPPORTED
    names = wire.string(wire.uint32(5)), wire.string(wire.uint32(6))
    kind, body = session.extended(b"users-groups-by-id@openssh.com", b"".join(names))
    assert body == wire.string(wire.string(b"")) * 2


class Odd(MemoryBackend):
    """Raises what no backend should, and opens what does nothing."""

    def stat(self, path: bytes) -> Attributes:
        raise {
            b"/key": KeyError("x"),
            b"/value": ValueError("x"),
            b"/sftp": SFTPNoSuchFile(),
            b"/eof": EOFError(),
            b"/no": NotImplementedError(),
            b"/big": OverflowError(),
        }[path]

    def open(self, path: bytes, flags: int, attributes: Attributes) -> BackendFile:
        return BackendFile.__new__(type("File", (BackendFile,), {}))

    def opendir(self, path: bytes) -> BackendDirectory:
        return BackendDirectory.__new__(type("Directory", (BackendDirectory,), {}))


def test_an_error_of_a_backend_is_a_failure_and_is_told() -> None:
    session = Session(Odd())
    codes = [
        session.attributes(m.STAT, path) for path in (b"/key", b"/value", b"/sftp", b"/eof", b"/no", b"/big")
    ]
    assert codes == [FAILURE, BAD_MESSAGE, NO_SUCH_FILE, EOF, UNSUPPORTED, FAILURE]
    assert [type(error) for error in session.errors] == [KeyError]


def test_what_an_open_file_leaves_out_is_unsupported() -> None:
    session = Session(Odd())
    handle = session.open(b"/x", READ_WRITE)
    assert session.read(handle, 0, 1) == UNSUPPORTED
    assert session.write(handle, 0, b"x") == UNSUPPORTED
    assert session.attributes(m.FSTAT, handle) == UNSUPPORTED
    assert session.path(m.FSETSTAT, handle, b"\0\0\0\0") == UNSUPPORTED
    assert session.extended_status(b"fsync@openssh.com", wire.string(handle)) == UNSUPPORTED
    assert session.extended_status(b"fstatvfs@openssh.com", wire.string(handle)) == UNSUPPORTED
    copy = wire.string(handle) + bytes(16) + wire.string(session.open(b"/y", READ_WRITE)) + bytes(8)
    assert session.extended_status(b"copy-data", copy) == UNSUPPORTED
    assert session.close(handle) == OK
    listing = session.opendir(b"/")
    assert session.path(m.READDIR, listing) == UNSUPPORTED
    assert session.path(m.CLOSE, listing) == OK


def test_a_full_disk_and_a_quota_are_told() -> None:
    session = Session(MemoryBackend(quota=Quota(bytes=10)))
    handle = session.open(b"/x", READ_WRITE)
    assert session.write(handle, 0, b"x" * 10) == OK
    assert session.write(handle, 10, b"x") == FAILURE


# Answers that come later.


class LaterFile(BackendFile):
    """Answers when it is told to."""

    __slots__ = ("backend",)

    def __init__(self, backend: "Later") -> None:
        self.backend = backend

    def read(self, offset: int, size: int) -> Deferred[bytes]:
        return self.backend.wait("read")

    def write(self, offset: int, data: memoryview) -> Deferred[None]:
        self.backend.written.append(data)
        return self.backend.wait("write")

    def close(self) -> Deferred[None]:
        return self.backend.wait("close")


class Later(Backend):
    """A backend whose answers come when the test wants them."""

    asynchronous = True

    def __init__(self) -> None:
        self.waiting: list[tuple[str, Deferred[object]]] = []
        self.written: list[memoryview] = []

    def wait(self, name: str) -> "Deferred[object]":  # type: ignore[type-var]
        self.waiting.append((name, Deferred()))
        return self.waiting[-1][1]

    def fire(self, result: object, index: int = 0) -> str:
        name, deferred = self.waiting.pop(index)
        if isinstance(result, BaseException):
            deferred.errback(result)
        else:
            deferred.callback(result)
        return name

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.waiting]

    def open(self, path: bytes, flags: int, attributes: Attributes) -> Deferred[BackendFile]:
        return succeed(LaterFile(self)) if path != b"/slow" else self.wait("open")  # type: ignore[return-value]

    def stat(self, path: bytes) -> Deferred[Attributes]:
        return self.wait("stat")  # type: ignore[return-value]

    def rmdir(self, path: bytes) -> Deferred[None]:
        return self.wait("rmdir")  # type: ignore[return-value]

    async def remove(self, path: bytes) -> None:
        await self.wait("remove")


class Rig:
    """A session with a Later backend."""

    def __init__(self) -> None:
        self.backend = Later()
        self.session = Session(self.backend)
        self.one = self.session.open(b"/1", READ_WRITE)
        self.two = self.session.open(b"/2", READ_WRITE)

    def send(self, kind: int, body: bytes, number: int) -> None:
        self.session.feed(self.session.packet(kind, body, number))

    def read(self, handle: bytes, number: int) -> None:
        self.send(m.READ, wire.string(handle) + bytes(8) + wire.uint32(10), number)

    def answered(self) -> list[int]:
        return [unpack(">I", body[:4])[0] for _, body in self.session.answers()]


@pytest.fixture
def rig() -> Rig:
    return Rig()


def test_different_files_wait_for_each_other_no_more_than_they_must(rig: Rig) -> None:
    rig.read(rig.one, 1)
    rig.read(rig.two, 2)
    rig.read(rig.one, 3)  # waits for the first
    assert rig.backend.names == ["read", "read"]
    assert rig.session.wire.reading_paused
    rig.backend.fire(b"two", 1)
    assert rig.answered() == [2]
    rig.backend.fire(b"one")
    assert rig.answered() == [1]
    assert rig.backend.names == ["read"]
    assert not rig.session.wire.reading_paused
    rig.backend.fire(b"three")
    assert rig.answered() == [3]


def test_what_changes_something_runs_alone_and_in_order(rig: Rig) -> None:
    rig.send(m.STAT, wire.string(b"/x"), 1)
    rig.send(m.STAT, wire.string(b"/y"), 2)
    rig.send(m.RMDIR, wire.string(b"/x"), 3)
    rig.send(m.STAT, wire.string(b"/x"), 4)
    assert rig.backend.names == ["stat", "stat"]
    rig.backend.fire(Attributes(size=1))
    assert rig.backend.names == ["stat"]
    rig.backend.fire(Attributes(size=1))
    assert rig.backend.names == ["rmdir"]
    rig.backend.fire(None)
    assert rig.backend.names == ["stat"]
    rig.backend.fire(OSError(errno.ENOENT, "gone"))
    assert rig.answered() == [1, 2, 3, 4]


def test_a_path_is_looked_at_after_what_was_written_before(rig: Rig) -> None:
    rig.send(m.WRITE, wire.string(rig.one) + bytes(8) + wire.string(b"data"), 1)
    rig.send(m.STAT, wire.string(b"/1"), 2)
    assert rig.backend.names == ["write"]
    assert rig.backend.written == [b"data"]
    rig.backend.fire(None)
    assert rig.backend.names == ["stat"]


def test_coroutines_of_a_backend_are_run(rig: Rig) -> None:
    rig.send(m.REMOVE, wire.string(b"/x"), 1)
    assert rig.backend.names == ["remove"]
    rig.backend.fire(None)
    assert rig.answered() == [1]
    rig.send(m.REMOVE, wire.string(b"/x"), 2)
    rig.backend.fire(PermissionError(errno.EACCES, "no"))
    ((_, body),) = rig.session.answers()
    assert unpack(">I", body[4:8])[0] == DENIED


def test_no_more_than_64_requests_run_at_a_time(rig: Rig) -> None:
    for number in range(100):
        rig.send(m.STAT, wire.string(b"/x"), number)
    assert len(rig.backend.waiting) == 64
    for _ in range(100):
        rig.backend.fire(Attributes())
    assert rig.answered() == list(range(100))


def test_malformed_and_unknown_requests_wait_their_turn(rig: Rig) -> None:
    rig.send(m.RMDIR, wire.string(b"/x"), 1)
    for number, (kind, body) in enumerate(
        [
            (m.STAT, b"\0\0\0\x09"),
            (m.EXTENDED, b"\0\0\0\x09"),
            (99, b""),
            (m.EXTENDED, wire.string(b"x")),
            (m.EXTENDED, wire.string(b"fsync@openssh.com") + wire.string(b"h")),
            (m.EXTENDED, wire.string(b"x" * 300)),
        ]
    ):
        rig.send(kind, body, number + 2)
    assert rig.answered() == []
    rig.backend.fire(None)
    answers = [unpack(">II", body[:8]) for _, body in rig.session.answers()]
    assert answers == [
        (1, OK),
        (2, BAD_MESSAGE),
        (3, BAD_MESSAGE),
        (4, UNSUPPORTED),
        (5, UNSUPPORTED),
        (6, FAILURE),
        (7, BAD_MESSAGE),
    ]


def test_an_end_of_the_session_waits_for_what_runs(rig: Rig) -> None:
    ended: list[int] = []
    rig.session.server._on_end = lambda: ended.append(1)
    rig.read(rig.one, 1)
    rig.session.server.connection_lost(None)
    assert rig.backend.names == ["read"]
    rig.backend.fire(b"data")
    assert rig.backend.names == ["close", "close"]  # not before
    assert rig.answered() == []
    assert ended == [1]
    rig.session.server.connection_lost(None)
    rig.backend.fire(None)
    rig.backend.fire(OSError(errno.EIO, "late"))
    assert len(rig.session.errors) == 1
    assert rig.session.server.is_over()


def test_a_file_that_opens_after_the_end_is_closed(rig: Rig) -> None:
    rig.send(m.OPEN, wire.string(b"/slow") + wire.uint32(1) + wire.uint32(0), 1)
    rig.session.server.connection_lost(None)
    rig.backend.fire(LaterFile(rig.backend))
    assert rig.backend.names == ["close"] * 3


def test_a_failure_after_the_end_is_nobodys(rig: Rig) -> None:
    rig.send(m.RMDIR, wire.string(b"/x"), 1)
    rig.session.server.connection_lost(None)
    rig.backend.fire(OSError(errno.EIO, "late"))
    assert rig.answered() == []
    assert rig.session.errors == []


def test_the_end_of_input_waits_for_the_answers(rig: Rig) -> None:
    rig.read(rig.one, 1)
    rig.read(rig.one, 2)
    rig.session.server.eof_received()
    assert not rig.session.wire.closed
    rig.backend.fire(b"x")
    assert not rig.session.wire.closed
    rig.backend.fire(b"y")
    assert rig.session.wire.closed
    assert rig.answered() == [1, 2]


def test_hashes_and_copies_wait_for_an_asynchronous_backend(rig: Rig) -> None:
    hashing = wire.string(b"sha256") + bytes(8) + wire.uint64(3) + bytes(4)
    rig.send(m.EXTENDED, wire.string(b"check-file-handle") + wire.string(rig.one) + hashing, 1)
    rig.backend.fire(b"abc")
    assert rig.answered() == [1]
    rig.send(m.EXTENDED, wire.string(b"check-file-name") + wire.string(b"/n") + hashing, 2)
    rig.backend.fire(b"abc")
    assert rig.backend.fire(None) == "close"
    assert rig.answered() == [2]
    copy = wire.string(b"copy-data") + wire.string(rig.one) + bytes(16) + wire.string(rig.two) + bytes(8)
    rig.send(m.EXTENDED, copy, 3)
    rig.backend.fire(b"abc")
    assert rig.backend.fire(None) == "write"
    rig.backend.fire(b"")
    assert rig.answered() == [3]


# Threads.


class Blocking(MemoryBackend):
    """Is called in threads."""

    blocking = True


class Threads:
    """Stands for defer_to_thread: counts, and answers at once or later."""

    def __init__(self) -> None:
        self.calls: list[object] = []
        self.later: list[tuple[Deferred[object], object]] = []
        self.hold = False

    def __call__(self, function: object, *args: object) -> Deferred[object]:
        self.calls.append(function)
        try:
            result = function(*args)  # type: ignore[operator]
        except Exception as error:
            return fail(error)
        if not self.hold:
            return succeed(result)
        self.later.append((Deferred(), result))
        return self.later[-1][0]


def test_a_backend_that_blocks_is_called_in_threads() -> None:
    threads = Threads()
    session = Session(Blocking({"/x": b"content"}), defer_to_thread=threads)
    handle = session.open(b"/x", READ_WRITE)
    assert session.read(handle, 0, 3) == b"con"
    assert session.read(handle, 99, 3) == EOF
    assert session.write(handle, 0, b"C") == OK
    assert session.close(handle) == OK
    assert len(threads.calls) == 5
    session.open(b"/x")
    session.server.connection_lost(None)
    assert len(threads.calls) == 7


class WaitingFile(BackendFile):
    """Has to wait for a disk."""

    def read_into(self, view: memoryview, offset: int, wait: bool) -> int:
        if not wait:
            raise BlockingIOError(errno.EAGAIN, "wait")
        if offset:
            raise OSError(errno.EIO, "disk")
        view[:3] = b"abc"
        return 3


class Disk(MemoryBackend):
    """Its files have to wait."""

    def open(self, path: bytes, flags: int, attributes: Attributes) -> BackendFile:
        return WaitingFile()


def test_a_read_that_would_wait_goes_to_a_thread() -> None:
    threads = Threads()
    session = Session(Disk(), defer_to_thread=threads)
    handle = session.open(b"/x")
    assert session.read(handle, 0, 100) == b"abc"
    assert session.read(handle, 1, 100) == FAILURE
    assert len(threads.calls) == 2
    assert session.close(handle) == OK
    assert session.events[-1] == 'close "/x" bytes read 3 written 0'


def test_without_threads_a_read_waits() -> None:
    session = Session(Disk())
    assert session.read(session.open(b"/x"), 0, 100) == b"abc"


def test_data_that_come_after_a_close_in_between_are_counted_nowhere() -> None:
    threads = Threads()
    session = Session(Disk(), defer_to_thread=threads)
    handle = session.open(b"/x")
    threads.hold = True
    session.feed(session.packet(m.READ, wire.string(handle) + bytes(8) + wire.uint32(10), 5))
    session.server.handles.files.clear()
    deferred, result = threads.later.pop()
    deferred.callback(result)
    assert [kind for kind, _ in session.answers()] == [m.DATA]


def test_an_answer_of_ours_that_fails_is_told() -> None:
    session = Session(Later())
    backend = session.server.backend
    assert isinstance(backend, Later)
    session.feed(session.packet(m.STAT, wire.string(b"/x"), 5))
    backend.fire("no attributes")
    assert len(session.errors) == 1
