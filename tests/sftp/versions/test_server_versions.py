"""A server in versions 4 to 6: what it says of itself, what it refuses, and what hostile clients get."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sshkit_keys.wire import WireReader, string, uint32, uint64

from sshkit.deferred import Deferred
from sshkit.sftp import messages as m
from sshkit.sftp import server_dialect_v4
from sshkit.sftp import status as codes
from sshkit.sftp.attributes import Attributes
from sshkit.sftp.attributes_v4 import V4, V5, V6, FullAttributes
from sshkit.sftp.backends.interface import Backend
from sshkit.sftp.backends.local import LocalBackend
from sshkit.sftp.backends.memory import MemoryBackend
from sshkit.sftp.server import SFTPServer
from tests.sftp.server.session import Session

FORMS = {4: V4, 5: V5, 6: V6}
NOTHING = bytes(4) + b"\5"  # attributes that say nothing
READ, WRITE, APPEND, DELETE = 1, 2, 4, 0x10000


def begin(
    version: int, backend: Backend | None = None, *, asked: int | None = None, **options: Any
) -> Session:
    """Return a session in this version; the client asks for `asked`."""
    options.setdefault("max_version", 6)
    session = Session(
        MemoryBackend({"/f": b"content"}) if backend is None else backend, init=False, **options
    )
    session.feed(m.frame(m.Init(version if asked is None else asked, b"").encode()))
    kind, session.version = session.answers()[0]
    assert kind == m.VERSION
    assert session.version[:4] == uint32(version)
    return session


def told(session: Session) -> dict[str, bytes]:
    return m.unpack_extensions(session.version[4:])


def test_version_3_alone_is_the_default() -> None:
    session = begin(3, asked=6, max_version=3)
    assert next(iter(told(session))) == "posix-rename@openssh.com"
    assert "versions" not in told(session)
    for version in (2, 7):
        with pytest.raises(ValueError, match=f"version {version} of SFTP; there are 3 to 6"):
            SFTPServer(MemoryBackend(), random_bytes=bytes, now=float, max_version=version)


def test_a_server_says_what_it_can_do() -> None:
    assert told(begin(3))["versions"] == b"3,4,5,6"
    assert told(begin(4, max_version=4, asked=6))["versions"] == b"3,4"
    four = told(begin(4))
    assert (four["newline"], "supported" in four, "supported2" in four) == (b"\n", False, False)
    reader = WireReader(four["vendor-id"])
    assert [reader.string() for _ in range(3)] == [b"sshkit", b"sshkit", b""]
    assert reader.uint64() == 0
    names = [name.encode() for name in told(begin(5)) if "@" in name or "-" in name]
    reader = WireReader(told(begin(5))["supported"])
    masks = [reader.uint32() for _ in range(5)]
    assert masks == [0x1AD, 0, 0x1F, 0x100187, 262144]
    listed = []
    while reader.position < reader.end:
        listed.append(reader.string())
    assert b"copy-data" in listed
    assert set(listed) < {*names, b"check-file"}
    six = told(begin(6, denied=("copy-data",)))
    reader = WireReader(six["supported2"])
    assert [reader.uint32() for _ in range(5)] == masks
    assert reader.uint32() == 0x00010001  # no locks of any kind
    assert reader.uint32() == 0
    without = [reader.string() for _ in range(reader.uint32())]
    reader.finish("supported2")
    assert without == [name for name in listed if name != b"copy-data"]
    assert six["acl-supported"] == uint32(0)


def test_a_client_picks_another_version_first_or_never() -> None:
    session = begin(3)
    assert session.extended_status(b"version-select", string("6")) == codes.OK
    assert session.status(m.RENAME, string("/f") + string("/g") + uint32(0)) == codes.OK
    assert session.extended_status(b"version-select", string("3")) == codes.OP_UNSUPPORTED
    session = begin(6)
    assert session.extended_status(b"version-select", string("3")) == codes.OK
    assert session.attributes(m.STAT, b"/f") == Attributes(7, 0, 0, 0o100644, 0, 0)
    session = begin(3)
    assert session.status(m.CLOSE, string("none")) == codes.FAILURE
    assert session.extended_status(b"version-select", string("6")) == codes.OP_UNSUPPORTED


@pytest.mark.parametrize("wanted", [b"7", b"2", b"", b"06", b"6\0", b"5,6"])
def test_a_version_that_is_not_offered_ends_the_session(wanted: bytes) -> None:
    session = begin(6)
    assert session.extended_status(b"version-select", string(wanted)) == codes.INVALID_PARAMETER
    assert session.wire.closed
    assert "not offered" in str(session.server.failed)


@pytest.mark.parametrize("rest", [b"", b"\0", b"\0\0\0\1", b"\0\0\0\1\0\0\0\1"])
def test_r33_a_first_request_that_is_cut_short_does_no_harm(rest: bytes) -> None:
    session = begin(6)
    session.feed(m.frame(bytes([m.EXTENDED]) + rest))
    assert session.wire.closed or [answer[0] for answer in session.answers()] == [m.STATUS]
    session = begin(6)
    session.feed(m.frame(m.Init(6, b"").encode()))
    assert session.wire.closed
    assert "a second INIT" in str(session.server.failed)


def test_text_is_refused_in_version_4() -> None:
    session = begin(4)
    assert session.status(m.OPEN, string("/f") + uint32(m.READ_FLAG | 0x40) + NOTHING) == codes.OP_UNSUPPORTED
    assert len(session.handle(m.OPEN, string("/f") + uint32(m.READ_FLAG) + NOTHING)) == 16


@pytest.mark.parametrize("version", [5, 6])
@pytest.mark.parametrize(
    ("access", "how", "wanted"),
    [
        (READ, 2 | 0x20, codes.OP_UNSUPPORTED),  # text
        (READ, 2 | 0x40, codes.OP_UNSUPPORTED),  # a lock
        (READ, 2 | 0x200, codes.OP_UNSUPPORTED),
        (READ, 2 | 0x400, codes.OP_UNSUPPORTED),  # without following a link
        (READ, 2 | 0x800, codes.OP_UNSUPPORTED),  # gone at CLOSE
        (READ | DELETE, 2, codes.INVALID_PARAMETER),
        (READ, 5, codes.INVALID_PARAMETER),
        (READ, 7, codes.INVALID_PARAMETER),
        (WRITE, 0, codes.FILE_ALREADY_EXISTS),
    ],
)
def test_what_open_cannot_do_is_refused(version: int, access: int, how: int, wanted: int) -> None:
    session = begin(version)
    if version == 5 and wanted == codes.INVALID_PARAMETER:
        wanted = codes.BAD_MESSAGE
    assert session.status(m.OPEN, string("/f") + uint32(access) + uint32(how) + NOTHING) == wanted


@pytest.mark.parametrize("version", [5, 6])
def test_files_are_opened_as_version_5_says(version: int) -> None:
    session = begin(version)

    def opened(path: str, access: int, how: int) -> bytes:
        return session.handle(m.OPEN, string(path) + uint32(access) + uint32(how) + NOTHING)

    handle = opened("/new", WRITE | 0x100180, 0)
    assert session.write(handle, 0, b"abc") == codes.OK
    assert session.read(handle, 0, 9) == codes.PERMISSION_DENIED
    handle = opened("/new", APPEND, 2)
    assert session.write(handle, 0, b"d") == codes.OK
    handle = opened("/new", WRITE | APPEND, 2)  # may append, need not
    assert session.write(handle, 0, b"x") == codes.OK
    for how in (8, 16):
        assert session.write(opened("/new", READ | WRITE, 2 | how), 0, b"e") == codes.OK
    handle = opened("/new", READ, 2)
    assert session.read(handle, 0, 99) == b"xbcdee"
    assert session.write(handle, 0, b"no") == codes.PERMISSION_DENIED
    opened("/new", WRITE, 4)
    assert session.read(handle, 0, 99) == codes.EOF
    opened("/other", READ | WRITE, 3)
    opened("/other", WRITE, 1)
    assert session.events[0] == 'open "/new" flags WRITE,CREATE,EXCL mode 0666'


@pytest.mark.parametrize("version", [4, 5, 6])
def test_r34_nothing_is_written_in_a_read_only_session(version: int) -> None:
    session = begin(version, read_only=True)
    path, two = string("/f"), string("/f") + string("/g")
    if version == 4:
        assert session.status(m.OPEN, path + uint32(m.WRITE_FLAG) + NOTHING) == codes.PERMISSION_DENIED
    else:
        for access, how in ((WRITE, 2), (READ, 4), (READ, 3), (APPEND, 2), (READ, 2 | 8)):
            body = path + uint32(access) + uint32(how) + NOTHING
            assert session.status(m.OPEN, body) == codes.PERMISSION_DENIED
        for flags in (0, 1, 2, 4):
            assert session.status(m.RENAME, two + uint32(flags)) == codes.PERMISSION_DENIED
    if version == 6:
        for symbolic in (b"\0", b"\1"):
            assert session.status(m.LINK, two + symbolic) == codes.PERMISSION_DENIED
    else:
        assert session.status(m.SYMLINK, two) == codes.PERMISSION_DENIED
    for kind in (m.SETSTAT, m.MKDIR):
        assert session.status(kind, path + NOTHING) == codes.PERMISSION_DENIED
    assert session.extended_status(b"lsetstat@openssh.com", path + NOTHING) == codes.PERMISSION_DENIED


@pytest.mark.parametrize(
    ("denied", "kind", "rest", "wanted"),
    [
        ("posix-rename", m.RENAME, uint32(1), codes.PERMISSION_DENIED),
        ("posix-rename", m.RENAME, uint32(0), codes.OK),
        ("rename", m.RENAME, uint32(1), codes.PERMISSION_DENIED),
        ("rename", m.RENAME, uint32(0), codes.PERMISSION_DENIED),
        ("hardlink", m.LINK, b"\0", codes.PERMISSION_DENIED),
        ("hardlink", m.LINK, b"\1", codes.OK),
        ("symlink", m.LINK, b"\1", codes.PERMISSION_DENIED),
        ("symlink", m.LINK, b"\0", codes.OK),
    ],
)
def test_denied_requests_are_denied_by_every_name(denied: str, kind: int, rest: bytes, wanted: int) -> None:
    session = begin(6, denied=(denied,))
    two = string("/n") + string("/f") if kind == m.LINK else string("/f") + string("/n")
    assert session.status(kind, two + rest) == wanted


def test_a_rename_replaces_where_it_may() -> None:
    backend = MemoryBackend({"/a": b"a", "/b": b"b"})
    session = begin(5, backend)
    two = string("/a") + string("/b")
    assert session.status(m.RENAME, two + uint32(0)) == codes.FILE_ALREADY_EXISTS
    assert session.status(m.RENAME, two + uint32(8)) == codes.BAD_MESSAGE
    assert begin(6).status(m.RENAME, two + uint32(9)) == codes.INVALID_PARAMETER
    assert session.status(m.RENAME, string("") + string("/b") + uint32(1)) == codes.NO_SUCH_FILE
    for flag in (1, 2, 4):
        backend.put("/a", b"new")
        assert session.status(m.RENAME, two + uint32(flag)) == codes.OK
    assert backend.get("/b") == b"new"
    assert session.events[-1] == 'posix-rename old "/a" new "/b"'


def test_links_are_made_in_the_order_of_the_version() -> None:
    for version in (4, 5):
        session = begin(version)
        assert session.status(m.SYMLINK, string("/where") + string("text")) == codes.OK
        kind, body = session.ask(m.READLINK, string("/where"))
        assert (kind, body) == (m.NAME, uint32(1) + string("text") + NOTHING)
        assert session.status(m.SYMLINK, string("") + string("text")) == codes.NO_SUCH_FILE
        assert session.status(m.LINK, string("/x") + string("/f") + b"\0") == codes.OP_UNSUPPORTED
    session = begin(6)
    assert session.status(m.LINK, string("/where") + string("text") + b"\1more") == codes.OK
    kind, body = session.ask(m.READLINK, string("/where"))
    assert (kind, body[:12]) == (m.NAME, uint32(1) + string("text"))
    assert session.status(m.LINK, string("") + string("/f") + b"\0") == codes.NO_SUCH_FILE
    assert session.status(m.LINK, string("/x") + string("/f")) == codes.BAD_MESSAGE
    assert session.status(m.SYMLINK, string("/x") + string("y")) == codes.OP_UNSUPPORTED
    for kind in (m.BLOCK, m.UNBLOCK):
        assert session.status(kind, string("h") + uint64(0) + uint64(1)) == codes.OP_UNSUPPORTED


class Later(MemoryBackend):
    """Answers some calls later."""

    __slots__ = ("answers",)
    asynchronous = True

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.answers: list[Callable[[], None]] = []

    def _later(self, value: Callable[[], Any]) -> Deferred[Any]:
        waiting: Deferred[Any] = Deferred()

        def answer() -> None:
            try:
                waiting.callback(value())
            except OSError as error:
                waiting.errback(error)

        self.answers.append(answer)
        return waiting

    def answer(self) -> None:
        while self.answers:
            self.answers.pop(0)()

    def realpath(self, path: bytes) -> Any:
        return self._later(lambda: MemoryBackend.realpath(self, path))

    def stat(self, path: bytes) -> Any:
        return self._later(lambda: MemoryBackend.stat(self, path))

    def symlink(self, text: bytes, link: bytes) -> Any:
        return self._later(lambda: MemoryBackend.symlink(self, text, link))


def real(session: Session, path: str, *rest: bytes) -> tuple[bytes, int | None] | int:
    """Ask for the real path; return it with the size, or a status."""
    number = next(session.numbers)
    session.feed(session.packet(m.REALPATH, string(path) + b"".join(rest), number))
    if isinstance(session.server.backend, Later):
        session.server.backend.answer()
    ((kind, body),) = session.answers()
    if kind == m.STATUS:
        return int.from_bytes(body[4:8], "big")
    reader = WireReader(body)
    assert (kind, reader.uint32(), reader.uint32()) == (m.NAME, number, 1)
    name = reader.string()
    found, end = V6.decode_at(memoryview(body), reader.position)
    assert end == len(body)
    return name, found.size


@pytest.mark.parametrize("backend", [MemoryBackend, Later])
def test_real_paths_go_on_from_others_and_are_checked(backend: Callable[[Any], Backend]) -> None:
    session = begin(6, backend({"/d/f": b"content"}))
    assert real(session, "") == (b"/", None)
    assert real(session, "/d/f") == (b"/d/f", None)
    assert real(session, "/d/f", b"\1") == (b"/d/f", None)
    assert real(session, "/d", b"\1", string("f")) == (b"/d/f", None)
    assert real(session, "/x", b"\1", string("/d/"), string("f")) == (b"/d/f", None)
    assert real(session, "/d/f", b"\2") == (b"/d/f", 7)
    assert real(session, "/d/f", b"\3") == (b"/d/f", 7)
    assert real(session, "/d/none", b"\2") == (b"/d/none", None)
    assert real(session, "/d/none", b"\3") == codes.NO_SUCH_FILE
    assert real(session, "/d", b"\0") == codes.INVALID_PARAMETER
    assert real(session, "/d\0", b"\1") == codes.NO_SUCH_FILE
    assert real(session, "/d", b"\1", b"\0\0\0\7abc") == codes.BAD_MESSAGE


def test_requests_wait_for_a_link_that_is_made_later() -> None:
    backend = Later({"/f": b""})
    session = begin(6, backend)
    stat = string("/f") + uint32(0)
    session.feed(session.packet(m.STAT, stat) + session.packet(m.LINK, string("/l") + string("f") + b"\1"))
    session.feed(session.packet(m.STAT, stat))
    assert len(backend.answers) == 1
    backend.answer()
    assert [kind for kind, _ in session.answers()] == [m.ATTRS, m.STATUS, m.ATTRS]


@pytest.mark.parametrize("version", [4, 5, 6])
def test_more_behind_a_request_is_an_error_up_to_version_5(version: int) -> None:
    session = begin(version)
    path, wanted = string("/f"), codes.OK if version == 6 else codes.BAD_MESSAGE
    open_rest = uint32(1) + uint32(2) if version > 4 else uint32(1)
    for kind in (m.STAT, m.LSTAT):
        answered, _ = session.ask(kind, path + uint32(0) + b"more")
        assert answered == (m.ATTRS if version == 6 else m.STATUS)
        assert session.status(kind, path) == codes.BAD_MESSAGE
        assert session.status(kind, string("") + uint32(0)) == codes.NO_SUCH_FILE
    assert session.status(m.SETSTAT, path + NOTHING + b"more") == wanted
    handle = session.handle(m.OPEN, path + open_rest + NOTHING)
    answered, _ = session.ask(m.FSTAT, string(handle) + uint32(0) + b"more")
    assert answered == (m.ATTRS if version == 6 else m.STATUS)
    assert session.status(m.FSTAT, string("none") + uint32(0)) == codes.INVALID_HANDLE
    assert session.status(m.CLOSE, string(handle) + b"more") == wanted
    answered, _ = session.ask(m.OPENDIR, string("/") + b"more")
    assert answered == (m.HANDLE if version == 6 else m.STATUS)
    folder = session.handle(m.OPENDIR, string("/"))
    answered, _ = session.ask(m.READDIR, string(folder) + b"more")
    assert answered == (m.NAME if version == 6 else m.STATUS)
    assert session.status(m.REMOVE, path + b"more") == wanted
    assert session.status(m.READLINK, b"\0\0\1\0/f") == codes.BAD_MESSAGE


@pytest.mark.parametrize("version", [4, 5, 6])
def test_what_cannot_be_set_is_refused(version: int, tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    session = begin(version, LocalBackend(tmp_path))
    form = FORMS[version]
    for wanted in (FullAttributes(acl=b""), FullAttributes(created=1)):
        assert session.status(m.SETSTAT, string("f") + form.encode(wanted)) == codes.OP_UNSUPPORTED
    if version > 4:
        body = string("f") + form.encode(FullAttributes(bits=1))
        assert session.status(m.SETSTAT, body) == codes.OP_UNSUPPORTED
    if version == 6:
        body = string("f") + form.encode(FullAttributes(ctime=1))
        assert session.extended_status(b"lsetstat@openssh.com", body) == codes.OP_UNSUPPORTED
    assert session.status(m.MKDIR, string("d") + form.encode(FullAttributes(acl=b""))) == codes.OP_UNSUPPORTED
    assert not (tmp_path / "d").exists()
    for unknown, code in (
        (FullAttributes(owner="no such user"), codes.OWNER_INVALID),
        (FullAttributes(group="no such group"), codes.GROUP_INVALID),
        (FullAttributes(owner="a\0b", group=""), codes.OWNER_INVALID),
    ):
        told = {4: codes.FAILURE, 5: codes.UNKNOWN_PRINCIPAL, 6: code}[version]
        assert session.status(m.SETSTAT, string("f") + form.encode(unknown)) == told
    for name in ("0", "root"):
        body = string("f") + form.encode(FullAttributes(owner=name, group=name))
        assert session.status(m.SETSTAT, body) == (codes.PERMISSION_DENIED if os.getuid() else codes.OK)
    assert session.events[-1].startswith('setstat "f" owner root group root')
    assert begin(version).status(m.SETSTAT, string("/f") + form.encode(FullAttributes(owner="joe"))) == told


def test_a_time_that_is_not_set_stays(tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    (tmp_path / "l").symlink_to("f")
    session = begin(6, LocalBackend(tmp_path))
    for path in ("f", "l"):
        os.utime(tmp_path / path, ns=(5, 6), follow_symlinks=False)
        body = string(path) + V6.encode(FullAttributes(atime=7))
        assert session.extended_status(b"lsetstat@openssh.com", body) == codes.OK
        found = (tmp_path / path).lstat()
        assert (found.st_atime_ns, found.st_mtime_ns) == (7_000_000_000, 6)
        body = string(path) + V6.encode(FullAttributes(mtime=-1, mtime_ns=8))
        assert session.extended_status(b"lsetstat@openssh.com", body) == codes.OK
        found = (tmp_path / path).lstat()
        assert (found.st_atime_ns // 10**9, found.st_mtime_ns) == (7, -999_999_992)


class Named(MemoryBackend):
    """Knows some users."""

    __slots__ = ()

    def user_name(self, number: int) -> str | None:
        return "joe" if number == 5 else None

    def group_name(self, number: int) -> str | None:
        return "all" if number == 5 else None


@pytest.mark.parametrize("version", [4, 5, 6])
def test_owners_of_any_backend_have_names(version: int) -> None:
    backend = Named({"/f": b"content"})
    session = begin(version, backend)
    form = FORMS[version]

    def found() -> tuple[str | None, str | None]:
        kind, body = session.ask(m.STAT, string("/f") + uint32(0))
        assert kind == m.ATTRS
        attributes = form.decode_at(memoryview(body), 0)[0]
        return attributes.owner, attributes.group

    assert found() == ("0", "0")
    assert session.status(m.SETSTAT, string("/f") + form.encode(Attributes(uid=5, gid=5))) == codes.OK
    assert found() == ("joe", "all")
    dialect = session.server.dialect
    assert isinstance(dialect, server_dialect_v4.ServerDialect4)
    given = FullAttributes(owner="jane")
    assert form.decode_at(memoryview(dialect.attributes(given)), 0)[0].owner == "jane"


def test_the_names_that_are_remembered_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_dialect_v4, "_MAX_OWNERS", 2)
    dialect = server_dialect_v4.ServerDialect6(begin(6).server)
    for uid in range(5):
        found = os.stat_result((0o010644, 1, 1, 1, uid, uid, 0, 0, 0, 0), {"st_blocks": 0})
        packed = dialect.attributes(_Stat(found))  # type: ignore[arg-type]  # as os.stat gives it
        attributes = V6.decode_at(memoryview(packed), 0)[0]
        assert (attributes.owner, attributes.kind) == (str(uid), 9)
    assert len(dialect._owners) <= 2
    four = server_dialect_v4.ServerDialect4(dialect.server)
    packed = four.attributes(_Stat(found))  # type: ignore[arg-type]
    assert V4.decode_at(memoryview(packed), 0)[0].kind == 4


class _Stat(tuple[Any, ...]):
    """What os.stat gives, with the fields that only it can fill."""

    st_atime_ns = st_mtime_ns = st_ctime_ns = 0
    st_blocks = 0
    st_nlink = 1


@pytest.mark.parametrize("version", [4, 5, 6])
@given(
    kind=st.integers(0, 255),
    body=st.binary(max_size=60),
    path=st.sampled_from([b"", string(b"/f"), string(b"/f") + string(b"/g")]),
)
def test_r33_hostile_requests_are_answered_or_end_the_session(
    version: int, kind: int, body: bytes, path: bytes
) -> None:
    session = begin(version)
    session.feed(session.packet(kind, path + body))
    session.feed(session.packet(m.STAT, string("/") + uint32(0)))
    assert session.errors == []
    assert session.wire.closed or len(session.answers()) == 2


def test_a_backend_that_knows_no_names_takes_owners_by_number_only() -> None:
    session = begin(6)
    for wanted, code in (
        (FullAttributes(owner="somebody", group="all"), codes.OWNER_INVALID),
        (FullAttributes(owner="0", group="all"), codes.GROUP_INVALID),
        (FullAttributes(owner="0", group="0"), codes.OK),
    ):
        assert session.status(m.SETSTAT, string("/f") + V6.encode(wanted)) == code
