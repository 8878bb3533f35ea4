"""MemoryBackend behaves as a file system does."""

import errno
from collections.abc import Callable

import pytest

from sshkit.sftp import messages as m
from sshkit.sftp.attributes import Attributes
from sshkit.sftp.backends.memory import MemoryBackend
from sshkit.sftp.backends.quota import Quota

NOTHING = Attributes()
WRITE = m.WRITE_FLAG | m.CREATE


def failed(number: int, function: Callable[..., object], *args: object) -> None:
    with pytest.raises(OSError, check=lambda error: error.errno == number):
        function(*args)


@pytest.fixture
def backend() -> MemoryBackend:
    return MemoryBackend({"/file": b"content", "dir/deep/leaf": b"leaf"}, now=lambda: 1000.5)


def test_files_of_a_program_are_there_with_their_directories(backend: MemoryBackend) -> None:
    assert backend.get("/dir/deep/leaf") == b"leaf"
    found = backend.stat(b"/file")
    assert (found.size, found.mode, found.mtime) == (7, 0o644, 1000)
    assert backend.stat(b"/dir").is_dir
    backend.put("/file", b"other", 0o600)
    backend.put("/dir/second", b"x")
    assert backend.get("file") == b"other"
    failed(errno.EISDIR, backend.get, "/dir")


def test_writing_appends_truncates_and_fills_with_zeros(backend: MemoryBackend) -> None:
    file = backend.open(b"/file", m.WRITE_FLAG | m.APPEND, NOTHING)
    file.write(0, memoryview(b"!"))
    file.sync()
    file.close()
    assert backend.get("/file") == b"content!"
    file = backend.open(b"/file", m.WRITE_FLAG | m.TRUNCATE, NOTHING)
    file.write(3, memoryview(b"x"))
    file.write(0, memoryview(b"y"))
    assert file.read(0, 10) == b"y\0\0x"
    assert file.stat().size == 4
    file.setstat(Attributes(size=1))
    assert backend.get("/file") == b"y"
    backend.remove(b"/file")
    assert file.read(0, 10) == b"y"  # the file outlives its name


def test_open_says_what_is_wrong(backend: MemoryBackend) -> None:
    failed(errno.ENOENT, backend.open, b"/none", m.READ_FLAG, NOTHING)
    failed(errno.EEXIST, backend.open, b"/file", WRITE | m.EXCLUSIVE, NOTHING)
    failed(errno.EISDIR, backend.open, b"/dir", m.READ_FLAG, NOTHING)
    failed(errno.ENOTDIR, backend.open, b"/file/x", WRITE, NOTHING)
    failed(errno.ENOENT, backend.open, b"/none/x", WRITE, NOTHING)
    failed(errno.ENAMETOOLONG, backend.open, b"n" * 256, WRITE, NOTHING)
    failed(errno.ENAMETOOLONG, backend.stat, b"x/" * 3000)
    failed(errno.ENOTDIR, backend.opendir, b"/file")


def test_links_lead_where_they_lead_and_never_above_the_root(backend: MemoryBackend) -> None:
    backend.symlink(b"../../dir/./deep", b"/dir/l")
    backend.symlink(b"/dir/l/leaf", b"/abs")
    backend.symlink(b"loop", b"/loop")
    backend.symlink(b"new", b"/dangling")
    assert backend.stat(b"/abs").size == 4
    assert backend.lstat(b"/abs").is_link
    assert backend.readlink(b"/abs") == b"/dir/l/leaf"
    assert backend.realpath(b"/abs") == b"/dir/deep/leaf"
    assert backend.realpath(b"/dir/l/../x") == b"/dir/x"
    failed(errno.EINVAL, backend.readlink, b"/file")
    failed(errno.ELOOP, backend.stat, b"/loop")
    backend.open(b"/dangling", WRITE, NOTHING)
    assert backend.get("/new") == b""
    failed(errno.EEXIST, backend.open, b"/dangling", WRITE | m.EXCLUSIVE, NOTHING)
    failed(errno.ENAMETOOLONG, backend.symlink, b"x/" * 3000, b"/long")
    failed(errno.EINVAL, backend.lsetstat, b"/abs", Attributes(size=0))
    backend.lsetstat(b"/abs", Attributes(atime=1, mtime=2, uid=3, gid=4, permissions=0o700))
    found = backend.lstat(b"/abs")
    assert (found.atime, found.mtime, found.uid, found.gid, found.is_link) == (1, 2, 3, 4, True)
    failed(errno.EISDIR, backend.setstat, b"/dir", Attributes(size=0))


