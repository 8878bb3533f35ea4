"""A child process as a transport, and what it calls.

Implemented by sshkit.reactor.processes and sshkit.testing; called by the server's sessions, proxy commands.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, TypedDict

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


class HasDescriptor(Protocol):
    """A file or a socket."""

    def fileno(self) -> int:
        """Return its descriptor."""
        ...


#: What a child has under one number: "input": a pipe that it reads and we write; "output": one that it
#: writes and we read; "null": /dev/null; "stdout": the same as its 1; or a descriptor or file of the
#: program's own, which stays open here.
Descriptor = Literal["input", "output", "null", "stdout"] | int | HasDescriptor


class SpawnOptions(TypedDict, total=False):
    """How a program is started; all of it may be left out."""

    executable: str | bytes | None  #: the program, if it is not argv[0]; a plain name is looked for in PATH
    env: Mapping[str, str] | Mapping[bytes, bytes] | None  #: its whole environment; None: ours
    cwd: str | bytes | None  #: its working directory; it must be able to enter it as `user`
    pty: TerminalSize | None  #: a terminal of this size for 0, 1 and 2, in place of pipes
    prepare_terminal: Callable[[int], None] | None  #: called with the terminal, to set its modes
    #: More and other descriptors than pipes for 0, 1 and 2, by the child's numbers; None: a closed one.
    descriptors: Mapping[int, Descriptor | None] | None
    new_session: bool  #: leads a session and a group of its own (the default)
    process_group: int | None  #: with new_session=False: 0: leads a group; else the group to join
    user: str | int | None  #: name or number; with its group and groups unless these are given too
    group: str | int | None
    extra_groups: Sequence[str | int] | None
    umask: int | None
    timeout: float | None  #: seconds after which it is ended, as by `ProcessTransport.terminate`
    kill_after: float  #: seconds between SIGTERM and SIGKILL


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

    @property
    def timed_out(self) -> bool:
        """Whether it was ended because its time was up."""
        ...

    @property
    def signals_sent(self) -> tuple[int, ...]:
        """What `terminate`, and the end of its time, have sent by now."""
        ...

    def write(self, data: "Writable", descriptor: int = 0) -> None:
        """Write to an input; copied before this returns, dropped when the child reads no more."""
        ...

    def write_eof(self, descriptor: int = 0) -> None:
        """Close an input once everything was written; on a terminal, type its end-of-file character."""
        ...

    def pause_reading(self, descriptor: int) -> None:
        """Deliver nothing from an output (1, 2 ...) until resumed."""
        ...

    def resume_reading(self, descriptor: int) -> None:
        """Deliver from an output again."""
        ...

    def close_output(self, descriptor: int) -> None:
        """Close our end of an output: the child's next write there fails.  Nothing more comes from it.

        Nothing happens on a terminal.
        """
        ...

    def send_signal(self, number: int) -> None:
        """Send a signal to the process group; nothing happens when the process was reaped."""
        ...

    def terminate(self, kill_after: float = 5.0) -> None:
        """End it: SIGTERM to the process group now; SIGKILL to what is left of the group a little later.

        That is when the process has ended and its outputs too, but at the latest after `kill_after` seconds.
        """
        ...

    def resize(self, size: TerminalSize) -> None:
        """Tell the terminal its new size; the programs on it get SIGWINCH.  Nothing without a terminal."""
        ...

    def close(self) -> None:
        """Close all our ends; on a terminal the programs get SIGHUP.  `process_exited` still comes."""
        ...

    def get_write_buffer_size(self, descriptor: int = 0) -> int:
        """Return how many bytes wait for an input."""
        ...

    def set_write_buffer_limits(
        self, high: int | None = None, low: int | None = None, descriptor: int = 0
    ) -> None:
        """Set the marks of an input, in bytes, at which the protocol is paused and resumed."""
        ...


class ProcessProtocol(Protocol):
    """What a process calls.

    A method `input_closed()`, if there is one, is told that the child reads its standard input no more, and
    `input_refused(descriptor)` the same of another input.  Neither is an error of the process.
    """

    def process_started(self, transport: ProcessTransport) -> None:
        """Called once, first."""
        ...

    def output_received(self, descriptor: int, data: bytes) -> None:
        """Take output of `descriptor`: 1, 2, others that were asked for, or 1 for all of a terminal's."""
        ...

    def output_closed(self, descriptor: int) -> None:
        """Nothing more comes from `descriptor`."""
        ...

    def pause_writing(self) -> None:
        """An input is more than its high mark behind."""
        ...

    def resume_writing(self) -> None:
        """No input is behind any more: each has drained to its low mark."""
        ...

    def process_exited(self, status: ExitStatus) -> None:
        """The process was reaped.  Called exactly once; output may still follow."""
        ...


IProcessTransport = interface(ProcessTransport)
IProcessProtocol = interface(ProcessProtocol)
