"""Waiting for children, one by one: by a pidfd where the platform has them, else in a thread.

No SIGCHLD handler: it would work in the main thread only, and fight with other libraries' handlers.  A child
is looked at without being taken (waitid with WNOWAIT), and taken (reaped) where signals are sent, under one
lock: so a signal never reaches another process that got the number meanwhile.  Called by `processes`, and by
whoever forks.
"""

import os
from _thread import RLock
from collections.abc import Callable
from typing import TYPE_CHECKING

from sshkit.interfaces.process import ExitStatus

from .pollers import READ

if TYPE_CHECKING:
    from .core import ReactorCore

#: Seconds between two looks at a child, the first and the longest, on a system where waiting is taking.
FIRST_LOOK = 0.001
LAST_LOOK = 0.1

_SIGKILL = 9


class ChildWatch:
    """A child whose end is awaited.  `callback` gets its status once, in the reactor's thread."""

    __slots__ = (
        "_callback",
        "_fd",
        "_found",
        "_held",
        "_lock",
        "_reactor",
        "_taken",
        "interest",
        "pid",
        "status",
    )

    def __init__(
        self, reactor: "ReactorCore", pid: int, fd: int, callback: Callable[[ExitStatus], object]
    ) -> None:
        self._reactor = reactor
        self._callback = callback
        self._fd = fd  # -1: a thread waits
        self._found: ExitStatus | None = None  # by a thread that could not look without taking
        self._held = False
        self._lock = RLock()  # a signal handler of the program may send a signal in the midst of anything
        self._taken = False
        self.pid = pid
        self.status: ExitStatus | None = None  #: how it ended, once that was told
        self.interest = 0
        if fd >= 0:
            reactor.set_interest(fd, self, READ)
        else:
            self._in_thread(self._wait)

    def read_ready(self) -> None:
        """The child has ended, unless it only looks so."""
        self.ended()

    def write_ready(self) -> None:
        """Never asked for."""

    def ended(self) -> None:
        """Take the child, unless it is held, and tell its status."""
        with self._lock:
            status = self._found or look(self.pid)
            if self.status is not None or status is None:
                return
            if not self._held:
                self._take()
        self._tell(status)

    def _tell(self, status: ExitStatus) -> None:
        if self._fd >= 0:
            self._reactor.forget(self._fd, self)
            if self._held:
                self._reactor.pollables[self._fd] = self  # so that closing the reactor finds it
            else:
                self._close()
        self.status = status
        self._callback(status)

    def _close(self) -> None:
        if self._fd >= 0:
            self._reactor.forget(self._fd, self)
            os.close(self._fd)
            self._fd = -1

    def _take(self) -> None:
        if not self._taken:
            self._taken = True
            reap(self.pid, os.WNOHANG)

    def hold(self) -> None:
        """Keep the number of the child, and so of the group that it leads, after its end, until `let_go`.

        Its group is being ended: a reactor that closes meanwhile kills it.
        """
        self._held = True

    def let_go(self) -> None:
        """Give the number back when the child has ended; at once if it has."""
        with self._lock:
            self._held = False
            if self.status is None:
                return
            self._take()
            self._close()

    def signal(self, number: int, group: bool) -> bool:
        """Send a signal to the child, or to the group that it leads; False when nobody is there any more."""
        with self._lock:
            if self._taken:
                return False
            try:
                if self._fd >= 0:
                    from signal import pidfd_send_signal

                    # Somebody else may have reaped it: then the descriptor knows, and the number does not.
                    pidfd_send_signal(self._fd, 0 if group else number)
                    if not group:
                        return True
                (os.killpg if group else os.kill)(self.pid, number)
            except ProcessLookupError:
                return False
            return True

    def reactor_closed(self, error: BaseException) -> None:
        """Leave a child that still runs to a thread, so that it does not stay a zombie."""
        with self._lock:
            if self._held:
                self._held = False
                self.signal(_SIGKILL, True)
            status = self.status or look(self.pid)
            if status is not None:
                self._take()
            else:
                self._taken = True  # soon, by the thread: no signals any more
                self._in_thread(lambda: reap(self.pid, 0))
        if self.status is None:
            self._tell(status or ExitStatus())
        else:
            self._close()

    # -- in a thread ------------------------------------------------------------------------------

    def _in_thread(self, target: Callable[[], object]) -> None:
        import threading

        threading.Thread(target=target, name="sshkit-reaper", daemon=True).start()

    def _wait(self) -> None:
        """Wait for the end, take the child unless it is held, and have the reactor's thread tell."""
        from .errors import ReactorClosed

        if hasattr(os, "waitid"):
            found = look(self.pid, wait=True)
            with self._lock:  # here already: the reactor may close before it comes to what it is asked
                self._found = found
                if not self._held:
                    self._take()
        else:
            self._found = self._wait_and_take()
        try:
            self._reactor.call_from_thread(self.ended)
        except (ReactorClosed, RuntimeError):  # nobody is there to hear it
            with self._lock:
                self._take()

    def _wait_and_take(self) -> ExitStatus:
        """Ask again and again, so that the lock is free meanwhile."""
        from time import sleep

        pause = FIRST_LOOK
        while True:
            with self._lock:
                status = reap(self.pid, os.WNOHANG)
                if status is not None:
                    self._taken = True
                    return status
            sleep(pause)
            pause = min(2 * pause, LAST_LOOK)


def watch_exit(reactor: "ReactorCore", pid: int, callback: Callable[[ExitStatus], object]) -> ChildWatch:
    """Reap the child `pid` when it ends, and call `callback` in the reactor's thread."""
    try:
        fd = os.pidfd_open(pid)
    except (AttributeError, OSError):  # another system, an old kernel, a sandbox, or no descriptor left
        fd = -1
    return ChildWatch(reactor, pid, fd, callback)


def look(pid: int, wait: bool = False) -> ExitStatus | None:
    """Return how a child ended, without taking it; None while it runs, empty if it is not (any more) ours.

    A child that was stopped or continued has not ended.
    """
    try:
        info = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | (0 if wait else os.WNOHANG))
    except ChildProcessError:
        return ExitStatus()
    if info is None:
        return None
    if info.si_code == os.CLD_EXITED:
        return ExitStatus(code=info.si_status)
    return ExitStatus(signal=info.si_status, core_dumped=info.si_code == os.CLD_DUMPED)


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
