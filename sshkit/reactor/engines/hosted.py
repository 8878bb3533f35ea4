"""What reactors on somebody else's loop share: they cannot be run, and they stop while their host goes on.

Base of the guest engine (asyncio's loops and their like) and of `toolkit` (loops of graphical programs).
"""

from collections.abc import Awaitable
from typing import NoReturn, TypeVar

from sshkit.deferred import ensure_deferred, gather

from ..errors import ReactorError
from ..life import SHUTDOWN_TIMEOUT
from ..serving import ServingReactor

_T = TypeVar("_T")


class HostedReactor(ServingReactor):
    """A reactor whose turns are its host's."""

    #: What runs it, and what to do in place of `run_until`: for messages.
    run_by: str
    instead: str

    _stopping = False

    def run(self) -> NoReturn:
        """Not ours to do."""
        raise ReactorError(f"this reactor is a guest: {self.run_by} runs it")

    def run_until(self, awaitable: Awaitable[_T]) -> _T:
        """Not ours to do."""
        raise ReactorError(f"this reactor is a guest: {self.instead}")

    def stop(self) -> None:
        """Fire the shutdown triggers, wait for them, and close; the host goes on."""
        self.call_soon(lambda: ensure_deferred(self._stop_in_order()))

    async def _stop_in_order(self) -> None:
        if self.closed or self._stopping:
            return
        self._stopping = True
        waits = self._triggers.fire("before", "shutdown")
        if waits:
            try:
                await gather(*waits, return_exceptions=True).add_timeout(self._patience(), self)
            except TimeoutError as error:
                self.report("waiting for a trigger failed", error)
        for phase in ("during", "after"):
            self._triggers.fire(phase, "shutdown")
        self.close()

    def _patience(self) -> float:
        return SHUTDOWN_TIMEOUT

    def close(self) -> None:
        """Abort what is open; the host goes on."""
        raise NotImplementedError
