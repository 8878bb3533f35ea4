"""Descriptors on a poller: who is called when one is ready.  What all engines share.

The native engine waits in `serve`; the direct engine does so inside asyncio's `select`; a guest has its host
watch the poller itself and serves without waiting.
"""

import os
from weakref import WeakSet

from .core import ReactorCore
from .errors import FAULTS
from .pollable import Pollable
from .pollers import FAULT, READ, WRITE, Poller, default_poller

_READ_OR_FAULT = READ | FAULT
_WRITE_OR_FAULT = WRITE | FAULT


#: Those that a child process would have to keep its hands off.
_reactors: "WeakSet[ServingReactor]" = WeakSet()


def _forked() -> None:
    for reactor in tuple(_reactors):
        reactor.after_fork()


os.register_at_fork(after_in_child=_forked)


class ServingReactor(ReactorCore):
    """A reactor with a poller."""

    def __init__(self, poller: Poller | None = None) -> None:
        super().__init__()
        self.poller = poller if poller is not None else default_poller()
        self._parents: list[tuple[int, Pollable, int]] = []  # in a forked child: what the parent watches
        _reactors.add(self)

    def set_interest(self, fd: int, pollable: Pollable, interest: int) -> None:
        """Have `pollable` called for `interest`."""
        before = pollable.interest
        if before == interest:
            return
        if not before:
            self.poller.register(fd, interest)
            self.pollables[fd] = pollable
        elif interest:
            self.poller.modify(fd, interest)
        else:
            try:
                self.poller.unregister(fd)
            except OSError:  # closed behind our back: the kernel has forgotten it already
                pass
        pollable.interest = interest

    def serve(self, timeout: float | None) -> None:
        """Wait at most `timeout` seconds (None: no limit) and call whose descriptors are ready."""
        events = self.poller.poll(timeout)
        pollables = self.pollables
        for fd, mask in events:
            pollable = pollables.get(fd)
            if pollable is None:  # closed by another one's handler in this turn
                continue
            try:
                if mask == READ:
                    pollable.read_ready()
                    continue
                if mask & _READ_OR_FAULT and pollable.interest & READ:
                    pollable.read_ready()
                if mask & _WRITE_OR_FAULT and pollable.interest & WRITE:
                    pollable.write_ready()
            except FAULTS as error:
                self.report(f"{pollable!r} failed", error)
                end = getattr(pollable, "abort", None)
                if end is not None:  # a transport that does not know what to do would be ready for ever
                    end()

    def after_fork(self) -> None:
        """In a child process: watch nothing, for the parent's poller is shared, and the parent uses it.

        So a child may close this reactor, or forget it and run one of its own.  To go on with it, and with
        its connections, in place of the parent: `forked`.
        """
        if self.closed:
            return
        self.of_parent = True
        self._parents = [(fd, pollable, pollable.interest) for fd, pollable in self.pollables.items()]
        for pollable in self.pollables.values():
            pollable.interest = 0
        old, self.poller = self.poller, type(self.poller)()
        try:
            old.close()
        except OSError:  # a kind that a child does not inherit
            pass

    def forked(self) -> None:
        """Go on in a child process that has just been forked, in place of the parent."""
        super().forked()
        self.of_parent = False
        parents, self._parents = self._parents, []
        for fd, pollable, interest in parents:
            if self.pollables.get(fd) is pollable and not pollable.interest:
                self.set_interest(fd, pollable, interest)

    def release(self) -> None:
        """Close the poller as well."""
        super().release()
        self.poller.close()
