"""A process protocol for any descriptors, and what the tests of processes ask the system."""

import os
from pathlib import Path
from typing import Any

from sshkit.deferred import Deferred
from sshkit.interfaces import ExitStatus

from .helpers import later


class Child:
    """Keeps all that a process writes; `ended` fires when it has exited and its outputs have closed."""

    def __init__(self, outputs: int = 2) -> None:
        self.transport: Any = None
        self.output: dict[int, bytearray] = {}
        self.events: list[str] = []
        self.paused: Deferred[None] = Deferred()
        self.resumed: Deferred[None] = Deferred()
        self.refused: Deferred[int] = Deferred()
        self.exited: Deferred[ExitStatus] = Deferred()
        self.ended: Deferred[ExitStatus] = Deferred()
        self._open = outputs + 1
        self._waits: list[tuple[int, bytes, Deferred[None]]] = []

    def process_started(self, transport: Any) -> None:
        self.transport = transport

    def output_received(self, descriptor: int, data: bytes) -> None:
        self.output.setdefault(descriptor, bytearray()).extend(data)
        for wait in tuple(self._waits):
            if wait[1] in self.output.get(wait[0], b""):
                self._waits.remove(wait)
                wait[2].callback(None)

    def output_closed(self, descriptor: int) -> None:
        self.events.append(f"closed {descriptor}")
        self._one_less()

    def input_refused(self, descriptor: int) -> None:
        self.refused.callback(descriptor)

    def pause_writing(self) -> None:
        self.events.append("pause")
        if not self.paused.called:
            self.paused.callback(None)

    def resume_writing(self) -> None:
        self.events.append("resume")
        if not self.resumed.called:
            self.resumed.callback(None)

    def process_exited(self, status: ExitStatus) -> None:
        self.events.append("exited")
        self.exited.callback(status)
        self._one_less()

    def _one_less(self) -> None:
        self._open -= 1
        if not self._open:
            self.ended.callback(self.transport.exit_status)

    def wrote(self, text: bytes, descriptor: int = 1) -> Deferred[None]:
        """Fire once `text` has come."""
        wait: Deferred[None] = Deferred()
        self._waits.append((descriptor, text, wait))
        self.output_received(descriptor, b"")
        return wait


def start(reactor: Any, script: str, outputs: int = 2, **options: Any) -> Child:
    """Start a shell script; `outputs` is how many outputs it has."""
    child = Child(outputs)
    reactor.spawn_process(child, ["sh", "-c", script], **options)
    return child


def descriptors_here() -> list[str]:
    """Return our open descriptors."""
    return sorted(os.listdir("/proc/self/fd"), key=int)


def children_here() -> set[int]:
    """Return the numbers of our children, those that nobody has reaped among them."""
    ours = os.getpid()
    found = set()
    for entry in os.listdir("/proc"):
        if entry.isdecimal():
            try:
                if int(Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()[1]) == ours:
                    found.add(int(entry))
            except (FileNotFoundError, ProcessLookupError):  # it has just gone
                pass
    return found


def lives(pid: int) -> bool:
    """Say whether a process runs; a zombie does not."""
    try:
        return state(pid) != "Z"
    except FileNotFoundError:
        return False


def state(pid: int) -> str:
    """Return the letter of a process' state."""
    return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]


async def gone(reactor: Any, pid: int) -> None:
    """Wait until a process has ended."""
    while lives(pid):
        await later(reactor, 0.005)
