"""Lines as of ``ls -l`` and packets of names, as a server makes them (secsh-filexfer-02 section 7).

`SFTPServer` answers READDIR, READLINK and REALPATH with them.  Clients show the line to people and
some read it, so its columns are those of OpenSSH's server.
"""

from collections.abc import Callable
from stat import filemode
from struct import Struct
from typing import TYPE_CHECKING

from sshkit.sftp.attributes import Attributes
from sshkit.sftp.messages import ATTRS, NAME

if TYPE_CHECKING:
    from sshkit.sftp.backends.interface import Backend, Entry, Found

#: Entries of one answer: about 60 KiB with usual names (some clients take no more than 64 KiB), and at most
#: 256 KiB where every name has 255 bytes.  They take a few milliseconds, so nobody waits long for them.
MAX_NAMES = 400
HALF_A_YEAR = 365 * 24 * 60 * 60 // 2
_MAX_DATES = 4096
_MAX_TIME = 0xFFFFFFFF
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_U32 = Struct(">I")
_HEAD = Struct(">IBII")
_ATTRIBUTES = Struct(">IQIIIII")  # flags and every plain field
_ATTRS_PACKET = Struct(">IBIIQIIIII")
_ALL = 15  # the flags of all of them
_pack_attributes, _pack_u32 = _ATTRIBUTES.pack, _U32.pack


def pack_attributes(found: "Found") -> bytes:
    """Return the wire form of attributes."""
    if isinstance(found, Attributes):
        return found.encode()
    atime, mtime = found[7], found[8]
    if not (0 <= atime <= _MAX_TIME and 0 <= mtime <= _MAX_TIME):
        return Attributes.from_stat(found).encode()
    return _pack_attributes(_ALL, found[6], found[4], found[5], found[0], atime, mtime)


def pack_found(number: int, found: "Found") -> bytes:
    """Return one ATTRS packet."""
    if not isinstance(found, Attributes):
        atime, mtime = found[7], found[8]
        if 0 <= atime <= _MAX_TIME and 0 <= mtime <= _MAX_TIME:
            return _ATTRS_PACKET.pack(
                37, ATTRS, number, _ALL, found[6], found[4], found[5], found[0], atime, mtime
            )
    body = pack_attributes(found)
    return _HEAD.pack(5 + len(body), ATTRS, number, 0)[:9] + body


def pack_name(number: int, name: bytes) -> bytes:
    """Return one NAME packet with a single path, as for REALPATH; the line is the path, attributes empty."""
    return b"".join(
        (_HEAD.pack(21 + 2 * len(name), NAME, number, 1), _pack_u32(len(name)), name,
         _pack_u32(len(name)), name, b"\0\0\0\0")
    )  # fmt: skip


class Listing:
    """Makes the lines; remembers how often-used owners and dates look."""

    __slots__ = ("_backend", "_dates", "_now", "_owners")

    def __init__(self, backend: "Backend", now: Callable[[], float]) -> None:
        """`now` gives seconds since 1970."""
        self._backend = backend
        self._now = now
        self._owners: dict[tuple[int, int], str] = {}
        self._dates: dict[int, str] = {}

    def pack(self, number: int, entries: "list[Entry]") -> bytes:
        """Return one NAME packet."""
        parts = [b""]
        append = parts.append
        self._dates.clear()
        for name, found in entries:
            line = self.line(name, found)
            append(_pack_u32(len(name)))
            append(name)
            append(_pack_u32(len(line)))
            append(line)
            append(pack_attributes(found))
        size = sum(map(len, parts))
        parts[0] = _HEAD.pack(9 + size, NAME, number, len(entries))
        return b"".join(parts)

    def line(self, name: bytes, found: "Found") -> bytes:
        """Return the line of one entry: mode, links, owner, group, size, date, name."""
        if isinstance(found, Attributes):
            if found.permissions is None and found.size is None:
                return name
            found = found.to_stat()
        mode, links, uid, gid, size, mtime = found[0], found[3], found[4], found[5], found[6], int(found[8])
        owners = self._owners.get((uid, gid)) or self._owner(uid, gid)
        date = self._dates.get(mtime) or self._date(mtime)
        return f"{filemode(mode)} {links:3d} {owners} {size:8d} {date} ".encode("utf-8", "replace") + name

    def _owner(self, uid: int, gid: int) -> str:
        user = self._backend.user_name(uid) or str(uid)
        group = self._backend.group_name(gid) or str(gid)
        if len(self._owners) >= _MAX_DATES:
            self._owners.clear()
        text = self._owners[uid, gid] = f"{user:<8} {group:<8}"
        return text

    def _date(self, mtime: int) -> str:
        from datetime import datetime

        try:
            when = datetime.fromtimestamp(mtime)
        except (OverflowError, OSError, ValueError):
            return f"{mtime:>12}"
        now = self._now()
        recent = now - HALF_A_YEAR < mtime <= now
        tail = f"{when.hour:02d}:{when.minute:02d}" if recent else f"{when.year:5d}"
        text = self._dates[mtime] = f"{_MONTHS[when.month - 1]} {when.day:2d} {tail}"
        return text
