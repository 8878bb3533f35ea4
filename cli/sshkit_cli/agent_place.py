"""Where sshkit-agent puts its socket, and how sockets of dead agents are cleaned away.

Called by `agent` and `agent_run`.  The place is ~/.ssh/agent, as in OpenSSH 10.1; with -T, or where the home
directory cannot be used, a folder of its own in TMPDIR, as before.  Names hold a hash of the host's name, so
that a home shared by several hosts is cleaned by each of its own only.
"""

import os
import socket
import stat
from typing import NamedTuple

FOLDER = os.path.join(".ssh", "agent")
MAX_PATH = 100  #: bytes; the system's limit for a socket's path is 104 to 108
_TAG = ".agent."


class Place(NamedTuple):
    """Where an agent listens, and the folder to remove with it."""

    path: str
    own_folder: str = ""

    def remove_folder(self) -> None:
        """Remove the folder that was made for the socket, which is gone by now."""
        if self.own_folder:
            try:
                os.rmdir(self.own_folder)
            except OSError:
                pass  # somebody has put something into it


def choose(home: str, in_temporary: bool) -> Place:
    """Return a new place, with its folder made."""
    if not in_temporary:
        folder = os.path.join(home, FOLDER)
        path = os.path.join(folder, f"s.{_word()}{_TAG}{_host()}")
        if len(os.fsencode(path)) <= MAX_PATH and _make_folder(home, folder):
            return Place(path)
    from tempfile import mkdtemp

    own = mkdtemp(prefix="ssh-", dir=os.path.abspath(os.environ.get("TMPDIR") or "/tmp"))
    return Place(os.path.join(own, f"agent.{os.getpid()}"), own)


def _make_folder(home: str, folder: str) -> bool:
    """Make ~/.ssh/agent for the user alone; False where that cannot be."""
    if not os.path.isdir(home):
        return False
    try:
        os.makedirs(os.path.dirname(folder), 0o700, exist_ok=True)
        os.makedirs(folder, 0o700, exist_ok=True)
        status = os.stat(folder, follow_symlinks=False)
    except OSError:
        return False
    mine = stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()
    if mine and stat.S_IMODE(status.st_mode) & 0o077:
        os.chmod(folder, 0o700)
    return mine


def clean(home: str, every_host: bool = False) -> int:
    """Remove the sockets at which no agent listens any more; returns how many there were."""
    folder = os.path.join(home, FOLDER)
    count = 0
    try:
        names = os.listdir(folder)
    except OSError:
        return 0
    for name in names:
        tag = name.rpartition(_TAG)
        if name.startswith("s.") and tag[1] and (every_host or tag[2] == _host()):
            count += _remove_stale(os.path.join(folder, name))
    return count


def _remove_stale(path: str) -> bool:
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            return False
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.setblocking(False)
            try:
                probe.connect(path)
            except ConnectionRefusedError:
                os.unlink(path)
                return True
    except OSError:
        pass  # somebody listens and is busy, or has just removed it
    return False


def _word() -> str:
    return os.urandom(5).hex()


def _host() -> str:
    from hashlib import sha256

    return sha256(os.uname().nodename.encode("utf-8", "surrogateescape")).hexdigest()[:10]
