"""Sessions served by a Python function: ``async def handler(session)``.

The handler gets a `Session` with streams.  What it returns is the exit status (None is 0); if it raises,
the status is 1 and the error is logged, never sent.  When the client goes, the handler is cancelled.
"""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, cast

from sshkit.deferred import Deferred, Failure, maybe_deferred
from sshkit.server.session import Program, SessionRequest, Terminal
from sshkit.ssh.channels.streams import StreamReader, StreamWriter
from sshkit.ssh.errors import ChannelClosed, ConnectionLost

if TYPE_CHECKING:
    from sshkit.interfaces import TerminalSize
    from sshkit.opening import Opening
    from sshkit.server.connection import ServerConnection
    from sshkit.ssh.agent.client import AgentClient

Handler = Callable[["Session"], "Awaitable[int | None] | Deferred[int | None] | int | None"]


class Session(Program):
    """One session, as its handler sees it."""

    __slots__ = (
        "_gone",
        "_handler",
        "_on_break",
        "_on_resize",
        "_on_signal",
        "_running",
        "stderr",
        "stdin",
        "stdout",
    )

    def __init__(self, request: SessionRequest, handler: Handler) -> None:
        super().__init__(request)
        self._handler = handler
        self._running: Deferred[Any] | None = None
        self._gone: BaseException | None = None  # why the streams failed
        self._on_break: Callable[[int], object] | None = None
        self._on_resize: Callable[[TerminalSize], object] | None = None
        self._on_signal: Callable[[str], object] | None = None
        self.stdin = StreamReader(self._changed)
        self.stdout = StreamWriter(self.channel)
        self.stderr = StreamWriter(self.channel, extended=True)

    @property
    def command(self) -> str | None:
        """The command; None where the client wants a shell or a subsystem."""
        return self.request.command

    @property
    def subsystem(self) -> str | None:
        """The subsystem's name, or None."""
        return self.request.subsystem

    @property
    def terminal(self) -> Terminal | None:
        """The client's terminal, if it asked for one; its `size` follows the client's window."""
        return self.request.terminal

    @property
    def environment(self) -> dict[str, str]:
        """The variables that the client sent and the server accepts."""
        return self.request.environment

    @property
    def user(self) -> str:
        """Who logged in."""
        return self.request.connection.user

    @property
    def connection(self) -> "ServerConnection":
        """The connection of this session."""
        return self.request.connection

    @property
    def display(self) -> str:
        """The value for DISPLAY of programs that draw at the client; "" where it offers none."""
        return self.request.display

    @property
    def avatar(self) -> Any:
        """What a portal gave for this login (`PortalUsers`); None without one."""
        from sshkit.server.portal_users import avatar_of

        return avatar_of(self.connection)

    def agent(self) -> "Opening[AgentClient]":
        """Open the client's agent: await it, or ``async with``.  NoAgent where the client offers none."""
        if not self.request.agent_wanted:
            from sshkit.forwarding.errors import NoAgent

            raise NoAgent("the client has not offered its agent, or may not")
        return self.connection.forwards.open_agent()

    def on_break(self, callback: Callable[[int], object]) -> None:
        """Call `callback(milliseconds)` when the client sends a BREAK."""
        self._on_break = callback

    def on_resize(self, callback: "Callable[[TerminalSize], object]") -> None:
        """Call `callback(size)` when the client's window changes."""
        self._on_resize = callback

    def on_signal(self, callback: Callable[[str], object]) -> None:
        """Call `callback(name)` when the client sends a signal, "INT" for example."""
        self._on_signal = callback

    # Called by the channel.

    def started(self) -> None:
        running: Deferred[int | None] = maybe_deferred(
            cast("Callable[[Session], int | None]", self._handler), self
        )
        self._running = running
        running.add_callbacks(self._returned, self._raised)

    def data_received(self, data: memoryview) -> None:
        self.stdin.feed(bytes(data))
        if self.stdin.is_full:
            self._changed()

    def eof_received(self) -> None:
        self.stdin.end()

    def pause_writing(self) -> None:
        self.stdout.pause()
        self.stderr.pause()

    def resume_writing(self) -> None:
        self.stdout.resume()
        self.stderr.resume()

    def resized(self, size: "TerminalSize") -> None:
        if self._on_resize is not None:
            self._on_resize(size)

    def break_received(self, milliseconds: int) -> None:
        if self._on_break is not None:
            self._on_break(milliseconds)

    def output_refused(self) -> None:
        self._gone = gone = ChannelClosed("the client takes no more output")
        self.stdout.refuse(gone)

    def signal_received(self, name: str) -> None:
        if self._on_signal is not None:
            self._on_signal(name)

    def channel_closed(self, error: BaseException | None) -> None:
        self._ended = True
        self._gone = gone = error or ChannelClosed("the client closed the session")
        self.stdin.fail(gone)
        self.stdout.fail(gone)
        self.stderr.fail(gone)
        if self._running is not None and not self._running.called:
            self._running.cancel()

    # Inside.

    def _changed(self) -> None:
        if self.stdin.is_full and not self.stdin.is_waited_for:
            self.channel.pause_reading()
        elif self.channel.reading_paused:
            self.channel.resume_reading()

    def _returned(self, status: int | None) -> None:
        self.exit(status or 0)

    def _raised(self, failure: Failure) -> None:
        from sshkit.deferred import CancelledError

        error = failure.exception
        gone = self._ended and isinstance(error, (ConnectionLost, CancelledError))
        if not gone and error is not self._gone:
            self.connection.log_error(f"the handler of {self.command or self.subsystem!r} failed", failure)
        self.exit(1)
