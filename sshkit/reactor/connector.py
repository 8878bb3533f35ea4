"""Connecting: the addresses of a host tried side by side until one answers (happy eyeballs, RFC 8305).

Called by `connect_tcp` and `connect_unix` of every reactor.
"""

import errno
import os
import socket
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from sshkit.deferred import Deferred, Failure, fail

from .errors import FAULTS, ConnectError, ConnectTimeout
from .pollers import WRITE
from .resolver import Addresses, resolve
from .socket_files import check_path
from .text import shown, shown_address, shown_error
from .transports.tcp import stream_transport

if TYPE_CHECKING:
    from .core import ReactorCore

_P = TypeVar("_P")

#: Seconds before the next address is tried while the last one has not answered (RFC 8305 section 8).
ATTEMPT_DELAY = 0.25

#: Seconds before a UNIX socket whose queue is full is asked again.
FULL_QUEUE_DELAY = 0.02


class Attempt:
    """One socket on its way to one address."""

    __slots__ = ("_race", "address", "interest", "sock")

    def __init__(self, race: "Race", sock: socket.socket, address: Any) -> None:
        self._race = race
        self.sock = sock
        self.address = address
        self.interest = 0

    def read_ready(self) -> None:
        """Never asked for."""

    def write_ready(self) -> None:
        """The connection came about or failed."""
        code = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        self._race.decided(self, code)

    def reactor_closed(self, error: BaseException) -> None:
        """Fail the whole race."""
        self._race.give_up(error)


class Race:
    """All attempts for one connection.  `result` fires with the protocol, after its `connection_made`."""

    __slots__ = (
        "_addresses",
        "_attempts",
        "_deadline",
        "_decided",
        "_errors",
        "_factory",
        "_label",
        "_local_address",
        "_next",
        "_reactor",
        "_timeout",
        "_waiting_for",
        "result",
    )

    def __init__(
        self,
        reactor: "ReactorCore",
        label: str,
        factory: Callable[[], Any],
        timeout: float,
        local_address: tuple[str, int] | None = None,
    ) -> None:
        self._reactor = reactor
        self._decided = False
        self._label = label
        self._factory = factory
        self._timeout = timeout
        self._local_address = local_address
        self._addresses: deque[tuple[int, Any]] = deque()
        self._attempts: set[Attempt] = set()
        self._errors: list[tuple[str, BaseException]] = []
        self._next: Any = None  # the delayed call of the next attempt
        self._waiting_for: Deferred[Any] | None = None  # the look-up
        self._deadline = reactor.call_later(timeout, self._expired)
        self.result: Deferred[Any] = Deferred(lambda _: self._clean_up())

    def resolved_by(self, lookup: Deferred[Addresses]) -> None:
        """Start when the addresses are known."""
        self._waiting_for = lookup
        lookup.add_callbacks(self.start, self._not_resolved)

    def _not_resolved(self, failure: Failure) -> None:
        self._waiting_for = None
        if not self._decided:
            error = failure.exception
            self._fail(ConnectError(f"cannot connect to {self._label}: {shown_error(error)}"), error)

    def start(self, addresses: Addresses) -> None:
        """Try `addresses`, families by turns."""
        self._waiting_for = None
        if not self._decided:
            self._addresses.extend(interleaved(addresses))
            self._try_next()

    def _try_next(self) -> None:
        self._next = None
        while self._addresses:
            family, address = self._addresses.popleft()
            sock = None
            try:
                sock = socket.socket(family, socket.SOCK_STREAM)
                sock.setblocking(False)
                if self._local_address is not None:
                    sock.bind(self._local_address)
                code = sock.connect_ex(address)
            except (OSError, ValueError) as error:
                if sock is not None:
                    sock.close()
                self._errors.append((shown_address(address), error))
                continue
            attempt = Attempt(self, sock, address)
            if not code:
                self._won(attempt)
                return
            if code == errno.EAGAIN and family == socket.AF_UNIX:
                sock.close()
                self._addresses.append((family, address))
                self._next = self._reactor.call_later(FULL_QUEUE_DELAY, self._try_next)
                return
            if code in (errno.EINPROGRESS, errno.EWOULDBLOCK):
                self._attempts.add(attempt)
                self._reactor.set_interest(sock.fileno(), attempt, WRITE)
                if self._addresses:
                    self._next = self._reactor.call_later(ATTEMPT_DELAY, self._try_next)
                return
            sock.close()
            self._errors.append((shown_address(address), _error_of(code)))
        if not self._attempts:
            self._all_failed()

    def decided(self, attempt: Attempt, code: int) -> None:
        """One attempt has come to its end."""
        self._reactor.forget(attempt.sock.fileno(), attempt)
        self._attempts.discard(attempt)
        if not code:
            self._won(attempt)
            return
        attempt.sock.close()
        self._errors.append((shown_address(attempt.address), _error_of(code)))
        if self._next is not None:
            self._next.cancel()
        self._try_next()

    def _won(self, attempt: Attempt) -> None:
        self._clean_up()
        try:
            protocol = self._factory()
        except FAULTS as error:
            attempt.sock.close()
            self.result.errback(error)
            return
        transport = stream_transport(self._reactor, attempt.sock, protocol, attempt.address)
        try:
            transport.start()
        except FAULTS as error:
            transport.abort()
            self.result.errback(error)
            return
        self.result.callback(protocol)

    def _all_failed(self) -> None:
        reasons = "; ".join(f"{address}: {shown_error(error)}" for address, error in self._errors)
        first = self._errors[0][1] if self._errors else None
        text = f"cannot connect to {self._label}: {reasons or 'it has no address'}"
        self._fail(ConnectError(text, self._errors), first)

    def _expired(self) -> None:
        tried = [shown_address(attempt.address) for attempt in self._attempts]
        reasons = [f"{address}: {shown_error(error)}" for address, error in self._errors]
        reasons += [f"{address}: no answer" for address in tried]
        if self._waiting_for is not None:
            reasons.append("the host name was not resolved in time")
        text = f"cannot connect to {self._label} within {self._timeout:g} seconds: {'; '.join(reasons)}"
        self._fail(ConnectTimeout(text, self._errors))

    def _fail(self, error: BaseException, cause: BaseException | None = None) -> None:
        error.__cause__ = cause
        self.give_up(error)

    def give_up(self, error: BaseException) -> None:
        """Stop everything and fail with `error`."""
        if not self._decided:
            self._clean_up()
            self.result.errback(error)

    def _clean_up(self) -> None:
        self._decided = True
        self._deadline.cancel()
        self._addresses.clear()
        if self._next is not None:
            self._next.cancel()
        for attempt in self._attempts:
            self._reactor.forget(attempt.sock.fileno(), attempt)
            attempt.sock.close()
        self._attempts.clear()
        lookup, self._waiting_for = self._waiting_for, None
        if lookup is not None:
            lookup.cancel()


