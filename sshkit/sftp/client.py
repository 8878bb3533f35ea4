"""SFTPClient: files of another machine, with the names of os, shutil and pathlib.

`ClientConnection.sftp` makes one on an SSH channel; `SFTPClient.over` on any other byte stream.  Every
method returns a Deferred, to be awaited on our reactor, on asyncio and uvloop, or given callbacks; transfers
are in `transfer.py` and `tree.py`, open files in `file.py`.
"""

from collections.abc import AsyncIterator, Callable, Iterable
from typing import TYPE_CHECKING, Any

from sshkit_keys.wire import string, uint64

from sshkit.deferred import Deferred, as_deferred, gather
from sshkit.opening import Opening
from sshkit.sftp import messages as m
from sshkit.sftp.attributes import Attributes
from sshkit.sftp.client_listing import DirEntry, Lister, join
from sshkit.sftp.client_requests import Requests
from sshkit.sftp.client_session import TIMEOUT, Session
from sshkit.sftp.errors import SFTPError, SFTPFileExists, SFTPNoSuchFile
from sshkit.sftp.file import OpeningFile, SFTPFile

if TYPE_CHECKING:
    from sshkit.interfaces import Clock
    from sshkit.sftp.path import SftpPath
    from sshkit.sftp.progress import Progress
    from sshkit.sftp.transfer import Transfer

MODES = {
    "r": m.READ_FLAG,
    "r+": m.READ_FLAG | m.WRITE_FLAG,
    "w": m.WRITE_FLAG | m.CREATE | m.TRUNCATE,
    "w+": m.READ_FLAG | m.WRITE_FLAG | m.CREATE | m.TRUNCATE,
    "a": m.WRITE_FLAG | m.CREATE | m.APPEND,
    "a+": m.READ_FLAG | m.WRITE_FLAG | m.CREATE | m.APPEND,
    "x": m.WRITE_FLAG | m.CREATE | m.EXCLUSIVE,
    "x+": m.READ_FLAG | m.WRITE_FLAG | m.CREATE | m.EXCLUSIVE,
}
MAX_DEPTH = 100  #: directories below each other that `rmtree` and `walk` go down
PARALLEL = 64  #: requests in flight of what works on many names


def flags_of(mode: str) -> int:
    """Return the flags of OPEN for a mode as of `open`, without "t": files are bytes."""
    flags = MODES.get(mode.replace("b", ""))
    if flags is None:
        raise ValueError(f"mode {mode!r}: files are opened as {', '.join(MODES)}, with or without b")
    return flags


