"""A whole network in memory, with a time of its own.

``MemoryReactor().run(main())`` runs a coroutine in which `sshkit.connect` and `sshkit.serve` work as always,
between ends that live in this process: no socket, no port, no waiting.  When nothing is left to do, the
clock jumps to the next timer; when there is none, the test fails instead of hanging.
"""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast

from sshkit.deferred import Deferred, Failure, ensure_deferred, fail, maybe_deferred, succeed
from sshkit.reactor.errors import ConnectError, ListenError
from sshkit.testing.clock import MemoryClock
from sshkit.testing.faults import PLAIN, Line
from sshkit.testing.transport import MemoryPair, connect_in_memory

T = TypeVar("T")
P = TypeVar("P")
FIRST_PORT = 40000  #: the port that stands for "any"
MAX_STEPS = 1_000_000


class Deadlock(AssertionError):
    """Nothing is left to happen, and what is waited for has not happened."""


class MemoryListener:
    """A port in memory."""

    def __init__(
        self, network: "MemoryReactor", address: tuple[str, int], factory: Callable[[], Any]
    ) -> None:
        self.address = address
        self.addresses = [address]
        self.factory = factory
        self._network = network

    def close(self) -> None:
        """Take no more connections."""
        self._network.listeners.pop(self.address[1], None)

    def pause(self) -> None:
        """Nothing waits in a queue here."""

    def resume(self) -> None:
        """Nothing waits in a queue here."""


class MemoryReactor(MemoryClock):
    """What `connect` and `serve` take as their `reactor` in a test.

    `pairs` holds every connection made so far, to look at, to cut or to break.  `on_connect` may be set to
    be told of each new one before a byte of it has moved.
    """

    __slots__ = ("_client_port", "line", "listeners", "on_connect", "pairs")

    def __init__(self, *, line: Line = PLAIN) -> None:
        super().__init__()
        self.line = line  #: what lies between the ends of every connection made from now on
        self.listeners: dict[int, MemoryListener] = {}
        self.pairs: list[MemoryPair] = []
        self.on_connect: Callable[[MemoryPair], object] | None = None
        self._client_port = 50000

    def connect_tcp(
        self,
        host: str,
        port: int,
        factory: Callable[[], P],
        *,
        timeout: float = 30.0,
        local_address: tuple[str, int] | None = None,
        family: int = 0,
    ) -> Deferred[P]:
        """Connect to a port of `listen_tcp`; every host name leads to this process."""
        listener = self.listeners.get(port)
        if listener is None:
            return fail(ConnectError(f"{host} port {port}: nothing listens in memory"))
        protocol = factory()
        self._client_port += 1
        pair = connect_in_memory(
            protocol,
            listener.factory(),
            self,
            client_address=local_address or ("127.0.0.1", self._client_port),
            server_address=listener.address,
        )
        pair.line = self.line
        self.pairs.append(pair)
        if self.on_connect is not None:
            self.on_connect(pair)
        return succeed(protocol)

    def listen_tcp(
        self, host: str | None, port: int, factory: Callable[[], Any], **options: Any
    ) -> Deferred[MemoryListener]:
        """Listen in memory; port 0 takes a free one."""
        if not port:
            port = FIRST_PORT + len(self.listeners)
        if port in self.listeners:
            return fail(ListenError(f"port {port} is in use in memory"))
        listener = MemoryListener(self, (host or "127.0.0.1", port), factory)
        self.listeners[port] = listener
        return succeed(listener)

    def defer_to_thread(self, function: Callable[..., T], *args: Any, **kwargs: Any) -> Deferred[T]:
        """Call `function` here and now: there are no threads in memory."""
        return cast("Deferred[T]", maybe_deferred(function, *args, **kwargs))

    def run(self, awaitable: Awaitable[T]) -> T:
        """Run a coroutine or Deferred to its end, letting bytes and time move."""
        outcome: list[Any] = []
        deferred = awaitable if isinstance(awaitable, Deferred) else ensure_deferred(_wait(awaitable))
        deferred.add_both(outcome.append)
        for _ in range(MAX_STEPS):
            if outcome:
                break
            if not self.pump() and not self._jump():
                raise Deadlock("nothing is left to happen, and the end was not reached")
        if not outcome:
            raise Deadlock(f"no end after {MAX_STEPS} steps")
        result = outcome[0]
        if isinstance(result, Failure):
            result.raise_exception()
        return cast("T", result)

    def pump(self) -> bool:
        """Move what is in flight on every connection once; tell whether anything moved."""
        moved = self.turn()
        for pair in self.pairs:
            moved = pair.pump() or moved
        return moved

    def settle(self) -> None:
        """Move bytes until nothing moves any more; time stands still."""
        while self.pump():
            pass

    def _jump(self) -> bool:
        """Let time pass until the next timer; tell whether there was one."""
        due = self.next_due()
        if due is None:
            return False
        self.advance(max(due - self.seconds(), 0.0))
        return True


async def _wait(awaitable: Awaitable[T]) -> T:
    return await awaitable
