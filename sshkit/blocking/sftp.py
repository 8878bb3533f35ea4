"""SFTP that waits: the same names, and files that zipfile, tarfile, shutil, csv and pandas take.

`BlockingConnection.sftp` makes it.  The deadlines are the session's own: a server that falls silent fails
the call.  Progress callbacks are called in the reactor's thread.
"""

import io
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import IO, TYPE_CHECKING, Any, TypeVar, cast

from sshkit.blocking.thread import ReactorThread
from sshkit.deferred import Deferred, ensure_deferred
from sshkit.sftp.attributes import Attributes
from sshkit.sftp.client import SFTPClient
from sshkit.sftp.client_listing import DirEntry
from sshkit.sftp.client_requests import HASHES, DiskUsage, StatVFS
from sshkit.sftp.client_session import Limits
from sshkit.sftp.file import SFTPFile
from sshkit.sftp.messages import Path
from sshkit.sftp.progress import Progress, TransferResult

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

    from sshkit.blocking.sftp_path import BlockingSftpPath

T = TypeVar("T")
BUFFER = 256 * 1024  #: bytes between Python's small reads and writes and the file
_END = object()


class RemoteFile(io.RawIOBase):
    """An open remote file as Python's own raw file; `BlockingSFTP.open` puts a buffer before it."""

    def __init__(self, thread: ReactorThread, file: SFTPFile) -> None:
        super().__init__()
        self._thread = thread
        self.file = file  #: the library's own object, for the reactor's thread
        self.name = file.name
        self.mode = file.mode
        flags = file.mode
        self._reads = "r" in flags or "+" in flags
        self._writes = any(letter in flags for letter in "wax+")

    def readable(self) -> bool:
        return self._reads

    def writable(self) -> bool:
        return self._writes

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        self._check(self._reads, "read")
        view = memoryview(buffer).cast("B")
        return self._thread.call(self.file.readinto, view, timeout=None)

    def write(self, data: "ReadableBuffer") -> int:
        self._check(self._writes, "write")
        view = memoryview(data).cast("B")
        return self._thread.call(self.file.write, view, timeout=None)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._check(True, "seek")
        return self._thread.call(self.file.seek, offset, whence, timeout=None)

    def tell(self) -> int:
        self._check(True, "tell")
        return self.file.tell()

    def truncate(self, size: int | None = None) -> int:
        self._check(self._writes, "truncate")
        return self._thread.call(self.file.truncate, size, timeout=None)

    def close(self) -> None:
        if not self.closed:
            super().close()
            if self._thread.is_alive:
                self._thread.call(self.file.close, timeout=None)

    def stat(self) -> Attributes:
        """Return the attributes of the open file."""
        return self._thread.call(self.file.stat, timeout=None)

    def _check(self, allowed: bool, what: str) -> None:
        if self.closed:
            raise ValueError(f"I/O on a closed file: {self.file!r}")
        if not allowed:
            raise io.UnsupportedOperation(f"{what}: the file is open in mode {self.mode!r}")


