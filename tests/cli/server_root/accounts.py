"""Accounts that tests make and remove, and sshkit-server as root starts it for them."""

import os
import pwd
import re
import select
import socket
import subprocess
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from sshkit_keys import generate_private_key
from sshkit_keys.key_files import write_private_key

from tests.servers import TIMEOUT, OwnServer, Place

#: Accounts of this process' own: other processes run the same tests at the same time.
NAMES = (f"skanna{os.getpid()}", f"skbert{os.getpid()}")
GROUP = f"skcrew{os.getpid()}"


class Users:
    """Accounts with homes of their own, where their keys are."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in NAMES:
            key = generate_private_key("ed25519")
            write_private_key(folder / name, key.to_openssh(random_bytes=os.urandom))
            entry = pwd.getpwnam(name)
            home = Path(entry.pw_dir)
            (home / ".ssh").mkdir(mode=0o700)
            (home / ".ssh" / "authorized_keys").write_text(key.public.to_line() + "\n")
            (home / "secret").write_text(f"of {name}\n")
            (home / "secret").chmod(0o600)
            for path in (home / ".ssh", home / ".ssh" / "authorized_keys", home / "secret"):
                os.chown(path, entry.pw_uid, entry.pw_gid)


class RootServer(OwnServer):
    """A server for all accounts."""

    def as_user(
        self, name: str, *command: str, options: Sequence[str] = (), input: bytes = b""
    ) -> "subprocess.CompletedProcess[bytes]":
        return self.ssh(*command, user=name, identity=name, options=options, input=input)


class Watch:
    """Processes whose ends are waited for."""

    def __init__(self, pids: Iterable[int]) -> None:
        self._fds = {pid: os.pidfd_open(pid) for pid in pids}

    @property
    def pids(self) -> list[int]:
        return list(self._fds)

    def wait(self) -> None:
        """Wait until all of them have ended."""
        for pid, fd in self._fds.items():
            assert select.select([fd], [], [], TIMEOUT)[0], f"{pid} goes on"
            os.close(fd)
        self._fds.clear()


Start = Callable[..., RootServer]


def write_config(place: Place, *lines: str) -> Path:
    path = place.folder / "sshd_config"
    # What comes first counts, and Match blocks come last.
    general = [line for line in lines if not line.startswith(("Match", " "))]
    blocks = [line for line in lines if line.startswith(("Match", " "))]
    rest = (
        "ListenAddress 127.0.0.1",
        "Port 0",
        f"HostKey {place.folder / 'host'}",
        "AuthorizedKeysFile .ssh/authorized_keys",
        "LogLevel VERBOSE",
        "PasswordAuthentication no",
        "KbdInteractiveAuthentication no",
        "PerSourcePenalties no",
        "UsePAM no",
        "PrintLastLog no",
        "PrintMotd no",
        "PidFile none",
        "Subsystem sftp internal-sftp",
    )
    path.write_text("".join(f"{line}\n" for line in (*general, *rest, *blocks)))
    return path


def sftp_line(server: RootServer, name: str) -> list[str]:
    line = server.ssh_command(user=name, identity=name)
    at = line.index("-p")
    return ["sftp", "-q", "-b", "-", *line[1:at], "-P", str(server.port), f"{name}@127.0.0.1"]


def started(server: RootServer, name: str, command: str) -> "subprocess.Popen[bytes]":
    """Start a command, and wait for its first line."""
    line = server.ssh_command(f"echo up; {command}", user=name, identity=name)
    process = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    return process


def ids_of(pid: int) -> tuple[set[int], set[int]]:
    """Return all user and group numbers of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = [re.search(rf"^{word}:(.*)$", status, re.MULTILINE) for word in ("Uid", "Gid")]
    uids, gids = ({int(number) for number in match[1].split()} for match in found if match is not None)
    return uids, gids


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
        return port
