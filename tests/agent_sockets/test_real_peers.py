"""Real programs work with our agent: ssh-add, ssh, ssh-keygen, asyncssh, paramiko."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from getpass import getuser
from pathlib import Path

import asyncssh
import paramiko  # type: ignore[import-untyped]
import pytest
from sshkit_keys import load_public_key, sign_certificate, write_private_key
from sshkit_keys.security_keys import SKEd25519PrivateKey, SKEd25519PublicKey
from sshkit_keys.wire import WireReader, string

from tests.agent_sockets.conftest import PATIENCE, ServedAgent
from tests.interop.peers import BACKPORTS
from tests.peers import RealSshd

NEW = BACKPORTS / "usr" / "bin"
SSH_ADDS = [
    pytest.param("ssh-add", id="9.2", marks=pytest.mark.peer("ssh-add")),
    pytest.param(
        str(NEW / "ssh-add"),
        id="10.0",
        marks=pytest.mark.skipif(not (NEW / "ssh-add").exists(), reason="no OpenSSH 10 unpacked"),
    ),
]
KINDS = ("ed25519", "ecdsa", "rsa")

Serve = Callable[..., ServedAgent]


@pytest.mark.parametrize("ssh_add", SSH_ADDS)
def test_ssh_add_adds_lists_tests_and_removes_every_type(agent: ServedAgent, ssh_add: str) -> None:
    keys = {kind: agent.key(kind, kind) for kind in KINDS}
    for kind in KINDS:
        agent.run(ssh_add, f"{agent.folder}/{kind}")
    listed = agent.run(ssh_add, "-l").stdout
    for kind, key in keys.items():
        assert (
            f"{key.public.bits} {key.public.fingerprint()} comment of {kind} ({key.public.label})" in listed
        )
    assert [line.split()[0] for line in agent.run(ssh_add, "-L").stdout.splitlines()] == [
        key.public.key_type for key in keys.values()
    ]
    agent.run(ssh_add, "-T", *(f"{agent.folder}/{kind}.pub" for kind in KINDS))
    agent.run(ssh_add, "-d", f"{agent.folder}/rsa")
    assert "RSA" not in agent.run(ssh_add, "-l").stdout
    agent.run(ssh_add, "-D")
    assert "no identities" in agent.run(ssh_add, "-l", status=1).stdout


@pytest.mark.parametrize("ssh_add", SSH_ADDS)
@pytest.mark.parametrize("kind", KINDS)
def test_ssh_add_adds_certificates_of_every_type(agent: ServedAgent, ssh_add: str, kind: str) -> None:
    key, authority = agent.key("id", kind), agent.key("ca")
    certificate = sign_certificate(
        authority, key.public, role="user", key_id="me", principals=("root",), random_bytes=os.urandom
    )
    (agent.folder / "id-cert.pub").write_text(certificate.to_line() + "\n")
    added = agent.run(ssh_add, f"{agent.folder}/id")
    assert "Certificate added" in added.stderr
    assert f"({key.public.label}-CERT)" in agent.run(ssh_add, "-l").stdout
    agent.run(ssh_add, "-T", f"{agent.folder}/id-cert.pub")
    agent.run(ssh_add, "-d", f"{agent.folder}/id")
    assert len(agent.listener.keyring) == 0


@pytest.mark.parametrize("ssh_add", SSH_ADDS)
def test_ssh_add_sets_lifetimes_and_confirmation(serve: Serve, ssh_add: str) -> None:
    answers = [False, True]
    agent = serve(confirm=lambda request: answers.pop(0))
    agent.key("id")
    agent.run(ssh_add, "-c", "-t", "1h", f"{agent.folder}/id")
    (held,) = agent.listener.keyring
    assert held.confirm
    assert held.expiry is not None
    agent.run(ssh_add, "-T", f"{agent.folder}/id.pub", status=1)
    agent.run(ssh_add, "-T", f"{agent.folder}/id.pub")
    assert answers == []


@pytest.mark.parametrize("ssh_add", SSH_ADDS)
def test_ssh_add_locks_and_unlocks(agent: ServedAgent, ssh_add: str) -> None:
    agent.key("id")
    agent.run(ssh_add, f"{agent.folder}/id")
    answer = agent.folder / "askpass"
    answer.write_text("#!/bin/sh\necho secret word\n")
    wrong = agent.folder / "wrong"
    wrong.write_text("#!/bin/sh\necho guess\n")
    for script in (answer, wrong):
        script.chmod(0o700)
    right = {"SSH_ASKPASS": str(answer), "SSH_ASKPASS_REQUIRE": "force"}
    agent.run(ssh_add, "-x", environment=right)
    assert "no identities" in agent.run(ssh_add, "-l", status=1).stdout
    agent.run(ssh_add, f"{agent.folder}/id", status=1)
    agent.run(ssh_add, "-X", status=1, environment={**right, "SSH_ASKPASS": str(wrong)})
    agent.run(ssh_add, "-X", environment=right)
    agent.run(ssh_add, "-l")
    assert "secret word" not in repr([event.to_dict() for event in agent.events])


@pytest.mark.parametrize("ssh_add", SSH_ADDS)
def test_ssh_add_adds_a_security_key_without_a_library(agent: ServedAgent, ssh_add: str) -> None:
    raw = agent.key("other").public.blob[-32:]
    name = "sk-ssh-ed25519@openssh.com"
    fields = string(raw) + string("ssh:")
    public = SKEd25519PublicKey.read(name, WireReader(fields), string(name) + fields, "sk")
    key = SKEd25519PrivateKey(public, b"handle", 1)
    write_private_key(agent.folder / "sk", key.to_openssh(random_bytes=os.urandom))
    agent.run(ssh_add, "-S", "internal", f"{agent.folder}/sk")
    assert f"{public.fingerprint()} sk (ED25519-SK)" in agent.run(ssh_add, "-l").stdout
    agent.run(ssh_add, "-S", "/usr/lib/libevil.so", f"{agent.folder}/sk", status=1)


@pytest.mark.parametrize("ssh_add", SSH_ADDS)
def test_r40_ssh_add_cannot_make_the_agent_load_a_library(agent: ServedAgent, ssh_add: str) -> None:
    environment = {"SSH_ASKPASS": "/bin/true", "SSH_ASKPASS_REQUIRE": "force"}
    agent.run(ssh_add, "-s", "/usr/lib/libtoken.so", status=1, environment=environment)
    assert agent.events[-1].outcome == "refused"
    assert agent.events[-1].request.provider == "/usr/lib/libtoken.so"
    agent.run(ssh_add, "-e", "/usr/lib/libtoken.so", status=1, environment=environment)


@pytest.fixture(scope="module")
def alpha(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealSshd]:
    """The sshd that is logged in to first."""
    with RealSshd(tmp_path_factory.mktemp("alpha")) as server:
        yield server


@pytest.fixture(scope="module")
def beta(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealSshd]:
    """The one behind it."""
    with RealSshd(tmp_path_factory.mktemp("beta")) as server:
        yield server


@pytest.fixture
def hosts(agent: ServedAgent, alpha: RealSshd, beta: RealSshd) -> Path:
    """A known_hosts file with both, each under a name of its own too."""
    lines = []
    for name, server in (("alpha", alpha), ("beta", beta)):
        kind, text = server.host_key.public.to_line().split(" ")[:2]
        lines += [server.known_line(server.host_key), f"{name} {kind} {text}\n"]
    path = agent.folder / "hosts"
    path.write_text("".join(lines))
    return path


SSHS = [
    pytest.param("ssh", id="9.2", marks=pytest.mark.peer("ssh")),
    pytest.param(
        str(NEW / "ssh"),
        id="10.0",
        marks=pytest.mark.skipif(not (NEW / "ssh").exists(), reason="no OpenSSH 10 unpacked"),
    ),
]


def ssh(server: RealSshd, hosts: Path, *options: str, program: str = "ssh") -> list[str]:
    """Return the words that log in at a server with what the agent has."""
    path = shutil.which(program)
    assert path is not None
    settings = (f"UserKnownHostsFile={hosts}", "GlobalKnownHostsFile=none", "BatchMode=yes")
    words = [path, "-F", "none", *(word for setting in settings for word in ("-o", setting))]
    words += ["-o", "IdentityFile=none", "-p", str(server.port), *options]
    return [*words, f"{getuser()}@127.0.0.1"]


def trust(server: RealSshd, agent: ServedAgent, name: str) -> None:
    """Let a key of the agent's user in."""
    line = load_public_key(agent.folder / f"{name}.pub").to_line()
    server.authorized.write_text(f"{server.authorized.read_text()}{line}\n")


