"""What the command tells its user: on standard error, or in the file of -E.

Levels are LogLevel's (ssh_config(5)).  While the local terminal is in raw mode, lines end with a carriage
return too.  Everything is written whole and at once, so nothing is lost however the command ends.
"""

import os
from typing import Final

QUIET: Final = 0
ERROR: Final = 2
INFO: Final = 3
VERBOSE: Final = 4
DEBUG: Final = 5
DEBUG2: Final = 6

PROGRAM = "sshkit-client"


class Log:
    """Where messages go, and how many of them."""

    def __init__(self, level: int = INFO, path: str | None = None) -> None:
        self.level = level
        self.raw = False  #: the local terminal is in raw mode
        self._fd = 2
        if path is not None:
            self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def error(self, text: str) -> None:
        """Tell why the command fails: "sshkit-client: cause"."""
        if self.level >= ERROR:
            self._write(f"{PROGRAM}: {text}\n")

    def info(self, text: str) -> None:
        """Tell what a user wants to know."""
        if self.level >= INFO:
            self._write(f"{text}\n")

    def verbose(self, text: str) -> None:
        """Tell more."""
        if self.level >= VERBOSE:
            self._write(f"{text}\n")

    def debug(self, text: str) -> None:
        """Tell what -v asks for."""
        if self.level >= DEBUG:
            self._write("".join(f"debug1: {line}\n" for line in text.split("\n")))

    def debug2(self, text: str) -> None:
        """Tell what -vv asks for."""
        if self.level >= DEBUG2:
            self._write(f"debug2: {text}\n")

    def notice(self, text: str) -> None:
        """Show text for the user that is no log line: help for the escapes, the version."""
        self._write(text, fd=2)

    def banner(self, text: str) -> None:
        """Show what the server says before the login: not in a log file, and not with -q."""
        if self.level >= INFO:
            self._write(text, fd=2)

    def output(self, text: str) -> None:
        """Write what the command was asked for to standard output."""
        self._write(text, fd=1)

    def _write(self, text: str, fd: int | None = None) -> None:
        if fd is None:
            fd = self._fd
        if self.raw and fd == 2:
            text = text.replace("\n", "\r\n")
        view = memoryview(text.encode("utf-8", "backslashreplace"))
        while view:
            try:
                view = view[os.write(fd, view) :]
            except BlockingIOError:
                _wait_writable(fd)
            except OSError:  # nobody listens; the exit status tells the rest
                return


def _wait_writable(fd: int) -> None:
    """Wait until a descriptor that another program made non-blocking takes more."""
    from select import select

    select((), (fd,), (), 10.0)
