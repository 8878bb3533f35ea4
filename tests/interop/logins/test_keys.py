"""Logins by keys at OpenSSH's servers: bound to the server, in chains, added to an agent."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import sshkit
from tests.interop.logins.servers import VERSIONS, Sshd

pytestmark = pytest.mark.peer("sshd")


def visit(sshd: Sshd, config: Path, **options: Any) -> sshkit.ClientConnection:
    async def main() -> sshkit.ClientConnection:
        async with sshkit.connect("root@box", config=config, **options) as connection:
            assert (await connection.run("echo in")).text == "in\n"
            return connection

    return sshkit.run(main())


@pytest.mark.parametrize("version", VERSIONS)
def test_a_key_is_bound_to_the_server_unless_the_configuration_forbids_it(
    tmp_path: Path, version: str
) -> None:
    with Sshd(tmp_path, version) as sshd:
        visit(sshd, sshd.write_config(tmp_path / "config"))
        visit(sshd, sshd.write_config(tmp_path / "config", "PubkeyAuthentication unbound"))
        methods = [line.rpartition("method ")[2] for line in sshd.log.splitlines() if " method " in line]
    assert [method for method in methods if method.startswith("publickey")] == [
        "publickey-hostbound-v00@openssh.com [preauth]",
        "publickey [preauth]",
    ]


@pytest.mark.parametrize("version", VERSIONS)
def test_two_keys_may_be_needed(tmp_path: Path, version: str) -> None:
    with Sshd(tmp_path, version, "AuthenticationMethods publickey,publickey") as sshd:
        second = sshd.make_key("second")
        with sshd.authorized.open("a") as file:
            file.write(second.public.to_line() + "\n")
        config = sshd.write_config(tmp_path / "config", f"IdentityFile {tmp_path}/second")
        connection = visit(sshd, config)
        assert [attempt.verdict for attempt in connection.trail] == ["partial", "accepted"]
        assert connection.trail[0].next_methods == ("publickey",)
        with pytest.raises(sshkit.AuthenticationFailed) as refused:
            visit(sshd, sshd.write_config(tmp_path / "config"))
    assert [attempt.verdict for attempt in refused.value.trail][:1] == ["partial"]


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[str]:
    place = str(tmp_path / "agent")
    process = subprocess.Popen(
        ["ssh-agent", "-D", "-a", place], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        while not os.path.exists(place):
            assert process.poll() is None
        yield place
    finally:
        process.terminate()
        process.wait(10)


def listed(place: str) -> str:
    done = subprocess.run(
        ["ssh-add", "-l"], env={**os.environ, "SSH_AUTH_SOCK": place}, capture_output=True, text=True
    )
    return done.stdout


def test_a_key_that_let_in_is_given_to_the_agent(tmp_path: Path, agent: str) -> None:
    with Sshd(tmp_path, "9.2") as sshd:
        sshd.make_key("unused")
        first = f"IdentityFile {tmp_path}/unused"

        def config(*lines: str) -> Path:
            return sshd.write_config(tmp_path / "config", f"IdentityAgent {agent}", first, *lines)

        visit(sshd, config())
        assert "no identities" in listed(agent)
        for word in ("AddKeysToAgent ask", "AddKeysToAgent confirm"):
            if word.endswith("ask"):
                visit(sshd, config(word))  # nobody says yes
                assert "no identities" in listed(agent)
        visit(sshd, config("AddKeysToAgent 1h"))
        assert listed(agent).count("\n") == 1
        assert sshd.user_key.public.fingerprint() in listed(agent)
        connection = visit(sshd, config())
        assert connection.trail[-1].source.endswith("(agent)")


def test_somebody_may_be_asked_before(tmp_path: Path, agent: str) -> None:
    asked: list[str] = []

    async def yes(text: str) -> bool:
        asked.append(text)
        return True

    with Sshd(tmp_path, "9.2") as sshd:
        config = sshd.write_config(tmp_path / "config", f"IdentityAgent {agent}", "AddKeysToAgent ask")
        visit(sshd, config, confirm=yes)
        assert sshd.user_key.public.fingerprint() in listed(agent)
    assert asked[0].startswith(f"Add key {sshd.user_key_path} (SHA256:")


def test_an_agent_that_is_not_there_or_has_the_key_costs_nothing(tmp_path: Path, agent: str) -> None:
    with Sshd(tmp_path, "9.2") as sshd:
        visit(
            sshd,
            sshd.write_config(tmp_path / "config", f"IdentityAgent {tmp_path}/gone", "AddKeysToAgent yes"),
        )
        config = sshd.write_config(tmp_path / "config", f"IdentityAgent {agent}", "AddKeysToAgent yes")

        async def with_client() -> None:
            client = await sshkit.connect_agent(agent)
            async with sshkit.connect("root@box", config=config, agent=client):
                assert not client.lost
            keys = await client.list_keys()
            assert [key.public for key in keys] == [sshd.user_key.public]
            await client.close()

        sshkit.run(with_client())
        visit(sshd, config)
        assert listed(agent).count("\n") == 1
