"""The blocking twin of SftpPath: the same names, and every call waits.

``sftp / "directory" / "file"`` makes one from a BlockingSFTP.
"""

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING, Any

from sshkit.blocking.sftp import BlockingSFTP
from sshkit.sftp.attributes import Attributes
from sshkit.sftp.messages import Path
from sshkit.sftp.path import SftpPath
from sshkit.sftp.path_pure import PureRemotePath

if TYPE_CHECKING:
    from sshkit.sftp.progress import TransferResult


class BlockingSftpPath(PureRemotePath):
    """A name at the other end of `sftp`."""

    __slots__ = ("sftp",)

    def __init__(self, sftp: BlockingSFTP, *parts: "str | bytes | PurePosixPath | PureRemotePath") -> None:
        super().__init__(*parts)
        self.sftp = sftp

    def _owner(self) -> object:
        return self.sftp.client

    def _with(self, pure: PurePosixPath) -> "BlockingSftpPath":
        other = super()._with(pure)
        other.sftp = self.sftp
        return other

    @property
    def path(self) -> SftpPath:
        """The same name for the reactor's thread."""
        return SftpPath(self.sftp.client, str(self))

    def _again(self, found: SftpPath) -> "BlockingSftpPath":
        return self._with(PurePosixPath(str(found)))

    # What is known.

    def stat(self, *, follow_symlinks: bool = True) -> Attributes:
        """Return the attributes; of a link itself without `follow_symlinks`."""
        return self.sftp.wait(lambda: self.path.stat(follow_symlinks=follow_symlinks))

    def lstat(self) -> Attributes:
        """Return the attributes; of a link itself."""
        return self.sftp.wait(self.path.lstat)

    def exists(self) -> bool:
        """Tell whether there is something of that name."""
        return self.sftp.wait(self.path.exists)

    def is_dir(self) -> bool:
        """Tell whether it is a directory, or a link to one."""
        return self.sftp.wait(self.path.is_dir)

    def is_file(self) -> bool:
        """Tell whether it is a regular file, or a link to one."""
        return self.sftp.wait(self.path.is_file)

    def is_symlink(self) -> bool:
        """Tell whether it is a link."""
        return self.sftp.wait(self.path.is_symlink)

    def samefile(self, other: "BlockingSftpPath | str") -> bool:
        """Tell whether both lead to the same name once links are resolved."""
        theirs = other.path if isinstance(other, BlockingSftpPath) else other
        return self.sftp.wait(lambda: self.path.samefile(theirs))

    # Contents.

    def open(self, mode: str = "rb", **options: Any) -> IO[Any]:
        """Open the file; takes what `BlockingSFTP.open` takes."""
        return self.sftp.open(str(self), mode, **options)

    def read_bytes(self) -> bytes:
        """Return the contents."""
        return self.sftp.read_bytes(str(self))

    def read_text(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Return the contents as text."""
        return self.sftp.read_text(str(self), encoding, errors)

    def write_bytes(self, data: bytes | bytearray | memoryview) -> int:
        """Make a file of `data`."""
        return self.sftp.write_bytes(str(self), data)

    def write_text(self, text: str, encoding: str = "utf-8", errors: str = "strict") -> int:
        """Make a file of `text`."""
        return self.sftp.write_text(str(self), text, encoding, errors)

    def touch(self, mode: int | None = None, *, exist_ok: bool = True, time: float | None = None) -> None:
        """Make an empty file; one that is there gets `time` where that is given."""
        self.sftp.wait(lambda: self.path.touch(mode, exist_ok=exist_ok, time=time))

    # Directories.

    def iterdir(self) -> "Iterator[BlockingSftpPath]":
        """Go through the directory."""
        for entry in self.sftp.scandir(str(self)):
            yield self / entry.raw

    def glob(self, pattern: str) -> "Iterator[BlockingSftpPath]":
        """Go through the names below that fit a pattern."""
        return map(self._again, self.sftp.go_through(lambda: self.path.glob(pattern)))

    def rglob(self, pattern: str) -> "Iterator[BlockingSftpPath]":
        """Go through the names at any depth below that fit a pattern."""
        return map(self._again, self.sftp.go_through(lambda: self.path.rglob(pattern)))

    def walk(
        self, *, follow_symlinks: bool = False
    ) -> "Iterator[tuple[BlockingSftpPath, list[str], list[str]]]":
        """Go through the tree from the top: (directory, names of directories, all other names)."""
        for at, folders, others in self.sftp.go_through(
            lambda: self.path.walk(follow_symlinks=follow_symlinks)
        ):
            yield self._again(at), folders, others

    def mkdir(self, mode: int | None = None, *, parents: bool = False, exist_ok: bool = False) -> None:
        """Make the directory; with `parents` those above it that are missing too."""
        self.sftp.wait(lambda: self.path.mkdir(mode, parents=parents, exist_ok=exist_ok))

    def rmdir(self) -> None:
        """Remove the empty directory."""
        self.sftp.wait(self.path.rmdir)

    def rmtree(self) -> None:
        """Remove the directory and all that is in it."""
        self.sftp.wait(self.path.rmtree)

    # Names.

    def rename(self, target: "BlockingSftpPath | str") -> "BlockingSftpPath":
        """Rename, over nothing that is there; return the new path."""
        return self._again(self.sftp.wait(lambda: self.path.rename(str(target))))

    def replace(self, target: "BlockingSftpPath | str") -> "BlockingSftpPath":
        """Rename, over whatever file is there; return the new path."""
        return self._again(self.sftp.wait(lambda: self.path.replace(str(target))))

    def unlink(self, *, missing_ok: bool = False) -> None:
        """Remove the file or link."""
        self.sftp.wait(lambda: self.path.unlink(missing_ok=missing_ok))

    def symlink_to(self, target: "BlockingSftpPath | str") -> None:
        """Make a symbolic link here that says `target`."""
        self.sftp.symlink(str(target), str(self))

    def hardlink_to(self, target: "BlockingSftpPath | str") -> None:
        """Make this a second name of `target`."""
        self.sftp.link(str(target), str(self))

    def readlink(self) -> "BlockingSftpPath":
        """Return what the link says."""
        return self._again(self.sftp.wait(self.path.readlink))

    def resolve(self) -> "BlockingSftpPath":
        """Return the absolute path, links resolved as far as the server does."""
        return self._again(self.sftp.wait(self.path.resolve))

    def expanduser(self) -> "BlockingSftpPath":
        """Return the path with ~ or ~user at its beginning replaced."""
        return self._again(self.sftp.wait(self.path.expanduser))

    # Attributes.

    def chmod(self, mode: int, *, follow_symlinks: bool = True) -> None:
        """Change the permission bits."""
        self.sftp.chmod(str(self), mode, follow_symlinks=follow_symlinks)

    def chown(self, uid: int | str, gid: int | str, *, follow_symlinks: bool = True) -> None:
        """Change owner and group, by number; from version 4 of the protocol on by name as well."""
        self.sftp.chown(str(self), uid, gid, follow_symlinks=follow_symlinks)

    def utime(
        self,
        times: tuple[float, float] | None = None,
        *,
        ns: tuple[int, int] | None = None,
        follow_symlinks: bool = True,
    ) -> None:
        """Change the times of the last access and the last change."""
        self.sftp.utime(str(self), times, ns=ns, follow_symlinks=follow_symlinks)

    # Copies.

    def copy(self, target: "BlockingSftpPath | str") -> None:
        """Copy the file at the server."""
        self.sftp.copy(str(self), str(target))

    def copy_to(self, local: Path, **options: Any) -> "TransferResult":
        """Fetch to a local path; takes what `BlockingSFTP.get` takes."""
        return self.sftp.get(str(self), local, **options)

    def copy_from(self, local: Path, **options: Any) -> "TransferResult":
        """Send a local file or tree here; takes what `BlockingSFTP.put` takes."""
        return self.sftp.put(local, str(self), **options)
