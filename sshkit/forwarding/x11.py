"""X11 forwarding at the client: programs at the server draw on a display here (RFC 4254 section 6.3).

`ClientConnection` makes one when a session asks for it, and hands it channels of this kind from then on, and
no earlier (R27).  The server never sees the display's cookie: it gets a random one for each session, and the
first packet of every X client is held back until it has shown one of those.
"""

import os
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from sshkit_keys.errors import SSHKitError

from sshkit.deferred import Deferred, Failure, succeed
from sshkit.forwarding.connecting import connect_channel
from sshkit.forwarding.errors import NoDisplay
from sshkit.forwarding.pump import Pump, SocketEnd, Tally
from sshkit.forwarding.x11_displays import Display, parse_display
from sshkit.ssh.channels.x11 import (
    COOKIE_PROTOCOL,
    COOKIE_SIZE,
    CookieExchange,
    NotAnXClient,
    X11Request,
)
from sshkit.ssh.errors import ChannelOpenFailed

if TYPE_CHECKING:
    from collections.abc import Callable

    from sshkit.interfaces import Clock, Reactor
    from sshkit.ssh.connection.channel import Channel
    from sshkit.ssh.connection.protocol import ChannelProtocol

MAX_CLIENTS = 256  #: X clients at once: what an X server takes
XAUTH = "/usr/bin/xauth"
TIMEOUT = 1200.0  #: seconds; ForwardX11Timeout where nothing is said
PROHIBITED = 1  #: RFC 4250 section 4.3


class X11Options(NamedTuple):
    """How a session's X11 forwarding is to be."""

    display: str | None = None  #: None: what DISPLAY says
    trusted: bool = False  #: its programs may do all that the user's own may
    timeout: float = TIMEOUT  #: seconds after which untrusted programs can come no more; 0: never
    xauth: str = XAUTH  #: the program; "none": there is none
    single_connection: bool = False  #: one X client, and then no more


class X11Grant:
    """One session's leave to use a display."""

    __slots__ = ("_fake", "_gone", "_single", "deadline", "display", "real")

    def __init__(
        self, display: Display, fake: bytes, real: bytes, single: bool, deadline: float | None
    ) -> None:
        self.display = display
        self.real = real
        self.deadline = deadline  #: by the clock; None: it does not end
        self._fake = fake
        self._single = single
        self._gone = False

    @property
    def body(self) -> bytes:
        """The body of the request `x11-req`."""
        return X11Request(self._single, COOKIE_PROTOCOL, self._fake.hex(), self.display.screen).encode()

    @property
    def is_open_display(self) -> bool:
        """There was no cookie: X clients get in only where the display is open to everybody."""
        return self.real is self._fake

    def revoke(self) -> None:
        """Let no further X client in."""
        self._gone = True

    def is_in_force(self, clock: "Clock") -> bool:
        """Tell whether an X client may come still."""
        return not self._gone and (self.deadline is None or clock.seconds() < self.deadline)

    def takes(self, cookie: bytes) -> bool:
        """Tell whether a cookie is the one given away; a single use is used up by it."""
        from hmac import compare_digest

        if self._gone or not compare_digest(cookie, self._fake):
            return False
        self._gone = self._single
        return True


class X11Forwarding:
    """The displays that one connection's server may use."""

    __slots__ = ("_grants", "_random_bytes", "_reactor", "note", "tally")

    def __init__(self, reactor: Any, random_bytes: "Callable[[int], bytes]") -> None:
        self._reactor = cast("Reactor", reactor)
        self._random_bytes = random_bytes
        self._grants: list[X11Grant] = []
        self.tally = Tally(MAX_CLIENTS)  #: counts the X clients
        self.note: Callable[[str], object] = _nobody  #: hears why an X client was refused

    def grant(self, options: X11Options) -> Deferred[X11Grant]:
        """Make a cookie for one session; raises NoDisplay, or fails with it."""
        text = os.environ.get("DISPLAY", "") if options.display is None else options.display
        if not text:
            raise NoDisplay("DISPLAY names no display")
        display = parse_display(text)
        deadline = None
        if options.timeout and not options.trusted:
            deadline = self._reactor.seconds() + options.timeout

        def found(real: bytes | None) -> X11Grant:
            fake = self._random_bytes(COOKIE_SIZE)
            # Without a cookie the display may be open to everybody; a random one is then as good as any.
            grant = X11Grant(display, fake, real or fake, options.single_connection, deadline)
            self._grants = [old for old in self._grants if old.is_in_force(self._reactor)]
            self._grants.append(grant)
            return grant

        return self._cookie(display, options).add_callback(found)

    def channel_requested(self) -> "ChannelProtocol | Deferred[ChannelProtocol]":
        """Join a channel to the display, or raise ChannelOpenFailed."""
        self._grants = grants = [old for old in self._grants if old.is_in_force(self._reactor)]
        if not grants:
            self.note("an X client came too late, or a second time")
            raise ChannelOpenFailed(PROHIBITED, "no display may be used any more")
        place = grants[-1].display.place
        return connect_channel(self._reactor, place, self.tally, pump=self._pump)

    def connection_lost(self) -> None:
        """End everything with the connection."""
        self._grants.clear()
        self.tally.abort_all()

    def find(self, cookie: bytes) -> bytes | None:
        """Return the real cookie for one that was given away."""
        for grant in self._grants:
            if grant.is_in_force(self._reactor) and grant.takes(cookie):
                return grant.real
        return None

    def _pump(self, end: SocketEnd) -> Pump:
        return XClientPump(end, self)

    def _cookie(self, display: Display, options: X11Options) -> "Deferred[bytes | None]":
        from sshkit.forwarding.x11_cookies import known_cookie, untrusted_cookie

        if options.xauth.lower() == "none":
            if options.trusted:
                return succeed(None)
            raise NoDisplay("without xauth there is no cookie for untrusted programs")
        if not options.trusted:
            untrusted: Deferred[Any] = untrusted_cookie(
                self._reactor, options.xauth, display.name, options.timeout
            )
            return untrusted

        def none(failure: Failure) -> None:
            if not isinstance(failure.exception, (SSHKitError, OSError)):
                failure.raise_exception()

        try:
            known = known_cookie(self._reactor, options.xauth, display.name)
        except (SSHKitError, OSError):  # no such program
            return succeed(None)
        return known.add_errback(none)


class XClientPump(Pump):
    """The channel of an X client that has not shown its cookie yet."""

    __slots__ = ("_channel", "_exchange", "_forwarding")

    def __init__(self, end: SocketEnd, forwarding: X11Forwarding) -> None:
        super().__init__(end)
        self._forwarding = forwarding
        self._exchange = CookieExchange(forwarding.find)
        self._channel: Channel | None = None

    def channel_opened(self, channel: "Channel", body: bytes) -> None:
        self._channel = channel
        super().channel_opened(channel, body)

    def data_received(self, data: memoryview) -> None:
        channel = self._channel
        if channel is None:  # it was refused
            return
        try:
            first = self._exchange.feed(data)
        except NotAnXClient as error:
            self._forwarding.note(f"an X client was refused: {error}")
            self.tally.refused += 1
            self._channel = None
            self.end.transport.abort()
            return
        if first is not None:
            channel.protocol = Pump(self.end)
            channel.protocol.data_received(memoryview(first))


def _nobody(text: str) -> None:
    """Nobody wants to know."""
