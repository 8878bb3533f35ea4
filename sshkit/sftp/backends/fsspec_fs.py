"""Any file system of fsspec: object stores, archives, other protocols (https://filesystem-spec.readthedocs.io).

`SFTPServer` calls it, in threads.  A program hands in the file system object; fsspec itself is not imported
here.  Such stores have no links, owners or modes; files are written from the beginning to the end and appear
when they are closed.  ``..`` is resolved before the store sees a path, so nobody leaves `root`; for local
files take LocalBackend, which also looks at links.
"""

import errno
import os
import stat
from typing import Any

from sshkit.sftp.attributes import Attributes
from sshkit.sftp.backends.interface import Backend, BackendDirectory, BackendFile, Entry
from sshkit.sftp.messages import APPEND, CREATE, EXCLUSIVE, TRUNCATE, WRITE_FLAG

_MAX_TIME = 0xFFFFFFFF
_TIMES = ("mtime", "LastModified", "last_modified", "modified", "created")


def error(number: int) -> OSError:
    """Return the OSError of a number."""
    return OSError(number, os.strerror(number))


class FsspecFile(BackendFile):
    """One open file of the store."""

    __slots__ = ("_attributes", "_stream", "_where", "_written")

    def __init__(self, stream: Any, attributes: Attributes, where: int) -> None:
        self._stream = stream
        self._attributes = attributes
        self._where = where

    def read(self, offset: int, size: int) -> bytes:
        if offset != self._where:
            self._stream.seek(offset)
        data: bytes = self._stream.read(size)
        self._where = offset + len(data)
        return data

    def write(self, offset: int, data: memoryview) -> None:
        if offset != self._where:
            if not self._can_seek():
                raise error(errno.ESPIPE)
            self._stream.seek(offset)
        self._stream.write(bytes(data))
        self._where = offset + len(data)
        self._attributes.size = max(self._attributes.size or 0, self._where)

    def _can_seek(self) -> bool:
        try:
            return bool(self._stream.seekable())
        except (AttributeError, ValueError):
            return False

    def stat(self) -> Attributes:
        return self._attributes

    def setstat(self, attributes: Attributes) -> None:
        """Take what the store cannot keep, and refuse another size."""
        if attributes.size is not None and attributes.size != self._attributes.size:
            raise error(errno.EOPNOTSUPP)

    def sync(self) -> None:
        self._stream.flush()

    def close(self) -> None:
        self._stream.close()


class FsspecDirectory(BackendDirectory):
    """One listing; the store gives it as a whole."""

    __slots__ = ("_entries",)

    def __init__(self, entries: list[Entry]) -> None:
        self._entries = entries

    def read(self, count: int) -> list[Entry]:
        found, self._entries = self._entries[:count], self._entries[count:]
        return found

    def close(self) -> None:
        """Nothing is held."""


