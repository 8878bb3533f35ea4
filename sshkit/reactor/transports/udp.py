"""UDP sockets: datagrams with numeric addresses, and groups (RFC 768, RFC 1112, RFC 3678).

Made by `datagrams.open_udp`.  A host name in `sendto` is refused: looking it up would block the loop.
"""

import socket
from typing import Any

from sshkit.interfaces.datagram import IMulticastTransport
from sshkit.interfaces.derive import implementer

from .datagram import DatagramTransport

#: Addresses that were found numeric and are not looked at again.
KNOWN_ADDRESSES = 1024


@implementer(IMulticastTransport)
class UdpTransport(DatagramTransport):
    """One UDP socket."""

    __slots__ = ("_known",)

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._known: set[Any] = set()

    def check_address(self, address: Any) -> None:
        """Raise ValueError unless `address` is (numeric host, port, ...) of the socket's family."""
        if address in self._known:
            return
        super().check_address(address)
        host = address[0]
        if not (host == "<broadcast>" and self._socket.family == socket.AF_INET):
            try:
                socket.inet_pton(self._socket.family, host.partition("%")[0])
            except (OSError, ValueError):
                kind = "IPv6" if self._socket.family == socket.AF_INET6 else "IPv4"
                raise ValueError(
                    f"{host!r} is not a numeric {kind} address; look names up with reactor.resolve"
                ) from None
        if len(self._known) >= KNOWN_ADDRESSES:
            self._known.clear()
        self._known.add(address)

    def join_group(self, group: str, interface: str | int | None = None, source: str | None = None) -> None:
        """Receive what is sent to `group`."""
        from .multicast import change_membership

        change_membership(self._socket, group, interface, source, join=True)

    def leave_group(self, group: str, interface: str | int | None = None, source: str | None = None) -> None:
        """Undo `join_group`."""
        from .multicast import change_membership

        change_membership(self._socket, group, interface, source, join=False)

    def set_multicast(
        self, *, hops: int | None = None, loopback: bool | None = None, interface: str | int | None = None
    ) -> None:
        """Say how our datagrams to groups are sent."""
        from .multicast import set_sending

        set_sending(self._socket, hops, loopback, interface)
