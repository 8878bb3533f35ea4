"""The session of sshkit-client: standard input, output and errors joined to a channel (RFC 4254 section 6).

Called by `client_run`.  Data goes straight between descriptors and channel, without streams between: what
arrives is written from the receive buffer, what is read is sealed from one page-aligned buffer.
Back-pressure holds in both directions: output that is not taken stops the channel, a full window stops
the reading.
"""

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from sshkit_keys.text import printable

from sshkit.client.output import Output
from sshkit.deferred import Deferred, Failure
from sshkit.ssh.channels.agent import REQUEST as AGENT_REQUEST
from sshkit.ssh.channels.session import (
    BREAK_LENGTH,
    BreakRequest,
    EnvRequest,
    ExecRequest,
    ExitSignal,
    ExitStatus,
    PtyRequest,
    SubsystemRequest,
    WindowChange,
)
from sshkit.ssh.channels.x11 import REQUEST as X11_REQUEST
from sshkit.ssh.connection.protocol import ChannelProtocol
from sshkit.ssh.errors import ChannelClosed, ChannelRequestFailed
from sshkit.ssh.messages.connection import EXTENDED_DATA_STDERR

from .local_input import LocalInput

if TYPE_CHECKING:
    from sshkit.reactor.core import ReactorCore
    from sshkit.ssh.connection.channel import Channel

    from .escapes import EscapeFilter
    from .keystrokes import KeystrokeTiming
    from .local_terminal import LocalTerminal
    from .log import Log

#: What is typed on a terminal is read on while the network stands still, so that an escape is heard.
MAX_TYPED = 1024 * 1024
END_OF_TYPING = b"\x04"  #: Ctrl-D


class Plan:
    """What the session is to be."""

    __slots__ = (
        "command",
        "environment",
        "forward_agent",
        "input",
        "keystroke_interval",
        "subsystem",
        "terminal",
        "terminal_type",
        "x11",
    )

    def __init__(self) -> None:
        self.command: str | None = None  #: None: the login shell
        self.subsystem = False
        self.environment: Mapping[str, str] = {}
        self.terminal: LocalTerminal | None = None  #: ask for a remote terminal; this is the local one
        self.terminal_type = ""
        self.input = True  #: read standard input
        self.forward_agent = False  #: ask that the server uses our agent
        self.x11: bytes | None = None  #: ask for X11 forwarding, with these words
        self.keystroke_interval = 0.0  #: seconds between keys on a terminal (ObscureKeystrokeTiming); 0: off


