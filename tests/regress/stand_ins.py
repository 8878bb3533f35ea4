"""Stand-ins for the small C programs that OpenSSH builds for its scripts.

`run` puts them into the folder that the scripts take them from.  Each is a function of its arguments that
returns an exit status; this file runs as a script too, its first argument says which.
"""

# ruff: noqa: T201 - a command, which prints

import os
import stat
import sys
import tempfile
import time
from pathlib import Path

USAGE = 2


def check_perm(arguments: list[str]) -> int:
    """``check-perm -m chroot PATH``: is every folder down to PATH root's, and writable by nobody else?"""
    if len(arguments) != 3 or arguments[:2] != ["-m", "chroot"]:
        return _refused("check-perm: only -m chroot PATH is here")
    path = Path(arguments[2])
    if not path.is_absolute():
        return _refused(f"check-perm: {path}: not an absolute path", 1)
    for part in (*reversed(path.parents), path):
        found = part.stat()
        if not stat.S_ISDIR(found.st_mode):
            return _refused(f"check-perm: {part}: not a directory", 1)
        if found.st_uid != 0 or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            return _refused(f"check-perm: {part}: others than root may write to it", 1)
    return 0


def mkdtemp(arguments: list[str]) -> int:
    """``mkdtemp PREFIX-XXXXXXXX``: make a folder for temporary files, and print its name."""
    if len(arguments) != 1:
        return _refused("mkdtemp: one template is needed")
    print(tempfile.mkdtemp(prefix=arguments[0].rstrip("X")))
    return 0


def timestamp(arguments: list[str]) -> int:
    """``timestamp``: print a time that names a log file."""
    nanoseconds = time.time_ns()
    moment = time.strftime("%Y%m%dT%H%M%S", time.localtime(nanoseconds // 10**9))
    print(f"{moment}.{nanoseconds // 1000 % 10**6:06}")
    return 0


STAND_INS = {"check-perm": check_perm, "mkdtemp": mkdtemp, "timestamp": timestamp}


def install(folder: Path) -> None:
    """Put each under its name into `folder`."""
    for name in STAND_INS:
        path = folder / name
        path.write_text(
            f'#!/bin/sh\nexec "{sys.executable}" -S -E "{Path(__file__).resolve()}" {name} "$@"\n'
        )
        path.chmod(0o755)


def _refused(text: str, status: int = USAGE) -> int:
    print(text, file=sys.stderr)
    return status


def main(argv: list[str]) -> int:
    """Run one; returns its exit status."""
    try:
        return STAND_INS[argv[0]](argv[1:])
    except (KeyError, IndexError):
        return _refused(f"one of these is needed: {' '.join(STAND_INS)}")
    except OSError as error:
        return _refused(f"{argv[0]}: {os.fsdecode(error.filename or '')}: {error.strerror}", 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
