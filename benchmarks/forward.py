"""Forwards: one stream through ``-L``, and many short connections; sshkit, OpenSSH and asyncssh in one run.

``python -m benchmarks.forward [--rounds N] [--quick] [stream connections]``.  The processor time is that of
the two ends of the forward alone: who sends, and who is sent to, is this program.
"""

import argparse
import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measure import (
    Count,
    Ends,
    free_port,
    interleaved,
    median,
    server,
    settle,
    tree_cpu,
    wait_for_port,
)
from benchmarks.peers import openssh

GIB = 1 << 30
CHUNK = 256 * 1024
SMALL = 1024
CIPHER = "aes128-gcm@openssh.com"
MAC = "hmac-sha2-256-etm@openssh.com"
#: Who holds the forward, and the server that makes the connections.
PAIRS = {
    "sshkit": ("sshkit", "sshkit"),
    "openssh": ("openssh", "openssh"),
    "asyncssh": ("asyncssh", "asyncssh"),
    "sshkit to sshd": ("sshkit", "openssh"),
    "ssh to sshkit": ("openssh", "sshkit"),
}


class Target:
    """Where the forward leads: swallows streams, or answers each connection with what it sent."""

    def __init__(self, echo: bool) -> None:
        self._echo = echo
        self._sock = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = int(self._sock.getsockname()[1])
        self.received = 0
        self.ended = threading.Event()
        for _ in range(16 if echo else 1):
            threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        buffer = bytearray(CHUNK)
        while True:
            try:
                connection, _ = self._sock.accept()
            except OSError:
                return
            with connection:
                if self._echo:
                    connection.sendall(connection.recv(SMALL))
                    continue
                while size := connection.recv_into(buffer):
                    self.received += size
                if self.received:  # not the one that only looked whether the port is there
                    self.ended.set()

    def close(self) -> None:
        """Take no more connections."""
        self._sock.close()


@contextlib.contextmanager
def forward(ends: Ends, client: str, target: int) -> Iterator[tuple[int, int]]:
    """Hold a forward to `target`; give the client's process and its port."""
    port = free_port()
    if client == "openssh":
        argv = openssh.client(ends.folder, ends.port, ends.user, CIPHER, MAC)
        argv[-1:-1] = ["-N", "-L", f"127.0.0.1:{port}:127.0.0.1:{target}"]
    else:
        argv = [sys.executable, "-W", "ignore", "-m", f"benchmarks.peers.{client}_forward"]
        argv += [str(ends.port), str(ends.folder), ends.user, CIPHER, MAC, str(port), str(target)]
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL)
    try:
        wait_for_port(port)
        yield process.pid, port
    finally:
        process.terminate()
        process.wait(10)


def run_stream(port: int, target: Target, amount: int) -> None:
    """Send `amount` bytes through the forward."""
    data = bytes(CHUNK)
    target.ended.clear()
    target.received = 0
    with socket.create_connection(("127.0.0.1", port)) as sock:
        for _ in range(amount // CHUNK):
            sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        target.ended.wait(120)
    assert target.received == amount, target.received


def run_connections(port: int, count: int, wide: int) -> None:
    """Make `count` connections that send and get 1 KiB, `wide` at a time."""

    def worker() -> None:
        data = bytes(SMALL)
        for _ in range(count // wide):
            with socket.create_connection(("127.0.0.1", port)) as sock:
                sock.sendall(data)
                got = 0
                while part := sock.recv(SMALL):
                    got += len(part)
                assert got == SMALL, got

    threads = [threading.Thread(target=worker) for _ in range(wide)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def measure(folder: Path, name: str, kind: str, amount: int, wide: int) -> Count:
    """Count one round of one pair."""
    client, far = PAIRS[name]
    target = Target(kind == "connections")
    with server(folder, far) as ends, forward(ends, client, target.port) as (pid, port):
        run_connections(port, 32, 4) if kind == "connections" else run_stream(port, target, 32 << 20)
        settle(ends.pid)
        settle(pid)
        near_before, far_before, began = tree_cpu(pid), tree_cpu(ends.pid), time.perf_counter()
        if kind == "connections":
            run_connections(port, amount, wide)
        else:
            run_stream(port, target, amount)
        wall = time.perf_counter() - began
        settle(ends.pid)
        settle(pid)
        count = Count(tree_cpu(pid) - near_before, tree_cpu(ends.pid) - far_before, wall)
    target.close()
    return count


def compare(folder: Path, kind: str, amount: int, wide: int, rounds: int, names: list[str]) -> None:
    """Print one case."""
    present = [name for name in names if "openssh" not in PAIRS[name] or openssh.is_present()]
    counts = interleaved(rounds, present, lambda name: measure(folder, name, kind, amount, wide))
    title = f"connections of {SMALL} bytes, {wide} wide" if kind == "connections" else "one stream"
    print(f"\nforward: {title}")
    for name in present:
        spent = median(counts[name])
        if kind == "stream":
            unit, rate, words = amount / GIB, amount / spent.wall / (1 << 20), "CPU s/GiB, {:6.0f} MiB/s"
        else:
            unit, rate, words = amount / 1000, amount / spent.wall, "CPU ms each, {:6.0f} a second"
        both = (spent.client + spent.server) / unit
        parts = f"{spent.client / unit:6.3f} + {spent.server / unit:6.3f} = {both:6.3f}"
        print(f"  {name:16}{parts} {words.format(rate)}", flush=True)


def show(
    folder: Path, rounds: int, share: int = 1, kinds: tuple[str, ...] = ("stream", "connections")
) -> None:
    """Print all cases; `share` is how much less to do."""
    names = list(PAIRS)
    if "stream" in kinds:
        compare(folder, "stream", GIB // share, 1, rounds, names)
    if "connections" in kinds:
        compare(folder, "connections", 1600 // share, 16, rounds, names)
        # Fewer: through OpenSSH each takes 40 ms, since Nagle's algorithm waits for an acknowledgement.
        compare(folder, "connections", 400 // share, 1, rounds, names)


def main() -> int:
    from benchmarks.__main__ import make_keys

    parser = argparse.ArgumentParser(prog="python -m benchmarks.forward", description="what forwards cost")
    parser.add_argument("kinds", nargs="*", default=["stream", "connections"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", action="append", help="a pair; all if none is given")
    options = parser.parse_args()
    if options.only:
        for name in set(PAIRS) - set(options.only):
            del PAIRS[name]
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    with tempfile.TemporaryDirectory(prefix="sshkit-bench-") as name:
        folder = Path(name)
        make_keys(folder)
        show(folder, options.rounds, 4 if options.quick else 1, tuple(options.kinds))
    return 0


if __name__ == "__main__":
    sys.exit(main())