@pytest.mark.peer("sshd")
@pytest.mark.peer("ssh")
@pytest.mark.parametrize("kind", KINDS)
def test_ssh_logs_in_with_a_key_of_the_agent(
    agent: ServedAgent, alpha: RealSshd, hosts: Path, kind: str
) -> None:
    agent.key("id", kind)
    trust(alpha, agent, "id")
    agent.run("ssh-add", f"{agent.folder}/id")
    assert agent.run(*ssh(alpha, hosts), "echo here").stdout == "here\n"
    signed = [event for event in agent.events if event.request.action == "sign"][-1]
    assert signed.request.data.kind == "login"
    assert signed.request.data.user == getuser()
    assert signed.to_dict()["hops"] == [alpha.host_key.public.fingerprint()]


@pytest.mark.peer("sshd")
@pytest.mark.peer("ssh")
def test_ssh_logs_in_with_a_certificate_of_the_agent(agent: ServedAgent, tmp_path: Path, hosts: Path) -> None:
    authority, key = agent.key("ca"), agent.key("id", "rsa")
    certificate = sign_certificate(
        authority, key.public, role="user", key_id="me", principals=(getuser(),), random_bytes=os.urandom
    )
    (agent.folder / "id-cert.pub").write_text(certificate.to_line() + "\n")
    agent.run("ssh-add", f"{agent.folder}/id")
    folder = tmp_path / "sshd"
    folder.mkdir()
    with RealSshd(folder, f"TrustedUserCAKeys {agent.folder}/ca.pub") as server:
        assert agent.run(*ssh(server, server.known_hosts), "echo here").stdout == "here\n"


