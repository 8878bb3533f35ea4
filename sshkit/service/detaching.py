"""Becoming a daemon, with a pipe to the command that waits for the service to start.

Called by `run_service`.  daemon(7) says what a daemon has to do; the exit status of the command is the
service's: 0 once it has started.
"""

import os
from typing import NoReturn

DIED = "the daemon ended before it had started"


class Detached:
    """The way back to the command that was typed."""

    __slots__ = ("_fd",)

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def report(self, status: int, text: str = "") -> None:
        """Let the command print `text` and exit with `status`; only the first report counts."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            try:
                os.write(fd, bytes((status,)) + text.encode("utf-8", "backslashreplace"))
            except OSError:
                pass  # the command was killed; the daemon stays
            os.close(fd)


def detach(program: str) -> Detached:
    """Go on in the background: session of its own, folder /, standard descriptors at /dev/null.

    Returns in the daemon only; the process that called waits for the report and exits.  To be called before
    there is a reactor or a thread.  OSError where the system has no room for a process.
    """
    import sys

    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()  # else what lies in it is written by both
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    read_end, write_end = os.pipe()
    if os.fork():
        os.close(write_end)
        _wait(read_end, program)
    os.close(read_end)
    try:
        os.setsid()
        if os.fork():
            os._exit(0)  # the session's leader goes, so that no terminal can become ours
        os.chdir("/")
        for fd in (0, 1, 2):
            os.dup2(null, fd, inheritable=True)
    except OSError as error:
        Detached(write_end).report(1, f"{program}: cannot become a daemon: {error.strerror}\n")
        os._exit(1)
    if null > 2:
        os.close(null)
    return Detached(write_end)


def _wait(read_end: int, program: str) -> NoReturn:
    parts = []
    while part := os.read(read_end, 65536):
        parts.append(part)
    told = b"".join(parts) or b"\x01" + f"{program}: {DIED}\n".encode()
    try:
        os.write(2, told[1:])
    except OSError:
        pass  # nobody reads
    os._exit(told[0])
