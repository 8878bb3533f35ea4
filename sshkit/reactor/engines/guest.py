"""The guest engine: our transports on a loop that somebody else runs (uvloop, Jupyter, a GUI's).

Chosen by `current` in a coroutine of a foreign asyncio loop.  The host watches one descriptor of ours, the
poller's; so its treatment of each connection is as on the other engines (uvloop, for one, forgets a
descriptor that has an error, with data unread), and costs the host one call a turn.  It ends with its
loop: an asynchronous generator of ours is closed when the loop closes its generators, as `asyncio.run`
and its like do.
"""

import asyncio
from _thread import get_ident
from collections.abc import AsyncGenerator, Callable
from time import monotonic
from typing import Any

from sshkit.interfaces.derive import implementer
from sshkit.interfaces.reactor import IReactor

from ..errors import FAULTS, ReactorClosed, ReactorError
from ..life import SHUTDOWN_TIMEOUT
from ..timers import Timers
from .hosted import HostedReactor

_guests: "dict[asyncio.AbstractEventLoop, GuestReactor]" = {}


def guest_of(loop: asyncio.AbstractEventLoop) -> "GuestReactor":
    """Return the guest of a loop that runs in this thread, made on first use."""
    guest = _guests.get(loop)
    if guest is None:
        for other, old in list(_guests.items()):
            if other.is_closed():  # without the ceremony that would have closed its guest
                old.close()
        guest = _guests[loop] = GuestReactor(loop)
    return guest


@implementer(IReactor)
class GuestReactor(HostedReactor):
    """A reactor on a foreign loop.  It lets go of the loop when it closes."""

    name = "guest"
    run_by = "the asyncio loop that it is on"
    instead = "await here, or use asyncio.run"

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self.call_soon = self._call_soon
        self._host: asyncio.AbstractEventLoop | None = loop
        self._thread = get_ident()
        self._drain_coming = False
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_time = 0.0
        self.timers = Timers(self._set_alarm)
        self._poller_fd = self.poller.fileno()
        try:
            loop.add_reader(self._poller_fd, self._serve)
        except NotImplementedError:
            self.release()
            raise ReactorError(
                f"{type(loop).__name__} watches no descriptors: attach to its toolkit with "
                "sshkit.reactor.engines.qt, tk or glib before it runs, or use another loop"
            ) from None
        self._lifeline: AsyncGenerator[None, None] | None = self._live()
        try:
            anext(self._lifeline).send(None)  # runs to its yield: the loop knows it now
        except StopIteration:
            pass

    async def _live(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            await self._stop_in_order()

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The host; ReactorClosed when the guest is closed."""
        if self._host is None:
            raise ReactorClosed("this guest reactor is closed, as its asyncio loop may be")
        return self._host

    @property
    def running(self) -> bool:
        """Whether the host runs."""
        return self._host is not None and self._host.is_running()

    def in_own_thread(self) -> bool:
        """Whether the caller is in the host's thread."""
        return self._thread == get_ident()

    # -- calls ------------------------------------------------------------------------------------

    def _call_soon(self, callback: Callable[[], object]) -> None:
        self.soon.append(callback)
        if not self._drain_coming:
            self._drain_coming = True
            self.loop.call_soon(self._drain)

    def _drain(self) -> None:
        """Make the calls of the queue; they and their like need no further visit of the host."""
        self._drain_coming = True
        self.run_soon()
        self._drain_coming = False
        if self.soon and not self.closed:
            self._drain_coming = True
            self.loop.call_soon(self._drain)

    def _serve(self) -> None:
        """Call whose descriptors are ready: the host has found our poller readable."""
        if not self.closed:
            self._drain_coming = True
            self.serve(0.0)
            self._drain()

    def wake(self) -> None:
        """Have the queue drained; of any thread."""
        try:
            self.loop.call_soon_threadsafe(self._drain)
        except RuntimeError as error:
            raise ReactorClosed("the asyncio loop of this guest reactor is closed") from error

    def _set_alarm(self) -> None:
        """Have the host call us at our first deadline."""
        heap = self.timers.heap
        if not heap or (self._alarm is not None and self._alarm_time <= heap[0][0]):
            return
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm_time = heap[0][0]
        self._alarm = self.loop.call_later(max(0.0, self._alarm_time - monotonic()), self._alarm_rings)

    def _alarm_rings(self) -> None:
        self._alarm = None
        self._drain_coming = True
        self.run_timers(monotonic())
        self._drain()
        if not self.closed:
            self._set_alarm()

    # -- life -------------------------------------------------------------------------------------

    def _patience(self) -> float:
        return SHUTDOWN_TIMEOUT

    def add_signal_handler(self, signum: int, callback: Callable[[], Any]) -> None:
        """Ask the host."""
        try:
            self.loop.add_signal_handler(signum, self._signalled, callback)
        except (RuntimeError, ValueError) as error:
            raise ReactorError(f"signal {signum} cannot be handled here: {error}") from error

    def _signalled(self, callback: Callable[[], Any]) -> None:
        """Report a fault as all reactors do, not as the host does."""
        try:
            callback()
        except FAULTS as error:
            self.report(f"callback {callback!r} failed", error)

    def remove_signal_handler(self, signum: int) -> bool:
        """Ask the host."""
        return self.loop.remove_signal_handler(signum)

    def after_fork(self) -> None:
        """In a child process: the host loop is the parent's, whom it still serves."""
        super().after_fork()
        host, self._host = self._host, None
        if host is not None and _guests.get(host) is self:
            del _guests[host]

    def close(self) -> None:
        """Abort what is open; the host goes on."""
        host, self._host = self._host, None
        if host is None:
            return
        if _guests.get(host) is self:
            del _guests[host]
        self._lifeline = None  # it refers to the loop as well
        self.close_pollables()
        if not host.is_closed():
            host.remove_reader(self._poller_fd)
        if self._alarm is not None:
            self._alarm.cancel()
        self.release()
