"""How far a transfer is: one object, handed to a callback and to `Transfer.events`.

The engine counts into it; a callback gets the same object each time, so whoever keeps it copies it.
"""

from typing import NamedTuple

from sshkit.sftp.errors import SFTPError


class Progress:
    """Bytes and files of one transfer.  `total` and `files_total` may grow while a tree is looked through."""

    __slots__ = ("done", "files", "files_total", "path", "resumed", "seconds", "started", "total")

    def __init__(self, path: str, started: float) -> None:
        self.path = path  #: the file in work; of a tree, the last that was begun
        self.done = 0  #: bytes that are where they belong, those of a resumed prefix counted
        self.total: int | None = None
        self.files = 0  #: files that are whole
        self.files_total = 0
        self.resumed = 0  #: bytes that were there already
        self.started = started  #: the clock's time
        self.seconds = 0.0  #: since then

    def __repr__(self) -> str:
        return f"<Progress {self.done} of {'?' if self.total is None else self.total}>"

    @property
    def rate(self) -> float:
        """Bytes a second so far."""
        return (self.done - self.resumed) / self.seconds if self.seconds > 0 else 0.0

    @property
    def remaining(self) -> float | None:
        """Seconds to go at this rate; None where nobody knows."""
        rate = self.rate
        return None if self.total is None or not rate else max(self.total - self.done, 0) / rate

    def copy(self) -> "Progress":
        """Return a copy that stays as it is."""
        other = Progress(self.path, self.started)
        for name in Progress.__slots__:
            setattr(other, name, getattr(self, name))
        return other


class FileError(NamedTuple):
    """One file of a tree that was not transferred."""

    path: str
    error: BaseException


class TransferResult(NamedTuple):
    """What a transfer has done."""

    size: int  #: bytes of the files
    files: int
    resumed: int  #: bytes of them that were there already
    seconds: float
    verified: str = ""  #: how: the hash's name, "contents", "size", or "" for not at all
    errors: tuple[FileError, ...] = ()


class TransferError(SFTPError, OSError):
    """A transfer that failed for another reason than a status: cut short, changed underway, not the same."""


class TreeError(TransferError):
    """Some files of a tree could not be transferred; `errors` names each, `result` tells of the others."""

    def __init__(self, message: str, result: TransferResult) -> None:
        super().__init__(message)
        self.result = result
        self.errors = result.errors
