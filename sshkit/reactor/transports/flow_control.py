"""Back-pressure: what the transports of sockets share.

The base of `StreamTransport` and `DatagramTransport`, which count the bytes that wait in `_out_size`: above
the high mark the protocol is asked to pause, at the low mark to go on.
"""

from collections.abc import Callable
from typing import Any

from ..errors import FAULTS

#: Bytes that may wait for the peer before the protocol is paused.
HIGH_MARK = 64 * 1024
LOW_MARK = HIGH_MARK // 4


class FlowControl:
    """Tells a protocol when to pause."""

    __slots__ = ("_high", "_low", "_out_size", "_protocol", "_protocol_paused")

    def __init__(self, protocol: Any) -> None:
        self._protocol: Any = protocol
        self._out_size = 0
        self._high = HIGH_MARK
        self._low = LOW_MARK
        self._protocol_paused = False

    def get_write_buffer_size(self) -> int:
        """Return how many bytes wait; of datagrams, each with a little for itself."""
        return self._out_size

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set the marks, in bytes; one that is missing follows the other as 4 to 1."""
        self._high, self._low = marks(high, low)
        if self._out_size > self._high:
            self._pause_protocol()
        elif self._out_size <= self._low:
            self._resume_protocol()

    def _pause_protocol(self) -> None:
        if not self._protocol_paused:
            self._protocol_paused = True
            self._tell("pause_writing", self._protocol.pause_writing)

    def _resume_protocol(self) -> None:
        if self._protocol_paused:
            self._protocol_paused = False
            self._tell("resume_writing", self._protocol.resume_writing)

    def _tell(self, name: str, method: Callable[..., object], *args: Any) -> None:
        try:
            method(*args)
        except FAULTS as error:
            self._protocol_failed(name, error)

    def _protocol_failed(self, where: str, error: BaseException) -> None:
        """End this connection, and only this one, for a fault of its protocol."""
        raise NotImplementedError


def marks(high: int | None, low: int | None) -> tuple[int, int]:
    """Return the high and the low mark for what was asked, as asyncio does."""
    if high is None:
        high = HIGH_MARK if low is None else 4 * low
    if low is None:
        low = high // 4
    if not high >= low >= 0:
        raise ValueError(f"the marks must be high >= low >= 0, not {high} and {low}")
    return high, low
