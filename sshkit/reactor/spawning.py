"""Starting a program with posix_spawn(3), called in the C library.

Not fork: that copies the page tables of a large server for each command, and is unsafe beside threads.
Not the standard library's posix_spawn: it cannot set the working directory.  A child that leads a new
session and opens the terminal by name has it as its controlling terminal, so nothing needs to run between
fork and exec.  In the child all signals have their defaults, and there is no descriptor but 0, 1 and 2.
Called by `processes`.
"""

import ctypes
import os
import sys
from collections.abc import Mapping, Sequence
from errno import EACCES, EAGAIN, ENOENT, ENOTDIR
from functools import cache
from typing import Any

from .errors import SpawnError
from .text import shown, shown_error

#: Larger than posix_spawn_file_actions_t, posix_spawnattr_t and sigset_t of any C library (336 in glibc).
OPAQUE_SIZE = 1024

#: Descriptors that a program starts with.
STANDARD = 3

_SETSIGDEF = 0x04
_SETSIGMASK = 0x08
_SETSID = 0x0400 if sys.platform == "darwin" else 0x80

_SIGKILL = 9
_SIGSTOP = 17 if sys.platform == "darwin" else 19

Environment = Mapping[str, str] | Mapping[bytes, bytes]


@cache
def _library() -> Any:
    return ctypes.CDLL(None)


def _check(code: int) -> None:
    if code:
        raise OSError(code, os.strerror(code))


def spawn(
    argv: Sequence[str | bytes],
    executable: str | bytes | None,
    env: Environment | None,
    cwd: str | bytes | None,
    files: Sequence[int] | str,
    new_session: bool,
) -> int:
    """Start a program and return its process id.

    `files` are the descriptors for 0, 1 and 2, or the name of a terminal for all three.  Raises SpawnError.
    """
    arguments = [os.fsencode(argument) for argument in argv]
    if not arguments:
        raise SpawnError("cannot start a program without its argument vector")
    program = os.fsencode(executable) if executable is not None else arguments[0]
    environment = encoded_environment(env)
    directory = None if cwd is None else os.fsencode(cwd)
    for text in (program, *arguments, *environment, directory or b""):
        if b"\0" in text:
            raise SpawnError(f"cannot start {shown(program)}: a NUL in {shown(text[:80])}")
    try:
        return _spawn(find_program(program, env), arguments, environment, directory, files, new_session)
    except OSError as error:
        where = shown(program)
        if directory is not None and error.errno in (ENOENT, ENOTDIR, EACCES) and not _enterable(directory):
            where += f" in the directory {shown(directory)}"
        failure = SpawnError(f"cannot start {where}: {_cause(error, program)}")
        failure.errno = error.errno
        raise failure from error


def _cause(error: OSError, program: bytes) -> str:
    """Return why a program did not start, in words of its own where the system's mislead."""
    if error.errno == EAGAIN:
        return "too many processes or threads run already"
    if error.errno == ENOENT and b"/" in program and os.path.isfile(program):
        return "its interpreter, which its first line or its format names, does not exist"
    return shown_error(error)


def _enterable(directory: bytes) -> bool:
    return os.path.isdir(directory) and os.access(directory, os.X_OK)


def encoded_environment(env: Environment | None) -> list[bytes]:
    """Return NAME=value lines; a name that is empty or holds "=" is refused."""
    items = os.environb.items() if env is None else env.items()
    lines = []
    for name, value in items:
        key = os.fsencode(name)
        if not key or b"=" in key:
            raise SpawnError(f"{shown(key)!r} cannot be the name of an environment variable")
        lines.append(key + b"=" + os.fsencode(value))
    return lines


def find_program(program: bytes, env: Environment | None) -> bytes:
    """Return the path of a program; a plain name is looked for in the PATH that it will have."""
    if b"/" in program:
        return program
    found: int = ENOENT
    for folder in os.get_exec_path(env):  # type: ignore[arg-type]
        path = os.path.join(os.fsencode(folder), program)
        if os.path.isfile(path):
            if os.access(path, os.X_OK):
                return path
            found = EACCES
    raise OSError(found, os.strerror(found))


def _spawn(
    program: bytes,
    arguments: list[bytes],
    environment: list[bytes],
    directory: bytes | None,
    files: Sequence[int] | str,
    new_session: bool,
) -> int:
    libc = _library()
    actions = ctypes.create_string_buffer(OPAQUE_SIZE)
    attributes = ctypes.create_string_buffer(OPAQUE_SIZE)
    signals = ctypes.create_string_buffer(OPAQUE_SIZE)
    _check(libc.posix_spawn_file_actions_init(actions))
    try:
        _check(libc.posix_spawnattr_init(attributes))
        try:
            if isinstance(files, str):
                _check(libc.posix_spawn_file_actions_addopen(actions, 0, os.fsencode(files), os.O_RDWR, 0))
                files = (0, 0)
            first = STANDARD - len(files)
            for target, fd in enumerate(files, first):
                _check(libc.posix_spawn_file_actions_adddup2(actions, fd, target))
            if hasattr(libc, "posix_spawn_file_actions_addclosefrom_np"):
                # Python's own descriptors close by themselves; those of C libraries or of our parent may not.
                _check(libc.posix_spawn_file_actions_addclosefrom_np(actions, STANDARD))
            if directory is not None:
                _check(libc.posix_spawn_file_actions_addchdir_np(actions, directory))
            libc.sigemptyset(signals)
            _check(libc.posix_spawnattr_setsigmask(attributes, signals))
            libc.sigfillset(signals)
            libc.sigdelset(signals, _SIGKILL)
            libc.sigdelset(signals, _SIGSTOP)
            _check(libc.posix_spawnattr_setsigdefault(attributes, signals))
            flags = _SETSIGDEF | _SETSIGMASK | (_SETSID if new_session else 0)
            _check(libc.posix_spawnattr_setflags(attributes, ctypes.c_short(flags)))
            pid = ctypes.c_int()
            _check(
                libc.posix_spawn(
                    ctypes.byref(pid),
                    program,
                    actions,
                    attributes,
                    (ctypes.c_char_p * (len(arguments) + 1))(*arguments, None),
                    (ctypes.c_char_p * (len(environment) + 1))(*environment, None),
                )
            )
            return pid.value
        finally:
            libc.posix_spawnattr_destroy(attributes)
    finally:
        libc.posix_spawn_file_actions_destroy(actions)
