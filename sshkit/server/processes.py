"""A session that is a real process: the channel on one side, pipes or a terminal on the other.

`LoginSessions` (commands.py) makes one for each command, shell or subsystem.  Data goes from the channel
to the process and back without a copy of its own; whoever is slow stops the other by back-pressure.

A channel ends when the process was reaped and its output was read to the end: so no output is lost, and a
program left behind keeps the channel only as long as it holds the pipes, as with sshd.  One left behind on
a terminal cannot write to it any more, and is not waited for.  A client that goes sends the process SIGHUP,
with or without a terminal, so that nothing stays behind (R31).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from sshkit.server.session import Program, SessionRequest

if TYPE_CHECKING:
    from sshkit.interfaces import ExitStatus, ProcessTransport, Reactor, TerminalSize

#: Seconds without output after which a terminal is given up whose session has ended, but which a program
#: left behind keeps open.  The kernel hands on what was written last with a small delay of its own.
QUIET = 0.1

#: What OpenSSH names a signal that RFC 4254 section 6.10 has no name for.
OTHER_SIGNAL = "SIG@openssh.com"


class ProcessProgram(Program):
    """The channel's side: what the client sends goes to the process."""

    __slots__ = (
        "_greeting",
        "_open_outputs",
        "_output_gone",
        "_paused",
        "_process",
        "_reactor",
        "_side",
        "_status",
    )

    def __init__(
        self,
        request: SessionRequest,
        reactor: "Reactor",
        argv: Sequence[str],
        *,
        executable: str,
        env: Mapping[str, str],
        cwd: str,
        prepare_terminal: Callable[[int], None] | None = None,
        greeting: bytes = b"",
    ) -> None:
        """Start the process; raises SpawnError.  With a terminal in `request` it gets one.

        `greeting` is what the client sees before all that the process writes.
        """
        super().__init__(request)
        terminal = request.terminal
        self._greeting = greeting
        self._open_outputs = 2 if terminal is None else 1
        self._output_gone = False
        self._paused = False
        self._status: ExitStatus | None = None
        self._reactor = reactor
        self._side = ProcessSide(self) if terminal is None else TerminalSide(self)
        self._process: ProcessTransport = reactor.spawn_process(
            self._side,
            argv,
            executable=executable,
            env=env,
            cwd=cwd,
            pty=None if terminal is None else terminal.size,
            prepare_terminal=prepare_terminal,
        )

    # Called by the channel.

    def started(self) -> None:
        if self._greeting:
            self.channel.write(self._greeting)

    def data_received(self, data: memoryview) -> None:
        self._process.write(data)

    def eof_received(self) -> None:
        self._process.write_eof()

    def pause_writing(self) -> None:
        self._paused = True
        self._process.pause_reading(1)
        self._process.pause_reading(2)

    def resume_writing(self) -> None:
        self._paused = False
        self._process.resume_reading(1)
        self._process.resume_reading(2)

    def resized(self, size: "TerminalSize") -> None:
        self._process.resize(size)

    def signal_received(self, name: str) -> None:
        import signal

        number = getattr(signal, f"SIG{name}", None)
        if number is not None:  # Linux has no SIGINFO
            self._process.send_signal(number)

    def output_refused(self) -> None:
        """Let the next write to standard output fail, as if whoever reads there had gone."""
        if self.request.terminal is None and not self._output_gone:
            self._output_gone = True
            self._process.close_output(1)
            self.output_closed()

    def channel_closed(self, error: BaseException | None) -> None:
        self._ended = True
        process = self._process
        if process.exit_status is None:
            from signal import SIGHUP

            process.send_signal(SIGHUP)
        process.close()

    # Called by the other side.

    def input_closed(self) -> None:
        """Tell the client that the process reads no more."""
        self.refuse_input()

    def output_closed(self) -> None:
        """Finish if that was all.

        EOF waits for the exit status: a client whose own input has ended answers EOF with CLOSE, and a
        command that only gave its output up ("exec >log 2>&1") must neither lose its status nor be hung up.
        """
        self._open_outputs -= 1
        if not self._open_outputs and self._status is not None:
            self._finish(self._status)

    def process_exited(self, status: "ExitStatus") -> None:
        """Note how it ended; what it wrote before may still have to be read."""
        self._status = status
        if not self._open_outputs:
            self._finish(status)
        elif isinstance(self._side, TerminalSide):
            self._reactor.call_later(QUIET, self._give_terminal_up, self._side, status)

    def _give_terminal_up(self, side: "TerminalSide", status: "ExitStatus") -> None:
        if self._ended:
            return
        if side.heard or self._paused:
            side.heard = False
            self._reactor.call_later(QUIET, self._give_terminal_up, side, status)
        else:
            self._finish(status)

    def _finish(self, status: "ExitStatus") -> None:
        self._process.close()
        number = status.signal
        if number is None:
            self.exit(status.code or 0)
            return
        import signal

        from sshkit.ssh.channels.session import SIGNALS

        name = signal.Signals(number).name.removeprefix("SIG") if number in set(signal.Signals) else ""
        known = name if name in SIGNALS else OTHER_SIGNAL
        self.exit_by_signal(known, status.core_dumped, signal.strsignal(number) or f"signal {number}")


class ProcessSide:
    """The process' side: what it writes goes to the client."""

    __slots__ = ("_channel", "_program")

    def __init__(self, program: ProcessProgram) -> None:
        self._program = program
        self._channel = program.channel

    def process_started(self, transport: "ProcessTransport") -> None:
        """The program keeps what spawning returns."""

    def output_received(self, descriptor: int, data: bytes) -> None:
        """Send it on."""
        if descriptor == 1:
            self._channel.write(data)
        else:
            self._channel.write_extended(data)

    def output_closed(self, descriptor: int) -> None:
        """Count it."""
        self._program.output_closed()

    def input_closed(self) -> None:
        """Standard input is closed."""
        self._program.input_closed()

    def pause_writing(self) -> None:
        """Standard input is full: stop the client."""
        self._channel.pause_reading()

    def resume_writing(self) -> None:
        """Let it go on."""
        self._channel.resume_reading()

    def process_exited(self, status: "ExitStatus") -> None:
        """Hand it on."""
        self._program.process_exited(status)


class TerminalSide(ProcessSide):
    """The same with a note that something came."""

    __slots__ = ("heard",)

    def __init__(self, program: ProcessProgram) -> None:
        super().__init__(program)
        self.heard = False

    def output_received(self, descriptor: int, data: bytes) -> None:
        self.heard = True
        self._channel.write(data)
