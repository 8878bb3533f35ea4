"""Reading files of bounded size and writing files that appear whole.

Called by the key files and the trust files; nothing else here touches the disk.
"""

import errno
import os

from .errors import KeyFormatError

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
