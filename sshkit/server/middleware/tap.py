"""A look at what passes through a session, without being in its way.

`tap` puts a `Watcher` between a session and its channel: middlewares count, record and time with it.  It
works the same whether the handler uses streams or has put a protocol of its own onto the channel
(`take_over`).
"""

from typing import TYPE_CHECKING, Any, cast

from sshkit.ssh.connection.protocol import ChannelProtocol

if TYPE_CHECKING:
    from sshkit.deferred import Deferred
    from sshkit.interfaces import TerminalSize
    from sshkit.server.handler import Session
    from sshkit.ssh.connection.channel import Channel


class Watcher:
    """Told what passes; a subclass overrides what it wants to know.  Views are valid during the call only.

    It must not raise: an exception here would be taken for the session's own.
    """

    __slots__ = ()

    def input_passed(self, data: memoryview) -> None:
        """The client sent this."""

    def output_passed(self, data: "bytes | bytearray | memoryview", extended: bool) -> None:
        """The session sent this; `extended`: to standard error."""

    def resized(self, size: "TerminalSize") -> None:
        """The client's window has a new size."""

    def ending(self, kind: str, body: bytes) -> None:
        """The session said how it ended: kind is exit-status or exit-signal (RFC 4254 section 6.10)."""

    def closed(self) -> None:
        """The channel has ended; nothing follows."""


class Tap(ChannelProtocol):
    """Stands before the protocol of a channel."""

    __slots__ = ("_held", "_paused", "_session", "protocol", "watcher")

    def __init__(self, protocol: ChannelProtocol, session: "Session", watcher: Watcher) -> None:
        self.protocol = protocol
        self._session = session
        self.watcher = watcher
        self._held = False
        self._paused = False

    def hold(self) -> None:
        """Let the session write no more for now, whatever the client would take."""
        if not self._held:
            self._held = True
            if not self._paused:
                self.protocol.pause_writing()

    def release(self) -> None:
        """End a `hold`."""
        if self._held:
            self._held = False
            if not self._paused:
                self.protocol.resume_writing()

    def data_received(self, data: memoryview) -> None:
        self.watcher.input_passed(data)
        self.protocol.data_received(data)

    def extended_data_received(self, kind: int, data: memoryview) -> None:
        self.protocol.extended_data_received(kind, data)

    def eof_received(self) -> None:
        self.protocol.eof_received()

    def request_received(self, kind: str, body: bytes) -> "bool | Deferred[bool]":
        taken = self.protocol.request_received(kind, body)
        terminal = self._session.terminal
        if kind == "window-change" and taken is True and terminal is not None:
            self.watcher.resized(terminal.size)
        return taken

    def request_granted(self, kind: str) -> None:
        self.protocol.request_granted(kind)

    def pause_writing(self) -> None:
        self._paused = True
        if not self._held:
            self.protocol.pause_writing()

    def resume_writing(self) -> None:
        self._paused = False
        if not self._held:
            self.protocol.resume_writing()

    def channel_closed(self, error: BaseException | None) -> None:
        self.watcher.closed()
        self.protocol.channel_closed(error)


class TappedChannel:
    """Stands in for a channel where a session writes; all that is not told to the watcher goes straight."""

    __slots__ = ("_channel", "_watcher")

    def __init__(self, channel: "Channel", watcher: Watcher) -> None:
        self._channel = channel
        self._watcher = watcher

    def write(self, data: "bytes | bytearray | memoryview") -> None:
        """Send data; as `Channel.write`."""
        self._watcher.output_passed(data, False)
        self._channel.write(data)

    def write_extended(self, data: "bytes | bytearray | memoryview") -> None:
        """Send data of standard error; as `Channel.write_extended`."""
        self._watcher.output_passed(data, True)
        self._channel.write_extended(data)

    def notify(self, kind: str, body: bytes = b"") -> None:
        """Send a request that wants no answer; as `Channel.notify`."""
        if kind in ("exit-status", "exit-signal"):
            self._watcher.ending(kind, body)
        self._channel.notify(kind, body)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._channel, name)


def tap(session: "Session", watcher: Watcher) -> Tap:
    """Let `watcher` see what passes from now on; the last one put in stands nearest to the client."""
    real = session.request.channel
    tapped = cast("Channel", TappedChannel(session.channel, watcher))
    session.channel = tapped
    session.stdout._channel = tapped
    session.stderr._channel = tapped
    real.protocol = between = Tap(real.protocol, session, watcher)
    return between


def take_over(session: "Session", protocol: ChannelProtocol) -> None:
    """Put `protocol` in the session's place, behind all taps; it writes to ``session.channel``."""
    holder: Any = session.request.channel
    while isinstance(holder.protocol, Tap):
        holder = holder.protocol
    holder.protocol = protocol
