"""OpenSSH's servers for the logins' tests: the system's, and the newer one where it was unpacked."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.interop.peers import BACKPORTS, wait_for_port
from tests.peers import RealSshd

VERSIONS = ("9.2", "10.0")


class Sshd(RealSshd):
    """One sshd of either version."""

    def __init__(self, folder: Path, version: str, *lines: str) -> None:
        self.program = "/usr/sbin/sshd"
        if version == "10.0":
            self.program = str(BACKPORTS / "usr/sbin/sshd")
            if not Path(self.program).is_file():
                pytest.skip("OpenSSH 10.0 is not unpacked")
            helpers = BACKPORTS / "usr/lib/openssh"
            lines = (
                *lines,
                f"SshdSessionPath {helpers}/sshd-session",
                f"SshdAuthPath {helpers}/sshd-auth",
                "PerSourcePenalties no",
            )
        super().__init__(folder, *lines, "LogLevel DEBUG1", "PermitRootLogin yes")

    def start(self) -> None:
        Path("/run/sshd").mkdir(exist_ok=True)
        with self.log_file.open("wb") as log:
            self._process = subprocess.Popen(
                [self.program, "-D", "-e", "-f", str(self.config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.environment,
            )
        wait_for_port(self.port, self._process, self.log_file)

    environment: dict[str, str] | None = None  #: of the server; None: the test's own

    def write_config(self, path: Path, *lines: str, **options: Any) -> Path:
        """Write an ssh_config for this server, named "box" there."""
        own = [
            "Host box",
            "HostName 127.0.0.1",
            f"Port {self.port}",
            f"IdentityFile {self.user_key_path}",
            f"UserKnownHostsFile {self.known_hosts}",
            "GlobalKnownHostsFile none",
            "StrictHostKeyChecking yes",
            "IdentityAgent none",
        ]
        path.write_text("\n".join((*lines, *own)) + "\n")
        return path
