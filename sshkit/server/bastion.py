"""`forward_sessions`: a handler that opens each session again at another host, as the same kind.

A command stays a command, a shell with its terminal one, a subsystem (sftp) a raw pipe.  Data goes from
channel to channel as views; whoever is slow stops the other by its window; resizes, signals, EOF, standard
error, exit status and signal pass both ways.  Who may go where is the `connect` function's to decide.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from sshkit_keys.errors import SSHKitError, WireError
from sshkit_keys.host_patterns import matches_glob
from sshkit_keys.text import printable

from sshkit.deferred import Deferred, maybe_deferred
from sshkit.server.middleware.chain import clock_of, describe, say
from sshkit.server.middleware.tap import take_over
from sshkit.ssh.authentication.verdicts import user_name_fault
from sshkit.ssh.channels.session import (
    END_OF_WRITE,
    EnvRequest,
    ExecRequest,
    ExitSignal,
    ExitStatus,
    PtyRequest,
    SubsystemRequest,
)
from sshkit.ssh.connection.protocol import ChannelProtocol
from sshkit.ssh.errors import ChannelClosed

if TYPE_CHECKING:
    from sshkit.server.handler import Handler, Session
    from sshkit.ssh.connection.channel import Channel

OPEN_TIMEOUT = 30.0  #: seconds for the target to start what was asked for
UNREACHABLE = 255  #: the status where the target cannot be reached, as ssh has it
PASSED_IN = frozenset(("window-change", "signal", END_OF_WRITE))  #: from the client, without an answer
PASSED_OUT = frozenset(("exit-status", "exit-signal", "xon-xoff", END_OF_WRITE))  #: from the target
MAX_HOST = 255


class BastionRefused(SSHKitError):
    """Nobody may go where this client wants to."""


class Target(NamedTuple):
    """Where a client wants to go."""

    user: str
    host: str
    port: int | None  #: None: the usual one


def target_of(name: str, hosts: Sequence[str], separators: str = "%+") -> Target:
    """Split a user name ``user%host`` or ``user%host%port``; raises BastionRefused.

    The first of `separators` that is in the name counts: OpenSSH's client from 10.0 on takes "%" for a token
    of its own (there it is ``user%%host``), so that ``user+host`` is easier.

    `hosts` are patterns with * and ? of which one has to match: a bastion is for hosts that are named.
    """
    separator = next((mark for mark in separators if mark in name), separators[0])
    words = name.split(separator)
    if not 2 <= len(words) <= 3:
        raise BastionRefused(f"log in as user{separator}host")
    user, host = words[0], words[1]
    plain = host.isascii() and len(host) <= MAX_HOST and all(c.isalnum() or c in "-._:" for c in host)
    if user_name_fault(user) is not None or not host or not plain or host[0] in "-.":
        raise BastionRefused(f"{printable(name)}: neither a user nor a host")
    port: int | None = None
    if len(words) == 3:
        digits = words[2]
        if not (digits.isascii() and digits.isdigit() and len(digits) <= 5 and 0 < int(digits) < 65536):
            raise BastionRefused(f"{printable(words[2])}: no port")
        port = int(digits)
    host = host.lower()
    if not any(matches_glob(pattern.lower(), host) for pattern in hosts):
        raise BastionRefused(f"{host} is not reached through here")
    return Target(user, host, port)


def forward_sessions(
    connect: "Callable[[Session], Any]",
    *,
    close: bool = True,
    timeout: float = OPEN_TIMEOUT,
    environment: bool = True,
) -> "Handler":
    """Return a handler that opens each session again at the host to which `connect(session)` connects.

    `connect` returns, or fires with, a ClientConnection; whatever SSHKitError it raises is told to the client
    in one line with status 255.  With `close` the connection is closed when the session has ended; without,
    it is the program's own, which several sessions may share.  `environment`: the client's variables are
    passed on, as far as the target takes them.
    """

    async def forwarded(session: "Session") -> int | None:
        bridge = Bridge(session)
        take_over(session, bridge)
        bridge.near_paused(True)
        try:
            connection = await _opened(connect, session)
        except SSHKitError as error:
            return _unreachable(session, bridge, error)
        try:
            await bridge.open(connection, environment).add_timeout(
                timeout, clock_of(session), what=f"starting {describe(session)}"
            )
            return await bridge.finished
        except (SSHKitError, TimeoutError) as error:
            return _unreachable(session, bridge, error)
        finally:
            bridge.close()
            if close:
                await connection.close()

    return forwarded


async def _opened(connect: "Callable[[Session], Any]", session: "Session") -> Any:
    connecting: Deferred[Any] = maybe_deferred(connect, session)
    found = await connecting
    return await found if isinstance(found, Awaitable) else found


def _unreachable(session: "Session", bridge: "Bridge", error: BaseException) -> int:
    connection = session.connection
    what = f"{connection.source}: {session.user!r}: {describe(session)}: {printable(str(error), 400)}"
    connection.server.log("info", what)
    if not bridge.near_closed and not bridge.far_ended:
        say(session, str(error))
    return UNREACHABLE


class Bridge(ChannelProtocol):
    """The client's side of one session, with the target's (`far`) joined to it."""

    __slots__ = ("_eof", "_session", "_status", "far", "far_ended", "finished", "near_closed", "side")

    def __init__(self, session: "Session") -> None:
        self._session = session
        self.far: Channel | None = None
        self.side = FarSide(self)
        self.near_closed = False
        self.far_ended = False  #: the target sends no more
        self._eof = False
        self._status: tuple[str, bytes] | None = None
        self.finished: Deferred[int | None] = Deferred()  #: fires when the target has closed

    def open(self, connection: Any, environment: bool) -> "Deferred[None]":
        """Ask the target for the same; fires when it has started it."""
        session = self._session
        opening: Deferred[Any] = connection.open_session(self.side)

        def opened(channel: "Channel") -> "Deferred[None]":
            self.far = channel
            if self.near_closed:
                channel.abort()
                raise ChannelClosed("the client has gone")
            variables = session.environment if environment else {}
            for name, value in variables.items():
                body = EnvRequest(*(text.encode("utf-8", "surrogateescape") for text in (name, value)))
                channel.notify("env", body.encode())
            terminal = session.terminal
            if terminal is not None:
                wanted = PtyRequest(terminal.name, *terminal.size, terminal.modes)
                channel.request("pty-req", wanted.encode()).add_errback(lambda _: None)
            if session.subsystem is not None:
                started = channel.request("subsystem", SubsystemRequest(session.subsystem).encode())
            elif session.command is not None:
                command = session.command.encode("utf-8", "surrogateescape")
                started = channel.request("exec", ExecRequest(command).encode())
            else:
                started = channel.request("shell")
            return started.add_callback(self._started)

        return opening.add_callback(opened)

    def near_paused(self, paused: bool) -> None:
        """Take nothing from the client, or go on taking."""
        channel = self._session.request.channel
        (channel.pause_reading if paused else channel.resume_reading)()

    def close(self) -> None:
        """End the target's side."""
        if self.far is not None:
            self.far.abort()

    # Called by the client's channel.

    def data_received(self, data: memoryview) -> None:
        if self.far is not None:
            self.far.write(data)

    def eof_received(self) -> None:
        if self.far is not None:
            self.far.write_eof()
        else:
            self._eof = True

    def request_received(self, kind: str, body: bytes) -> "bool | Deferred[bool]":
        far = self.far
        if kind == "window-change":  # the session keeps the size, also before the target is there
            self._session.request_received(kind, body)
        if far is None or far.is_closing():
            return kind == "window-change"
        if kind in PASSED_IN:
            far.notify(kind, body)
            return True
        if kind == "break":
            asked: Deferred[Any] = far.request(kind, body)
            return asked.add_callbacks(lambda _: True, lambda _: False)
        return False

    def pause_writing(self) -> None:
        if self.far is not None:
            self.far.pause_reading()

    def resume_writing(self) -> None:
        if self.far is not None:
            self.far.resume_reading()

    def channel_closed(self, error: BaseException | None) -> None:
        self.near_closed = True
        self.close()
        self._session.channel_closed(error)  # which cancels the handler

    # Called by the target's side.

    def ended(self, error: BaseException | None) -> None:
        """The target has closed its channel; tell the client how it ended."""
        if self.finished.called:
            return
        if error is not None:
            self.finished.errback(error)
            return
        session = self._session
        if self._status is None:  # it never said: an honest client makes 255 of that (R30)
            session._ended = True
            session.channel.write_eof()
            session.channel.close()
        elif self._status[0] == "exit-signal":
            session._end(*self._status)
        else:
            self.finished.callback(int.from_bytes(self._status[1], "big"))
            return
        self.finished.callback(None)

    def said(self, kind: str, body: bytes) -> bool:
        """Take a request of the target's."""
        if kind in ("exit-status", "exit-signal"):
            try:
                (ExitStatus if kind == "exit-status" else ExitSignal).decode(body)
            except WireError:
                return False
            self._status = self._status or (kind, body)
            return True
        if kind in PASSED_OUT:
            self._session.channel.notify(kind, body)
            return True
        return False

    def _started(self, _: object) -> None:
        self.near_paused(False)
        if self._eof and self.far is not None:
            self.far.write_eof()


class FarSide(ChannelProtocol):
    """The target's side."""

    __slots__ = ("_bridge", "_near")

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge
        self._near = bridge._session.channel

    def data_received(self, data: memoryview) -> None:
        self._near.write(data)

    def extended_data_received(self, kind: int, data: memoryview) -> None:
        self._near.write_extended(data)

    def eof_received(self) -> None:
        self._bridge.far_ended = True
        self._near.write_eof()

    def request_received(self, kind: str, body: bytes) -> bool:
        return self._bridge.said(kind, body)

    def pause_writing(self) -> None:
        self._bridge.near_paused(True)

    def resume_writing(self) -> None:
        self._bridge.near_paused(False)

    def channel_closed(self, error: BaseException | None) -> None:
        self._bridge.ended(error)