def _error_of(code: int) -> OSError:
    return OSError(code, os.strerror(code))


def interleaved(addresses: Addresses) -> Addresses:
    """Return the addresses with the families by turns, the first one's family first (RFC 8305 section 4)."""
    families: dict[int, deque[tuple[int, Any]]] = {}
    for entry in addresses:
        families.setdefault(entry[0], deque()).append(entry)
    result: Addresses = []
    while families:
        for family in tuple(families):
            result.append(families[family].popleft())
            if not families[family]:
                del families[family]
    return result


def connect_tcp(
    reactor: "ReactorCore",
    host: str,
    port: int,
    factory: Callable[[], _P],
    timeout: float,
    local_address: tuple[str, int] | None,
    family: int,
) -> Deferred[_P]:
    """Connect to the first address of `host` that answers."""
    race = Race(reactor, f"{shown(host)} port {port}", factory, timeout, local_address)
    # The race has the deadline, so that its error can tell what was tried.
    race.resolved_by(resolve(reactor, host, port, family, timeout))
    return race.result


def connect_unix(
    reactor: "ReactorCore", path: str | bytes, factory: Callable[[], _P], timeout: float
) -> Deferred[_P]:
    """Connect to a UNIX socket."""
    try:
        check_path(path)
    except ValueError as error:  # which the kernel would connect to another socket
        return fail(ConnectError(f"cannot connect to {shown(path)}: {error}"))
    race = Race(reactor, shown(path), factory, timeout)
    race.start([(int(socket.AF_UNIX), path)])
    return race.result
