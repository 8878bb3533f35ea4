"""A session of another program on our connection: its descriptors joined to a channel (RFC 4254 section 6).

Made by `peer` for NEW_SESSION and NEW_STDIO_FORWARD.  The program waits meanwhile and does nothing; what is
typed, written and resized is our business, and so are escapes.
"""

import os
from typing import TYPE_CHECKING, Any, Protocol

from sshkit.client.output import Output
from sshkit.client.sharing.descriptors import Input, core_of
from sshkit.deferred import Failure
from sshkit.ssh.channels.session import (
    EnvRequest,
    ExecRequest,
    ExitStatus,
    PtyRequest,
    SubsystemRequest,
    WindowChange,
)
from sshkit.ssh.connection.protocol import ChannelProtocol
from sshkit.ssh.errors import ChannelRequestFailed
from sshkit.ssh.messages.connection import EXTENDED_DATA_STDERR

if TYPE_CHECKING:
    from sshkit.client.sharing.messages import SessionRequest
    from sshkit.ssh.connection.channel import Channel

#: What is typed on a terminal is read on while the network stands still, so that an escape is heard.
MAX_TYPED = 1024 * 1024
Size = tuple[int, int, int, int]


class Escapes(Protocol):
    """Takes escapes out of what is typed."""

    def feed(self, data: bytes | memoryview) -> bytes | memoryview:
        """Return what is to be sent."""
        ...


class PassengerOwner(Protocol):
    """Who made it, and tells its program."""

    def passenger_exited(self, status: int) -> None:
        """The command has ended with a status."""
        ...

    def passenger_has_no_terminal(self) -> None:
        """The server gives none."""
        ...

    def passenger_left(self) -> None:
        """The channel has ended, and all output is written.  Called once, unless `close` was."""
        ...


