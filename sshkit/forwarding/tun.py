"""Tunnels: packets of a network device here go to one at the other side (OpenSSH's PROTOCOL, section 2.3).

Used by the client, which asks, and by the server, which permits it or not.  One CHANNEL_DATA carries one
packet; what does not fit into the window just then is lost, as packets of a network are.
"""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from sshkit_keys.errors import WireError
from sshkit_keys.text import printable

from sshkit.deferred import Deferred, Failure
from sshkit.forwarding.errors import NoTunnel
from sshkit.forwarding.pump import Tally
from sshkit.ssh.connection.protocol import ChannelProtocol
from sshkit.ssh.messages.record import Record, UInt32, record

if TYPE_CHECKING:
    from sshkit.interfaces import Reactor
    from sshkit.ssh.connection.channel import Channel
    from sshkit.ssh.connection.connection import Connection

KIND: Final = "tun@openssh.com"
POINT_TO_POINT: Final = 1  #: packets of IP
ETHERNET: Final = 2  #: frames
ANY_UNIT: Final = 0x7FFFFFFF  #: let the other side choose a device
MAX_UNIT: Final = 0x7FFFFFFD
DEVICE: Final = "/dev/net/tun"
PACKET: Final = 64 * 1024  #: bytes of the largest packet of a device
PACKETS_A_TURN: Final = 64
#: Families of addresses before packets of IP, as OpenBSD numbers them.
_IPV4, _IPV6 = (2).to_bytes(4, "big"), (24).to_bytes(4, "big")
_TUNSETIFF = 0x400454CA
_IFF_TUN, _IFF_TAP, _IFF_NO_PI = 0x0001, 0x0002, 0x1000

Mode = Literal["point-to-point", "ethernet"]
MODES: Final[dict[str, int]] = {"point-to-point": POINT_TO_POINT, "ethernet": ETHERNET}


@record
class TunOpen(Record):
    """The body of CHANNEL_OPEN."""

    mode: UInt32
    unit: UInt32  #: the device's number at the side that is asked


def open_device(mode: int, unit: int | None) -> tuple[int, str]:
    """Return descriptor and name of a tun or tap device (Linux); None takes any.  Raises NoTunnel."""
    from fcntl import ioctl
    from struct import pack

    kind = "tap" if mode == ETHERNET else "tun"
    flags = (_IFF_TAP if mode == ETHERNET else _IFF_TUN) | _IFF_NO_PI
    name = f"{kind}{'%d' if unit is None else unit}"
    try:
        fd = os.open(DEVICE, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise NoTunnel(f"{DEVICE}: {error.strerror}") from error
    try:
        taken: Any = ioctl(fd, _TUNSETIFF, pack("16sH22x", name.encode("ascii"), flags))
    except OSError as error:
        os.close(fd)
        raise NoTunnel(f"{kind} device {'any' if unit is None else unit}: {error.strerror}") from error
    return fd, cast("bytes", taken)[:16].rstrip(b"\0").decode("ascii", "replace")


class Tunnel(ChannelProtocol):
    """A device and a channel joined.  It owns the descriptor."""

    __slots__ = ("_channel", "_fd", "_mode", "_on_close", "_reactor", "name", "tally")

    def __init__(
        self,
        reactor: Any,
        mode: int,
        fd: int,
        name: str,
        on_close: "Callable[[Tunnel], object] | None" = None,
    ) -> None:
        self._reactor = cast("Reactor", reactor)
        self._mode = mode
        self._fd = fd
        self._on_close = on_close
        self._channel: Channel | None = None
        self.name = name  #: of the device
        self.tally = Tally(1)  #: `bytes_in`, `bytes_out`, and in `refused` packets that were lost

    def __repr__(self) -> str:
        return f"<Tunnel {printable(self.name)} {'open' if self._channel is not None else 'closed'}>"

    def close(self) -> None:
        """End it, and let the device go."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            self._reactor.remove_reader(fd)
            os.close(fd)
        channel, self._channel = self._channel, None
        if channel is not None:
            channel.close()
        on_close, self._on_close = self._on_close, None
        if on_close is not None:
            on_close(self)

    # Called by the channel.

    def channel_opened(self, channel: "Channel", body: bytes) -> None:
        if self._fd < 0:
            channel.close()
            return
        self._channel = channel
        self._reactor.add_reader(self._fd, self._readable)

    def data_received(self, data: memoryview) -> None:
        try:
            packet = unframed(self._mode, data)
        except WireError:
            self.tally.refused += 1
            return
        self.tally.bytes_in += len(packet)
        if self._fd >= 0:
            try:
                os.write(self._fd, packet)
            except OSError:  # the device is down or full, or the packet is none
                self.tally.refused += 1

    def eof_received(self) -> None:
        self.close()

    def channel_closed(self, error: BaseException | None) -> None:
        self._channel = None
        self.close()

    # Called by the reactor.

    def _readable(self) -> None:
        for _ in range(PACKETS_A_TURN):
            channel = self._channel
            if channel is None:
                return
            try:
                packet = os.read(self._fd, PACKET)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:  # the device was removed
                self.close()
                return
            if not packet:
                self.close()
                return
            data = framed(self._mode, packet)
            fits = len(data) <= min(channel.send_window, channel.max_packet)
            if data and fits and channel.writer.ready and not channel.get_write_buffer_size():
                self.tally.bytes_out += len(packet)
                channel.write(data)
            else:
                self.tally.refused += 1


def open_tunnel(
    connection: "Connection", reactor: Any, mode: str, local: int | None, remote: int | None
) -> "Deferred[Tunnel]":
    """Open a device here and ask the server for one; raises NoTunnel, or fails with ChannelOpenFailed."""
    number = MODES[mode]
    for unit in (local, remote):
        if unit is not None and not 0 <= unit <= MAX_UNIT:
            raise NoTunnel(f"{unit} is no number of a device")
    fd, name = open_device(number, local)
    tunnel = Tunnel(reactor, number, fd, name)
    body = TunOpen(number, ANY_UNIT if remote is None else remote).encode()

    def failed(failure: Failure) -> Failure:
        tunnel.close()
        return failure

    return connection.open_channel(KIND, body, tunnel).add_callbacks(lambda _: tunnel, failed)


def framed(mode: int, packet: bytes) -> bytes:
    """Return a packet as it goes over the channel; nothing for what is neither IPv4 nor IPv6.

    PROTOCOL counts the size as part of it, but that is the one of CHANNEL_DATA's own string.
    """
    if mode == ETHERNET:
        return packet
    version = packet[0] >> 4
    if version not in (4, 6):
        return b""
    return (_IPV4 if version == 4 else _IPV6) + packet


def unframed(mode: int, data: memoryview) -> memoryview:
    """Return the packet of one CHANNEL_DATA; raises WireError."""
    if mode == ETHERNET:
        return data
    if len(data) < 5 or data[:4] not in (_IPV4, _IPV6):
        raise WireError("a packet of a tunnel without a family of addresses")
    return data[4:]
