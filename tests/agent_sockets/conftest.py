"""An agent of ours at a real socket, in a thread of its own, for real programs to talk to."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sshkit_keys import PrivateKey, generate_private_key, write_private_key, write_public_key

from sshkit.agent.serve import AgentListener, serve_agent
from sshkit.blocking.thread import ReactorThread
from sshkit.ssh.agent.policy import AuditEvent

PATIENCE = 20.0


class ServedAgent:
    """An agent, what its audit was told, and how programs reach it."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.folder = folder
        self.events: list[AuditEvent] = []
        self.thread = ReactorThread()
        self.path = str(folder / "agent" / "socket")
        self.listener: AgentListener = self.thread.call(
            lambda: serve_agent(self.path, audit=self.events.append, reactor=self.thread.reactor, **options),
            timeout=PATIENCE,
        )

    @property
    def environment(self) -> dict[str, str]:
        """What a program needs to find it."""
        return {**os.environ, "SSH_AUTH_SOCK": self.path, "HOME": str(self.folder)}

    def run(
        self, *argv: str, status: int = 0, stdin: bytes = b"", environment: dict[str, str] | None = None
    ) -> "subprocess.CompletedProcess[str]":
        """Run a program that uses the agent; its exit status must be `status`."""
        done = subprocess.run(
            argv,
            input=stdin,
            env={**self.environment, **(environment or {})},
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )
        out, err = done.stdout.decode(), done.stderr.decode()
        assert done.returncode == status, f"{argv}: {out} {err} {[e.to_dict() for e in self.events[-3:]]}"
        return subprocess.CompletedProcess(argv, done.returncode, out, err)

    def key(self, name: str, kind: str = "ed25519", passphrase: bytes | None = None) -> PrivateKey:
        """Write a new key pair."""
        key = generate_private_key(kind, None, f"comment of {name}")  # type: ignore[arg-type]
        path = self.folder / name
        write_private_key(path, key.to_openssh(passphrase, 1, random_bytes=os.urandom))
        write_public_key(f"{path}.pub", key.public)
        return key

    def close(self) -> None:
        self.thread.call(self.listener.close, timeout=PATIENCE)
        self.thread.stop()


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., ServedAgent]]:
    """Serve agents; all are closed at the end."""
    agents: list[ServedAgent] = []

    def start(**options: Any) -> ServedAgent:
        folder = tmp_path / f"home{len(agents)}"
        folder.mkdir()
        agents.append(ServedAgent(folder, **options))
        return agents[-1]

    yield start
    for agent in agents:
        agent.close()


@pytest.fixture
def agent(serve: Callable[..., ServedAgent]) -> ServedAgent:
    """One agent without a policy."""
    return serve()