class Passenger(ChannelProtocol):
    """One session.  It owns the descriptors that it is given."""

    __slots__ = (
        "_channel",
        "_closed",
        "_descriptors",
        "_escapes",
        "_flush_left",
        "_input",
        "_modes",
        "_outputs",
        "_owner",
        "_request",
        "_size",
        "extras",
    )

    def __init__(
        self,
        reactor: Any,
        descriptors: list[int],
        owner: PassengerOwner,
        request: "SessionRequest | None",
    ) -> None:
        """Take descriptors for input, output and, with a request, errors; all are closed with OSError."""
        self._descriptors = descriptors
        self._owner = owner
        self._request = request
        self._channel: Channel | None = None
        self._escapes: Escapes | None = None
        self._closed = False
        self._flush_left = 0
        self._input: Input | None = None
        self._outputs: list[Output] = []
        self._modes = b""
        self._size: Size = (0, 0, 0, 0)
        self.extras: list[tuple[str, bytes]] = []  #: requests to make before the command starts
        core = core_of(reactor)
        try:
            if request is not None and request.terminal:
                self._look_at_terminal()
            self._input = Input(core, descriptors[0], self._typed, self._input_ended)
            for fd in descriptors[1:]:
                self._outputs.append(Output(core, fd, self._output_changed, self._output_gone))
        except OSError:
            self.close()
            raise

    def use_escapes(self, escapes: Escapes | None) -> None:
        """Look for escapes in what is typed."""
        self._escapes = escapes

    # Called by the channel.

    def channel_opened(self, channel: "Channel", body: bytes) -> None:
        """Make all requests in one write, and begin to copy."""
        if self._closed:
            channel.abort()
            return
        self._channel = channel
        request = self._request
        if request is not None:
            self._begin(channel, request)
        if self._input is not None:
            self._input.resume()

    def data_received(self, data: memoryview) -> None:
        if self._outputs:
            self._outputs[0].write(data)

    def extended_data_received(self, kind: int, data: memoryview) -> None:
        if kind == EXTENDED_DATA_STDERR and len(self._outputs) > 1:
            self._outputs[1].write(data)

    def request_received(self, kind: str, body: bytes) -> bool:
        if kind == "exit-status":
            self._owner.passenger_exited(ExitStatus.decode(body).status)
            return True
        if kind == "eow@openssh.com":  # the command reads no more (OpenSSH's PROTOCOL, section 2.1)
            self._stop_input()
            if self._channel is not None:
                self._channel.write_eof()
        return False

    def pause_writing(self) -> None:
        if self._input is not None and self._escapes is None:
            self._input.pause()

    def resume_writing(self) -> None:
        if self._input is not None:
            self._input.resume()

    def channel_closed(self, error: BaseException | None) -> None:
        """End when the last output is written."""
        self._channel = None
        self._stop_input()
        if self._closed:
            return
        busy = [output for output in self._outputs if output.busy]
        self._flush_left = len(busy)
        if not busy:
            self._leave()
        for output in busy:
            output.finish(self._flushed)

    # Called by the owner.

    def resized(self) -> None:
        """Tell the remote terminal the size of the program's, if it has changed."""
        request = self._request
        if self._channel is None or request is None or not request.terminal:
            return
        size = _size_of(self._descriptors[0])
        if size != self._size:
            self._size = size
            self._channel.notify("window-change", WindowChange(*size).encode())

    def send_break(self) -> None:
        """Send a BREAK (RFC 4335)."""
        if self._channel is not None:
            self._channel.notify("break", (1000).to_bytes(4, "big"))

    def show(self, text: str) -> None:
        """Write to the program's standard error."""
        if self._outputs:
            self._outputs[-1].write(memoryview(text.encode("utf-8", "backslashreplace")))

    def close(self) -> None:
        """End the session: its program has gone, or is to be told by the end of its connection."""
        if self._closed:
            return
        self._closed = True
        channel, self._channel = self._channel, None
        self._stop_input()
        for output in self._outputs:
            output.close()
        self._close_descriptors()
        if channel is not None:
            channel.abort()

    # Inside.

    def _look_at_terminal(self) -> None:
        """Note modes and size of the program's terminal before the program makes it raw."""
        from sshkit.terminal.modes import encode_modes

        fd = self._descriptors[0]
        if os.isatty(fd):
            self._modes = encode_modes(fd)
        self._size = _size_of(fd)

    def _begin(self, channel: "Channel", request: "SessionRequest") -> None:
        for kind, body in self.extras:
            channel.notify(kind, body)
        for name, value in request.environment:
            channel.notify("env", EnvRequest(name, value).encode())
        if request.terminal:
            body = PtyRequest(request.terminal_type, *self._size, self._modes or b"\0").encode()
            channel.request("pty-req", body).add_errback(self._no_terminal)
        if request.subsystem:
            wanted = request.command.decode("utf-8", "replace")
            reply = channel.request("subsystem", SubsystemRequest(wanted).encode())
        elif request.command:
            reply = channel.request("exec", ExecRequest(request.command).encode())
        else:
            reply = channel.request("shell")
        reply.add_errback(self._refused, "subsystem" if request.subsystem else "command")

    def _no_terminal(self, failure: Failure) -> None:
        failure.trap(ChannelRequestFailed)
        self._escapes = None
        if not self._closed:
            self._owner.passenger_has_no_terminal()

    def _refused(self, failure: Failure, what: str) -> None:
        """End the session: without it there is none.  A channel that closed first has told already."""
        if isinstance(failure.exception, ChannelRequestFailed) and self._channel is not None:
            self.show(f"the server refused the {what}\r\n")
            self._channel.abort()

    def _typed(self, data: memoryview) -> None:
        channel = self._channel
        if channel is None:
            return
        if self._escapes is None:
            channel.write(data)
            return
        rest = self._escapes.feed(data)
        if self._channel is not None and len(rest):
            channel.write(rest)
            if channel.get_write_buffer_size() > MAX_TYPED and self._input is not None:
                self._input.pause()

    def _input_ended(self) -> None:
        self._input = None
        if self._channel is not None:
            self._channel.write_eof()

    def _stop_input(self) -> None:
        source, self._input = self._input, None
        if source is not None:
            source.close()

    def _output_changed(self) -> None:
        channel = self._channel
        if channel is None:
            return
        if any(output.full for output in self._outputs):
            channel.pause_reading()
        else:
            channel.resume_reading()

    def _output_gone(self) -> None:
        """Tell the command that nobody reads, and drop what else it writes."""
        if self._channel is not None and not self._outputs[0].busy:
            self._channel.notify("eow@openssh.com")
        self._output_changed()

    def _flushed(self) -> None:
        self._flush_left -= 1
        if not self._flush_left:
            self._leave()

    def _leave(self) -> None:
        if not self._closed:
            self._closed = True
            self._close_descriptors()
            self._owner.passenger_left()

    def _close_descriptors(self) -> None:
        descriptors, self._descriptors = self._descriptors, []
        for fd in descriptors:
            os.close(fd)


def _size_of(fd: int) -> Size:
    """Return columns, rows and pixels of a terminal; zeros for what it does not know."""
    import termios
    from fcntl import ioctl
    from struct import unpack

    try:
        rows, columns, width, height = unpack("HHHH", ioctl(fd, termios.TIOCGWINSZ, bytes(8)))
    except OSError:
        return (0, 0, 0, 0)
    return (columns, rows, width, height)
