"""What every engine shares: the clock, the descriptors, and the services on top of them.

Engines add a loop: `polling` (native, direct) and `engines.guest`.  The services live in modules of
their own, loaded on first use, so that a command loads what it uses.
"""

import sys
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar, Unpack, cast

from sshkit.deferred import Deferred
from sshkit.interfaces.process import ProcessProtocol, SpawnOptions
from sshkit.interfaces.reactor import BACKLOG, CONNECT_TIMEOUT, MAX_DATAGRAM
from sshkit.interfaces.threads import BLOCKING_TIMEOUT

from .errors import FAULTS, ReactorClosed, ReactorError
from .pollable import Pollable, Watch
from .timers import DelayedCall, Timers, fire
from .triggers import Trigger, Triggers

if TYPE_CHECKING:
    import socket

    from .listener import Listener
    from .processes import ProcessTransport
    from .serving import ServingReactor
    from .threads import ThreadPool
    from .transports.pipes import PipeTransport

_P = TypeVar("_P")
_T = TypeVar("_T")

#: Callbacks that one drain of the call_soon queue may add and still run before the next poll.  Enough
#: for any chain of flushes; a callback that keeps adding itself cannot starve the descriptors.
EXTRA_CALLBACKS = 64

#: The shared receive buffer: small reads look at the first part only, so that few cache lines are touched.
SMALL_READ = 64 * 1024
LARGE_READ = 256 * 1024


