"""What is in a zip or tar file, to be read: the members as files, directories and links.

`SFTPServer` calls it, in threads, since members are unpacked as they are read.  Names that lead out of the
archive, and members that are neither file, directory nor link, are left out.
"""

import errno
import os
import stat
from collections.abc import Callable
from typing import IO, TYPE_CHECKING, NamedTuple

from sshkit_keys.errors import SSHKitError
from sshkit_keys.text import printable

from sshkit.sftp.attributes import Attributes
from sshkit.sftp.backends.interface import Backend, BackendFile
from sshkit.sftp.backends.memory import NodeDirectory
from sshkit.sftp.backends.tree import Node, Tree, error

if TYPE_CHECKING:
    import tarfile
    import zipfile

MAX_MEMBERS = 1_000_000
MAX_LINK = 4096  #: bytes of what a link says
_MAX_TIME = 0xFFFFFFFF


class ArchiveError(SSHKitError):
    """The file is no archive that can be read."""


class Member(NamedTuple):
    """A file's content: how long it is, and how to open it."""

    size: int
    open: "Callable[[], tuple[IO[bytes], int]]"  #: returns a stream, and where the content begins in it


class ArchiveFile(BackendFile):
    """One open member; going back in a packed one begins it again."""

    __slots__ = ("_node", "_start", "_stream", "_where")

    def __init__(self, node: Node) -> None:
        member = node.content
        assert isinstance(member, Member)
        self._node = node
        self._stream, self._start = member.open()
        self._where = -1

    def read(self, offset: int, size: int) -> bytes:
        attributes = attributes_of(self._node)
        size = min(size, (attributes.size or 0) - offset)
        if size <= 0:
            return b""
        try:
            if self._where != offset:
                self._stream.seek(self._start + offset)
            data = self._stream.read(size)
        except Exception as failed:  # of zlib, lzma, bz2, zipfile ...
            raise _damaged(failed) from None
        self._where = offset + len(data)
        if not data:
            raise error(errno.EIO)  # the archive ends within the member
        return data

    def stat(self) -> Attributes:
        return attributes_of(self._node)

    def close(self) -> None:
        self._stream.close()


def _damaged(failed: Exception) -> OSError:
    return failed if isinstance(failed, OSError) and failed.errno else error(errno.EIO)


