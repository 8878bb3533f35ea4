"""A connection of a remote forward that a program's function takes, in place of a destination."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sshkit.deferred import Failure, maybe_deferred
from sshkit.deferred.failure import report
from sshkit.forwarding.stream import ForwardStream
from sshkit.ssh.errors import ConnectionLost

if TYPE_CHECKING:
    from sshkit.forwarding.pump import Tally
    from sshkit.ssh.connection.channel import Channel


class HandledStream(ForwardStream):
    """Calls ``handler(stream, originator)`` when the channel is open; closes when that has ended."""

    __slots__ = ("_handler", "_originator", "_tally")

    def __init__(
        self, tally: "Tally", handler: Callable[[ForwardStream, tuple[str, int]], Any], originator: Any
    ) -> None:
        super().__init__()
        self._tally = tally
        self._handler = handler
        self._originator = originator

    @property
    def transport(self) -> "HandledStream":
        """What is aborted when the connection ends."""
        return self

    def abort(self) -> None:
        """The channel has told the reader already."""

    def channel_opened(self, channel: "Channel", body: bytes) -> None:
        super().channel_opened(channel, body)
        self._tally.ends.add(self)
        self._tally.total += 1
        running = maybe_deferred(self._handler, self, self._originator)
        running.add_errback(self._failed).add_both(lambda _: self.close())

    def data_received(self, data: memoryview) -> None:
        self._tally.bytes_in += len(data)
        super().data_received(data)

    def write(self, data: bytes | bytearray | memoryview | str) -> None:
        self._tally.bytes_out += len(data.encode() if isinstance(data, str) else data)
        super().write(data)

    def channel_closed(self, error: BaseException | None) -> None:
        self._tally.ends.discard(self)
        super().channel_closed(error)

    def _failed(self, failure: Failure) -> None:
        if not isinstance(failure.exception, ConnectionLost):
            report(failure, "")
