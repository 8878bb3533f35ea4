"""sshkit-client logs in with the keys of a real ssh-agent."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.peers import RealSshd

pytestmark = [pytest.mark.peer("sshd"), pytest.mark.peer("ssh-agent")]


def client(
    sshd: RealSshd, home: Path, *options: str, **environment: str
) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "sshkit_cli.client", "-F", "none", "-v", "-p", str(sshd.port)]
    settings = ["-o", "BatchMode=yes", "-o", f"UserKnownHostsFile={sshd.known_hosts}"]
    return subprocess.run(
        [*command, *settings, *options, "127.0.0.1", "echo in"],
        env={**os.environ, "HOME": str(home), **environment},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


def test_the_agents_keys_are_offered_unless_told_otherwise(
    sshd: RealSshd, home: Path, real_agent: Path
) -> None:
    agent = {"SSH_AUTH_SOCK": str(real_agent)}
    subprocess.run(
        ["ssh-add", "-q", sshd.user_key_path], env={**os.environ, **agent}, check=True, capture_output=True
    )
    assert client(sshd, home).returncode == 255
    done = client(sshd, home, **agent)
    assert (done.returncode, done.stdout) == (0, "in\n"), done.stderr
    assert "(agent)" in done.stderr
    assert client(sshd, home, "-o", f"IdentityAgent={real_agent}").stdout == "in\n"
    assert client(sshd, home, "-o", "IdentityAgent=$OTHER", OTHER=str(real_agent)).stdout == "in\n"
    for option in ("IdentityAgent=none", "IdentitiesOnly=yes", "PubkeyAuthentication=no"):
        assert client(sshd, home, "-o", option, **agent).returncode == 255
    named = client(sshd, home, "-o", "IdentitiesOnly=yes", "-i", f"{sshd.user_key_path}.pub", **agent)
    assert named.stdout == "in\n"
    missing = client(sshd, home, "-i", str(sshd.user_key_path), SSH_AUTH_SOCK=str(home / "none"))
    assert missing.stdout == "in\n"
