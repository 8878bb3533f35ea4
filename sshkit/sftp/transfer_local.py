"""The local side of transfers: names of files not yet whole, and opening without being led astray.

Called by `transfer.py` and `tree.py`.  A file is opened by its last component below the descriptor of its
directory, never through a link (R35); what arrives has a name of its own until all of it is there (R37).
"""

import os
import stat
from collections.abc import Callable

from sshkit.sftp.progress import TransferError

NOFOLLOW: int = getattr(os, "O_NOFOLLOW", 0)
CLOEXEC: int = getattr(os, "O_CLOEXEC", 0)
DIRECTORY: int = getattr(os, "O_DIRECTORY", 0)
NONBLOCK: int = getattr(os, "O_NONBLOCK", 0)
MAX_NAME = 255
HASH_BLOCK = 1 << 20


def part_name(name: bytes, random_bytes: Callable[[int], bytes] | None) -> bytes:
    """Return the name of a file until it is whole: always the same one (None), or one nobody can guess."""
    end = b".sshkit-" + (b"part" if random_bytes is None else random_bytes(6).hex().encode())
    return b"." + name[: MAX_NAME - len(end) - 1] + end


def open_directory(path: bytes) -> int:
    """Open the directory that files go to."""
    return os.open(path or b".", os.O_RDONLY | DIRECTORY | CLOEXEC)


def open_below(parent: int, name: bytes) -> int:
    """Open a directory in another one; a link that stands in its place is refused."""
    return os.open(name, os.O_RDONLY | DIRECTORY | NOFOLLOW | CLOEXEC, dir_fd=parent)


def make_below(parent: int, name: bytes) -> int:
    """Make a directory in another one, or take the one that is there, and open it."""
    try:
        os.mkdir(name, 0o777, dir_fd=parent)
    except FileExistsError:
        pass
    return open_below(parent, name)


def create_below(parent: int, name: bytes, mode: int, *, keep: bool) -> int:
    """Make a file to write to; with `keep` one that is there goes on, else it must be new."""
    flags = os.O_RDWR | os.O_CREAT | NOFOLLOW | CLOEXEC | NONBLOCK
    found = os.open(name, flags | (0 if keep else os.O_EXCL), mode, dir_fd=parent)
    if keep and not stat.S_ISREG(os.fstat(found).st_mode):
        os.close(found)
        raise TransferError("not a regular file", name)
    return found


def open_source(path: bytes, parent: int | None = None, *, follow: bool = True) -> tuple[int, os.stat_result]:
    """Open a file to send; a pipe or device in its place neither blocks nor is read."""
    flags = os.O_RDONLY | CLOEXEC | NONBLOCK | (0 if follow else NOFOLLOW)
    descriptor = os.open(path, flags, dir_fd=parent)
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        os.close(descriptor)
        if stat.S_ISDIR(found.st_mode):
            raise IsADirectoryError(21, "a directory is sent with recursive=True", os.fsdecode(path))
        raise TransferError("not a regular file", path)
    return descriptor, found


def hash_part(descriptor: int, start: int, end: int, algorithm: str) -> bytes:
    """Return the hash of a stretch of a file; for a thread."""
    import hashlib

    digest = hashlib.new(algorithm, usedforsecurity=False)
    while start < end:
        data = os.pread(descriptor, min(HASH_BLOCK, end - start), start)
        if not data:
            break
        digest.update(data)
        start += len(data)
    return digest.digest()


def write_all(descriptor: int, data: "bytes | memoryview", offset: int = 0) -> None:
    """Write all of `data`; a full disk raises."""
    view = memoryview(data)
    while view:
        done = os.pwrite(descriptor, view, offset)
        view = view[done:]
        offset += done
