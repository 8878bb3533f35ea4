"""Logins with keys that an agent holds, and with certificates."""

import os
from pathlib import Path
from typing import Any

import pytest
from sshkit_keys import (
    Certificate,
    PrivateKey,
    generate_private_key,
    sign_certificate,
    write_private_key,
    write_public_key,
)

import sshkit
from tests.client.world import ECDSA_KEY, HOST_KEY, OTHER_KEY, USER_KEY
from tests.peers import RealSshd

RSA_KEY: PrivateKey = generate_private_key("rsa", 2048, "an rsa key")
AUTHORITY: PrivateKey = generate_private_key("ed25519")


def certify(key: PrivateKey, name: str = "me") -> Certificate:
    return sign_certificate(
        AUTHORITY, key.public, role="user", key_id="id", principals=[name], random_bytes=os.urandom
    )


def agent_login(
    folder: Path, sshd: RealSshd, held: "list[PrivateKey]", *, policy: Any = None, **options: Any
) -> list[str]:
    """Log in at a real sshd with an agent of ours; return the trail."""

    async def main() -> list[str]:
        async with (
            sshkit.serve_agent(folder / "agent" / "socket", policy=policy) as served,
            sshkit.connect_agent(served.address) as agent,
        ):
            for key in held:
                await agent.add(key)
            options.setdefault("agent", served.address)
            async with sshkit.connect(
                f"root@127.0.0.1:{sshd.port}", host_keys=[sshd.host_key.public], **options
            ) as connection:
                assert (await connection.run("echo in", check=True)).stdout == b"in\n"
                assert connection.agent is None
                return [str(attempt) for attempt in connection.trail]

    return sshkit.run(main())


@pytest.fixture
def sshd(tmp_path: Path) -> Any:
    (tmp_path / "ca.pub").write_text(AUTHORITY.public.to_line() + "\n")
    with RealSshd(tmp_path, f"TrustedUserCAKeys {tmp_path}/ca.pub", "PermitRootLogin yes") as server:
        yield server


pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="logs in at a real sshd as root")


@pytest.mark.peer("sshd")
@pytest.mark.parametrize("key", [ECDSA_KEY, RSA_KEY, None], ids=["ecdsa", "rsa", "ed25519"])
def test_a_key_of_the_agent_lets_in(tmp_path: Path, sshd: RealSshd, key: PrivateKey | None) -> None:
    key = key or sshd.user_key
    with sshd.authorized.open("a") as file:
        file.write(key.public.to_line() + "\n")
    trail = agent_login(tmp_path, sshd, [OTHER_KEY, key], identities=[])
    assert trail[-1].endswith("(agent)): accepted")
    assert key.public.fingerprint() in trail[-1]
    assert len(trail) == 2


@pytest.mark.peer("sshd")
def test_a_certificate_lets_in_from_files_and_from_the_agent(tmp_path: Path, sshd: RealSshd) -> None:
    key = generate_private_key("rsa", 2048)
    certificate = certify(key, "root")
    path = tmp_path / "id"
    write_private_key(path, key.to_openssh(random_bytes=os.urandom))
    write_public_key(f"{path}-cert.pub", certificate)
    trail = agent_login(tmp_path, sshd, [], identities=[path], agent="")
    assert "rsa-sha2" not in trail[-1]
    assert f"ssh-rsa-cert-v01@openssh.com {key.public.fingerprint()}" in trail[-1]
    assert len(trail) == 1
    os.unlink(path)
    write_public_key(f"{path}.pub", key.public)
    # The private key is the agent's only; the certificate beside its .pub file is offered with it.
    trail = agent_login(tmp_path, sshd, [key], identities=[path])
    assert trail[-1].endswith(f"{path}-cert.pub (agent)): accepted")


@pytest.mark.peer("sshd")
def test_a_certificate_inside_the_agent_lets_in(tmp_path: Path, sshd: RealSshd) -> None:
    async def main() -> None:
        async with (
            sshkit.serve_agent(tmp_path / "agent" / "socket") as served,
            sshkit.connect_agent(served.address) as agent,
        ):
            await agent.add(ECDSA_KEY, certificate=certify(ECDSA_KEY, "root"))
            async with sshkit.connect(
                f"root@127.0.0.1:{sshd.port}",
                host_keys=[sshd.host_key.public],
                identities=[],
                agent=agent,
            ) as connection:
                assert "ecdsa-sha2-nistp256-cert-v01@openssh.com" in str(connection.trail[-1])
            assert await agent.list_keys()  # a client that was lent is not closed

    sshkit.run(main())


