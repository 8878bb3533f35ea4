"""SftpPath: a pathlib of the remote side.

``sftp / "directory" / "file"`` makes one; every method that asks the server is awaited.  The blocking twin
is `sshkit.blocking.sftp_path`.  `str` of a path is what all methods of SFTPClient take.
"""

from collections.abc import AsyncIterator
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from sshkit.deferred import Deferred, as_deferred
from sshkit.sftp import messages as m
from sshkit.sftp.attributes import Attributes
from sshkit.sftp.errors import SFTPFileExists, SFTPNoSuchFile
from sshkit.sftp.glob import escape
from sshkit.sftp.path_pure import PureRemotePath

if TYPE_CHECKING:
    from sshkit.opening import Opening
    from sshkit.sftp.client import SFTPClient
    from sshkit.sftp.file import SFTPFile
    from sshkit.sftp.transfer import Transfer


class SftpPath(PureRemotePath):
    """A name at the other end of `client`."""

    __slots__ = ("client",)

    def __init__(self, client: "SFTPClient", *parts: "str | bytes | PurePosixPath | PureRemotePath") -> None:
        super().__init__(*parts)
        self.client = client

    def _owner(self) -> object:
        return self.client

    def _with(self, pure: PurePosixPath) -> "SftpPath":
        other = super()._with(pure)
        other.client = self.client
        return other

    # What is known.

    def stat(self, *, follow_symlinks: bool = True) -> Deferred[Attributes]:
        """Return the attributes; of a link itself without `follow_symlinks`."""
        return self.client.stat(str(self)) if follow_symlinks else self.lstat()

    def lstat(self) -> Deferred[Attributes]:
        """Return the attributes; of a link itself."""
        return self.client.lstat(str(self))

    def exists(self) -> Deferred[bool]:
        """Tell whether there is something of that name; a link that leads nowhere is nothing."""
        return self.client.exists(str(self))

    def is_dir(self) -> Deferred[bool]:
        """Tell whether it is a directory, or a link to one."""
        return self.client.is_dir(str(self))

    def is_file(self) -> Deferred[bool]:
        """Tell whether it is a regular file, or a link to one."""
        return self.client.is_file(str(self))

    @as_deferred
    async def is_symlink(self) -> bool:
        """Tell whether it is a link."""
        try:
            return (await self.lstat()).is_link
        except SFTPNoSuchFile:
            return False

    @as_deferred
    async def samefile(self, other: "SftpPath | str") -> bool:
        """Tell whether both lead to the same name once links are resolved."""
        theirs = other if isinstance(other, SftpPath) else SftpPath(self.client, other)
        return theirs.client is self.client and await self.resolve() == await theirs.resolve()

    # Contents.

    def open(self, mode: str = "rb", *, permissions: int | None = None) -> "Opening[SFTPFile]":
        """Open the file, of bytes; as `SFTPClient.open`."""
        return self.client.open(str(self), mode, permissions=permissions)

    def read_bytes(self) -> Deferred[bytes]:
        """Return the contents."""
        return self.client.read_bytes(str(self))

    def read_text(self, encoding: str = "utf-8", errors: str = "strict") -> Deferred[str]:
        """Return the contents as text."""
        return self.client.read_text(str(self), encoding, errors)

    def write_bytes(self, data: bytes | bytearray | memoryview) -> Deferred[int]:
        """Make a file of `data`, whatever it held before."""
        return self.client.write_bytes(str(self), data)

    def write_text(self, text: str, encoding: str = "utf-8", errors: str = "strict") -> Deferred[int]:
        """Make a file of `text`."""
        return self.client.write_text(str(self), text, encoding, errors)

    @as_deferred
    async def touch(
        self, mode: int | None = None, *, exist_ok: bool = True, time: float | None = None
    ) -> None:
        """Make an empty file; one that is there gets `time` (seconds since 1970) where that is given."""
        try:
            async with self.client.open(str(self), "xb", permissions=mode):
                pass
        except OSError as error:
            if not await self.exists():
                raise
            if not exist_ok:
                raise SFTPFileExists(path=str(self)) from error
        if time is not None:
            await self.utime((time, time))

    # Directories.

    async def iterdir(self) -> "AsyncIterator[SftpPath]":
        """Go through the directory, in the server's order."""
        async for batch in self.client.batches(str(self)):
            for entry in batch:
                yield self / entry.raw

    async def glob(self, pattern: str) -> "AsyncIterator[SftpPath]":
        """Go through the names below that fit a pattern of *, ?, [...] and **."""
        if not pattern or pattern.startswith("/"):
            raise ValueError(f"pattern {pattern!r}: a relative one is needed")
        whole = (b"" if str(self) == "." else escape(str(self)).rstrip(b"/") + b"/") + m.to_wire(pattern)
        async for name in self.client.glob(whole):
            yield self._with(PurePosixPath(name))

    def rglob(self, pattern: str) -> "AsyncIterator[SftpPath]":
        """Go through the names at any depth below that fit a pattern."""
        return self.glob(f"**/{pattern}")

    async def walk(
        self, *, follow_symlinks: bool = False
    ) -> "AsyncIterator[tuple[SftpPath, list[str], list[str]]]":
        """Go through the tree from the top: (directory, names of directories, all other names)."""
        async for at, folders, others in self.client.walk(str(self), follow_symlinks=follow_symlinks):
            yield self._with(PurePosixPath(at)), [e.name for e in folders], [e.name for e in others]

    @as_deferred
    async def mkdir(self, mode: int | None = None, *, parents: bool = False, exist_ok: bool = False) -> None:
        """Make the directory; with `parents` those above it that are missing too."""
        if parents:
            await self.client.makedirs(str(self), mode, exist_ok=exist_ok)
            return
        try:
            await self.client.mkdir(str(self), mode)
        except SFTPNoSuchFile:
            raise
        except OSError as error:
            if not await self.exists():
                raise
            if not (exist_ok and await self.is_dir()):
                raise SFTPFileExists(path=str(self)) from error

    def rmdir(self) -> Deferred[None]:
        """Remove the empty directory."""
        return self.client.rmdir(str(self))

    def rmtree(self) -> Deferred[None]:
        """Remove the directory and all that is in it; links are removed, not followed."""
        return self.client.rmtree(str(self))

    # Names.

    @as_deferred
    async def rename(self, target: "SftpPath | str") -> "SftpPath":
        """Rename, over nothing that is there; return the new path."""
        await self.client.rename(str(self), str(target), replace=False)
        return self._with(PurePosixPath(str(target)))

    @as_deferred
    async def replace(self, target: "SftpPath | str") -> "SftpPath":
        """Rename, over whatever file is there; return the new path."""
        await self.client.replace(str(self), str(target))
        return self._with(PurePosixPath(str(target)))

    @as_deferred
    async def unlink(self, *, missing_ok: bool = False) -> None:
        """Remove the file or link."""
        try:
            await self.client.remove(str(self))
        except SFTPNoSuchFile:
            if not missing_ok:
                raise

    def symlink_to(self, target: "SftpPath | str") -> Deferred[None]:
        """Make a symbolic link here that says `target`."""
        return self.client.symlink(str(target), str(self))

    def hardlink_to(self, target: "SftpPath | str") -> Deferred[None]:
        """Make this a second name of `target`."""
        return self.client.link(str(target), str(self))

    @as_deferred
    async def readlink(self) -> "SftpPath":
        """Return what the link says."""
        return self._with(PurePosixPath(await self.client.readlink(str(self))))

    @as_deferred
    async def resolve(self) -> "SftpPath":
        """Return the absolute path, links resolved as far as the server does."""
        return self._with(PurePosixPath(await self.client.realpath(str(self))))

    @as_deferred
    async def expanduser(self) -> "SftpPath":
        """Return the path with ~ or ~user at its beginning replaced."""
        text = str(self)
        if text[:1] != "~":
            return self
        if text == "~" or text.startswith("~/"):  # where a session begins; every server knows that
            return self._with(PurePosixPath(await self.client.realpath(".")) / text[2:])
        return self._with(PurePosixPath(await self.client.expand_user(text)))

    # Attributes.

    def chmod(self, mode: int, *, follow_symlinks: bool = True) -> Deferred[None]:
        """Change the permission bits."""
        return self.client.chmod(str(self), mode, follow_symlinks=follow_symlinks)

    def chown(self, uid: int | str, gid: int | str, *, follow_symlinks: bool = True) -> Deferred[None]:
        """Change owner and group, by number; from version 4 of the protocol on by name as well."""
        return self.client.chown(str(self), uid, gid, follow_symlinks=follow_symlinks)

    def utime(
        self,
        times: tuple[float, float] | None = None,
        *,
        ns: tuple[int, int] | None = None,
        follow_symlinks: bool = True,
    ) -> Deferred[None]:
        """Change the times of the last access and the last change."""
        return self.client.utime(str(self), times, ns=ns, follow_symlinks=follow_symlinks)

    # Copies.

    def copy(self, target: "SftpPath | str") -> Deferred[None]:
        """Copy the file at the server."""
        return self.client.copy(str(self), str(target))

    def copy_to(self, local: m.Path, **options: Any) -> "Transfer":
        """Fetch to a local path; takes what `SFTPClient.get` takes."""
        return self.client.get(str(self), local, **options)

    def copy_from(self, local: m.Path, **options: Any) -> "Transfer":
        """Send a local file or tree here; takes what `SFTPClient.put` takes."""
        return self.client.put(local, str(self), **options)
