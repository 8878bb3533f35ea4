"""How much may lie below a root: bytes and files, counted as they come and go.

`LocalBackend` and `MemoryBackend` ask it before they write; one Quota may serve several sessions of one root.
Sizes are those that files have, holes included.  What others do to the tree is seen by `measure` only.
"""

import errno
import os
import stat


class Quota:
    """Limits, and what is used of them; None is no limit."""

    __slots__ = ("bytes", "files", "measured", "used_bytes", "used_files")

    def __init__(self, bytes: int | None = None, files: int | None = None) -> None:
        self.bytes = bytes
        self.files = files
        self.used_bytes = 0
        self.used_files = 0
        self.measured = False  #: what was there before is counted

    def measure(self, path: "str | bytes | int") -> None:
        """Count what is below a directory, given by path or descriptor.  May take long."""
        self.used_bytes = self.used_files = 0
        self._add(path, 0)
        self.measured = True

    def _add(self, path: "str | bytes | int", depth: int) -> None:
        if depth > 256:
            return
        with os.scandir(path) as entries:
            for entry in entries:
                try:
                    found = entry.stat(follow_symlinks=False)
                    self.used_files += 1
                    if stat.S_ISREG(found.st_mode):
                        self.used_bytes += found.st_size
                    elif stat.S_ISDIR(found.st_mode):
                        self._enter(entry, path, depth)
                except OSError:
                    continue  # it has gone, or we may not look: then nobody can fill it through us

    def _enter(self, entry: "os.DirEntry[str] | os.DirEntry[bytes]", path: object, depth: int) -> None:
        if not isinstance(path, int):
            self._add(entry.path, depth + 1)
            return
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        inner = os.open(entry.name, flags, dir_fd=path)
        try:
            self._add(inner, depth + 1)
        finally:
            os.close(inner)

    def grow(self, size: int) -> None:
        """Take `size` more bytes, or raise EDQUOT; less than 0 gives back."""
        used = self.used_bytes + size
        if size > 0 and self.bytes is not None and used > self.bytes:
            raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))
        self.used_bytes = max(used, 0)

    def add_file(self) -> None:
        """Take one more file, directory or link, or raise EDQUOT."""
        if self.files is not None and self.used_files >= self.files:
            raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))
        self.used_files += 1

    def drop_file(self) -> None:
        """Give one back."""
        self.used_files = max(self.used_files - 1, 0)
