"""What one transfer costs in memory: how much client and server grow while it goes on, at two sizes.

Called by `python -m benchmarks sftp`.  Counted is the proportional set size, before the transfer and at
its highest during it, looked at every 20 ms.
"""

import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from benchmarks.measure import server

SIZES = {"64 MiB": 64 << 20, "2 GiB": 2 << 30}
EVERY = 0.02  #: seconds between two looks
LIMIT = 16 * 1024  #: KiB that one transfer may cost

CLIENT = """
import sys
import sshkit

port, folder, kind, source = sys.argv[1:5]

async def main():
    options = {"known_hosts": f"{folder}/known_hosts", "identities": [f"{folder}/user"]}
    async with sshkit.connect(f"joe@127.0.0.1:{port}", **options) as connection, connection.sftp() as sftp:
        await sftp.listdir(folder)
        print("ready", flush=True)
        sys.stdin.readline()
        move = sftp.get if kind == "get" else sftp.put
        await move(source, "/dev/null", atomic=False, sparse=False)
        print("done", flush=True)

sshkit.run(main(), engine="native")
"""


def proportional(pid: int) -> int:
    """Return the proportional set size of a process in KiB."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    raise RuntimeError("no Pss line")


def growth(folder: Path, kind: str, size: int) -> tuple[int, int]:
    """Return by how many KiB client and server grow while a file of `size` is moved."""
    source = folder / "source"
    with source.open("wb") as file:
        file.truncate(size)  # a hole: it takes no room, and all of it is read and sent
    with server(folder, "sshkit") as ends:
        argv = [sys.executable, "-c", CLIENT, str(ends.port), str(folder), kind, str(source)]
        client = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert client.stdin is not None
        assert client.stdout is not None
        assert client.stdout.readline() == "ready\n"
        pids = (client.pid, ends.pid)
        before = [proportional(pid) for pid in pids]
        most = list(before)
        over = threading.Event()

        def look() -> None:
            while not over.wait(EVERY):
                for number, pid in enumerate(pids):
                    most[number] = max(most[number], proportional(pid))

        watcher = threading.Thread(target=look)
        watcher.start()
        client.stdin.write("go\n")
        client.stdin.flush()
        assert client.stdout.readline() == "done\n"
        over.set()
        watcher.join()
        client.wait(10)
    source.unlink()
    return most[0] - before[0], most[1] - before[1]


def show() -> None:
    """Print what transfers cost."""
    from benchmarks.__main__ import make_keys

    print("\nsftp: memory of one transfer, MiB more than before it, at its highest: client, server")
    with tempfile.TemporaryDirectory(prefix="sshkit-bench-") as text:
        folder = Path(text)
        make_keys(folder)
        for kind in ("get", "put"):
            for name, size in SIZES.items():
                near, far = growth(folder, kind, size)
                verdict = "" if max(near, far) <= LIMIT else f"   over {LIMIT >> 10}"
                print(f"  {kind} {name:8}{near / 1024:8.1f}{far / 1024:8.1f}{verdict}", flush=True)
