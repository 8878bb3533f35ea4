"""Cores that meet hostile messages: what they end with is an error of their own, and they say little.

`Exchange` is a core before its first keys, opposite a raw peer.  `Keyless` is a layer after its key exchange,
but without keys, so that what is fed arrives as it is.  `calm` watches that nothing is raised where nobody
waits for it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sshkit_keys import PrivateKey, parse_private_key
from sshkit_keys.errors import SSHKitError

from sshkit.deferred import Failure, set_unhandled_handler
from sshkit.ssh.algorithms import DEFAULT, Algorithms
from sshkit.ssh.key_exchange import BY_NAME, KEY_EXCHANGES
from sshkit.ssh.key_exchange.method import Method
from sshkit.ssh.messages import transport as messages
from sshkit.ssh.transport.bare import BareLayer
from sshkit.ssh.transport.layer import TransportLayer
from sshkit.testing import MemoryClock, MemoryTransport
from tests.fuzz.targets import CORPUS
from tests.fuzz.targets.pieces import pieces, random_bytes
from tests.ssh.harness import Scene

MAX_FAREWELL = 600  #: bytes of a DISCONNECT
MAX_WRITTEN = 4 * 1024 * 1024  #: bytes that one input makes a core say
#: A key that stays the same: signatures in seeds are by it.
KEY: PrivateKey = parse_private_key((CORPUS / "private_key" / "openssh-ed25519-256").read_bytes())
SLOW = ("group15", "group16", "group17", "group18")  #: like group14, but slow
METHODS: tuple[type[Method], ...] = tuple(
    method for method in (*KEY_EXCHANGES, *BY_NAME) if not any(word in method.name for word in SLOW)
)
ALGORITHMS: tuple[Algorithms, ...] = tuple(Algorithms(key_exchanges=(method,)) for method in METHODS)


@contextmanager
def calm() -> Iterator[None]:
    """Raise what was raised where nobody took it."""
    found: list[BaseException] = []

    def take(failure: Failure, places: str) -> None:
        if not isinstance(failure.exception, SSHKitError):
            found.append(failure.exception)

    before = set_unhandled_handler(take)
    try:
        yield
    finally:
        set_unhandled_handler(before)
    for error in found:
        raise error


def check_ending(error: BaseException | None) -> None:
    """Let a connection end by an error of our own only, which can be shown."""
    if error is None:
        return
    if not isinstance(error, (SSHKitError, TimeoutError)):
        raise error
    for line in str(error).split("\n"):  # a failed login has a trail of some lines
        assert line.isprintable(), repr(line)


class Exchange:
    """A core from its first byte to its first keys."""

    def __init__(self, *, is_client: bool, algorithms: Algorithms = DEFAULT) -> None:
        self.scene = Scene(core_is_client=is_client, algorithms=algorithms)

    def feed(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.scene.raw.send_bytes(data)
        self.scene.settle()

    def check(self) -> None:
        """Look at how it ended, if it did."""
        check_ending(self.scene.owner.lost)
        for payload in self.scene.raw.received:
            assert payload[0] != messages.DISCONNECT or len(payload) < MAX_FAREWELL

    @classmethod
    def run(cls, data: bytes, *, is_client: bool) -> None:
        """Send the pieces of an input; the first byte chooses the method, an empty piece exchanges keys."""
        if not data:
            return
        exchange = cls(is_client=is_client, algorithms=ALGORITHMS[data[0] % len(ALGORITHMS)])
        scene = exchange.scene
        exchanged = METHODS[data[0] % len(METHODS)].chooses_group
        with calm():
            scene.propose(() if data[0] & 128 else None)
            for piece in pieces(data[1:]):
                if scene.owner.lost is not None:
                    break
                if piece:
                    scene.send(piece)
                elif not exchanged:
                    exchanged = True
                    scene.exchange()
            exchange.check()


class KeylessLayer(BareLayer):
    """A layer in whatever phase it is put."""

    __slots__ = ()

    def set_phase(self, handlers: Any, target: Any) -> None:
        TransportLayer.set_phase(self, handlers, target)

    def disconnect(self, error: BaseException | None = None) -> None:
        TransportLayer.disconnect(self, error)


class Keyless:
    """A layer after its key exchange; `begin(layer)` is what the owner does then."""

    def __init__(self, owner: Any, begin: Callable[[TransportLayer], object], *, is_client: bool) -> None:
        self.clock = MemoryClock()
        self.owner = owner
        owner.on_ready = lambda: begin(self.layer)
        self.layer: KeylessLayer = make_keyless(owner, self.clock, is_client=is_client)
        self.transport = MemoryTransport(self.layer)
        self.layer.connection_made(self.transport)
        self.clock.advance(0)

    def feed(self, payload: bytes) -> None:
        """Let a message arrive, and everything happen that was put off."""
        feed(self.layer, self.transport, payload)
        self.clock.advance(0)

    def run(self, data: bytes) -> None:
        """Feed every piece of an input, and look at how it ended."""
        with calm():
            for piece in pieces(data):
                if piece:
                    self.feed(piece)
            check_ending(self.layer.lost)
            self.layer.abort(messages_over())


def messages_over() -> SSHKitError:
    """Return what ends a connection when the input is over."""
    return SSHKitError("the input is over")


def make_keyless(owner: Any, clock: Any, *, is_client: bool) -> KeylessLayer:
    """Return a layer that has been through a key exchange."""
    layer = KeylessLayer(owner, clock, is_client=is_client)
    layer.session_id = random_bytes(32)
    layer.peer_identification = b"SSH-2.0-peer"
    layer.random_bytes = random_bytes
    return layer


def feed(layer: TransportLayer, transport: MemoryTransport, payload: bytes) -> None:
    """Give a layer one message, in a frame."""
    if layer.lost is None and not transport.reading_paused:
        layer.data_received((len(payload) + 1).to_bytes(4, "big") + b"\0" + payload)
    assert len(transport.outgoing) < MAX_WRITTEN
    transport.outgoing.clear()
