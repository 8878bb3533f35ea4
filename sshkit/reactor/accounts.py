"""As whom a program runs: names of users and groups become numbers, refused here what would be refused later.

Called by `processes`, before anything is started.
"""

import os
from collections.abc import Sequence
from typing import Any, NamedTuple

from .errors import SpawnError
from .text import shown

#: The largest number of a user or a group; the next one means "leave it" to the system's calls.
MAX_NUMBER = 2**32 - 2

MAX_UMASK = 0o777


class Identity(NamedTuple):
    """What `launching` changes in a child; None: as it is here."""

    uid: int | None
    gid: int | None
    groups: tuple[int, ...] | None
    umask: int | None


def identity(
    user: str | int | None,
    group: str | int | None,
    extra_groups: Sequence[str | int] | None,
    umask: int | None,
) -> Identity | None:
    """Look everything up; None if nothing is to change.  Raises SpawnError."""
    if umask is not None and not 0 <= umask <= MAX_UMASK:
        raise SpawnError(f"{umask:#o} is no umask: they go from 0 to {MAX_UMASK:#o}")
    gid = None if group is None else group_number(group)
    groups = None if extra_groups is None else tuple(group_number(each) for each in extra_groups)
    uid: int | None = None
    if user is not None:
        uid, name, primary = account(user)
        if gid is None:
            gid = primary
        if gid is None:
            raise SpawnError(f"the user {uid} has no account here that tells its group: say group= as well")
        if groups is None:
            groups = () if name is None else tuple(os.getgrouplist(name, gid))
    if os.geteuid() != 0:
        if (uid is not None and uid != os.geteuid()) or (gid is not None and gid != os.getegid()):
            as_whom = f"user {shown(str(user))}" if user is not None else f"group {shown(str(group))}"
            raise SpawnError(f"cannot start a program as {as_whom}: only root may do so")
        if extra_groups is not None and set(groups or ()) != set(os.getgroups()):
            raise SpawnError("cannot start a program with other extra groups: only root may do so")
        uid = gid = groups = None  # it is so already
    result = Identity(uid, gid, groups, umask)
    return None if result == (None, None, None, None) else result


def account(user: str | int) -> tuple[int, str | None, int | None]:
    """Return the number, the name and the primary group of a user; a number needs no account."""
    import pwd

    entry: Any
    if isinstance(user, int):
        checked_number(user, "user")
        try:
            entry = pwd.getpwuid(user)
        except KeyError:
            return user, None, None
    else:
        try:
            entry = pwd.getpwnam(user)
        except (KeyError, ValueError):
            raise SpawnError(f"unknown user {shown(user)}") from None
    return entry.pw_uid, entry.pw_name, entry.pw_gid


def group_number(group: str | int) -> int:
    """Return the number of a group."""
    if isinstance(group, int):
        return checked_number(group, "group")
    import grp

    try:
        return grp.getgrnam(group).gr_gid
    except (KeyError, ValueError):
        raise SpawnError(f"unknown group {shown(group)}") from None


def checked_number(number: int, kind: str) -> int:
    """Return a number that is possible."""
    if not 0 <= number <= MAX_NUMBER:
        raise SpawnError(f"{number} is no number of a {kind}: they go from 0 to {MAX_NUMBER}")
    return number
