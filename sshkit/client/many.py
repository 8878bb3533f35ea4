"""One command on many hosts: so many at a time, each with its deadline, answers as they come.

`run_on_hosts` is the library's; ``sshkit-client --hosts`` the command's.  What fails on one host is that
host's outcome, and never an exception in the middle of the others.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from sshkit_keys.text import printable

from sshkit.client.connection import ClientConnection
from sshkit.deferred import Deferred, Failure, maybe_deferred
from sshkit.ssh.errors import ConnectionLost

if TYPE_CHECKING:
    from sshkit.client.process import Result
    from sshkit.interfaces import DelayedCall, Reactor

LIMIT = 100  #: hosts at a time
HOST_TIMEOUT = 120.0  #: seconds for one try on one host: to connect, to log in and to run
RETRY_PAUSE = 2.0  #: seconds before a host is tried again
#: What may be otherwise the next time; a refused login or a wrong host key will not.
PASSING = (ConnectionLost, TimeoutError, OSError)
Connect = Callable[[str], "Deferred[ClientConnection]"]


class HostOutcome:
    """How it went on one host: `result`, or the `error` of the last try."""

    __slots__ = ("attempts", "error", "host", "result", "seconds")

    def __init__(self, host: str) -> None:
        self.host = host
        self.result: Result | None = None
        self.error: BaseException | None = None
        self.attempts = 0
        self.seconds = 0.0  #: from the first try to the end

    @property
    def ok(self) -> bool:
        """The command ran and ended with status 0."""
        return self.result is not None and self.result.exit_status == 0

    def __repr__(self) -> str:
        end = self.result if self.error is None else f"{type(self.error).__name__}: {self.error}"
        return f"<HostOutcome {self.host} {end}>"

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON wants it; bytes that are not UTF-8 are escaped."""
        result, error = self.result, self.error
        return {
            "host": self.host,
            "ok": self.ok,
            "exit_status": None if result is None else result.exit_status,
            "exit_signal": None if result is None else result.exit_signal,
            "stdout": None if result is None else result.text,
            "stderr": None if result is None else result.stderr.decode("utf-8", "backslashreplace"),
            "error": None if error is None else f"{type(error).__name__}: {error}",
            "attempts": self.attempts,
            "seconds": round(self.seconds, 3),
        }


