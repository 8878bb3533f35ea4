"""What a connection costs that is logged in and idle: the server's resident memory, by a thousand of them."""

import resource
import subprocess
import sys
import tempfile
from pathlib import Path

CONNECTIONS = 1000
MANY = 10_000  #: of our own server; each end needs as many descriptors
FIRST = 100  #: connections before counting starts: what a server loads once is not counted
WAIT = 12.0  #: seconds to let everything come to rest

CLIENT = """
import sys
import sshkit
from sshkit.reactor.current import current

port, folder, first, more, wait = int(sys.argv[1]), sys.argv[2], *map(float, sys.argv[3:6])

async def main():
    kept = []
    async def one():
        kept.append(await sshkit.connect(f"joe@127.0.0.1:{port}", identities=[f"{folder}/user"],
                                         host_key_policy="off", known_hosts=(), keepalive=0))
    async def some(count):
        for _ in range(count // 10):
            await sshkit.gather(*(one() for _ in range(10)))
    await some(int(first))
    print("ready", flush=True)
    sys.stdin.readline()
    await some(int(more))
    pause = sshkit.Deferred()
    current().call_later(wait, pause.callback, None)
    await pause
    print("idle", flush=True)
    sys.stdin.readline()

sshkit.run(main(), engine="native")
"""


def resident(pid: int) -> int:
    """Return the resident memory of a process in KiB."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Rss:"):
            return int(line.split()[1])
    raise RuntimeError("no Rss line")


def each(name: str, connections: int) -> float:
    """Return the KiB that each of so many connections costs this server."""
    from benchmarks.__main__ import make_keys
    from benchmarks.measure import server

    with tempfile.TemporaryDirectory(prefix="sshkit-idle-") as text:
        folder = Path(text)
        make_keys(folder)
        with server(folder, name) as ends:
            numbers = (ends.port, text, FIRST, connections, WAIT)
            argv = [sys.executable, "-c", CLIENT, *map(str, numbers)]
            client = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            assert client.stdin is not None
            assert client.stdout is not None
            client.stdout.readline()
            before = resident(ends.pid)
            client.stdin.write("\n")
            client.stdin.flush()
            if client.stdout.readline() != "idle\n":
                raise RuntimeError(f"{name}: not all of {connections} connections were served")
            after = resident(ends.pid)
            client.terminate()
            client.wait(30)
    return (after - before) / connections


def show() -> None:
    """Print how much one connection costs each server."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    for connections, names in ((CONNECTIONS, ("sshkit", "asyncssh", "conch")), (MANY, ("sshkit",))):
        print(f"\n{connections} idle logged-in connections, KiB of the server each")
        for name in names:
            print(f"  {name:18}{each(name, connections):8.1f}", flush=True)
