"""Datagrams in memory, and what networks do to them: loss, delay, another order, copies.

``network = MemoryDatagrams(clock, loss=0.1, reorder=0.2, random=Random(7))``; `open` joins a protocol with
the words of asyncio (`datagram_received(data, address)`).  What happens is the random source's: the same
seed, the same faults.
"""

from collections.abc import Callable
from random import Random
from typing import Any

from sshkit.testing.clock import MemoryClock

MAX_SIZE = 65507  #: bytes of one datagram of UDP over IPv4
FIRST_PORT = 40000  #: the port that stands for "any"


class MemoryDatagramTransport:
    """One end."""

    __slots__ = ("_network", "address", "closed", "protocol", "remote")

    def __init__(
        self, network: "MemoryDatagrams", protocol: Any, address: tuple[str, int], remote: Any
    ) -> None:
        self._network = network
        self.protocol = protocol
        self.address = address
        self.remote: tuple[str, int] | None = remote
        self.closed = False

    def sendto(self, data: "bytes | bytearray | memoryview", address: tuple[str, int] | None = None) -> None:
        """Send a datagram, to `address` or to the peer that this end is connected to."""
        target = address or self.remote
        if target is None:
            raise ValueError("an address is needed: this end is not connected")
        if len(data) > MAX_SIZE:
            raise ValueError(f"a datagram has {MAX_SIZE} bytes at most, not {len(data)}")
        if not self.closed:
            self._network.carry(bytes(data), self.address, target)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return "sockname" or "peername"."""
        return {"sockname": self.address, "peername": self.remote}.get(name) or default

    def is_closing(self) -> bool:
        """It was closed."""
        return self.closed

    def close(self) -> None:
        """Receive nothing any more."""
        if not self.closed:
            self.closed = True
            self._network.closed(self)
            self.protocol.connection_lost(None)

    abort = close


class MemoryDatagrams:
    """A network of datagrams.  `loss`, `reorder` and `duplicate` are probabilities, `delay` seconds."""

    __slots__ = ("_clock", "_ends", "_random", "delay", "delivered", "duplicate", "loss", "lost", "reorder")

    def __init__(
        self,
        clock: MemoryClock,
        *,
        loss: float = 0.0,
        reorder: float = 0.0,
        duplicate: float = 0.0,
        delay: float = 0.0,
        random: Random | None = None,
    ) -> None:
        self._clock = clock
        self._random = random or Random(0)
        self._ends: dict[tuple[str, int], MemoryDatagramTransport] = {}
        self.loss = loss
        self.reorder = reorder
        self.duplicate = duplicate
        self.delay = delay
        self.lost = 0  #: datagrams that went nowhere
        self.delivered = 0

    def open(
        self,
        factory: Callable[[], Any],
        local: tuple[str, int] = ("127.0.0.1", 0),
        remote: tuple[str, int] | None = None,
    ) -> MemoryDatagramTransport:
        """Join a protocol to the network; with `remote` it hears that one only."""
        host, port = local
        if not port:
            port = next(number for number in range(FIRST_PORT, 65536) if (host, number) not in self._ends)
        if (host, port) in self._ends:
            raise OSError(f"{host} port {port} is in use in memory")
        end = MemoryDatagramTransport(self, factory(), (host, port), remote)
        self._ends[host, port] = end
        end.protocol.connection_made(end)
        return end

    def carry(self, data: bytes, source: tuple[str, int], target: tuple[str, int]) -> None:
        """Let a datagram travel; what becomes of it is chance."""
        if self._random.random() < self.loss:
            self.lost += 1
            return
        copies = 2 if self._random.random() < self.duplicate else 1
        for _ in range(copies):
            # One that is overtaken arrives after those that are sent in the next moment.
            late = self.delay + 0.001 if self._random.random() < self.reorder else 0.0
            self._clock.call_later(self.delay + late, self._arrive, data, source, target)

    def closed(self, end: MemoryDatagramTransport) -> None:
        """An end listens no more."""
        self._ends.pop(end.address, None)

    def _arrive(self, data: bytes, source: tuple[str, int], target: tuple[str, int]) -> None:
        end = self._ends.get(target)
        if end is None or (end.remote is not None and end.remote != source):
            self.lost += 1
            sender = self._ends.get(source)
            if end is None and sender is not None and sender.remote == target:
                sender.protocol.error_received(ConnectionRefusedError(f"nobody listens at {target}"))
            return
        self.delivered += 1
        end.protocol.datagram_received(data, source)
