"""A channel as the transport of another connection: how one reaches a host behind a host (ProxyJump).

Called by `proxy`.  What the outer channel delivers is copied into the inner layer's buffer, as any
transport's data is; back-pressure goes through in both directions.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from sshkit.interfaces.derive import implementer
from sshkit.interfaces.protocol import receive_into_buffer
from sshkit.interfaces.transport import ITransport, Writable
from sshkit.ssh.connection.protocol import ChannelProtocol

if TYPE_CHECKING:
    from sshkit.ssh.connection.channel import Channel


@implementer(ITransport)
class ChannelTransport(ChannelProtocol):
    """The transport of `protocol`, a buffered one, over the channel that it is the protocol of."""

    __slots__ = ("_channel", "_ended", "_info", "_protocol")

    def __init__(self, protocol: Any, info: dict[str, Any] | None = None) -> None:
        self._protocol = protocol
        self._info = info or {}
        self._channel: Channel | None = None
        self._ended = False

    # As a transport.

    def write(self, data: Writable) -> None:
        if self._channel is not None and not self._ended:
            self._channel.write(data)

    def writelines(self, list_of_data: Iterable[Writable]) -> None:
        for data in list_of_data:
            self.write(data)

    def write_eof(self) -> None:
        if self._channel is not None and not self._ended:
            self._channel.write_eof()

    def can_write_eof(self) -> bool:
        return True

    def close(self) -> None:
        if self._channel is not None and not self._ended:
            self._channel.write_eof()
            self._channel.resume_reading()
            self._channel.close()

    def abort(self) -> None:
        if self._channel is not None and not self._ended:
            self._channel.abort()

    def is_closing(self) -> bool:
        return self._ended or self._channel is None or self._channel.is_closing()

    def pause_reading(self) -> None:
        if self._channel is not None and not self._ended:
            self._channel.pause_reading()

    def resume_reading(self) -> None:
        if self._channel is not None and not self._ended:
            self._channel.resume_reading()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._info.get(name, default)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Do nothing: the channel has marks of its own."""

    def get_write_buffer_size(self) -> int:
        return 0 if self._channel is None else self._channel.get_write_buffer_size()

    def set_protocol(self, protocol: Any) -> None:
        self._protocol = protocol

    def get_protocol(self) -> Any:
        return self._protocol

    # As the channel's protocol.

    def channel_opened(self, channel: "Channel", body: bytes) -> None:
        self._channel = channel
        self._protocol.connection_made(self)

    def data_received(self, data: memoryview) -> None:
        receive_into_buffer(self._protocol, data)  # type: ignore[arg-type]

    def eof_received(self) -> None:
        if not self._protocol.eof_received():
            self.close()

    def pause_writing(self) -> None:
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        self._protocol.resume_writing()

    def channel_closed(self, error: BaseException | None) -> None:
        self._ended = True
        self._protocol.connection_lost(error)
