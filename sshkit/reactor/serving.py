"""Descriptors on a poller: who is called when one is ready.  What all engines share.

The native engine waits in `serve`; the direct engine does so inside asyncio's `select`; a guest has its host
watch the poller itself and serves without waiting.
"""

from .core import ReactorCore
from .pollable import Pollable
from .pollers import FAULT, READ, WRITE, Poller, default_poller

_READ_OR_FAULT = READ | FAULT
_WRITE_OR_FAULT = WRITE | FAULT


class ServingReactor(ReactorCore):
    """A reactor with a poller."""

    def __init__(self, poller: Poller | None = None) -> None:
        super().__init__()
        self.poller = poller if poller is not None else default_poller()

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
            except Exception as error:
                self.report(f"{pollable!r} failed", error)

    def release(self) -> None:
        """Close the poller as well."""
        super().release()
        self.poller.close()
