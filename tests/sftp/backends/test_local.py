"""LocalBackend: three resolvers that give the same, and nothing outside of the root (R32)."""

import errno
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sshkit.sftp import messages as m
from sshkit.sftp.attributes import Attributes
from sshkit.sftp.backends import local_files, openat2, resolve
from sshkit.sftp.backends.local import LocalBackend
from sshkit.sftp.backends.local_files import LocalFile, is_in_memory
from sshkit.sftp.backends.quota import Quota

NOTHING = Attributes()
WRITE = m.WRITE_FLAG | m.CREATE


class World:
    """A root with things in it, and secrets beside it."""

    def __init__(self, folder: Path) -> None:
        self.outside = folder
        self.root = folder / "root"
        self.root.mkdir()
        (folder / "secret").write_bytes(b"secret")
        (folder / "rootless").mkdir()  # begins with the root's name, and is not in it
        (folder / "rootless" / "file").write_bytes(b"other")
        (self.root / "file").write_bytes(b"inside")
        (self.root / "dir" / "deep").mkdir(parents=True)
        (self.root / "dir" / "deep" / "leaf").write_bytes(b"leaf")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture(params=["kernel", "walking"])
def jail(
    world: World, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[LocalBackend]:
    if request.param == "walking":
        monkeypatch.setattr(resolve, "_openat2", lambda: None)
    backend = LocalBackend(world.root)
    kind = resolve.WalkingResolver if request.param == "walking" else resolve.KernelResolver
    assert isinstance(backend._resolver, kind)
    yield backend
    backend.close()
    backend.close()  # twice is as good as once


@pytest.fixture(params=["kernel", "walking", "whole"])
def any_backend(
    world: World, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[LocalBackend]:
    if request.param == "walking":
        monkeypatch.setattr(resolve, "_openat2", lambda: None)
    backend = (
        LocalBackend("/", start=str(world.root), user="me", allow_setid=True)
        if request.param == "whole"
        else LocalBackend(world.root, user="me", allow_setid=True)
    )
    assert backend.is_whole == (request.param == "whole")
    yield backend
    backend.close()


def failed(number: int, function: Callable[..., object], *args: object) -> None:
    with pytest.raises(OSError, check=lambda error: error.errno == number):
        function(*args)


def listed(backend: LocalBackend, path: bytes, count: int = 100) -> dict[bytes, Any]:
    listing = backend.opendir(path)
    try:
        return dict(listing.read(count))
    finally:
        listing.close()


def content(backend: LocalBackend, path: bytes) -> bytes:
    file = backend.open(path, m.READ_FLAG, NOTHING)
    try:
        return file.read(0, 1000)
    finally:
        file.close()


# R32.

OUTSIDE = [
    b"../secret", b"/../secret", b"dir/../../secret", b"dir/deep/../../../secret", b"../rootless/file",
    b"absolute", b"relative", b"chain/secret", b"up/secret", b"dir/far", b"loop1/x",
]  # fmt: skip


@pytest.fixture
def links(world: World) -> None:
    os.symlink(world.outside / "secret", world.root / "absolute")
    os.symlink("../secret", world.root / "relative")
    os.symlink("../../..", world.root / "chain")
    os.symlink("..", world.root / "up")
    os.symlink("../../../../../../../../../../../../etc/passwd", world.root / "dir" / "far")
    os.symlink("loop2", world.root / "loop1")
    os.symlink("loop1", world.root / "loop2")


@pytest.mark.usefixtures("links")
@pytest.mark.parametrize("path", OUTSIDE)
def test_r32_nothing_outside_of_the_root_is_found(jail: LocalBackend, path: bytes) -> None:
    wanted = errno.ELOOP if path.startswith(b"loop") else errno.ENOENT
    failed(wanted, jail.stat, path)
    failed(wanted, jail.open, path, m.READ_FLAG, NOTHING)
    failed(wanted, jail.opendir, path)
    failed(wanted, jail.setstat, path, Attributes(permissions=0o777))
    failed(wanted, jail.statvfs, path)


@pytest.mark.usefixtures("links")
@pytest.mark.parametrize("path", [b"../new", b"up/new", b"dir/../../new", b"chain/new"])
def test_r32_nothing_outside_of_the_root_is_made(jail: LocalBackend, world: World, path: bytes) -> None:
    """``..`` of the root is the root."""
    jail.open(path, WRITE, NOTHING).close()
    assert (world.root / "new").exists()
    assert not (world.outside / "new").exists()
    jail.remove(path)
    jail.mkdir(path, NOTHING)
    jail.rmdir(path)
    jail.symlink(b"x", path)
    jail.rename(path, b"../renamed")
    assert os.path.lexists(world.root / "renamed")
    assert sorted(os.listdir(world.outside)) == ["root", "rootless", "secret"]


@pytest.mark.usefixtures("links")
def test_r32_a_hard_link_cannot_reach_outside(jail: LocalBackend, world: World) -> None:
    for path in (b"../secret", b"up/secret", b"chain/secret"):
        failed(errno.ENOENT, jail.link, path, b"hard")
    jail.link(b"absolute", b"second")  # the link itself gets a second name; it leads nowhere
    failed(errno.ENOENT, jail.stat, b"second")
    assert (world.outside / "secret").stat().st_nlink == 1


def test_r32_creating_through_a_dangling_link_stays_inside(jail: LocalBackend, world: World) -> None:
    os.symlink("/made", world.root / "dangling")
    jail.open(b"dangling", WRITE, NOTHING).close()
    assert (world.root / "made").exists()
    os.symlink(str(world.outside / "made"), world.root / "out")
    failed(errno.ENOENT, jail.open, b"out", WRITE, NOTHING)
    assert not (world.outside / "made").exists()


def test_r32_a_long_chain_of_links_ends(jail: LocalBackend, world: World) -> None:
    os.symlink("file", world.root / "l0")
    for number in range(1, 60):
        os.symlink(f"l{number - 1}", world.root / f"l{number}")
    assert jail.stat(b"l30").st_size == 6
    failed(errno.ELOOP, jail.stat, b"l59")
    failed(errno.ELOOP, jail.open, b"l59", m.READ_FLAG, NOTHING)
    failed(errno.ELOOP, jail.realpath, b"l59")
    os.symlink(".", world.root / "self")
    failed(errno.ELOOP, jail.stat, b"self/" * 50 + b"file")


def test_r32_a_directory_swapped_for_a_link_in_between_leads_nowhere(
    jail: LocalBackend, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the last step acts on is held by descriptor, and not followed."""
    parent = type(jail._resolver).parent
    os.rename(world.root / "file", world.root / "kept")

    def swap(self: object, path: bytes) -> tuple[int, bytes]:
        found = parent(self, path)  # type: ignore[arg-type]
        if not os.path.lexists(world.root / "file"):
            os.symlink(world.outside / "secret", world.root / "file")
        return found

    monkeypatch.setattr(type(jail._resolver), "parent", swap)
    failed(errno.ENOENT, jail.open, b"file", m.READ_FLAG, NOTHING)
    os.unlink(world.root / "file")
    failed(errno.ENOENT, jail.setstat, b"file", Attributes(permissions=0o666))
    os.unlink(world.root / "file")
    failed(errno.ENOENT, jail.stat, b"file")
    assert stat.S_IMODE((world.outside / "secret").stat().st_mode) != 0o666


def test_r32_a_directory_moved_out_does_not_take_us_along(world: World) -> None:
    walker = resolve.WalkingResolver(resolve.open_root(world.root))
    opened = os.open
    moved = []

    def move(path: object, *args: object, **kwargs: object) -> int:
        result = opened(path, *args, **kwargs)  # type: ignore[arg-type]
        if path == b"deep" and not moved:
            moved.append(1)
            os.rename(world.root / "dir" / "deep", world.outside / "deep")
        return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resolve.os, "open", move)
        folder, name = walker.parent(b"/dir/deep/../../secret")
    assert (folder, name) == (walker.root, b"secret")
    assert moved
    os.close(walker.root)


def test_r32_somebody_who_swaps_links_all_the_time_gains_nothing(jail: LocalBackend, world: World) -> None:
    """A directory of the path is now a directory, now a link out; and so is the file."""
    import threading

    (world.outside / "deep").mkdir()
    (world.outside / "deep" / "leaf").write_bytes(b"secret")
    (world.root / "real").mkdir()
    (world.root / "real" / "leaf").write_bytes(b"leaf")
    os.symlink(world.outside / "deep", world.root / "out")
    done = threading.Event()

    def swap() -> None:
        while not done.is_set():
            for name in ("real", "out"):
                os.rename(world.root / name, world.root / "now")
                os.rename(world.root / "now", world.root / name)

    thread = threading.Thread(target=swap)
    thread.start()
    seen: set[bytes | int | None] = set()
    try:
        for _ in range(1500):
            try:
                seen.add(content(jail, b"now/leaf"))
            except OSError as error:
                seen.add(error.errno)
    finally:
        done.set()
        thread.join()
    assert seen <= {b"leaf", errno.ENOENT, errno.ENOTDIR, errno.ELOOP}


def test_r32_the_root_shows_itself_above(jail: LocalBackend, world: World) -> None:
    entries = listed(jail, b"/")
    assert entries[b"."] == entries[b".."]
    inner = listed(jail, b"dir")
    assert inner[b".."].st_ino == world.root.stat().st_ino


def test_r32_users_and_homes_of_the_system_are_not_told_in_a_jail(jail: LocalBackend) -> None:
    failed(errno.ENOENT, jail.home_directory, b"root")
    assert jail.home_directory(b"") == b"/"
    assert jail.expand_path(b"~/dir") == b"/dir"


# What all three give.


def test_files_are_read_and_written(any_backend: LocalBackend, world: World) -> None:
    assert content(any_backend, b"dir/deep/leaf") == b"leaf"
    file = any_backend.open(b"new", WRITE | m.READ_FLAG, Attributes(permissions=0o640))
    file.write(3, memoryview(b"abc"))
    file.sync()
    assert file.stat().st_size == 6
    assert file.statvfs().block_size
    view = memoryview(bytearray(10))
    assert file.read_into(view, 0, True) == 6
    assert bytes(view[:6]) == b"\0\0\0abc"
    file.setstat(Attributes(size=2, permissions=0o600, atime=5, mtime=6))
    file.close()
    found = (world.root / "new").stat()
    assert (found.st_size, stat.S_IMODE(found.st_mode), found.st_mtime) == (2, 0o600, 6)


def test_flags_of_open_are_obeyed(any_backend: LocalBackend, world: World) -> None:
    failed(errno.ENOENT, any_backend.open, b"none", m.READ_FLAG, NOTHING)
    failed(errno.EEXIST, any_backend.open, b"file", WRITE | m.EXCLUSIVE, NOTHING)
    os.symlink("nowhere", world.root / "link")
    failed(errno.EEXIST, any_backend.open, b"link", WRITE | m.EXCLUSIVE, NOTHING)
    file = any_backend.open(b"file", m.WRITE_FLAG | m.APPEND, NOTHING)
    file.write(0, memoryview(b"!"))
    file.close()
    assert (world.root / "file").read_bytes() == b"inside!"
    any_backend.open(b"file", m.WRITE_FLAG | m.TRUNCATE, NOTHING).close()
    assert (world.root / "file").read_bytes() == b""
    failed(errno.ENOTDIR, any_backend.open, b"file/x", m.READ_FLAG, NOTHING)
    failed(errno.ENOTDIR, any_backend.stat, b"file/")


def test_a_fifo_stops_nobody(any_backend: LocalBackend, world: World) -> None:
    os.mkfifo(world.root / "fifo")
    any_backend.open(b"fifo", m.READ_FLAG, NOTHING).close()
    failed(errno.ENXIO, any_backend.open, b"fifo", m.WRITE_FLAG, NOTHING)


def test_links_inside_are_followed(any_backend: LocalBackend, world: World) -> None:
    os.symlink("dir/deep", world.root / "d")
    os.symlink("../file", world.root / "dir" / "up")
    os.symlink("dir/up", world.root / "two")
    assert content(any_backend, b"d/leaf") == b"leaf"
    assert content(any_backend, b"two") == b"inside"
    assert any_backend.stat(b"two").st_size == 6
    assert stat.S_ISLNK(any_backend.lstat(b"two").st_mode)
    assert any_backend.readlink(b"two") == b"dir/up"
    failed(errno.EINVAL, any_backend.readlink, b"file")
    any_backend.setstat(b"two", Attributes(permissions=0o604))
    assert stat.S_IMODE((world.root / "file").stat().st_mode) == 0o604
    assert list(listed(any_backend, b"d")) == [b".", b"..", b"leaf"]
    assert any_backend.statvfs(b"two").longest_name == 255


def test_attributes_of_a_link_itself(any_backend: LocalBackend, world: World) -> None:
    os.symlink("file", world.root / "l")
    before = (world.root / "file").stat()
    any_backend.lsetstat(b"l", Attributes(atime=7, mtime=8, uid=os.getuid(), gid=os.getgid()))
    assert os.lstat(world.root / "l").st_mtime == 8
    assert (world.root / "file").stat().st_mtime == before.st_mtime
    failed(errno.EOPNOTSUPP, any_backend.lsetstat, b"l", Attributes(permissions=0o600))
    failed(errno.EOPNOTSUPP, any_backend.lsetstat, b"l", Attributes(size=0))
    any_backend.lsetstat(b"file", Attributes(mtime=9, gid=os.getgid()))
    any_backend.lsetstat(b"l", Attributes(uid=os.getuid()))
    any_backend.lsetstat(b"l", Attributes(gid=os.getgid()))
    assert (world.root / "file").stat().st_mtime == 9


def test_all_changes_are_tried_and_the_last_error_is_told(any_backend: LocalBackend, world: World) -> None:
    failed(errno.EISDIR, any_backend.setstat, b"dir", Attributes(size=1, permissions=0o711))
    assert stat.S_IMODE((world.root / "dir").stat().st_mode) == 0o711
    with pytest.MonkeyPatch.context() as patch:
        for name in ("truncate", "chmod", "utime", "chown"):
            patch.setattr(local_files.os, name, refuse)
        wanted = Attributes(1, 0, 0, 0o600, 1, 1)
        failed(errno.EPERM, any_backend.setstat, b"file", wanted)
        failed(errno.EPERM, any_backend.setstat, b"file", Attributes(gid=5))


def refuse(*args: object, **kwargs: object) -> None:
    raise PermissionError(errno.EPERM, "no")


def test_names_are_made_renamed_and_removed(any_backend: LocalBackend, world: World) -> None:
    any_backend.mkdir(b"made/", Attributes(permissions=0o750))
    assert stat.S_IMODE((world.root / "made").stat().st_mode) == 0o750
    failed(errno.EEXIST, any_backend.mkdir, b"made", NOTHING)
    failed(errno.EEXIST, any_backend.mkdir, b"/", NOTHING)
    any_backend.mkdir(b"made/inner", NOTHING)
    failed(errno.ENOTEMPTY, any_backend.rmdir, b"made")
    any_backend.rename(b"made/inner/", b"moved/")
    any_backend.rmdir(b"made")
    failed(errno.EEXIST, any_backend.rename, b"moved", b"dir")
    any_backend.rename(b"file", b"moved/file")
    any_backend.link(b"moved/file", b"second")
    failed(errno.EEXIST, any_backend.rename, b"second", b"moved/file")
    any_backend.symlink(b"text\nwith\xff", b"l")
    assert any_backend.readlink(b"l") == b"text\nwith\xff"
    any_backend.rename(b"l", b"l2")
    any_backend.posix_rename(b"second", b"l2")
    assert content(any_backend, b"l2") == b"inside"
    any_backend.remove(b"l2")
    failed(errno.ENOENT, any_backend.remove, b"l2")
    failed(errno.EISDIR, any_backend.remove, b"moved")


def test_where_there_are_no_hard_links_rename_still_replaces_nothing(
    any_backend: LocalBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "link", refuse_named)
    failed(errno.EEXIST, any_backend.rename, b"file", b"dir/deep/leaf")
    any_backend.rename(b"file", b"dir/other")
    assert content(any_backend, b"dir/other") == b"inside"


def refuse_named(*args: object, **kwargs: object) -> None:
    raise PermissionError(errno.EPERM, "no")


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        (b".", b""), (b"", b""), (b"dir/..", b""), (b"dir/deep/", b"/dir/deep"),
        (b"./dir//deep/leaf", b"/dir/deep/leaf"),
        (b"file", b"/file"), (b"new", b"/new"), (b"dir/new", b"/dir/new"), (b"d/leaf", b"/dir/deep/leaf"),
        (b"d", b"/dir/deep"), (b"abs", b"/dir"), (b"d/..", b"/dir"), (b"gone", b"/nowhere"),
    ],
)  # fmt: skip
def test_the_canonical_path(any_backend: LocalBackend, world: World, path: bytes, wanted: bytes) -> None:
    prefix = os.fsencode(world.root.resolve()) if any_backend.is_whole else b""
    os.symlink("dir/deep", world.root / "d")
    os.symlink("nowhere", world.root / "gone")
    os.symlink(os.fsdecode(prefix) + "/dir", world.root / "abs")
    assert any_backend.realpath(path) == (prefix + wanted or b"/")


def test_an_absolute_link_deep_inside_begins_at_the_root_again(jail: LocalBackend, world: World) -> None:
    os.symlink("/dir", world.root / "dir" / "deep" / "top")
    assert content(jail, b"dir/deep/top/deep/leaf") == b"leaf"
    assert jail.realpath(b"dir/deep/top/deep/leaf") == b"/dir/deep/leaf"


def test_a_link_that_goes_while_it_is_read_is_an_error(world: World) -> None:
    root = resolve.open_root(world.root)
    failed(errno.ENOENT, resolve.read_link, b"gone", root)
    os.close(root)


def test_what_is_missing_on_the_way_has_no_canonical_path(any_backend: LocalBackend) -> None:
    failed(errno.ENOENT, any_backend.realpath, b"none/none")
    failed(errno.ENOTDIR, any_backend.realpath, b"file/none")
    failed(errno.ENAMETOOLONG, any_backend.realpath, b"x/" * 3000)
    failed(errno.ENAMETOOLONG, any_backend.stat, b"x/" * 3000)
    failed(errno.ENAMETOOLONG, any_backend.realpath, b"x" * 300)


NAMES = [b"new\nline", b"\xff\xfe", "ünïcode".encode(), b"n" * 255, b" ", b"-rf", b"*", b"\x1b[31m"]


@pytest.mark.parametrize("name", NAMES)
def test_names_of_all_bytes_survive(any_backend: LocalBackend, world: World, name: bytes) -> None:
    any_backend.open(name, WRITE, NOTHING).close()
    listing = any_backend.opendir(b".")
    assert name in [entry for entry, _ in listing.read(100)]
    assert listing.read(1) == []
    listing.close()
    assert stat.S_ISREG(any_backend.stat(name).st_mode)
    any_backend.remove(name)


def test_a_name_that_is_too_long_is_refused(any_backend: LocalBackend) -> None:
    failed(errno.ENAMETOOLONG, any_backend.open, b"n" * 256, WRITE, NOTHING)


def test_an_entry_that_goes_while_it_is_listed_has_no_attributes(
    world: World, any_backend: LocalBackend
) -> None:
    listing = any_backend.opendir(b".")
    (world.root / "file").unlink()
    (world.root / "dir" / "deep" / "leaf").unlink()
    found = dict(listing.read(10))
    listing.close()
    assert found.get(b"file", Attributes()) == Attributes()


def test_a_directory_that_cannot_be_listed_leaves_nothing_open(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = LocalBackend(world.root)
    before = len(os.listdir("/proc/self/fd"))
    monkeypatch.setattr(local_files.os, "scandir", refuse)
    failed(errno.EPERM, backend.opendir, b".")
    assert len(os.listdir("/proc/self/fd")) == before
    backend.close()


# Owners and homes.


def test_homes_of_the_system_are_known_where_the_root_is_the_systems(world: World) -> None:
    backend = LocalBackend("/", start=str(world.root), user="me")
    import pwd

    assert backend.home_directory(b"root") == pwd.getpwnam("root").pw_dir.encode()
    assert backend.home_directory(b"me") == os.fsencode(world.root)
    assert backend.expand_path(b"~me/file") == os.fsencode(world.root.resolve() / "file")
    assert backend.expand_path(b"file") == os.fsencode(world.root.resolve() / "file")
    failed(errno.ENOENT, backend.expand_path, b"~no-such-user/x")
    assert backend.user_name(0) == "root"
    assert backend.group_name(0) == "root"
    assert backend.user_name(987654) is None
    assert backend.user_name(987654) is None
    backend._names.update({("user", number): None for number in range(10**6, 10**6 + 5000)})
    assert backend.group_name(0) == "root"
    assert backend.user_name(1) is not None
    assert len(backend._names) < 10
    backend.close()


def test_relative_starts_are_below_the_root(world: World) -> None:
    backend = LocalBackend(world.root, start="dir")
    assert backend.stat(b"deep/leaf").st_size == 4
    assert backend.home_directory(b"") == b"/dir"
    backend.close()


def test_set_uid_bits_are_dropped_unless_allowed(world: World) -> None:
    backend = LocalBackend(world.root, umask=0o027)
    backend.open(b"x", WRITE, Attributes(permissions=0o6777)).close()
    assert stat.S_IMODE((world.root / "x").stat().st_mode) & 0o7027 == 0
    backend.setstat(b"x", Attributes(permissions=0o7755))
    assert stat.S_IMODE((world.root / "x").stat().st_mode) == 0o1755
    backend.mkdir(b"d", Attributes(permissions=0o2777))
    assert not (world.root / "d").stat().st_mode & 0o7027
    backend.close()
    allowed = LocalBackend(world.root, allow_setid=True)
    allowed.setstat(b"x", Attributes(permissions=0o4755))
    assert stat.S_IMODE((world.root / "x").stat().st_mode) == 0o4755
    allowed.close()


def test_a_root_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    failed(errno.ENOENT, LocalBackend, tmp_path / "none")
    (tmp_path / "file").touch()
    failed(errno.ENOTDIR, LocalBackend, tmp_path / "file")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sshkit.sftp.backends.local.resolver_for", refuse)
        failed(errno.EPERM, LocalBackend, tmp_path)
    assert len(os.listdir("/proc/self/fd")) == before


# Quotas.


def test_a_quota_counts_bytes_and_files(world: World) -> None:
    quota = Quota(bytes=100, files=8)
    backend = LocalBackend(world.root, quota=quota)
    assert (quota.used_bytes, quota.used_files) == (10, 4)
    file = backend.open(b"new", WRITE, NOTHING)
    file.write(0, memoryview(b"x" * 90))
    assert quota.used_bytes == 100
    failed(errno.EDQUOT, file.write, 90, memoryview(b"y"))
    failed(errno.EDQUOT, file.write, 1 << 40, memoryview(b"y"))
    file.write(10, memoryview(b"z"))
    failed(errno.EDQUOT, file.setstat, Attributes(size=91))
    file.setstat(Attributes(size=10, mtime=5))
    assert quota.used_bytes == 20
    file.setstat(Attributes(mtime=6))
    file.close()
    assert file.copy_descriptor == -1
    failed(errno.EDQUOT, backend.setstat, b"new", Attributes(size=1000))
    backend.setstat(b"new", Attributes(size=20))
    backend.setstat(b"new", Attributes(mtime=7))
    assert quota.used_bytes == 30
    backend.mkdir(b"d", NOTHING)
    backend.symlink(b"x", b"l")
    backend.link(b"new", b"hard")
    failed(errno.EDQUOT, backend.mkdir, b"more", NOTHING)
    failed(errno.EDQUOT, backend.symlink, b"new", b"more")
    failed(errno.EDQUOT, backend.link, b"new", b"more")
    failed(errno.EDQUOT, backend.open, b"more", WRITE, NOTHING)
    backend.remove(b"hard")
    assert (quota.used_bytes, quota.used_files) == (30, 7)
    failed(errno.EEXIST, backend.mkdir, b"d", NOTHING)
    failed(errno.EEXIST, backend.link, b"new", b"file")
    failed(errno.ENOENT, backend.open, b"none/x", WRITE, NOTHING)
    failed(errno.ENOENT, backend.open, b"x", m.READ_FLAG, NOTHING)
    assert quota.used_files == 7
    backend.posix_rename(b"new", b"file")
    backend.posix_rename(b"file", b"file")
    backend.posix_rename(b"file", b"again")
    assert (quota.used_bytes, quota.used_files) == (24, 6)
    backend.rmdir(b"d")
    backend.remove(b"l")
    backend.open(b"again", WRITE | m.TRUNCATE, NOTHING).close()
    assert (quota.used_bytes, quota.used_files) == (4, 4)
    backend.symlink(b"again", b"link")
    quota.measure(str(world.root))
    assert (quota.used_bytes, quota.used_files) == (4, 5)
    backend.remove(b"link")
    file = backend.open(b"short-lived", WRITE, NOTHING)
    file.write(0, memoryview(b"x" * 50))
    file.close()
    backend.remove(b"short-lived")
    assert (quota.used_bytes, quota.used_files) == (4, 4)
    backend.mkdir(b"e", NOTHING)
    backend.mkdir(b"e2", NOTHING)
    backend.posix_rename(b"e", b"e2")
    assert quota.used_files == 5
    second = LocalBackend(world.root, quota=quota)  # measured once
    assert quota.used_files == 5
    second.close()
    quota.measure(str(world.root))
    assert (quota.used_bytes, quota.used_files) == (4, 5)
    backend.close()


def test_a_file_that_could_not_be_made_does_not_count(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    quota = Quota(bytes=1000)
    backend = LocalBackend(world.root, quota=quota)
    used = quota.used_files
    monkeypatch.setattr("sshkit.sftp.backends.local.os.open", refuse_named)
    failed(errno.EPERM, backend._open_counted, backend._resolver.root, b"n", os.O_CREAT, 0, quota)
    failed(errno.EPERM, backend._open_counted, backend._resolver.root, b"file", 0, 0, quota)
    assert quota.used_files == used
    backend.close()


def test_what_could_not_be_written_does_not_count(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    quota = Quota(bytes=1000)
    backend = LocalBackend(world.root, quota=quota)
    file = backend.open(b"file", m.WRITE_FLAG | m.APPEND, NOTHING)
    monkeypatch.setattr(local_files, "_pwrite", refuse)
    failed(errno.EPERM, file.write, 0, memoryview(b"x" * 50))
    assert quota.used_bytes == 10
    file.close()
    backend.close()


def test_measuring_passes_over_what_cannot_be_read(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    quota = Quota()
    real = os.open

    def flaky(path: object, *args: object, **kwargs: object) -> int:
        if path == "deep":
            raise PermissionError(errno.EACCES, "no")
        return real(path, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr("sshkit.sftp.backends.quota.os.open", flaky)
    backend = LocalBackend(world.root, quota=quota)
    assert (quota.used_bytes, quota.used_files) == (6, 3)
    quota._add(str(world.root), 1000)  # too deep
    assert quota.used_files == 3
    backend.close()


# Reading without waiting.


class FakeReads:
    """Stands for preadv: answers as file systems do."""

    def __init__(self, *answers: "int | OSError") -> None:
        self.answers = list(answers)
        self.flags: list[int] = []

    def __call__(self, descriptor: int, views: object, offset: int, flags: int = 0) -> int:
        self.flags.append(flags)
        answer = self.answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return answer


@pytest.fixture
def opened(world: World) -> Iterator[LocalFile]:
    backend = LocalBackend(world.root)
    file = backend.open(b"file", m.READ_FLAG, NOTHING)
    yield file
    file.close()
    backend.close()


def test_a_read_that_would_wait_says_so(opened: LocalFile, monkeypatch: pytest.MonkeyPatch) -> None:
    view = memoryview(bytearray(6))
    opened._flags = 8
    monkeypatch.setattr(local_files, "_preadv", FakeReads(BlockingIOError(errno.EAGAIN, "")))
    with pytest.raises(BlockingIOError):
        opened.read_into(view, 0, False)
    monkeypatch.setattr(local_files, "_preadv", FakeReads(3))  # only half of it is in memory
    with pytest.raises(BlockingIOError):
        opened.read_into(view, 0, False)
    monkeypatch.setattr(local_files, "_preadv", FakeReads(3))  # the end
    assert opened.read_into(view, 3, False) == 3
    monkeypatch.setattr(local_files, "_preadv", FakeReads(OSError(errno.EIO, "")))
    failed(errno.EIO, opened.read_into, view, 0, False)


def test_file_systems_in_memory_are_not_asked_twice(
    opened: LocalFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = memoryview(bytearray(6))
    opened._flags = 8
    no = OSError(errno.EOPNOTSUPP, "")
    monkeypatch.setattr(local_files, "is_in_memory", lambda device: False)
    monkeypatch.setattr(local_files, "_preadv", FakeReads(no))
    with pytest.raises(BlockingIOError):
        opened.read_into(view, 0, False)
    monkeypatch.setattr(local_files, "is_in_memory", lambda device: True)
    reads = FakeReads(no, 6, 6)
    monkeypatch.setattr(local_files, "_preadv", reads)
    assert opened.read_into(view, 0, False) == 6
    assert opened.read_into(view, 0, False) == 6
    assert reads.flags == [8, 0, 0]


def test_the_kind_of_a_file_system_is_read_from_the_mounts(monkeypatch: pytest.MonkeyPatch) -> None:
    local_files._in_memory.clear()
    assert is_in_memory(os.stat("/proc/self").st_dev)
    assert is_in_memory(os.stat("/proc/self").st_dev)  # remembered
    assert not is_in_memory(os.makedev(4000, 4000))
    local_files._in_memory.update(dict.fromkeys(range(2000), False))
    assert not is_in_memory(os.makedev(4000, 4001))
    assert len(local_files._in_memory) == 1
    local_files._in_memory.clear()
    monkeypatch.setattr("builtins.open", refuse_named)
    assert not is_in_memory(os.stat("/proc/self").st_dev)
    local_files._in_memory.clear()


def test_short_writes_go_on(opened: LocalFile, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[tuple[bytes, int]] = []

    def two_at_a_time(descriptor: int, data: memoryview, offset: int) -> int:
        written.append((bytes(data[:2]), offset))
        return min(2, len(data))

    monkeypatch.setattr(local_files, "_pwrite", two_at_a_time)
    opened.write(10, memoryview(b"abcde"))
    assert written == [(b"ab", 10), (b"cd", 12), (b"e", 14)]


# openat2.


def test_openat2_is_there_or_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    assert openat2.load() is not None
    resolve._loaded.clear()
    assert resolve._openat2() is not None
    assert resolve._openat2() is not None
    monkeypatch.setattr(openat2, "platform", "darwin")
    assert openat2.load() is None
    monkeypatch.setattr(openat2, "platform", "linux")
    for number, there in ((errno.ENOSYS, False), (errno.ENOENT, True)):
        monkeypatch.setattr(openat2, "_NUMBER", -1 if number == errno.ENOSYS else 437)
        monkeypatch.setattr(openat2, "_IN_ROOT", 0x10)
        assert (openat2.load() is not None) == there

    real = os.close

    def odd(descriptor: int) -> None:
        real(descriptor)
        raise OSError(errno.EIO, "odd")

    monkeypatch.setattr(openat2.os, "close", odd)
    assert openat2.load() is not None  # an error that says nothing of the call
    monkeypatch.setattr(openat2.os, "close", real)
    import ctypes

    monkeypatch.setattr(ctypes, "CDLL", refuse_named)
    assert openat2.load() is None


def test_a_path_that_the_kernel_gives_up_on_is_walked(world: World) -> None:
    calls = []

    def busy(directory: int, path: bytes, flags: int) -> int:
        calls.append(path)
        raise OSError(errno.EAGAIN, "")

    root = resolve.open_root(world.root)
    resolver = resolve.KernelResolver(root, busy)
    folder, name = resolver.parent(b"/dir/deep/leaf")
    assert name == b"leaf"
    assert os.stat(name, dir_fd=folder).st_size == 4
    assert len(calls) == 8
    os.close(folder)
    os.close(root)