@pytest.mark.peer("sshd")
@pytest.mark.parametrize("program", SSHS)
def test_a_forwarded_agent_logs_in_at_the_next_host(
    agent: ServedAgent, alpha: RealSshd, beta: RealSshd, hosts: Path, program: str
) -> None:
    agent.key("id")
    trust(alpha, agent, "id")
    trust(beta, agent, "id")
    agent.run("ssh-add", f"{agent.folder}/id")
    inner = " ".join(ssh(beta, hosts, program=program))
    words = ssh(alpha, hosts, "-A", program=program)
    assert agent.run(*words, f"{inner} echo there").stdout == "there\n"
    signed = [event.request for event in agent.events if event.request.action == "sign"]
    assert [request.forwarded for request in signed] == [False, True]
    assert [binding.host_key for binding in signed[-1].bindings] == [
        alpha.host_key.public,
        beta.host_key.public,
    ]


@pytest.mark.peer("sshd")
@pytest.mark.peer("ssh")
@pytest.mark.parametrize("ssh_add", SSH_ADDS)
def test_a_key_for_one_host_logs_in_there_only(
    agent: ServedAgent, alpha: RealSshd, beta: RealSshd, hosts: Path, ssh_add: str
) -> None:
    agent.key("id")
    trust(alpha, agent, "id")
    trust(beta, agent, "id")
    agent.run(ssh_add, "-H", str(hosts), "-h", "alpha", f"{agent.folder}/id")
    assert agent.run(*ssh(alpha, hosts), "echo here").stdout == "here\n"
    assert agent.events[-1].request.host == "alpha"
    assert "Permission denied" in agent.run(*ssh(beta, hosts), "echo here", status=255).stderr
    # The key may be used at alpha, not from there: over a forwarded agent it is not even seen.
    inner = " ".join(ssh(beta, hosts))
    assert agent.run(*ssh(alpha, hosts, "-A"), "ssh-add -l", status=1).stdout.startswith("The agent has no")
    agent.run(*ssh(alpha, hosts, "-A"), f"{inner} echo there", status=255)


@pytest.mark.peer("sshd")
@pytest.mark.peer("ssh")
@pytest.mark.parametrize("ssh_add", SSH_ADDS)
def test_a_key_for_two_hops_goes_exactly_that_way(
    agent: ServedAgent, alpha: RealSshd, beta: RealSshd, hosts: Path, ssh_add: str
) -> None:
    agent.key("id")
    trust(alpha, agent, "id")
    trust(beta, agent, "id")
    hops = ("-h", "alpha", "-h", f"alpha>{getuser()}@beta")
    agent.run(ssh_add, "-H", str(hosts), *hops, f"{agent.folder}/id")
    inner = " ".join(ssh(beta, hosts))
    assert agent.run(*ssh(alpha, hosts, "-A"), f"{inner} echo there").stdout == "there\n"
    assert agent.events[-1].request.host == "beta"
    agent.run(*ssh(beta, hosts), "echo here", status=255)
    # For another user at beta the way from alpha does not lead there.
    agent.run("ssh-add", "-D")
    agent.run(ssh_add, "-H", str(hosts), "-h", "alpha", "-h", "alpha>nobody@beta", f"{agent.folder}/id")
    agent.run(*ssh(alpha, hosts, "-A"), f"{inner} echo there", status=255)
    assert any(event.reason.endswith("for this destination") for event in agent.events)


