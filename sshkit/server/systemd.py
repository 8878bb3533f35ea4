"""Living under systemd: sockets that it opened, and what it wants to be told.

Called by the daemon at its start, at a reload and at its end.  The protocols are those of sd_listen_fds(3)
and sd_notify(3); neither needs a library.
"""

import os
import socket
import stat
from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Final, NamedTuple

from sshkit_keys.errors import SSHKitError
from sshkit_keys.text import printable

if TYPE_CHECKING:
    from sshkit.interfaces import Clock, DelayedCall

FIRST_FD: Final = 3  #: SD_LISTEN_FDS_START
MAX_FDS: Final = 1024
MICROSECONDS: Final = 1_000_000


class PassedSocketError(SSHKitError):
    """systemd passed something that is no socket to listen at."""


class PassedSocket(NamedTuple):
    """A socket that systemd opened for us.  `name` is its FileDescriptorName."""

    name: str
    sock: socket.socket
    is_listening: bool  #: else it is one connection (Accept=yes)


def listen_fds(
    environment: MutableMapping[str, str] = os.environ, first: int = FIRST_FD
) -> tuple[PassedSocket, ...]:
    """Return the sockets that were passed to this very process; children see nothing of them.

    PassedSocketError where one is none.
    """
    process = environment.pop("LISTEN_PID", "")
    count_text = environment.pop("LISTEN_FDS", "")
    names = environment.pop("LISTEN_FDNAMES", "").split(":")
    if process != str(os.getpid()) or not count_text.isdecimal():
        return ()
    count = int(count_text)
    if count > MAX_FDS:
        raise PassedSocketError(f"LISTEN_FDS={count}: at most {MAX_FDS} sockets are taken")
    found = []
    for index in range(count):
        name = names[index] if index < len(names) and names[index] else "unknown"
        found.append(PassedSocket(name, *_socket(first + index, name)))
    return tuple(found)


def _socket(descriptor: int, name: str) -> tuple[socket.socket, bool]:
    try:
        os.set_inheritable(descriptor, False)
        if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            raise PassedSocketError(f"descriptor {descriptor} ({printable(name)}) is no socket")
    except OSError as error:
        raise PassedSocketError(f"descriptor {descriptor} ({printable(name)}): {error.strerror}") from error
    sock = socket.socket(fileno=descriptor)
    if sock.type != socket.SOCK_STREAM:
        sock.detach()  # not ours to close
        raise PassedSocketError(f"descriptor {descriptor} ({printable(name)}) is no stream socket")
    sock.setblocking(False)
    return sock, bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))


class Notifier:
    """Tells systemd how the service is.  Does nothing where nobody asked for it."""

    __slots__ = ("_address", "_timer", "watchdog")

    def __init__(self, environment: MutableMapping[str, str] = os.environ) -> None:
        """Take what is meant for us out of the environment: children are not the service."""
        address = environment.pop("NOTIFY_SOCKET", "")
        process = environment.pop("WATCHDOG_PID", "")
        microseconds = environment.pop("WATCHDOG_USEC", "")
        # Only paths and abstract names are known here; others (vsock) are of virtual machines.
        self._address = address if address[:1] in ("/", "@") else ""
        if self._address.startswith("@"):
            self._address = f"\0{self._address[1:]}"
        #: Seconds within which systemd wants a sign of life; 0: it does not.
        self.watchdog = 0.0
        if microseconds.isdecimal() and process in ("", str(os.getpid())):
            self.watchdog = int(microseconds) / MICROSECONDS
        self._timer: DelayedCall | None = None

    def notify(self, *lines: str) -> bool:
        """Send assignments, such as "READY=1"; say whether somebody was there to take them."""
        if not self._address:
            return False
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                sock.setblocking(False)
                sock.sendto("\n".join(lines).encode(), self._address)
        except OSError:  # a manager that has gone must not end the service
            return False
        return True

    def ready(self, status: str = "") -> bool:
        """Tell that the service serves: after the start, and again after a reload."""
        return self.notify("READY=1", *self._status(status), f"MAINPID={os.getpid()}")

    def reloading(self) -> bool:
        """Tell that the configuration is being read again; `ready` ends that."""
        from time import CLOCK_MONOTONIC, clock_gettime_ns

        return self.notify("RELOADING=1", f"MONOTONIC_USEC={clock_gettime_ns(CLOCK_MONOTONIC) // 1000}")

    def stopping(self, status: str = "") -> bool:
        """Tell that the service ends."""
        return self.notify("STOPPING=1", *self._status(status))

    def status(self, text: str) -> bool:
        """Tell in words how the service is."""
        return self.notify(*self._status(text))

    def start_watchdog(self, clock: "Clock") -> None:
        """Give a sign of life twice in each of the watchdog's times, as long as the reactor turns."""
        if self.watchdog and self._address:
            self._beat(clock)

    def stop_watchdog(self) -> None:
        """Give no more signs of life."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _beat(self, clock: "Clock") -> None:
        self.notify("WATCHDOG=1")
        self._timer = clock.call_later(self.watchdog / 2, self._beat, clock)

    def _status(self, text: str) -> tuple[str, ...]:
        return (f"STATUS={printable(text)}",) if text else ()
