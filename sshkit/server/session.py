"""A session that a client opened: what it asked for, then what runs in it (RFC 4254 section 6).

`SessionSetup` collects the requests until `exec`, `shell` or `subsystem`; then a `Program` takes the
channel over, so that data goes to it straight.  One program a channel (R25).
"""

from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from sshkit_keys.errors import SSHKitError

from sshkit.deferred import Deferred
from sshkit.interfaces import TerminalSize
from sshkit.ssh.channels.agent import REQUEST as AGENT_REQUEST
from sshkit.ssh.channels.session import (
    END_OF_WRITE,
    INFO,
    SIGNALS,
    BreakRequest,
    EnvRequest,
    ExecRequest,
    ExitSignal,
    ExitStatus,
    FlowControl,
    PtyRequest,
    SignalRequest,
    SubsystemRequest,
    WindowChange,
)
from sshkit.ssh.channels.x11 import REQUEST as X11_REQUEST
from sshkit.ssh.channels.x11 import X11Request
from sshkit.ssh.connection.protocol import ChannelProtocol

if TYPE_CHECKING:
    from sshkit.server.connection import ServerConnection
    from sshkit.ssh.connection.channel import Channel

MAX_VARIABLES = 128  #: env requests of one session
MAX_VARIABLE = 32 * 1024  #: bytes of one of them
MAX_COMMAND = 128 * 1024  #: bytes; what execve takes for one argument
MAX_TERMINAL_NAME = 64
DEFAULT_ACCEPT_ENV = ("LANG", "LC_*")
MAX_SIDE = 10_000  #: columns or rows that a terminal may claim


class Terminal:
    """The terminal that a client asked for."""

    __slots__ = ("modes", "name", "size")

    def __init__(self, name: str, size: TerminalSize, modes: bytes) -> None:
        self.name = name  #: the value for TERM
        self.size = size
        self.modes = modes  #: encoded, RFC 4254 section 8


class SessionRequest:
    """What a client asked for; given to whoever starts the program."""

    __slots__ = (
        "agent_wanted",
        "channel",
        "command",
        "connection",
        "display",
        "environment",
        "subsystem",
        "terminal",
    )

    def __init__(self, connection: "ServerConnection", channel: "Channel") -> None:
        self.connection = connection
        self.channel = channel
        self.command: str | None = None  #: None asks for a shell, unless `subsystem` is set
        self.subsystem: str | None = None
        self.terminal: Terminal | None = None
        self.environment: dict[str, str] = {}
        self.agent_wanted = False  #: the client's agent may be used
        self.display = ""  #: a value for DISPLAY: a display at the client


StartProgram = Callable[[SessionRequest], "Program | None"]


class Program(ChannelProtocol):
    """What runs in a session.  Subclasses start in `started` and end with `exit`."""

    __slots__ = ("_ended", "channel", "request")

    def __init__(self, request: SessionRequest) -> None:
        self.request = request
        self.channel = request.channel
        self._ended = False

    @property
    def session_kind(self) -> str:
        """What ChannelTimeout calls it: session:shell, session:command, session:subsystem:sftp."""
        request = self.request
        if request.subsystem is not None:
            return f"session:subsystem:{request.subsystem}"
        return "session:shell" if request.command is None else "session:command"

    def started(self) -> None:
        """The client was told that the program runs."""

    def resized(self, size: TerminalSize) -> None:
        """The terminal has a new size."""

    def signal_received(self, name: str) -> None:
        """The client sent a signal; `name` is one of RFC 4254 section 6.10, or INFO."""

    def break_received(self, milliseconds: int) -> None:
        """The client sent a BREAK (RFC 4335); it is granted where there is a terminal."""

    def output_refused(self) -> None:
        """The client takes no more output (eow@openssh.com)."""

    def refuse_input(self) -> None:
        """Tell the client that nothing more is read (eow@openssh.com)."""
        if not self._ended:
            self.channel.notify(END_OF_WRITE)

    def set_flow_control(self, client_can_do: bool) -> None:
        """Tell the client whether it may stop and start the output itself (RFC 4254 section 6.8)."""
        self.channel.notify("xon-xoff", FlowControl(client_can_do).encode())

    def exit(self, status: int) -> None:
        """Tell the client how it ended, and close."""
        self._end("exit-status", ExitStatus(status & 0xFFFFFFFF).encode())

    def exit_by_signal(self, name: str, core_dumped: bool = False, message: str = "") -> None:
        """Tell the client which signal ended it, and close."""
        self._end("exit-signal", ExitSignal(name, core_dumped, message.encode(), b"").encode())

    def request_received(self, kind: str, body: bytes) -> bool:
        if kind == "window-change" and self.request.terminal is not None:
            change = WindowChange.decode(body)
            size = terminal_size(change.columns, change.rows, change.pixel_width, change.pixel_height)
            self.request.terminal.size = size
            self.resized(size)
            return True
        if kind == "signal":
            name = SignalRequest.decode(body).name
            if name in SIGNALS or name == INFO:
                self.signal_received(name.partition("@")[0])
                return True
        if kind == "break":
            self.break_received(BreakRequest.decode(body).length)
            return self.request.terminal is not None
        if kind == END_OF_WRITE and not body:
            self.output_refused()
            return True
        return False

    def request_granted(self, kind: str) -> None:
        if kind in ("exec", "shell", "subsystem"):
            self.started()

    def _end(self, kind: str, body: bytes) -> None:
        if not self._ended:
            self._ended = True
            self.channel.notify(kind, body)
            self.channel.write_eof()
            self.channel.close()


