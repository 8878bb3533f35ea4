"""Starting a program as another user: through a small Python that changes itself and becomes the program.

Not by forking this process: what runs between fork and exec would be Python beside the threads of a server.
The launcher gets its job in a file, and answers on a pipe that closes when it becomes the program; all that
fails (the directory that the user may not enter, the program that it may not run) is raised here.  The call
lasts as long as a Python needs to start, some hundredths of a second.  Called by `spawning`.
"""

import os
import sys
from errno import ENOENT
from typing import TYPE_CHECKING, BinaryIO, cast

from .errors import SpawnError
from .text import shown

if TYPE_CHECKING:
    from .accounts import Identity

#: Candidates for the program's path, arguments, environment, working directory, identity.
Job = tuple[list[bytes], list[bytes], list[bytes], bytes | None, "Identity"]

#: Seconds that the launcher may take.
LAUNCH_TIMEOUT = 30.0

#: What the launcher writes when it is about to become the program.
READY = b"ready\n"

_SIGKILL = 9

#: Python ignores two signals from its start on; the program must not.
LAUNCHER = """
import marshal, os, sys
from _signal import SIG_DFL, SIGPIPE, SIGXFSZ, signal
files = [int(each) for each in sys.argv[1:]]
with open(files[0], "rb") as file:
    programs, arguments, environment, directory, identity = marshal.load(file)
uid, gid, groups, umask = identity
report = files[1]
os.set_inheritable(report, False)
try:
    step = "change its umask"
    if umask is not None:
        os.umask(umask)
    step = "change its groups"
    if groups is not None:
        os.setgroups(groups)
    if gid is not None:
        os.setgid(gid)
    step = "change its user"
    if uid is not None:
        os.setuid(uid)
    step = "directory"
    if directory is not None:
        os.chdir(directory)
    step = ""
    signal(SIGPIPE, SIG_DFL)
    signal(SIGXFSZ, SIG_DFL)
    variables = dict(line.split(b"=", 1) for line in environment)
    os.write(report, b"ready\\n")
    failure = None
    for program in programs:
        try:
            os.execve(program, arguments, variables)
        except (FileNotFoundError, NotADirectoryError) as error:
            failure = failure or error
        except PermissionError as error:
            failure = error
    raise failure or FileNotFoundError(2, os.strerror(2))
except OSError as error:
    os.write(report, f"{error.errno} {step}".encode())
    os._exit(127)
"""


def launch(
    program: bytes,
    job: Job,
    plan: dict[int, int],
    new_session: bool,
    terminal: str | None,
    process_group: int | None,
) -> int:
    """Start the launcher, wait until it has become the program, and return its process id."""
    if not sys.executable or getattr(sys, "frozen", False):
        raise SpawnError(f"cannot start {shown(program)} as another user: there is no Python to do so")
    import marshal

    from .spawning import start

    *parts, identity = job
    first = max((*plan, 2)) + 1
    reads, writes = os.pipe()
    try:
        try:
            with _job_file() as file:
                file.write(marshal.dumps((*parts, tuple(identity))))
                file.seek(0)
                files = {**plan, first: file.fileno(), first + 1: writes}
                arguments = [sys.executable, "-I", "-S", "-c", LAUNCHER, str(first), str(first + 1)]
                encoded = [os.fsencode(argument) for argument in arguments]
                pid = start(encoded[0], encoded, [], None, files, new_session, terminal, process_group)
        finally:
            os.close(writes)
        answer = _answer(reads, pid)
    finally:
        os.close(reads)
    if answer == READY:
        return pid
    os.waitpid(pid, 0)
    raise _failure(program, job, answer)


def _job_file() -> BinaryIO:
    """Return a file that has no name: an environment may hold secrets."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("sshkit-job"), "w+b")
    from tempfile import TemporaryFile

    return cast("BinaryIO", TemporaryFile())


def _answer(reads: int, pid: int) -> bytes:
    """Return all that the launcher has to say; it is killed when it takes too long."""
    import select
    from time import monotonic

    deadline = monotonic() + LAUNCH_TIMEOUT
    answer = b""
    while select.select([reads], [], [], max(0.0, deadline - monotonic()))[0]:
        data = os.read(reads, 4096)
        if not data:
            return answer
        answer += data
    os.kill(pid, _SIGKILL)
    return f"its launcher took longer than {LAUNCH_TIMEOUT:g} seconds".encode()


def _failure(program: bytes, job: Job, answer: bytes) -> SpawnError:
    """Return the error that an answer means."""
    number, _, step = answer.removeprefix(READY).decode().partition(" ")
    where = shown(program)
    uid = job[4].uid
    whom = "" if uid is None else f" as user {uid}"
    if not number.isdecimal():
        why = shown(answer) or "its launcher ended before its time"
        return SpawnError(f"cannot start {where}{whom}: {why}")
    cause = os.strerror(int(number))
    if int(number) == ENOENT and not step and any(map(os.path.isfile, job[0])):
        cause = "its interpreter, which its first line or its format names, does not exist"
    if step == "directory":
        where += f" in the directory {shown(job[3] or b'')}"
    elif step:
        cause = f"cannot {step}: {cause}"
    failure = SpawnError(f"cannot start {where}{whom}: {cause}")
    failure.errno = int(number)
    return failure
