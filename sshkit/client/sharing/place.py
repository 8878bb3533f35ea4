"""The control socket in the file system: found, judged and made (ssh_config(5), ControlPath).

Called by `rider` and `proxied`, which connect to one, and by `master`, which makes one.  Whoever can write to
it can use the connection behind it: it has mode 0600 from its first moment, and neither a socket nor a
process of another user is talked to.
"""

import errno
import os
import socket
import stat
from binascii import hexlify
from struct import Struct

from sshkit_keys.text import printable

from sshkit.client.sharing.errors import ForeignSocket, NoMaster, SharingError

SOCKET_MODE = 0o600
BACKLOG = 64
MAX_PATH = 107  #: bytes of a socket's path on Linux, without the NUL
_CREDENTIALS = Struct("iII")  # struct ucred of Linux: pid, uid, gid


def connect_control(path: str, *, blocking: bool = True) -> socket.socket:
    """Return a socket that is connected to the master at `path`; NoMaster or ForeignSocket where none is."""
    shown = printable(path, 4096)
    check_length(path)
    try:
        status = os.stat(path)
    except FileNotFoundError:
        raise NoMaster(f"control socket {shown}: No such file or directory", missing=True) from None
    except OSError as error:
        raise NoMaster(f"control socket {shown}: {error.strerror}") from None
    if not stat.S_ISSOCK(status.st_mode):
        raise SharingError(f"control socket {shown}: not a socket")
    if status.st_uid not in (0, os.geteuid()):
        raise ForeignSocket(f"control socket {shown}: belongs to user {status.st_uid}")
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.setblocking(blocking)  # not blocking, it connects at once or fails
        sock.connect(path)
    except OSError as error:
        sock.close()
        stale = error.errno == errno.ECONNREFUSED
        missing = error.errno == errno.ENOENT
        raise NoMaster(f"control socket {shown}: {error.strerror}", stale=stale, missing=missing) from None
    if not is_ours(sock):
        sock.close()
        raise ForeignSocket(f"control socket {shown}: another user's process listens there")
    return sock


def is_ours(sock: socket.socket) -> bool:
    """Tell whether the process at the other end is this user's, or root's; True where nobody can tell."""
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:  # not Linux: there the socket's mode keeps others out
        return True
    _, uid, _ = _CREDENTIALS.unpack(sock.getsockopt(socket.SOL_SOCKET, option, _CREDENTIALS.size))
    return uid in (0, os.geteuid())


def remove_stale(path: str) -> bool:
    """Remove a socket of this user behind which nobody listens any more; tell whether there was one."""
    try:
        status = os.lstat(path)
        if not stat.S_ISSOCK(status.st_mode) or status.st_uid != os.geteuid():
            return False
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.setblocking(False)
            sock.connect(path)
    except ConnectionRefusedError:
        os.unlink(path)
        return True
    except OSError:
        pass
    return False


class ControlSocket:
    """A listening control socket; `remove` takes its name away, but never another's that has it by now."""

    __slots__ = ("_identity", "path", "sock")

    def __init__(self, sock: socket.socket, path: str) -> None:
        self.sock = sock
        self.path = path
        status = os.lstat(path)
        self._identity = (status.st_dev, status.st_ino)

    def remove(self) -> None:
        path, self.path = self.path, ""
        if not path:
            return
        try:
            status = os.lstat(path)
            if (status.st_dev, status.st_ino) == self._identity:
                os.unlink(path)
        except OSError:  # somebody was faster
            pass

    def close(self) -> None:
        """Listen no more."""
        self.remove()
        self.sock.close()


def listen_control(path: str) -> ControlSocket:
    """Listen at `path`, which appears when the socket already listens; SharingError if the name is taken.

    A socket that nobody listens behind any more does not count.
    """
    check_length(path)
    remove_stale(path)
    shown = printable(path, 4096)
    temporary = f"{path}.{hexlify(os.urandom(8)).decode('ascii')}"
    check_length(temporary)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        os.fchmod(sock.fileno(), SOCKET_MODE)  # Linux makes the file with it: there is no moment with more
        sock.bind(temporary)
        try:
            os.chmod(temporary, SOCKET_MODE)
            sock.listen(BACKLOG)
            os.link(temporary, path)
        finally:
            os.unlink(temporary)
        return ControlSocket(sock, path)
    except FileExistsError:
        sock.close()
        raise SharingError(f"control socket {shown} exists already; the connection is not shared") from None
    except OSError as error:
        sock.close()
        raise SharingError(f"control socket {shown}: {error.strerror}") from None


def check_length(path: str) -> None:
    """Refuse a path that fits into no socket address."""
    size = len(os.fsencode(path))
    if size > MAX_PATH:
        raise SharingError(
            f"control socket {printable(path, 4096)}: {size} bytes, {MAX_PATH} are possible (%C is short)"
        )
