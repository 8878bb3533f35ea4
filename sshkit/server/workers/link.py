"""A link between two processes: whole messages with descriptors, over a pair of sequential packet sockets.

Used by everything here.  A message is one packet of the kernel's: a number, then fields as in SSH (RFC 4251
section 5).  What does not fit into the socket waits, bounded.  Whoever reads checks what it reads: the other
process may be in a stranger's hands.
"""

import errno
import os
import socket
from array import array
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from sshkit_keys.errors import SSHKitError

if TYPE_CHECKING:
    from sshkit.interfaces import Reactor

MAX_MESSAGE: Final = 272 * 1024  #: bytes: a banner fits, and a packet's worth of answers
MAX_FDS: Final = 2
MAX_WAITING: Final = 4096  #: messages that wait for room; a process that takes none is given up
BUFFER: Final = 1 << 20  #: bytes asked for each socket
READS_A_TURN: Final = 64
SO_SNDBUFFORCE: Final = 32  #: Linux; beyond the limit that the system sets
_FD_SIZE = array("i").itemsize


class LinkBroken(SSHKitError):
    """The other process has gone, or does not read what it is sent."""


def pair() -> tuple[socket.socket, socket.socket]:
    """Return two linked sockets that do not block."""
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in ends:
        end.setblocking(False)
        try:
            end.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, BUFFER)
        except OSError:  # for root only
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
    return ends


class Link:
    """One end of a link on a reactor.

    `received(data, descriptors)` gets each message and owns its descriptors, of which some are missing where
    this process may not have more; an exception of its ends the link.  `ended(error)` is called once, unless
    this side closed it.
    """

    __slots__ = ("_ended", "_reactor", "_received", "_sock", "_waiting")

    def __init__(
        self,
        reactor: "Reactor",
        sock: socket.socket,
        received: Callable[[bytes, list[int]], object],
        ended: Callable[[BaseException], object],
    ) -> None:
        self._reactor = reactor
        self._sock: socket.socket | None = sock
        self._received = received
        self._ended = ended
        self._waiting: deque[tuple[bytes, tuple[int, ...]]] = deque()
        reactor.add_reader(sock.fileno(), self._read_ready)

    @property
    def closed(self) -> bool:
        """Nothing is sent or received any more."""
        return self._sock is None

    def send(self, data: bytes, fds: Sequence[int] = ()) -> None:
        """Send a message; the descriptors stay the caller's.  To a link that has ended it goes nowhere."""
        if self._sock is None:
            return
        if self._waiting or not self._send(data, fds):
            if len(self._waiting) >= MAX_WAITING:
                self._fail(LinkBroken(f"{MAX_WAITING} messages wait for a process that does not read"))
                return
            self._waiting.append((data, tuple(os.dup(fd) for fd in fds)))
            self._reactor.add_writer(self._sock.fileno(), self._write_ready)

    def close(self) -> None:
        """End it; nobody is told here."""
        sock, self._sock = self._sock, None
        if sock is not None:
            self._reactor.remove_reader(sock.fileno())
            self._reactor.remove_writer(sock.fileno())
            sock.close()
        while self._waiting:
            for fd in self._waiting.popleft()[1]:
                os.close(fd)

    def _send(self, data: bytes, fds: Sequence[int]) -> bool:
        """Return whether it was sent, or never can be."""
        assert self._sock is not None
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", fds))] if fds else []
        try:
            self._sock.sendmsg([data], ancillary)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.ENOBUFS, errno.EINTR):
                return False
            self._fail(LinkBroken(f"the other process takes nothing: {error.strerror}"))
        return True

    def _write_ready(self) -> None:
        while self._waiting and self._sock is not None:
            data, fds = self._waiting[0]
            if not self._send(data, fds):
                return
            if self._waiting:
                self._waiting.popleft()
                for fd in fds:
                    os.close(fd)
        if self._sock is not None:
            self._reactor.remove_writer(self._sock.fileno())

    def _read_ready(self) -> None:
        for _ in range(READS_A_TURN):
            sock = self._sock
            if sock is None:
                return
            try:
                data, ancillary, flags, _address = sock.recvmsg(
                    MAX_MESSAGE, socket.CMSG_SPACE(MAX_FDS * _FD_SIZE)
                )
            except BlockingIOError:
                return
            except OSError as error:
                self._fail(LinkBroken(f"the other process has gone: {error.strerror}"))
                return
            fds = _descriptors(ancillary)
            # Descriptors for which there is no room are closed by the kernel: the message comes without.
            if not data or flags & socket.MSG_TRUNC:
                for fd in fds:
                    os.close(fd)
                self._fail(LinkBroken("a message that is too long" if data else "the other process has gone"))
                return
            try:
                self._received(data, fds)
            except Exception as error:  # what came makes no sense: nothing more of it is taken
                self._fail(error)
                return

    def _fail(self, error: BaseException) -> None:
        if self._sock is not None:
            self.close()
            self._ended(error)


def _descriptors(ancillary: "list[tuple[int, int, bytes]]") -> list[int]:
    fds = array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(data[: len(data) - len(data) % _FD_SIZE])
    for fd in fds:
        os.set_inheritable(fd, False)
    return fds.tolist()
