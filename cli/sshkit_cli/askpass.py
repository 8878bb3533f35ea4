"""Asks through another program: SSH_ASKPASS, whose one argument is the question (ssh(1)).

Called by `prompts`.  The program's first line of output is the answer; if it fails there is none.
"""

import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from sshkit_keys.errors import SSHKitError
from sshkit_keys.text import printable, quoted

from sshkit.deferred import Deferred, succeed

if TYPE_CHECKING:
    from sshkit.interfaces import ExitStatus, ProcessTransport, Reactor

MAX_OUTPUT = 65536


class _Answer:
    """Collects the program's output."""

    def __init__(self) -> None:
        self._output = bytearray()
        self._status: ExitStatus | None = None
        self._open = {1, 2}
        self.done: Deferred[str | None] = Deferred()

    def process_started(self, transport: "ProcessTransport") -> None:
        transport.write_eof()

    def output_received(self, descriptor: int, data: bytes) -> None:
        if descriptor == 1:
            if len(self._output) < MAX_OUTPUT:
                self._output += data
        else:
            sys.stderr.write(printable(data, MAX_OUTPUT) + "\n")

    def output_closed(self, descriptor: int) -> None:
        self._open.discard(descriptor)
        self._finish()

    def pause_writing(self) -> None:
        """Nothing is written."""

    def resume_writing(self) -> None:
        """Nothing is written."""

    def process_exited(self, status: "ExitStatus") -> None:
        self._status = status
        self._finish()

    def _finish(self) -> None:
        if self._status is None or 1 in self._open or self.done.called:
            return
        if self._status.code == 0:
            line = bytes(self._output).partition(b"\n")[0].rstrip(b"\r")
            self.done.callback(line.decode("utf-8", "surrogateescape"))
        else:
            self.done.callback(None)


def ask_program(
    reactor: "Reactor",
    program: str,
    prompt: str,
    environment: Mapping[str, str],
    say: Callable[[str], object],
) -> Deferred[str | None]:
    """Run `program` with the question; fires with the answer, None where it gave none."""
    answer = _Answer()
    try:
        reactor.spawn_process(answer, (program, prompt), env=environment)
    except (OSError, SSHKitError) as error:
        say(f"SSH_ASKPASS: {quoted(program)} cannot be run: {error}")
        return succeed(None)
    return answer.done
