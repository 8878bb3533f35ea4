"""A command, shell or subsystem on the other side, and what it leaves (RFC 4254 section 6).

`ClientProcess` is both the channel's protocol and what a program holds: three streams, signals, window
changes, and the way it ended.
"""

from typing import TYPE_CHECKING, Any

from sshkit_keys.errors import SSHKitError
from sshkit_keys.text import printable

from sshkit.deferred import Deferred
from sshkit.ssh.channels.session import (
    BREAK_LENGTH,
    END_OF_WRITE,
    INFO,
    BreakRequest,
    ExitSignal,
    ExitStatus,
    FlowControl,
    SignalRequest,
    WindowChange,
)
from sshkit.ssh.channels.streams import StreamReader, StreamWriter
from sshkit.ssh.connection.protocol import ChannelProtocol
from sshkit.ssh.errors import ChannelClosed, LocalProtocolError

if TYPE_CHECKING:
    from sshkit.interfaces import Clock, TerminalSize
    from sshkit.ssh.connection.channel import Channel

RUN_TIMEOUT = 3600.0  #: seconds that `run`, `wait` and `communicate` wait for a command


class Result:
    """What a finished command left.

    `exit_status` is None where a signal ended it, or where the server never said how it ended.
    """

    __slots__ = ("command", "core_dumped", "exit_message", "exit_signal", "exit_status", "stderr", "stdout")

    def __init__(
        self,
        command: str | None,
        stdout: bytes,
        stderr: bytes,
        exit_status: int | None,
        exit_signal: str | None,
        exit_message: str = "",
        core_dumped: bool = False,
    ) -> None:
        self.command = command
        self.exit_message = exit_message  #: what the server said about the signal
        self.core_dumped = core_dumped
        self.stdout = stdout
        self.stderr = stderr
        self.exit_status = exit_status
        self.exit_signal = exit_signal  #: without SIG, as on the wire

    @property
    def text(self) -> str:
        """Standard output as text; bytes that are not UTF-8 are escaped."""
        return self.stdout.decode("utf-8", "backslashreplace")

    def __repr__(self) -> str:
        end = f"signal {self.exit_signal}" if self.exit_signal else f"status {self.exit_status}"
        return f"<Result of {self.command!r}: {end}, {len(self.stdout)} + {len(self.stderr)} bytes>"


class CommandFailed(SSHKitError):
    """A command that was run with `check` did not end with status 0; `result` is what it left."""

    def __init__(self, result: Result) -> None:
        if result.exit_signal:
            end = f"was ended by signal {printable(result.exit_signal)}"
        else:
            status = result.exit_status
            end = "ended without a status" if status is None else f"ended with status {status}"
        last = result.stderr.strip().rpartition(b"\n")[2]
        super().__init__(f"{result.command!r} {end}{f': {printable(last[:200])}' if last else ''}")
        self.result = result


class OutputTooLarge(SSHKitError):
    """A command that was run wrote more than `max_output` bytes."""


