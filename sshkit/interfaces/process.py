"""A child process as a transport, and what it calls.

Implemented by sshkit.reactor.processes and sshkit.testing; called by the server's sessions, proxy commands.
"""

from typing import TYPE_CHECKING, NamedTuple, Protocol

from .derive import interface

if TYPE_CHECKING:
    from .transport import Writable


class TerminalSize(NamedTuple):
    """The size of a terminal (RFC 4254 section 6.2): characters, then pixels (0: unknown)."""

    columns: int = 80
    rows: int = 24
    pixel_width: int = 0
    pixel_height: int = 0


class ExitStatus(NamedTuple):
    """How a process ended: one of `code` and `signal` is set; neither if somebody else reaped it."""

    code: int | None = None
    signal: int | None = None
    core_dumped: bool = False


class ProcessTransport(Protocol):
    """A running child process."""

    @property
    def pid(self) -> int:
        """The process id; the child leads its session, so it is its process group too."""
        ...

    @property
    def terminal_name(self) -> str | None:
        """The path of the child's terminal ("/dev/pts/3"), None without one."""
        ...

    @property
    def exit_status(self) -> ExitStatus | None:
        """How it ended, None while it runs."""
        ...

    def write(self, data: "Writable") -> None:
        """Write to standard input; copied before this returns, dropped when the child reads no more."""
        ...

    def write_eof(self) -> None:
        """Close standard input once everything was written; on a terminal, type its end-of-file character."""
        ...

    def pause_reading(self, descriptor: int) -> None:
        """Deliver nothing from `descriptor` (1 or 2) until resumed."""
        ...

    def resume_reading(self, descriptor: int) -> None:
        """Deliver from `descriptor` again."""
        ...

    def close_output(self, descriptor: int) -> None:
        """Close our end of 1 or 2: the child's next write there fails.  Nothing more comes from it.

        Nothing happens on a terminal.
        """
        ...

    def send_signal(self, number: int) -> None:
        """Send a signal to the process group; nothing happens when the process was reaped."""
        ...

    def resize(self, size: TerminalSize) -> None:
        """Tell the terminal its new size; the programs on it get SIGWINCH.  Nothing without a terminal."""
        ...

    def close(self) -> None:
        """Close all our ends; on a terminal the programs get SIGHUP.  `process_exited` still comes."""
        ...

    def get_write_buffer_size(self) -> int:
        """Return how many bytes wait for standard input."""
        ...

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set the marks, in bytes, at which the protocol is paused and resumed."""
        ...


class ProcessProtocol(Protocol):
    """What a process calls."""

    def process_started(self, transport: ProcessTransport) -> None:
        """Called once, first."""
        ...

    def output_received(self, descriptor: int, data: bytes) -> None:
        """Take output of `descriptor`: 1, 2, or 1 for all of a terminal's."""
        ...

    def output_closed(self, descriptor: int) -> None:
        """Nothing more comes from `descriptor`."""
        ...

    def pause_writing(self) -> None:
        """Standard input is more than the high mark behind."""
        ...

    def resume_writing(self) -> None:
        """Standard input has drained to the low mark."""
        ...

    def process_exited(self, status: ExitStatus) -> None:
        """The process was reaped.  Called exactly once; output may still follow."""
        ...


IProcessTransport = interface(ProcessTransport)
IProcessProtocol = interface(ProcessProtocol)
