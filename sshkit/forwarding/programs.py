"""Runs a small program to its end: xauth, for both sides of X11 forwarding.

The program gets an argument vector and no shell; what it writes is bounded, and so is its time.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from sshkit.deferred import Deferred

if TYPE_CHECKING:
    from sshkit.interfaces import ExitStatus, ProcessTransport, Reactor

MAX_OUTPUT = 64 * 1024  #: bytes of standard output that are kept
TIMEOUT = 20.0  #: seconds; an X server that hangs lets xauth hang


class Finished(NamedTuple):
    """What a program left."""

    ok: bool  #: it ended with status 0
    output: bytes


class _Program:
    """The process' protocol."""

    __slots__ = ("_closed", "_output", "_room", "_status", "finished", "process")
    process: "ProcessTransport"

    def __init__(self) -> None:
        self._output: list[bytes] = []
        self._room = MAX_OUTPUT
        self._closed = 0
        self._status: ExitStatus | None = None
        self.finished: Deferred[Finished] = Deferred(self._cancelled)

    def process_started(self, transport: "ProcessTransport") -> None:
        self.process = transport

    def output_received(self, descriptor: int, data: bytes) -> None:
        if descriptor == 1 and self._room > 0:
            self._output.append(data[: self._room])
            self._room -= len(data)

    def output_closed(self, descriptor: int) -> None:
        self._closed += 1
        self._end()

    def pause_writing(self) -> None:
        """Its input is small."""

    def resume_writing(self) -> None:
        """Its input is small."""

    def process_exited(self, status: "ExitStatus") -> None:
        self._status = status
        self._end()

    def _end(self) -> None:
        status = self._status
        if self._closed == 2 and status is not None:
            self.process.close()
            if not self.finished.called:
                self.finished.callback(Finished(status.code == 0, b"".join(self._output)))

    def _cancelled(self, finished: "Deferred[Finished]") -> None:
        from signal import SIGKILL

        self.process.send_signal(SIGKILL)
        self.process.close()


def run_program(
    reactor: "Reactor",
    argv: Sequence[str],
    input: bytes = b"",
    env: Mapping[str, str] | None = None,
    cwd: str | None = None,
    timeout: float = TIMEOUT,
) -> Deferred[Finished]:
    """Run a program; raises SpawnError, or fails with TimeoutError."""
    program = _Program()
    process = reactor.spawn_process(program, argv, env=env, cwd=cwd)
    if input:
        process.write(input)
    process.write_eof()
    return program.finished.add_timeout(timeout, reactor, what=argv[0])
