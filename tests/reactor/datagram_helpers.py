"""A datagram protocol that writes down what happens to it."""

from typing import Any

from sshkit.deferred import Deferred


class Datagrams:
    """Keeps everything, and its Deferreds tell when something has come."""

    def __init__(self) -> None:
        self.transport: Any = None
        self.received: list[tuple[bytes, Any]] = []
        self.errors: list[OSError] = []
        self.events: list[str] = []
        self.lost: Deferred[BaseException | None] = Deferred()
        self._waits: list[tuple[list[Any], int, Deferred[None]]] = []

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.events.append("made")

    def datagram_received(self, data: bytes, address: Any) -> None:
        self.received.append((data, address))
        self._tell()

    def error_received(self, exc: OSError) -> None:
        self.errors.append(exc)
        self._tell()

    def connection_lost(self, exc: BaseException | None) -> None:
        self.events.append("lost")
        self.lost.callback(exc)

    def pause_writing(self) -> None:
        self.events.append("pause")
        self._tell()

    def resume_writing(self) -> None:
        self.events.append("resume")
        self._tell()

    def _tell(self) -> None:
        for wait in tuple(self._waits):
            if len(wait[0]) >= wait[1]:
                self._waits.remove(wait)
                wait[2].callback(None)

    def _when(self, things: list[Any], count: int) -> Deferred[None]:
        wait: Deferred[None] = Deferred()
        self._waits.append((things, count, wait))
        self._tell()
        return wait

    def has_received(self, count: int) -> Deferred[None]:
        """Fire once `count` datagrams have come."""
        return self._when(self.received, count)

    def has_failed(self, count: int = 1) -> Deferred[None]:
        """Fire once `count` errors have come."""
        return self._when(self.errors, count)

    def has_seen(self, count: int) -> Deferred[None]:
        """Fire once there have been `count` events."""
        return self._when(self.events, count)

    @property
    def data(self) -> list[bytes]:
        return [data for data, _ in self.received]

    @property
    def address(self) -> Any:
        return self.transport.get_extra_info("sockname")


class EchoDatagrams(Datagrams):
    """Sends each back."""

    def datagram_received(self, data: bytes, address: Any) -> None:
        self.transport.sendto(data, address)
        super().datagram_received(data, address)