class FsspecBackend(Backend):
    """The files of an `fsspec.AbstractFileSystem`, from `root` in it."""

    __slots__ = ("_files", "_root", "read_only")
    blocking = True

    def __init__(self, filesystem: Any, root: str = "", *, read_only: bool = False) -> None:
        """`filesystem` is what ``fsspec.filesystem(...)`` returned."""
        self._files = filesystem
        self._root = root.rstrip("/")
        self.read_only = read_only

    def open(self, path: bytes, flags: int, attributes: Attributes) -> FsspecFile:
        place = self._place(path)
        found = self._look(place)
        if found is not None and found.is_dir:
            raise error(errno.EISDIR)
        if not flags & WRITE_FLAG:
            if found is None:
                raise error(errno.ENOENT)
            return FsspecFile(self._files.open(place, "rb"), found, 0)
        if found is None and not flags & CREATE:
            raise error(errno.ENOENT)
        if found is not None and flags & CREATE and flags & EXCLUSIVE:
            raise error(errno.EEXIST)
        if found is None and self._look(place.rpartition("/")[0]) is None:
            raise error(errno.ENOENT)
        if found is None or flags & TRUNCATE:
            empty = Attributes(0, permissions=stat.S_IFREG | 0o644)
            return FsspecFile(self._files.open(place, "wb"), empty, 0)
        if flags & APPEND:
            return FsspecFile(self._files.open(place, "ab"), found, found.size or 0)
        return FsspecFile(self._files.open(place, "r+b"), found, 0)

    def opendir(self, path: bytes) -> FsspecDirectory:
        place = self._place(path)
        here = self._existing(place)
        if not here.is_dir:
            raise error(errno.ENOTDIR)
        entries: list[Entry] = [(b".", here), (b"..", here)]
        for info in self._files.ls(place, detail=True):
            name = str(info["name"]).rstrip("/").rpartition("/")[2]
            if name and "\0" not in name:
                entries.append((name.encode("utf-8", "surrogateescape"), attributes_of(info)))
        return FsspecDirectory(entries)

    def stat(self, path: bytes) -> Attributes:
        return self._existing(self._place(path))

    def setstat(self, path: bytes, attributes: Attributes) -> None:
        found = self._existing(self._place(path))
        if attributes.size is not None and attributes.size != found.size:
            raise error(errno.EOPNOTSUPP)

    def mkdir(self, path: bytes, attributes: Attributes) -> None:
        place = self._place(path)
        if self._look(place) is not None:
            raise error(errno.EEXIST)
        self._existing(place.rpartition("/")[0])
        self._files.mkdir(place, create_parents=False)

    def rmdir(self, path: bytes) -> None:
        place = self._place(path)
        if not self._existing(place).is_dir:
            raise error(errno.ENOTDIR)
        if self._files.ls(place, detail=False):
            raise error(errno.ENOTEMPTY)
        self._files.rmdir(place)

    def remove(self, path: bytes) -> None:
        place = self._place(path)
        if self._existing(place).is_dir:
            raise error(errno.EISDIR)
        self._files.rm_file(place)

    def rename(self, source: bytes, target: bytes) -> None:
        if self._look(self._place(target)) is not None:
            raise error(errno.EEXIST)
        self._move(self._place(source), self._place(target))

    def posix_rename(self, source: bytes, target: bytes) -> None:
        found = self._look(self._place(target))
        if found is not None and found.is_dir:
            raise error(errno.EISDIR)
        self._move(self._place(source), self._place(target))

    def _move(self, source: str, target: str) -> None:
        folder = self._existing(source).is_dir
        self._existing(target.rpartition("/")[0])
        if source != target:
            self._files.mv(source, target, recursive=folder)

    def realpath(self, path: bytes) -> bytes:
        return _normal(path)

    def expand_path(self, path: bytes) -> bytes:
        return _normal(path.removeprefix(b"~"))

    def home_directory(self, user: bytes) -> bytes:
        return b"/"

    # Inside.

    def _place(self, path: bytes) -> str:
        """Return the store's name of a path."""
        return (self._root + _normal(path).decode("utf-8", "surrogateescape")).rstrip("/")

    def _look(self, place: str) -> Attributes | None:
        if place == self._root:
            return Attributes(0, permissions=stat.S_IFDIR | 0o755)
        try:
            return attributes_of(self._files.info(place))
        except (FileNotFoundError, NotADirectoryError):
            return None

    def _existing(self, place: str) -> Attributes:
        found = self._look(place)
        if found is None:
            raise error(errno.ENOENT)
        return found


def _normal(path: bytes) -> bytes:
    """Return an absolute path without ``.`` and ``..``."""
    parts: list[bytes] = []
    for part in path.split(b"/"):
        if part == b"..":
            del parts[-1:]
        elif part not in (b"", b"."):
            parts.append(part)
    return b"/" + b"/".join(parts)


def attributes_of(info: "dict[str, Any]") -> Attributes:
    """Return what a store tells of a file; it says no more than it knows."""
    folder = info.get("type") == "directory"
    mode = info.get("mode")
    kind = stat.S_IFDIR if folder else stat.S_IFREG
    usual = 0o755 if folder else 0o644
    found = Attributes(
        int(info.get("size") or 0),
        permissions=kind | (stat.S_IMODE(mode) if isinstance(mode, int) else usual),
    )
    for name in _TIMES:
        when: Any = info.get(name)
        if hasattr(when, "timestamp"):
            when = when.timestamp()
        if isinstance(when, (int, float)):
            found.atime = found.mtime = min(max(int(when), 0), _MAX_TIME)
            break
    return found
