"""A child process that is a copy of this one: what it keeps, and what it must not.

Called by the monitor for each worker, session and holder of keys.  Nothing of a parent's reactor works in a
child: it gets a reactor of its own, and ends with `os._exit`, so that nothing of the parent's is done twice.
"""

import os
from collections.abc import Callable, Iterable
from typing import NoReturn

FAILED = 70  #: EX_SOFTWARE: an error that nobody expected


def fork(main: Callable[[], int], keep: Iterable[int], name: str) -> int:
    """Return the process id of a child that runs `main` and ends with what it returns.

    Of the descriptors it has 0, 1 and 2 and those of `keep`.  Signals have their defaults again; what goes
    wrong in it is written to standard error in one line.
    """
    pid = os.fork()
    if pid:
        return pid
    status = FAILED
    try:
        _begin(keep)
        status = main()
    except BaseException as error:
        _tell(f"sshkit-server: {name}: {type(error).__name__}: {error}")
    finally:
        os._exit(status)


def _begin(keep: Iterable[int]) -> None:
    import signal

    from sshkit.reactor.current import running_reactors

    running_reactors.clear()  # the parent's runs in the parent
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGUSR1, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    close_others(keep)


def close_others(keep: Iterable[int]) -> None:
    """Close every descriptor above 2 that is not to be kept."""
    low = 3
    for fd in sorted(set(keep)):
        if fd >= low:
            os.closerange(low, fd)
            low = fd + 1
    os.closerange(low, os.sysconf("SC_OPEN_MAX"))


def _tell(text: str) -> None:
    from sshkit_keys.text import printable

    try:
        os.write(2, f"{printable(text, 2000)}\n".encode())
    except OSError:
        pass


def leave(status: int) -> NoReturn:
    """End at once."""
    os._exit(status)
