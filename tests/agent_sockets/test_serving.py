"""`sshkit.connect_agent` and `sshkit.serve_agent`: at a socket, in every way of holding them."""

import asyncio
import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sshkit_keys import generate_private_key
from sshkit_keys.wire import uint32

import sshkit
from sshkit.agent import serve as serve_module
from sshkit.agent.serve import credentials
from sshkit.deferred import CancelledError
from sshkit.ssh.agent.policy import Client
from tests.agent_sockets.conftest import PATIENCE, ServedAgent

KEY = generate_private_key("ed25519", comment="mine")


async def use(path: Path) -> None:
    """Serve, connect, add, list, sign."""
    async with sshkit.serve_agent(path) as listener, sshkit.connect_agent(listener.address) as client:
        await client.add(KEY)
        (key,) = await client.list_keys()
        KEY.public.verify("ssh-ed25519", b"data", await key.sign("ssh-ed25519", b"data"))
    assert not path.exists()
    with pytest.raises(sshkit.AgentLost):
        await client.list_keys()


@pytest.mark.parametrize("engine", ["direct", "native"])
def test_the_same_program_runs_on_our_reactors(tmp_path: Path, engine: str) -> None:
    sshkit.run(use(tmp_path / "agent" / "s"), engine)


def test_the_same_program_runs_in_asyncio(tmp_path: Path) -> None:
    asyncio.run(use(tmp_path / "s"))


def test_a_path_without_a_folder_is_in_the_present_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    sshkit.run(use(Path("s")))


def test_the_socket_is_for_its_user_alone(agent: ServedAgent) -> None:
    path = Path(agent.path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_the_environment_names_the_agent(agent: ServedAgent, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> int:
        async with sshkit.connect_agent() as client:
            return len(await client.list_keys())

    monkeypatch.setenv("SSH_AUTH_SOCK", agent.path)
    assert sshkit.run(main()) == 0
    monkeypatch.delenv("SSH_AUTH_SOCK")
    with pytest.raises(sshkit.AgentUnavailable, match="SSH_AUTH_SOCK names no agent"):
        sshkit.run(main())


def test_an_agent_that_is_not_there_is_named(tmp_path: Path) -> None:
    async def main() -> None:
        await sshkit.connect_agent(tmp_path / "nobody\x1b")

    with pytest.raises(sshkit.AgentUnavailable) as caught:
        sshkit.run(main())
    assert "nobody\\x1b" in str(caught.value)


def test_connecting_can_be_given_up(tmp_path: Path) -> None:
    path = str(tmp_path / "full")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen(0)
        with socket.socket(socket.AF_UNIX) as first, socket.socket(socket.AF_UNIX) as second:
            for one in (first, second):
                one.setblocking(False)
                one.connect_ex(path)

            async def main() -> None:
                opening = sshkit.connect_agent(path)
                opening.cancel()
                await opening

            with pytest.raises(CancelledError):
                sshkit.run(main())


def test_a_place_that_cannot_be_listened_at_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    async def main(path: Path) -> None:
        await sshkit.serve_agent(path)

    with pytest.raises(sshkit.ListenError):
        sshkit.run(main(tmp_path / "file"))
    with pytest.raises(OSError, match="file"):
        sshkit.run(main(tmp_path / "file" / "below" / "s"))


def test_listening_can_be_given_up(tmp_path: Path) -> None:
    class Never:
        """A reactor that never listens."""

        def __init__(self) -> None:
            self.waiting: sshkit.Deferred[Any] = sshkit.Deferred()

        def seconds(self) -> float:
            return 0.0

        def defer_to_thread(self) -> None: ...

        def listen_unix(self, *arguments: Any, **options: Any) -> Any:
            return self.waiting

    never: Any = Never()
    opening = sshkit.serve_agent(tmp_path / "s", reactor=never)
    opening.cancel()
    assert never.waiting.called
    with pytest.raises(CancelledError):
        opening.result()


def test_processes_of_other_users_are_not_let_in(agent: ServedAgent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve_module, "credentials", lambda sock: Client(os.geteuid() + 1, 1))
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(PATIENCE)
        sock.connect(agent.path)
        try:
            assert sock.recv(1) == b""
        except ConnectionResetError:
            pass


def test_the_system_tells_who_connects(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = socket.socketpair()
    with one, other:
        assert credentials(one) == Client(os.geteuid(), os.getpid())
        monkeypatch.delattr(socket, "SO_PEERCRED")
        assert credentials(one) == Client()


def test_agents_are_chained_by_their_sockets(agent: ServedAgent, serve: Callable[..., ServedAgent]) -> None:
    agent.listener.keyring.add(KEY)
    front = serve(upstreams=[agent.path, str(agent.folder / "nobody")])

    async def main() -> None:
        async with sshkit.connect_agent(front.path) as client:
            (key,) = await client.list_keys()
            await key.sign("ssh-ed25519", b"data")

    sshkit.run(main())
    assert [event.request.action for event in agent.events] == ["list", "sign"]


def test_a_connector_of_the_programs_own_may_be_behind(
    agent: ServedAgent, serve: Callable[..., ServedAgent]
) -> None:
    front: ServedAgent = serve(
        upstreams=[lambda: sshkit.connect_agent(agent.path, reactor=front.thread.reactor)]
    )

    async def main() -> int:
        async with sshkit.connect_agent(front.path) as client:
            return len(await client.list_keys())

    assert sshkit.run(main()) == 0
    assert len(agent.events) == 1


def test_keys_of_the_programs_own_keyring_stay_its_own(tmp_path: Path) -> None:
    async def main() -> int:
        keyring = sshkit.Keyring(sshkit.current_reactor(), random_bytes=os.urandom)
        keyring.add(KEY)
        async with await sshkit.serve_agent(tmp_path / "s", keyring):
            pass
        return len(keyring)

    assert sshkit.run(main()) == 1


def test_r40_hostile_sockets_leave_the_agent_well(agent: ServedAgent) -> None:
    socks = [socket.socket(socket.AF_UNIX) for _ in range(200)]
    try:
        for number, sock in enumerate(socks):
            sock.settimeout(PATIENCE)
            sock.connect(agent.path)
            sock.sendall((uint32(0xFFFFFFFF), uint32(1000) + b"half", b"\0", uint32(1) + b"\xff")[number % 4])
            if number % 3 == 0:
                sock.close()

        async def main() -> int:
            async with sshkit.connect_agent(agent.path) as client:
                return len(await client.list_keys())

        assert sshkit.run(main()) == 0
    finally:
        for sock in socks:
            sock.close()
