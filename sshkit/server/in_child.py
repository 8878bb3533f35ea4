"""Work in a child process with other rights: what may block, hold locks, or must not run as root.

Called by `pam` (a dialogue of several rounds) and `keys_command` (one answer).  The child is a copy of this
process; it leads a session of its own, so that what it starts ends with it, has /dev/null for standard input
and output, and is killed when its time is over or nobody wants its answer any more.
"""

import os
import socket
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, cast

from sshkit_keys.errors import SSHKitError
from sshkit_keys.text import printable

from sshkit.deferred import Deferred

if TYPE_CHECKING:
    from sshkit.interfaces import ExitStatus, Reactor
    from sshkit.reactor.core import ReactorCore
    from sshkit.server.accounts import Account

_READ: Final = 1  #: sshkit.reactor.pollers.READ
_READ_SIZE = 64 * 1024
_HEADER = struct.Struct(">I")
_DONE, _FAULT = b"\0", b"\1"
DEFAULT_TIMEOUT = 30.0
DEFAULT_LIMIT = 64 * 1024


class ChildFailed(SSHKitError):
    """A child process of the server did not give the answer that it was made for."""


class ChildSocket:
    """The child's side: whole frames, and it waits for them."""

    __slots__ = ("_limit", "_sock")

    def __init__(self, sock: socket.socket, limit: int = DEFAULT_LIMIT) -> None:
        self._sock = sock
        self._limit = limit

    def send(self, frame: bytes) -> None:
        """Send one frame."""
        self._sock.sendall(_HEADER.pack(len(frame)) + frame)

    def receive(self) -> bytes:
        """Return the next frame; ChildFailed if the other side has gone."""
        (size,) = _HEADER.unpack(self._exactly(_HEADER.size))
        if size > self._limit:
            raise ChildFailed(f"a frame of {size} bytes, {self._limit} allowed")
        return self._exactly(size)

    def _exactly(self, size: int) -> bytes:
        parts: list[bytes] = []
        while size:
            data = self._sock.recv(size)
            if not data:
                raise ChildFailed("the server does not want an answer any more")
            parts.append(data)
            size -= len(data)
        return b"".join(parts)


class Child:
    """A running child, as its parent sees it: frames from it, frames to it, its end."""

    __slots__ = ("_buffer", "_ended", "_fault", "_limit", "_name", "_on_frame", "_reactor", "_sock", "_timer",
                 "interest", "pid")  # fmt: skip

    def __init__(
        self,
        reactor: "Reactor",
        work: Callable[[ChildSocket], int],
        on_frame: Callable[[bytes], object],
        on_end: Callable[[ChildFailed | None], object],
        *,
        account: "Account | None" = None,
        timeout: float = DEFAULT_TIMEOUT,
        limit: int = DEFAULT_LIMIT,
        name: str = "child",
    ) -> None:
        """Fork; `work` runs in the child, as `account` unless that is None, and returns its exit status.

        `on_end` is called once, with what went wrong if anything did.  `limit` is what the child may send, in
        bytes, and `timeout` what it may live, in seconds.
        """
        from sshkit.reactor.reaper import watch_exit
        from sshkit.server.workers.forking import fork

        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)

        def main() -> int:
            enter(account)
            return work(ChildSocket(theirs))

        try:
            self.pid = fork(main, (theirs.fileno(),), name)
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        ours.setblocking(False)
        self.interest = 0
        self._reactor = cast("ReactorCore", reactor)
        self._sock = ours
        self._on_frame = on_frame
        self._ended: Callable[[ChildFailed | None], object] | None = on_end
        self._name = name
        self._limit = limit
        self._buffer = bytearray()
        self._fault: ChildFailed | None = None
        self._timer = reactor.call_later(timeout, self._time_over, timeout)
        self._reactor.set_interest(ours.fileno(), self, _READ)
        watch_exit(self._reactor, self.pid, self._exited)

    def send(self, frame: bytes) -> None:
        """Send one frame; a child that does not read is killed."""
        data = _HEADER.pack(len(frame)) + frame
        try:
            sent = self._sock.send(data)
        except OSError:
            sent = 0
        if sent != len(data):
            self.kill(f"{self._name} does not read")

    def kill(self, why: str) -> None:
        """End it, and all that it has started; harmless after its end."""
        if self._ended is None:
            return
        from signal import SIGKILL

        if self._fault is None:
            self._fault = ChildFailed(why)
        for kill in (os.killpg, os.kill):  # it may not lead its group yet
            try:
                kill(self.pid, SIGKILL)
            except (ProcessLookupError, PermissionError):
                pass

    # Called by the reactor.

    def read_ready(self) -> None:
        """Something came."""
        self._read()

    def write_ready(self) -> None:
        """Never asked for."""

    def reactor_closed(self, error: BaseException) -> None:
        """End it with the reactor."""
        self.kill("the server ends")
        self._sock.close()

    # Inside.

    def _read(self) -> bool:
        """Take what has arrived; false when nothing is left or nothing more will come."""
        try:
            data = self._sock.recv(_READ_SIZE)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:
            self._reactor.set_interest(self._sock.fileno(), self, 0)
            return False
        self._limit -= len(data)
        if self._limit < 0:
            self._reactor.set_interest(self._sock.fileno(), self, 0)
            self.kill(f"{self._name} says too much")
            return False
        buffer = self._buffer
        buffer += data
        while len(buffer) >= _HEADER.size:
            (size,) = _HEADER.unpack_from(buffer)
            end = _HEADER.size + size
            if len(buffer) < end:
                break
            frame = bytes(buffer[_HEADER.size : end])
            del buffer[:end]
            if self._fault is None:
                self._on_frame(frame)
        return True

    def _time_over(self, seconds: float) -> None:
        self.kill(f"{self._name} was not done after {seconds:g} seconds")

    def _exited(self, status: "ExitStatus") -> None:
        self._timer.cancel()
        if self._sock.fileno() >= 0:
            while self._read():
                pass
            self._reactor.forget(self._sock.fileno(), self)
            self._sock.close()
        ended, self._ended = self._ended, None
        if self._fault is None and status.code:
            self._fault = ChildFailed(f"{self._name} ended with status {status.code}")
        elif self._fault is None and status.signal:
            self._fault = ChildFailed(f"{self._name} was ended by signal {status.signal}")
        assert ended is not None
        ended(self._fault)