class BlockingSFTP:
    """An SFTP session that waits; `client` is the library's own object, for the reactor's thread."""

    def __init__(self, thread: ReactorThread, client: SFTPClient) -> None:
        self._thread = thread
        self.client = client

    def _call(self, function: Callable[..., Deferred[T]], *args: Any, **named: Any) -> T:
        return self._thread.call(lambda: function(*args, **named), timeout=None)

    def wait(self, function: Callable[[], Deferred[T]]) -> T:
        """Call `function` in the reactor's thread and wait for its Deferred."""
        return self._thread.call(function, timeout=None)

    def go_through(self, make: Callable[[], AsyncIterator[T]]) -> Iterator[T]:
        """Go through what `make` returns, called and awaited in the reactor's thread."""
        iterator = make()

        async def step() -> Any:
            async for item in iterator:
                return item
            return _END

        while (item := self._thread.call(lambda: ensure_deferred(step()), timeout=None)) is not _END:
            yield cast("T", item)

    def __truediv__(self, path: "str | bytes") -> "BlockingSftpPath":
        from sshkit.blocking.sftp_path import BlockingSftpPath

        return BlockingSftpPath(self, path)

    @property
    def is_closed(self) -> bool:
        """The session has ended, or is the parent process's."""
        return self.client.is_closed or not self._thread.is_alive

    # Facts.

    @property
    def version(self) -> int:
        """The version of the protocol in use."""
        return self.client.version

    @property
    def extensions(self) -> dict[str, bytes]:
        """What the server offers beside the protocol."""
        return self.client.extensions

    @property
    def limits(self) -> Limits:
        """What the server takes, in bytes."""
        return self.client.limits

    # As in SFTPClient.

    def stat(self, path: Path) -> Attributes:
        """Return the attributes of a file; of what a link leads to."""
        return self._call(self.client.stat, path)

    def lstat(self, path: Path) -> Attributes:
        """Return the attributes of a file; of a link itself."""
        return self._call(self.client.lstat, path)

    def setstat(self, path: Path, attributes: Attributes, *, follow_symlinks: bool = True) -> None:
        """Change those attributes that are not None."""
        self._call(self.client.setstat, path, attributes, follow_symlinks=follow_symlinks)

    def chmod(self, path: Path, mode: int, *, follow_symlinks: bool = True) -> None:
        """Change the permission bits."""
        self._call(self.client.chmod, path, mode, follow_symlinks=follow_symlinks)

    def chown(self, path: Path, uid: int | str, gid: int | str, *, follow_symlinks: bool = True) -> None:
        """Change owner and group, by number; from version 4 of the protocol on by name as well."""
        self._call(self.client.chown, path, uid, gid, follow_symlinks=follow_symlinks)

    def utime(
        self,
        path: Path,
        times: tuple[float, float] | None = None,
        *,
        ns: tuple[int, int] | None = None,
        follow_symlinks: bool = True,
    ) -> None:
        """Change the times of the last access and the last change: seconds, or `ns` in nanoseconds."""
        self._call(self.client.utime, path, times, ns=ns, follow_symlinks=follow_symlinks)

    def truncate(self, path: Path, size: int = 0) -> None:
        """Make a file `size` bytes long."""
        self._call(self.client.truncate, path, size)

    def exists(self, path: Path) -> bool:
        """Tell whether there is something of that name."""
        return self._call(self.client.exists, path)

    def is_dir(self, path: Path) -> bool:
        """Tell whether it is a directory."""
        return self._call(self.client.is_dir, path)

    def is_file(self, path: Path) -> bool:
        """Tell whether it is a regular file."""
        return self._call(self.client.is_file, path)

    def mkdir(self, path: Path, mode: int | None = None) -> None:
        """Make a directory."""
        self._call(self.client.mkdir, path, mode)

    def makedirs(self, path: Path, mode: int | None = None, *, exist_ok: bool = False) -> None:
        """Make a directory and those above it that are missing."""
        self._call(self.client.makedirs, path, mode, exist_ok=exist_ok)

    def rmdir(self, path: Path) -> None:
        """Remove an empty directory."""
        self._call(self.client.rmdir, path)

    def rmtree(self, path: Path) -> None:
        """Remove a directory and all that is in it."""
        self._call(self.client.rmtree, path)

    def remove(self, path: Path) -> None:
        """Remove a file or a link."""
        self._call(self.client.remove, path)

    def rename(self, source: Path, target: Path, *, replace: bool = True) -> None:
        """Rename; with `replace` an existing target gives way where the server can do so."""
        self._call(self.client.rename, source, target, replace=replace)

    def replace(self, source: Path, target: Path) -> None:
        """Rename over whatever file is there."""
        self._call(self.client.replace, source, target)

    def symlink(self, target: Path, link: Path) -> None:
        """Make `link` a symbolic link that says `target`."""
        self._call(self.client.symlink, target, link)

    def readlink(self, path: Path) -> str:
        """Return where a link leads."""
        return self._call(self.client.readlink, path)

    def link(self, source: Path, target: Path) -> None:
        """Give a file a second name."""
        self._call(self.client.link, source, target)

    def realpath(self, path: Path = ".") -> str:
        """Return the absolute name of a path."""
        return self._call(self.client.realpath, path)

    def expand_user(self, path: Path) -> str:
        """Replace ~ and ~user at the beginning."""
        return self._call(self.client.expand_user, path)

    def statvfs(self, path: Path = ".") -> StatVFS:
        """Return facts of a file system."""
        return self._call(self.client.statvfs, path)

    def disk_usage(self, path: Path = ".") -> DiskUsage:
        """Return total, used and free bytes of a file system."""
        return self._call(self.client.disk_usage, path)

    def hash(
        self, path: Path, algorithm: str | Sequence[str] = HASHES, *, offset: int = 0, size: int = 0
    ) -> tuple[str, bytes]:
        """Have the server hash a file."""
        return self._call(self.client.hash, path, algorithm, offset=offset, size=size)

    def getcwd(self) -> str:
        """Return the directory that relative paths begin in."""
        return self._call(self.client.getcwd)

    def chdir(self, path: Path) -> None:
        """Let relative paths begin in another directory."""
        self._call(self.client.chdir, path)

    def copy(self, source: Path, target: Path) -> None:
        """Copy a file at the server."""
        self._call(self.client.copy, source, target)

    def read_bytes(self, path: Path) -> bytes:
        """Return the contents of a file."""
        return self._call(self.client.read_bytes, path)

    def write_bytes(self, path: Path, data: bytes | bytearray | memoryview) -> int:
        """Make a file of `data`."""
        return self._call(self.client.write_bytes, path, data)

    def read_text(self, path: Path, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Return the contents of a file as text."""
        return self._call(self.client.read_text, path, encoding, errors)

    def write_text(self, path: Path, text: str, encoding: str = "utf-8", errors: str = "strict") -> int:
        """Make a file of `text`."""
        return self._call(self.client.write_text, path, text, encoding, errors)

    def listdir(self, path: Path = ".") -> list[str]:
        """Return the names in a directory."""
        return self._call(self.client.listdir, path)

    def scandir(self, path: Path = ".") -> Iterator[DirEntry]:
        """Go through a directory."""
        for batch in self.go_through(lambda: self.client.batches(path)):
            yield from batch

    def walk(
        self, path: Path = ".", *, follow_symlinks: bool = False
    ) -> Iterator[tuple[str, list[DirEntry], list[DirEntry]]]:
        """Go through a tree from the top."""
        return self.go_through(lambda: self.client.walk(path, follow_symlinks=follow_symlinks))

    def glob(self, pattern: Path) -> Iterator[str]:
        """Go through the names that fit a pattern."""
        return self.go_through(lambda: self.client.glob(pattern))

    def open(
        self,
        path: Path,
        mode: str = "rb",
        *,
        buffering: int = BUFFER,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        permissions: int | None = None,
    ) -> IO[Any]:
        """Open a file as Python's own `open` does; it is of bytes unless "t" is in the mode.

        `buffering` 0 gives the RemoteFile itself.
        """
        text = "t" in mode
        plain = mode.replace("t", "")
        file = self._call(self.client.open, path, plain, permissions=permissions)
        raw: Any = RemoteFile(self._thread, file)
        if not buffering and not text:
            return cast("IO[Any]", raw)
        size = max(buffering, 1)
        buffered: Any
        if "+" in plain:
            buffered = io.BufferedRandom(raw, size)
        elif "r" in plain:
            buffered = io.BufferedReader(raw, size)
        else:
            buffered = io.BufferedWriter(raw, size)
        if text:
            return cast("IO[Any]", io.TextIOWrapper(buffered, encoding or "utf-8", errors, newline))
        return cast("IO[Any]", buffered)

    def get(
        self,
        source: Path,
        target: Path | None = None,
        *,
        recursive: bool = False,
        progress: Callable[[Progress], object] | None = None,
        **options: Any,
    ) -> TransferResult:
        """Fetch a file or a tree; as `SFTPClient.get`."""
        return self._call(self.client.get, source, target, recursive=recursive, progress=progress, **options)

    def put(
        self,
        source: Path,
        target: Path | None = None,
        *,
        recursive: bool = False,
        progress: Callable[[Progress], object] | None = None,
        **options: Any,
    ) -> TransferResult:
        """Send a file or a tree; as `SFTPClient.put`."""
        return self._call(self.client.put, source, target, recursive=recursive, progress=progress, **options)

    def close(self) -> None:
        """Close the session."""
        if self._thread.is_alive:
            self._call(self.client.close)

    def __enter__(self) -> "BlockingSFTP":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
