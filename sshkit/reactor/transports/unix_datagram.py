"""UNIX datagram sockets: whole messages between processes of one machine (unix(7)).

Made by `datagrams.open_unix_datagram`.  The kernel keeps order and loses nothing, but a receiver whose queue
is full makes the sender wait, and for a socket that is not connected no poller can tell when that is over.
"""

from collections import deque
from typing import TYPE_CHECKING, Any

from ..socket_files import SocketFile, check_path, remove_socket_file
from .datagram import ENTRY_COST, DatagramTransport

if TYPE_CHECKING:
    from ..timers import DelayedCall

#: Seconds between two tries to send to a receiver that is full.
RETRY = 0.01


class UnixDatagramTransport(DatagramTransport):
    """One UNIX datagram socket."""

    __slots__ = ("_file", "_retry")

    def __init__(self, *args: Any, file: SocketFile | None = None) -> None:
        super().__init__(*args)
        self._file = file
        self._retry: DelayedCall | None = None

    def check_address(self, address: Any) -> None:
        """Raise ValueError unless `address` is a path or an abstract name."""
        super().check_address(address)
        check_path(address)

    def wait_for_room(self) -> None:
        """Wait for the peer, or try again soon."""
        if self._connected:
            super().wait_for_room()
        elif self._retry is None:
            self._retry = self._reactor.call_later(RETRY, self._try_again)

    def _try_again(self) -> None:
        """Send to each receiver that takes something; the others keep their order and do not hold it up."""
        self._retry = None
        left: deque[tuple[bytes, Any]] = deque()
        full: set[Any] = set()
        for data, address in self._out:
            if address not in full:
                try:
                    self._send(data, address)
                except (BlockingIOError, InterruptedError):
                    full.add(address)
                except OSError as error:
                    self._send_failed(data, address, error)
            if address in full:
                left.append((data, address))
            else:
                self._out_size -= len(data) + ENTRY_COST
        self._out = left
        if left:
            self.wait_for_room()
        self._sent()

    def _drop_out(self) -> None:
        super()._drop_out()
        if self._retry is not None:
            self._retry.cancel()

    def closing_socket(self) -> None:
        """Remove the socket's file."""
        remove_socket_file(self._file)
