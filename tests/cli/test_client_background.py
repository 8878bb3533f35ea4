"""Leaving the terminal for good: `-f` and `~&`."""

import os
import subprocess
import sys

from tests.cli.user import PtyUser

#: A program that leads the terminal's session.  Its child leaves that session only when the parent has gone,
#: and with it the terminal's foreground: what is left there has been hung up on by then.
PROGRAM = """
import fcntl, os, sys, termios
from sshkit_cli import local_terminal
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
parent, setsid = os.getpid(), os.setsid
def late():
    while os.getppid() == parent:
        os.sched_yield()
    setsid()
os.setsid = late
local_terminal.go_to_background()
os.write(int(sys.argv[1]), b"alive %d" % os.getpid())
"""


def test_what_goes_to_the_background_outlives_the_hangup_of_a_terminal_that_it_led() -> None:
    user = PtyUser()
    reading, writing = os.pipe()
    try:
        argv = [sys.executable, "-c", PROGRAM, str(writing)]
        process = subprocess.Popen(
            argv, stdin=user.slave, stdout=user.slave, stderr=user.slave, pass_fds=[writing]
        )
        os.close(writing)
        assert process.wait(30) == 0
        assert os.read(reading, 100).startswith(b"alive ")
    finally:
        os.close(reading)
        user.close()
