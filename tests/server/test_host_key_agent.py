"""Host keys that an agent holds."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sshkit_keys import Certificate, PrivateKey, generate_private_key, sign_certificate

import sshkit
from sshkit.deferred import CancelledError, Deferred, succeed
from sshkit.reactor.current import current
from sshkit.server.host_key_agent import HostKeyAgent, host_key_agent
from sshkit.ssh.agent.client import AgentClient
from sshkit.ssh.agent.errors import AgentError, AgentLost, AgentRefused
from sshkit.ssh.agent.keyring import Keyring
from sshkit.ssh.agent.server import Agent
from sshkit.ssh.errors import ConnectionLost
from sshkit.testing import connect_in_memory
from tests.client.world import USER_KEY
from tests.client.world import World as Network
from tests.server.real_ssh import real_ssh, write_key
from tests.ssh.agent.world import ECDSA, ED25519, RSA, World, fixed_bytes

AUTHORITY: PrivateKey = generate_private_key("ed25519")
ALGORITHMS = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "rsa-sha2-512",
    "rsa-sha2-256",
    "ssh-ed25519-cert-v01@openssh.com",
)
KINDS = ((ED25519, "ssh-ed25519"), (ECDSA, "ecdsa-sha2-nistp256"))


class Site:
    """An agent in memory with all keys but RSA, and a HostKeyAgent that connects when the test says so."""

    def __init__(self) -> None:
        self.world = World()
        for key in (ED25519, ECDSA):
            self.world.keyring.add(key)
        self.wanted: list[Deferred[AgentClient]] = []
        self.agent = HostKeyAgent(self.connect)

    def connect(self) -> "Deferred[AgentClient]":
        self.wanted.append(Deferred())
        return self.wanted[-1]

    def made(self) -> AgentClient:
        client = self.world.connect()
        self.wanted.pop(0).callback(client)
        return client


def test_the_agent_signs_and_the_signature_verifies() -> None:
    site = Site()
    key = site.agent.key(ED25519.public)
    signing = key.sign("ssh-ed25519", b"data")
    site.made()
    key.public.verify("ssh-ed25519", b"data", site.world.result(signing))
    again = key.sign("ssh-ed25519", b"more")
    assert site.wanted == []  # the connection is kept
    key.public.verify("ssh-ed25519", b"more", site.world.result(again))


def test_however_many_wait_one_connection_is_made() -> None:
    site = Site()
    signings = [site.agent.key(key.public).sign(name, b"x") for key, name in KINDS]
    assert len(site.wanted) == 1
    site.made()
    for (key, name), signing in zip(KINDS, signings, strict=True):
        key.public.verify(name, b"x", site.world.result(signing))


def test_a_connection_that_was_lost_is_made_again() -> None:
    site = Site()
    key = site.agent.key(ED25519.public)
    first = key.sign("ssh-ed25519", b"x")
    site.made()
    site.world.result(first)
    waiting = key.sign("ssh-ed25519", b"y")
    site.world.pairs[-1].cut()
    assert isinstance(site.world.error(waiting), AgentLost)
    again = key.sign("ssh-ed25519", b"z")
    site.made()
    key.public.verify("ssh-ed25519", b"z", site.world.result(again))


def test_where_there_is_no_agent_all_who_wait_are_told_and_the_next_tries_again() -> None:
    site = Site()
    key = site.agent.key(ED25519.public)
    signings = [key.sign("ssh-ed25519", b"x") for _ in range(2)]
    site.wanted.pop().errback(OSError("no such socket"))
    for signing in signings:
        error = site.world.error(signing)
        assert isinstance(error, AgentLost)
        assert "no such socket" in str(error)
    last = key.sign("ssh-ed25519", b"x")
    site.made()
    assert site.world.result(last)


def test_who_gave_up_meanwhile_is_not_told() -> None:
    for fails in (False, True):
        site = Site()
        key = site.agent.key(ED25519.public)
        signing, other = key.sign("ssh-ed25519", b"x"), key.sign("ssh-ed25519", b"x")
        signing.cancel()
        if fails:
            site.wanted.pop().errback(OSError("none"))
            assert isinstance(site.world.error(other), AgentLost)
        else:
            site.made()
            assert site.world.result(other)
        assert isinstance(site.world.error(signing), CancelledError)


def test_a_key_that_the_agent_does_not_hold_signs_nothing() -> None:
    site = Site()
    signing = site.agent.key(RSA.public).sign("rsa-sha2-512", b"x")
    site.made()
    assert isinstance(site.world.error(signing), AgentRefused)
    assert isinstance(site.world.error(site.agent.key(RSA.public).sign("ssh-dss", b"x")), AgentError)


def test_it_says_which_keys_the_agent_lacks() -> None:
    site = Site()
    asked = site.agent.missing(ED25519.public, RSA.public, certificate())
    site.made()
    assert site.world.result(asked) == [RSA.public]


def test_closing_ends_the_connection_and_those_who_wait() -> None:
    site = Site()
    key = site.agent.key(ED25519.public)
    waiting = key.sign("ssh-ed25519", b"x")
    site.agent.close()
    assert isinstance(site.world.error(waiting), AgentLost)
    site = Site()
    signing = site.agent.key(ED25519.public).sign("ssh-ed25519", b"x")
    client = site.made()
    site.world.result(signing)
    site.agent.close()
    site.world.settle()
    assert client.lost
    site.agent.close()


def certificate(host: str = "host") -> Certificate:
    return sign_certificate(
        AUTHORITY, ED25519.public, key_id="id", principals=[host], role="host", random_bytes=os.urandom
    )


def test_the_signature_of_a_certificate_is_its_keys() -> None:
    site = Site()
    key = site.agent.key(certificate())
    signing = key.sign("ssh-ed25519-cert-v01@openssh.com", b"x")
    site.made()
    ED25519.public.verify("ssh-ed25519", b"x", site.world.result(signing))
    assert repr(key).startswith("<AgentHostKey ssh-ed25519-cert-v01@openssh.com SHA256:")


def agent_in(network: Network) -> HostKeyAgent:
    """Return the host keys of an agent in the network, which holds the one key."""
    clock = network.network
    keyring = Keyring(clock, random_bytes=fixed_bytes)
    keyring.add(ED25519)
    agent = Agent(keyring, clock, clock.seconds)

    def connect() -> "Deferred[AgentClient]":
        client = AgentClient(clock, "test agent")
        clock.pairs.append(connect_in_memory(client, agent.make_protocol(), clock))
        return succeed(client)

    return HostKeyAgent(connect)


def test_a_server_whose_key_is_in_an_agent_lets_clients_in_and_changes_keys() -> None:
    network = Network()
    key: Any = agent_in(network).key(ED25519.public)

    async def main() -> bytes:
        async with (
            network.serve(host_keys=[key]),
            network.connect(host_keys=[ED25519.public]) as connection,
        ):
            connection.layer.rekey()
            return (await connection.run("x")).stdout

    assert network.run(main()) == b"out x\n"


def test_an_agent_that_refuses_ends_the_connection_and_the_log_says_why() -> None:
    network = Network()
    key: Any = agent_in(network).key(RSA.public)

    async def main() -> None:
        async with network.serve(host_keys=[key]):
            with pytest.raises(ConnectionLost, match="the host key could not sign"):
                await network.connect(host_keys=[RSA.public])

    network.run(main())
    assert any("did not sign: test agent refused the request" in line for line in network.log)


@pytest.fixture
def agent_socket(tmp_path: Path) -> Iterator[str]:
    """A real agent that holds the keys."""
    path = tmp_path / "agent"
    with subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        for number, key in enumerate((ED25519, ECDSA, RSA)):
            file = write_key(tmp_path / f"host{number}", key)
            environment = {**os.environ, "SSH_AUTH_SOCK": str(path)}
            subprocess.run(["ssh-add", "-q", file], env=environment, check=True, capture_output=True)
        yield str(path)
        process.kill()


@pytest.mark.peer("ssh")
@pytest.mark.peer("ssh-agent")
@pytest.mark.parametrize("named", [True, False], ids=["by path", "by SSH_AUTH_SOCK"])
def test_openssh_gets_in_where_openssh_s_agent_holds_the_host_keys(
    tmp_path: Path, agent_socket: str, named: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", "/nowhere" if named else agent_socket)
    write_key(tmp_path / "id", USER_KEY)

    async def handler(session: sshkit.Session) -> int:
        session.stdout.write("in")
        return 0

    async def main() -> None:
        reactor: Any = current()
        agent = host_key_agent(agent_socket if named else "SSH_AUTH_SOCK", reactor)
        assert await agent.missing(ED25519.public, AUTHORITY.public) == [AUTHORITY.public]
        shown = (ED25519.public, ECDSA.public, RSA.public, certificate("127.0.0.1"))
        keys: Any = [agent.key(key) for key in shown]
        async with sshkit.serve(
            "127.0.0.1:0", handler, host_keys=keys, authorized_keys=[USER_KEY.public]
        ) as server:
            name = f"[127.0.0.1]:{server.address[1]}"
            lines = [f"{name} {key.to_line()}\n" for key in shown[:3]]
            lines.append(f"@cert-authority {name} {AUTHORITY.public.to_line()}\n")
            (tmp_path / "known_hosts").write_text("".join(lines))
            for algorithm in ALGORITHMS:
                done = await real_ssh(tmp_path, server, f"HostKeyAlgorithms={algorithm}")
                assert (done.stdout, done.returncode) == (b"in", 0), done.stderr
        agent.close()

    sshkit.run(main(), engine="native")