@pytest.mark.peer("sshd")
def test_what_the_agent_will_not_sign_is_noted_and_the_next_key_tried(tmp_path: Path, sshd: RealSshd) -> None:
    with sshd.authorized.open("a") as file:
        file.write(ECDSA_KEY.public.to_line() + "\n")

    def policy(request: Any) -> bool:
        return request.action != "sign" or request.key != ECDSA_KEY.public

    trail = agent_login(tmp_path, sshd, [ECDSA_KEY], policy=policy, identities=[sshd.user_key_path])
    assert "refused the request" in trail[0]
    assert trail[-1].endswith("accepted")


@pytest.mark.peer("sshd")
def test_a_key_that_is_limited_to_the_host_signs_for_it(tmp_path: Path, sshd: RealSshd) -> None:
    from sshkit.ssh.agent.destinations import Destination, Hop, HostKey

    def limited(key: PrivateKey) -> Destination:
        return Destination(Hop(), Hop("host", (HostKey(key.public),)))

    async def login(destination: Destination) -> None:
        async with (
            sshkit.serve_agent(tmp_path / "agent" / "socket") as served,
            sshkit.connect_agent(served.address) as agent,
        ):
            await agent.add(sshd.user_key, destinations=[destination])
            async with sshkit.connect(
                f"root@127.0.0.1:{sshd.port}",
                host_keys=[sshd.host_key.public],
                identities=[],
                agent=served.address,
            ):
                pass

    sshkit.run(login(limited(sshd.host_key)))
    with pytest.raises(sshkit.AuthenticationFailed, match="refused the request"):
        sshkit.run(login(limited(HOST_KEY)))


def test_an_agent_that_is_not_there_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "none"))
    monkeypatch.setenv("HOME", str(tmp_path))
    said: list[str] = []

    async def main() -> None:
        await sshkit.connect("me@127.0.0.1:1", warn=said.append)

    with pytest.raises(sshkit.ConnectError):
        sshkit.run(main())
    assert len(said) == 1
    assert said[0].startswith(f"no agent to talk to: cannot connect to {tmp_path}/none")


def test_files_that_are_no_certificates_are_noted(tmp_path: Path) -> None:
    from sshkit.client.credentials import FileCredentials

    write_private_key(tmp_path / "id", USER_KEY.to_openssh(random_bytes=os.urandom))
    write_public_key(tmp_path / "id-cert.pub", USER_KEY.public)
    said: list[str] = []
    credentials = FileCredentials([tmp_path / "id"], certificates=[str(tmp_path / "none")], warn=said.append)
    assert credentials.problems == [
        (str(tmp_path / "none"), "No such file or directory"),
        (str(tmp_path / "id-cert.pub"), "not a certificate"),
    ]
    assert said == [
        f"{tmp_path}/none: No such file or directory",
        f"{tmp_path}/id-cert.pub: not a certificate",
    ]
    assert [identity.public for identity in credentials.identities] == [USER_KEY.public]


class Held:
    """What credentials see of a key in an agent."""

    def __init__(self, key: PrivateKey, public: Any = None) -> None:
        self.public = key.public if public is None else public
        self.blob = self.public.blob
        self.comment = key.comment


def test_keys_are_offered_in_the_order_of_openssh(tmp_path: Path) -> None:
    from sshkit.client.credentials import FileCredentials

    write_private_key(tmp_path / "id", USER_KEY.to_openssh(random_bytes=os.urandom))
    write_private_key(tmp_path / "ec", ECDSA_KEY.to_openssh(random_bytes=os.urandom))
    write_public_key(tmp_path / "lone.pub", RSA_KEY.public)
    write_public_key(tmp_path / "ca-signed", certify(RSA_KEY))
    names = [tmp_path / "id", tmp_path / "ec", tmp_path / "lone.pub"]

    def offered(only_named: bool) -> list[str]:
        credentials = FileCredentials(names, certificates=[str(tmp_path / "ca-signed")])
        held = [Held(OTHER_KEY), Held(RSA_KEY), Held(ECDSA_KEY)]
        credentials.add_agent_keys(held, only_named)  # type: ignore[arg-type]
        assert credentials.problems == []
        return [f"{os.path.basename(i.source)} {i.public.key_type}" for i in credentials.identities]

    named = [
        "ca-signed (agent) ssh-rsa-cert-v01@openssh.com",
        "ec (agent) ecdsa-sha2-nistp256",
        "lone.pub (agent) ssh-rsa",
    ]
    rest = ["id ssh-ed25519"]
    assert offered(only_named=False) == [*named, "another (agent) ssh-ed25519", *rest]
    assert offered(only_named=True) == [*named, *rest]