@pytest.mark.peer("ssh-keygen")
@pytest.mark.parametrize("kind", KINDS)
def test_ssh_keygen_signs_files_with_a_key_of_the_agent(agent: ServedAgent, kind: str) -> None:
    agent.key("id", kind)
    agent.run("ssh-add", f"{agent.folder}/id")
    (agent.folder / "id").unlink()
    message = agent.folder / "message"
    message.write_text("hello\n")
    agent.run("ssh-keygen", "-Y", "sign", "-U", "-n", "file", "-f", f"{agent.folder}/id.pub", str(message))
    signed = [event.request for event in agent.events if event.request.action == "sign"]
    assert (signed[-1].data.kind, signed[-1].data.namespace) == ("sshsig", "file")
    agent.run(
        *("ssh-keygen", "-Y", "check-novalidate", "-n", "file", "-s", f"{message}.sig"), stdin=b"hello\n"
    )


def test_asyncssh_lists_and_signs(agent: ServedAgent) -> None:
    keys = [agent.key(kind, kind) for kind in KINDS]
    agent.run("ssh-add", *(f"{agent.folder}/{kind}" for kind in KINDS))

    async def main() -> None:
        async with asyncssh.connect_agent(agent.path) as client:
            pairs = list(await client.get_keys())
            assert [pair.public_data for pair in pairs] == [key.public.blob for key in keys]
            for key, pair in zip(keys, pairs, strict=True):
                signature = await pair.sign_async(b"data")  # type: ignore[attr-defined]
                label = signature[4 : 4 + signature[3]].decode()
                key.public.verify(label, b"data", signature)

    asyncio.run(main())


def test_paramiko_lists_and_signs(agent: ServedAgent, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [agent.key(kind, kind) for kind in KINDS]
    agent.run("ssh-add", *(f"{agent.folder}/{kind}" for kind in KINDS))
    monkeypatch.setenv("SSH_AUTH_SOCK", agent.path)
    client = paramiko.Agent()
    try:
        found = client.get_keys()
        assert [key.asbytes() for key in found] == [key.public.blob for key in keys]
        for key, theirs in zip(keys, found, strict=True):
            algorithm = key.public.signature_algorithms[0]
            key.public.verify(algorithm, b"data", theirs.sign_ssh_data(b"data", algorithm))
    finally:
        client.close()


REAL_AGENTS = [
    pytest.param("ssh-agent", id="9.2", marks=pytest.mark.peer("ssh-agent")),
    pytest.param(
        str(NEW / "ssh-agent"),
        id="10.0",
        marks=pytest.mark.skipif(not (NEW / "ssh-agent").exists(), reason="no OpenSSH 10 unpacked"),
    ),
]


@pytest.mark.peer("sshd")
@pytest.mark.peer("ssh")
@pytest.mark.parametrize("program", REAL_AGENTS)
def test_a_real_agent_behind_ours_keeps_its_own_limits(
    serve: Serve, alpha: RealSshd, beta: RealSshd, program: str, tmp_path: Path
) -> None:
    path = shutil.which(program)
    assert path is not None
    behind = str(tmp_path / "behind")
    process = subprocess.Popen([path, "-D", "-a", behind], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        front = serve(upstreams=[behind])
        front.key("id")
        trust(alpha, front, "id")
        trust(beta, front, "id")
        known = front.folder / "hosts"
        kind, text = alpha.host_key.public.to_line().split(" ")[:2]
        lines = [server.known_line(server.host_key) for server in (alpha, beta)]
        known.write_text("".join([*lines, f"alpha {kind} {text}\n"]))
        front.run(
            *("ssh-add", "-H", str(known), "-h", "alpha", f"{front.folder}/id"),
            environment={"SSH_AUTH_SOCK": behind},
        )
        assert len(front.listener.keyring) == 0
        assert front.run(*ssh(alpha, known), "echo here").stdout == "here\n"
        front.run(*ssh(beta, known), "echo here", status=255)
        inner = " ".join(ssh(beta, known))
        front.run(*ssh(alpha, known, "-A"), f"{inner} echo there", status=255)
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE)
