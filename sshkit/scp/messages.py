"""The lines of the legacy SCP protocol, and what may stand in them.

`source` and `sink` read and write them.  Nobody wrote the protocol down; this is what BSD's rcp and OpenSSH's
scp say to each other.  A line begins with a letter and ends with a newline; an answer is one byte, followed
by a line of text unless it is 0.
"""

from typing import Final, NamedTuple

from sshkit_keys.errors import SSHKitError
from sshkit_keys.text import printable, quoted

OK: Final = b"\0"
WARNING: Final = 1
FATAL: Final = 2
END_FOLDER: Final = b"E\n"
MAX_LINE: Final = 16384  #: bytes of one line: a name of 4096 and much room for other peers' habits
MAX_SIZE: Final = (1 << 63) - 1
MAX_SECONDS: Final = (1 << 40) - 1  #: a time further off than this is nonsense
MAX_TEXT: Final = 1024  #: characters of a complaint that are shown


class SCPError(SSHKitError):
    """A copy by the legacy protocol that failed."""


class SCPProtocolError(SCPError):
    """The other side broke the protocol; the copy ends."""


class SCPConnectionLost(SCPError):
    """The other side went away before the copy was whole."""


class Entry(NamedTuple):
    """A file (C) or a folder (D) that is about to come."""

    is_folder: bool
    mode: int  #: twelve bits, as sent
    size: int
    name: bytes


class Times(NamedTuple):
    """The times of what comes next (T), in nanoseconds since 1970."""

    mtime: int
    atime: int


class EndFolder(NamedTuple):
    """The folder is complete (E)."""


class Complaint(NamedTuple):
    """Words for the user; nothing more comes after a fatal one."""

    fatal: bool
    text: str  #: escaped


Record = Entry | Times | EndFolder | Complaint


def parse(line: bytes) -> Record:
    """Return what a line without its newline says; SCPProtocolError where it says nothing."""
    kind = line[:1]
    if kind in (b"C", b"D"):
        return _entry(line)
    if kind == b"T":
        return _times(line)
    if kind == b"E" and len(line) == 1:
        return EndFolder()
    if kind in (b"\1", b"\2"):
        return Complaint(kind == b"\2", printable(line[1:], MAX_TEXT))
    raise SCPProtocolError(f"expected a control record, got {quoted(line)}")


def _entry(line: bytes) -> Entry:
    mode, space, rest = line[1:].partition(b" ")
    size, other_space, name = rest.partition(b" ")
    if not (space and other_space):
        raise SCPProtocolError(f"a control record without a name: {quoted(line)}")
    if len(mode) != 4 or any(digit not in b"01234567" for digit in mode):
        raise SCPProtocolError(f"bad mode in {quoted(line)}")
    if not size.isdigit() or len(size) > 19 or int(size) > MAX_SIZE:
        raise SCPProtocolError(f"bad size in {quoted(line)}")
    check_name(name)
    return Entry(line[:1] == b"D", int(mode, 8), int(size), name)


def check_name(name: bytes) -> None:
    """Refuse a name of the other side that is no plain component (R35)."""
    if not name or b"/" in name or b"\0" in name or name in (b".", b".."):
        raise SCPProtocolError(f"unexpected filename: {quoted(name)}")


def _times(line: bytes) -> Times:
    fields = line[1:].split(b" ")
    if len(fields) != 4 or not all(field.isdigit() and len(field) < 20 for field in fields):
        raise SCPProtocolError(f"times that are none: {quoted(line)}")
    mtime, mtime_us, atime, atime_us = (int(field) for field in fields)
    if max(mtime, atime) > MAX_SECONDS or max(mtime_us, atime_us) > 999_999:
        raise SCPProtocolError(f"times out of range: {quoted(line)}")
    return Times(mtime * 10**9 + mtime_us * 1000, atime * 10**9 + atime_us * 1000)


def format_entry(is_folder: bool, mode: int, size: int, name: bytes) -> bytes:
    """Return the line for a file or folder; a newline in the name is written as OpenSSH does, ``\\^J``."""
    letter = b"D" if is_folder else b"C"
    return b"%s%04o %d %s\n" % (letter, mode & 0o7777, size, name.replace(b"\n", b"\\^J"))


def format_times(mtime: int, atime: int) -> bytes:
    """Return the line for times in nanoseconds; times before 1970 are sent as 1970."""
    return b"T%d %d %d %d\n" % (*_split(mtime), *_split(atime))


def _split(nanoseconds: int) -> tuple[int, int]:
    return max(nanoseconds, 0) // 10**9, max(nanoseconds, 0) % 10**9 // 1000


def format_complaint(text: str, *, fatal: bool = False) -> bytes:
    """Return a complaint; the text must be printable and is cut to what fits on a line."""
    return (b"\2" if fatal else b"\1") + text.encode("utf-8", "backslashreplace")[: MAX_LINE - 2] + b"\n"
