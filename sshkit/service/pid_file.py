"""The pid file: says which process a program is, and lets it run once.

The file is locked as long as the program runs, so a stale one, of whatever process, is taken over.  Called by
`run_service` after the forks and before the rights are given up.
"""

import os
from errno import EACCES, EAGAIN
from typing import Self

from sshkit.reactor.text import shown, shown_error

from .errors import NotAlone, PidFileError

MAX_TEXT = 32  #: bytes that are read of a file that another wrote


class PidFile:
    """A pid file that is ours: ``with PidFile(path):``, or `remove` at the end."""

    __slots__ = ("_fd", "_folder", "_name", "_pid", "path")

    def __init__(self, path: "str | os.PathLike[str]") -> None:
        """Lock and write it; raises NotAlone where a process holds it, else PidFileError."""
        self.path = os.path.abspath(os.fspath(path))
        folder, self._name = os.path.split(self.path)
        self._pid = os.getpid()
        self._fd = self._folder = -1
        try:
            # The folder is kept, for the path may name another one after chroot.
            self._folder = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            while self._fd < 0:
                self._fd = self._lock()
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, b"%d\n" % self._pid, 0)
        except OSError as error:
            self._close()
            raise PidFileError(f"pid file {shown(self.path)}: {shown_error(error)}") from error
        except NotAlone:
            self._close()
            raise

    def _lock(self) -> int:
        import fcntl

        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        fd = os.open(self._name, flags, 0o644, dir_fd=self._folder)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(
                os.fstat(fd), os.stat(self._name, dir_fd=self._folder, follow_symlinks=False)
            ):
                return fd
        except FileNotFoundError:
            pass  # its holder has just removed it: make a new one
        except OSError as error:
            if error.errno not in (EAGAIN, EACCES):
                os.close(fd)
                raise
            text = os.pread(fd, MAX_TEXT, 0).strip()
            os.close(fd)
            pid = int(text) if text.isdigit() else None
            who = "another process" if pid is None else f"process {pid}"
            raise NotAlone(f"pid file {shown(self.path)}: {who} runs already", pid) from None
        os.close(fd)
        return -1

    def remove(self) -> None:
        """Remove it, or leave it empty where our rights do not let us; harmless the second time."""
        if self._fd >= 0 and self._pid == os.getpid():
            try:
                now = os.stat(self._name, dir_fd=self._folder, follow_symlinks=False)
                if os.path.samestat(os.fstat(self._fd), now):  # else another's has the name by now
                    os.unlink(self._name, dir_fd=self._folder)
            except OSError:
                os.ftruncate(self._fd, 0)
        self._close()

    def _close(self) -> None:
        for fd in (self._fd, self._folder):
            if fd >= 0:
                os.close(fd)
        self._fd = self._folder = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()
