"""Logins that a worker without rights has the monitor judge: by certificate, by a host's word (R6, R7)."""

import os
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sshkit_keys import (
    DEFAULT_USER_EXTENSIONS,
    PrivateKey,
    generate_private_key,
    sign_certificate,
    write_public_key,
)

from sshkit.client.host_based import HostBased
from sshkit.server.accounts import own_account
from sshkit.server.workers import messages
from sshkit.server.workers.remote_policy import RemotePolicy
from sshkit.ssh.errors import AuthenticationFailed, DisconnectedByPeer
from tests.server.workers.parts import make_key, make_plan
from tests.server.workers.world import USER, World

HOST = "desk.example.org"
AUTHORITY: PrivateKey = generate_private_key("ed25519")


class RemoteWorld(World):
    """The account's home is the test's folder."""

    def make_plan(self, *lines: str) -> Any:
        account = own_account()._replace(home=str(self.folder))
        return make_plan(self.folder, *lines, account=account)._replace(account=None)


async def said(connecting: Any) -> bytes:
    """Log in, and have a word said there."""
    async with connecting as connection:
        output: bytes = (await connection.run("echo own")).stdout
        return output


# Certificates.


def certified(folder: Path, *principals: str, authority: PrivateKey = AUTHORITY, **more: Any) -> str:
    """Return the file of a key, beside which there is a certificate."""
    name = f"key-{len(os.listdir(folder))}"
    key = make_key(folder, name)
    wanted: dict[str, Any] = {"key_id": "me", "role": "user", "extensions": DEFAULT_USER_EXTENSIONS, **more}
    certificate = sign_certificate(
        authority, key.public, principals=principals, random_bytes=os.urandom, **wanted
    )
    write_public_key(folder / f"{name}-cert.pub", certificate)
    return str(folder / name)


@pytest.fixture
def certifying(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    (tmp_path / "authority").write_text(AUTHORITY.public.to_line() + "\n")
    return RemoteWorld(tmp_path, monkeypatch, f"TrustedUserCAKeys {tmp_path / 'authority'}")


def test_a_certificate_lets_in_with_what_it_forces(certifying: World) -> None:
    async def test(world: World) -> None:
        assert await said(world.connect(identities=[certified(world.folder, USER)])) == b"own\n"
        forced = certified(world.folder, USER, critical_options={"force-command": "echo forced"})
        assert await said(world.connect(identities=[forced])) == b"forced\n"

    certifying.run(test)
    assert f"{USER!r} logged in by publickey ssh-ed25519-cert-v01@openssh.com SHA256:" in certifying.log.text


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"principals": ["another"]}, "principal"),
        ({"authority": generate_private_key("ed25519")}, "authority|not trusted|no line"),
        ({"valid_before": 5}, "expired|valid"),
        ({"role": "host"}, "host"),
        ({"critical_options": {"source-address": "192.0.2.1"}}, "192.0.2.1|127.0.0.1|address"),
    ],
)
def test_r7_a_certificate_that_does_not_fit_lets_nobody_in(
    certifying: World, wrong: dict[str, Any], reason: str
) -> None:
    principals = wrong.pop("principals", [USER])

    async def test(world: World) -> None:
        with pytest.raises(AuthenticationFailed):
            await world.connect(identities=[certified(world.folder, *principals, **wrong)])
        await world.until(lambda: world.supervisor.startups.count == 0)

    certifying.run(test)
    assert certifying.supervisor.sessions == {}
    assert re.search(reason, certifying.log.text), certifying.log.text


# A host that vouches.


@pytest.fixture
def vouching(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    world = RemoteWorld(
        tmp_path,
        monkeypatch,
        "HostbasedAuthentication yes",
        "HostbasedUsesNameFromPacketOnly yes",
        "IgnoreRhosts no",
    )
    (tmp_path / ".shosts").write_text(f"{HOST} friend\n")
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "known_hosts").write_text(f"{HOST} {AUTHORITY.public.to_line()}\n")
    for path in (tmp_path / ".shosts", tmp_path / ".ssh" / "known_hosts"):
        path.chmod(0o600)
    return world


def vouched(world: World, key: PrivateKey = AUTHORITY, host: str = HOST, user: str = "friend") -> Any:
    return world.connect(identities=[], host_based=HostBased([key], host=host, user=user))


def test_a_host_that_is_known_lets_in_whom_it_vouches_for(vouching: World) -> None:
    async def test(world: World) -> None:
        assert await said(vouched(world)) == b"own\n"

    vouching.run(test)
    assert f"{USER!r} logged in by hostbased" in vouching.log.text


def test_r6_a_host_vouches_with_its_own_key_for_its_own_users_only(vouching: World) -> None:
    async def test(world: World) -> None:
        wrongs: tuple[dict[str, Any], ...] = (
            {"key": generate_private_key("ed25519")},
            {"user": "stranger"},
            {"host": "other.example.org"},
        )
        for wrong in wrongs:
            with pytest.raises(AuthenticationFailed):
                await vouched(world, **wrong)
        await world.until(lambda: world.supervisor.startups.count == 0)

    vouching.run(test)
    assert vouching.supervisor.sessions == {}


def test_hosts_vouch_for_nobody_where_that_is_switched_off(certifying: World) -> None:
    async def test(world: World) -> None:
        with pytest.raises(AuthenticationFailed):
            await vouched(world)

    certifying.run(test)
    assert certifying.supervisor.sessions == {}


# What may come of an answer.


def test_a_grant_whose_socket_did_not_arrive_ends_that_connection_only(
    certifying: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel leaves descriptors out where a process may have no more."""
    verdict = RemotePolicy._verdict

    def without(self: RemotePolicy, answered: tuple[messages.Answer, list[int]]) -> Any:
        answer, fds = answered
        for fd in fds:
            os.close(fd)
        return verdict(self, (answer, []))

    async def test(world: World) -> None:
        other = await world.connect()
        with monkeypatch.context() as patch:
            patch.setattr(RemotePolicy, "_verdict", without)
            with pytest.raises(DisconnectedByPeer, match="no room for another session just now"):
                await world.connect()
        await world.until(lambda: len(world.supervisor.sessions) == 1)
        assert world.killed == []
        assert (await other.run("echo still in")).stdout == b"still in\n"
        other.close()

    certifying.run(test)
    assert "no descriptor is left for another session" in certifying.log.text


def test_a_session_that_nobody_wants_any_more_is_closed() -> None:
    rules = messages.Rules((), False, 1, (), "")
    connection: Any = SimpleNamespace(server=SimpleNamespace(rules=rules))
    policy = RemotePolicy(connection)
    policy.drop()
    reading, writing = os.pipe()
    policy.session_fd = writing
    policy.drop()
    policy.drop()
    assert os.read(reading, 1) == b""  # nobody has the other end
    os.close(reading)
