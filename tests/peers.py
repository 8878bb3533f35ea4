"""The system's own sshd, started on a free loopback port from a folder of the test's.

For tests of the commands.  Mark such a test with ``pytest.mark.peer("sshd")``: it is skipped, with the
reason, where there is no sshd, and fails for it in CI.
"""

import os
import shutil
import subprocess
from pathlib import Path

from sshkit_keys import PrivateKey, generate_private_key
from sshkit_keys.key_files import write_private_key, write_public_key

from tests.interop.peers import PATH, START_TIMEOUT, free_port, wait_for_port


class RealSshd:
    """One sshd with a host key, one user key that it lets in, and both sides' files."""

    def __init__(self, folder: Path, *lines: str) -> None:
        """Prepare `folder`; `lines` go to the front of sshd_config, where the first value wins."""
        self.folder = folder
        self.port = free_port()
        self.host_key = self.make_key("host_key")
        self.user_key = self.make_key("user_key")
        self.user_key_path = folder / "user_key"
        self.authorized = folder / "authorized_keys"
        self.authorized.write_text(self.user_key.public.to_line() + "\n")
        self.known_hosts = folder / "known_hosts"
        self.known_hosts.write_text(self.known_line(self.host_key))
        self.config = folder / "sshd_config"
        self.config.write_text(
            "\n".join(
                [
                    *lines,
                    f"Port {self.port}",
                    "ListenAddress 127.0.0.1",
                    f"HostKey {folder}/host_key",
                    f"AuthorizedKeysFile {self.authorized}",
                    "StrictModes no",
                    "UsePAM no",
                    "PidFile none",
                    "MaxStartups 100",
                    "PrintMotd no",
                    "AcceptEnv LANG LC_*",
                    "Subsystem sftp internal-sftp",
                    "Subsystem echo /bin/cat",
                    "",
                ]
            )
        )
        self.log_file = folder / "sshd.log"
        self._process: subprocess.Popen[bytes] | None = None

    def make_key(self, name: str, passphrase: bytes | None = None) -> PrivateKey:
        """Write a new key pair into the folder."""
        key = generate_private_key("ed25519", None, name)
        path = self.folder / name
        write_private_key(path, key.to_openssh(passphrase, random_bytes=os.urandom))
        write_public_key(f"{path}.pub", key.public)
        return key

    def known_line(self, key: PrivateKey) -> str:
        """Return the line of known_hosts that makes `key` this server's."""
        kind, text = key.public.to_line().split(" ")[:2]
        return f"[127.0.0.1]:{self.port} {kind} {text}\n"

    def start(self) -> None:
        """Start it and wait until it listens."""
        Path("/run/sshd").mkdir(exist_ok=True)
        program = shutil.which("sshd", path=PATH)
        assert program is not None
        with self.log_file.open("wb") as log:
            self._process = subprocess.Popen(
                [program, "-D", "-e", "-f", str(self.config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        wait_for_port(self.port, self._process, self.log_file)

    def stop(self) -> None:
        """Stop it; sessions that run go on without it."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(START_TIMEOUT)
            self._process = None

    @property
    def pid(self) -> int:
        """Its process id; each connection is a child."""
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        """What it has logged so far."""
        return self.log_file.read_text()

    def __enter__(self) -> "RealSshd":
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()
