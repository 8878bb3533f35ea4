"""How sshkit-sftp shows files: ls in columns and in long form, and df.

The forms are those of OpenSSH's sftp, since scripts read them.  Names are escaped: they are a peer's (R36).
"""

import os
import stat
from typing import TYPE_CHECKING

from .sftp_remote import shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sshkit.sftp.attributes import Attributes
    from sshkit.sftp.client_requests import StatVFS

HALF_A_YEAR = 365 * 24 * 60 * 60 // 2
WIDTH = 80  #: columns where there is no terminal


def terminal_width(fd: int = 0) -> int:
    """Return the columns of the terminal at a descriptor."""
    try:
        return os.get_terminal_size(fd).columns or WIDTH
    except OSError:
        return WIDTH


def columns(names: list[str], longest: int, width: int) -> str:
    """Return names in columns, in the order of reading."""
    count = max(width // (longest + 2), 1)
    space = min(width // count, width)
    out: list[str] = []
    for index, name in enumerate(names, 1):
        out.append(name.ljust(space))
        if index % count == 0:
            out.append("\n")
    if len(names) % count:
        out.append("\n")
    return "".join(out)


def long_line(
    name: str,
    found: "Attributes",
    now: float,
    *,
    human: bool = False,
    users: "Mapping[int, str] | None" = None,
    groups: "Mapping[int, str] | None" = None,
) -> str:
    """Return one line of ls -l; a server does not say how many names a file has, hence the ?."""
    import time

    user = (users or {}).get(found.uid or 0) or str(found.uid or 0)
    group = (groups or {}).get(found.gid or 0) or str(found.gid or 0)
    when = ""
    if found.mtime is not None:
        form = "%b %e %H:%M" if now - HALF_A_YEAR < found.mtime <= now else "%b %e  %Y"
        when = time.strftime(form, time.localtime(found.mtime))
    size = scaled(found.size or 0) if human else str(found.size or 0)
    mode = stat.filemode(found.permissions or 0)
    return f"{mode} {'?':>4} {shown(user):<8} {shown(group):<8} {size:>8} {when} {name}"


def scaled(number: int) -> str:
    """Return a number of bytes in at most five characters: 37B, 4.0K, 123M."""
    unit = 0
    while number >= 1024 ** (unit + 1) and unit < 6:
        unit += 1
    whole, rest = divmod(number, 1024**unit)
    tenth = (rest * 10 + 1024**unit // 2) // 1024**unit
    if tenth == 10:
        whole, tenth = whole + 1, 0
    letter = "BKMGTPE"[unit]
    if unit == 0 or whole >= 100:
        return f"{whole + (1 if tenth >= 5 else 0)}{letter}"
    return f"{whole}.{tenth}{letter}"


def df(found: "StatVFS", *, human: bool, inodes: bool) -> str:
    """Return what df prints."""

    def percent(total: int, free: int) -> str:
        return f"{100 * (total - free) // total:3d}%" if total else "ERR"

    if inodes:
        used = found.f_files - found.f_ffree
        return (
            "     Inodes        Used       Avail      (root)    %Capacity\n"
            f"{found.f_files:11d} {used:11d} {found.f_favail:11d} {found.f_ffree:11d}         "
            f"{percent(found.f_files, found.f_ffree)}\n"
        )
    unit = found.f_frsize
    capacity = percent(found.f_blocks, found.f_bfree)
    sizes = [
        unit * blocks
        for blocks in (found.f_blocks, found.f_blocks - found.f_bfree, found.f_bavail, found.f_bfree)
    ]
    if human:
        head = "    Size     Used    Avail   (root)    %Capacity\n"
        return head + " ".join(f"{scaled(size):>7}B" for size in sizes) + f"         {capacity}\n"
    head = "        Size         Used        Avail       (root)    %Capacity\n"
    return head + " ".join(f"{size // 1024:12d}" for size in sizes) + f"         {capacity}\n"
