"""Child processes: pipes or a terminal, and the end of each child reported exactly once.

Called by `spawn_process` of every reactor.
"""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from sshkit.interfaces.derive import implementer
from sshkit.interfaces.process import (
    Descriptor,
    ExitStatus,
    IProcessTransport,
    ProcessProtocol,
    TerminalSize,
)
from sshkit.interfaces.transport import Writable

from .descriptors import STANDARD_STREAMS, Descriptors
from .errors import FAULTS, ReactorError, SpawnError
from .reaper import ChildWatch, watch_exit
from .spawning import spawn
from .text import shown, shown_error
from .transports.ends import ReadEnd, WriteEnd

if TYPE_CHECKING:
    from .serving import ServingReactor
    from .timers import DelayedCall

#: The largest number that a terminal takes as one of its sizes.
MAX_SIZE = 65535

#: Seconds between SIGTERM and SIGKILL.
KILL_AFTER = 5.0

_SIGKILL = 9
_SIGTERM = 15
_SIGCONT = 19 if sys.platform == "darwin" else 18


class Input:
    """A pipe that the child reads, or what is typed at its terminal: which of them is behind, or broken."""

    __slots__ = ("_number", "_transport", "end")

    def __init__(
        self, transport: "ProcessTransport", reactor: "ServingReactor", number: int, fd: int
    ) -> None:
        self._transport = transport
        self._number = number
        self.end = WriteEnd(reactor, fd, self)

    def end_full(self) -> None:
        """Pause the protocol."""
        self._transport.input_full()

    def end_room(self) -> None:
        """Resume the protocol, unless another input is behind."""
        self._transport.input_has_room()

    def end_flushed(self) -> None:
        """It is closed, as asked."""

    def end_broken(self, error: OSError) -> None:
        """The child reads no more: what is written from now on is dropped; who wants to know is told."""
        self._transport.input_broken(self._number)