def enter(account: "Account | None") -> None:
    """Begin as such a child: a session of its own, no standard input and output, the account's rights."""
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1):
        os.dup2(null, descriptor)
    if null > 2:
        os.close(null)
    if account is not None:
        from sshkit.server.privileges import become

        become(account)


def answer(sock: ChildSocket, work: Callable[[], bytes]) -> int:
    """Be the child of `in_child`: send what `work` returns, or why it returns nothing."""
    try:
        frame = _DONE + work()
    except SSHKitError as error:
        frame = _FAULT + str(error).encode("utf-8", "backslashreplace")
    except OSError as error:
        name = f"{printable(str(error.filename))}: " if error.filename is not None else ""
        frame = _FAULT + f"{name}{error.strerror}".encode("utf-8", "backslashreplace")
    sock.send(frame)
    return 0


def in_child(
    reactor: "Reactor",
    work: Callable[[], bytes],
    *,
    account: "Account | None" = None,
    timeout: float = DEFAULT_TIMEOUT,
    limit: int = DEFAULT_LIMIT,
    name: str = "child",
) -> Deferred[bytes]:
    """Run `work` in a child with the rights of `account` (None: this process'); fires with what it returns.

    Fails with ChildFailed, also for an error of `work` itself, or when `timeout` seconds are over; `limit` is
    what it may return, in bytes.  Cancelling kills the child.
    """
    frames: list[bytes] = []

    def ended(fault: ChildFailed | None) -> None:
        if result.called:
            return
        frame = frames[0] if frames else b""
        if fault is None and frame[:1] == _FAULT:
            fault = ChildFailed(frame[1:].decode("utf-8", "replace"))
        elif fault is None and len(frames) != 1:
            fault = ChildFailed(f"{name} gave no answer")
        if fault is not None:
            result.errback(fault)
        else:
            result.callback(frame[1:])

    child = Child(
        reactor,
        lambda sock: answer(sock, work),
        frames.append,
        ended,
        account=account,
        timeout=timeout,
        limit=limit + _HEADER.size + 1,
        name=name,
    )
    result: Deferred[bytes] = Deferred(lambda _: child.kill(f"{name} is not wanted any more"))
    return result
