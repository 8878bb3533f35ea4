"""What happens seldom in a server: late failures, mistakes of backends, ends in between."""

import errno
from pathlib import Path
from typing import Any

import pytest
from sshkit_keys import wire

from sshkit.deferred import Deferred, fail, succeed
from sshkit.sftp import messages as m
from sshkit.sftp.attributes import Attributes
from sshkit.sftp.backends.interface import BackendFile
from sshkit.sftp.backends.local import LocalBackend
from sshkit.sftp.backends.memory import MemoryBackend
from sshkit.sftp.errors import SFTPProtocolError
from sshkit.sftp.server_events import SFTPEvent
from tests.sftp.server.session import DENIED, FAILURE, OK, Session

READ_WRITE = m.READ_FLAG | m.WRITE_FLAG | m.CREATE


def test_nothing_is_handled_after_the_end() -> None:
    session = Session(MemoryBackend())
    first, second = SFTPProtocolError("first"), SFTPProtocolError("second")
    session.server.end(first)
    session.server.end(second)
    assert session.server.failed is first
    session.server.packet(m.STAT, memoryview(session.packet(m.STAT, wire.string(b"/")))[4:])
    session.server.eof_received()
    assert session.answers() == []


def test_what_runs_apart_may_be_denied_too() -> None:
    session = Session(
        MemoryBackend({"/file": b""}),
        permit=lambda request: request.name != "fsync",
        defer_to_thread=lambda function, *args: succeed(function(*args)),
    )
    handle = session.open(b"/file", READ_WRITE)
    assert session.extended_status(b"fsync@openssh.com", wire.string(handle)) == DENIED


class BadFile(BackendFile):
    """Breaks when it is read, and when it is closed."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def read_into(self, view: memoryview, offset: int, wait: bool) -> int:
        raise OSError(errno.EIO, "broken disk")

    def close(self) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Bad(MemoryBackend):
    """Opens such files."""

    def __init__(self, answer: Any = None) -> None:
        super().__init__()
        self.answer = answer

    def open(self, path: bytes, flags: int, attributes: Attributes) -> Any:
        return BadFile(self.answer)


def test_a_disk_that_fails_is_told() -> None:
    session = Session(Bad())
    assert session.read(session.open(b"/x"), 0, 10) == FAILURE


@pytest.mark.parametrize("later", [True, False])
@pytest.mark.parametrize("heard", [True, False])
def test_a_file_that_cannot_be_closed_at_the_end_is_told(later: bool, heard: bool) -> None:
    error = OSError(errno.EIO, "late")
    session = Session(Bad(fail(error) if later else error))
    session.open(b"/x")
    if not heard:
        session.server._on_error = None
    session.server.connection_lost(None)
    assert session.errors == ([error] if heard else [])


def test_an_answer_that_fails_is_nobodys_where_nobody_listens() -> None:
    waiting: Deferred[object] = Deferred()

    class Later(MemoryBackend):
        asynchronous = True

        def stat(self, path: bytes) -> Any:
            return waiting

    session = Session(Later())
    session.server._on_error = None
    session.feed(session.packet(m.STAT, wire.string(b"/x")))
    waiting.callback("no attributes")
    assert session.answers() == []


def test_work_that_ends_after_a_protocol_error_answers_nothing() -> None:
    waiting: Deferred[object] = Deferred()

    class Later(MemoryBackend):
        asynchronous = True

        def stat(self, path: bytes) -> Any:
            return waiting

    session = Session(Later())
    session.feed(session.packet(m.STAT, wire.string(b"/x")))
    session.feed(b"\xff\xff\xff\xff")
    waiting.callback(Attributes())
    assert session.wire.closed
    assert session.answers() == []


def test_a_backend_that_waits_without_saying_so_is_a_mistake(tmp_path: Path) -> None:
    class Liar(MemoryBackend):
        def open(self, path: bytes, flags: int, attributes: Attributes) -> Any:
            return Deferred()

    session = Session(Liar())
    body = wire.string(b"/x") + wire.string(b"md5") + bytes(20)
    assert session.extended_status(b"check-file-name", body) == FAILURE
    assert "not asynchronous" in str(session.errors[0])


def test_long_listings_go_on_in_threads() -> None:
    calls: list[object] = []

    def threads(function: Any, *args: Any) -> Any:
        calls.append(function)
        return succeed(function(*args))

    session = Session(MemoryBackend({f"/{number}": b"" for number in range(1000)}), defer_to_thread=threads)
    assert len(session.listing(b"/")) == 1002
    assert len(calls) == 2
    short = Session(MemoryBackend({"/x": b""}), defer_to_thread=threads)
    assert len(short.listing(b"/")) == 3
    assert len(calls) == 2


def test_entries_that_cannot_be_looked_at_have_a_name_only(tmp_path: Path) -> None:
    class Gone:
        name = "gone"

        def stat(self, follow_symlinks: bool) -> None:
            raise FileNotFoundError(errno.ENOENT, "gone")

    backend = LocalBackend(tmp_path)
    listing = backend.opendir(b"/")
    listing._entries.close()
    listing._entries = iter([Gone()])  # type: ignore[assignment]
    assert listing.read(10)[2] == (b"gone", Attributes())
    listing._entries = backend.opendir(b"/")._entries
    listing.close()
    backend.close()


def test_many_small_answers_leave_in_parts_of_64_kib() -> None:
    session = Session(MemoryBackend({"/file": b""}))
    writes: list[int] = []
    session.wire.on_write = lambda: writes.append(len(session.wire.data))
    session.feed(b"".join(session.packet(m.STAT, wire.string(b"/file")) for _ in range(5000)))
    assert len(session.answers()) == 5000
    assert [size // 65536 for size in writes] == [1, 2, 3, 3]


def test_small_and_large_answers_keep_their_order(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    backend = LocalBackend(tmp_path)
    session = Session(backend)
    handle = wire.string(session.open(b"/file"))
    reading = handle + bytes(8) + wire.uint32(100)
    stat = session.packet(m.STAT, wire.string(b"/file"))
    session.feed(stat + session.packet(m.READ, reading) + stat + session.packet(m.READ, reading) * 2)
    assert [kind for kind, _ in session.answers()] == [m.ATTRS, m.DATA, m.ATTRS, m.DATA, m.DATA]
    session.server.connection_lost(None)
    backend.close()


def test_unknown_handles_of_fsetstat_are_refused() -> None:
    session = Session(MemoryBackend())
    assert session.path(m.FSETSTAT, b"none", b"\0\0\0\0") == FAILURE


def test_events_show_what_they_are() -> None:
    assert repr(SFTPEvent("remove", b"/x")) == '<SFTPEvent remove name "/x">'
    assert str(SFTPEvent("setstat", b"/x")) == 'setstat "/x"'
    owner = Attributes(uid=1, gid=2)
    assert str(SFTPEvent("lsetstat", b"/x", attributes=owner)) == 'lsetstat "/x" owner 1 group 2'
    assert str(SFTPEvent("open", b"/x")) == 'open "/x" flags NONE mode 0666'
    assert str(SFTPEvent("remove", b"/x", error="no\n")) == 'remove name "/x": no\\n'


def test_the_end_of_input_at_rest_ends_the_session() -> None:
    session = Session(MemoryBackend({"/file": b""}))
    assert session.close(session.open(b"/file")) == OK
    session.server.eof_received()
    assert session.wire.closed
    assert session.server.failed is None
