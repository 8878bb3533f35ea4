"""Cores joined in memory: the owners, policies and protocols that the tests of this room script."""

import os
from collections.abc import Callable, Sequence
from typing import Any

from sshkit_keys import PrivateKey, PublicKey, generate_private_key

from sshkit.ssh.algorithms import DEFAULT, Algorithms
from sshkit.ssh.authentication.client import ClientAuthentication, Identity
from sshkit.ssh.authentication.login_options import PLAIN, LoginOptions
from sshkit.ssh.authentication.server import ServerAuthentication
from sshkit.ssh.authentication.verdicts import Grant
from sshkit.ssh.connection.channel import Channel
from sshkit.ssh.connection.connection import Connection
from sshkit.ssh.connection.protocol import ChannelProtocol
from sshkit.ssh.messages import transport as messages
from sshkit.ssh.transport.layer import TransportLayer
from sshkit.ssh.transport.rekeying import RekeyLimits
from sshkit.testing import MemoryClock, MemoryPair, connect_in_memory
from tests.ssh.raw_peer import HOST_KEY, RawPeer

HOST_KEYS: dict[str, PrivateKey] = dict.fromkeys(HOST_KEY.public.signature_algorithms, HOST_KEY)
USER_KEY: PrivateKey = generate_private_key("ed25519")
QUIET = RekeyLimits(seconds=0)  # no timer: a test that lets time pass says so


def by_algorithm(*keys: PrivateKey) -> dict[str, PrivateKey]:
    """Return host keys as TransportLayer wants them."""
    return {name: key for key in keys for name in key.public.signature_algorithms}


class Recorder(ChannelProtocol):
    """Writes down what a channel tells; `answers` says what becomes of requests."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.events: list[Any] = []
        self.channel: Channel | None = None
        self.data = bytearray()
        self.errors = bytearray()
        self.closed: list[BaseException | None] = []
        self.writable = True

    def channel_opened(self, channel: Channel, body: bytes) -> None:
        assert self.channel is None
        self.channel = channel
        self.events.append(("opened", body))

    def data_received(self, data: memoryview) -> None:
        self.data += data
        self.events.append(("data", bytes(data)))

    def extended_data_received(self, kind: int, data: memoryview) -> None:
        self.errors += data
        self.events.append(("extended", kind, bytes(data)))

    def eof_received(self) -> None:
        self.events.append("eof")

    def request_received(self, kind: str, body: bytes) -> Any:
        self.events.append(("request", kind, body))
        answer = self.answers.get(kind.replace("-", "_"), False)
        return answer() if callable(answer) else answer

    def request_granted(self, kind: str) -> None:
        self.events.append(("granted", kind))

    def pause_writing(self) -> None:
        self.writable = False

    def resume_writing(self) -> None:
        self.writable = True

    def channel_closed(self, error: BaseException | None) -> None:
        self.closed.append(error)


class Owner:
    """The owner of a layer, and of the connection on it."""

    def __init__(self) -> None:
        self.keys: list[PublicKey] = []
        self.verdict: Any = None
        self.on_ready: Callable[[], object] | None = None
        self.ready = 0
        self.lost: BaseException | None = None
        self.opens: list[tuple[str, bytes]] = []
        self.open_answer: Callable[[], Any] = Recorder
        self.protocols: list[Any] = []
        self.requests: list[tuple[str, bytes]] = []
        self.request_answer: Callable[[], Any] = lambda: None
        self.ended: list[Channel] = []
        self.connection: Connection | None = None

    def verify_host_key(self, key: PublicKey) -> Any:
        self.keys.append(key)
        return self.verdict() if callable(self.verdict) else self.verdict

    def transport_ready(self) -> None:
        self.ready += 1
        if self.on_ready is not None:
            self.on_ready()

    def transport_lost(self, error: BaseException) -> None:
        assert self.lost is None, "told twice"
        self.lost = error
        if self.connection is not None:
            self.connection.lost(error)

    def channel_requested(self, kind: str, body: bytes) -> Any:
        self.opens.append((kind, body))
        protocol = self.open_answer()
        self.protocols.append(protocol)
        return protocol

    def global_requested(self, kind: str, body: bytes) -> Any:
        self.requests.append((kind, body))
        return self.request_answer()

    def channel_ended(self, channel: Channel) -> None:
        self.ended.append(channel)


class Policy:
    """A server's policy; `answers` gives the verdict of each method, as a value or a function."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.asked: list[tuple[Any, ...]] = []
        self.failures: list[tuple[str, str, str]] = []
        self.grants: list[Grant] = []
        self.named: set[str] = set()  # whose methods were asked for
        self.on_grant: Callable[[], object] | None = None
        self.text = ""
        self.offered: tuple[str, ...] = ("publickey", "keyboard-interactive", "password")

    def _answer(self, method: str, *asked: Any) -> Any:
        self.asked.append((method, *asked))
        answer = self.answers.get(method)
        return answer(*asked) if callable(answer) else answer

    def methods(self, user: str) -> tuple[str, ...]:
        self.named.add(user)
        return self.offered

    def none(self, user: str) -> Any:
        return self._answer("none", user)

    def public_key(self, user: str, key: PublicKey, signed: bool) -> Any:
        return self._answer("public_key", user, key, signed)

    def password(self, user: str, password: str) -> Any:
        return self._answer("password", user, password)

    def interactive(self, user: str, answers: Sequence[str] | None) -> Any:
        return self._answer("interactive", user, answers)

    def banner(self, user: str) -> str:
        return self.text

    def attempt_failed(self, user: str, method: str, detail: str) -> None:
        self.failures.append((user, method, detail))

    def granted(self, grant: Grant) -> None:
        self.grants.append(grant)
        if self.on_grant is not None:
            self.on_grant()