@implementer(IProcessTransport)
class ProcessTransport:
    """A running child."""

    __slots__ = (
        "_full_inputs",
        "_inputs",
        "_kill_after",
        "_leads_group",
        "_master",
        "_numbers",
        "_outputs",
        "_protocol",
        "_reactor",
        "_terminating",
        "_timer",
        "_watch",
        "exit_status",
        "pid",
        "signals_sent",
        "terminal_name",
        "timed_out",
    )

    def __init__(
        self,
        reactor: "ServingReactor",
        protocol: ProcessProtocol,
        pid: int,
        inputs: dict[int, int],
        outputs: dict[int, int],
        terminal_name: str | None,
        leads_group: bool,
    ) -> None:
        self._reactor = reactor
        self._protocol = protocol
        self._leads_group = leads_group
        self._full_inputs = 0
        self._timer: DelayedCall | None = None
        self._kill_after = KILL_AFTER
        self._terminating = False
        self._watch: ChildWatch | None = None
        self.pid = pid
        self.terminal_name = terminal_name
        self.exit_status: ExitStatus | None = None
        self.timed_out = False
        self.signals_sent: tuple[int, ...] = ()
        self._inputs = {number: Input(self, reactor, number, fd) for number, fd in inputs.items()}
        self._outputs = {number: ReadEnd(reactor, fd, self) for number, fd in outputs.items()}
        self._numbers = {end: number for number, end in self._outputs.items()}
        self._master = self._outputs[1] if terminal_name is not None else None

    def start(self, timeout: float | None = None, kill_after: float = KILL_AFTER) -> None:
        """Introduce the protocol and begin to read."""
        try:
            self._watch = watch_exit(self._reactor, self.pid, self._exited)
        except (OSError, RuntimeError) as error:  # neither a pidfd nor a thread could be had
            self.close()
            os.kill(self.pid, _SIGKILL)
            os.waitpid(self.pid, 0)
            raise SpawnError(f"cannot wait for a program that was started: {shown_error(error)}") from error
        if timeout is not None:
            self.hold_group()
            self._kill_after = kill_after
            self._timer = self._reactor.call_later(timeout, self._time_is_up)
        try:
            self._protocol.process_started(self)
        except FAULTS:
            self.close()
            raise
        for end in tuple(self._outputs.values()):
            end.resume()

    # -- what the ends and the reaper tell --------------------------------------------------------

    def end_data(self, end: ReadEnd, data: bytes) -> None:
        """Hand it on."""
        self._protocol.output_received(self._numbers[end], data)

    def end_finished(self, end: ReadEnd, error: BaseException | None) -> None:
        """One output has ended."""
        self._finish_perhaps()
        try:
            self._protocol.output_closed(self._numbers[end])
        except FAULTS as fault:
            self._reactor.report(f"output_closed of {type(self._protocol).__name__} failed", fault)

    def input_full(self) -> None:
        """Pause the protocol."""
        self._full_inputs += 1
        if self._full_inputs == 1:
            self._protocol.pause_writing()

    def input_has_room(self) -> None:
        """Resume the protocol, unless another input is behind."""
        self._full_inputs -= 1
        if not self._full_inputs:
            self._protocol.resume_writing()

    def input_broken(self, number: int) -> None:
        """Tell who wants to know that the child reads no more there."""
        if number == 0:
            self._tell("input_closed")
        else:
            self._tell("input_refused", number)

    def _tell(self, name: str, *args: int) -> None:
        """Call a method that protocols need not have."""
        method = getattr(self._protocol, name, None)
        if method is not None:
            try:
                method(*args)
            except FAULTS as error:
                self._reactor.report(f"{name} of {type(self._protocol).__name__} failed", error)

    def _exited(self, status: ExitStatus) -> None:
        self.exit_status = status
        self._finish_perhaps()
        try:
            self._protocol.process_exited(status)
        except FAULTS as error:
            self._reactor.report(f"process_exited of {type(self._protocol).__name__} failed", error)

    # -- the end that we make ---------------------------------------------------------------------

    def hold_group(self) -> None:
        """Keep the group's number for signals until the process has ended and its outputs too."""
        if self._leads_group and self._watch is not None:
            self._watch.hold()

    def _time_is_up(self) -> None:
        self._timer = None
        self.timed_out = True
        self.terminate(self._kill_after)

    def terminate(self, kill_after: float = KILL_AFTER) -> None:
        """End it: SIGTERM to its group now, SIGKILL to what is left of the group a little later."""
        if self._terminating or not self._signal(_SIGTERM):
            return
        self._terminating = True
        self.signals_sent += (_SIGTERM,)
        self._signal(_SIGCONT)  # who is stopped would not feel the other one
        self.hold_group()
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._reactor.call_later(kill_after, self._kill)

    def _kill(self) -> None:
        self._timer = None
        if self._signal(_SIGKILL):
            self.signals_sent += (_SIGKILL,)
        self._let_go()

    def _finish_perhaps(self) -> None:
        """When it has ended and its outputs too: kill what is left if it was to end; give its number back."""
        if self.exit_status is None or any(end.fd >= 0 for end in self._outputs.values()):
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._terminating and self._leads_group:
            self._signal(_SIGKILL)
        self._let_go()

    def _let_go(self) -> None:
        if self._watch is not None:
            self._watch.let_go()

    def _signal(self, number: int) -> bool:
        return self._watch is not None and self._watch.signal(number, self._leads_group)

    # -- what the protocol asks -------------------------------------------------------------------

    def write(self, data: Writable, descriptor: int = 0) -> None:
        """Write to an input."""
        self._input(descriptor).write(data)

    def _input(self, descriptor: int) -> WriteEnd:
        found = self._inputs.get(descriptor)
        if found is None:
            raise ReactorError(f"the child's descriptor {descriptor} is no input of this process")
        return found.end

    def write_eof(self, descriptor: int = 0) -> None:
        """Close an input once everything was written; on a terminal, type its end-of-file character."""
        end = self._input(descriptor)
        if self._master is None or descriptor != 0:
            end.close_when_flushed()
        elif self._master.fd >= 0:
            import termios

            end.write(termios.tcgetattr(self._master.fd)[6][termios.VEOF])

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
            self._finish_perhaps()

    def send_signal(self, number: int) -> None:
        """Send a signal to the process group."""
        self._signal(number)

    def resize(self, size: TerminalSize) -> None:
        """Tell the terminal its new size."""
        if self._master is not None and self._master.fd >= 0:
            set_terminal_size(self._master.fd, size)

    def close(self) -> None:
        """Close all our ends.  When a terminal loses its master, its programs get SIGHUP."""
        for each in self._inputs.values():
            each.end.close()
        for end in self._outputs.values():
            end.close()
        self._finish_perhaps()

    def get_write_buffer_size(self, descriptor: int = 0) -> int:
        """Return how many bytes wait for an input."""
        return self._input(descriptor).waiting

    def set_write_buffer_limits(
        self, high: int | None = None, low: int | None = None, descriptor: int = 0
    ) -> None:
        """Set the marks, in bytes."""
        self._input(descriptor).set_marks(high, low)

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
    reactor: "ServingReactor",
    protocol: ProcessProtocol,
    argv: Sequence[str | bytes],
    *,
    executable: str | bytes | None = None,
    env: Mapping[str, str] | Mapping[bytes, bytes] | None = None,
    cwd: str | bytes | None = None,
    pty: TerminalSize | None = None,
    prepare_terminal: Callable[[int], None] | None = None,
    descriptors: Mapping[int, Descriptor | None] | None = None,
    new_session: bool = True,
    process_group: int | None = None,
    user: str | int | None = None,
    group: str | int | None = None,
    extra_groups: Sequence[str | int] | None = None,
    umask: int | None = None,
    timeout: float | None = None,
    kill_after: float = KILL_AFTER,
) -> ProcessTransport:
    """Start a program on pipes or on a terminal, and on what else it is to have."""
    program = shown(os.fsencode(argv[0] if argv else ""))
    new_session = new_session or pty is not None
    if process_group is not None and (new_session or process_group < 0):
        why = "it leads a session of its own" if new_session else "there is none with this number"
        raise SpawnError(f"cannot start {program} in the process group {process_group}: {why}")
    identity = None
    if (user, group, extra_groups, umask) != (None, None, None, None):
        from .accounts import identity as look_up

        identity = look_up(user, group, extra_groups, umask)
    plan: dict[int, Descriptor | None] = {} if pty is not None else dict(STANDARD_STREAMS)
    if descriptors:
        taken = [number for number in descriptors if number < 3] if pty is not None else []
        if taken:
            raise SpawnError(f"cannot start {program}: its descriptor {taken[0]} is the terminal")
        plan.update(descriptors)
    ends = Descriptors()
    name = None
    with ends.theirs, ends.ours:
        try:
            ends.open(reactor, plan)
            if pty is not None:
                name = _open_terminal(ends, pty, prepare_terminal, None if identity is None else identity.uid)
        except SpawnError as error:
            raise SpawnError(f"cannot start {program}: {error}") from error
        except OSError as error:
            what = "pipes" if pty is None else "terminal"
            raise SpawnError(f"cannot start {program}: no {what}: {shown_error(error)}") from error
        for fd in (*ends.inputs.values(), *ends.outputs.values()):
            os.set_blocking(fd, False)
        pid = spawn(
            argv,
            executable,
            env,
            cwd,
            ends.child,
            new_session,
            terminal=name,
            process_group=process_group,
            identity=identity,
        )
        ends.ours.pop_all()
    leads_group = new_session or process_group == 0
    transport = ProcessTransport(reactor, protocol, pid, ends.inputs, ends.outputs, name, leads_group)
    transport.start(timeout, kill_after)
    return transport


def _open_terminal(
    ends: Descriptors, size: TerminalSize, prepare: Callable[[int], None] | None, uid: int | None
) -> str:
    """Open a terminal for 0, 1 and 2, and return its name; raises OSError."""
    master, slave = os.openpty()
    ends.ours.callback(os.close, master)
    ends.theirs.callback(os.close, slave)
    set_terminal_size(slave, size)
    if uid is not None:
        os.fchown(slave, uid, -1)
    if prepare is not None:
        prepare(slave)
    ends.inputs[0] = os.dup(master)
    ends.ours.callback(os.close, ends.inputs[0])
    ends.outputs[1] = master
    return os.ttyname(slave)
