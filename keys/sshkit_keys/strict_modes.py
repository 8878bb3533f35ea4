"""Whether others could have written a user's file: sshd's StrictModes.

Called by `authorized_keys`, and by the server for other files of a user.
"""

import os
import stat

from .errors import KeyPermissionsError


def check_strict_modes(
    path: str | os.PathLike[str], uid: int, home: str, descriptor: int | None = None
) -> None:
    """Raise KeyPermissionsError, naming the file or folder, unless only `uid` and root may write it.

    Checked are the file (by `descriptor` if it is open, so that nobody can exchange it) and each folder
    above it up to `home`, or up to the root if it lies elsewhere.
    """
    real = os.path.realpath(path)
    top = os.path.realpath(home)
    _check(real, os.stat(real) if descriptor is None else os.fstat(descriptor), uid)
    folder = real
    while folder != top and folder != os.path.dirname(folder):
        folder = os.path.dirname(folder)
        _check(folder, os.stat(folder), uid)


def _check(path: str, status: os.stat_result, uid: int) -> None:
    mode = stat.S_IMODE(status.st_mode)
    if status.st_uid not in (0, uid):
        raise KeyPermissionsError(f"belongs to user number {status.st_uid}, not to {uid}", path)
    if mode & 0o022:
        raise KeyPermissionsError(f"mode {mode:04o} lets the group or others write", path)
