"""Child processes: pipes or a terminal, and the end of each child reported exactly once.

Called by `spawn_process` of every reactor.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from sshkit.interfaces.derive import implementer
from sshkit.interfaces.process import ExitStatus, IProcessTransport, ProcessProtocol, TerminalSize
from sshkit.interfaces.transport import Writable

from .errors import SpawnError
from .reaper import watch_exit
from .spawning import spawn
from .text import shown, shown_error
from .transports.ends import ReadEnd, WriteEnd

if TYPE_CHECKING:
    from .core import ReactorCore

#: Where the file descriptors of pipes for a child must lie above, so that none is overwritten by another.
FIRST_FREE = 3

#: The largest number that a terminal takes as one of its sizes.
MAX_SIZE = 65535


@implementer(IProcessTransport)
class ProcessTransport:
    """A running child."""

    __slots__ = (
        "_input",
        "_master",
        "_outputs",
        "_protocol",
        "_reactor",
        "_signals_group",
        "exit_status",
        "pid",
        "terminal_name",
    )

    def __init__(
        self,
        reactor: "ReactorCore",
        protocol: ProcessProtocol,
        pid: int,
        stdin: int,
        outputs: dict[int, int],
        terminal_name: str | None,
        signals_group: bool,
    ) -> None:
        self._reactor = reactor
        self._protocol = protocol
        self._signals_group = signals_group
        self.pid = pid
        self.terminal_name = terminal_name
        self.exit_status: ExitStatus | None = None
        self._input = WriteEnd(reactor, stdin, self)
        self._outputs = {descriptor: ReadEnd(reactor, fd, self) for descriptor, fd in outputs.items()}
        self._master = self._outputs[1] if terminal_name is not None else None

    def start(self) -> None:
        """Introduce the protocol and begin to read."""
        watch_exit(self._reactor, self.pid, self._exited)
        try:
            self._protocol.process_started(self)
        except Exception:
            self.close()
            raise
        for end in self._outputs.values():
            end.resume()

    # -- what the ends and the reaper tell --------------------------------------------------------

    def _descriptor(self, end: ReadEnd) -> int:
        return 1 if end is self._outputs.get(1) else 2

    def end_data(self, end: ReadEnd, data: bytes) -> None:
        """Hand it on."""
        self._protocol.output_received(self._descriptor(end), data)

    def end_finished(self, end: ReadEnd, error: BaseException | None) -> None:
        """One output has ended."""
        try:
            self._protocol.output_closed(self._descriptor(end))
        except Exception as fault:
            self._reactor.report(f"output_closed of {type(self._protocol).__name__} failed", fault)

    def end_full(self) -> None:
        """Pause the protocol."""
        self._protocol.pause_writing()

    def end_room(self) -> None:
        """Resume the protocol."""
        self._protocol.resume_writing()

    def end_flushed(self) -> None:
        """Standard input is closed, as asked."""

    def end_broken(self, error: OSError) -> None:
        """The child reads no more: what is written from now on is dropped; who wants to know is told."""
        closed = getattr(self._protocol, "input_closed", None)
        if closed is not None:
            closed()

    def _exited(self, status: ExitStatus) -> None:
        self.exit_status = status
        try:
            self._protocol.process_exited(status)
        except Exception as error:
            self._reactor.report(f"process_exited of {type(self._protocol).__name__} failed", error)

    # -- what the protocol asks -------------------------------------------------------------------

    def write(self, data: Writable) -> None:
        """Write to standard input."""
        self._input.write(data)

    def write_eof(self) -> None:
        """Close standard input once everything was written; on a terminal, type its end-of-file character."""
        if self._master is None:
            self._input.close_when_flushed()
        elif self._master.fd >= 0:
            import termios

            self._input.write(termios.tcgetattr(self._master.fd)[6][termios.VEOF])

    def pause_reading(self, descriptor: int) -> None:
        """Read nothing from `descriptor`."""
        end = self._outputs.get(descriptor)
        if end is not None:
            end.pause()

    def resume_reading(self, descriptor: int) -> None:
        """Read from `descriptor` again."""
        end = self._outputs.get(descriptor)
        if end is not None:
            end.resume()

    def close_output(self, descriptor: int) -> None:
        """Close our end of an output, unless it is a terminal's."""
        end = self._outputs.get(descriptor)
        if end is not None and end is not self._master:
            end.close()

    def send_signal(self, number: int) -> None:
        """Send a signal to the process group."""
        if self.exit_status is None:  # a reaped child's number may be another's by now
            try:
                (os.killpg if self._signals_group else os.kill)(self.pid, number)
            except ProcessLookupError:
                pass

    def resize(self, size: TerminalSize) -> None:
        """Tell the terminal its new size."""
        if self._master is not None and self._master.fd >= 0:
            set_terminal_size(self._master.fd, size)

    def close(self) -> None:
        """Close all our ends.  When a terminal loses its master, its programs get SIGHUP."""
        self._input.close()
        for end in self._outputs.values():
            end.close()

    def get_write_buffer_size(self) -> int:
        """Return how many bytes wait for standard input."""
        return self._input.waiting

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set the marks, in bytes."""
        self._input.set_marks(high, low)

    def __repr__(self) -> str:
        return f"<ProcessTransport pid={self.pid} {self.exit_status or 'running'}>"


def set_terminal_size(fd: int, size: TerminalSize) -> None:
    """Set a terminal's size: characters and pixels, each cut to what the terminal takes."""
    from fcntl import ioctl
    from struct import pack
    from termios import TIOCSWINSZ

    rows, columns, width, height = (
        min(max(number, 0), MAX_SIZE)
        for number in (size.rows, size.columns, size.pixel_width, size.pixel_height)
    )
    ioctl(fd, TIOCSWINSZ, pack("HHHH", rows, columns, width, height))