class ReactorCore:
    """A reactor without its loop."""

    #: The engine's name in the table.
    name: str

    #: In a forked child: this reactor is the parent's, until `forked` says that it goes on here.
    of_parent = False

    def __init__(self) -> None:
        self.pollables: dict[int, Pollable] = {}
        self.soon: deque[Callable[[], object]] = deque()
        self.timers = Timers()
        self.closed = False  #: closed, or just closing: `call_soon` calls nothing any more
        self._triggers = Triggers(self.report)
        self._thread_pool: ThreadPool | None = None
        #: What ends the wait of each thread in `blocking_call_from_thread`, with an error.
        self.blocked_threads: set[Callable[[BaseException], None]] = set()
        self._receive_views: tuple[memoryview, memoryview] | None = None
        self.call_soon: Callable[[Callable[[], object]], None] = self.soon.append

    # -- what an engine does ----------------------------------------------------------------------

    @property
    def running(self) -> bool:
        """Whether the loop turns."""
        raise NotImplementedError

    def set_interest(self, fd: int, pollable: Pollable, interest: int) -> None:
        """Have `pollable` called for `interest` (0: nothing, but `close` still finds it)."""
        raise NotImplementedError

    def wake(self) -> None:
        """End the present wait; of any thread."""
        raise NotImplementedError

    def in_own_thread(self) -> bool:
        """Whether the caller is in the thread in which this reactor runs."""
        raise NotImplementedError

    def check_open(self) -> None:
        """Raise ReactorClosed if this reactor takes no more work."""
        if self.closed:
            raise ReactorClosed(f"the {self.name} reactor is closed")

    # -- clock ------------------------------------------------------------------------------------

    seconds = staticmethod(monotonic)

    def call_later(self, seconds: float, callback: Callable[..., object], *args: Any) -> DelayedCall:
        """Call `callback(*args)` in `seconds`."""
        return self.timers.call_later(seconds, callback, args)

    def run_soon(self) -> None:
        """Make the calls of `call_soon`, and the first few that they add."""
        soon = self.soon
        limit = len(soon) + EXTRA_CALLBACKS
        while soon and limit:
            limit -= 1
            callback = soon.popleft()
            try:
                callback()
            except FAULTS as error:
                self.report(f"callback {callback!r} failed", error)

    def run_timers(self, now: float) -> None:
        """Make the delayed calls that are due."""
        for call in self.timers.due(now):
            try:
                fire(call)
            except FAULTS as error:
                self.report("delayed call failed", error)

    # -- descriptors ------------------------------------------------------------------------------

    def forget(self, fd: int, pollable: Pollable) -> None:
        """Stop knowing a descriptor; call before closing it."""
        self.set_interest(fd, pollable, 0)
        if self.pollables.get(fd) is pollable:
            del self.pollables[fd]

    def receive_views(self) -> tuple[memoryview, memoryview]:
        """Return the small and the large view of this reactor's receive buffer, which is aligned to a page.

        Its contents last until the caller returns.
        """
        views = self._receive_views
        if views is None:
            import mmap

            view = memoryview(mmap.mmap(-1, LARGE_READ, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
            views = self._receive_views = view[:SMALL_READ], view
        return views

    def _watch(self, fd: int) -> Watch:
        watch = self.pollables.get(fd)
        if watch is None:
            return Watch(self, fd)
        if not isinstance(watch, Watch):
            raise ReactorError(f"descriptor {fd} belongs to {watch!r}")
        return watch

    def add_reader(self, fd: int, callback: Callable[[], object]) -> None:
        """Call `callback()` whenever `fd` is readable."""
        watch = self._watch(fd)
        watch.reader = callback
        watch.update()

    def remove_reader(self, fd: int) -> bool:
        """Undo `add_reader`."""
        watch = self._watch(fd)
        known = watch.reader is not None
        watch.reader = None
        watch.update()
        return known

    def add_writer(self, fd: int, callback: Callable[[], object]) -> None:
        """Call `callback()` whenever `fd` is writable."""
        watch = self._watch(fd)
        watch.writer = callback
        watch.update()

    def remove_writer(self, fd: int) -> bool:
        """Undo `add_writer`."""
        watch = self._watch(fd)
        known = watch.writer is not None
        watch.writer = None
        watch.update()
        return known

    def open_pipes(self, protocol: Any, read_fd: int | None, write_fd: int | None) -> "PipeTransport":
        """Make two descriptors one transport that owns them."""
        self.check_open()
        from .transports.pipes import open_pipes

        return open_pipes(self, protocol, read_fd, write_fd)

    def open_stdio(self, protocol: Any) -> "PipeTransport":
        """Make standard input and output one transport."""
        self.check_open()
        from .transports.stdio import open_stdio

        return open_stdio(self, protocol)

    # -- network ----------------------------------------------------------------------------------

    def connect_tcp(
        self,
        host: str,
        port: int,
        factory: Callable[[], _P],
        *,
        timeout: float = CONNECT_TIMEOUT,
        local_address: tuple[str, int] | None = None,
        family: int = 0,
    ) -> Deferred[_P]:
        """Connect to the first address of `host` that answers."""
        self.check_open()
        from .connector import connect_tcp

        return connect_tcp(self, host, port, factory, timeout, local_address, family)

    def connect_unix(
        self, path: str | bytes, factory: Callable[[], _P], *, timeout: float = CONNECT_TIMEOUT
    ) -> Deferred[_P]:
        """Connect to a UNIX socket."""
        self.check_open()
        from .connector import connect_unix

        return connect_unix(self, path, factory, timeout)

    def adopt_socket(self, sock: "socket.socket", factory: Callable[[], _P]) -> _P:
        """Take over a connected stream socket."""
        self.check_open()
        from .transports.tcp import adopt

        return adopt(self, sock, factory)

    def listen_tcp(
        self,
        host: str | None,
        port: int,
        factory: Callable[[], Any],
        *,
        backlog: int = BACKLOG,
        reuse_port: bool = False,
        family: int = 0,
    ) -> "Deferred[Listener]":
        """Listen at every address of `host`."""
        self.check_open()
        from .listener import listen_tcp

        return listen_tcp(self, host, port, factory, backlog, reuse_port, family)

    def listen_unix(
        self,
        path: str | bytes,
        factory: Callable[[], Any],
        *,
        mode: int | None = None,
        backlog: int = BACKLOG,
    ) -> "Deferred[Listener]":
        """Listen at a UNIX socket."""
        self.check_open()
        from .listener import listen_unix

        return listen_unix(self, path, factory, mode, backlog)

    def open_udp(
        self,
        factory: Callable[[], _P],
        *,
        local: tuple[str, int] | None = None,
        remote: tuple[str, int] | None = None,
        broadcast: bool = False,
        reuse_port: bool = False,
        max_size: int = MAX_DATAGRAM,
    ) -> Deferred[_P]:
        """Open a UDP socket."""
        self.check_open()
        from .datagrams import open_udp

        return open_udp(self, factory, local, remote, broadcast, reuse_port, max_size)

    def open_unix_datagram(
        self,
        factory: Callable[[], _P],
        path: str | bytes | None = None,
        *,
        remote: str | bytes | None = None,
        mode: int | None = None,
        max_size: int = MAX_DATAGRAM,
    ) -> Deferred[_P]:
        """Open a UNIX datagram socket."""
        self.check_open()
        from .datagrams import open_unix_datagram

        return open_unix_datagram(self, factory, path, remote, mode, max_size)

    def resolve(
        self, host: str, port: int, family: int = 0, *, timeout: float = CONNECT_TIMEOUT
    ) -> "Deferred[list[tuple[int, Any]]]":
        """Look `host` up."""
        from .resolver import resolve

        return resolve(self, host, port, family, timeout)

    # -- processes --------------------------------------------------------------------------------

    def spawn_process(
        self, protocol: ProcessProtocol, argv: Sequence[str | bytes], **options: Unpack[SpawnOptions]
    ) -> "ProcessTransport":
        """Start a program on pipes or on a terminal."""
        self.check_open()
        from .processes import spawn_process

        return spawn_process(cast("ServingReactor", self), protocol, argv, **options)

    # -- threads ----------------------------------------------------------------------------------

    def forked(self) -> None:
        """Go on in a child process that has just been forked: the threads are the parent's."""
        self._thread_pool = None
        files = sys.modules.get("sshkit.reactor.socket_files")
        if files is not None:
            files.inherit()

    def defer_to_thread(self, function: Callable[..., _T], *args: Any, **kwargs: Any) -> Deferred[_T]:
        """Run `function` in a thread of the pool."""
        self.check_open()
        pool = self._thread_pool
        if pool is None:
            from .threads import ThreadPool

            pool = self._thread_pool = ThreadPool()
        return pool.defer(self, partial(function, *args, **kwargs))

    def call_from_thread(self, function: Callable[..., object], *args: Any) -> None:
        """Have the reactor call `function(*args)`; of any thread."""
        self.check_open()
        self.soon.append(partial(function, *args) if args else function)
        self.wake()

    def blocking_call_from_thread(
        self, function: Callable[..., Any], *args: Any, timeout: float | None = BLOCKING_TIMEOUT
    ) -> Any:
        """Have the reactor call `function(*args)`, and wait; of any other thread."""
        from .threads import blocking_call

        return blocking_call(self, partial(function, *args), timeout)

    # -- triggers, faults, the end ----------------------------------------------------------------

    def add_system_event_trigger(
        self, phase: str, event: str, function: Callable[..., Any], *args: Any
    ) -> Trigger:
        """Call `function(*args)` at each startup or shutdown."""
        return self._triggers.add(phase, event, function, args)

    def remove_system_event_trigger(self, handle: object) -> None:
        """Undo `add_system_event_trigger`."""
        self._triggers.remove(handle)

    def report(self, what: str, error: BaseException) -> None:
        """Log a fault of code that the loop called; the loop goes on."""
        import logging

        logging.getLogger("sshkit.reactor").error("%s: %s", what, error, exc_info=error)

    def close_pollables(self) -> None:
        """Tell every descriptor's owner that the reactor closes."""
        self.closed = True
        error = ReactorClosed(f"the {self.name} reactor was closed")
        while self.pollables:
            fd, pollable = next(iter(self.pollables.items()))
            self.forget(fd, pollable)
            try:
                pollable.reactor_closed(error)
            except FAULTS as fault:
                self.report("closing a descriptor failed", fault)

    def release(self) -> None:
        """Stop timers and threads; the last step of closing."""
        self.closed = True
        self.timers.clear()
        self.soon.clear()
        pool, self._thread_pool = self._thread_pool, None
        if pool is not None:
            pool.close()
        for give_up in tuple(self.blocked_threads):
            give_up(ReactorClosed(f"the {self.name} reactor was closed"))
