"""Files of this machine below a root, which is held as a directory descriptor (R32).

`SFTPServer` calls it; sshkit.server gives one to each session, the command sshkit-sftp-server has one with
the root ``/``.  Every operation finds the directory of a name with a `resolve.Resolver`, and acts on the name
there without following links; a link at the end is read and resolved again, within the root.
"""

import errno
import os
import stat
from collections.abc import Callable
from typing import Any, TypeVar

from sshkit.sftp.attributes import Attributes
from sshkit.sftp.backends.interface import Backend, FileSystemFacts
from sshkit.sftp.backends.local_files import (
    LocalDirectory,
    LocalFile,
    QuotaFile,
    apply,
    facts,
    times_for,
)
from sshkit.sftp.backends.quota import Quota
from sshkit.sftp.backends.resolve import (
    MAX_LINKS,
    WalkingResolver,
    WholeResolver,
    error,
    joined,
    open_root,
    resolver_for,
)
from sshkit.sftp.messages import APPEND, CREATE, EXCLUSIVE, READ_FLAG, TRUNCATE, WRITE_FLAG

_T = TypeVar("_T")
#: A way to a file that cannot lead elsewhere: the kernel's own name of a descriptor.
_BY_DESCRIPTOR = b"/proc/self/fd/%d"
_O_PATH = getattr(os, "O_PATH", 0)
#: Nothing that is opened may make us wait, or become our terminal.
_ALWAYS = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
_SETID = stat.S_ISUID | stat.S_ISGID