class SessionSetup(ChannelProtocol):
    """A session before its program."""

    __slots__ = ("_accept_env", "_busy", "_connection", "_ended", "_request", "_start", "_variables")

    def __init__(
        self, connection: "ServerConnection", start: StartProgram, accept_env: tuple[str, ...]
    ) -> None:
        self._connection = connection
        self._start = start
        self._accept_env = accept_env
        self._variables = 0
        self._request: Any = None
        self._busy: Deferred[None] | None = None  # while a display is made; other requests wait
        self._ended = False  # the client sends nothing more

    def channel_opened(self, channel: "Channel", body: bytes) -> None:
        self._request = SessionRequest(self._connection, channel)

    def data_received(self, data: memoryview) -> None:
        """Drop it: nothing runs yet that could read it."""

    def eof_received(self) -> None:
        self._ended = True

    def request_received(self, kind: str, body: bytes) -> "bool | Deferred[bool]":
        busy = self._busy
        if busy is None:
            return self._decide(kind, body)
        later: Deferred[bool] = Deferred()

        def decide(_: None) -> None:
            channel = self._request.channel
            try:
                if channel.protocol is self:
                    decided = not channel.is_closing() and self._decide(kind, body)
                else:
                    decided = channel.protocol.request_received(kind, body)
            except SSHKitError as error:
                later.errback(error)
                return
            # A second request for a display is refused at once, so nothing of this waits.
            later.callback(bool(decided))

        busy.add_callback(decide)
        return later

    def _decide(self, kind: str, body: bytes) -> "bool | Deferred[bool]":
        request: SessionRequest = self._request
        if kind == "env":
            return self._set_variable(EnvRequest.decode(body))
        if kind == "pty-req":
            return self._set_terminal(PtyRequest.decode(body))
        if kind == "exec":
            command = ExecRequest.decode(body).command
            if b"\0" in command or len(command) > MAX_COMMAND:
                return False
            request.command = command.decode("utf-8", "surrogateescape")
            return self._run()
        if kind == "shell" and not body:
            return self._run()
        if kind == "subsystem":
            request.subsystem = SubsystemRequest.decode(body).name
            return self._run()
        if kind == "window-change" and request.terminal is not None:
            change = WindowChange.decode(body)
            request.terminal.size = terminal_size(
                change.columns, change.rows, change.pixel_width, change.pixel_height
            )
            return True
        if kind == AGENT_REQUEST and not body:
            request.agent_wanted = self._connection.permits_agent
            return request.agent_wanted
        if kind == X11_REQUEST and self._connection.permits_x11:
            wanted = X11Request.decode(body)
            return not request.display and self._busy is None and self._open_display(wanted)
        return False

    def _open_display(self, wanted: X11Request) -> "bool | Deferred[bool]":
        """Make a display; what the client asks for meanwhile waits, so that the program finds it."""
        from sshkit.server.x11 import is_valid

        if not is_valid(wanted):
            return False
        request: SessionRequest = self._request
        channel = request.channel
        busy: Deferred[None] = Deferred()
        self._busy = busy
        channel.pause_reading()
        answer: Deferred[bool] = Deferred()

        def opened(display: Any) -> None:
            request.display = display.name
            settled(True)

        def settled(ok: bool) -> None:
            answer.callback(ok)
            busy.callback(None)
            self._busy = None
            if not channel.is_closing():
                if self._ended and channel.protocol is not self:
                    channel.protocol.eof_received()
                channel.resume_reading()

        opening = self._connection.forwards.open_display(wanted, channel)
        opening.add_callbacks(opened, lambda _: settled(False))
        return answer

    def _run(self) -> bool:
        request: SessionRequest = self._request
        program = self._start(request)
        if program is None:
            return False
        request.channel.protocol = program
        return True

    def _set_variable(self, variable: EnvRequest) -> bool:
        """Keep an environment variable if its name is on the list of allowed ones (R29)."""
        self._variables += 1
        name, value = variable.name, variable.value
        if self._variables > MAX_VARIABLES or len(name) + len(value) > MAX_VARIABLE:
            return False
        if not name.isascii() or not name or b"=" in name or b"\0" in name or b"\0" in value:
            return False
        text = name.decode()
        if not any(fnmatchcase(text, pattern) for pattern in self._accept_env):
            return False
        self._request.environment[text] = value.decode("utf-8", "surrogateescape")
        return True

    def _set_terminal(self, wanted: PtyRequest) -> bool:
        name = wanted.terminal
        plain = name.isascii() and name.isprintable() and len(name) <= MAX_TERMINAL_NAME
        if self._request.terminal is not None or not plain or not self._connection.permits_terminal:
            return False
        size = terminal_size(wanted.columns, wanted.rows, wanted.pixel_width, wanted.pixel_height)
        self._request.terminal = Terminal(name, size, wanted.modes)
        return True


def terminal_size(columns: int, rows: int, pixel_width: int, pixel_height: int) -> TerminalSize:
    """Return a size that the system takes; 0 columns or rows are the usual 80 and 24."""
    return TerminalSize(
        min(columns or 80, MAX_SIDE),
        min(rows or 24, MAX_SIDE),
        min(pixel_width, 0xFFFF),
        min(pixel_height, 0xFFFF),
    )
