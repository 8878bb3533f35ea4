"""What a child has under which number: a plan becomes pipes, ours and the child's.

Called by `processes`.  The values of a plan are those of `sshkit.interfaces.process.Descriptor`.
"""

import os
from collections.abc import Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING

from sshkit.interfaces.process import Descriptor

from .errors import SpawnError
from .pollable import Watch
from .text import shown_error

if TYPE_CHECKING:
    from .serving import ServingReactor

#: What a child has unless told otherwise.
STANDARD_STREAMS: dict[int, Descriptor] = {0: "input", 1: "output", 2: "output"}

#: Our ends of pipes lie above these numbers, which others take for standard input, output and errors.
FIRST_FREE = 3


class Descriptors:
    """The ends of a child's descriptors: `child` and our `inputs` and `outputs`, by the child's numbers.

    What is the child's is closed with `theirs`, what is ours with `ours`.
    """

    __slots__ = ("child", "inputs", "ours", "outputs", "theirs")

    def __init__(self) -> None:
        self.child: dict[int, int] = {}
        self.inputs: dict[int, int] = {}
        self.outputs: dict[int, int] = {}
        self.ours = ExitStack()
        self.theirs = ExitStack()

    def open(self, reactor: "ServingReactor", plan: Mapping[int, Descriptor | None]) -> None:
        """Open what a plan asks for; raises SpawnError, and OSError where pipes run out."""
        most = os.sysconf("SC_OPEN_MAX")
        for number, what in plan.items():  # before our pipes take the number of one that is not open
            if not 0 <= number < most:
                raise SpawnError(f"a child has no descriptor {number}: they go from 0 to {most - 1}")
            if what is not None and not isinstance(what, str):
                self.child[number] = checked(
                    reactor, what if isinstance(what, int) else what.fileno(), number
                )
        for number, what in sorted(plan.items(), key=lambda item: item[1] == "stdout"):
            if what == "input":
                self.child[number], self.inputs[number] = pipe(self.theirs, self.ours)
            elif what == "output":
                self.outputs[number], self.child[number] = pipe(self.ours, self.theirs)
            elif what == "null":
                null = self.child[number] = os.open(os.devnull, os.O_RDWR)
                self.theirs.callback(os.close, null)
            elif what == "stdout":
                if 1 not in self.child or number == 1:
                    raise SpawnError(
                        f"the child's descriptor {number} cannot be its 1: it has none of its own"
                    )
                self.child[number] = self.child[1]
            elif isinstance(what, str):
                raise SpawnError(
                    f"unknown plan {what!r} for the child's descriptor {number}: there are "
                    '"input", "output", "null", "stdout", None, and a descriptor of ours'
                )
            elif what is not None:
                self.child[number] = checked(
                    reactor, what if isinstance(what, int) else what.fileno(), number
                )


def checked(reactor: "ServingReactor", fd: int, number: int) -> int:
    """Return a descriptor of the program's own that a child may have as its `number`."""
    where = f"descriptor {fd}, which the child is to have as {number},"
    try:
        os.get_inheritable(fd)
    except (OSError, OverflowError) as error:
        raise SpawnError(f"{where} is not open: {shown_error(error)}") from error
    owner = reactor.pollables.get(fd)
    if owner is not None and not isinstance(owner, Watch):
        raise SpawnError(f"{where} belongs to the reactor ({type(owner).__name__})")
    if fd == reactor.poller.fileno():
        raise SpawnError(f"{where} belongs to the reactor (it is what the reactor waits at)")
    return fd


def pipe(read_owner: ExitStack, write_owner: ExitStack) -> tuple[int, int]:
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
