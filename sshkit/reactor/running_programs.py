"""One program, from its start to its end, as one Deferred: `run_process`.

Called by programs.  Output is bounded, time is bounded, and nothing that was started is left behind: who runs
over its time gets SIGTERM, and what is left of its group SIGKILL.
"""

import signal
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from sshkit.deferred import Deferred
from sshkit.interfaces.process import Descriptor, ExitStatus, ProcessTransport

from .current import current
from .descriptors import STANDARD_STREAMS
from .errors import ProcessError, ProcessFailed, ProcessTimeout, SpawnError, TooMuchOutput
from .processes import KILL_AFTER
from .text import shown

if TYPE_CHECKING:
    from .timers import DelayedCall

#: Seconds that a program may run unless told otherwise.
RUN_TIMEOUT = 60.0

#: Bytes of standard output, and as many of standard error, unless told otherwise.
MAX_OUTPUT = 16 * 1024 * 1024

#: Seconds after SIGKILL in which a process must end; one that waits for a broken disk does not.
GIVE_UP_AFTER = 5.0

#: The end of a process whose status somebody else took.
UNKNOWN_END = "has ended in an unknown way: we ignore SIGCHLD, or something else here has waited for it"

#: Characters of standard error in the message of a program that failed.
SHOWN_ERRORS = 500


class Completed(NamedTuple):
    """A program that has ended."""

    argv: tuple[str | bytes, ...]
    exit_status: ExitStatus
    stdout: bytes
    stderr: bytes


class Run:
    """The protocol of a process that is run to its end."""

    __slots__ = (
        "_argv",
        "_check",
        "_error",
        "_input",
        "_kill_after",
        "_max_output",
        "_open",
        "_output",
        "_reactor",
        "_takes_input",
        "_timeout",
        "_timer",
        "_transport",
        "result",
    )

    def __init__(
        self,
        reactor: Any,
        argv: Sequence[str | bytes],
        data: bytes,
        timeout: float | None,
        check: bool,
        max_output: int,
        kill_after: float,
        plan: Mapping[int, Descriptor | None] = STANDARD_STREAMS,
    ) -> None:
        self._takes_input = plan[0] == "input"
        self._kill_after = kill_after
        self._reactor = reactor
        self._argv = tuple(argv)
        self._input = data
        self._timeout = timeout
        self._check = check
        self._max_output = max_output
        self._output = {1: bytearray(), 2: bytearray()}
        self._open = 1 + (plan[1] == "output") + (plan[2] == "output")  # the process, and its outputs
        self._error: BaseException | None = None
        self._timer: DelayedCall | None = None
        self._transport: ProcessTransport | None = None
        self.result: Deferred[Completed] = Deferred(lambda _: self._end())

    @property
    def _name(self) -> str:
        name = self._argv[0]
        return shown(name)

    def process_started(self, transport: ProcessTransport) -> None:
        """Give it its input, and its time."""
        self._transport = transport
        hold = getattr(transport, "hold_group", None)
        if hold is not None:
            hold()  # so that its group can be ended even after the program itself
        if self._timeout is not None:
            self._timer = self._reactor.call_later(self._timeout, self._time_is_up)
        if self._takes_input:
            transport.write(self._input)
            transport.write_eof()
        self._input = b""

    def output_received(self, descriptor: int, data: bytes) -> None:
        """Collect, up to the limit."""
        output = self._output[descriptor]
        if self._error is not None:
            return
        if len(output) + len(data) > self._max_output:
            text = f"{self._name} wrote more than {self._max_output} bytes"
            self._fail(TooMuchOutput(text))
            return
        output += data

    def output_closed(self, descriptor: int) -> None:
        """One output has ended."""
        self._one_less()

    def pause_writing(self) -> None:
        """All input was written at the start."""

    def resume_writing(self) -> None:
        """All input was written at the start."""

    def process_exited(self, status: ExitStatus) -> None:
        """The process has ended; what it has started may still hold its output open."""
        self._one_less()

    def _one_less(self) -> None:
        self._open -= 1
        if self._open:
            return
        if self._timer is not None:
            self._timer.cancel()
        if self.result.called:
            return
        assert self._transport is not None
        if self._error is not None:
            self.result.errback(self._worded(self._error))
            return
        status = self._transport.exit_status or ExitStatus()
        completed = Completed(self._argv, status, bytes(self._output[1]), bytes(self._output[2]))
        if self._check and status.code != 0:
            self.result.errback(ProcessFailed(f"{self._name} {how_it_ended(completed)}", completed))
        else:
            self.result.callback(completed)

    def _time_is_up(self) -> None:
        self._fail(ProcessTimeout(f"{self._name} took longer than {self._timeout:g} seconds"))

    def _worded(self, error: BaseException) -> BaseException:
        """Have an error of time tell what was done about it."""
        if not isinstance(error, ProcessTimeout):
            return error
        transport = self._transport
        assert transport is not None
        names = " and ".join(signal.Signals(number).name for number in transport.signals_sent)
        return ProcessTimeout(f"{error}: {names} sent" if names else str(error))

    def _fail(self, error: BaseException) -> None:
        if self._error is None:
            self._error = error
            self._end()

    def _end(self) -> None:
        """Ask the program and what it has started to end, and make them a little later."""
        transport = self._transport
        if transport is None:
            return
        transport.terminate(self._kill_after)
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._reactor.call_later(self._kill_after, self._let_go)

    def _let_go(self) -> None:
        """Close the outputs: all was killed, and nothing more is wanted of whoever still holds them."""
        transport = self._transport
        assert transport is not None
        self._timer = self._reactor.call_later(GIVE_UP_AFTER, self._give_up)
        for descriptor in (1, 2):
            transport.close_output(descriptor)  # without a word to us
        if self._open:
            self._open = 1
            if transport.exit_status is not None:
                self._one_less()

    def _give_up(self) -> None:
        if not self.result.called and self._error is not None:
            self.result.errback(ProcessError(f"{self._worded(self._error)}; yet it does not end"))


