"""The open files and directories of one session, by handles that nobody can guess (R33).

Used by SFTPServer.
"""

import errno
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sshkit.sftp.backends.interface import BackendDirectory, BackendFile

HANDLE_SIZE = 16  #: bytes, of the random source
MAX_HANDLES = 1024  #: open at once, a session; OpenSSH's limit is that of descriptors, usually the same


class OpenFile:
    """One open file, and what went through it."""

    __slots__ = ("file", "path", "read", "read_into", "readable", "writable", "written")

    def __init__(self, file: "BackendFile", path: bytes, readable: bool, writable: bool) -> None:
        self.file = file
        self.path = path
        self.readable = readable
        self.writable = writable
        #: The short way for reads; None where there is none, or where reading is not allowed.
        self.read_into: Callable[[memoryview, int, bool], int] | None = (
            getattr(file, "read_into", None) if readable else None
        )
        self.read = 0  #: bytes
        self.written = 0


class OpenDirectory:
    """One directory that is being listed."""

    __slots__ = ("directory", "is_long", "path")

    def __init__(self, directory: "BackendDirectory", path: bytes) -> None:
        self.directory = directory
        self.path = path
        self.is_long = False  #: one answer was full: the next ones are made in threads


class Handles:
    """The table of a session."""

    __slots__ = ("_random_bytes", "files", "folders", "limit")

    def __init__(self, random_bytes: Callable[[int], bytes], limit: int = MAX_HANDLES) -> None:
        self._random_bytes = random_bytes
        self.limit = limit  #: how many may be open
        self.files: dict[bytes, OpenFile] = {}
        self.folders: dict[bytes, OpenDirectory] = {}

    def check_room(self) -> None:
        """Raise EMFILE where no more may be opened."""
        if len(self.files) + len(self.folders) >= self.limit:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    def add(self, what: OpenFile | OpenDirectory) -> bytes:
        """Keep it; return its handle."""
        handle = self._random_bytes(HANDLE_SIZE)
        while handle in self.files or handle in self.folders:
            handle = self._random_bytes(HANDLE_SIZE)
        if isinstance(what, OpenFile):
            self.files[handle] = what
        else:
            self.folders[handle] = what
        return handle

    def take_all(self) -> "list[Any]":
        """Empty the table; return what was in it."""
        everything: list[Any] = [*self.files.values(), *self.folders.values()]
        self.files.clear()
        self.folders.clear()
        return everything
