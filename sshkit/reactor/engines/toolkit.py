"""Our reactor on the loop of a toolkit: Qt, Tk, GLib.  Made by `attach` of the module named after each.

The toolkit watches one descriptor, our poller's, and keeps one alarm.  When either tells, we make one turn
that does not wait.  Threads and signals end the toolkit's wait by a pipe that our poller watches, so the
toolkit needs no way of its own for them.  No asyncio is loaded.

A handler of ours may open a dialog that runs the toolkit's loop inside the handler.  Nothing of ours is
called in there, for the connection whose handler it is stands half-way through its data; all goes on
when the handler returns.  `defer_to_host` calls such a function outside of any handler.
"""

from _thread import get_ident
from collections.abc import Callable, Coroutine
from contextvars import Token
from functools import partial
from math import inf
from time import monotonic
from typing import Any, Protocol, TypeVar

from sshkit.deferred import Deferred, ensure_deferred, set_scheduler
from sshkit.interfaces.derive import implementer
from sshkit.interfaces.reactor import IReactor

from ..current import running_reactors
from ..errors import FAULTS, ReactorClosed, ReactorError
from ..life import as_deferred_result, close_unstarted
from ..polling import PollingReactor
from ..timers import Timers
from .hosted import HostedReactor

_T = TypeVar("_T")


class Toolkit(Protocol):
    """What a toolkit does for us.  All of it happens in one thread."""

    #: The engine's name, and what the program calls to run the loop.
    name: str
    main_loop: str

    def watch(self, fd: int, callback: Callable[[], None]) -> None:
        """Call `callback` whenever `fd` is readable; one descriptor at a time."""
        ...

    def unwatch(self) -> None:
        """Undo `watch`; harmless where nothing is watched."""
        ...

    def set_alarm(self, seconds: float, callback: Callable[[], None]) -> None:
        """Call `callback` once, in `seconds` or a little later, in place of the alarm of before."""
        ...

    def clear_alarm(self) -> None:
        """Undo `set_alarm`; harmless where there is none."""
        ...

    def call_soon(self, callback: Callable[[], None]) -> None:
        """Call `callback` from the loop, which may be a dialog's."""
        ...

    def at_end(self, callback: Callable[[], None]) -> None:
        """Call `callback` when the program ends, while the toolkit still works."""
        ...

    def let_go(self) -> None:
        """Undo `at_end`; the last call."""
        ...


