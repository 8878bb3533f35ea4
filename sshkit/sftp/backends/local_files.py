"""Open files and directories of a LocalBackend: descriptors, read and written at offsets.

Reads go straight into the server's buffer.  With RWF_NOWAIT the kernel says where it would wait for a disk,
and the server reads again in a thread; file systems in memory need not be asked.
"""

import errno
import os
import stat
from collections.abc import Callable
from itertools import islice

from sshkit.sftp.attributes import Attributes
from sshkit.sftp.backends.interface import BackendDirectory, BackendFile, Entry, FileSystemFacts, Found
from sshkit.sftp.backends.quota import Quota

NOWAIT = getattr(os, "RWF_NOWAIT", 0)
#: File systems that never wait for a disk; most of them do not take RWF_NOWAIT.
IN_MEMORY = {"tmpfs", "ramfs", "devtmpfs", "hugetlbfs", "proc", "sysfs"}
_DENIED = (errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)
_in_memory: dict[int, bool] = {}
_MAX_DEVICES = 1024

_preadv, _pwrite = os.preadv, os.pwrite


class LocalFile(BackendFile):
    """A file by its descriptor."""

    __slots__ = ("_flags", "backend_mask", "descriptor")

    def __init__(self, descriptor: int, mode_mask: int) -> None:
        self.descriptor: int = descriptor
        self.backend_mask = mode_mask  #: bits that may be set
        self._flags = NOWAIT

    @property
    def copy_descriptor(self) -> int:
        return self.descriptor

    def read(self, offset: int, size: int) -> bytes:
        return os.pread(self.descriptor, size, offset)

    def read_into(self, view: memoryview, offset: int, wait: bool) -> int:
        """Read at an offset; raises BlockingIOError where that would wait and must not."""
        if wait or not self._flags:
            return _preadv(self.descriptor, (view,), offset)
        try:
            size = _preadv(self.descriptor, (view,), offset, self._flags)
        except BlockingIOError:
            raise
        except OSError as failed:
            if failed.errno not in _DENIED:
                raise
            if not is_in_memory(os.fstat(self.descriptor).st_dev):
                raise BlockingIOError(errno.EAGAIN, "only a thread can tell") from None
            self._flags = 0
            return _preadv(self.descriptor, (view,), offset)
        if size < len(view) and offset + size < os.fstat(self.descriptor).st_size:
            raise BlockingIOError(errno.EAGAIN, "the rest is not in memory")
        return size

    def write(self, offset: int, data: memoryview) -> None:
        done = _pwrite(self.descriptor, data, offset)
        while done < len(data):
            done += _pwrite(self.descriptor, data[done:], offset + done)

    def stat(self) -> Found:
        return os.fstat(self.descriptor)

    def setstat(self, attributes: Attributes) -> None:
        apply(self.descriptor, attributes, self.backend_mask)

    def statvfs(self) -> FileSystemFacts:
        return facts(os.fstatvfs(self.descriptor))

    def sync(self) -> None:
        os.fsync(self.descriptor)

    def close(self) -> None:
        os.close(self.descriptor)


class QuotaFile(LocalFile):
    """The same; what it grows by is counted."""

    __slots__ = ("_append", "_quota")

    def __init__(self, descriptor: int, mode_mask: int, quota: Quota, append: bool) -> None:
        super().__init__(descriptor, mode_mask)
        self._quota = quota
        self._append = append

    @property
    def copy_descriptor(self) -> int:
        return -1  # nothing passes the quota by

    def write(self, offset: int, data: memoryview) -> None:
        size = os.fstat(self.descriptor).st_size
        end = (size if self._append else offset) + len(data)
        if end <= size:
            super().write(offset, data)
            return
        self._quota.grow(end - size)
        try:
            super().write(offset, data)
        except OSError:
            self._quota.grow(os.fstat(self.descriptor).st_size - end)
            raise

    def setstat(self, attributes: Attributes) -> None:
        if attributes.size is not None:
            self._quota.grow(attributes.size - os.fstat(self.descriptor).st_size)
        super().setstat(attributes)


