"""Standard input and output as a transport, and both left as they were found.

O_NONBLOCK belongs to the open file, which the shell and other programs share: a program that sets it on a
terminal breaks them.  So a pipe or terminal is opened once more, through /proc, and the new file is set;
where that is not possible the flag is set and put back, at the end of the program at the latest.
"""

import os
import stat
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .pipes import PipeTransport

if TYPE_CHECKING:
    from ..core import ReactorCore


def open_stdio(reactor: "ReactorCore", protocol: Any, stdin: int = 0, stdout: int = 1) -> PipeTransport:
    """Make one transport of descriptors 0 and 1, which stay open when it closes."""
    os.fstat(stdout)  # first: were it closed, the copy of the input would take its number
    read_fd, restore_input = unblocked(stdin, os.O_RDONLY)
    try:
        write_fd, restore_output = unblocked(stdout, os.O_WRONLY)
    except OSError:
        os.close(read_fd)
        restore_input()
        raise

    def restore() -> None:
        restore_output()
        restore_input()

    transport = PipeTransport(reactor, protocol, read_fd, write_fd, restore)
    transport.start()
    return transport


def unblocked(fd: int, mode: int) -> tuple[int, Callable[[], None]]:
    """Return a new descriptor of the same file that does not block, and what undoes any change to `fd`."""
    kind = os.fstat(fd).st_mode
    if not (stat.S_ISFIFO(kind) or stat.S_ISCHR(kind) or stat.S_ISSOCK(kind)):
        return os.dup(fd), _nothing  # a file: never waits, and must keep its offset
    if not stat.S_ISSOCK(kind):
        try:
            return os.open(f"/proc/self/fd/{fd}", mode | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC), _nothing
        except OSError:  # no /proc, or a terminal that is another user's
            pass
    copy = os.dup(fd)
    if not os.get_blocking(fd):
        return copy, _nothing
    import atexit

    os.set_blocking(fd, False)

    def restore() -> None:
        atexit.unregister(restore)
        try:
            os.set_blocking(fd, True)
        except OSError:  # the program has closed it
            pass

    atexit.register(restore)
    return copy, restore


def _nothing() -> None:
    """Nothing was changed."""
