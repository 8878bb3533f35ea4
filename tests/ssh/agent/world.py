"""An agent and its clients in memory."""

from typing import Any

from sshkit_keys import PrivateKey, generate_private_key
from sshkit_keys.wire import WireReader, string

from sshkit.deferred import Deferred
from sshkit.ssh.agent import messages
from sshkit.ssh.agent.client import AgentClient
from sshkit.ssh.agent.keyring import Keyring
from sshkit.ssh.agent.policy import AuditEvent
from sshkit.ssh.agent.server import Agent, AgentServer
from sshkit.testing import MemoryClock, MemoryPair, connect_in_memory

ED25519 = generate_private_key("ed25519", comment="ed")
ECDSA = generate_private_key("ecdsa", 256, comment="ec")
RSA = generate_private_key("rsa", 2048, comment="rsa")
HOST = generate_private_key("ed25519", comment="host")
OTHER_HOST = generate_private_key("ed25519", comment="other host")
AUTHORITY = generate_private_key("ed25519", comment="ca")
FAILURE = bytes((messages.FAILURE,))
SUCCESS = bytes((messages.SUCCESS,))
EXTENSION_FAILURE = bytes((messages.EXTENSION_FAILURE,))


def fixed_bytes(size: int) -> bytes:
    """Be a random source that is none."""
    return bytes(range(size))


class World:
    """One agent; `connect` adds clients."""

    def __init__(self, **options: Any) -> None:
        self.clock = MemoryClock()
        self.events: list[AuditEvent] = []
        self.time = 1_000_000.0
        self.keyring = Keyring(self.clock, random_bytes=fixed_bytes, lifetime=options.pop("lifetime", 0))
        options.setdefault("audit", self.events.append)
        self.agent = Agent(self.keyring, self.clock, lambda: self.time, **options)
        self.pairs: list[MemoryPair] = []

    def join(self, client: Any) -> MemoryPair:
        """Join a protocol to the agent."""
        pair = connect_in_memory(client, self.agent.make_protocol(), self.clock)
        self.pairs.append(pair)
        return pair

    def connect(self) -> AgentClient:
        """Return a client that is connected."""
        client = AgentClient(self.clock, "test agent")
        self.join(client)
        return client

    def raw(self) -> "Raw":
        """Return a client that sends whatever it is told."""
        client = Raw(self)
        self.join(client)
        return client

    def settle(self) -> None:
        """Let everything in flight arrive."""
        for _ in range(20):
            self.clock.advance(0)
            for pair in self.pairs:
                pair.settle()

    def result(self, deferred: "Deferred[Any]") -> Any:
        """Return what a request comes to."""
        self.settle()
        return deferred.result()

    def error(self, deferred: "Deferred[Any]") -> BaseException:
        """Return why a request failed."""
        self.settle()
        try:
            value = deferred.result()
        except BaseException as error:
            return error
        raise AssertionError(f"it worked: {value!r}")

    @property
    def outcomes(self) -> list[tuple[str, str, str]]:
        """What the audit was told."""
        return [(event.request.action, event.outcome, event.reason) for event in self.events]

    @property
    def server(self) -> AgentServer:
        """The agent's side of the only connection."""
        (server,) = self.agent.connections
        return server


class Raw:
    """A client without manners."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.received = bytearray()
        self.lost = False
        self.transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.received += data

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: BaseException | None) -> None:
        self.lost = True

    def pause_writing(self) -> None: ...

    def resume_writing(self) -> None: ...

    def send(self, payload: bytes) -> None:
        """Send one message."""
        self.transport.write(string(payload))
        self.world.settle()

    def answers(self) -> list[bytes]:
        """Return the answers since the last time."""
        reader = WireReader(bytes(self.received))
        found = []
        while reader.position < reader.end:
            found.append(reader.string())
        self.received.clear()
        return found

    def ask(self, payload: bytes) -> bytes:
        """Send one message and return its one answer."""
        self.send(payload)
        (answer,) = self.answers()
        return answer


def login(
    key: PrivateKey, session_id: bytes, user: str = "ann", host: PrivateKey | None = None, algorithm: str = ""
) -> bytes:
    """Return what a login with a key signs."""
    method = "publickey" if host is None else "publickey-hostbound-v00@openssh.com"
    name = algorithm or key.public.signature_algorithms[0]
    return (
        string(session_id)
        + bytes((50,))
        + string(user)
        + string("ssh-connection")
        + string(method)
        + b"\1"
        + string(name)
        + string(key.public.blob)
        + (b"" if host is None else string(host.public.blob))
    )


def sshsig(namespace: str) -> bytes:
    """Return what a signature of a file signs."""
    return b"SSHSIG" + string(namespace) + string("") + string("sha512") + string(b"h" * 64)


def bind(host: PrivateKey, session_id: bytes, forwarding: bool = False) -> tuple[bytes, bytes, bytes, bool]:
    """Return the arguments of bind_session."""
    signature = host.sign(host.public.signature_algorithms[0], session_id)
    return host.public.blob, session_id, signature, forwarding
