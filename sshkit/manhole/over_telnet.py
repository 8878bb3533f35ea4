"""The console over telnet, for hosts where nothing else is to be had: `serve_telnet`.

Nothing is encrypted, so it listens at loopback addresses and UNIX sockets only.  At an address a password is
asked for, which has no default; a UNIX socket has mode 0600 and asks for none.
"""

import os
from collections.abc import Callable
from hmac import compare_digest
from typing import TYPE_CHECKING, Any, cast

from sshkit.deferred import CancelledError, Deferred, ensure_deferred
from sshkit.interfaces import TerminalSize
from sshkit.manhole.doors import SOCKET_MODE, Manhole, opened, settings_from
from sshkit.manhole.over_ssh import ManholeSessions
from sshkit.manhole.settings import NotLetIn, Person
from sshkit.opening import Opening
from sshkit.protocols.telnet.server import TelnetServer
from sshkit.server.session import Terminal
from sshkit.ssh.channels.streams import StreamReader, StreamWriter
from sshkit.ssh.errors import LocalProtocolError

if TYPE_CHECKING:
    from sshkit.interfaces import DelayedCall, Listener, Reactor
    from sshkit.protocols.telnet.protocol import TelnetProtocol

NEGOTIATION = 2.0  #: seconds for a client to say what its terminal is
LOGIN_TIME = 60.0  #: seconds for the password
TRIES = 3
PAUSE = 1.0  #: seconds after a wrong one
MAX_PASSWORD = 1024  #: bytes
LOOPBACK = ("127.", "::1", "localhost")
INTERRUPTS = ("interrupt", "break")  #: commands of telnet that mean ctrl-C


class TelnetDoor:
    """What listens, in the shape that `Manhole` closes."""

    def __init__(
        self, reactor: "Reactor", handle: "Callable[[TelnetTerminal], Any]", password: str | None
    ) -> None:
        self.reactor = reactor
        self.listeners: list[Listener] = []
        self.host_keys: dict[str, Any] = {}
        self.handle = handle
        self.password = password
        self.open: set[TelnetTerminal] = set()
        self._waiters: list[Deferred[None]] = []
        self._closing = False

    def make_protocol(self) -> TelnetServer:
        """Return the protocol of one connection."""
        return TelnetServer(TelnetTerminal(self))

    @property
    def address(self) -> Any:
        """Where it listens."""
        return self.listeners[0].address

    def close(self) -> Deferred[None]:
        """Listen no more and end every session."""
        self._closing = True
        for listener in self.listeners:
            listener.close()
        for session in tuple(self.open):
            session.end()
        return self.wait_closed()

    def wait_closed(self) -> Deferred[None]:
        """Wait until it was closed and the last session has gone."""
        waiter: Deferred[None] = Deferred()
        self._waiters.append(waiter)
        self.tell()
        return waiter

    def tell(self) -> None:
        """Fire what waits for the end, if it has come."""
        if self._closing and not self.open:
            waiters, self._waiters = self._waiters, []
            for waiter in waiters:
                waiter.callback(None)


class _Connection:
    """What terminal programs ask a session's connection for."""

    __slots__ = ("server", "source")

    def __init__(self, clock: "Reactor") -> None:
        self.server = _Clock(clock)
        self.source = "local"


class _Clock:
    __slots__ = ("clock",)

    def __init__(self, clock: "Reactor") -> None:
        self.clock = clock


