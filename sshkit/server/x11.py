"""X11 forwarding at the server: a display for one session (RFC 4254 section 6.3).

`ServerForwards` makes one for each session that asks and may; its X clients become channels.  It listens at
the first free display, on loopback addresses unless configured otherwise (R28), and has xauth(1) file the
client's cookie before the session's program starts; both are taken back when the session has ended.
"""

import os
from typing import TYPE_CHECKING, Any

from sshkit_keys.errors import SSHKitError
from sshkit_keys.text import printable

from sshkit.deferred import Deferred, Failure, ensure_deferred, succeed
from sshkit.forwarding.addresses import LOOPBACK, TcpPlace
from sshkit.forwarding.errors import NoDisplay
from sshkit.forwarding.listening import Arrival, ChannelSource, listen
from sshkit.forwarding.programs import run_program
from sshkit.forwarding.pump import Tally
from sshkit.reactor.errors import ListenError
from sshkit.ssh.channels.x11 import FIRST_PORT, KIND, MAX_SCREEN, X11Request, is_cookie, is_protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from sshkit.interfaces import Listener, Reactor, Transport
    from sshkit.server.forward_policy import X11Policy
    from sshkit.ssh.connection.connection import Connection

MAX_DISPLAYS = 1000  #: numbers that are tried, from X11DisplayOffset on
MAX_CLIENTS = 256  #: X clients of one display at once


def is_valid(wanted: X11Request) -> bool:
    """Tell whether a request can be granted: its words end up in those of a program (R29)."""
    return is_protocol(wanted.protocol) and is_cookie(wanted.cookie) and wanted.screen <= MAX_SCREEN


class X11Display:
    """The display of one session; `name` is the value for DISPLAY once `open` has fired."""

    __slots__ = (
        "_authority",
        "_closed",
        "_connection",
        "_listener",
        "_log",
        "_policy",
        "_reactor",
        "_wanted",
        "name",
        "tally",
    )

    def __init__(
        self,
        connection: "Connection",
        reactor: "Reactor",
        policy: "X11Policy",
        wanted: X11Request,
        log: "Callable[[str], object]",
    ) -> None:
        self._connection = connection
        self._reactor = reactor
        self._policy = policy
        self._wanted = wanted
        self._log = log
        self._listener: Listener | None = None
        self._closed = False
        self._authority = ""  # what xauth files the cookie under
        self.name = ""
        self.tally = Tally(MAX_CLIENTS)

    def open(self) -> Deferred[None]:
        """Listen, and have the cookie filed; fails with NoDisplay."""
        return ensure_deferred(self._open())

    def close(self) -> None:
        """Take no more X clients; those that are here go on."""
        if self._closed:
            return
        self._closed = True
        if self._listener is not None:
            self._listener.close()
        if self._authority:
            self._xauth(f"remove {self._authority}\n").add_errback(lambda _: None)

    def abort(self) -> None:
        """End everything: the connection has ended."""
        self.close()
        self.tally.abort_all()

    def arrived(self) -> None:
        """Count an X client; where only one is wanted, this was it."""
        if self._wanted.single_connection and self._listener is not None:
            self._listener.close()

    async def _open(self) -> None:
        source = ChannelSource(self._connection, KIND, b"", self.tally)
        policy = self._policy
        host = LOOPBACK if policy.use_localhost else ""
        for number in range(policy.display_offset, policy.display_offset + MAX_DISPLAYS):
            place = TcpPlace(host, FIRST_PORT + number)
            if place.port > 65535:
                break
            try:
                self._listener = await listen(self._reactor, place, lambda: XArrival(source, self))
            except ListenError:  # somebody else has it
                continue
            ending = f"{number}.{self._wanted.screen}"
            if policy.use_localhost:
                # As X clients look for it: this machine's displays are filed under UNIX sockets.
                self.name, self._authority = f"localhost:{ending}", f"unix:{ending}"
            else:
                self.name = self._authority = f"{os.uname().nodename}:{ending}"
            if self._closed:
                self._listener.close()
                raise NoDisplay("the session has ended")
            await self._file_cookie()
            return
        raise NoDisplay(f"no display from {policy.display_offset} on is free")

    def _file_cookie(self) -> Deferred[None]:
        wanted = self._wanted
        words = f"remove {self._authority}\nadd {self._authority} {wanted.protocol} {wanted.cookie}\n"

        def failed(failure: Failure) -> None:
            error = failure.exception
            if not isinstance(error, (SSHKitError, OSError)):
                failure.raise_exception()
            # X clients then have no cookie; the display may still be of use to those that bring one.
            self._log(f"xauth did not file a cookie for {self.name}: {printable(str(error))}")

        return self._xauth(words).add_errback(failed)

    def _xauth(self, words: str) -> Deferred[None]:
        """Have xauth do what it reads; nothing of the client's is an argument or passes a shell."""
        policy = self._policy
        if policy.xauth.lower() == "none":
            return succeed(None)
        environment = os.environ if policy.environment is None else policy.environment
        folder = environment.get("HOME", "/")
        cwd = folder if os.path.isdir(folder) else "/"
        try:
            running: Deferred[Any] = run_program(
                self._reactor, (policy.xauth, "-q", "-"), words.encode("ascii"), environment, cwd
            )
        except (SSHKitError, OSError) as error:
            failed: Deferred[None] = Deferred()
            failed.errback(error)
            return failed

        def ended(finished: Any) -> None:
            if not finished.ok:
                raise NoDisplay("it ended with an error")

        return running.add_callback(ended)


class XArrival(Arrival):
    """An X client at the display."""

    __slots__ = ("_display",)

    def __init__(self, source: ChannelSource, display: X11Display) -> None:
        super().__init__(source)
        self._display = display

    def connection_made(self, transport: "Transport") -> None:
        self._display.arrived()
        super().connection_made(transport)
