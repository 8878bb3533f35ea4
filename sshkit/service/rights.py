"""Giving up root's rights: the user, group and root folder that a program shall have.

Called by `run_service`: `look_up` first, since the names are in files that another root folder lacks, then
`give_up`, which ends with the user because nothing else is allowed afterwards.
"""

import os
from typing import TYPE_CHECKING, NamedTuple

from sshkit.reactor.text import shown

from .errors import OptionError

if TYPE_CHECKING:
    from sshkit.server.accounts import Account

    from .options import ProgramOptions


class Rights(NamedTuple):
    """Who the program shall be."""

    account: "Account | None"
    gid: int | None
    groups: tuple[int, ...]  #: of the account
    chroot: str | None


def look_up(options: "ProgramOptions") -> Rights:
    """Find the user and the group; OptionError where there is none."""
    gid = None if options.group is None else _group(options.group)
    if options.user is None:
        return Rights(None, gid, (), options.chroot)
    account = _user(options.user)
    if gid is not None:
        account = account._replace(gid=gid)
    return Rights(account, gid, tuple(os.getgrouplist(account.name, account.gid)), options.chroot)


def _user(name: str) -> "Account":
    from pwd import getpwnam, getpwuid

    from sshkit.server.accounts import SHELL, Account

    try:
        entry = getpwuid(int(name)) if name.isdecimal() else getpwnam(name)
    except (KeyError, ValueError, OverflowError):
        raise OptionError(f"--user {shown(name)}: there is no such user") from None
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid, entry.pw_dir, entry.pw_shell or SHELL)


def _group(name: str) -> int:
    from grp import getgrgid, getgrnam

    try:
        return (getgrgid(int(name)) if name.isdecimal() else getgrnam(name)).gr_gid
    except (KeyError, ValueError, OverflowError):
        raise OptionError(f"--group {shown(name)}: there is no such group") from None


def give_up(rights: Rights) -> None:
    """Change the root folder, then become the user, for good; OptionError where the system refuses."""
    from sshkit.server.privileges import RightsNotGiven, become, change_root

    if rights.chroot is not None:
        try:
            change_root(rights.chroot)
        except RightsNotGiven as error:
            raise OptionError(f"--chroot {str(error).removeprefix('ChrootDirectory ')}") from None
    if rights.account is not None:
        try:
            become(rights.account, rights.groups)
        except RightsNotGiven as error:
            raise OptionError(f"--user: {error}") from None
    if rights.gid is not None and os.getresgid() != (rights.gid,) * 3:
        try:
            os.setgroups([rights.gid])
            os.setresgid(rights.gid, rights.gid, rights.gid)
        except OSError as error:
            raise OptionError(f"--group: cannot have group {rights.gid}: {error.strerror}") from None