class TelnetTerminal:
    """One client: a `TelnetSession`, and as much of a server's `Session` as a terminal program uses."""

    command: str | None = None
    subsystem: str | None = None

    def __init__(self, door: TelnetDoor) -> None:
        self._door = door
        self._telnet: TelnetProtocol | None = None
        self._running: Deferred[Any] | None = None
        self._timer: DelayedCall | None = None
        self.terminal = Terminal("vt100", TerminalSize(), b"")
        self.environment: dict[str, str] = {}
        self.user = "telnet"
        self.connection = _Connection(door.reactor)
        self.stdin = StreamReader(self._changed)
        self._on_resize: Callable[[TerminalSize], object] | None = None
        self.interrupt: Callable[[], object] | None = None

    # What a terminal program calls.

    def on_resize(self, callback: "Callable[[TerminalSize], object]") -> None:
        """Call `callback(size)` when the client's window changes."""
        self._on_resize = callback

    # What telnet calls.

    def connected(self, telnet: "TelnetProtocol") -> None:
        self._telnet = telnet
        self._door.open.add(self)
        peer = telnet.get_extra_info("peername")
        self.connection.source = str(peer[0]) if isinstance(peer, tuple) and peer else "local"
        self.stdout = StreamWriter(cast("Any", telnet))
        self._timer = self._door.reactor.call_later(NEGOTIATION, self.negotiated)

    def negotiated(self) -> None:
        if self._timer is not None and self._timer.active:
            self._timer.cancel()
        self._timer = None
        if self._running is None and self._telnet is not None:
            self._running = running = ensure_deferred(self._serve())
            running.add_both(lambda _: self.end())

    def data_received(self, data: bytes) -> None:
        self.stdin.feed(data)
        if self.stdin.is_full:
            self._changed()

    def size_changed(self, columns: int, rows: int) -> None:
        self.terminal.size = size = TerminalSize(columns, rows)
        if self._on_resize is not None:
            self._on_resize(size)

    def terminal_named(self, name: str) -> None:
        self.terminal.name = name

    def environment_received(self, variables: dict[str, str]) -> None:
        self.environment.update(variables)

    def command_received(self, name: str) -> None:
        if name in INTERRUPTS:
            self.stdin.feed(b"\x03")
        elif name == "are-you-there":
            self.stdout.write("\r\n[yes]\r\n")

    def option_changed(self, option: int, ours: bool, on: bool) -> None:
        pass  # the console draws the same, whoever echoes

    def pause_writing(self) -> None:
        self.stdout.pause()

    def resume_writing(self) -> None:
        self.stdout.resume()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._telnet = None
        if self._timer is not None and self._timer.active:
            self._timer.cancel()
        self.stdin.end()
        if self._running is not None:
            self._running.cancel()
        self._door.open.discard(self)
        self._door.tell()

    def end(self) -> None:
        """Close the connection."""
        if self._telnet is not None:
            self._telnet.close()

    # Inside.

    def _changed(self) -> None:
        if self._telnet is not None:
            if self.stdin.is_full:
                self._telnet.pause_reading()
            else:
                self._telnet.resume_reading()

    async def _serve(self) -> None:
        try:
            if self._door.password is None or await self._log_in(self._door.password):
                await self._door.handle(self)
        except (CancelledError, EOFError):
            pass  # the client has gone

    async def _log_in(self, password: str) -> bool:
        asking: Deferred[bool] = ensure_deferred(self._ask(password))
        try:
            return await asking.add_timeout(LOGIN_TIME, self._door.reactor)
        except TimeoutError:
            return False

    async def _ask(self, password: str) -> bool:
        for _ in range(TRIES):
            self.stdout.write("password: ")
            typed = bytearray()
            while (byte := await self.stdin.read_exactly(1)) not in (b"\r", b"\n"):
                if byte in (b"\x7f", b"\b"):
                    del typed[-1:]
                elif len(typed) < MAX_PASSWORD and byte != b"\0":
                    typed += byte
            self.stdout.write("\r\n")
            if compare_digest(bytes(typed), password.encode()):
                return True
            pause: Deferred[None] = Deferred()
            self._door.reactor.call_later(PAUSE, pause.callback, None)
            await pause
            self.stdout.write("that is not the password\r\n")
        return False


def serve_telnet(
    namespace: dict[str, Any] | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    password: str = "",
    path: "str | os.PathLike[str] | None" = None,
    reactor: "Reactor | None" = None,
    **settings: Any,
) -> Opening[Manhole]:
    """Open a manhole over telnet: await it, or ``async with``; gives a `Manhole`.

    At `host` and `port`, which has to be of the loopback, a `password` is needed; at the UNIX socket `path`
    there is none.  The other settings are those of `serve`.  LocalProtocolError for other hosts and for no
    password; fails with ListenError.
    """
    if path is None and not password:
        raise LocalProtocolError("telnet at a port needs a password=; a UNIX socket (path=) needs none")
    if path is None and not host.startswith(LOOPBACK):
        raise LocalProtocolError(f"telnet is not encrypted: {host!r} is not of the loopback; use serve()")
    if reactor is None:
        from sshkit.reactor.current import current

        reactor = cast("Reactor", current())
    sessions = ManholeSessions({} if namespace is None else namespace, settings_from(settings))

    async def handle(terminal: TelnetTerminal) -> None:
        person = Person(terminal.user, None, terminal.connection.source)
        try:
            with sessions.entered(person, "telnet"):
                await sessions.run_terminal(cast("Any", terminal), person)
        except NotLetIn as error:
            terminal.stdout.write(f"{error}\r\n")

    door = TelnetDoor(reactor, handle, None if path is not None else password)
    if path is None:
        binding: Deferred[Listener] = reactor.listen_tcp(host, port, door.make_protocol)
    else:
        binding = reactor.listen_unix(os.fspath(path), door.make_protocol, mode=SOCKET_MODE)

    def bound(listener: "Listener") -> Manhole:
        door.listeners.append(listener)
        return Manhole(sessions, door, listener)

    return opened(binding, bound)