class LocalBackend(Backend):
    """A folder as the root of what users see; paths that are relative begin at `start` in it."""

    __slots__ = (
        "_account",
        "_mask",
        "_names",
        "_quota",
        "_resolver",
        "_root_facts",
        "_start",
        "_umask",
        "read_only",
    )

    def __init__(
        self,
        root: "str | bytes | os.PathLike[str]" = "/",
        *,
        start: str | bytes = b"/",
        user: str | None = None,
        read_only: bool = False,
        umask: int = 0,
        allow_setid: bool = False,
        quota: Quota | None = None,
    ) -> None:
        """`user` is whose home `start` is, for ``~user``.  `umask` comes on top of the process' own.

        Raises OSError where the root cannot be opened.
        """
        descriptor = open_root(root)
        try:
            self._root_facts = os.fstat(descriptor)
            self._resolver = resolver_for(descriptor)
            if quota is not None and not quota.measured:
                with _Reopened(descriptor) as folder:
                    quota.measure(folder)
        except BaseException:
            os.close(descriptor)
            raise
        start = os.fsencode(start)
        self._start = start if start.startswith(b"/") else b"/" + start
        self._account = user
        self.read_only = read_only
        self._umask = umask & 0o777
        self._mask = 0o7777 if allow_setid else 0o7777 & ~_SETID
        self._quota = quota
        self._names: dict[tuple[str, int], str | None] = {}

    @property
    def is_whole(self) -> bool:
        """The root is the system's own."""
        return isinstance(self._resolver, WholeResolver)

    def close(self) -> None:
        """Let the root go."""
        root, self._resolver.root = self._resolver.root, -1
        if root >= 0:
            os.close(root)

    # Files.

    def open(self, path: bytes, flags: int, attributes: Attributes) -> LocalFile:
        wanted = _system_flags(flags)
        mode = 0o666 if attributes.permissions is None else stat.S_IMODE(attributes.permissions)
        mode &= self._mask & ~self._umask
        quota = self._quota
        if quota is None:
            act: Callable[[int, bytes], LocalFile] = lambda folder, name: LocalFile(  # noqa: E731
                os.open(name, wanted, mode, dir_fd=folder), self._mask
            )
        else:
            act = lambda folder, name: self._open_counted(folder, name, wanted, mode, quota)  # noqa: E731
        return self._follow(path, act)

    def _open_counted(self, folder: int, name: bytes, flags: int, mode: int, quota: Quota) -> LocalFile:
        size, created = 0, False
        try:
            size = os.stat(name, dir_fd=folder, follow_symlinks=False).st_size
        except FileNotFoundError:
            created = bool(flags & os.O_CREAT)
        if created:
            quota.add_file()
        try:
            descriptor = os.open(name, flags, mode, dir_fd=folder)
        except OSError:
            if created:
                quota.drop_file()
            raise
        if flags & os.O_TRUNC:
            quota.grow(-size)
        return QuotaFile(descriptor, self._mask, quota, bool(flags & os.O_APPEND))

    def opendir(self, path: bytes) -> LocalDirectory:
        flags = os.O_RDONLY | os.O_DIRECTORY | _ALWAYS
        descriptor = self._follow(path, lambda folder, name: os.open(name, flags, dir_fd=folder))
        here, root = os.fstat(descriptor), self._root_facts
        at_root = (here.st_dev, here.st_ino) == (root.st_dev, root.st_ino)
        return LocalDirectory(descriptor, here if at_root else None)

    def stat(self, path: bytes) -> os.stat_result:
        if self.is_whole:
            return os.stat(self._absolute(path))
        return self._follow(path, _stat)

    def lstat(self, path: bytes) -> os.stat_result:
        if self.is_whole:
            return os.lstat(self._absolute(path))
        return self._at(path, _lstat)

    def setstat(self, path: bytes, attributes: Attributes) -> None:
        self._follow(path, lambda folder, name: self._change(folder, name, attributes))

    def _change(self, folder: int, name: bytes, attributes: Attributes) -> None:
        with _Pinned(folder, name) as target:
            if self._quota is not None and attributes.size is not None:
                self._quota.grow(attributes.size - os.stat(target).st_size)
            apply(target, attributes, self._mask)

    def lsetstat(self, path: bytes, attributes: Attributes) -> None:
        self._at(path, lambda folder, name: self._change_link(folder, name, attributes))

    def _change_link(self, folder: int, name: bytes, attributes: Attributes) -> None:
        if not stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            self._change(folder, name, attributes)
            return
        if attributes.size is not None or attributes.permissions is not None:
            raise error(errno.EOPNOTSUPP)  # a link has neither
        if attributes.atime is not None or attributes.mtime is not None:
            times = times_for(attributes, lambda: _lstat(folder, name))
            os.utime(name, ns=times, dir_fd=folder, follow_symlinks=False)
        if attributes.uid is not None or attributes.gid is not None:
            uid = -1 if attributes.uid is None else attributes.uid
            gid = -1 if attributes.gid is None else attributes.gid
            os.chown(name, uid, gid, dir_fd=folder, follow_symlinks=False)

    # Names.

    def mkdir(self, path: bytes, attributes: Attributes) -> None:
        mode = 0o777 if attributes.permissions is None else stat.S_IMODE(attributes.permissions)
        mode &= self._mask & ~self._umask
        self._add(path, lambda folder, name: os.mkdir(name, mode, dir_fd=folder))

    def rmdir(self, path: bytes) -> None:
        self._at(_without_slashes(path), lambda folder, name: os.rmdir(name, dir_fd=folder))
        if self._quota is not None:
            self._quota.drop_file()

    def remove(self, path: bytes) -> None:
        self._at(path, self._remove)

    def _remove(self, folder: int, name: bytes) -> None:
        quota = self._quota
        if quota is None:
            os.unlink(name, dir_fd=folder)
            return
        found = _lstat(folder, name)
        os.unlink(name, dir_fd=folder)
        quota.drop_file()
        if stat.S_ISREG(found.st_mode) and found.st_nlink == 1:
            quota.grow(-found.st_size)

    def rename(self, source: bytes, target: bytes) -> None:
        self._between(_without_slashes(source), _without_slashes(target), _rename_to_nothing)

    def posix_rename(self, source: bytes, target: bytes) -> None:
        self._between(_without_slashes(source), _without_slashes(target), self._replace)

    def _replace(self, folder: int, name: bytes, other: int, target: bytes) -> None:
        quota, lost = self._quota, None
        if quota is not None:
            try:
                lost = _lstat(other, target)
            except FileNotFoundError:
                pass
            else:
                own = _lstat(folder, name)
                if (own.st_dev, own.st_ino) == (lost.st_dev, lost.st_ino):
                    lost = None  # nothing happens
        os.rename(name, target, src_dir_fd=folder, dst_dir_fd=other)
        if quota is not None and lost is not None:
            quota.drop_file()
            if stat.S_ISREG(lost.st_mode) and lost.st_nlink == 1:
                quota.grow(-lost.st_size)

    def link(self, source: bytes, target: bytes) -> None:
        if self._quota is not None:
            self._quota.add_file()
        try:
            self._between(source, target, _link)
        except OSError:
            if self._quota is not None:
                self._quota.drop_file()
            raise

    def symlink(self, text: bytes, link: bytes) -> None:
        self._add(link, lambda folder, name: os.symlink(text, name, dir_fd=folder))

    def readlink(self, path: bytes) -> bytes:
        return self._at(path, lambda folder, name: os.readlink(name, dir_fd=folder))

    def realpath(self, path: bytes) -> bytes:
        return WalkingResolver(self._resolver.root).canonical(self._absolute(path))

    def statvfs(self, path: bytes) -> FileSystemFacts:
        if self.is_whole:
            return facts(os.statvfs(self._absolute(path)))
        return self._follow(path, _statvfs)

    # People.

    def expand_path(self, path: bytes) -> bytes:
        if path.startswith(b"~"):
            user, _, rest = path[1:].partition(b"/")
            path = self.home_directory(user) + b"/" + rest
        return self.realpath(path)

    def home_directory(self, user: bytes) -> bytes:
        if not user or user == os.fsencode(self._account or ""):
            return self._start
        if not self.is_whole:
            raise error(errno.ENOENT)
        from pwd import getpwnam

        try:
            return os.fsencode(getpwnam(os.fsdecode(user)).pw_dir)
        except KeyError:
            raise error(errno.ENOENT) from None

    def user_name(self, number: int) -> str | None:
        return self._name("user", number)

    def group_name(self, number: int) -> str | None:
        return self._name("group", number)

    def user_number(self, name: str) -> int | None:
        return _number_of("user", name)

    def group_number(self, name: str) -> int | None:
        return _number_of("group", name)

    def _name(self, kind: str, number: int) -> str | None:
        key = (kind, number)
        names = self._names
        if key not in names:
            if len(names) > 4096:
                names.clear()
            names[key] = _look_up(kind, number)
        return names[key]

    # Inside.

    def _absolute(self, path: bytes) -> bytes:
        return path if path.startswith(b"/") else self._start.rstrip(b"/") + b"/" + path

    def _at(self, path: bytes, act: Callable[[int, bytes], _T]) -> _T:
        """Act on a name in its directory; a link there is not followed."""
        resolver = self._resolver
        folder, name = resolver.parent(self._absolute(path))
        try:
            return act(folder, name)
        finally:
            if folder != resolver.root:
                os.close(folder)

    def _follow(self, path: bytes, act: Callable[[int, bytes], _T]) -> _T:
        """Act on what a path leads to: where `act` meets a link it fails, and the link is resolved.

        ELOOP is what Linux says of a link, ENOTDIR where a directory is wanted, EMLINK what FreeBSD says.
        """
        resolver = self._resolver
        path = self._absolute(path)
        for _ in range(MAX_LINKS):
            folder, name = resolver.parent(path)
            try:
                try:
                    return act(folder, name)
                except OSError as failed:
                    if failed.errno not in (errno.ELOOP, errno.ENOTDIR, errno.EMLINK):
                        raise
                    try:
                        target = os.readlink(name, dir_fd=folder)
                    except OSError:
                        raise failed from None
            finally:
                if folder != resolver.root:
                    os.close(folder)
            path = joined(path, target)
        raise error(errno.ELOOP)

    def _add(self, path: bytes, act: Callable[[int, bytes], None]) -> None:
        """Make something new; it counts."""
        quota = self._quota
        if quota is None:
            self._at(_without_slashes(path), act)
            return
        quota.add_file()
        try:
            self._at(_without_slashes(path), act)
        except OSError:
            quota.drop_file()
            raise

    def _between(self, source: bytes, target: bytes, act: Callable[[int, bytes, int, bytes], None]) -> None:
        self._at(
            source, lambda folder, name: self._at(target, lambda other, new: act(folder, name, other, new))
        )