class ArchiveBackend(Backend):
    """A zip or tar file (also gzip, bzip2 or xz), read only."""

    __slots__ = ("_archive", "_tree")
    blocking = True
    read_only = True

    def __init__(self, path: "str | os.PathLike[str]") -> None:
        """Read the table of contents; raises ArchiveError, or OSError where the file cannot be opened."""
        self._tree = Tree()
        self._archive: zipfile.ZipFile | None = None
        with open(path, "rb") as file:
            magic = file.read(4)
        if magic[:2] == b"PK":
            self._read_zip(path)
        else:
            self._read_tar(path)

    def close(self) -> None:
        """Close the file; members that are open stay readable."""
        if self._archive is not None:
            self._archive.close()

    # Contents.

    def _read_zip(self, path: "str | os.PathLike[str]") -> None:
        import zipfile

        try:
            archive = self._archive = zipfile.ZipFile(path)
            members = archive.infolist()
            _check_count(len(members), path)
            for info in members:
                self._add_zipped(archive, info)
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError) as failed:
            raise ArchiveError(f"{printable(os.fspath(path))}: {failed}") from None

    def _add_zipped(self, archive: "zipfile.ZipFile", info: "zipfile.ZipInfo") -> None:
        from datetime import datetime

        mode = info.external_attr >> 16
        try:
            when = int(datetime(*info.date_time).timestamp())
        except (ValueError, OverflowError):
            when = 0
        if info.is_dir():
            node = Node(stat.S_IFDIR | (stat.S_IMODE(mode) or 0o755), when)
        elif stat.S_ISLNK(mode):
            node = Node(stat.S_IFLNK | 0o777, when)
            if info.file_size > MAX_LINK:
                return
            node.content = archive.read(info)
        else:
            node = Node(stat.S_IFREG | (stat.S_IMODE(mode) or 0o644), when)
            node.content = Member(info.file_size, lambda: (archive.open(info), 0))
        self._add(info.filename, node)

    def _read_tar(self, path: "str | os.PathLike[str]") -> None:
        import lzma
        import tarfile
        import zlib

        try:
            with tarfile.open(path) as archive:
                for count, info in enumerate(archive):
                    _check_count(count, path)
                    self._add_tarred(path, archive, info)
        except (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, ValueError) as failed:
            raise ArchiveError(f"{printable(os.fspath(path))}: {failed}") from None

    def _add_tarred(
        self, path: "str | os.PathLike[str]", archive: "tarfile.TarFile", info: "tarfile.TarInfo"
    ) -> None:
        when = min(max(int(info.mtime), 0), _MAX_TIME)
        mode = stat.S_IMODE(info.mode)
        owner = (info.uid & 0xFFFFFFFF, info.gid & 0xFFFFFFFF)
        if info.isdir():
            node = Node(stat.S_IFDIR | mode, when, *owner)
        elif info.issym():
            node = Node(stat.S_IFLNK | 0o777, when, *owner)
            node.content = os.fsencode(info.linkname)[:MAX_LINK]
        elif info.islnk():
            try:
                place = self._tree.find(b"/" + os.fsencode(info.linkname), follow=False)
            except OSError:
                return
            if place.node is None or not isinstance(place.node.content, Member):
                return
            node = place.node
            node.links += 1
        elif info.isreg() and not info.issparse():
            node = Node(stat.S_IFREG | mode, when, *owner)
            offset = info.offset_data
            node.content = Member(info.size, lambda: (_open_stream(path), offset))
        elif info.isreg():
            node = Node(stat.S_IFREG | mode, when, *owner)
            node.content = Member(info.size, lambda: (_open_member(path, info), 0))
        else:
            return
        self._add(info.name, node)

    def _add(self, name: str, node: Node) -> None:
        """Put a node where its name says; directories on the way that are not listed are made."""
        parts = [part for part in os.fsencode(name).split(b"/") if part not in (b"", b".")]
        if not parts or b".." in parts or name.startswith("/") or b"\0" in os.fsencode(name):
            return
        folder = self._tree.root
        for part in parts[:-1]:
            assert folder.children is not None
            inner = folder.children.get(part)
            if inner is None:
                inner = folder.children[part] = Node(stat.S_IFDIR | 0o755, node.mtime)
                inner.parent = folder
            if inner.children is None:
                return  # below what is a file: nobody could have packed that
            folder = inner
        assert folder.children is not None
        there = folder.children.get(parts[-1])
        if there is not None and there.children is not None:
            if node.children is not None:
                there.mode, there.mtime = node.mode, node.mtime
            return
        folder.children[parts[-1]] = node
        if node.children is not None:
            node.parent = folder

    # What the server asks.

    def open(self, path: bytes, flags: int, attributes: Attributes) -> ArchiveFile:
        node = self._tree.find(path, follow=True).existing()
        if node.children is not None:
            raise error(errno.EISDIR)
        try:
            return ArchiveFile(node)
        except (
            RuntimeError,
            NotImplementedError,
            ValueError,
        ) as failed:  # encrypted, or packed in another way
            raise _damaged(failed) from None

    def opendir(self, path: bytes) -> NodeDirectory:
        return NodeDirectory(self._tree.find(path, follow=True).existing(), attributes_of)

    def stat(self, path: bytes) -> Attributes:
        return attributes_of(self._tree.find(path, follow=True).existing())

    def lstat(self, path: bytes) -> Attributes:
        return attributes_of(self._tree.find(path, follow=False).existing())

    def readlink(self, path: bytes) -> bytes:
        node = self._tree.find(path, follow=False).existing()
        if not isinstance(node.content, bytes):
            raise error(errno.EINVAL)
        return node.content

    def realpath(self, path: bytes) -> bytes:
        return self._tree.realpath(path)

    def expand_path(self, path: bytes) -> bytes:
        return self._tree.realpath(path.removeprefix(b"~") or b"/")

    def home_directory(self, user: bytes) -> bytes:
        return self._tree.start


def attributes_of(node: Node) -> Attributes:
    """Return what is known of a node."""
    content = node.content
    if isinstance(content, Member):
        return node.attributes(content.size)
    return node.attributes(len(content) if isinstance(content, bytes) else 0)


def _check_count(count: int, path: "str | os.PathLike[str]") -> None:
    if count > MAX_MEMBERS:
        raise ArchiveError(f"{printable(os.fspath(path))}: more than {MAX_MEMBERS} members")


def _open_stream(path: "str | os.PathLike[str]") -> IO[bytes]:
    """Return the unpacked bytes of a tar file."""
    import tarfile

    archive = tarfile.open(path)  # noqa: SIM115 - its stream is what is wanted
    stream = archive.fileobj
    assert stream is not None
    return stream  # type: ignore[return-value]


def _open_member(path: "str | os.PathLike[str]", info: "tarfile.TarInfo") -> IO[bytes]:
    """Return a member with holes, put together."""
    import tarfile

    archive = tarfile.open(path)  # noqa: SIM115 - lives as long as the member
    stream = archive.extractfile(info)
    assert stream is not None
    return _Closing(stream, archive.close)  # type: ignore[return-value]


class _Closing:
    """A stream that lets go of what it is in when it is closed."""

    __slots__ = ("_close", "_stream", "read", "seek")

    def __init__(self, stream: IO[bytes], close: "Callable[[], None]") -> None:
        self._stream = stream
        self._close = close
        self.read = stream.read
        self.seek = stream.seek

    def close(self) -> None:
        """Close both."""
        self._stream.close()
        self._close()