class Credentials:
    """A client's credentials; `passwords` and `replies` are used up in order."""

    def __init__(self, identities: Sequence[Identity] = (), passwords: Sequence[Any] = ()) -> None:
        self.identities = tuple(identities)
        self.passwords = list(passwords)
        self.replies: list[Any] = []
        self.asked: list[Any] = []
        self.banners: list[str] = []
        self.interactive_tries = 3

    def password(self) -> Any:
        self.asked.append("password")
        answer = self.passwords.pop(0) if self.passwords else None
        return answer() if callable(answer) else answer

    def answers(self, title: str, instruction: str, prompts: Sequence[tuple[str, bool]]) -> Any:
        self.asked.append((title, instruction, tuple(prompts)))
        answer = self.replies.pop(0) if self.replies else None
        return answer() if callable(answer) else answer

    def show_banner(self, text: str) -> None:
        self.banners.append(text)


def make_layer(
    owner: Owner,
    clock: MemoryClock,
    *,
    is_client: bool,
    algorithms: Algorithms = DEFAULT,
    host_keys: dict[str, PrivateKey] | None = None,
    limits: RekeyLimits = QUIET,
) -> TransportLayer:
    """Return the layer of one side."""
    return TransportLayer(
        owner,
        clock,
        os.urandom,
        algorithms=algorithms,
        host_keys=None if is_client else (HOST_KEYS if host_keys is None else host_keys),
        rekey_limits=limits,
    )


class Scene:
    """One core and a raw peer."""

    def __init__(self, *, core_is_client: bool, limits: RekeyLimits = QUIET, **raw: Any) -> None:
        self.clock = MemoryClock()
        self.owner = Owner()
        self.raw = RawPeer(is_client=not core_is_client, **raw)
        self.layer = make_layer(
            self.owner,
            self.clock,
            is_client=core_is_client,
            limits=limits,
            algorithms=raw.get("algorithms", DEFAULT),
        )
        ends = (self.layer, self.raw) if core_is_client else (self.raw, self.layer)
        self.pair: MemoryPair = connect_in_memory(*ends, self.clock)
        self.core_end = self.pair.client if core_is_client else self.pair.server
        self.raw_end = self.pair.server if core_is_client else self.pair.client
        self.connection: Connection | None = None

    def settle(self) -> None:
        self.pair.settle()

    def send(self, *payloads: Any) -> None:
        """Send messages from the raw peer, and let them arrive."""
        self.raw.send(*payloads)
        self.pair.settle()

    def identify(self) -> None:
        self.raw.identify()
        self.pair.settle()

    def propose(self, markers: Sequence[str] | None = None, **changes: Any) -> None:
        """Identify, and exchange KEXINITs."""
        self.raw.identify()
        self.raw.send(self.raw.proposal(markers, **changes))
        self.raw.strict = markers is None or any(marker.startswith("kex-strict") for marker in markers)
        self.pair.settle()
        self.raw.take_proposal()

    def exchange(self) -> None:
        """Go from the proposals to NEWKEYS on both sides."""
        raw = self.raw
        if raw.is_client:
            self.send(raw.start_init())
            raw.take_reply()
        else:
            self.raw.send(raw.serve_init())
        raw.new_keys()
        self.pair.settle()

    def handshake(self, markers: Sequence[str] | None = None) -> None:
        """Do the whole first key exchange; what the core sent since lies in `raw.received`."""
        self.propose(markers)
        self.exchange()
        raw = self.raw
        if messages.NEWKEYS in raw.numbers():
            raw.take(messages.NEWKEYS)

    def rekey(self) -> None:
        """Do another one, begun by the raw peer or by the core."""
        self.send(self.raw.proposal(()))
        self.raw.take_proposal()
        self.exchange()
        self.raw.take(messages.NEWKEYS)

    def run(self, markers: Sequence[str] | None = None) -> "Connection":
        """Shake hands and enter the last phase without a login."""
        self.handshake(markers)
        self.connection = self.owner.connection = Connection(self.layer, self.owner)
        self.raw.received.clear()
        return self.connection

    @property
    def told(self) -> messages.Disconnect:
        """The DISCONNECT that the core sent."""
        return messages.Disconnect.decode(self.raw.take(messages.DISCONNECT))


