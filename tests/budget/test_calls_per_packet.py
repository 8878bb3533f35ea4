"""The call budget of the packet path, exact: raising a number here needs a measurement in the commit.

Counted are Python calls (`sys.setprofile`, event "call") from the reactor's read to the channel's
protocol, and from the channel's write to the transport.
"""

import socket
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

from sshkit.reactor import new_reactor
from sshkit.reactor.transports.tcp import StreamTransport
from sshkit.ssh.ciphers.aes_gcm import GCMOpener, GCMSealer
from sshkit.ssh.ciphers.packet import Keys
from sshkit.ssh.connection.channel import Channel
from sshkit.ssh.connection.connection import Connection
from sshkit.ssh.connection.protocol import ChannelProtocol
from sshkit.ssh.transport.layer import TransportLayer

KEYS = Keys(key=bytes(16), iv=bytes(12), mac_key=b"")


class Owner:
    def transport_lost(self, error: BaseException) -> None:
        raise AssertionError(error)

    def channel_ended(self, channel: Channel) -> None:
        """Nothing."""


class Sink(ChannelProtocol):
    def __init__(self) -> None:
        self.size = 0

    def data_received(self, data: memoryview) -> None:
        self.size += len(data)


def calls_made(function: Callable[..., object], *args: object) -> list[str]:
    names: list[str] = []

    def profile(frame: FrameType, event: str, argument: Any) -> None:
        if event == "call":
            names.append(frame.f_code.co_qualname)

    sys.setprofile(profile)
    try:
        function(*args)
    finally:
        sys.setprofile(None)
    return names


class Ends:
    """A transport layer with an open channel at each end of a socket pair, keys in force."""

    def __init__(self) -> None:
        self.reactor = new_reactor("native")
        self.sockets = socket.socketpair()
        self.sink = Sink()
        self.layers = []
        self.channels = []
        for sock, host_keys in zip(self.sockets, (None, {}), strict=True):
            layer = TransportLayer(Owner(), self.reactor, bytes, host_keys=host_keys)  # type: ignore[arg-type]
            connection = Connection(layer, Owner())  # type: ignore[arg-type]
            channel = Channel(connection, 0, "session", self.sink)
            channel.opened(0, 1 << 20, 32768)
            connection.channels[0] = channel
            transport = StreamTransport(self.reactor, sock, layer)
            layer.transport = layer.writer.transport = transport
            layer.opener = GCMOpener(KEYS, None, 0)
            layer.writer.sealer = GCMSealer(KEYS, None, 0)
            layer.writer.ready = True
            layer.handlers, layer.target = layer.phase
            self.layers.append(layer)
            self.channels.append(channel)
        self.receiving = StreamTransport(self.reactor, self.sockets[1], self.layers[1])

    def close(self) -> None:
        for sock in self.sockets:
            sock.close()
        self.reactor.close()


SENT = [
    "Channel.write",
    "PacketWriter.channel_data",
    "GCMSealer.seal",
    "PacketWriter.flush",
    "StreamTransport.write",
]
RECEIVED = [
    "StreamTransport.read_ready",
    "PacketReader.get_buffer",
    "PacketReader.buffer_updated",
    "GCMOpener.open",
    "Connection.channel_data",
    "Sink.data_received",
]


def test_one_data_packet_costs_5_calls_to_send_and_6_to_receive() -> None:
    ends = Ends()
    try:
        for _ in range(2):  # the second time all buffers come from the pool
            sent = calls_made(ends.channels[0].write, b"x" * 1000)
            sent += calls_made(ends.layers[0].writer.flush)
            received = calls_made(ends.receiving.read_ready)
        assert ends.sink.size == 2000
        assert sent == SENT
        assert received == RECEIVED
    finally:
        ends.close()


def test_each_further_packet_of_a_turn_costs_3_calls_to_send_and_3_to_receive() -> None:
    ends = Ends()
    try:
        for _ in range(2):
            sent: list[str] = []
            for _ in range(4):
                sent += calls_made(ends.channels[0].write, b"x" * 1000)
            sent += calls_made(ends.layers[0].writer.flush)
            received = calls_made(ends.receiving.read_ready)
        assert ends.sink.size == 8000
        assert sent == 4 * SENT[:3] + SENT[3:]
        assert received == RECEIVED[:3] + 4 * RECEIVED[3:]
    finally:
        ends.close()