class LocalDirectory(BackendDirectory):
    """A directory by its descriptor; entries are looked at as they are asked for, not all at once."""

    __slots__ = ("_descriptor", "_entries", "_first")

    def __init__(self, descriptor: int, parent: "os.stat_result | None" = None) -> None:
        """`parent` is what ".." shows, where not the real one: the root of a jail is its own."""
        self._descriptor = descriptor
        try:
            here = os.fstat(descriptor)
            above = parent or os.stat(b"..", dir_fd=descriptor)
            self._first: list[Entry] = [(b".", here), (b"..", above)]
            self._entries = os.scandir(descriptor)
        except BaseException:
            os.close(descriptor)
            raise

    def read(self, count: int) -> list[Entry]:
        found, self._first = self._first, []
        for entry in islice(self._entries, count - len(found)):
            try:
                found.append((os.fsencode(entry.name), entry.stat(follow_symlinks=False)))
            except OSError:  # it went in between; as good as never seen
                found.append((os.fsencode(entry.name), Attributes()))
        return found

    def close(self) -> None:
        self._entries.close()
        os.close(self._descriptor)


def apply(target: "int | bytes", attributes: Attributes, mask: int) -> None:
    """Change a file by descriptor, or by a path that is sure: size, mode, times, owner.

    All of them are tried; the last error counts.
    """
    failed: OSError | None = None
    if attributes.size is not None:
        try:
            os.truncate(target, attributes.size)
        except OSError as error:
            failed = error
    if attributes.permissions is not None:
        try:
            os.chmod(target, stat.S_IMODE(attributes.permissions) & mask)
        except OSError as error:
            failed = error
    if attributes.atime is not None or attributes.mtime is not None:
        try:
            os.utime(target, ns=times_for(attributes, lambda: os.stat(target)))
        except OSError as error:
            failed = error
    if attributes.uid is not None or attributes.gid is not None:
        try:
            os.chown(
                target,
                -1 if attributes.uid is None else attributes.uid,
                -1 if attributes.gid is None else attributes.gid,
            )
        except OSError as error:
            failed = error
    if failed is not None:
        raise failed


def times_for(wanted: Attributes, look: Callable[[], os.stat_result]) -> tuple[int, int]:
    """Return the times to set, in nanoseconds; where one is not wanted, the one that is there."""
    return (
        look().st_atime_ns if wanted.atime is None else wanted.atime * _SECOND + (wanted.atime_ns or 0),
        look().st_mtime_ns if wanted.mtime is None else wanted.mtime * _SECOND + (wanted.mtime_ns or 0),
    )


_SECOND = 1_000_000_000
_READ_ONLY, _NO_SETUID = 1, 2  # of statvfs@openssh.com


def facts(found: os.statvfs_result) -> FileSystemFacts:
    """Return what os.statvfs told, in the order of the wire."""
    flags = found.f_flag
    return FileSystemFacts(
        found.f_bsize,
        found.f_frsize,
        found.f_blocks,
        found.f_bfree,
        found.f_bavail,
        found.f_files,
        found.f_ffree,
        found.f_favail,
        found.f_fsid & 0xFFFFFFFFFFFFFFFF,
        (_READ_ONLY if flags & os.ST_RDONLY else 0) | (_NO_SETUID if flags & os.ST_NOSUID else 0),
        found.f_namemax,
    )


def is_in_memory(device: int) -> bool:
    """Tell whether a device number is that of a file system in memory (proc(5), mountinfo)."""
    known = _in_memory.get(device)
    if known is None:
        if len(_in_memory) >= _MAX_DEVICES:
            _in_memory.clear()
        known = _in_memory[device] = _type_of(device) in IN_MEMORY
    return known


def _type_of(device: int) -> str:
    wanted = f"{os.major(device)}:{os.minor(device)}"
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as lines:
            for line in lines:
                fields = line.split(" ")
                if fields[2] == wanted:
                    return fields[fields.index("-", 6) + 1]
    except (OSError, ValueError, IndexError):
        pass
    return ""
