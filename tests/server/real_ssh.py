"""The system's ssh, pointed at a server that runs in the test's own process."""

import os
import subprocess
from pathlib import Path
from typing import Any

from sshkit_keys import PrivateKey

from sshkit.reactor.current import current

TIMEOUT = 30.0


def write_key(path: Path, key: PrivateKey) -> Path:
    """Write a private key that OpenSSH takes."""
    path.write_bytes(key.to_openssh(random_bytes=os.urandom))
    path.chmod(0o600)
    return path


async def run_here(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[bytes]":
    """Run a program to its end while the reactor goes on."""
    return await current().defer_to_thread(
        subprocess.run,
        arguments,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=TIMEOUT,
        env={**os.environ, **environment},
        check=False,
    )


async def real_ssh(
    folder: Path, server: Any, *options: str, command: str = "true"
) -> "subprocess.CompletedProcess[bytes]":
    """Run ssh with the key in "id" and the hosts in "known_hosts"; the first of an option counts."""
    settings = (
        *options,
        f"UserKnownHostsFile={folder / 'known_hosts'}",
        "GlobalKnownHostsFile=none",
        "StrictHostKeyChecking=yes",
        "IdentitiesOnly=yes",
        "IdentityAgent=none",
        "BatchMode=yes",
        "HashKnownHosts=no",
    )
    line = ["ssh", "-F", "none", "-i", str(folder / "id"), "-p", str(server.address[1])]
    for setting in settings:
        line += ["-o", setting]
    return await run_here(*line, "me@127.0.0.1", command)
