"""Agent forwarding in memory: what a server may use, and that nobody else may (R26, R27, R28, R40)."""

import os
from pathlib import Path
from typing import Any

import pytest
from sshkit_keys.wire import string, uint32

import sshkit
from sshkit.deferred import Deferred, fail
from sshkit.forwarding import agent as forwarding
from sshkit.forwarding.errors import NoAgent
from sshkit.reactor.errors import ListenError
from sshkit.server.key_limits import KeyLimits
from sshkit.ssh.agent import messages
from sshkit.ssh.agent.client import AgentClient
from sshkit.ssh.agent.errors import AgentRefused
from sshkit.ssh.agent.keyring import Keyring
from sshkit.ssh.agent.policy import AuditEvent
from sshkit.ssh.agent.server import Agent
from sshkit.ssh.connection.protocol import ChannelProtocol
from tests.client.world import ECDSA_KEY, OTHER_KEY
from tests.forwarding.unix_world import UnixWorld
from tests.forwarding.world import End

SOCKET = "/agent"


class AgentWorld(UnixWorld):
    """With an agent of one key at a socket."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[AuditEvent] = []
        keyring = Keyring(self.network, random_bytes=os.urandom)
        keyring.add(OTHER_KEY)
        self.agent = Agent(keyring, self.network, lambda: 0.0, audit=self.events.append)
        self.network.sockets[SOCKET] = self.agent.make_protocol

    async def client_of_agent(self) -> AgentClient:
        client = AgentClient(self.network, "the test's agent")
        await self.network.connect_unix(SOCKET, lambda: client)
        return client


@pytest.fixture
def world() -> AgentWorld:
    return AgentWorld()


@pytest.fixture(autouse=True)
def no_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)


async def sign(session: sshkit.Session) -> int:
    """Name the keys of the client's agent, and sign with the first."""
    try:
        async with session.agent() as agent:
            keys = await agent.list_keys()
            for key in keys:
                session.stdout.write(f"{key.comment}\n")
            public = keys[0].public
            assert public is not None
            public.verify("ssh-ed25519", b"data", await agent.sign(public, b"data"))
    except (NoAgent, sshkit.ChannelOpenFailed) as error:
        session.stdout.write(f"{type(error).__name__}\n")
        return 1
    return 0


def test_a_session_uses_the_agent_that_it_was_given(world: AgentWorld) -> None:
    async def main(connection: sshkit.ClientConnection) -> None:
        assert (await connection.run("x", forward_agent=SOCKET)).stdout == b"another\n"
        process = await connection.start("x", forward_agent=Path(SOCKET))
        assert (await process.communicate()).stdout == b"another\n"
        assert not process.refused

    world.with_forwards(main, handler=sign)
    listing = [event for event in world.events if event.request.action == "list"]
    assert len(listing) == 2
    # Tied to the session, and marked as forwarded, before anything of the server's came.
    assert all(event.request.forwarded and len(event.request.bindings) == 1 for event in listing)


