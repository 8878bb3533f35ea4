"""Our own sshkit-server, started on a free loopback port from a folder of its own, for real clients.

`Place` holds the keys; `OwnServer` is one running server, `OpenSSH` a way to call the system's ssh on it.
"""

import contextlib
import os
import pwd
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from sshkit_keys import PrivateKey, generate_private_key
from sshkit_keys.key_files import write_private_key, write_public_key

ROOT = Path(__file__).resolve().parents[1]
TIMEOUT = 30.0
DRAIN = 0.5  #: seconds for a server to end that waits for its last session
USER = pwd.getpwuid(os.geteuid()).pw_name
READY = re.compile(r"sshkit-server: listening on \S+ port (\d+).* connect with: ")


class Place:
    """A folder with a host key, a user key that is let in, and one that is not."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = self.make_key("id")
        self.other_key = self.make_key("other")
        self.make_key("host")
        self.authorized = folder / "authorized_keys"
        self.authorize(self.line())

    def make_key(self, name: str) -> PrivateKey:
        """Make a key pair in files of this name."""
        key = generate_private_key("ed25519", comment=name)
        write_private_key(self.folder / name, key.to_openssh(random_bytes=os.urandom))
        write_public_key(self.folder / f"{name}.pub", key.public)
        return key

    def line(self, options: str = "") -> str:
        """Return the key's line for authorized_keys."""
        return f"{options}{' ' if options else ''}{self.key.public.to_line()}"

    def authorize(self, *lines: str) -> None:
        """Write authorized_keys."""
        self.authorized.write_text("".join(f"{line}\n" for line in lines))
        self.authorized.chmod(0o600)

    def config(self, *lines: str) -> Path:
        """Write a configuration that begins with `lines`."""
        path = self.folder / "sshd_config"
        rest = [
            "ListenAddress 127.0.0.1",
            "Port 0",
            f"HostKey {self.folder / 'host'}",
            f"AuthorizedKeysFile {self.authorized}",
            "StrictModes no",
            "LogLevel VERBOSE",
            "PasswordAuthentication no",
            "KbdInteractiveAuthentication no",
            "PerSourcePenalties no",
        ]
        path.write_text("".join(f"{line}\n" for line in (*lines, *rest)))
        return path


def command_line(*arguments: str) -> list[str]:
    """Return how to start sshkit-server: under coverage where the tests are."""
    if os.environ.get("COVERAGE_RUN"):
        coverage = ["-m", "coverage", "run", f"--rcfile={ROOT / 'pyproject.toml'}", "-p"]
        return [sys.executable, *coverage, "-m", "sshkit_cli.server", *arguments]
    return [sys.executable, "-m", "sshkit_cli.server", *arguments]


def environment(folder: Path) -> dict[str, str]:
    """Return variables that keep a server away from the user's own files."""
    variables = dict(os.environ, XDG_CONFIG_HOME=str(folder / "config"))
    variables["COVERAGE_FILE"] = os.environ.get("COVERAGE_FILE", str(ROOT / ".coverage"))
    return variables


class OwnServer:
    """One running sshkit-server, in the foreground; its log is what it writes to standard error."""

    def __init__(self, place: Place, *arguments: str, pass_socket: socket.socket | None = None) -> None:
        self.place = place
        self.lines: list[str] = []
        self._more = threading.Condition()
        self._ended = False
        stdin = subprocess.DEVNULL if pass_socket is None else pass_socket.fileno()
        self.process = subprocess.Popen(
            command_line(*arguments),
            stdin=stdin,
            stdout=subprocess.DEVNULL if pass_socket is None else stdin,
            stderr=subprocess.PIPE,
            env=environment(place.folder),
            text=True,
            errors="backslashreplace",
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.port = 0
        if pass_socket is None:
            self.port = int(self.wait_for(READY.pattern)[1])

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._more:
                self.lines.append(line.rstrip("\n"))
                self._more.notify_all()
        with self._more:
            self._ended = True
            self._more.notify_all()

    @property
    def log(self) -> str:
        """Everything that it wrote so far."""
        with self._more:
            return "\n".join(self.lines)

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Wait for a line of the log that matches."""
        expression = re.compile(pattern)
        with self._more:
            while True:
                for line in self.lines:
                    match = expression.search(line)
                    if match:
                        return match
                if self._ended or not self._more.wait(TIMEOUT):
                    raise AssertionError(f"no {pattern!r} in:\n" + "\n".join(self.lines))

    def ssh(
        self,
        *arguments: str,
        input: bytes = b"",
        identity: str = "id",
        user: str = USER,
        options: Sequence[str] = (),
        env: dict[str, str] | None = None,
    ) -> "subprocess.CompletedProcess[bytes]":
        """Run the system's ssh to its end; arguments are the command, `options` come before the host."""
        return subprocess.run(
            self.ssh_command(*arguments, identity=identity, user=user, options=options),
            input=input,
            capture_output=True,
            timeout=TIMEOUT,
            env={**os.environ, **(env or {})},
            check=False,
        )

    def ssh_command(
        self, *arguments: str, identity: str = "id", user: str = USER, options: Sequence[str] = ()
    ) -> list[str]:
        """Return ssh's command line."""
        settings = (
            f"UserKnownHostsFile={self.place.folder / 'known_hosts'}",
            "StrictHostKeyChecking=accept-new",
            "IdentitiesOnly=yes",
            "BatchMode=yes",
            "IdentityAgent=none",
            "LogLevel=ERROR",
        )
        line = ["ssh", "-F", "none", *options]  # of each setting, ssh takes the first value
        for setting in settings:
            line += ["-o", setting]
        line += ["-i", str(self.place.folder / identity), "-p", str(self.port)]
        return [*line, f"{user}@127.0.0.1", *arguments]

    def connect(self) -> socket.socket:
        """Return a raw connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=TIMEOUT)

    def greeting_of_one_more(self) -> bytes:
        """Connect and return all that the server says; nothing where it refuses, even while we connect."""
        try:
            with self.connect() as sock:
                return read_to_end(sock)
        except ConnectionResetError:
            return b""

    def processes(self) -> list[int]:
        """Return the process numbers of all that it has started: workers, and programs of users."""
        found = [self.process.pid]
        for number in found:
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                listed = Path(f"/proc/{number}/task/{number}/children").read_text()
                found += [int(child) for child in listed.split()]
        return found[1:]

    def children(self) -> list[int]:
        """Return the process numbers of users' programs."""
        monitor = self.process.pid
        return [number for number in self.processes() if not _serves(number, monitor)]

    def wait(self) -> int:
        """Wait for its end; return its exit status."""
        status = self.process.wait(TIMEOUT)
        self._reader.join(TIMEOUT)
        if self.process.stderr is not None:
            self.process.stderr.close()
        return status

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it with a signal and return its exit status; nothing else may have gone wrong."""
        if self.process.poll() is None:
            self.process.send_signal(number)
            if number == signal.SIGTERM:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.process.wait(DRAIN)
                if self.process.poll() is None:  # somebody is still logged in
                    self.process.send_signal(number)
        status = self.wait()
        assert "Traceback" not in self.log, self.log
        return status


def _serves(number: int, monitor: int) -> bool:
    """Say whether a process is one of the server's own, or was and is about to be reaped by its monitor."""
    try:
        line = Path(f"/proc/{number}/cmdline").read_bytes()
        parent = int(Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return True
    return b"sshkit_cli.server" in line or (not line and parent == monitor)


def read_to_end(sock: socket.socket) -> bytes:
    """Return everything until the server ends the connection; a reset is an end too."""
    parts = []
    try:
        while part := sock.recv(65536):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)