class Duo:
    """Two cores; `login` takes both to the last phase."""

    def __init__(
        self,
        *,
        algorithms: Algorithms = DEFAULT,
        server_algorithms: Algorithms | None = None,
        host_keys: dict[str, PrivateKey] | None = None,
        limits: RekeyLimits = QUIET,
        server_limits: RekeyLimits | None = None,
        policy: Policy | None = None,
        credentials: Credentials | None = None,
        methods: Sequence[str] = ("publickey", "keyboard-interactive", "password", "none"),
        user: str = "user",
        login_options: LoginOptions = PLAIN,
    ) -> None:
        self.clock = MemoryClock()
        self.client_owner, self.server_owner = Owner(), Owner()
        self.policy = policy or Policy(none=lambda user: Grant(user, "none"))
        self.credentials = credentials or Credentials()
        self.client = make_layer(
            self.client_owner, self.clock, is_client=True, algorithms=algorithms, limits=limits
        )
        self.server = make_layer(
            self.server_owner,
            self.clock,
            is_client=False,
            algorithms=server_algorithms or algorithms,
            host_keys=host_keys,
            limits=server_limits or limits,
        )
        self.authentication: ClientAuthentication | None = None
        self.result: list[Any] = []

        def client_ready() -> None:
            self.authentication = ClientAuthentication(
                self.client, user, self.credentials, methods, login_options
            )
            self.authentication.done.add_callbacks(self._let_in, self._refused)
            self.authentication.start()

        def granted() -> None:
            self.server_owner.connection = Connection(self.server, self.server_owner)

        self.client_owner.on_ready = client_ready
        self.server_owner.on_ready = lambda: ServerAuthentication(self.server, self.policy)
        self.policy.on_grant = granted
        self.pair: MemoryPair = connect_in_memory(self.client, self.server, self.clock)

    def _let_in(self, layer: TransportLayer) -> None:
        self.client_owner.connection = Connection(layer, self.client_owner)
        self.result.append("in")

    def _refused(self, failure: Any) -> None:
        self.result.append(failure.exception)
        self.client.disconnect(failure.exception)

    def settle(self) -> None:
        self.pair.settle()

    @property
    def there(self) -> Connection:
        """The client's connection."""
        assert self.client_owner.connection is not None, self.result
        return self.client_owner.connection

    @property
    def here(self) -> Connection:
        """The server's connection."""
        assert self.server_owner.connection is not None
        return self.server_owner.connection

    def login(self) -> "Duo":
        self.settle()
        assert self.result == ["in"], self.result
        return self

    def open(self, near: Recorder | None = None, far: Recorder | None = None) -> tuple[Recorder, Recorder]:
        """Open a channel from the client; return the protocols of the client and of the server."""
        near, far = near or Recorder(), far or Recorder()
        self.server_owner.open_answer = lambda: far
        self.there.open_channel("session", b"", near)
        self.settle()
        assert near.channel is not None
        assert far.channel is not None
        return near, far


def channel_of(protocol: Recorder) -> Channel:
    """Return the channel of a protocol that has one."""
    assert protocol.channel is not None
    return protocol.channel