class ClientProcess(ChannelProtocol):
    """What runs on the other side.

    Reading only one of `stdout` and `stderr` never blocks the other: what is not read is kept, 64 MiB of it
    at most.  With a terminal both come by `stdout`.
    """

    __slots__ = (
        "_channel",
        "_clock",
        "_exit_waiters",
        "_lost",
        "closed",
        "command",
        "core_dumped",
        "exit_language",
        "exit_message",
        "exit_signal",
        "exit_status",
        "flow_control",
        "refused",
        "stderr",
        "stdin",
        "stdout",
    )

    stdin: StreamWriter

    def __init__(self, command: str | None, clock: "Clock") -> None:
        self.command = command
        self._clock = clock
        self._channel: Channel | None = None
        self.stdout = StreamReader(self._changed)
        self.stderr = StreamReader(self._changed)
        self.exit_status: int | None = None
        self.exit_signal: str | None = None
        self.exit_message = ""
        self.exit_language = ""  #: of the message, as a tag of RFC 3066
        self.core_dumped = False
        #: Whether this side may stop and start the output itself (RFC 4254 section 6.8); None: not said.
        self.flow_control: bool | None = None
        #: "terminal", "agent", "x11", or the name of a variable: what the server refused.
        self.refused: list[str] = []
        self.closed = False
        self._lost: BaseException | None = None
        self._exit_waiters: list[Deferred[None]] = []

    @property
    def channel(self) -> "Channel":
        """The channel under the streams, for requests of one's own."""
        if self._channel is None:
            raise LocalProtocolError("the channel is not open yet")
        return self._channel

    def wait(self, timeout: float | None = RUN_TIMEOUT) -> Deferred["ClientProcess"]:
        """Wait until the process has ended and both streams are complete; at most `timeout` seconds.

        Fails with the connection's error if that ended first.  It does not read: `communicate` does.
        """
        done: Deferred[None] = Deferred()
        if self.closed:
            if self._lost is not None:
                done.errback(self._lost)
            else:
                done.callback(None)
        else:
            self._exit_waiters.append(done)
        if timeout is not None:
            done.add_timeout(timeout, self._clock, what=f"waiting for {printable(repr(self.command))}")
        return done.add_callback(lambda _: self)

    def communicate(
        self, data: bytes | str | None = None, timeout: float | None = RUN_TIMEOUT
    ) -> Deferred[Result]:
        """Send `data` and the end of input, read both streams to their end, and wait.

        When `timeout` (seconds) passes, what came can still be read and the command runs on: `close` ends it.
        """
        from sshkit.deferred import gather

        if data is not None:
            self.stdin.write(data)
        self.stdin.write_eof()
        output = gather(self.stdout.read(), self.stderr.read(), self.wait(None))
        if timeout is not None:
            output.add_timeout(timeout, self._clock, what=f"waiting for {printable(repr(self.command))}")
        return output.add_callback(lambda parts: self.result(parts[0], parts[1]))

    def result(self, stdout: bytes = b"", stderr: bytes = b"") -> Result:
        """Return how it ended, with what was read of it."""
        return Result(
            self.command,
            stdout,
            stderr,
            self.exit_status,
            self.exit_signal,
            self.exit_message,
            self.core_dumped,
        )

    def send_signal(self, name: str) -> None:
        """Send a signal: "TERM", "INT" ... (RFC 4254 section 6.9), "INFO".  Servers answer nothing."""
        name = name.removeprefix("SIG")
        self.channel.notify("signal", SignalRequest(INFO if name == "INFO" else name).encode())

    def send_break(self, milliseconds: int = BREAK_LENGTH) -> Deferred[None]:
        """Send a BREAK (RFC 4335); fails with ChannelRequestFailed where there is no line for it."""
        return self.channel.request("break", BreakRequest(milliseconds).encode())

    def refuse_output(self) -> None:
        """Tell the server that no more output is taken: a command that writes on gets SIGPIPE (OpenSSH)."""
        self.channel.notify(END_OF_WRITE)

    def resize(self, size: "TerminalSize") -> None:
        """Tell the terminal its new size."""
        self.channel.notify("window-change", WindowChange(*size).encode())

    def close(self) -> None:
        """Close the channel; what runs gets SIGHUP or the end of its input."""
        if self._channel is not None:
            self._channel.close()

    async def __aenter__(self) -> "ClientProcess":
        return self

    async def __aexit__(self, *exception: object) -> None:
        self.close()

    # Called by the channel.

    def channel_opened(self, channel: "Channel", body: bytes) -> None:
        self._channel = channel
        self.stdin = StreamWriter(channel)

    def data_received(self, data: memoryview) -> None:
        self.stdout.feed(bytes(data))
        if self.stdout.is_full:
            self._changed()

    def extended_data_received(self, kind: int, data: memoryview) -> None:
        self.stderr.feed(bytes(data))
        if self.stderr.is_full:
            self._changed()

    def eof_received(self) -> None:
        self.stdout.end()
        self.stderr.end()

    def request_received(self, kind: str, body: bytes) -> bool:
        if kind == "exit-status" and self.exit_status is None:
            self.exit_status = ExitStatus.decode(body).status
            return True
        if kind == "exit-signal" and self.exit_signal is None:
            ended = ExitSignal.decode(body)
            self.exit_signal = printable(ended.name)
            self.exit_message = printable(ended.message)
            self.exit_language = printable(ended.language)
            self.core_dumped = ended.core_dumped
            return True
        if kind == "xon-xoff":
            self.flow_control = FlowControl.decode(body).client_can_do
            return True
        if kind == END_OF_WRITE and self._channel is not None:
            self.stdin.refuse(ChannelClosed("the command reads no more"))
            self._channel.write_eof()
            return True
        return False

    def pause_writing(self) -> None:
        self.stdin.pause()

    def resume_writing(self) -> None:
        self.stdin.resume()

    def channel_closed(self, error: BaseException | None) -> None:
        self.closed = True
        self._lost = error
        for stream in (self.stdout, self.stderr):
            if error is None:
                stream.end()
            else:
                stream.fail(error)
        self.stdin.fail(error or ChannelClosed("the command reads no more"))
        waiters, self._exit_waiters = self._exit_waiters, []
        for waiter in waiters:
            if error is None:
                waiter.callback(None)
            else:
                waiter.errback(error)

    def _changed(self) -> None:
        """Stop the channel while a stream is full, unless somebody waits for the other one."""
        channel = self._channel
        if channel is None:
            return
        full = self.stdout.is_full or self.stderr.is_full
        waited_for = self.stdout.is_waited_for or self.stderr.is_waited_for
        if full and not waited_for:
            channel.pause_reading()
        elif channel.reading_paused:
            channel.resume_reading()