class SFTPClient(Requests):
    """One SFTP session.  Use it in ``async with``, or call `close`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<SFTPClient {'closed' if self.is_closed else 'open'}>"

    @classmethod
    def over(
        cls,
        clock: "Clock",
        *,
        defer_to_thread: Callable[..., Deferred[Any]],
        random_bytes: Callable[[int], bytes],
        timeout: float = TIMEOUT,
        versions: Iterable[int] = (3,),
    ) -> "SFTPClient":
        """Return a client for any byte stream: connect its `session`, a protocol, and await `ready`.

        `versions` are those of the protocol that may be spoken, of 3 to 6: the best one that the server has.
        """
        options: dict[str, Any] = {"timeout": timeout, "versions": versions}
        return cls(Session(clock, defer_to_thread=defer_to_thread, random_bytes=random_bytes, **options))

    @property
    def ready(self) -> "Opening[SFTPClient]":
        """Fires with this client when the server has said its version and limits."""
        opening: Opening[SFTPClient] = Opening(lambda _: self.session.ready.cancel())
        self.session.ready.add_callbacks(lambda _: opening.callback(self), opening.errback)
        return opening

    def __truediv__(self, path: "str | bytes") -> "SftpPath":
        from sshkit.sftp.path import SftpPath

        return SftpPath(self, path)

    # Working directory.

    def getcwd(self) -> Deferred[str]:
        """Return the directory that relative paths begin in."""
        return self.realpath("")

    @as_deferred
    async def chdir(self, path: m.Path) -> None:
        """Let relative paths begin in another directory, which must be there."""
        where = m.to_wire(await self.realpath(path))
        found = await self.stat(where)
        if found.permissions is not None and not found.is_dir:
            from sshkit.sftp.errors import SFTPNotADirectory

            raise SFTPNotADirectory(path=where)
        self._cwd = where

    # Open files.

    def open(self, path: m.Path, mode: str = "rb", *, permissions: int | None = None) -> Opening[SFTPFile]:
        """Open a file: r, r+, w, w+, a, a+, x or x+, always of bytes; `permissions` are a new file's."""
        raw = self.path(path)
        flags = flags_of(mode)
        body = self.session.dialect.open(raw, flags, Attributes(permissions=permissions))
        opened = self.session.open_handle(m.OPEN, body, raw)
        opening = OpeningFile(lambda _: opened.cancel())

        def made(handle: bytes) -> None:
            file = SFTPFile(self.session, handle, raw, mode)
            if flags & m.APPEND:
                file.seek(0, 2).add_callbacks(lambda _: opening.callback(file), opening.errback)
            else:
                opening.callback(file)

        opened.add_callbacks(made, opening.errback)
        return opening

    @as_deferred
    async def read_bytes(self, path: m.Path) -> bytes:
        """Return the contents of a file."""
        async with self.open(path) as file:
            return await file.read()

    @as_deferred
    async def write_bytes(self, path: m.Path, data: "bytes | bytearray | memoryview") -> int:
        """Make a file of `data`, whatever it held before."""
        async with self.open(path, "wb") as file:
            return await file.write(data)

    @as_deferred
    async def read_text(self, path: m.Path, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Return the contents of a file as text."""
        return (await self.read_bytes(path)).decode(encoding, errors)

    @as_deferred
    async def write_text(
        self, path: m.Path, text: str, encoding: str = "utf-8", errors: str = "strict"
    ) -> int:
        """Make a file of `text`."""
        return await self.write_bytes(path, text.encode(encoding, errors))

    # Directories.

    async def batches(self, path: m.Path = ".") -> AsyncIterator[list[DirEntry]]:
        """Go through a directory, many entries at a time."""
        raw = self.path(path)
        lister = await Lister(self.session, raw).open()
        try:
            while (batch := await lister.next()) is not None:
                yield [DirEntry(raw, *entry) for entry in batch]
        finally:
            lister.close()

    async def scandir(self, path: m.Path = ".") -> AsyncIterator[DirEntry]:
        """Go through a directory in the server's order, without . and .. ."""
        async for batch in self.batches(path):
            for entry in batch:
                yield entry

    @as_deferred
    async def listdir(self, path: m.Path = ".") -> list[str]:
        """Return the names in a directory, in the server's order, without . and .. ."""
        names: list[str] = []
        lister = await Lister(self.session, self.path(path)).open()
        try:
            while (batch := await lister.next()) is not None:
                names += [m.from_wire(entry[0]) for entry in batch]
        finally:
            lister.close()
        return names

    @as_deferred
    async def makedirs(self, path: m.Path, mode: int | None = None, *, exist_ok: bool = False) -> None:
        """Make a directory and those above it that are missing."""
        raw = self.path(path).rstrip(b"/") or b"/"
        try:
            await self.mkdir(raw, mode)
            return
        except SFTPNoSuchFile:
            parent = raw.rpartition(b"/")[0]
            if not parent or parent == raw:
                raise
        except SFTPError as error:
            if await self.is_dir(raw):
                if exist_ok:
                    return
                raise SFTPFileExists(path=raw) from error
            raise
        await self.makedirs(parent, mode, exist_ok=True)
        try:
            await self.mkdir(raw, mode)
        except SFTPError:
            if not (exist_ok and await self.is_dir(raw)):
                raise

    @as_deferred
    async def rmtree(self, path: m.Path) -> None:
        """Remove a directory and all that is in it; links are removed, not followed."""
        await self._remove_tree(self.path(path), 0)

    async def _remove_tree(self, raw: bytes, depth: int) -> None:
        check_depth(raw, depth)
        lister = await Lister(self.session, raw).open()
        folders: list[bytes] = []
        try:
            while (batch := await lister.next()) is not None:
                files: list[bytes] = []
                for name, _, found in batch:
                    (folders if found.is_dir else files).append(join(raw, name))
                for start in range(0, len(files), PARALLEL):
                    await gather(*(self.remove(name) for name in files[start : start + PARALLEL]))
        finally:
            lister.close()
        for folder in folders:
            await self._remove_tree(folder, depth + 1)
        await self.rmdir(raw)

    async def walk(
        self, path: m.Path = ".", *, follow_symlinks: bool = False
    ) -> AsyncIterator[tuple[str, list[DirEntry], list[DirEntry]]]:
        """Go through a tree from the top: (directory, its directories, all else)."""
        waiting: list[tuple[bytes, int]] = [(m.to_wire(path), 0)]
        while waiting:
            raw, depth = waiting.pop()
            check_depth(raw, depth)
            folders: list[DirEntry] = []
            others: list[DirEntry] = []
            async for batch in self.batches(raw):
                for entry in batch:
                    is_folder = entry.is_dir
                    if entry.is_link and follow_symlinks:
                        is_folder = await self.is_dir(join(raw, entry.raw))
                    (folders if is_folder else others).append(entry)
            yield m.from_wire(raw), folders, others
            waiting += [(join(raw, entry.raw), depth + 1) for entry in reversed(folders)]

    def glob(self, pattern: m.Path) -> AsyncIterator[str]:
        """Go through the names that fit a pattern of *, ?, [...] and **."""
        from sshkit.sftp.glob import glob

        return glob(self, m.to_wire(pattern))

    # Contents.

    @as_deferred
    async def copy(self, source: m.Path, target: m.Path) -> None:
        """Copy a file at the server: by the server itself (`copy-data`), else through this side."""
        async with self.open(source) as reader:
            found = await reader.stat()
            async with self.open(target, "wb", permissions=found.mode) as writer:
                if "copy-data" in self.extensions:
                    body = string(reader.handle) + uint64(0) + uint64(0) + string(writer.handle) + uint64(0)
                    await self.session.call(m.EXTENDED, string("copy-data") + body, path=self.path(source))
                    return
                while data := await reader.read(1 << 20):
                    await writer.write(data)

    # Transfers.

    def get(
        self,
        source: m.Path,
        target: "m.Path | None" = None,
        *,
        recursive: bool = False,
        progress: "Callable[[Progress], object] | None" = None,
        **options: Any,
    ) -> "Transfer":
        """Fetch a file, or with `recursive` a directory; see `sshkit.sftp.transfer.Options`.

        Fires with a TransferResult.  The file has its final name only when all of it has arrived.
        """
        from sshkit.sftp.transfer import start_get

        return start_get(self, source, target, recursive, progress, options)

    def put(
        self,
        source: m.Path,
        target: "m.Path | None" = None,
        *,
        recursive: bool = False,
        progress: "Callable[[Progress], object] | None" = None,
        **options: Any,
    ) -> "Transfer":
        """Send a file, or with `recursive` a directory; as `get`."""
        from sshkit.sftp.transfer import start_put

        return start_put(self, source, target, recursive, progress, options)

    # The end.

    def close(self) -> Deferred[None]:
        """Close the session; fires when that is done.  What waits for an answer fails."""
        return self.session.close()

    async def __aenter__(self) -> "SFTPClient":
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()


def check_depth(path: bytes, depth: int) -> None:
    """Refuse to go down for ever (R35)."""
    if depth > MAX_DEPTH:
        raise SFTPError(f"more than {MAX_DEPTH} directories below each other", path)