def _system_flags(flags: int) -> int:
    """Return the flags for open(2)."""
    wanted = (os.O_RDWR if flags & READ_FLAG else os.O_WRONLY) if flags & WRITE_FLAG else os.O_RDONLY
    if flags & APPEND:
        wanted |= os.O_APPEND
    if flags & CREATE:
        wanted |= os.O_CREAT
    if flags & TRUNCATE:
        wanted |= os.O_TRUNC
    if flags & EXCLUSIVE:
        wanted |= os.O_EXCL
    return wanted | _ALWAYS


def _stat(folder: int, name: bytes) -> os.stat_result:
    found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    if stat.S_ISLNK(found.st_mode):
        raise error(errno.ELOOP)
    return found


def _lstat(folder: int, name: bytes) -> os.stat_result:
    return os.stat(name, dir_fd=folder, follow_symlinks=False)


def _statvfs(folder: int, name: bytes) -> FileSystemFacts:
    with _Pinned(folder, name) as target:
        return facts(os.statvfs(target))


def _link(folder: int, name: bytes, other: int, target: bytes) -> None:
    os.link(name, target, src_dir_fd=folder, dst_dir_fd=other, follow_symlinks=False)


def _rename_to_nothing(folder: int, name: bytes, other: int, target: bytes) -> None:
    """Rename without replacing: a second name, then the first one goes (as version 3 wants it)."""
    if not stat.S_ISDIR(_lstat(folder, name).st_mode):
        try:
            _link(folder, name, other, target)
        except OSError as failed:
            if failed.errno in (errno.EEXIST, errno.ENOENT, errno.ENOTDIR, errno.EACCES):
                raise
        else:
            os.unlink(name, dir_fd=folder)
            return
    try:  # a directory, or no second names here
        _lstat(other, target)
    except FileNotFoundError:
        os.rename(name, target, src_dir_fd=folder, dst_dir_fd=other)
    else:
        raise error(errno.EEXIST)


