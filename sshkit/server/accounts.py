"""Accounts of the system: who they are, and what their lines in its databases forbid.

Called by `system_users` and `configured`.
"""

import os
from collections.abc import Sequence
from typing import NamedTuple

from sshkit_keys.errors import SSHKitError
from sshkit_keys.text import printable, quoted

SHELL = "/bin/sh"  #: of an account that names none
NOLOGIN = "/etc/nologin"  #: while it is there, root alone may log in
MAX_NOLOGIN = 16 * 1024  #: bytes of it that are shown
DAY = 86_400


class AccountError(SSHKitError):
    """The system does not tell what is needed about the user who runs the server."""


class Account(NamedTuple):
    """A line of the system's user database."""

    name: str
    uid: int
    gid: int
    home: str
    shell: str


#: Whose files are read, and whose password is checked, for a name that is nobody's (R9).
NOBODY = Account("NOUSER", 2**32 - 2, 2**32 - 2, "/nonexistent", "/nonexistent")


def own_account() -> Account:
    """Return the account of the user who runs this process."""
    from pwd import getpwuid

    uid = os.geteuid()
    try:
        entry = getpwuid(uid)
    except KeyError:
        raise AccountError(f"user number {uid} has no name: it is not in the user database") from None
    return Account(entry.pw_name, uid, entry.pw_gid, entry.pw_dir, entry.pw_shell or SHELL)


def find_account(name: str) -> Account | None:
    """Return the account of that name, or None."""
    from pwd import getpwnam

    try:
        entry = getpwnam(name)
    except (KeyError, ValueError):
        return None
    # The database may take other spellings for the same; the name that was asked for must be it.
    if entry.pw_name != name:
        return None
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid, entry.pw_dir, entry.pw_shell or SHELL)


def account_fault(account: Account) -> str | None:
    """Return why nobody may log in to an account now whatever the proof, or None.

    Its shell has to be a program, the shadow file must not say that it is expired (where it can be read), and
    for others than root there must be no /etc/nologin.
    """
    if not os.path.isfile(account.shell):
        return f"the shell {printable(account.shell)} does not exist"
    if not os.access(account.shell, os.X_OK):
        return f"the shell {printable(account.shell)} is not executable"
    if _is_expired(account.name):
        return "the account has expired"
    if account.uid and os.path.exists(NOLOGIN):
        return f"{NOLOGIN} exists"
    return None


def _is_expired(name: str) -> bool:
    from time import time

    from sshkit.server.system_passwords import PasswordsUnavailable, shadow_fields

    try:
        fields = shadow_fields(name)
    except PasswordsUnavailable:
        return False
    day = fields[7] if len(fields) > 7 else ""
    return day.isdecimal() and 0 < int(day) <= int(time()) // DAY


def key_paths(
    patterns: Sequence[str], account: Account, keyword: str = "AuthorizedKeysFile"
) -> tuple[str, ...]:
    """Return the paths of a keyword with their tokens replaced; raises AccountError for a bad token."""
    tokens = {"h": account.home, "u": account.name, "U": str(account.uid), "%": "%"}
    paths = []
    for pattern in patterns:
        if pattern.lower() == "none":
            continue
        parts: list[str] = []
        pieces = iter(pattern)
        for char in pieces:
            if char == "%":
                token = next(pieces, "")
                if token not in tokens:
                    raise AccountError(f"{keyword} {quoted(pattern)}: %{printable(token)} is no token")
                char = tokens[token]
            parts.append(char)
        paths.append(os.path.join(account.home, "".join(parts)))
    return tuple(paths)


def group_names(account: Account) -> list[str]:
    """Return the names of the account's groups."""
    from grp import getgrgid

    names = []
    for number in os.getgrouplist(account.name, account.gid):
        try:
            names.append(getgrgid(number).gr_name)
        except KeyError:
            continue
    return names