def how_it_ended(completed: Completed) -> str:
    """Return a program's end in words, with the last of what it wrote to standard error."""
    status = completed.exit_status
    if status.signal is not None:
        try:
            how = f"was ended by {signal.Signals(status.signal).name}"
        except ValueError:
            how = f"was ended by signal {status.signal}"
    else:
        how = UNKNOWN_END if status.code is None else f"exited with {status.code}"
    errors = shown(completed.stderr[-SHOWN_ERRORS:].strip())
    return f"{how}: {errors}" if errors else how


def run_process(
    argv: Sequence[str | bytes],
    *,
    input: bytes = b"",
    timeout: float | None = RUN_TIMEOUT,
    kill_after: float = KILL_AFTER,
    check: bool = False,
    max_output: int = MAX_OUTPUT,
    executable: str | bytes | None = None,
    env: Mapping[str, str] | Mapping[bytes, bytes] | None = None,
    cwd: str | bytes | None = None,
    descriptors: Mapping[int, Descriptor | None] | None = None,
    new_session: bool = True,
    process_group: int | None = None,
    user: str | int | None = None,
    group: str | int | None = None,
    extra_groups: Sequence[str | int] | None = None,
    umask: int | None = None,
    reactor: Any = None,
) -> Deferred[Completed]:
    """Run a program with `input`, and fire with its status and output when it has ended.

    Raises SpawnError at once when it cannot start.  Fails with ProcessTimeout after `timeout` seconds, with
    TooMuchOutput past `max_output` bytes of either output, with `check` also with ProcessFailed for any
    status but 0.  Each of these, and cancelling, ends the program and its process group first: SIGTERM, and
    SIGKILL when the program has ended, or after `kill_after` seconds.  `descriptors` are those of
    `spawn_process`, but for pipes: there is nobody to read or write these.
    """
    if reactor is None:
        reactor = current()
    plan = {**STANDARD_STREAMS, **(descriptors or {})}
    for number, what in plan.items():
        if (what == "input" and number) or (what == "output" and number not in (1, 2)):
            raise SpawnError(f"run_process has nobody for {what!r} as the program's descriptor {number}")
    if input and plan[0] != "input":
        raise SpawnError(f"run_process has input for a program whose descriptor 0 is {plan[0]!r}")
    run = Run(reactor, argv, input, timeout, check, max_output, kill_after, plan)
    reactor.spawn_process(
        run,
        argv,
        executable=executable,
        env=env,
        cwd=cwd,
        descriptors=descriptors,
        new_session=new_session,
        process_group=process_group,
        user=user,
        group=group,
        extra_groups=extra_groups,
        umask=umask,
    )
    return run.result
