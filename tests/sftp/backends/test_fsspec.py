"""FsspecBackend with fsspec's own file systems, in memory and on the disk."""

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import pytest

from sshkit.sftp import messages as m
from sshkit.sftp.attributes import Attributes
from sshkit.sftp.backends.fsspec_fs import FsspecBackend, attributes_of

NOTHING = Attributes()
WRITE = m.WRITE_FLAG | m.CREATE | m.TRUNCATE


def failed(number: int, function: Callable[..., object], *args: object) -> None:
    with pytest.raises(OSError, check=lambda error: error.errno == number):
        function(*args)


@pytest.fixture(params=["memory", "file"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> FsspecBackend:
    files = fsspec.filesystem(request.param, skip_instance_cache=True)
    root = str(tmp_path) if request.param == "file" else f"/{tmp_path.name}"
    files.makedirs(f"{root}/dir/deep", exist_ok=True)
    for name, data in (("file", b"content"), ("dir/deep/leaf", b"leaf")):
        with files.open(f"{root}/{name}", "wb") as file:
            file.write(data)
    return FsspecBackend(files, f"{root}/")


def test_files_are_read_and_written(backend: FsspecBackend) -> None:
    file = backend.open(b"/file", m.READ_FLAG, NOTHING)
    assert file.stat().size == 7
    assert file.read(0, 3) == b"con"
    assert file.read(3, 100) == b"tent"
    assert file.read(1, 2) == b"on"
    file.close()
    file = backend.open(b"new", WRITE, NOTHING)
    file.write(0, memoryview(b"abc"))
    file.write(3, memoryview(b"def"))
    file.sync()
    file.setstat(Attributes(size=6, mtime=5))
    failed(errno.EOPNOTSUPP, file.setstat, Attributes(size=1))
    file.close()
    assert backend.stat(b"/new").size == 6
    file = backend.open(b"/new", m.WRITE_FLAG | m.APPEND, NOTHING)
    file.write(6, memoryview(b"!"))
    file.close()
    file = backend.open(b"/new", m.WRITE_FLAG, NOTHING)
    file.write(1, memoryview(b"B"))
    file.close()
    file = backend.open(b"/new", m.READ_FLAG, NOTHING)
    assert file.read(0, 10) == b"aBcdef!"
    file.close()


def test_open_says_what_is_wrong(backend: FsspecBackend) -> None:
    failed(errno.ENOENT, backend.open, b"/none", m.READ_FLAG, NOTHING)
    failed(errno.ENOENT, backend.open, b"/none", m.WRITE_FLAG, NOTHING)
    failed(errno.ENOENT, backend.open, b"/none/x", WRITE, NOTHING)
    failed(errno.EISDIR, backend.open, b"/dir", m.READ_FLAG, NOTHING)
    failed(errno.EEXIST, backend.open, b"/file", WRITE | m.EXCLUSIVE, NOTHING)
    failed(errno.ENOENT, backend.stat, b"/none")
    failed(errno.ENOTDIR, backend.opendir, b"/file")


def test_r32_nobody_leaves_the_root(backend: FsspecBackend) -> None:
    assert backend.realpath(b"../../etc/./passwd") == b"/etc/passwd"
    assert backend.stat(b"/../../../file").size == 7
    assert backend.stat(b"..").is_dir
    assert backend.expand_path(b"~/file") == b"/file"
    assert backend.home_directory(b"") == b"/"


def test_directories_are_listed_made_and_removed(backend: FsspecBackend) -> None:
    listing = backend.opendir(b"/")
    assert sorted(name for name, _ in listing.read(100)) == [b".", b"..", b"dir", b"file"]
    assert listing.read(100) == []
    listing.close()
    backend.mkdir(b"/new", NOTHING)
    failed(errno.EEXIST, backend.mkdir, b"/new", NOTHING)
    failed(errno.ENOENT, backend.mkdir, b"/none/new", NOTHING)
    failed(errno.ENOTEMPTY, backend.rmdir, b"/dir")
    failed(errno.ENOTDIR, backend.rmdir, b"/file")
    failed(errno.EISDIR, backend.remove, b"/dir")
    backend.rmdir(b"/new")
    backend.remove(b"/file")
    failed(errno.ENOENT, backend.remove, b"/file")


def test_names_are_changed(backend: FsspecBackend) -> None:
    failed(errno.EEXIST, backend.rename, b"/file", b"/dir")
    backend.rename(b"/file", b"/dir/file")
    backend.posix_rename(b"/dir/file", b"/dir/deep/leaf")
    assert backend.stat(b"/dir/deep/leaf").size == 7
    backend.posix_rename(b"/dir/deep/leaf", b"/dir/deep/leaf")
    failed(errno.EISDIR, backend.posix_rename, b"/dir/deep/leaf", b"/dir")
    failed(errno.ENOENT, backend.rename, b"/none", b"/x")
    failed(errno.ENOENT, backend.rename, b"/dir/deep/leaf", b"/none/x")
    backend.setstat(b"/dir/deep/leaf", Attributes(size=7, mtime=1))
    failed(errno.EOPNOTSUPP, backend.setstat, b"/dir/deep/leaf", Attributes(size=1))


class NoSeek:
    """A stream of a store that takes bytes in order only."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def seekable(self) -> bool:
        if isinstance(self.answer, Exception):
            raise self.answer
        return bool(self.answer)


@pytest.mark.parametrize("answer", [False, ValueError("closed")])
def test_bytes_out_of_order_are_refused_where_the_store_cannot(answer: Any) -> None:
    from sshkit.sftp.backends.fsspec_fs import FsspecFile

    failed(errno.ESPIPE, FsspecFile(NoSeek(answer), Attributes(), 0).write, 5, memoryview(b"x"))


def test_what_a_store_tells_is_taken() -> None:
    from datetime import UTC, datetime

    assert attributes_of({"type": "file", "size": None}) == Attributes(0, permissions=0o100644)
    found = attributes_of({"type": "directory", "size": 3, "mode": 0o40700, "created": 5.5})
    assert found == Attributes(3, permissions=0o40700, atime=5, mtime=5)
    when = datetime(2020, 1, 1, tzinfo=UTC)
    assert attributes_of({"type": "file", "LastModified": when, "mtime": "text"}).mtime == 1577836800


class Odd:
    """A store that lists what is no name."""

    def info(self, path: str) -> dict[str, Any]:
        return {"type": "directory"}

    def ls(self, path: str, detail: bool) -> list[dict[str, Any]]:
        names = ("/", "/root/a\0b", "root/good")
        return [{"name": name, "type": "file", "size": 1} for name in names]


def test_names_that_no_file_can_have_are_not_listed() -> None:
    backend = FsspecBackend(Odd(), "/")
    assert [name for name, _ in backend.opendir(b"/x").read(9)] == [b".", b"..", b"good"]
