"""A client that stays connected: connects again when the connection is lost or did not come about.

Between two tries it waits, each time longer, with some chance in it, so that a thousand clients of a server
that was restarted do not come back in the same second.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from sshkit.deferred import Deferred, Failure, fail, maybe_deferred, succeed

from ..errors import ConnectError
from ..flow.wrapper import Wrapper

if TYPE_CHECKING:
    from .base import ClientPlace

_P = TypeVar("_P")

#: Seconds before the second try, the most between two, and how much longer each is than the last.
FIRST_DELAY = 1.0
LONGEST_DELAY = 60.0
FACTOR = 2.0
#: The part of a delay that is left to chance.
JITTER = 0.3
#: Seconds that a connection must last for the delays to begin anew.
STEADY = 10.0


class Stopped(ConnectError):
    """The client was stopped, or has given up, before it was connected."""


class _Watched(Wrapper):
    """A connection whose end the client hears of."""

    __slots__ = ("_client",)

    def __init__(self, protocol: Any, client: "ReconnectingClient[Any]") -> None:
        super().__init__(protocol)
        self._client = client

    def connection_lost(self, exc: BaseException | None) -> None:
        """Tell the protocol, then the client."""
        try:
            super().connection_lost(exc)
        finally:
            self._client.lost(self)


class ReconnectingClient(Generic[_P]):
    """Keep a connection to `endpoint`, with a protocol of `factory` each time.

    `tries` is how many may fail one after the other before it gives up (None: never does).  `connected`, if
    given, is called with each new protocol, `failed` with each error of a try.
    """

    def __init__(
        self,
        endpoint: "ClientPlace",
        factory: Callable[[], _P],
        *,
        timeout: float | None = None,
        first_delay: float = FIRST_DELAY,
        longest_delay: float = LONGEST_DELAY,
        factor: float = FACTOR,
        jitter: float = JITTER,
        steady: float = STEADY,
        tries: int | None = None,
        connected: Callable[[_P], object] | None = None,
        failed: Callable[[BaseException], object] | None = None,
        random: Callable[[], float] | None = None,
    ) -> None:
        if not 0 < first_delay <= longest_delay or factor < 1 or not 0 <= jitter <= 1:
            raise ValueError("delays must be more than nothing and grow, and jitter lies between 0 and 1")
        if random is None:
            from random import random as chance

            random = chance
        self.endpoint = endpoint
        self.protocol: _P | None = None
        #: Tries that failed since the last steady connection.
        self.failures = 0
        self._factory = factory
        self._timeout = timeout
        self._delays = (first_delay, longest_delay, factor, jitter)
        self._steady = steady
        self._tries = tries
        self._on_connected = connected
        self._on_failed = failed
        self._random = random
        self._clock: Any = None
        self._running = False
        self._connecting: Deferred[Any] | None = None
        self._call: Any = None  # the next try
        self._link: _Watched | None = None
        self._since = 0.0
        self._waits: list[Deferred[_P]] = []
        self._stops: list[Deferred[None]] = []

    @property
    def running(self) -> bool:
        """Whether it is connected or tries to be."""
        return self._running

    def start(self) -> None:
        """Begin; once more than needed is harmless."""
        if not self._running:
            self._running = True
            self._clock = self.endpoint.reactor
            self.failures = 0
            if self._link is None:
                self._try()

    def stop(self) -> Deferred[None]:
        """Close the connection and try no more; fires when it has closed."""
        self._running = False
        self._end_waits(Stopped(f"the client of {self.endpoint.shown} was stopped"))
        if self._call is not None:
            self._call.cancel()
            self._call = None
        connecting, self._connecting = self._connecting, None
        if connecting is not None:
            connecting.cancel()
        link = self._link
        if link is None:
            return succeed(None)
        stopped: Deferred[None] = Deferred(lambda deferred: self._stops.remove(deferred))
        self._stops.append(stopped)
        link.close()
        return stopped

    def when_connected(self) -> Deferred[_P]:
        """Fire with the protocol, at once if there is one; fails with Stopped, or when it gives up."""
        if self._link is not None and self.protocol is not None:
            return succeed(self.protocol)
        if not self._running:
            return fail(Stopped(f"the client of {self.endpoint.shown} does not run"))
        wait: Deferred[_P] = Deferred(lambda deferred: self._waits.remove(deferred))
        self._waits.append(wait)
        return wait

    async def __aenter__(self) -> "ReconnectingClient[_P]":
        self.start()
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.stop()

    # -- inside -----------------------------------------------------------------------------------

    def _try(self) -> None:
        self._call = None
        connecting = self._connecting = maybe_deferred(
            self.endpoint.connect, lambda: _Watched(self._factory(), self), self._timeout
        )
        connecting.add_callbacks(self._made, self._not_made)

    def _made(self, link: _Watched) -> None:
        self._connecting = None
        if not self._running:
            link.abort()
            return
        self._link = link
        self._since = self._clock.seconds()
        self.protocol = link.protocol
        if self._on_connected is not None:
            self._on_connected(link.protocol)
        waits, self._waits = self._waits, []
        for wait in waits:
            wait.callback(link.protocol)

    def _not_made(self, failure: Failure) -> None:
        self._connecting = None
        if self._running:
            if self._on_failed is not None:
                self._on_failed(failure.exception)
            self._again(failure.exception)

    def lost(self, link: _Watched) -> None:
        """The connection has ended; called by its link."""
        if self._link is not link:
            return
        self._link = self.protocol = None
        stops, self._stops = self._stops, []
        for stopped in stops:
            stopped.callback(None)
        if self._running:
            if self._clock.seconds() - self._since >= self._steady:
                self.failures = 0
            self._again(None)

    def _again(self, error: BaseException | None) -> None:
        if error is not None and self._tries is not None and self.failures + 1 >= self._tries:
            self._running = False
            gave_up = Stopped(f"gave up after {self.failures + 1} tries: {error}")
            gave_up.__cause__ = error
            self._end_waits(gave_up)
            return
        self._call = self._clock.call_later(self.next_delay(), self._try)
        self.failures += 1

    def next_delay(self) -> float:
        """Return the seconds until the next try."""
        first, longest, factor, jitter = self._delays
        delay = min(first * factor ** min(self.failures, 64), longest)
        return delay * (1 - jitter * self._random())

    def _end_waits(self, error: BaseException) -> None:
        waits, self._waits = self._waits, []
        for wait in waits:
            wait.errback(error)