class HostRun:
    """A run on many hosts: await it for the list of outcomes in the order of the hosts, or iterate over it
    with ``async for`` for each as it comes.  `close` ends it: hosts that were not done are left out."""

    __slots__ = (
        "_active",
        "_all",
        "_closed",
        "_connect",
        "_done",
        "_limit",
        "_reactor",
        "_ready",
        "_retries",
        "_run",
        "_timeout",
        "_todo",
        "_waiter",
        "hosts",
        "outcomes",
    )

    def __init__(
        self,
        hosts: Iterable[str],
        connect: Connect,
        run: "Callable[[ClientConnection], Deferred[Result]]",
        reactor: "Reactor",
        limit: int,
        timeout: float,
        retries: int,
    ) -> None:
        self.hosts = tuple(hosts)
        self.outcomes: dict[str, HostOutcome] = {}  #: of those that are done
        self._connect = connect
        self._run = run
        self._reactor = reactor
        self._limit = max(limit, 1)
        self._timeout = timeout
        self._retries = retries
        self._todo = deque(dict.fromkeys(self.hosts))
        self._active: dict[str, _Try] = {}
        self._ready: deque[HostOutcome] = deque()
        self._waiter: Deferred[None] | None = None
        self._done: list[Deferred[list[HostOutcome]]] = []
        self._closed = False
        self._all = len(self._todo)
        self._fill()

    @property
    def left(self) -> int:
        """Hosts that are not done."""
        return 0 if self._closed else self._all - len(self.outcomes)

    def wait(self) -> "Deferred[list[HostOutcome]]":
        """Fires with all outcomes, in the order of the hosts."""
        done: Deferred[list[HostOutcome]] = Deferred()
        self._done.append(done)
        self._tell()
        return done

    def __await__(self) -> "Generator[Any, Any, list[HostOutcome]]":
        return self.wait().__await__()

    def __aiter__(self) -> "HostRun":
        return self

    async def __anext__(self) -> HostOutcome:
        while not self._ready:
            if not self.left:
                raise StopAsyncIteration
            self._waiter = Deferred()
            await self._waiter
        return self._ready.popleft()

    def close(self) -> Deferred[None]:
        """End what runs, start nothing more."""
        self._closed = True
        self._todo.clear()
        active, self._active = self._active, {}
        for attempt in active.values():
            attempt.give_up()
        self._tell()
        done: Deferred[None] = Deferred()
        done.callback(None)
        return done

    async def __aenter__(self) -> "HostRun":
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    # Inside.

    def _fill(self) -> None:
        while self._todo and len(self._active) < self._limit:
            host = self._todo.popleft()
            attempt = self._active[host] = _Try(self, HostOutcome(host))
            attempt.start()

    def finished(self, attempt: "_Try") -> None:
        """Take the outcome of one host."""
        outcome = attempt.outcome
        if self._active.pop(outcome.host, None) is None:
            return
        self.outcomes[outcome.host] = outcome
        self._ready.append(outcome)
        self._fill()
        self._tell()

    def _tell(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.called:
            waiter.callback(None)
        if not self.left:
            done, self._done = self._done, []
            for deferred in done:
                if not deferred.called:
                    found = (self.outcomes.get(host) for host in dict.fromkeys(self.hosts))
                    deferred.callback([outcome for outcome in found if outcome is not None])


class _Try:
    """The tries on one host."""

    __slots__ = ("_connection", "_deadline", "_run", "_started", "_work", "outcome")

    def __init__(self, run: HostRun, outcome: HostOutcome) -> None:
        self._run = run
        self.outcome = outcome
        self._started = run._reactor.seconds()
        self._connection: ClientConnection | None = None
        self._work: Deferred[Any] | None = None
        self._deadline: DelayedCall | None = None

    def start(self) -> None:
        """Begin a try."""
        run, outcome = self._run, self.outcome
        outcome.attempts += 1
        work: Deferred[Any] = maybe_deferred(run._connect, outcome.host).add_callback(self._connected)
        self._work = work
        if run._timeout:
            work.add_timeout(run._timeout, run._reactor, what=printable(outcome.host))
        work.add_both(self._ended)

    def give_up(self) -> None:
        """End without an outcome."""
        if self._deadline is not None:
            self._deadline.cancel()
        if self._work is not None:
            self._work.cancel()
        self._leave()

    def _connected(self, connection: ClientConnection) -> "Deferred[Result]":
        self._connection = connection
        return self._run._run(connection)

    def _ended(self, value: Any) -> None:
        run, outcome = self._run, self.outcome
        self._work = None
        self._leave()
        if isinstance(value, Failure):
            outcome.error = value.exception
            again = isinstance(value.exception, PASSING) and outcome.attempts <= run._retries
            if again and not run._closed:
                self._deadline = run._reactor.call_later(RETRY_PAUSE, self.start)
                return
        else:
            outcome.result, outcome.error = value, None
        outcome.seconds = run._reactor.seconds() - self._started
        run.finished(self)

    def _leave(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.layer.disconnect()


def run_on_hosts(
    hosts: Iterable[str],
    command: str,
    *,
    limit: int = LIMIT,
    timeout: float = HOST_TIMEOUT,
    retries: int = 0,
    input: bytes | str | None = None,
    environment: dict[str, str] | None = None,
    connect_to: Connect | None = None,
    reactor: "Reactor | None" = None,
    **options: Any,
) -> HostRun:
    """Run `command` on each of `hosts` (destinations as `connect` takes them), `limit` at a time.

    Each host has `timeout` seconds a try, and `retries` more tries where it could not be reached or the
    connection broke.  `options` go to `sshkit.connect`, or `connect_to` takes its place.
    Await what this returns for all outcomes, or use ``async for`` to have each as it comes.
    """
    if reactor is None:
        from sshkit.reactor.current import current

        reactor = cast("Reactor", current())
    if connect_to is None:
        from sshkit.client.connect import connect

        connect_to = partial(connect, reactor=reactor, **options)

    def run(connection: ClientConnection) -> "Deferred[Result]":
        return connection.run(command, input=input, environment=environment, timeout=None)

    return HostRun(hosts, connect_to, run, reactor, limit, timeout, retries)
