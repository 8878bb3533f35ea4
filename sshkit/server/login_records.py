"""Who is logged in, who was, and who failed: utmp, wtmp, lastlog and btmp (utmp(5)), as sshd writes them.

`session_keeper` writes a record for each terminal that a session opens and closes, the monitor one for each
failed password.  Only files that exist are written, and never is a login refused for them.
"""

import os
import stat
import struct
import sys
from typing import TYPE_CHECKING, Final, NamedTuple

from sshkit_keys.text import printable

if TYPE_CHECKING:
    from sshkit.server.accounts import Account

LOGIN_PROCESS, USER_PROCESS, DEAD_PROCESS = 6, 7, 8
NO_TERMINAL = "ssh:notty"  #: the line of a login that failed

#: struct utmpx of glibc: most platforms keep times of 32 bits in it (unsigned here, so that they last until
#: 2106), a few do not.
_SHORT: Final = struct.Struct("=hxxi32s4s32s256shhiIi16s20s")
_LONG: Final = struct.Struct("=hxxi32s4s32s256shhqqq16s20sxxxx")
_MACHINES_WITH_LONG = frozenset(("aarch64", "alpha", "ia64", "loongarch64"))
_LASTLOG: Final = struct.Struct("=I32s256s")


class RecordFiles(NamedTuple):
    """Where they are."""

    utmp: str = "/var/run/utmp"
    wtmp: str = "/var/log/wtmp"
    btmp: str = "/var/log/btmp"
    lastlog: str = "/var/log/lastlog"


class LastLogin(NamedTuple):
    """The last time that somebody logged in."""

    when: int  #: seconds since 1970
    line: str
    host: str

    def __str__(self) -> str:
        """Return the line that sshd shows (PrintLastLog)."""
        from time import ctime

        place = f" from {printable(self.host)}" if self.host else ""
        return f"Last login: {ctime(self.when)}{place}"


class LoginRecords:
    """Writes and reads the files."""

    __slots__ = ("_entry", "_files")

    def __init__(self, files: RecordFiles = RecordFiles()) -> None:  # noqa: B008 - immutable
        self._files = files
        self._entry = _LONG if os.uname().machine in _MACHINES_WITH_LONG else _SHORT

    def opened(self, account: "Account", line: str, pid: int, host: str, when: float) -> bool:
        """Note that a session has a terminal, `line` ("pts/3"); says whether all was written."""
        entry = self._pack(USER_PROCESS, pid, line, account.name, host, when)
        written = self._put(entry), self._last(account.uid, line, host, when)
        return all(written)

    def closed(self, line: str, pid: int, when: float) -> bool:
        """Note that the terminal is closed."""
        return self._put(self._pack(DEAD_PROCESS, pid, line, "", "", when))

    def failed(self, user: str, host: str, pid: int, when: float) -> bool:
        """Note a login that failed, if the file is root's and others can neither read nor write it.

        The name may be a password that was typed too early.
        """
        entry = self._pack(LOGIN_PROCESS, pid, NO_TERMINAL, user, host, when)
        try:
            fd = os.open(self._files.btmp, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            status = os.fstat(fd)
            if status.st_uid or status.st_mode & (stat.S_IXGRP | stat.S_IRWXO):
                return False
            return os.write(fd, entry) == len(entry)
        except OSError:
            return False
        finally:
            os.close(fd)

    def last_login(self, uid: int) -> LastLogin | None:
        """Return the last login of a user, before it is overwritten by `opened`."""
        try:
            fd = os.open(self._files.lastlog, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            data = os.pread(fd, _LASTLOG.size, uid * _LASTLOG.size)
        except OSError:
            return None
        finally:
            os.close(fd)
        if len(data) != _LASTLOG.size:
            return None
        when, line, host = _LASTLOG.unpack(data)
        return LastLogin(when, _text(line), _text(host)) if when else None

    # Inside.

    def _pack(self, kind: int, pid: int, line: str, user: str, host: str, when: float) -> bytes:
        seconds = int(when)
        micro = int((when - seconds) * 1_000_000)
        identity = line.encode()[-4:]
        return self._entry.pack(
            kind,
            pid,
            line.encode(),
            identity,
            user.encode("utf-8", "replace"),
            host.encode("utf-8", "replace"),
            0,
            0,
            0,
            seconds,
            micro,
            _address(host),
            b"",
        )

    def _put(self, entry: bytes) -> bool:
        """Write an entry to utmp, in the place of the one with its line, and to the end of wtmp."""
        if not sys.platform.startswith("linux"):
            return False
        import ctypes

        libc = ctypes.CDLL(None, use_errno=True)
        libc.pututxline.restype = ctypes.c_void_p
        utmp, wtmp = (os.fsencode(path) for path in self._files[:2])
        written = True
        if os.path.exists(utmp):
            libc.utmpxname(utmp)
            libc.setutxent()
            written = bool(libc.pututxline(ctypes.c_char_p(entry)))
            libc.endutxent()
        libc.updwtmpx(wtmp, ctypes.c_char_p(entry))
        return written

    def _last(self, uid: int, line: str, host: str, when: float) -> bool:
        entry = _LASTLOG.pack(int(when), line.encode(), host.encode("utf-8", "replace"))
        try:
            fd = os.open(self._files.lastlog, os.O_WRONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return True
        except OSError:
            return False
        try:
            return os.pwrite(fd, entry, uid * _LASTLOG.size) == len(entry)
        except OSError:
            return False
        finally:
            os.close(fd)


def _text(data: bytes) -> str:
    return data.partition(b"\0")[0].decode("utf-8", "replace")


def _address(host: str) -> bytes:
    from ipaddress import ip_address

    try:
        return ip_address(host.partition("%")[0]).packed
    except ValueError:
        return b""