def spawn_process(
    reactor: "ReactorCore",
    protocol: ProcessProtocol,
    argv: Sequence[str | bytes],
    executable: str | bytes | None,
    env: Mapping[str, str] | Mapping[bytes, bytes] | None,
    cwd: str | bytes | None,
    pty: TerminalSize | None,
    prepare_terminal: Callable[[int], None] | None,
    new_session: bool,
) -> ProcessTransport:
    """Start a program on three pipes or on a terminal."""
    with ExitStack() as theirs, ExitStack() as ours:
        try:
            if pty is None:
                child_in, stdin = _pipe(theirs, ours)
                stdout, child_out = _pipe(ours, theirs)
                stderr, child_err = _pipe(ours, theirs)
                outputs = {1: stdout, 2: stderr}
                files: Sequence[int] | str = (child_in, child_out, child_err)
                name = None
            else:
                master, slave = os.openpty()
                ours.callback(os.close, master)
                theirs.callback(os.close, slave)
                name = files = os.ttyname(slave)
                set_terminal_size(slave, pty)
                if prepare_terminal is not None:
                    prepare_terminal(slave)
                stdin = os.dup(master)
                ours.callback(os.close, stdin)
                outputs = {1: master}
        except OSError as error:
            program = shown(os.fsencode(argv[0] if argv else ""))
            what = "pipes" if pty is None else "terminal"
            raise SpawnError(f"cannot start {program}: no {what}: {shown_error(error)}") from error
        new_session = new_session or pty is not None
        pid = spawn(argv, executable, env, cwd, files, new_session)
        ours.pop_all()
    for fd in (stdin, *outputs.values()):
        os.set_blocking(fd, False)
    transport = ProcessTransport(reactor, protocol, pid, stdin, outputs, name, new_session)
    transport.start()
    return transport


def _pipe(read_owner: ExitStack, write_owner: ExitStack) -> tuple[int, int]:
    """Return a pipe, both ends above the standard three, each closed with its owner."""
    ends = list(os.pipe())
    for index, owner in ((0, read_owner), (1, write_owner)):
        if ends[index] < FIRST_FREE:
            from fcntl import F_DUPFD_CLOEXEC, fcntl

            low, ends[index] = ends[index], fcntl(ends[index], F_DUPFD_CLOEXEC, FIRST_FREE)
            owner.callback(os.close, ends[index])
            os.close(low)
        else:
            owner.callback(os.close, ends[index])
    return ends[0], ends[1]