@implementer(IReactor)
class ToolkitReactor(HostedReactor, PollingReactor):
    """A reactor that a toolkit's loop turns.  As a context manager it finishes at the end."""

    def __init__(self, host: Toolkit) -> None:
        super().__init__()
        self.name = host.name
        self.run_by = host.main_loop
        self.instead = f"{host.main_loop} runs it; give coroutines to reactor.start"
        self._host: Toolkit | None = host
        self._turning = False
        self._deaf = False  # an inner loop found us in the middle of a turn
        self._alarm_time = inf
        self.call_soon = self._call_soon
        self.timers = Timers(self._set_alarm)
        self._thread = get_ident()
        self._scheduler: Token[Any] | None = set_scheduler(self.call_soon)
        running_reactors[self._thread] = self
        try:
            host.at_end(self.finish)
            host.watch(self.poller.fileno(), self._serve)
        except BaseException:
            self.close()
            raise

    # -- turns ------------------------------------------------------------------------------------

    def _call_soon(self, callback: Callable[[], object]) -> None:
        self.soon.append(callback)
        self._set_alarm()

    def _set_alarm(self) -> None:
        """Have the toolkit call us when we have something to do: at once, or at our first deadline."""
        host = self._host
        if host is None or self._turning:
            return
        heap = self.timers.heap
        when = 0.0 if self.soon else heap[0][0] if heap else inf
        if when < self._alarm_time:
            self._alarm_time = when
            host.set_alarm(max(0.0, when - monotonic()) if when else 0.0, self._alarm_rings)

    def _alarm_rings(self) -> None:
        self._alarm_time = inf
        self._serve()

    def _serve(self) -> None:
        """Make one turn, unless this is a loop inside one of ours."""
        host = self._host
        if host is None:
            return
        if self._turning:
            self._deaf = True
            host.unwatch()  # or the inner loop would find us ready again and again
            return
        self._turning = True
        try:
            self.turn(0.0)
        finally:
            self._turning = False
            if self._host is None:  # closed in this turn, or to be
                self._finish()
            else:
                if self._deaf:
                    self._deaf = False
                    host.watch(self.poller.fileno(), self._serve)
                self._set_alarm()

    def serve(self, timeout: float | None) -> None:
        """Serve, unless a callback of this turn has closed us."""
        if not self.closed:
            super().serve(timeout)

    def defer_to_host(self, function: Callable[..., _T], *args: Any) -> Deferred[_T]:
        """Have the toolkit call `function(*args)` outside of our turns, where a dialog may run a loop."""
        if self._host is None:
            raise ReactorClosed(f"the {self.name} reactor is closed")
        deferred: Deferred[_T] = Deferred()

        def call() -> None:
            if deferred.called or self._host is None:  # cancelled, or too late
                return
            try:
                result = function(*args)
            except FAULTS as error:
                self.call_soon(partial(deferred.errback, error))
            else:
                self.call_soon(partial(deferred.callback, result))

        self._host.call_soon(call)
        return deferred

    def start(self, coroutine: Coroutine[Any, Any, _T]) -> Deferred[_T]:
        """Run a coroutine from our next turn on; at the end of the program it is cancelled and waited for.

        What a button begins.  Called in the toolkit's thread.
        """
        if self._host is None:
            close_unstarted(coroutine)
            raise ReactorClosed(f"the {self.name} reactor is closed")
        begin: Deferred[None] = Deferred()
        program = as_deferred_result(coroutine, begin)

        def end() -> Deferred[_T]:
            program.cancel()
            return program

        def ended(result: Any) -> Any:
            self.remove_system_event_trigger(trigger)
            return result

        trigger = self.add_system_event_trigger("before", "shutdown", end)
        self.call_soon(partial(begin.callback, None))
        program.add_both(ended)
        return program

    # -- life -------------------------------------------------------------------------------------

    def finish(self) -> None:
        """Fire the shutdown triggers, wait for them without the toolkit, and close.

        Called when the program ends; the toolkit may be gone when it returns.  From inside a turn it
        leaves the toolkit at once, and does the rest at the end of the turn.
        """
        self._leave_host()
        if not self._turning:
            self._finish()

    def _finish(self) -> None:
        if not self.closed:
            self._turning = True
            try:
                ensure_deferred(self._stop_in_order())
                while not self.closed:  # _stop_in_order has a deadline
                    self.turn(None)
            finally:
                self._turning = False
        self._leave_context()

    def _leave_host(self) -> None:
        host, self._host = self._host, None
        if host is not None:
            host.unwatch()
            host.clear_alarm()
            host.let_go()

    def after_fork(self) -> None:
        """In a child process: the toolkit is the parent's."""
        super().after_fork()
        self._host = None

    def close(self) -> None:
        """Abort what is open; the toolkit's loop goes on."""
        if self.closed:
            return
        self._leave_host()
        thread, self._thread = self._thread, None
        if thread is not None and running_reactors.get(thread) is self:
            del running_reactors[thread]
        self._leave_context()
        super(HostedReactor, self).close()

    def _leave_context(self) -> None:
        scheduler = self._scheduler
        if scheduler is not None:
            try:
                scheduler.var.reset(scheduler)
            except ValueError:  # closed by a coroutine, in its context; `_finish` is not in it
                return
            self._scheduler = None

    def __enter__(self) -> "ToolkitReactor":
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Finish, unless the end of the program has done so."""
        self.finish()


def attach(make: Callable[[], Toolkit], name: str) -> ToolkitReactor:
    """Return this thread's reactor on a toolkit; `make` finds the toolkit's loop where there is none yet."""
    present = running_reactors.get(get_ident())
    if isinstance(present, ToolkitReactor) and present.name == name and not present.of_parent:
        return present
    if present is not None and not present.of_parent:
        raise ReactorError(f"the {present.name} reactor runs in this thread: the {name} one needs another")
    return ToolkitReactor(make())
