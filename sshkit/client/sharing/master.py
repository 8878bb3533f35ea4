"""`sshkit.share`: a control socket at which ssh, sshkit-client and other programs ride a connection of ours.

Called by programs, and by sshkit-client as a master (ControlMaster).  `SharedConnection` has the listening
socket and who came to it; what a program may do, and what is done when it asks the master to end, is its
owner's business.
"""

import errno
import os
import socket
from typing import TYPE_CHECKING, Protocol, cast

from sshkit_keys.text import printable

from sshkit.client.sharing.errors import SharingError
from sshkit.client.sharing.peer import Peer, place_of
from sshkit.client.sharing.place import is_ours, listen_control
from sshkit.config.forwards import DYNAMIC, LOCAL, Forward
from sshkit.deferred import Deferred, Failure, succeed
from sshkit.opening import Opening

if TYPE_CHECKING:
    from collections.abc import Callable

    from sshkit.client.connection import ClientConnection
    from sshkit.client.sharing.messages import SessionRequest
    from sshkit.client.sharing.passenger import Escapes
    from sshkit.client.sharing.relay import Relay
    from sshkit.forwarding.forward import Forward as RunningForward
    from sshkit.interfaces import DelayedCall, Reactor

Extras = list[tuple[str, bytes]]  #: requests for a session: name and body
MAX_PEERS = 256  #: programs at the socket at once
MAX_SESSIONS = 128  #: sessions of them all; servers allow 10 or so
MAX_FORWARDS = 256  #: begun by them all
ACCEPTS_A_TURN = 16
#: Seconds without accepting when descriptors ran out.
EXHAUSTED_PAUSE = 1.0


class SharingOwner(Protocol):
    """Who shares the connection and decides.  Answers may be Deferreds."""

    def allow(self, question: str) -> "bool | Deferred[bool]":
        """Tell whether a program may do what the question says."""
        ...

    def open_forward(self, forward: Forward) -> "Deferred[int | None]":
        """Begin a forward; fires with the port that the server has chosen, where port 0 was asked for."""
        ...

    def close_forward(self, forward: Forward) -> "Deferred[None] | None":
        """End a forward; None where there is none."""
        ...

    def extras(self, request: "SessionRequest") -> "Extras | Deferred[Extras]":
        """Return what else a session asks for before its command starts, such as an agent."""
        ...

    def escapes(self, peer: Peer, character: int) -> "Escapes | None":
        """Return what looks for escapes in what is typed at a program's terminal."""
        ...

    def information(self, kind: str) -> str | None:
        """Tell about the "connection" or its "channels"; None for what is not known."""
        ...

    def terminate(self) -> None:
        """A program wants the connection to end."""
        ...

    def stopped(self) -> None:
        """A program wants that nobody else is taken: the socket is gone."""
        ...

    def changed(self) -> None:
        """A program has come or gone."""
        ...


