"""How long a command takes that connects, logs in and does nothing: sshkit-client beside ssh.

Called by `__main__`; a real sshd at the other end, both clients in turn, medians.
"""

import resource
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from benchmarks.measure import server
from benchmarks.peers import openssh

EXCHANGES: dict[str, tuple[str, ...]] = {
    "by their own defaults": (),
    "by curve25519": ("-oKexAlgorithms=curve25519-sha256",),
}


def show(folder: Path, rounds: int) -> None:
    """Print a line for each client and key exchange."""
    if not openssh.is_present():
        return
    programs = {"openssh": "ssh", "sshkit": str(Path(sys.executable).with_name("sshkit-client"))}
    with server(folder, "openssh") as ends:
        options = (
            *("-F", "none", "-p", str(ends.port), "-i", f"{folder}/user", "-oIdentityAgent=none"),
            *("-o", f"UserKnownHostsFile={folder}/known_hosts", "-oLogLevel=ERROR"),
        )
        for title, exchange in EXCHANGES.items():
            taken: dict[str, list[tuple[float, float]]] = {name: [] for name in programs}
            for _ in range(rounds):
                for name, program in programs.items():
                    taken[name].append(once([program, *options, *exchange, f"{ends.user}@127.0.0.1", "true"]))
            print(f"\nstart: HOST true, {title}")
            base = median(processor for _, processor in taken["openssh"])
            for name, found in taken.items():
                wall, processor = (median(each[index] for each in found) for index in (0, 1))
                print(
                    f"  {name:16}{1000 * wall:7.0f} ms, {1000 * processor:5.0f} ms of processor "
                    f"({processor / base:.2f} x OpenSSH)",
                    flush=True,
                )


def once(argv: list[str]) -> tuple[float, float]:
    """Return seconds and processor seconds of one run."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, timeout=60)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