def test_the_environment_names_the_agent_by_default(
    world: AgentWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main(connection: sshkit.ClientConnection) -> bytes:
        with pytest.raises(NoAgent, match="SSH_AUTH_SOCK names no agent"):
            await connection.start("x", forward_agent=True)
        monkeypatch.setenv("SSH_AUTH_SOCK", SOCKET)
        return (await connection.run("x", forward_agent=True)).stdout

    assert world.with_forwards(main, handler=sign) == b"another\n"


def test_r27_a_session_that_was_not_given_the_agent_has_none(world: AgentWorld) -> None:
    async def main(connection: sshkit.ClientConnection) -> bytes:
        return (await connection.run("x")).stdout

    assert world.with_forwards(main, handler=sign) == b"NoAgent\n"


def test_r27_a_server_that_opens_the_channel_unasked_is_refused(world: AgentWorld) -> None:
    async def force(session: sshkit.Session) -> int:
        session.request.agent_wanted = True
        return await sign(session)

    async def main(connection: sshkit.ClientConnection) -> bytes:
        return (await connection.run("x")).stdout

    assert world.with_forwards(main, handler=force) == b"ChannelOpenFailed\n"
    assert not world.events


@pytest.mark.parametrize(
    ("forwards", "limits"),
    [
        (False, None),
        (sshkit.ForwardPolicy(agent=False), None),
        (True, KeyLimits("key:1", permit_agent_forwarding=False)),
    ],
)
def test_r28_the_policy_and_the_key_may_forbid_it(world: AgentWorld, forwards: Any, limits: Any) -> None:
    class Limited(sshkit.Users):
        def check_key(self, user: str, key: Any) -> Any:
            return limits or True

        def methods(self) -> tuple[str, ...]:
            return ("publickey",)

    async def main(connection: sshkit.ClientConnection) -> None:
        process = await connection.start("x", forward_agent=SOCKET)
        assert (await process.communicate()).stdout == b"NoAgent\n"
        assert process.refused == ["agent"]

    world.with_forwards(main, handler=sign, forwards=forwards, users=Limited({}))


def test_a_client_of_an_agent_is_used_for_lists_and_signatures_only(world: AgentWorld) -> None:
    async def handler(session: sshkit.Session) -> int:
        async with session.agent() as agent:
            for wanted in (agent.add(ECDSA_KEY), agent.remove_all(), agent.lock(b"x"), agent.extensions()):
                with pytest.raises(AgentRefused):
                    await wanted
            with pytest.raises(AgentRefused):
                await agent.sign(ECDSA_KEY.public, b"data")
            blob, session_id, signature = binding
            await agent.bind_session(blob, session_id, signature, True)
        return await sign(session)

    binding: list[Any] = []

    async def main(connection: sshkit.ClientConnection) -> None:
        layer = connection.layer
        assert layer.host_key is not None
        binding[:] = layer.host_key.blob, layer.session_id, layer.host_key_signature
        client = await world.client_of_agent()
        for _ in range(2):
            result = await connection.run("x", forward_agent=client)
            assert (result.stdout, result.exit_status) == (b"another\n", 0)
        await client.close()
        assert (await connection.run("x", forward_agent=client)).exit_status == 1

    world.with_forwards(main, handler=handler)
    assert {event.request.action for event in world.events} <= {"list", "sign", "bind", "extension", "other"}


def test_an_agent_that_is_not_there_is_a_channel_that_is_not_opened(world: AgentWorld) -> None:
    async def main(connection: sshkit.ClientConnection) -> bytes:
        return (await connection.run("x", forward_agent="/nowhere")).stdout

    assert world.with_forwards(main, handler=sign) == b"ChannelOpenFailed\n"


def test_an_agent_that_hangs_up_is_a_channel_that_is_not_opened(world: AgentWorld) -> None:
    class Rude(End):
        def data_received(self, data: bytes) -> None:
            self.transport.close()

    world.network.sockets[SOCKET] = Rude

    async def main(connection: sshkit.ClientConnection) -> bytes:
        return (await connection.run("x", forward_agent=SOCKET)).stdout

    assert world.with_forwards(main, handler=sign) == b"ChannelOpenFailed\n"


def test_an_agent_that_knows_no_sessions_is_forwarded_all_the_same(world: AgentWorld) -> None:
    class Old(End):
        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if data[4] == messages.REQUEST_IDENTITIES:
                body = string(OTHER_KEY.public.blob) + string("old")
                self.transport.write(messages.frame(messages.IdentitiesAnswer(1, body).encode()))
            elif data[4] == messages.SIGN_REQUEST:
                signature = OTHER_KEY.sign("ssh-ed25519", b"data")
                self.transport.write(messages.frame(messages.SignResponse(signature).encode()))
            else:
                self.transport.write(messages.frame(messages.Failure().encode()))

    world.network.sockets[SOCKET] = Old

    async def main(connection: sshkit.ClientConnection) -> bytes:
        return (await connection.run("x", forward_agent=SOCKET)).stdout

    assert world.with_forwards(main, handler=sign) == b"old\n"


def test_r26_the_channels_to_the_agent_are_limited(
    world: AgentWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forwarding, "MAX_AGENTS", 1)

    async def handler(session: sshkit.Session) -> int:
        async with session.agent() as agent:
            await agent.list_keys()
            with pytest.raises(sshkit.ChannelOpenFailed, match="1 connections"):
                await session.agent()
        return 0

    async def main(connection: sshkit.ClientConnection) -> int | None:
        return (await connection.run("x", forward_agent=SOCKET)).exit_status

    assert world.with_forwards(main, handler=handler) == 0


@pytest.mark.parametrize("relayed", [False, True])
def test_everything_ends_with_the_connection(world: AgentWorld, relayed: bool) -> None:
    async def handler(session: sshkit.Session) -> int:
        agent = await session.agent()
        await agent.list_keys()
        session.stdout.write("ready\n")
        await Deferred()
        return 0

    async def main(connection: sshkit.ClientConnection) -> None:
        agent: Any = await world.client_of_agent() if relayed else SOCKET
        process = await connection.start("x", forward_agent=agent)
        assert await process.stdout.read_line() == b"ready\n"
        await connection.close()
        if relayed:
            await agent.close()

    world.with_forwards(main, handler=handler)
    assert not world.agent.connections


class Raw(ChannelProtocol):
    """A server's end of a channel to the agent."""

    def __init__(self) -> None:
        self.data = b""
        self.closed: list[BaseException | None] = []

    def data_received(self, data: memoryview) -> None:
        self.data += bytes(data)

    def channel_closed(self, error: BaseException | None) -> None:
        self.closed.append(error)


def raw_channel(world: AgentWorld, talk: Any) -> Raw:
    """Let `talk(channel)` speak on a channel that is relayed to a client."""
    raw = Raw()

    async def handler(session: sshkit.Session) -> int:
        channel = await session.connection.forwards._connection.open_channel(
            "auth-agent@openssh.com", b"", raw
        )
        talk(channel)
        await session.stdin.read()
        return 0

    async def main(connection: sshkit.ClientConnection) -> None:
        client = await world.client_of_agent()
        process = await connection.start("x", forward_agent=client)
        await world.settled()
        process.stdin.write_eof()
        await process.wait()
        await client.close()

    world.with_forwards(main, handler=handler)
    return raw


@pytest.mark.parametrize("garbage", [b"\xff\xff\xff\xff", uint32(0), uint32(3) + b"\x0d\0\0"])
def test_r40_a_message_that_is_none_ends_the_channel_only(world: AgentWorld, garbage: bytes) -> None:
    raw = raw_channel(world, lambda channel: channel.write(garbage))
    assert raw.closed == [None]
    assert raw.data == b""


def test_many_requests_at_once_are_answered_in_their_order(world: AgentWorld) -> None:
    lock = messages.frame(messages.Lock(b"x").encode())
    listing = messages.frame(messages.RequestIdentities().encode())

    def talk(channel: Any) -> None:
        channel.write(lock * 3000 + listing * 2 + lock)
        channel.write_eof()

    raw = raw_channel(world, talk)
    failure = messages.frame(messages.Failure().encode())
    assert raw.data.startswith(failure * 3000)
    assert raw.data.endswith(failure)
    assert raw.data.count(OTHER_KEY.public.blob) == 2
    assert raw.closed == [None]


def test_the_end_of_input_ends_a_channel_without_requests(world: AgentWorld) -> None:
    assert raw_channel(world, lambda channel: channel.write_eof()).closed == [None]


class Sockets:
    """What processes of sshkit-server get: the socket, and its folder."""

    path = ""


def test_processes_get_a_socket_in_a_folder_of_their_own_that_goes_with_the_connection(
    world: AgentWorld,
) -> None:
    async def handler(session: sshkit.Session) -> int:
        forwards = session.connection.forwards
        Sockets.path = path = forwards.agent_path
        assert forwards.agent_path == path
        folder = os.path.dirname(path)
        assert os.stat(folder).st_mode & 0o777 == 0o700
        assert world.network.unix_mode == 0o600
        program = AgentClient(world.network)
        await world.network.connect_unix(path, lambda: program)
        assert [key.comment for key in await program.list_keys()] == ["another"]
        return 0

    async def main(connection: sshkit.ClientConnection) -> int | None:
        return (await connection.run("x", forward_agent=SOCKET)).exit_status

    assert world.with_forwards(main, handler=handler) == 0
    assert Sockets.path not in world.network.sockets
    assert not os.path.exists(os.path.dirname(Sockets.path))


def test_without_a_folder_there_is_no_socket(world: AgentWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    def mkdtemp(prefix: str) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.mkdtemp", mkdtemp)
    found: list[str] = []

    async def handler(session: sshkit.Session) -> int:
        found.append(session.connection.forwards.agent_path)
        return 0

    async def main(connection: sshkit.ClientConnection) -> None:
        await connection.run("x", forward_agent=SOCKET)

    world.with_forwards(main, handler=handler)
    assert found == [""]
    assert any("No space left on device" in line for line in world.log)


def test_what_a_user_has_put_beside_the_socket_stays(world: AgentWorld) -> None:
    found: list[str] = []

    async def handler(session: sshkit.Session) -> int:
        folder = os.path.dirname(session.connection.forwards.agent_path)
        with open(os.path.join(folder, "mine"), "w"):
            found.append(folder)
        return 0

    async def main(connection: sshkit.ClientConnection) -> None:
        await connection.run("x", forward_agent=SOCKET)

    world.with_forwards(main, handler=handler)
    assert os.listdir(found[0]) == ["mine"]
    os.unlink(os.path.join(found[0], "mine"))
    os.rmdir(found[0])


def test_a_socket_that_cannot_be_bound_is_told_in_the_log(
    world: AgentWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        type(world.network), "listen_unix", lambda *_, **__: fail(ListenError("the path is too long"))
    )

    async def handler(session: sshkit.Session) -> int:
        return int(not session.connection.forwards.agent_path)

    async def main(connection: sshkit.ClientConnection) -> None:
        await connection.run("x", forward_agent=SOCKET)

    world.with_forwards(main, handler=handler)
    assert any("no socket for the agent: the path is too long" in line for line in world.log)


def test_r40_an_agent_of_a_client_that_talks_nonsense_is_given_up(world: AgentWorld) -> None:
    class Nonsense(End):
        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            answer = messages.frame(messages.Failure().encode())
            self.transport.write(answer if len(self.data) == len(data) else b"\xff" * 8)

    world.network.sockets[SOCKET] = Nonsense
    lost: list[AgentClient] = []

    async def handler(session: sshkit.Session) -> int:
        agent = await session.agent()
        with pytest.raises(sshkit.AgentError, match="broke the protocol"):
            await agent.list_keys()
        lost.append(agent)
        agent.close()
        return 0

    async def main(connection: sshkit.ClientConnection) -> int | None:
        return (await connection.run("x", forward_agent=SOCKET)).exit_status

    assert world.with_forwards(main, handler=handler) == 0
    assert lost[0].lost


def test_an_agent_that_hangs_up_later_is_lost(world: AgentWorld) -> None:
    async def handler(session: sshkit.Session) -> int:
        agent = await session.agent()
        await agent.list_keys()
        world.agent.close()
        await world.settled()
        with pytest.raises(sshkit.AgentError):
            await agent.list_keys()
        return int(not agent.lost)

    async def main(connection: sshkit.ClientConnection) -> int | None:
        return (await connection.run("x", forward_agent=SOCKET)).exit_status

    assert world.with_forwards(main, handler=handler) == 0


def test_a_socket_that_is_there_too_late_is_removed_again(
    world: AgentWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    binding: Deferred[Any] = Deferred()
    monkeypatch.setattr(type(world.network), "listen_unix", lambda *_, **__: binding)
    closed: list[str] = []

    class Listener:
        def close(self) -> None:
            closed.append("closed")

    async def handler(session: sshkit.Session) -> int:
        return int(not session.connection.forwards.agent_path)

    async def main(connection: sshkit.ClientConnection) -> None:
        await connection.run("x", forward_agent=SOCKET)

    world.with_forwards(main, handler=handler)
    binding.callback(Listener())
    assert closed == ["closed"]