def _without_slashes(path: bytes) -> bytes:
    """Return the path that names a directory itself."""
    return path.rstrip(b"/") or b"/"


class _Pinned:
    """Holds the file of a name, which is no link, and gives a path that leads to that very file.

    Raises ELOOP where the name is a link.
    """

    __slots__ = ("_descriptor",)

    def __init__(self, folder: int, name: bytes) -> None:
        kind = _O_PATH or os.O_RDONLY | os.O_NONBLOCK
        self._descriptor = os.open(name, kind | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
        if stat.S_ISLNK(os.fstat(self._descriptor).st_mode):
            os.close(self._descriptor)
            raise error(errno.ELOOP)

    def __enter__(self) -> "bytes | int":
        return _BY_DESCRIPTOR % self._descriptor if _O_PATH else self._descriptor

    def __exit__(self, *exception: Any) -> None:
        os.close(self._descriptor)


class _Reopened:
    """The same directory as a descriptor that can be listed."""

    __slots__ = ("_descriptor",)

    def __init__(self, descriptor: int) -> None:
        self._descriptor = os.open(b".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=descriptor)

    def __enter__(self) -> int:
        return self._descriptor

    def __exit__(self, *exception: Any) -> None:
        os.close(self._descriptor)


def _look_up(kind: str, number: int) -> str | None:
    try:
        if kind == "user":
            from pwd import getpwuid

            return getpwuid(number).pw_name
        from grp import getgrgid

        return getgrgid(number).gr_name
    except (KeyError, ImportError, OverflowError):
        return None


def _number_of(kind: str, name: str) -> int | None:
    try:
        if kind == "user":
            from pwd import getpwnam

            return getpwnam(name).pw_uid
        from grp import getgrnam

        return getgrnam(name).gr_gid
    except (KeyError, ImportError, ValueError):
        return None
