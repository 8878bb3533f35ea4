"""Starting a program with posix_spawn(3), called in the C library.

Not fork: that copies the page tables of a large server for each command, and is unsafe beside threads.
Not the standard library's posix_spawn: it cannot set the working directory.  A child that leads a new
session and opens the terminal by name has it as its controlling terminal, so nothing needs to run between
fork and exec.  In the child all signals have their defaults, and there is no descriptor but those asked for.
What posix_spawn cannot do (another user, a umask) does `launching`.  Called by `processes`.
"""

import ctypes
import os
import sys
from collections.abc import Mapping, Sequence
from errno import EACCES, EAGAIN, EINVAL, ENOENT, ENOTDIR, EPERM, ESRCH
from fcntl import F_DUPFD_CLOEXEC, fcntl
from functools import cache
from typing import TYPE_CHECKING, Any

from .errors import SpawnError
from .text import shown, shown_error

if TYPE_CHECKING:
    from .accounts import Identity

#: Larger than posix_spawn_file_actions_t, posix_spawnattr_t and sigset_t of any C library (336 in glibc).
OPAQUE_SIZE = 1024

_SETPGROUP = 0x02
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
    files: Sequence[int] | Mapping[int, int],
    new_session: bool,
    *,
    terminal: str | None = None,
    process_group: int | None = None,
    identity: "Identity | None" = None,
) -> int:
    """Start a program and return its process id.

    `files` are the descriptors for 0, 1, 2 and so on, or those of the numbers named; `terminal` is the name
    of a terminal for 0, 1 and 2.  The child has no other.  Raises SpawnError.
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
    if not program:
        raise SpawnError("cannot start a program without a name")
    plan = dict(files if isinstance(files, Mapping) else enumerate(files))
    try:
        if identity is not None:
            from .launching import launch

            candidates = program_candidates(program, env)
            job = (candidates, arguments, environment, directory, identity)
            return launch(program, job, plan, new_session, terminal, process_group)
        path = find_program(program, env, directory)
        return start(path, arguments, environment, directory, plan, new_session, terminal, process_group)
    except SpawnError:
        raise
    except OSError as error:
        where = shown(program)
        if directory is not None and error.errno in (ENOENT, ENOTDIR, EACCES) and not _enterable(directory):
            where += f" in the directory {shown(directory)}"
        failure = SpawnError(f"cannot start {where}: {_cause(error, program, directory, process_group)}")
        failure.errno = error.errno
        raise failure from error


def _cause(error: OSError, program: bytes, directory: bytes | None, process_group: int | None) -> str:
    """Return why a program did not start, in words of its own where the system's mislead."""
    path = os.path.join(directory or b"", program)
    if error.errno == EAGAIN:
        return "too many processes or threads run already"
    if error.errno == ENOENT and b"/" in program and os.path.isfile(path):
        return "its interpreter, which its first line or its format names, does not exist"
    if error.errno == EACCES and os.path.isdir(path):
        return "it is a directory"
    if error.errno in (EPERM, ESRCH, EINVAL) and process_group:
        return f"it cannot join the process group {process_group}: {shown_error(error)}"
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


def program_candidates(program: bytes, env: Environment | None) -> list[bytes]:
    """Return where a program may be: a plain name in each folder of the PATH that it will have."""
    if b"/" in program:
        return [program]
    return [os.path.join(os.fsencode(folder), program) for folder in os.get_exec_path(env)]  # type: ignore[arg-type]


def find_program(program: bytes, env: Environment | None, directory: bytes | None = None) -> bytes:
    """Return the path of a program, as seen from the working directory that it will have."""
    candidates = program_candidates(program, env)
    if b"/" in program:
        return program
    found: int = ENOENT
    for path in candidates:
        seen = os.path.join(directory or b"", path)
        if os.path.isfile(seen):
            if os.access(seen, os.X_OK):
                return path
            found = EACCES
    raise OSError(found, os.strerror(found))


def start(
    program: bytes,
    arguments: list[bytes],
    environment: list[bytes],
    directory: bytes | None,
    plan: dict[int, int],
    new_session: bool,
    terminal: str | None = None,
    process_group: int | None = None,
) -> int:
    """Start the program at a path; raises OSError."""
    targets = {*plan, 0, 1, 2} if terminal is not None else set(plan)
    last = max(targets, default=-1)
    moved: list[int] = []
    try:
        for target, fd in plan.items():
            if fd != target and fd in targets:  # it would be overwritten before it is copied
                moved.append(fcntl(fd, F_DUPFD_CLOEXEC, last + 1))
                plan[target] = moved[-1]
        return _start(
            program, arguments, environment, directory, plan, last, new_session, terminal, process_group
        )
    finally:
        for fd in moved:
            os.close(fd)


def _start(
    program: bytes,
    arguments: list[bytes],
    environment: list[bytes],
    directory: bytes | None,
    plan: dict[int, int],
    last: int,
    new_session: bool,
    terminal: str | None,
    process_group: int | None,
) -> int:
    libc = _library()
    actions = ctypes.create_string_buffer(OPAQUE_SIZE)
    attributes = ctypes.create_string_buffer(OPAQUE_SIZE)
    signals = ctypes.create_string_buffer(OPAQUE_SIZE)
    _check(libc.posix_spawn_file_actions_init(actions))
    try:
        _check(libc.posix_spawnattr_init(attributes))
        try:
            if terminal is not None:
                _check(libc.posix_spawn_file_actions_addopen(actions, 0, os.fsencode(terminal), os.O_RDWR, 0))
                _check(libc.posix_spawn_file_actions_adddup2(actions, 0, 1))
                _check(libc.posix_spawn_file_actions_adddup2(actions, 0, 2))
            for target, fd in plan.items():
                _check(libc.posix_spawn_file_actions_adddup2(actions, fd, target))
            if hasattr(libc, "posix_spawn_file_actions_addclosefrom_np"):
                # Python's own descriptors close by themselves; those of C libraries or of our parent may not.
                for unwanted in range(last):
                    if unwanted not in plan and (terminal is None or unwanted > 2):
                        _check(libc.posix_spawn_file_actions_addclose(actions, unwanted))
                _check(libc.posix_spawn_file_actions_addclosefrom_np(actions, last + 1))
            if directory is not None:
                _check(libc.posix_spawn_file_actions_addchdir_np(actions, directory))
            libc.sigemptyset(signals)
            _check(libc.posix_spawnattr_setsigmask(attributes, signals))
            libc.sigfillset(signals)
            libc.sigdelset(signals, _SIGKILL)
            libc.sigdelset(signals, _SIGSTOP)
            _check(libc.posix_spawnattr_setsigdefault(attributes, signals))
            flags = _SETSIGDEF | _SETSIGMASK | (_SETSID if new_session else 0)
            if process_group is not None:
                flags |= _SETPGROUP
                _check(libc.posix_spawnattr_setpgroup(attributes, process_group))
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