def test_names_are_made_renamed_and_removed(backend: MemoryBackend) -> None:
    backend.mkdir(b"/new/", NOTHING)
    failed(errno.EEXIST, backend.mkdir, b"/new", NOTHING)
    failed(errno.EEXIST, backend.mkdir, b"/", NOTHING)
    failed(errno.ENOTDIR, backend.rmdir, b"/file")
    failed(errno.ENOTEMPTY, backend.rmdir, b"/dir")
    failed(errno.EISDIR, backend.remove, b"/dir")
    failed(errno.ENOENT, backend.remove, b"/none")
    failed(errno.EINVAL, backend.posix_rename, b"/dir", b"/dir/deep/x")
    failed(errno.EBUSY, backend.posix_rename, b"/dir", b"/new/..")
    failed(errno.EEXIST, backend.rename, b"/file", b"/new")
    failed(errno.EISDIR, backend.posix_rename, b"/file", b"/new")
    failed(errno.ENOTDIR, backend.posix_rename, b"/new", b"/file")
    failed(errno.ENOTEMPTY, backend.posix_rename, b"/new", b"/dir")
    failed(errno.ENAMETOOLONG, backend.posix_rename, b"/new", b"n" * 256)
    backend.rename(b"/dir/deep", b"/new/deep/")
    assert backend.realpath(b"/new/deep/..") == b"/new"
    backend.posix_rename(b"/dir", b"/new/deep/x")
    backend.posix_rename(b"/file", b"/file")
    backend.rename(b"/file", b"/f")
    backend.link(b"/f", b"/g")
    failed(errno.EEXIST, backend.link, b"/f", b"/g")
    failed(errno.EPERM, backend.link, b"/new", b"/h")
    backend.remove(b"/f")
    assert backend.get("/g") == b"content"
    backend.rmdir(b"/new/deep/x")
    failed(errno.ENOTEMPTY, backend.rmdir, b"/")
    empty = MemoryBackend()
    failed(errno.EBUSY, empty.rmdir, b"/")


def test_paths_begin_where_the_backend_lets_them() -> None:
    backend = MemoryBackend({"/home/me/file": b"x"}, start=b"/home/me")
    assert backend.stat(b"file").size == 1
    assert backend.expand_path(b"~/file") == b"/home/me/file"
    assert backend.home_directory(b"") == b"/home/me"
    failed(errno.ENOENT, backend.home_directory, b"other")


def test_a_quota_bounds_the_memory() -> None:
    quota = Quota(bytes=100, files=3)
    backend = MemoryBackend({"/a": b"x" * 60}, quota=quota)
    file = backend.open(b"/b", WRITE, NOTHING)
    failed(errno.EDQUOT, file.write, 1 << 40, memoryview(b"x"))
    failed(errno.EDQUOT, backend.setstat, b"/a", Attributes(size=1 << 50))
    file.write(0, memoryview(b"x" * 40))
    backend.link(b"/b", b"/c")
    failed(errno.EDQUOT, backend.mkdir, b"/d", NOTHING)
    backend.remove(b"/b")
    assert quota.used_bytes == 100
    backend.remove(b"/c")
    assert (quota.used_bytes, quota.used_files) == (60, 1)
    facts = backend.statvfs(b"/")
    assert (facts.blocks, facts.files, facts.free_files, facts.flags) == (0, 3, 2, 0)
    unlimited = MemoryBackend(quota=Quota(), read_only=True).facts()
    assert (unlimited.blocks, unlimited.flags) == (1 << 16, 1)


def test_a_listing_shows_what_was_there(backend: MemoryBackend) -> None:
    listing = backend.opendir(b"/")
    backend.mkdir(b"/later", NOTHING)
    assert [name for name, _ in listing.read(3)] == [b".", b"..", b"file"]
    assert [name for name, _ in listing.read(3)] == [b"dir"]
    assert listing.read(3) == []
    listing.close()
    assert [name for name, _ in backend.opendir(b"/dir/deep").read(9)] == [b".", b"..", b"leaf"]
