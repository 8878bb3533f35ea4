"""Reading files of bounded size and writing files that appear whole.

Called by the key files and the trust files; nothing else here touches the disk.
"""

import errno
import os
from collections.abc import Callable

from .errors import KeyFormatError, TrustFileError

_CHUNK_BYTES = 65536
# A stale temporary file of a process that died and had our number: the next name is tried.
_MAX_TRIES = 100


def read_descriptor(descriptor: int, limit: int, place: str) -> bytes:
    """Read to the end; more than `limit` bytes are a KeyFormatError naming `place`."""
    chunks: list[bytes] = []
    size = 0
    while chunk := os.read(descriptor, _CHUNK_BYTES):
        size += len(chunk)
        if size > limit:
            raise KeyFormatError(f"the file is larger than {limit} bytes", place)
        chunks.append(chunk)
    return b"".join(chunks)


def write_all(descriptor: int, data: bytes) -> None:
    """Write every byte."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def write_new_file(path: str, data: bytes, mode: int, overwrite: bool) -> None:
    """Create `path` with `data`: no reader sees half of it, or sees it with a wider mode.

    It is written beside its place under another name, with `mode` from the start, and then moved there.
    Raises FileExistsError if it exists, unless `overwrite`.
    """
    if not overwrite and os.path.lexists(path):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
    temporary, descriptor = _open_temporary(path, mode)
    try:
        try:
            write_all(descriptor, data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if overwrite:
            os.replace(temporary, path)
            return
        _move_without_replacing(temporary, path)
    except BaseException:
        if os.path.lexists(temporary):
            os.unlink(temporary)
        raise


def _open_temporary(path: str, mode: int) -> tuple[str, int]:
    """Create an empty file beside `path`."""
    folder, name = os.path.split(path)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    number = 0
    while True:
        temporary = os.path.join(folder, f".{name}.{os.getpid()}.{number}")
        try:
            return temporary, os.open(temporary, flags, mode)
        except FileExistsError:
            number += 1
            if number == _MAX_TRIES:
                raise
        except FileNotFoundError:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path) from None


def _move_without_replacing(temporary: str, path: str) -> None:
    """Give the file its name; unlike a rename, a link never replaces what came into its place meanwhile."""
    try:
        os.link(temporary, path, follow_symlinks=False)
    except FileExistsError:
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path) from None
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK):
            raise
        # A file system without links: the check above and this rename leave a gap of microseconds.
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path) from None
        os.rename(temporary, path)
        return
    os.unlink(temporary)


def edit_file(path: str, change: Callable[[bytes], bytes], limit: int, backup: bool = False) -> bool:
    """Replace a file's contents by what `change` makes of them; returns False if that is no change.

    No reader sees half of it, and its mode and owner stay.  What another process appends meanwhile is not
    lost: `change` is called again with it.  A link stays a link to the file, and with `backup` the file
    as it was is kept as "PATH.old".  Raises OSError, or TrustFileError if the file does not keep still.
    """
    path = os.path.realpath(path)
    for _ in range(_MAX_TRIES):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            before = os.fstat(descriptor)
            old = read_descriptor(descriptor, limit, path)
        finally:
            os.close(descriptor)
        new = change(old)
        if new == old:
            return False
        temporary, descriptor = _open_temporary(path, before.st_mode & 0o777)
        try:
            try:
                os.fchmod(descriptor, before.st_mode & 0o777)
                if os.fstat(descriptor)[4:6] != before[4:6]:  # owner and group
                    os.fchown(descriptor, before.st_uid, before.st_gid)
                write_all(descriptor, new)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            if _same_contents(os.stat(path), before):
                if backup:
                    _keep_old(path)
                os.replace(temporary, path)
                return True
        except BaseException:
            os.unlink(temporary)
            raise
        os.unlink(temporary)
    raise TrustFileError("others keep writing to the file", path)


def _same_contents(now: os.stat_result, before: os.stat_result) -> bool:
    return (now.st_ino, now.st_dev, now.st_size, now.st_mtime_ns) == (
        before.st_ino,
        before.st_dev,
        before.st_size,
        before.st_mtime_ns,
    )


def _keep_old(path: str) -> None:
    """Give the file a second name, "PATH.old", in place of an older one."""
    old = f"{path}.old"
    if os.path.lexists(old):
        os.unlink(old)
    os.link(path, old)
