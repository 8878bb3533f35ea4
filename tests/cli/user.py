"""A user before a terminal, and runs of sshkit-client within the test's own process or beside it."""

import contextlib
import os
import select
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Callable, Iterator
from fcntl import ioctl
from pathlib import Path
from typing import Any, NamedTuple

from sshkit_cli.client import main

#: Seconds that a user waits for anything.
PATIENCE = 20.0


class Outcome(NamedTuple):
    """What a run left."""

    status: int
    out: bytes
    err: str


@contextlib.contextmanager
def descriptors(stdin: int, stdout: int, stderr: int) -> Iterator[None]:
    """Make three descriptors 0, 1 and 2 for a while."""
    sys.stdout.flush()
    saved = [os.dup(number) for number in range(3)]
    try:
        for number, fd in enumerate((stdin, stdout, stderr)):
            os.dup2(fd, number)
        yield
    finally:
        for number, fd in enumerate(saved):
            os.dup2(fd, number)
            os.close(fd)


def run_here(*argv: str, stdin: bytes | int = b"", stdout: int | None = None) -> Outcome:
    """Run the command in this process; its exit status, output (unless `stdout` takes it) and errors."""
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        if isinstance(stdin, bytes):
            given.write(stdin)
            given.seek(0)
            stdin = given.fileno()
        with descriptors(stdin, out.fileno() if stdout is None else stdout, err.fileno()):
            status = main(list(argv))
        for file in (out, err):
            file.seek(0)
        return Outcome(status, out.read(), err.read().decode())


class PtyUser:
    """The user's side of a terminal."""

    def __init__(self) -> None:
        self.master, self.slave = os.openpty()
        self.name = os.ttyname(self.slave)
        self.seen = b""  #: what was shown and not expected yet
        self.everything = b""

    def close(self) -> None:
        for fd in (self.master, self.slave):
            with contextlib.suppress(OSError):
                os.close(fd)

    def type(self, text: str | bytes) -> None:
        os.write(self.master, text.encode() if isinstance(text, str) else text)

    def expect(self, text: str | bytes) -> bytes:
        """Wait until `text` is shown; returns what came before it and it."""
        wanted = text.encode() if isinstance(text, str) else text
        end = time.monotonic() + PATIENCE
        while wanted not in self.seen:
            ready, _, _ = select.select([self.master], [], [], max(0.0, end - time.monotonic()))
            assert ready, f"waited for {wanted!r}, saw {self.everything!r}"
            try:
                data = os.read(self.master, 65536)
            except OSError:
                data = b""
            assert data, f"waited for {wanted!r}, saw {self.everything!r}"
            self.seen += data
            self.everything += data
        position = self.seen.index(wanted) + len(wanted)
        before, self.seen = self.seen[:position], self.seen[position:]
        return before

    def resize(self, columns: int, rows: int) -> None:
        ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    @property
    def modes(self) -> list[Any]:
        return termios.tcgetattr(self.slave)

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait for something that shows nothing."""
        end = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < end, f"it did not happen; saw {self.everything!r}"
            select.select([], [], [], 0.005)

    @property
    def echoes(self) -> bool:
        return bool(self.modes[3] & termios.ECHO)

    @property
    def is_raw(self) -> bool:
        return not self.modes[3] & termios.ICANON


def run_at_terminal(user: PtyUser, *argv: str, script: Callable[[PtyUser], None]) -> int:
    """Run the command in this process on the user's terminal while `script` plays him; its exit status."""
    failures: list[BaseException] = []

    def play() -> None:
        try:
            script(user)
        except BaseException as error:
            failures.append(error)
            with contextlib.suppress(OSError):
                user.type("\r~.")  # let the command end, whatever it does
                os.close(user.master)

    player = threading.Thread(target=play)
    with descriptors(user.slave, user.slave, user.slave):
        player.start()
        try:
            status = main(list(argv))
        finally:
            player.join(2 * PATIENCE)
    if failures:
        raise failures[0]
    return status


def spawn_at_terminal(
    user: PtyUser, *argv: str, environment: dict[str, str] | None = None
) -> "subprocess.Popen[bytes]":
    """Start the command beside this process, with the user's terminal as its controlling one."""
    program = Path(sys.executable).with_name("sshkit-client")
    code = (
        "import fcntl, os, sys, termios\n"
        "os.setsid()\n"
        "fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"
        "os.execv(sys.argv[1], sys.argv[1:])\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code, str(program), *argv],
        stdin=user.slave,
        stdout=user.slave,
        stderr=user.slave,
        env=environment,
    )