class ClientSession(ChannelProtocol):
    """One session.  `finished` fires when its output is written; fails with the connection's error."""

    __slots__ = (
        "_channel",
        "_error",
        "_escapes",
        "_input",
        "_keys",
        "_log",
        "_open",
        "_outputs",
        "_plan",
        "_reactor",
        "exit_message",
        "exit_signal",
        "exit_status",
        "finished",
    )

    def __init__(
        self, reactor: "ReactorCore", log: "Log", plan: Plan, escapes: "EscapeFilter | None" = None
    ) -> None:
        self._reactor = reactor
        self._log = log
        self._plan = plan
        self._escapes = escapes
        self._channel: Channel | None = None
        self._input: LocalInput | None = None
        self._keys: KeystrokeTiming | None = None
        self._outputs: tuple[Output | None, Output | None] = (None, None)
        self._error: BaseException | None = None
        self.exit_status: int | None = None
        self.exit_signal: str | None = None
        self.exit_message = ""
        self.finished: Deferred[None] = Deferred()

    # Called by the channel.

    def channel_opened(self, channel: "Channel", body: bytes) -> None:
        """Send all requests in one write, and begin to copy."""
        self._join(channel)
        plan = self._plan
        if plan.x11 is not None:
            channel.request(X11_REQUEST, plan.x11).add_errback(self._no_x11)
        if plan.forward_agent:
            channel.request(AGENT_REQUEST).add_errback(self._not_granted, "agent forwarding")
        for name, value in plan.environment.items():
            body = EnvRequest(os.fsencode(name), os.fsencode(value)).encode()
            channel.notify("env", body)
        if plan.terminal is not None:
            self._ask_for_terminal(channel, plan.terminal)
        if plan.command is None:
            what, reply = "shell", channel.request("shell")
        elif plan.subsystem:
            what, reply = "subsystem", channel.request("subsystem", SubsystemRequest(plan.command).encode())
        else:
            what = "exec"
            reply = channel.request("exec", ExecRequest(os.fsencode(plan.command)).encode())
        reply.add_errback(self._refused, what)
        self._start_input(channel)

    def data_received(self, data: memoryview) -> None:
        """Write it to standard output."""
        output = self._outputs[0]
        if output is not None:
            output.write(data)

    def extended_data_received(self, kind: int, data: memoryview) -> None:
        """Write it to standard error."""
        output = self._outputs[1]
        if output is not None and kind == EXTENDED_DATA_STDERR:
            output.write(data)

    def request_received(self, kind: str, body: bytes) -> bool:
        """Note how the command ended."""
        if kind == "exit-status":
            self.exit_status = ExitStatus.decode(body).status
            return True
        if kind == "exit-signal":
            ended = ExitSignal.decode(body)
            self.exit_signal = printable(ended.name)
            self.exit_message = printable(ended.message)
            return True
        if kind == "eow@openssh.com":  # the command reads no more (OpenSSH's PROTOCOL, section 2.1)
            self._stop_input()
            if self._channel is not None:
                self._channel.write_eof()
        # True for nothing else: keepalives want a refusal as their answer.
        return False

    def pause_writing(self) -> None:
        """Read no more until the window opens, except what is typed."""
        if self._input is not None and self._escapes is None:
            self._input.pause()

    def resume_writing(self) -> None:
        """Read again."""
        if self._input is not None:
            self._input.resume()

    def channel_closed(self, error: BaseException | None) -> None:
        """End when the last output is written."""
        self._error = error
        self._channel = None
        self._stop_input()
        for output in self._outputs:
            if output is not None:
                output.finish(self._maybe_finished)
        self._maybe_finished()

    # Called by the command.

    def resized(self) -> None:
        """Tell the remote terminal the local one's size."""
        plan = self._plan
        if self._channel is not None and plan.terminal is not None:
            self._channel.notify("window-change", WindowChange(*plan.terminal.size()).encode())

    def send_break(self) -> None:
        """Send a BREAK (RFC 4335)."""
        if self._channel is not None:
            self._channel.notify("break", BreakRequest(BREAK_LENGTH).encode())

    @property
    def session_kind(self) -> str:
        """What it is for ChannelTimeout (ssh_config(5))."""
        plan = self._plan
        if plan.command is None:
            return "session:shell"
        return f"session:subsystem:{plan.command}" if plan.subsystem else "session:command"

    def timed_out(self) -> None:
        """End: nothing has moved for ChannelTimeout's time.  The command there may go on for long."""
        self._finish(ChannelClosed(f"{self.session_kind}: nothing has moved (ChannelTimeout)"))

    def pause_typing(self) -> None:
        """Read nothing from standard input: somebody else asks there."""
        if self._input is not None:
            self._input.pause()

    def resume_typing(self) -> None:
        """Read again."""
        if self._input is not None:
            self._input.resume()

    def leave_terminal(self) -> None:
        """Go on without the terminal: the shell there is told that nothing more is typed."""
        self._stop_input()
        if self._channel is not None:
            self._channel.write(END_OF_TYPING)
            self._escapes = None

    def close(self) -> None:
        """Give the descriptors back; what was not written is lost."""
        self._stop_input()
        for output in self._outputs:
            if output is not None:
                output.close()

    # Inside.

    def _join(self, channel: "Channel") -> None:
        self._channel = channel
        self._outputs = (self._output(1, self._output_gone), self._output(2, self._output_changed))

    def _output(self, fd: int, gone: Callable[[], object]) -> Output | None:
        try:
            return Output(self._reactor, fd, self._output_changed, gone)
        except OSError:  # closed before we were started: what would go there is dropped
            return None

    def _start_input(self, channel: "Channel") -> None:
        if self._plan.input:
            self._input = LocalInput(self._reactor, 0, self._typed, self._input_ended, self._log.debug)
            self._input.resume()
        else:
            channel.write_eof()

    def _ask_for_terminal(self, channel: "Channel", terminal: "LocalTerminal") -> None:
        from sshkit.terminal.modes import encode_modes

        if self._plan.keystroke_interval:
            self._obscure_keys(channel)
        body = PtyRequest(self._plan.terminal_type, *terminal.size(), encode_modes(terminal.fd)).encode()
        channel.request("pty-req", body).add_errback(self._no_terminal)
        self._log.raw = terminal.enter_raw()

    def _no_terminal(self, failure: Failure) -> None:
        """Go on without a terminal, as ssh does."""
        failure.trap(ChannelRequestFailed)
        terminal, self._plan.terminal = self._plan.terminal, None
        assert terminal is not None  # it is asked for once
        terminal.restore()
        self._log.raw = False
        if self._keys is not None:
            self._keys.stop()
        self._escapes = None
        self._log.info("The server has no terminal for us; going on without one.")

    def _no_x11(self, failure: Failure) -> None:
        if isinstance(failure.exception, ChannelRequestFailed):
            self._log.info("X11 forwarding was refused by the server.")

    def _not_granted(self, failure: Failure, what: str) -> None:
        """Go on without something that the server does not have for us."""
        if isinstance(failure.exception, ChannelRequestFailed):
            self._log.debug(f"the server refused {what}")

    def _refused(self, failure: Failure, what: str) -> None:
        """End: without it there is no session.  A channel that closed first has told why already."""
        if isinstance(failure.exception, ChannelRequestFailed):
            command = f" {self._plan.command!r}" if what == "subsystem" else ""
            self._error = ChannelRequestFailed(f"the server refused the {what} request{command}")
            if self._channel is not None:
                self._channel.abort()
            self._finish(self._error)

    def _typed(self, data: memoryview) -> None:
        """Send what was read."""
        channel = self._channel
        if channel is None:
            return
        if self._plan.terminal is None:
            channel.write(data)
            return
        rest = data if self._escapes is None else self._escapes.feed(data)
        if self._channel is None or not len(rest):
            return
        if self._keys is not None:
            self._keys.typed(rest)
        else:
            channel.write(rest)
        if (
            self._escapes is not None
            and self._input is not None
            and channel.get_write_buffer_size() > MAX_TYPED
        ):
            self._input.pause()

    def _input_ended(self) -> None:
        self._stop_input()
        if self._channel is not None:
            self._channel.write_eof()

    def _obscure_keys(self, channel: "Channel") -> None:
        """Let keys leave at fixed times (ObscureKeystrokeTiming)."""
        from sshkit.ssh.messages.transport import Ping
        from sshkit.ssh.transport.exchange import PINGS

        from .keystrokes import CHAFF, KeystrokeTiming

        layer = channel.connection.layer

        def send(data: bytes) -> None:
            if self._channel is not None:
                channel.write(data)

        def chaff() -> None:
            if PINGS in layer.peer_extensions and layer.exchange is None and layer.lost is None:
                layer.send(Ping(CHAFF).encode())

        interval = self._plan.keystroke_interval
        self._keys = KeystrokeTiming(self._reactor, interval, send, chaff, layer.random_bytes)

    def _stop_input(self) -> None:
        if self._keys is not None:
            self._keys.stop()
        if self._input is not None:
            self._input.close()
            self._input = None

    def _output_changed(self) -> None:
        """Read on while neither output is full."""
        channel = self._channel
        if channel is None:
            return
        if any(output is not None and output.full for output in self._outputs):
            channel.pause_reading()
        else:
            channel.resume_reading()

    def _output_gone(self) -> None:
        """Whoever read our output has gone: tell the command, and drop what else it writes."""
        if self._channel is not None:
            self._channel.notify("eow@openssh.com")
        self._output_changed()

    def _maybe_finished(self) -> None:
        if self._channel is None and not any(output is not None and output.busy for output in self._outputs):
            self._finish(self._error)

    def _finish(self, error: BaseException | None) -> None:
        if self.finished.called:
            return
        if error is not None:
            self.finished.errback(error)
        else:
            self.finished.callback(None)


class DirectSession(ClientSession):
    """Standard input and output joined to a connection that the server makes (-W)."""

    __slots__ = ()

    def channel_opened(self, channel: "Channel", body: bytes) -> None:
        """Begin to copy: nothing is asked for on such a channel."""
        self._join(channel)
        self.exit_status = 0
        self._start_input(channel)
