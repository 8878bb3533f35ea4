"""The reactor, part by part: what every engine can do.

Implemented by sshkit.reactor.engines; used by the rooms above it and by programs.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, Unpack

from .clock import Clock
from .derive import interface
from .process import ProcessProtocol, ProcessTransport, SpawnOptions
from .threads import Threads
from .transport import Transport

if TYPE_CHECKING:
    import socket

    from sshkit.deferred import Deferred

    from .endpoint import Listener

_P = TypeVar("_P")
_T = TypeVar("_T")

#: Seconds that connecting or resolving may take unless told otherwise.
CONNECT_TIMEOUT = 30.0

#: The largest datagram taken unless told otherwise; no UDP datagram over IP is larger.
MAX_DATAGRAM = 65536

#: Connections the kernel may queue for us; it cuts the number to its own limit.
BACKLOG = 1024


class ReactorNetwork(Protocol):
    """Streams over TCP and UNIX sockets."""

    def connect_tcp(
        self,
        host: str,
        port: int,
        factory: Callable[[], _P],
        *,
        timeout: float = CONNECT_TIMEOUT,
        local_address: tuple[str, int] | None = None,
        family: int = 0,
    ) -> "Deferred[_P]":
        """Connect to the first address of `host` that answers (RFC 8305), within `timeout` seconds in all.

        Fires with the protocol after its `connection_made`; fails with ConnectError, which names each
        address tried and what failed there.
        """
        ...

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
        """Listen at every address of `host` (None or "": all interfaces); port 0 chooses one free port."""
        ...

    def connect_unix(
        self, path: str | bytes, factory: Callable[[], _P], *, timeout: float = CONNECT_TIMEOUT
    ) -> "Deferred[_P]":
        """Connect to a UNIX socket."""
        ...

    def listen_unix(
        self,
        path: str | bytes,
        factory: Callable[[], Any],
        *,
        mode: int | None = None,
        backlog: int = BACKLOG,
    ) -> "Deferred[Listener]":
        """Listen at a UNIX socket, made with the permissions `mode`; removed when the listener closes."""
        ...

    def adopt_socket(self, sock: "socket.socket", factory: Callable[[], _P]) -> _P:
        """Take over a connected stream socket; returns the protocol after its `connection_made`."""
        ...

    def resolve(
        self, host: str, port: int, family: int = 0, *, timeout: float = CONNECT_TIMEOUT
    ) -> "Deferred[list[tuple[int, Any]]]":
        """Look `host` up: (family, socket address) pairs, best first.  Numeric hosts need no thread."""
        ...


class ReactorDatagrams(Protocol):
    """Datagrams over UDP and UNIX sockets."""

    def open_udp(
        self,
        factory: Callable[[], _P],
        *,
        local: tuple[str, int] | None = None,
        remote: tuple[str, int] | None = None,
        broadcast: bool = False,
        reuse_port: bool = False,
        max_size: int = MAX_DATAGRAM,
    ) -> "Deferred[_P]":
        """Open a UDP socket at `local`; with `remote` it sends there and takes only what comes from there.

        Without `local` the system chooses the address, without `remote` too it is a port of 127.0.0.1.
        Fires with the protocol after its `connection_made`; fails with ListenError or ConnectError.
        """
        ...

    def open_unix_datagram(
        self,
        factory: Callable[[], _P],
        path: str | bytes | None = None,
        *,
        remote: str | bytes | None = None,
        mode: int | None = None,
        max_size: int = MAX_DATAGRAM,
    ) -> "Deferred[_P]":
        """Open a UNIX datagram socket, at `path` (a name that begins with a NUL is abstract) or nameless.

        The file is made with the permissions `mode` and removed when the socket closes.
        """
        ...


class ReactorDescriptors(Protocol):
    """Plain descriptors."""

    def add_reader(self, fd: int, callback: Callable[[], object]) -> None:
        """Call `callback()` whenever `fd` is readable; replaces an earlier one."""
        ...

    def remove_reader(self, fd: int) -> bool:
        """Undo `add_reader`; False if there was none."""
        ...

    def add_writer(self, fd: int, callback: Callable[[], object]) -> None:
        """Call `callback()` whenever `fd` is writable; replaces an earlier one."""
        ...

    def remove_writer(self, fd: int) -> bool:
        """Undo `add_writer`; False if there was none."""
        ...

    def open_stdio(self, protocol: Any) -> Transport:
        """Make standard input and output one transport; closing it leaves both as they were found."""
        ...

    def open_pipes(self, protocol: Any, read_fd: int | None, write_fd: int | None) -> Transport:
        """Make two descriptors one transport that owns them.  Files and terminals work too."""
        ...


class ReactorProcesses(Protocol):
    """Child processes."""

    def spawn_process(
        self, protocol: ProcessProtocol, argv: Sequence[str | bytes], **options: Unpack[SpawnOptions]
    ) -> ProcessTransport:
        """Start a program on three pipes; `SpawnOptions` has what else it may be given.

        Raises SpawnError, which names the program and the cause.
        """
        ...


class ReactorLife(Protocol):
    """Running, stopping, signals."""

    @property
    def running(self) -> bool:
        """Whether the reactor runs."""
        ...

    def run(self) -> None:
        """Run until `stop`, as often as one likes."""
        ...

    def stop(self) -> None:
        """Fire the shutdown triggers, wait for them, then end `run`."""
        ...

    def run_until(self, awaitable: Awaitable[_T]) -> _T:
        """Run until the coroutine or Deferred has its result; return it or raise its error."""
        ...

    def close(self) -> None:
        """Abort what is open and give all descriptors back.  A closed reactor cannot run again."""
        ...

    def add_signal_handler(self, signum: int, callback: Callable[[], object]) -> None:
        """Call `callback()` in an ordinary turn after a signal.  Main thread only."""
        ...

    def remove_signal_handler(self, signum: int) -> bool:
        """Undo `add_signal_handler`; False if there was none."""
        ...

    def add_system_event_trigger(
        self, phase: str, event: str, function: Callable[..., Any], *args: Any
    ) -> object:
        """Call `function(*args)` "before", "during" or "after" each "startup" or "shutdown".

        What a "before" trigger returns, if a Deferred, is waited for.  Returns a handle to remove it by.
        """
        ...

    def remove_system_event_trigger(self, handle: object) -> None:
        """Undo `add_system_event_trigger`; harmless the second time."""
        ...


class Reactor(
    Clock,
    Threads,
    ReactorNetwork,
    ReactorDatagrams,
    ReactorDescriptors,
    ReactorProcesses,
    ReactorLife,
    Protocol,
):
    """Everything an engine does."""


IReactorNetwork = interface(ReactorNetwork)
IReactorDatagrams = interface(ReactorDatagrams)
IReactorDescriptors = interface(ReactorDescriptors)
IReactorProcesses = interface(ReactorProcesses)
IReactorLife = interface(ReactorLife)
IReactor = interface(Reactor)
