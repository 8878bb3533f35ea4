"""The user's own terminal: raw while a session on a remote terminal runs, and put back in every case.

Called by the session.  `restore` may be called as often as one likes; main calls it last of all.
`go_to_background` leaves the terminal for good.
"""

import os
import signal
import termios
from typing import Any

from sshkit.interfaces import TerminalSize

_INPUT, _OUTPUT, _LOCAL, _CHARACTERS = 0, 1, 3, 6
_RAW_INPUT = (
    termios.ISTRIP
    | termios.INLCR
    | termios.IGNCR
    | termios.ICRNL
    | termios.IXON
    | termios.IXANY
    | termios.IXOFF
    | getattr(termios, "IUCLC", 0)
)
_RAW_LOCAL = (
    termios.ISIG
    | termios.ICANON
    | termios.ECHO
    | termios.ECHOE
    | termios.ECHOK
    | termios.ECHONL
    | termios.IEXTEN
)


class LocalTerminal:
    """A descriptor that may be a terminal."""

    __slots__ = ("_saved", "fd")

    def __init__(self, fd: int = 0) -> None:
        self.fd = fd
        self._saved: list[Any] | None = None

    @property
    def is_terminal(self) -> bool:
        """It is one."""
        return os.isatty(self.fd)

    @property
    def is_raw(self) -> bool:
        """It is in raw mode, because of us."""
        return self._saved is not None

    def size(self) -> TerminalSize:
        """Return its size; 0 for what it does not know."""
        from fcntl import ioctl
        from struct import unpack

        try:
            packed = ioctl(self.fd, termios.TIOCGWINSZ, bytes(8))
        except OSError:
            return TerminalSize(0, 0, 0, 0)
        rows, columns, width, height = unpack("HHHH", packed)
        return TerminalSize(columns, rows, width, height)

    def enter_raw(self) -> bool:
        """Let every key through to the other side; False where this is no terminal."""
        if self._saved is not None:
            return True
        try:
            saved = termios.tcgetattr(self.fd)
            raw = termios.tcgetattr(self.fd)
            raw[_INPUT] = (raw[_INPUT] | termios.IGNPAR) & ~_RAW_INPUT
            raw[_OUTPUT] &= ~termios.OPOST
            raw[_LOCAL] &= ~_RAW_LOCAL
            raw[_CHARACTERS][termios.VMIN] = 1
            raw[_CHARACTERS][termios.VTIME] = 0
            termios.tcsetattr(self.fd, termios.TCSADRAIN, raw)
        except termios.error:
            return False
        self._saved = saved
        return True

    def restore(self) -> None:
        """Put the modes back that were there before `enter_raw`."""
        saved, self._saved = self._saved, None
        if saved is not None:
            try:
                termios.tcsetattr(self.fd, termios.TCSADRAIN, saved)
            except termios.error:  # the terminal has gone
                pass


def go_to_background() -> None:
    """Let the user's shell go on; what returns is another process, in a session without a terminal."""
    # Where we lead the terminal's session, our exit hangs up on all that belongs to it still.
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    if os.fork():
        os._exit(0)
    os.setsid()
    signal.signal(signal.SIGHUP, signal.SIG_DFL if before is None else before)
