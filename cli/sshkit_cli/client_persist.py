"""ControlPersist: the connection in a process of its own, and the session that was wanted rides it.

Called by `client` before anything is connected.  The process splits at once, while it has nothing but its
standard descriptors: the child logs in, with the terminal to ask on, and is the master; it tells when it is
ready.  The one that the user's shell waits for then is a program like every other that rides the connection.
"""

import os
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from .client_control import path_of, ride

if TYPE_CHECKING:
    from types import FrameType

    from sshkit.client.target import Target

    from .log import Log
    from .options import CommandLine

FAILED: Final = 255
INTERRUPTED: Final = 130
READY: Final = b"\1"
ENDING_SIGNALS: Final = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)


def persists(target: "Target", typed: "CommandLine") -> bool:
    """Tell whether the connection is to outlive the session that is wanted."""
    options = target.options
    return (
        options.control_persist.value is not None
        and options.control_master.value != "no"
        and path_of(target) is not None
        and (typed.direct is not None or options.session_type.value != "none")
        and typed.control is None
    )


def hand_over(typed: "CommandLine", target: "Target", log: "Log", connect: Callable[[int], int]) -> int:
    """Run `connect` in a child, and the session by way of it; the exit status.

    `connect` gets a descriptor and writes READY to it when the connection is shared and it needs the terminal
    no more.  Where it cannot share, it runs the session itself, and its exit status is ours.
    """
    read_end, write_end = os.pipe()
    child = os.fork()
    if not child:
        status = FAILED
        try:
            os.close(read_end)
            status = connect(write_end)
        except KeyboardInterrupt:
            status = INTERRUPTED
        finally:
            os._exit(status)
    os.close(write_end)
    before = _pass_signals_on(child)
    try:
        ready = os.read(read_end, 1) == READY
        os.close(read_end)
        if not ready:
            return _status_of(child)
    finally:
        for number, handler in before:
            signal.signal(number, handler)
    status_or_none = ride(typed, target, log, persisting=True)
    return FAILED if status_or_none is None else status_or_none


def _pass_signals_on(child: int) -> list[tuple[int, Any]]:
    """Let signals for us end the child; what becomes of it becomes of us."""

    def pass_on(number: int, frame: "FrameType | None") -> None:
        try:
            os.kill(child, number)
        except ProcessLookupError:  # it has ended just now
            pass

    before: list[tuple[int, Any]] = []
    for number in ENDING_SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup(1) wants it so
            before.append((number, signal.signal(number, pass_on)))
    return before


def _status_of(child: int) -> int:
    """Wait for the child, and end as it did."""
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return code & 0xFF
