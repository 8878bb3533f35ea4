"""What an SFTP server asks of the place where its files are.

`SFTPServer` calls a Backend; `LocalBackend`, `MemoryBackend`, `ArchiveBackend` and `FsspecBackend` are four.
A program writes its own by subclassing: what it leaves out is refused as unsupported.

Paths are the bytes that the client sent, never empty and without NUL; relative ones begin where the backend
lets its users start.  Errors are raised, OSError or SFTPError.  Every method may return its value, or a
Deferred or other awaitable of it.  Where a backend is `blocking`, the server calls it in threads, one call a
handle at a time; else it calls in its own thread and expects an answer at once.
"""

import os
from collections.abc import Awaitable
from errno import EOPNOTSUPP
from typing import Any, NamedTuple, NoReturn, Protocol, TypeAlias, TypeVar

from sshkit.sftp.attributes import Attributes

_T = TypeVar("_T")
MayWait: TypeAlias = _T | Awaitable[_T]
#: What is known of a file.  Local files give what the system gave; the server packs that faster.
Found = Attributes | os.stat_result
#: One entry of a listing.
Entry = tuple[bytes, Found]


class FileSystemFacts(NamedTuple):
    """Sizes of a file system, in the order of statvfs@openssh.com (PROTOCOL section 4.4)."""

    block_size: int
    fragment_size: int
    blocks: int
    free_blocks: int
    available_blocks: int
    files: int
    free_files: int
    available_files: int
    number: int
    flags: int
    longest_name: int


def unsupported() -> NoReturn:
    """Refuse what a backend does not do."""
    raise OSError(EOPNOTSUPP, os.strerror(EOPNOTSUPP))


class BackendFile(Protocol):
    """One open file.  Subclass it."""

    __slots__ = ()

    @property
    def copy_descriptor(self) -> int:
        """The number of a real file that the kernel may copy from and to past us; -1 where there is none."""
        return -1

    def read(self, offset: int, size: int) -> MayWait[bytes | memoryview]:
        """Return up to `size` bytes; less only at the end, none behind it."""
        unsupported()

    # A file may have `read_into(view, offset, wait) -> int` as well: the server then reads straight into its
    # answer.  Without `wait` it may raise BlockingIOError: the server calls again in a thread, and waits.

    def write(self, offset: int, data: memoryview) -> MayWait[Any]:
        """Write all of `data`, a view that is valid during the call only."""
        unsupported()

    def stat(self) -> MayWait[Found]:
        """Return what is known of it."""
        unsupported()

    def setstat(self, attributes: Attributes) -> MayWait[Any]:
        """Change what is not None in `attributes`."""
        unsupported()

    def statvfs(self) -> MayWait[FileSystemFacts]:
        """Return the sizes of the file system it is on."""
        unsupported()

    def sync(self) -> MayWait[Any]:
        """Return when everything is on the disk."""
        unsupported()

    def close(self) -> MayWait[Any]:
        """Let it go; called once, when nothing else runs on it."""


class BackendDirectory(Protocol):
    """One directory that is being listed."""

    __slots__ = ()

    def read(self, count: int) -> MayWait[list[Entry]]:
        """Return the next entries, `count` at most; none at the end."""
        unsupported()

    def close(self) -> MayWait[Any]:
        """Let it go; called once."""


class Backend(Protocol):
    """Files by path."""

    __slots__ = ()
    blocking: bool = False  #: calls may take long: they are made in threads
    asynchronous: bool = False  #: calls may return awaitables
    read_only: bool = False  #: the server refuses everything that changes something

    def open(self, path: bytes, flags: int, attributes: Attributes) -> MayWait[BackendFile]:
        """Open a file; `flags` are those of the wire, READ_FLAG and so on in `sshkit.sftp.messages`."""
        unsupported()

    def opendir(self, path: bytes) -> MayWait[BackendDirectory]:
        """Begin to list a directory."""
        unsupported()

    def stat(self, path: bytes) -> MayWait[Found]:
        """Return what is known of a file; of what a link leads to."""
        unsupported()

    def lstat(self, path: bytes) -> MayWait[Found]:
        """Return what is known of a file; of a link itself."""
        return self.stat(path)

    def setstat(self, path: bytes, attributes: Attributes) -> MayWait[Any]:
        """Change what is not None in `attributes`; of what a link leads to."""
        unsupported()

    def lsetstat(self, path: bytes, attributes: Attributes) -> MayWait[Any]:
        """Change attributes; of a link itself."""
        return self.setstat(path, attributes)

    def mkdir(self, path: bytes, attributes: Attributes) -> MayWait[Any]:
        """Make a directory."""
        unsupported()

    def rmdir(self, path: bytes) -> MayWait[Any]:
        """Remove an empty directory."""
        unsupported()

    def remove(self, path: bytes) -> MayWait[Any]:
        """Remove a file or link."""
        unsupported()

    def rename(self, source: bytes, target: bytes) -> MayWait[Any]:
        """Rename, and never replace anything."""
        unsupported()

    def posix_rename(self, source: bytes, target: bytes) -> MayWait[Any]:
        """Rename, and replace what is there, in one step."""
        unsupported()

    def link(self, source: bytes, target: bytes) -> MayWait[Any]:
        """Give a file a second name."""
        unsupported()

    def symlink(self, text: bytes, link: bytes) -> MayWait[Any]:
        """Make a symbolic link at `link` that says `text`."""
        unsupported()

    def readlink(self, path: bytes) -> MayWait[bytes]:
        """Return what a link says."""
        unsupported()

    def realpath(self, path: bytes) -> MayWait[bytes]:
        """Return the absolute path without links; the last part need not exist."""
        unsupported()

    def statvfs(self, path: bytes) -> MayWait[FileSystemFacts]:
        """Return the sizes of the file system that holds a file."""
        unsupported()

    def expand_path(self, path: bytes) -> MayWait[bytes]:
        """Return the absolute path of one that may begin with ``~`` or ``~user``."""
        unsupported()

    def home_directory(self, user: bytes) -> MayWait[bytes]:
        """Return where a user's files are; an empty name is who asks."""
        unsupported()

    def user_name(self, number: int) -> str | None:
        """Return a user's name for listings, at once; None where it has none."""
        return None

    def group_name(self, number: int) -> str | None:
        """Return a group's name for listings, at once; None where it has none."""
        return None

    def user_number(self, name: str) -> int | None:
        """Return the number of a user, at once; None for one that is not known.  From version 4 on."""
        return None

    def group_number(self, name: str) -> int | None:
        """Return the number of a group, at once; None for one that is not known.  From version 4 on."""
        return None

    def close(self) -> None:
        """The last session has ended; let go what is held."""
        return  # so that type checkers do not take it for abstract
