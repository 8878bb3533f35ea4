"""Waiting for children, one by one: by a pidfd where the platform has them, else in a thread.

No SIGCHLD handler: it would work in the main thread only, and fight with other libraries' handlers.
Called by `processes`.
"""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from sshkit.interfaces.process import ExitStatus

from .pollers import READ

if TYPE_CHECKING:
    from .core import ReactorCore


class PidWatch:
    """A pidfd in the loop."""

    __slots__ = ("_callback", "_fd", "_pid", "_reactor", "interest")

    def __init__(
        self, reactor: "ReactorCore", pid: int, fd: int, callback: Callable[[ExitStatus], None]
    ) -> None:
        self._reactor = reactor
        self._pid = pid
        self._fd = fd
        self._callback = callback
        self.interest = 0
        reactor.set_interest(fd, self, READ)

    def read_ready(self) -> None:
        """The process has ended."""
        status = reap(self._pid, os.WNOHANG)
        if status is not None:
            self._reactor.forget(self._fd, self)
            os.close(self._fd)
            self._callback(status)

    def write_ready(self) -> None:
        """Never asked for."""

    def reactor_closed(self, error: BaseException) -> None:
        """Leave a child that still runs to a thread, so that it does not stay a zombie."""
        os.close(self._fd)
        status = reap(self._pid, os.WNOHANG)
        if status is None:
            import threading

            threading.Thread(target=reap, args=(self._pid, 0), name="sshkit-reaper", daemon=True).start()
        self._callback(status or ExitStatus())


def watch_exit(reactor: "ReactorCore", pid: int, callback: Callable[[ExitStatus], None]) -> None:
    """Reap the child `pid` when it ends, and call `callback` in the reactor's thread."""
    try:
        fd = os.pidfd_open(pid)
    except (AttributeError, OSError):  # another system, an old kernel, a sandbox, or no descriptor left
        watch_in_thread(reactor, pid, callback)
    else:
        PidWatch(reactor, pid, fd, callback)


def watch_in_thread(reactor: "ReactorCore", pid: int, callback: Callable[[ExitStatus], None]) -> None:
    """The same with a thread that waits: one a child, for a child may live long."""
    import threading

    from .errors import ReactorClosed

    def wait() -> None:
        status = reap(pid, 0)
        try:
            reactor.call_from_thread(callback, status)
        except ReactorClosed:
            pass

    threading.Thread(target=wait, name="sshkit-reaper", daemon=True).start()


def reap(pid: int, flags: int) -> ExitStatus | None:
    """Take a child's status; None while it runs, empty if somebody else took it."""
    try:
        reaped, status = os.waitpid(pid, flags)
    except ChildProcessError:
        return ExitStatus()
    if not reaped:
        return None
    if os.WIFSIGNALED(status):
        return ExitStatus(signal=os.WTERMSIG(status), core_dumped=os.WCOREDUMP(status))
    return ExitStatus(code=os.WEXITSTATUS(status))
