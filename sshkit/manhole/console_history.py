"""A person's history: in memory, or in a file of his alone.

Called by console_application through prompt_toolkit's `History`.  The file has one JSON string a line, so
that inputs of many lines keep their shape; it is made 0600 (R22's care for files), written at once under a
lock, since a person may have several sessions, and cut to its newer half when it has grown too long.  An
input that begins with a space is not kept.
"""

import fcntl
import os
import stat
from collections.abc import Iterable
from json import dumps, loads

from prompt_toolkit.history import History
from sshkit_keys.errors import SSHKitError

MAX_ENTRIES = 1000  #: that are read into a session; twice as many lie in the file before it is cut
MAX_BYTES = 4 << 20  #: of the file; what is older is not read
MAX_ENTRY = 64 * 1024  #: characters of one input that is kept


class HistoryRefused(SSHKitError):
    """The history's file is not a plain file of this user's alone."""


class PersonalHistory(History):
    """The inputs of one person; `path` None: of this session."""

    def __init__(self, path: "str | os.PathLike[str] | None" = None) -> None:
        super().__init__()
        self._path = None if path is None else os.fspath(path)
        if self._path is not None:
            os.close(_open(self._path))  # what is wrong with it is told at the beginning

    def load_history_strings(self) -> Iterable[str]:
        """Return what was typed, the newest first."""
        if self._path is None:
            return []
        fd = _open(self._path)
        try:
            fcntl.flock(fd, fcntl.LOCK_SH)
            return list(reversed(_entries(fd)))
        finally:
            os.close(fd)

    def append_string(self, string: str) -> None:
        """Keep an input, unless it begins with a space or is the one before again."""
        if string.startswith(" ") or not string.strip() or len(string) > MAX_ENTRY:
            return
        if self._loaded_strings and self._loaded_strings[0] == string:
            return
        super().append_string(string)
        del self._loaded_strings[MAX_ENTRIES:]

    def store_string(self, string: str) -> None:
        """Write one input to the file."""
        if self._path is None:
            return
        fd = _open(self._path)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            os.lseek(fd, 0, os.SEEK_END)
            _write(fd, [string])
            if os.lseek(fd, 0, os.SEEK_CUR) > MAX_BYTES // 2 or _lines(fd) > 2 * MAX_ENTRIES:
                kept = _entries(fd)[-MAX_ENTRIES // 2 :]
                os.ftruncate(fd, 0)
                os.lseek(fd, 0, os.SEEK_SET)
                _write(fd, kept)
        except OSError:
            pass  # a full disk must not end the session; the input is kept in memory
        finally:
            os.close(fd)


def _open(path: str) -> int:
    """Open the file, made 0600 where there is none; HistoryRefused if others could have written it."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    except OSError as error:
        raise HistoryRefused(f"{path!r} cannot be opened as a history: {error.strerror}") from None
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
        os.close(fd)
        raise HistoryRefused(f"{path!r} is no history: it is not a plain file of user {os.geteuid()}'s")
    if status.st_mode & 0o077:
        os.fchmod(fd, 0o600)
    return fd


def _read(fd: int) -> bytes:
    size = os.fstat(fd).st_size
    start = max(0, size - MAX_BYTES)
    pieces: list[bytes] = []
    while piece := os.pread(fd, 1 << 20, start):
        pieces.append(piece)
        start += len(piece)
    return b"".join(pieces)


def _lines(fd: int) -> int:
    return _read(fd).count(b"\n")


def _entries(fd: int) -> list[str]:
    """Return the newest entries, the oldest first; lines that are none are passed over."""
    entries: list[str] = []
    for line in _read(fd).split(b"\n")[-MAX_ENTRIES - 1 :]:
        try:
            entry = loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(entry, str) and len(entry) <= MAX_ENTRY:
            entries.append(entry)
    return entries


def _write(fd: int, entries: Iterable[str]) -> None:
    data = "".join(dumps(entry) + "\n" for entry in entries).encode()
    while data:
        data = data[os.write(fd, data) :]
