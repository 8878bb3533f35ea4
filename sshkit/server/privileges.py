"""Rights of a process: acting as a user for a moment, and becoming one for good.

Called by the parts of sshkit-server that root runs.  `acting_as` is for a process with one thread that works:
the rights belong to all of it.
"""

import os
import stat
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sshkit_keys.errors import SSHKitError
from sshkit_keys.text import printable

if TYPE_CHECKING:
    from sshkit.server.accounts import Account

_PR_SET_DUMPABLE = 4
_PR_SET_NO_NEW_PRIVS = 38
_CLONE_NEWNET = 0x40000000


class RightsNotGiven(SSHKitError):
    """The system does not let the server have the rights that it needs, or keeps it from giving them up."""


@contextmanager
def acting_as(account: "Account") -> Iterator[None]:
    """Have the rights of `account` inside; nothing changes where this process is not root, or is that one."""
    uid = os.geteuid()
    if uid or account.uid == uid:
        yield
        return
    gid, groups = os.getegid(), os.getgroups()
    try:
        os.setgroups(os.getgrouplist(account.name, account.gid))
        os.setegid(account.gid)
        os.seteuid(account.uid)
        yield
    finally:
        os.seteuid(uid)
        os.setegid(gid)
        os.setgroups(groups)


def become(account: "Account", groups: Sequence[int] = ()) -> None:
    """Take the account's user, group and groups for good; raises RightsNotGiven.

    `groups` are those that PAM's modules have given it; without them they are the system's.  Where this
    process is not root it has to be that user already.
    """
    try:
        if os.geteuid() == 0:
            if groups:
                os.setgroups(groups)
            else:
                os.initgroups(account.name, account.gid)
            os.setresgid(account.gid, account.gid, account.gid)
            os.setresuid(account.uid, account.uid, account.uid)
    except OSError as error:
        raise RightsNotGiven(f"cannot become {printable(account.name)}: {error.strerror}") from None
    if os.getresuid() != (account.uid,) * 3:
        raise RightsNotGiven(f"user {os.geteuid()} cannot become {printable(account.name)}")
    if account.uid and _may_be_root():
        raise RightsNotGiven(f"the rights of root did not go with becoming {printable(account.name)}")


def _may_be_root() -> bool:
    try:
        os.setuid(0)
    except OSError:
        return False
    return True


def confine() -> None:
    """Give up what a process that speaks with strangers never needs; what the system does not know stays.

    No program that it starts gains rights, and it has no network but the sockets that it has or is handed.
    To be called before `become`, after which nobody of its user may look into it.
    """
    from resource import RLIMIT_CORE, setrlimit

    setrlimit(RLIMIT_CORE, (0, 0))
    if sys.platform != "linux":
        return
    import ctypes

    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if os.geteuid() == 0:
        libc.unshare(_CLONE_NEWNET)  # a container may forbid it: then the network stays


def change_root(path: str) -> None:
    """Have another root directory; raises RightsNotGiven.

    Each folder on the way to it belongs to root and is writable by nobody else, as sshd demands: else the
    user could make a root that fools programs with more rights.
    """
    if not path.startswith("/"):
        raise RightsNotGiven(f"ChrootDirectory {printable(path)}: not an absolute path")
    parts = [part for part in path.split("/") if part]
    for count in range(len(parts) + 1):
        place = "/" + "/".join(parts[:count])
        try:
            status = os.stat(place)
        except OSError as error:
            raise RightsNotGiven(f"ChrootDirectory {printable(place)}: {error.strerror}") from None
        if not stat.S_ISDIR(status.st_mode):
            raise RightsNotGiven(f"ChrootDirectory {printable(place)}: not a folder")
        if status.st_uid or status.st_mode & 0o022:
            raise RightsNotGiven(f"ChrootDirectory {printable(place)}: not root's, or others may write there")
    try:
        os.chdir(path)
        os.chroot(path)
        os.chdir("/")
    except OSError as error:
        raise RightsNotGiven(f"ChrootDirectory {printable(path)}: {error.strerror}") from None


def hide() -> None:
    """Let nobody of the same user look into this process' memory."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
