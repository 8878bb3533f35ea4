"""A source and a sink in memory, and one side alone with a stream that a test plays."""

from typing import Any

from sshkit.deferred import Failure
from sshkit.scp.peer import Observer, Peer
from sshkit.scp.sink import Sink
from sshkit.scp.source import Source
from sshkit.testing.clock import MemoryClock
from sshkit.testing.transport import MemoryPair, connect_in_memory


class Seen(Observer):
    """Remembers what it is told; each `moved` waits for `pause` seconds."""

    def __init__(self, pause: float = 0.0) -> None:
        self.pause = pause
        self.files: list[tuple[bytes, int]] = []
        self.bytes = 0
        self.ended = 0
        self.texts: list[tuple[str, bool]] = []

    def file_started(self, name: bytes, size: int) -> None:
        self.files.append((name, size))

    def moved(self, count: int) -> float:
        self.bytes += count
        return self.pause

    def file_ended(self) -> None:
        self.ended += 1

    def complained(self, text: str, remote: bool) -> None:
        self.texts.append((text, remote))


def outcome(peer: Peer) -> Any:
    """Return the number of complaints, or the error."""
    found: list[Any] = []
    peer.finished.add_both(found.append)
    assert found, "it has not ended"
    result = found[0]
    return result.exception if isinstance(result, Failure) else result


def copy(source: Source, sink: Sink, clock: MemoryClock, chop: int | None = None) -> MemoryPair:
    """Let a source send all to a sink."""
    pair = connect_in_memory(source, sink, clock)
    if chop is not None:
        pair.chop = lambda: chop
    source.finished.add_both(lambda result: (pair.client.close(), result)[1])
    pair.settle()
    for _ in range(1000):
        if not clock.seconds() > 100 and not source.over:
            clock.advance(1.0)
            pair.settle()
    return pair


class Stream:
    """The transport of one side."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.written = b""
        self.paused = False
        peer.connection_made(self)

    def write(self, data: Any) -> None:
        self.written += bytes(data)

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def close(self) -> None:
        pass

    def say(self, data: bytes) -> bytes:
        """Give bytes to the side; return what it says to them."""
        self.written = b""
        self.peer.data_received(memoryview(data))
        return self.written
