"""Protocols that write down what happens to them, and the engines to run them on."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import uvloop

from sshkit.deferred import Deferred
from sshkit.interfaces import ExitStatus
from sshkit.reactor.core import ReactorCore
from sshkit.reactor.current import current
from sshkit.reactor.engines.direct import DirectReactor
from sshkit.reactor.engines.native import NativeReactor
from sshkit.reactor.pollers import Poll, Select

Main = Callable[[Any], Awaitable[Any]]


def _living(make: Callable[[], Any]) -> Callable[[Main], Any]:
    def run(main: Main) -> Any:
        reactor = make()
        try:
            return reactor.run_until(main(reactor))
        finally:
            reactor.close()

    return run


def _guest(runner: Callable[[Any], Any]) -> Callable[[Main], Any]:
    def run(main: Main) -> Any:
        async def on_loop() -> Any:
            return await main(current())

        return runner(on_loop())

    return run


#: name -> run(main): runs `main(reactor)` to its end on that engine.
ENGINES: dict[str, Callable[[Main], Any]] = {
    "native": _living(NativeReactor),
    "native-poll": _living(lambda: NativeReactor(Poll())),
    "native-select": _living(lambda: NativeReactor(Select())),
    "direct": _living(DirectReactor),
    "guest-asyncio": _guest(asyncio.run),
    "guest-uvloop": _guest(uvloop.run),
}


class Recorder:
    """A stream protocol that keeps everything, and whose Deferreds tell when something has come."""

    keep_open = False

    def __init__(self) -> None:
        self.transport: Any = None
        self.received = bytearray()
        self.events: list[str] = []
        self.lost: Deferred[BaseException | None] = Deferred()
        self.made: Deferred[None] = Deferred()
        self.ended: Deferred[None] = Deferred()
        self.paused: Deferred[None] = Deferred()
        self.resumed: Deferred[None] = Deferred()
        self._waits: list[tuple[int, Deferred[bytes]]] = []

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.events.append("made")
        self.made.callback(None)

    def data_received(self, data: bytes) -> None:
        self.received += data
        for wait in tuple(self._waits):
            if len(self.received) >= wait[0]:
                self._waits.remove(wait)
                wait[1].callback(bytes(self.received))

    def eof_received(self) -> bool:
        self.events.append("eof")
        self.ended.callback(None)
        return self.keep_open

    def connection_lost(self, exc: BaseException | None) -> None:
        self.events.append("lost")
        self.lost.callback(exc)

    def pause_writing(self) -> None:
        self.events.append("pause")
        if not self.paused.called:
            self.paused.callback(None)

    def resume_writing(self) -> None:
        self.events.append("resume")
        if not self.resumed.called:
            self.resumed.callback(None)

    def bytes_received(self, count: int) -> Deferred[bytes]:
        """Fire with everything once `count` bytes have come."""
        wait: Deferred[bytes] = Deferred()
        self._waits.append((count, wait))
        self.data_received(b"")
        return wait


class HalfOpen(Recorder):
    """Stays open for writing after the peer's end."""

    keep_open = True


class Echo(Recorder):
    """Sends back what comes."""

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)
        super().data_received(data)


class BufferedRecorder(Recorder):
    """A buffered protocol with a buffer of some size."""

    size = 16

    def __init__(self) -> None:
        super().__init__()
        self.buffer = memoryview(bytearray(self.size))
        self.hints: list[int] = []

    def get_buffer(self, sizehint: int) -> memoryview:
        self.hints.append(sizehint)
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.data_received(bytes(self.buffer[:nbytes]))


class ProcessRecorder:
    """A process protocol that keeps everything."""

    def __init__(self) -> None:
        self.transport: Any = None
        self.output: dict[int, bytearray] = {1: bytearray(), 2: bytearray()}
        self.events: list[str] = []
        self.exited: Deferred[ExitStatus] = Deferred()
        self.closed: dict[int, Deferred[None]] = {1: Deferred(), 2: Deferred()}
        self.paused: Deferred[None] = Deferred()
        self.resumed: Deferred[None] = Deferred()
        self._waits: list[tuple[bytes, Deferred[None]]] = []

    def process_started(self, transport: Any) -> None:
        self.transport = transport
        self.events.append("started")

    def output_received(self, descriptor: int, data: bytes) -> None:
        self.output[descriptor] += data
        for wait in tuple(self._waits):
            if wait[0] in self.output[1]:
                self._waits.remove(wait)
                wait[1].callback(None)

    def output_closed(self, descriptor: int) -> None:
        self.events.append(f"closed {descriptor}")
        self.closed[descriptor].callback(None)

    def pause_writing(self) -> None:
        self.events.append("pause")
        self.paused.callback(None)

    def resume_writing(self) -> None:
        self.events.append("resume")
        self.resumed.callback(None)

    def process_exited(self, status: ExitStatus) -> None:
        self.events.append("exited")
        self.exited.callback(status)

    def output_with(self, text: bytes) -> Deferred[None]:
        """Fire once `text` has come on descriptor 1."""
        wait: Deferred[None] = Deferred()
        self._waits.append((text, wait))
        self.output_received(1, b"")
        return wait


def later(reactor: ReactorCore, seconds: float = 0.0) -> Deferred[None]:
    """Fire in a later turn."""
    deferred: Deferred[None] = Deferred()
    reactor.call_later(seconds, deferred.callback, None)
    return deferred


#: Bytes that the kernel holds on each side of a connection of these tests.
KERNEL_BUFFER = 256 * 1024


async def connected(
    reactor: ReactorCore, server: Callable[[], Any] = Recorder, client: Callable[[], Any] = Recorder
) -> tuple[Any, Any]:
    """Return two protocols (server, client) with a TCP connection between them; nothing listens any more."""
    servers: list[Any] = []

    def factory() -> Any:
        servers.append(server())
        return servers[-1]

    listener = await reactor.listen_tcp("127.0.0.1", 0, factory)
    ours = await reactor.connect_tcp("127.0.0.1", listener.address[1], client)
    while not servers:
        await later(reactor)
    await servers[0].made
    listener.close()
    for protocol in (servers[0], ours):
        # The same on every machine, whatever its kernel would like to hold.
        sock = protocol.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BUFFER)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, KERNEL_BUFFER)
    return servers[0], ours


def socket_pair(reactor: ReactorCore, protocol: Any) -> tuple[Any, socket.socket]:
    """Return `protocol` on one end of a socket pair, and the other, which does not block."""
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    return reactor.adopt_socket(ours, lambda: protocol), theirs


class Hang:
    """A TCP address at which connecting gets no answer: a listener whose queue is full."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=0)
        self.address = self.listener.getsockname()
        self.fillers = []
        for _ in range(2):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(self.address)
            self.fillers.append(filler)

    def close(self) -> None:
        for sock in (self.listener, *self.fillers):
            sock.close()
