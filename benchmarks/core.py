"""The event core beside Twisted, asyncio and uvloop: echoes, bulk, timers, Deferreds.

Processor time of the process that serves; the other end is the same plain program for all and is not
counted.  Run by `python -m benchmarks core`, and by itself as that other end.
"""

import contextlib
import json
import resource
import select
import socket
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

from benchmarks.idle import resident
from benchmarks.measure import tree_cpu

SIZE = 64
PIECE = bytes(256 * 1024)
TIMEOUT = 300
IDLE = 10_000
WARM = 2000  #: echoes before counting
SERVERS = ("sshkit", "sshkit-native", "twisted", "asyncio", "uvloop")
LOCALS = ("sshkit", "sshkit-native", "twisted", "asyncio")


class Case(NamedTuple):
    """One thing that servers do: its amount, over how many connections, and the unit of the figure."""

    title: str
    mode: str
    amount: int
    wide: int
    unit: str
    units: float  #: of the amount


def cases(share: int) -> list[Case]:
    """Return what is compared between servers."""
    found = [
        Case(f"64-byte echoes, {wide} wide", "echo", amount // share, wide, "us each", amount / share / 1e6)
        for wide, amount in ((1, 60_000), (50, 200_000), (500, 200_000))
    ]
    bulk = (2 << 30) // share
    for mode in ("receive", "send"):
        found.append(Case(f"bulk, the server's {mode}", mode, bulk, 1, "s/GiB", bulk / (1 << 30)))
    return found


def talk(mode: str, amount: int, wide: int, port: int) -> None:
    """Be the other end: tells when it is ready, works when told to, and ends when told to."""
    if mode == "idle":
        raise_limit()
    socks = [socket.create_connection(("127.0.0.1", port)) for _ in range(wide)]
    for sock in socks:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if mode == "echo":
        echo(socks, max(WARM, 4 * wide))
    elif mode == "idle":
        echo(socks[-1:], 1)  # all others were accepted before it
    elif mode == "send":
        socks[0].sendall(b"s")
    print("ready", flush=True)
    sys.stdin.readline()
    if mode == "echo":
        echo(socks, amount)
    elif mode == "send":
        socks[0].sendall(b"g%d\n" % amount)
        buffer = bytearray(len(PIECE))
        left = amount
        while left > 0:
            left -= socks[0].recv_into(buffer)
    elif mode == "receive":
        for _ in range(amount // len(PIECE)):
            socks[0].sendall(PIECE)
        socks[0].shutdown(socket.SHUT_WR)
        socks[0].recv(1)
    print("done", flush=True)
    sys.stdin.readline()


def raise_limit() -> None:
    """Have as many descriptors as may be."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def echo(socks: list[socket.socket], amount: int) -> None:
    """Have `amount` messages come back, one under way on each connection."""
    text = bytes(SIZE)
    poller = select.epoll()
    by_fd = {sock.fileno(): sock for sock in socks}
    for fd in by_fd:
        poller.register(fd, select.EPOLLIN)
    under_way = dict.fromkeys(by_fd, 0)
    sent = 0
    for sock in socks:
        sock.sendall(text)
        sent += 1
    back = 0
    while back < sent:
        for fd, _ in poller.poll(TIMEOUT):
            sock = by_fd[fd]
            under_way[fd] += len(sock.recv(4096))
            if under_way[fd] < SIZE:
                continue
            under_way[fd] = 0
            back += 1
            if sent < amount:
                sock.sendall(text)
                sent += 1
    poller.close()


@contextlib.contextmanager
def ends(kind: str, mode: str, amount: int, wide: int) -> "Iterator[tuple[int, subprocess.Popen[str]]]":
    """Run a server and the other end; give the server's process and, once it is ready, the other end."""
    python = [sys.executable, "-W", "ignore", "-m"]
    server = subprocess.Popen(
        [*python, "benchmarks.peers.core_servers", kind, mode], stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    port = server.stdout.readline().strip()
    words = [*python, "benchmarks.core", mode, str(amount), str(wide), port]
    client = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield server.pid, client
    finally:
        for process in (client, server):
            process.kill()
            process.wait(10)


def serve_once(case: Case, kind: str) -> float:
    """Return what one run cost the server, in the case's unit."""
    with ends(kind, case.mode, case.amount, case.wide) as (server, client):
        _expect(client, "ready")
        before = tree_cpu(server)
        assert client.stdin is not None
        client.stdin.write("go\n")
        client.stdin.flush()
        _expect(client, "done")
        return (tree_cpu(server) - before) / case.units


def idle_once(kind: str) -> float:
    """Return what each of many idle connections costs a server, in KiB of its memory."""
    found = []
    for wide in (1, IDLE):
        with ends(kind, "idle", 0, wide) as (server, client):
            _expect(client, "ready")
            found.append(resident(server))
    return (found[1] - found[0]) / IDLE


def _expect(client: "subprocess.Popen[str]", word: str) -> None:
    assert client.stdout is not None
    line = client.stdout.readline().strip()
    if line != word:
        raise RuntimeError(f"the other end said {line!r}, not {word!r}")


def run_local(kind: str) -> dict[str, float]:
    """Return the figures that a process finds out by itself."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "benchmarks.peers.core_local", kind],
        capture_output=True,
        text=True,
        check=True,
        timeout=TIMEOUT,
    )
    result: dict[str, float] = json.loads(done.stdout)
    return result


def interleaved(kinds: tuple[str, ...], rounds: int, once: Callable[[str], float]) -> dict[str, float]:
    """Return the median of each kind."""
    figures: dict[str, list[float]] = {kind: [] for kind in kinds}
    for _ in range(rounds):
        for kind in kinds:
            figures[kind].append(once(kind))
    return {kind: statistics.median(values) for kind, values in figures.items()}


def show(rounds: int, share: int) -> None:
    """Print all tables; the last column is the cost in terms of Twisted's."""
    for case in cases(share):
        print(f"\n{case.title}, processor time of the server")
        table(interleaved(SERVERS, rounds, partial(serve_once, case)), case.unit)
    raise_limit()
    print(f"\n{IDLE} idle connections, memory of the server")
    table({kind: idle_once(kind) for kind in SERVERS}, "KiB each")
    local: dict[str, dict[str, list[float]]] = {}
    for _ in range(rounds):
        for kind in LOCALS:
            for name, value in run_local(kind).items():
                local.setdefault(name, {}).setdefault(kind, []).append(value)
    for name, by_kind in local.items():
        print(f"\n{name}")
        table({kind: statistics.median(values) for kind, values in by_kind.items()}, "us each")


def table(medians: dict[str, float], unit: str) -> None:
    """Print one table."""
    reference = medians.get("twisted", 0.0)
    for kind, value in medians.items():
        ratio = f"{value / reference:8.2f}" if reference else ""
        print(f"  {kind:16}{value:9.3f} {unit}{ratio}", flush=True)


def main() -> None:
    """Be the other end of a server."""
    mode, amount, wide, port = sys.argv[1:]
    talk(mode, int(amount), int(wide), int(port))


if __name__ == "__main__":
    main()
