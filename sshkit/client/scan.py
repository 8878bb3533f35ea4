"""Which keys hosts have: `scan_host` and `scan` ask them without logging in (as ssh-keyscan(1) does).

For programs and sshkit-keyscan.  A host is asked once for each key type, over a connection that offers no
other and ends when the server has shown its key and signed the key exchange with it (RFC 4253 section 8).
A key that it cannot prove to have is not reported.  Nobody vouches for what is found: whoever sits in
between shows a key of his own.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from sshkit_keys.errors import SSHKitError, UnsupportedKey
from sshkit_keys.key_types import KEY_TYPES
from sshkit_keys.text import printable, quoted

from sshkit.client.destination import check_host, check_port, parse_destination
from sshkit.deferred import CancelledError, Deferred, Failure
from sshkit.ssh.algorithms import DEFAULT, Algorithms
from sshkit.ssh.errors import ClosedByApplication, ConnectionLost, KeyExchangeFailed
from sshkit.ssh.transport.layer import TransportLayer

if TYPE_CHECKING:
    from sshkit_keys import PublicKey

    from sshkit.interfaces import DelayedCall, Reactor

TIMEOUT: Final = 5.0  #: seconds for each step: to connect, to be told who it is, to be shown the key
PARALLEL: Final = 64  #: hosts that are asked at the same time
#: Kind of key -> the host key algorithms to offer.  Names of key types mean themselves alone.
SCAN_TYPES: Final[dict[str, tuple[str, ...]]] = {
    "rsa": KEY_TYPES["ssh-rsa"].signature_algorithms,
    "ecdsa": ("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"),
    "ed25519": ("ssh-ed25519",),
    "ecdsa-sk": ("sk-ecdsa-sha2-nistp256@openssh.com",),
    "ed25519-sk": ("sk-ssh-ed25519@openssh.com",),
    "ed448": ("ssh-ed448",),
    "mldsa44-ed25519": ("ssh-mldsa44-ed25519@openssh.com",),
    **{name: kind.signature_algorithms[:2] for name, kind in KEY_TYPES.items() if kind.signature_algorithms},
}
#: What ssh-keyscan asks for, in its order.
DEFAULT_TYPES: Final = ("rsa", "ecdsa", "ed25519", "ecdsa-sk", "ed25519-sk")
#: How a transport says that a server has no key of the type that was offered.
_NOT_THERE: Final = "no common host key algorithm"
#: Seconds before a server is asked again that closed the connection at once, time after time.
AGAIN = (0.2, 0.5, 1.5)


class ScanTarget(NamedTuple):
    """A host to ask, and how its keys are to be known."""

    host: str
    port: int = 22
    #: Other addresses of it, tried in turn where the one before cannot be reached.
    alternatives: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """What known_hosts is to call it: the aliases, or else its addresses."""
        return self.aliases or (self.host, *self.alternatives)


class ScannedHost(NamedTuple):
    """What one host has shown; the dictionaries are by key type, as they were asked for."""

    target: ScanTarget
    #: Its identification, "SSH-2.0-...", made harmless; empty if it did not identify itself.
    identification: str
    keys: "dict[str, PublicKey]"
    errors: dict[str, SSHKitError]
    missing: tuple[str, ...]  #: types of which it says that it has no key

    def lines(self, hashed: bool = False, random_bytes: Callable[[int], bytes] = os.urandom) -> Iterator[str]:
        """Yield lines for known_hosts, one for each key and name; TrustFileError for an impossible name."""
        from sshkit_keys.known_hosts import format_host_line

        for key in self.keys.values():
            for name in self.target.names:
                yield format_host_line(name, self.target.port, key, hashed, random_bytes)


def scan_host(
    host: str | ScanTarget,
    port: int | None = None,
    *,
    key_types: Sequence[str] = DEFAULT_TYPES,
    timeout: float = TIMEOUT,
    family: int = 0,
    algorithms: Algorithms = DEFAULT,
    reactor: "Reactor | None" = None,
) -> Deferred[ScannedHost]:
    """Ask a host ("name", "name:port", "[address]:port") for its keys, for all types at the same time.

    Each step may take `timeout` seconds.  What went wrong with the host stands in the result.  Raises
    UnsupportedKey at once for a type that is not in SCAN_TYPES.
    """
    types = _checked(key_types)
    return _HostScan(host, port, types, timeout, family, algorithms, reactor or _current()).done


def scan(
    hosts: Iterable[str | ScanTarget],
    *,
    key_types: Sequence[str] = DEFAULT_TYPES,
    timeout: float = TIMEOUT,
    parallel: int = PARALLEL,
    family: int = 0,
    algorithms: Algorithms = DEFAULT,
    reactor: "Reactor | None" = None,
) -> "Scan":
    """Ask many hosts, `parallel` of them at the same time: ``async for host in scan(hosts): ...``.

    Results come as they are there.  `hosts` is read as needed, so it may be a generator without an end.
    """
    types = _checked(key_types)
    where = reactor or _current()

    def start(host: str | ScanTarget) -> Deferred[ScannedHost]:
        return _HostScan(host, None, types, timeout, family, algorithms, where).done

    return Scan(iter(hosts), start, parallel)


class Scan:
    """A scan of many hosts that is under way: an asynchronous iterator; `close` ends it early."""

    __slots__ = ("_hosts", "_parallel", "_ready", "_running", "_start", "_waiter")

    def __init__(
        self,
        hosts: Iterator[str | ScanTarget],
        start: "Callable[[str | ScanTarget], Deferred[ScannedHost]]",
        parallel: int,
    ) -> None:
        if parallel < 1:
            raise ValueError(f"{parallel} hosts at the same time: that would never end")
        self._hosts: Iterator[str | ScanTarget] | None = hosts
        self._start = start
        self._parallel = parallel
        self._running: set[Deferred[ScannedHost]] = set()
        self._ready: deque[ScannedHost] = deque()
        self._waiter: Deferred[None] | None = None
        self._fill()

    def __aiter__(self) -> "Scan":
        return self

    async def __anext__(self) -> ScannedHost:
        while not self._ready:
            if not self._running:
                raise StopAsyncIteration
            self._waiter = Deferred()
            await self._waiter
        result = self._ready.popleft()
        self._fill()
        return result

    def close(self) -> None:
        """Ask nobody any more; what is ready can still be read."""
        self._hosts = None
        for running in tuple(self._running):
            running.cancel()

    def _fill(self) -> None:
        """Start with as many hosts as may be asked at once; results that nobody has read count."""
        while self._hosts is not None and len(self._running) + len(self._ready) < self._parallel:
            host = next(self._hosts, None)
            if host is None:
                self._hosts = None
                break
            running = self._start(host)
            self._running.add(running)
            running.add_both(self._ended, running)

    def _ended(self, outcome: Any, running: Deferred[ScannedHost]) -> None:
        self._running.discard(running)
        if isinstance(outcome, ScannedHost):
            self._ready.append(outcome)
            self._fill()
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            waiter.callback(None)


class _HostScan:
    """All connections to one host.

    The first one finds an address that answers; the others go to the same, so that the keys are of one
    machine even where a name has several.
    """

    __slots__ = (
        "_addresses",
        "_algorithms",
        "_conversations",
        "_family",
        "_outcomes",
        "_reactor",
        "_target",
        "_timeout",
        "_types",
        "done",
    )

    def __init__(
        self,
        host: str | ScanTarget,
        port: int | None,
        types: tuple[str, ...],
        timeout: float,
        family: int,
        algorithms: Algorithms,
        reactor: "Reactor",
    ) -> None:
        self._types = types
        self._timeout = timeout
        self._family = family
        self._algorithms = algorithms
        self._reactor = reactor
        self._addresses: deque[str] = deque()
        self._conversations: dict[str, _Conversation] = {}
        self._outcomes: dict[str, PublicKey | Exception] = {}
        self.done: Deferred[ScannedHost] = Deferred(lambda _: self._cancelled())
        self._target = ScanTarget(host) if isinstance(host, str) else host
        try:
            self._target = target = _checked_target(host, port)
        except SSHKitError as error:
            self._all_failed(error)
            return
        self._addresses.extend((target.host, *target.alternatives))
        self._try_next_address()

    def _try_next_address(self) -> None:
        address = self._addresses.popleft()
        first = self._types[0]

        def reached(conversation: "_Conversation") -> None:
            place = conversation.address or address
            for kind in self._types[1:]:
                self._ask(kind, place, None, None)

        def unreachable(error: Exception) -> None:
            if self._addresses and isinstance(error, SSHKitError):
                self._try_next_address()
            else:
                self._all_failed(error)

        self._ask(first, address, reached, unreachable)

    def _ask(
        self,
        kind: str,
        address: str,
        reached: "Callable[[_Conversation], None] | None",
        unreachable: Callable[[Exception], None] | None,
        first: Exception | None = None,
        tries: int = 0,
    ) -> None:
        """Ask for one key; `first` is why the server had to be asked again, `tries` times before."""
        algorithms = self._algorithms.with_host_keys(SCAN_TYPES[kind])
        conversation = _Conversation(self._reactor, algorithms, self._timeout)
        self._conversations[kind] = conversation

        def failed(failure: Failure) -> None:
            error = failure.exception
            if _was_turned_away(conversation, error) and tries < len(AGAIN):
                self._reactor.call_later(AGAIN[tries], self._ask_again, kind, address, error, tries + 1)
            elif first is not None:
                self._settle(kind, first)
            elif unreachable is not None and not conversation.reached:
                unreachable(cast("Exception", error))
            else:
                self._settle(kind, cast("Exception", error))

        conversation.done.add_callback(lambda key: self._settle(kind, key)).add_errback(failed)
        conversation.connect(address, self._target.port, self._family, reached)

    def _ask_again(self, kind: str, address: str, first: Exception, tries: int) -> None:
        if not self.done.called:
            self._ask(kind, address, None, None, first, tries)

    def _settle(self, kind: str, outcome: "PublicKey | Exception") -> None:
        self._outcomes[kind] = outcome
        if len(self._outcomes) == len(self._types) and not self.done.called:
            self.done.callback(self._result())

    def _all_failed(self, error: Exception) -> None:
        for kind in self._types:
            self._settle(kind, error)

    def _result(self) -> ScannedHost:
        result = ScannedHost(self._target, self._identification(), {}, {}, ())
        missing = []
        for kind in self._types:
            outcome = self._outcomes[kind]
            if not isinstance(outcome, Exception):
                result.keys[kind] = outcome
            elif isinstance(outcome, KeyExchangeFailed) and str(outcome).startswith(_NOT_THERE):
                missing.append(kind)
            elif isinstance(outcome, SSHKitError):
                result.errors[kind] = outcome
            else:  # a mistake of ours; one host's is not all hosts'
                result.errors[kind] = SSHKitError(f"internal error: {type(outcome).__name__}: {outcome}")
        return result._replace(missing=tuple(missing))

    def _identification(self) -> str:
        texts = (conversation.layer.peer_identification for conversation in self._conversations.values())
        return printable(next((text for text in texts if text), b""), 255)

    def _cancelled(self) -> None:
        self.done.errback(CancelledError())
        for conversation in tuple(self._conversations.values()):
            conversation.give_up()


class _Conversation:
    """One connection: from connecting to the server's key.  It is its transport layer's owner."""

    __slots__ = ("_connecting", "_key", "_reactor", "_timeout", "_timer", "done", "layer", "reached")
    _connecting: Deferred[TransportLayer]  #: from `connect` on

    def __init__(self, reactor: "Reactor", algorithms: Algorithms, timeout: float) -> None:
        self._reactor = reactor
        self._timeout = timeout
        self._timer: DelayedCall | None = None
        self._key: PublicKey | None = None
        self.reached = False  #: somebody took the connection
        self.done: Deferred[PublicKey] = Deferred()
        self.layer = TransportLayer(self, reactor, os.urandom, algorithms=algorithms)

    @property
    def address(self) -> str | None:
        """The numeric address that was reached; None where a number alone does not lead there again."""
        transport = self.layer.transport
        peer = None if transport is None else transport.get_extra_info("peername")
        if not isinstance(peer, tuple) or (len(peer) == 4 and peer[3]):  # a link's own address has a zone
            return None
        return str(peer[0])

    def connect(
        self, address: str, port: int, family: int, reached: "Callable[[_Conversation], None] | None"
    ) -> None:
        """Connect, and call `reached` when that is done."""

        def connected(_: object) -> None:
            self.reached = True
            if self.layer.lost is None:
                self._timer = self._reactor.call_later(
                    self._timeout, self._too_slow, "it did not say who it is"
                )
            if reached is not None:
                reached(self)

        def failed(failure: Failure) -> None:
            self.layer.abort(failure.exception)

        self._connecting = self._reactor.connect_tcp(
            address, port, lambda: self.layer, timeout=self._timeout, family=family
        )
        self._connecting.add_callback(connected).add_errback(failed)

    def give_up(self) -> None:
        """End, in whatever state it is."""
        self._connecting.cancel()
        self.layer.abort(ClosedByApplication("the scan was given up"))

    def _too_slow(self, why: str) -> None:
        """Give the key exchange a time of its own once the server has identified itself."""
        late = "it did not show its key"
        if self.layer.peer_identification and why != late:
            self._timer = self._reactor.call_later(self._timeout, self._too_slow, late)
            return
        self.layer.abort(ConnectionLost(f"{why} within {self._timeout:g} seconds"))

    # Called by the transport layer.

    def verify_host_key(self, key: "PublicKey") -> None:
        """Note the key, whose signature is valid, and go no further."""
        self._key = key
        self.layer.disconnect(ClosedByApplication("the host key is known now"))

    def transport_ready(self) -> None:
        """Not reached: no keys come into force without NEWKEYS, and that is never sent."""

    def transport_lost(self, error: BaseException) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._key is not None:
            self.done.callback(self._key)
        else:
            self.done.errback(error)


def _was_turned_away(conversation: _Conversation, error: BaseException) -> bool:
    """Tell whether a server closed at once: some bear few connections of one source (dropbear: 5)."""
    silent = not conversation.layer.peer_identification
    return silent and conversation.reached and type(error) is ConnectionLost and "before it" in str(error)


def _checked(key_types: Sequence[str]) -> tuple[str, ...]:
    """Return the types, each once."""
    types = tuple(dict.fromkeys(key_types))
    if not types:
        raise UnsupportedKey("no key type to ask for")
    for kind in types:
        if kind not in SCAN_TYPES:
            raise UnsupportedKey(f"no host is asked for a key of type {quoted(kind, 64)}")
    return types


def _checked_target(host: str | ScanTarget, port: int | None) -> ScanTarget:
    """Return whom to ask; InvalidDestination for what nobody can be called."""
    if isinstance(host, str):
        where = parse_destination(host)
        host = ScanTarget(where.host, where.port or 22)
    for address in (host.host, *host.alternatives):
        check_host(address, address)
    return host._replace(port=check_port(host.port if port is None else port))


def _current() -> "Reactor":
    from sshkit.reactor.current import current

    return cast("Reactor", current())
