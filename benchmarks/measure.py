"""Running one case between two ends and counting both.

Machines are shared and noisy: what counts first is processor seconds (user and system, whole process trees)
per GiB or per operation; rounds are interleaved and medians shown.
"""

import contextlib
import getpass
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from benchmarks.peers import openssh

TICK = 1 / os.sysconf("SC_CLK_TCK")
TIMEOUT = 120


class Case(NamedTuple):
    """One thing to do, and how much of it."""

    title: str
    kind: str
    amount: int
    wide: int = 1
    cipher: str = "aes128-gcm@openssh.com"
    mac: str = "hmac-sha2-256"

    @property
    def is_bulk(self) -> bool:
        """Counted in bytes."""
        return self.kind in ("down", "up")


class Count(NamedTuple):
    """What one round cost: processor seconds of each end, and seconds."""

    client: float
    server: float
    wall: float


def tree_cpu(pid: int) -> float:
    """Return the processor seconds of a process, its children and those it reaped.

    What runs is counted in nanoseconds by the scheduler, what was reaped in ticks of 10 ms.
    """
    total = 0.0
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += sum(int(value) for value in fields[13:15]) * TICK
        for task in Path(f"/proc/{pid}/task").iterdir():
            total += int((task / "schedstat").read_text().split()[0]) / 1e9
            for child in (task / "children").read_text().split():
                total += tree_cpu(int(child))
    except (FileNotFoundError, ProcessLookupError):
        pass
    return total


class Ends:
    """A server that runs, and how to drive a client against it."""

    def __init__(self, folder: Path, port: int, pid: int, user: str) -> None:
        self.folder = folder
        self.port = port
        self.pid = pid
        self.user = user


@contextlib.contextmanager
def server(folder: Path, name: str) -> Iterator[Ends]:
    """Run the server of a library, of OpenSSH, or sshkit-server."""
    user = "joe"
    port = free_port()
    if name == "openssh":
        argv, user = openssh.server_argv(folder, port), getpass.getuser()
    elif name == "sshkit-server":
        config = folder / "sshkit_config"
        config.write_text(
            f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nMaxStartups 500\nMaxSessions 500\n"
            f"AuthorizedKeysFile {folder}/user.pub\nStrictModes no\nLogLevel ERROR\n"
        )
        argv, user = [str(Path(sys.executable).parent / name), "-D", "-f", str(config)], getpass.getuser()
    else:
        argv, port = [sys.executable, "-m", f"benchmarks.peers.{name}_server", str(folder)], 0
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        if not port:
            port = int(process.stdout.readline())
        wait_for_port(port)
        (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {(folder / 'host.pub').read_text()}")
        yield Ends(folder, port, process.pid, user)
    finally:
        process.terminate()
        process.wait(10)


def run_case(ends: Ends, client: str, case: Case) -> Count:
    """Do one case with one client; count both ends."""
    before = tree_cpu(ends.pid)
    if client in ("openssh", "sshkit-client"):
        program = "ssh" if client == "openssh" else str(Path(sys.executable).parent / client)
        argv = openssh.client(ends.folder, ends.port, ends.user, case.cipher, case.mac, program)
        files = str(ends.folder / "files")
        result = openssh.run_case(argv, case.kind, case.amount, case.wide, files)
    else:
        argv = [
            sys.executable,
            "-W",
            "ignore",
            "-m",
            f"benchmarks.peers.{client}_client",
            case.kind,
            str(ends.port),
        ]
        argv += [str(ends.folder), str(case.amount), str(case.wide), case.cipher, case.mac]
        environment = {**os.environ, "BENCHMARK_USER": ends.user}
        done = subprocess.run(
            argv, capture_output=True, text=True, timeout=TIMEOUT, check=False, env=environment
        )
        if done.returncode:
            raise RuntimeError(f"{client}: {case.title}: {done.stderr[-2000:]}")
        result = json.loads(done.stdout.splitlines()[-1])
    settle(ends.pid)
    return Count(result["cpu"], tree_cpu(ends.pid) - before, result["wall"])


def settle(pid: int) -> None:
    """Wait until the server's processes have done their last work and were reaped."""
    last = -1.0
    for _ in range(50):
        now = tree_cpu(pid)
        if now == last:
            return
        last = now
        time.sleep(0.05)


def interleaved(rounds: int, names: list[str], once: Callable[[str], Count]) -> dict[str, list[Count]]:
    """Call `once` for each name in turn, `rounds` times."""
    counts: dict[str, list[Count]] = {name: [] for name in names}
    for _ in range(rounds):
        for name in names:
            counts[name].append(once(name))
    return counts


def median(counts: list[Count]) -> Count:
    """Return the median of each figure."""
    return Count(*(statistics.median(values) for values in zip(*counts, strict=True)))


def free_port() -> int:
    """Return a loopback port that nobody listens at."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def wait_for_port(port: int) -> None:
    """Wait until something listens there."""
    for _ in range(200):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise RuntimeError(f"nothing listens at port {port}")