class SharedConnection:
    """A connection that is shared at `path`.  `close` ends the sharing; the connection goes on."""

    __slots__ = (
        "_control",
        "_next",
        "_pause",
        "_relay",
        "_waiters",
        "connection",
        "debug",
        "forwards",
        "name",
        "owner",
        "path",
        "peers",
        "reactor",
    )

    def __init__(
        self,
        connection: "ClientConnection",
        path: str,
        owner: SharingOwner,
        reactor: "Reactor",
        *,
        debug: "Callable[[str], object]" = lambda text: None,
    ) -> None:
        """Listen; raises SharingError where that is not possible."""
        self.connection = connection
        self.owner = owner
        self.reactor = reactor
        self.debug = debug
        self.path = path
        self.name = printable(connection.host)
        self.peers: set[Peer] = set()
        self.forwards: set[Forward] = set()  #: begun by programs, and not ended by them
        self._next = 0
        self._relay: Relay | None = None
        self._pause: DelayedCall | None = None
        self._waiters: list[Deferred[None]] = []
        self._control = listen_control(path)
        reactor.add_reader(self._control.sock.fileno(), self._acceptable)
        connection.wait_closed().add_callback(self._connection_closed)

    def __repr__(self) -> str:
        state = "open" if self.is_listening else "closed"
        return f"<SharedConnection {printable(self.path, 4096)} {state}, {len(self.peers)} programs>"

    @property
    def is_listening(self) -> bool:
        """It takes more programs."""
        return self._control.sock.fileno() >= 0

    @property
    def is_used(self) -> bool:
        """A program is there."""
        return bool(self.peers)

    def stop_listening(self) -> None:
        """Take nobody else, and remove the socket."""
        if self.is_listening:
            if self._pause is not None:
                self._pause.cancel()
                self._pause = None
            else:
                self.reactor.remove_reader(self._control.sock.fileno())
            self._control.close()
            self.owner.stopped()

    def close(self) -> Deferred[None]:
        """Take nobody else, and cut off who is there."""
        self.stop_listening()
        for peer in tuple(self.peers):
            peer.end()
        if self._relay is not None:
            self._relay.close()
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            waiter.callback(None)
        return succeed(None)

    def wait_closed(self) -> Deferred[None]:
        """Wait until the sharing has ended, by `close` or with the connection."""
        if not self.is_listening and not self.peers:
            return succeed(None)
        waiter: Deferred[None] = Deferred()
        self._waiters.append(waiter)
        return waiter

    def resized(self) -> None:
        """Look at the terminals of all programs; they say by SIGWINCH that one has a new size."""
        for peer in tuple(self.peers):
            peer.resized()

    async def __aenter__(self) -> "SharedConnection":
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    # Called by the peers.

    def has_room(self) -> bool:
        """There may be another session."""
        return sum(1 for peer in self.peers if peer.passenger is not None) < MAX_SESSIONS

    def open_forward(self, forward: Forward) -> "Deferred[int | None]":
        """Begin a forward for a program; it outlives the program."""
        if len(self.forwards) >= MAX_FORWARDS:
            raise SharingError(f"{MAX_FORWARDS} forwards were begun by programs")
        self.forwards.add(forward)

        def failed(failure: Failure) -> Failure:
            self.forwards.discard(forward)
            return failure

        return self.owner.open_forward(forward).add_errback(failed)

    def close_forward(self, forward: Forward) -> "Deferred[None]":
        """End a forward for a program."""
        ending = self.owner.close_forward(forward)
        if ending is None:
            raise SharingError("port not forwarded")
        self.forwards.discard(forward)
        return ending

    def proxy(self, peer: Peer, sock: socket.socket, rest: bytes) -> None:
        """Let a program speak SSH packets from now on."""
        from sshkit.client.sharing.proxied_program import ProxiedProgram
        from sshkit.client.sharing.relay import Relay

        if self._relay is None:
            self._relay = Relay(self.connection.core)
        relay = self._relay

        def left(error: BaseException | None) -> None:
            if error is not None:
                self.debug(f"a program in proxy mode was cut off: {error}")
            self.peer_gone(peer)

        program = self.reactor.adopt_socket(sock, lambda: ProxiedProgram(self.reactor, relay, left))
        if rest:
            program.data_received(rest)

    def peer_gone(self, peer: Peer) -> None:
        """Forget a program."""
        if peer in self.peers:
            self.peers.discard(peer)
            self.owner.changed()

    def report(self, error: BaseException) -> None:
        """Tell a fault of our own."""
        from sshkit.client.sharing.descriptors import core_of

        core_of(self.reactor).report("serving a program at the control socket failed", error)

    # Inside.

    def _acceptable(self) -> None:
        for _ in range(ACCEPTS_A_TURN):
            if not self.is_listening:
                return
            try:
                sock, _ = self._control.sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._exhausted(error)
                return
            if not is_ours(sock):
                sock.close()
                self.debug("a program of another user was not let in")
            elif len(self.peers) >= MAX_PEERS:
                sock.close()
            else:
                self._next = (self._next + 1) & 0x7FFFFFFF
                self.peers.add(Peer(self, sock, self._next))
                self.owner.changed()

    def _exhausted(self, error: OSError) -> None:
        """Rest for a moment: no descriptor is left for another program."""
        if error.errno not in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
            self.report(error)
        self.reactor.remove_reader(self._control.sock.fileno())
        self._pause = self.reactor.call_later(EXHAUSTED_PAUSE, self._pause_over)

    def _pause_over(self) -> None:
        self._pause = None
        self.reactor.add_reader(self._control.sock.fileno(), self._acceptable)

    def _connection_closed(self, _: object) -> None:
        self.close()