class Collector(ChannelProtocol):
    """Runs one command for `run`: collects its output without streams, and fires when all is there."""

    __slots__ = (
        "_channel",
        "_command",
        "_error",
        "_left",
        "_most",
        "_parts",
        "_status",
        "finished",
        "opening",
    )

    opening: Deferred[None]  #: fires when the command was started

    def __init__(self, command: str | None, max_output: int) -> None:
        self._command = command
        self._left = self._most = max_output
        self._parts: tuple[list[bytes], list[bytes]] = ([], [])
        self._status: list[Any] = [None, None]
        self._channel: Channel | None = None
        self._error: BaseException | None = None
        self.finished: Deferred[Result] = Deferred(self._cancelled)

    def channel_opened(self, channel: "Channel", body: bytes) -> None:
        self._channel = channel

    def data_received(self, data: memoryview) -> None:
        self._take(0, bytes(data))

    def extended_data_received(self, kind: int, data: memoryview) -> None:
        self._take(1, bytes(data))

    def request_received(self, kind: str, body: bytes) -> bool:
        status = self._status
        if kind == "exit-status" and status[0] is None:
            status[0] = ExitStatus.decode(body).status
            return True
        if kind == "exit-signal" and status[1] is None:
            ended = ExitSignal.decode(body)
            status[1:] = printable(ended.name), printable(ended.message), ended.core_dumped
            return True
        return False

    def channel_closed(self, error: BaseException | None) -> None:
        if self.finished.called:
            return
        error = error or self._error
        if error is not None:
            self.finished.errback(error)
        else:
            stdout, stderr = self._parts
            self.finished.callback(Result(self._command, b"".join(stdout), b"".join(stderr), *self._status))

    def fail(self, error: BaseException) -> None:
        """Close the channel, if there is one, and fail with `error`."""
        self._error = error
        if self._channel is not None:
            self._channel.abort()
        if not self.finished.called:
            self.finished.errback(error)

    def _take(self, stream: int, data: bytes) -> None:
        self._left -= len(data)
        if self._left < 0:
            self.fail(OutputTooLarge(f"{self._command!r} wrote more than {self._most} bytes"))
        else:
            self._parts[stream].append(data)

    def _cancelled(self, finished: "Deferred[Result]") -> None:
        if self._channel is not None:
            self._channel.abort()
        else:
            self.opening.cancel()
