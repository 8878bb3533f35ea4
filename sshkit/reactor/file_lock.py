"""A lock that other processes see: a file, held with flock(2), with the holder's process id in it.

The kernel gives the lock up when its holder ends, however it ends, so a stale file is taken over at once.
The file stays where it is: a lock whose file is removed can be held twice.
"""

import os
from errno import EAGAIN
from typing import TYPE_CHECKING

from sshkit_keys.errors import SSHKitError

from sshkit.deferred import Deferred

from .flow.wrapper import clock_of
from .text import shown, shown_error

if TYPE_CHECKING:
    from types import TracebackType

    from sshkit.interfaces import Clock, DelayedCall

#: Seconds between two looks at a lock that another process holds: it tells nobody when it goes.
LOOK_EVERY = 0.05

#: Seconds that `acquire` waits unless told otherwise.
LOCK_TIMEOUT = 30.0


class FileLocked(SSHKitError, TimeoutError):
    """Another process, or another lock of this one, holds the file; `pid` is what the file says, or None."""

    def __init__(self, message: str, pid: int | None) -> None:
        super().__init__(message)
        self.pid = pid


class FileLock:
    """``async with FileLock(path)``, or `try_acquire` and `release`."""

    __slots__ = ("_clock", "_fd", "path", "timeout")

    def __init__(
        self, path: "str | os.PathLike[str]", *, timeout: float = LOCK_TIMEOUT, clock: "Clock | None" = None
    ) -> None:
        self.path = os.fspath(path)
        self.timeout = timeout
        self._clock = clock
        self._fd = -1

    @property
    def held(self) -> bool:
        """Whether this lock is ours."""
        return self._fd >= 0

    def holder(self) -> int | None:
        """Return the process id that the file names; None where it names none.  It may be of long ago."""
        try:
            with open(self.path, "rb") as file:
                text = file.read(20).strip()
        except OSError:
            return None
        return int(text) if text.isdigit() else None

    def try_acquire(self) -> bool:
        """Take the lock if it is free; False where another holds it.  OSError if the file cannot be made."""
        import fcntl

        if self._fd >= 0:
            return False
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        fd = os.open(self.path, flags, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)  # of this opening: it excludes our own process too
            os.ftruncate(fd, 0)
            os.pwrite(fd, b"%d\n" % os.getpid(), 0)
        except OSError as error:
            os.close(fd)
            if error.errno == EAGAIN:
                return False
            raise
        self._fd = fd
        return True

    def acquire(self) -> Deferred[None]:
        """Fire when the lock is ours; fails with FileLocked after `timeout` seconds, OSError for the file."""
        clock = clock_of(self._clock)
        end = clock.seconds() + self.timeout
        waiting = _Waiting(self)

        def look() -> None:
            try:
                if self.try_acquire():
                    waiting.callback(None)
                    return
            except OSError as error:
                place = OSError(error.errno, f"cannot lock {shown(self.path)}: {shown_error(error)}")
                waiting.errback(place)
                return
            left = end - clock.seconds()
            if left <= 0:
                pid = self.holder()
                who = "another" if pid is None else f"process {pid}"
                text = f"{shown(self.path)} is locked by {who}, also after {self.timeout:g} seconds"
                waiting.errback(FileLocked(text, pid))
                return
            waiting.call = clock.call_later(min(LOOK_EVERY, left), look)

        look()
        return waiting

    def release(self) -> None:
        """Give the lock up; harmless when it is not held."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            try:
                os.ftruncate(fd, 0)
            finally:
                os.close(fd)

    async def __aenter__(self) -> "FileLock":
        await self.acquire()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: "TracebackType | None"
    ) -> None:
        self.release()


class _Waiting(Deferred[None]):
    """A wait for the lock; gives it back when whoever waited was cancelled in the last moment."""

    __slots__ = ("_lock", "call")

    def __init__(self, lock: FileLock) -> None:
        super().__init__(self._stop)
        self._lock = lock
        self.call: DelayedCall | None = None

    @staticmethod
    def _stop(deferred: Deferred[None]) -> None:
        assert isinstance(deferred, _Waiting)
        if deferred.call is not None:
            deferred.call.cancel()

    def undelivered(self, value: None) -> None:
        """Nobody has it."""
        self._lock.release()