class ProgramSharing:
    """The owner for programs: everything is allowed, and "terminate" closes the connection."""

    __slots__ = ("_connection", "_running", "shared")

    def __init__(self, connection: "ClientConnection") -> None:
        self._connection = connection
        self._running: dict[Forward, RunningForward] = {}
        self.shared: SharedConnection | None = None

    def allow(self, question: str) -> bool:
        return True

    def open_forward(self, forward: Forward) -> "Deferred[int | None]":
        if forward in self._running:
            return succeed(_port_for(forward, self._running[forward]))

        def started(running: "RunningForward") -> int | None:
            self._running[forward] = running
            running.wait_closed().add_callback(lambda _: self._running.pop(forward, None))
            return _port_for(forward, running)

        return begin_forward(self._connection, forward).add_callback(started)

    def close_forward(self, forward: Forward) -> "Deferred[None] | None":
        running = self._running.get(forward)
        return None if running is None else running.close()

    def extras(self, request: "SessionRequest") -> "Extras":
        return []

    def escapes(self, peer: Peer, character: int) -> "Escapes | None":
        """Look for none: escapes are the commands' business."""

    def information(self, kind: str) -> str | None:
        from sshkit.client.sharing.information import information

        return information(self._connection, kind)

    def terminate(self) -> None:
        self._connection.close()

    def stopped(self) -> None:
        """Go on."""

    def changed(self) -> None:
        """Go on."""


def begin_forward(connection: "ClientConnection", forward: Forward) -> "Deferred[RunningForward]":
    """Begin a forward as the library has it, at the loopback interface where nothing else is said."""
    listen, target = forward.listen, forward.target
    at = str(listen.port) if listen.host is None and listen.path is None else place_of(listen)
    if forward.kind == DYNAMIC:
        return connection.forward_dynamic(at)
    if target is None:
        return connection.forward_remote_dynamic(at)
    if forward.kind == LOCAL:
        return connection.forward_local(at, place_of(target))
    return connection.forward_remote(at, place_of(target))


def _port_for(forward: Forward, running: "RunningForward") -> int | None:
    """Return the port to tell: where the server has chosen it."""
    listen = forward.listen
    chosen = forward.kind not in (LOCAL, DYNAMIC) and listen.path is None and not listen.port
    return running.port if chosen else None


def share(
    connection: "ClientConnection",
    path: str | os.PathLike[str],
    *,
    reactor: "Reactor | None" = None,
) -> Opening[SharedConnection]:
    """Let other programs of this user ride `connection`, by a control socket at `path`.

    ``ssh -S path host command``, sshkit-client, scp, sftp, git and rsync with either of them, and
    ``sshkit.connect(..., control_path=path)`` then need no login of their own.  Only processes of this user
    and of root are let in; who is let in can do all that the connection can, and end it (``ssh -O exit``).

    Fires with the SharedConnection; fails with SharingError.
    """
    if reactor is None:
        reactor = cast("Reactor", connection.clock)
    opening: Opening[SharedConnection] = Opening()
    owner = ProgramSharing(connection)
    try:
        owner.shared = SharedConnection(connection, os.fspath(path), owner, reactor)
    except SharingError as error:
        opening.errback(error)
    else:
        opening.callback(owner.shared)
    return opening
