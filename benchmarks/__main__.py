"""``make bench``: the table of docs/performance.md.

``python -m benchmarks [--rounds N] [--quick] [case ...]``; cases: bulk login exec mixed sftp forward
start import keys idle workers storm manhole tls core.
"""

import argparse
import os
import platform
import sys
import tempfile
import time
from pathlib import Path

from sshkit_keys import generate_private_key
from sshkit_keys.key_files import write_private_key, write_public_key

from benchmarks import core, forward, idle, imports, keys, manhole, sftp, start, tls, workers
from benchmarks.measure import Case, Count, interleaved, median, run_case, server
from benchmarks.peers import openssh

GIB = 1 << 30
AES = "aes128-gcm@openssh.com"
CHACHA = "chacha20-poly1305@openssh.com"
CTR, ETM, SHA2 = "aes256-ctr", "hmac-sha2-256-etm@openssh.com", "hmac-sha2-256"
#: Conch has no AEAD cipher and no -etm MAC, so it is met in cases of its own.
WITH_CONCH = ["sshkit", "conch"]
CASES = (
    "bulk",
    "login",
    "exec",
    "mixed",
    "sftp",
    "forward",
    "start",
    "import",
    "keys",
    "idle",
    "workers",
    "storm",
    "manhole",
    "tls",
    "core",
)
WITHOUT_CONCH = ["sshkit", "openssh", "asyncssh"]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("cases", nargs="*", metavar="case", help=" ".join(CASES))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="a quarter of everything")
    options = parser.parse_args()
    options.cases = options.cases or list(CASES)
    for case in options.cases:
        if case not in ("down", "up", *CASES):
            parser.error(f"there is no case {case!r}, but down up {' '.join(CASES)}")
    share = 4 if options.quick else 1
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # programs are installed with their byte code
    print(
        f"{time.strftime('%Y-%m-%d')}, Python {platform.python_version()}, {os.cpu_count()} processors, ",
        end="",
    )
    print(f"{options.rounds} interleaved rounds, medians; load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory(prefix="sshkit-bench-") as name:
        folder = Path(name)
        make_keys(folder)
        for case, names in cases(share):
            if case.kind in options.cases or (case.is_bulk and "bulk" in options.cases):
                compare(folder, case, names, options.rounds)
        if "mixed" in options.cases:
            mixed(folder, GIB // share, options.rounds)
        if "sftp" in options.cases:
            with tempfile.TemporaryDirectory(prefix="sshkit-bench-", dir="/dev/shm") as memory:
                shm = Path(memory)
                make_keys(shm)
                sftp.make_files(shm, GIB // share)
                for case in sftp.cases(share):
                    sftp.compare(shm, case, options.rounds)
                sftp.over_delay(shm, GIB // share, max(1, options.rounds // 2))
        if "forward" in options.cases:
            forward.show(folder, options.rounds, share)
        if "start" in options.cases:
            start.show(folder, options.rounds * 3)
        if "keys" in options.cases:
            keys.show(folder, options.rounds)
        if "workers" in options.cases:
            workers.show(folder, options.rounds)
        if "storm" in options.cases:
            workers.show_storm(folder)
    if "tls" in options.cases:
        tls.show(options.rounds)
    if "core" in options.cases:
        core.show(options.rounds, share)
    if "manhole" in options.cases:
        manhole.show(options.rounds)
    if "import" in options.cases:
        imports.show(options.rounds * 3)
    if "idle" in options.cases:
        idle.show()
    return 0


def cases(share: int) -> list[tuple[Case, list[str]]]:
    """Return every case with who takes part in it."""
    bulk = GIB // share
    found = [
        (Case(f"bulk {kind}, {cipher}", kind, bulk, 1, cipher, ETM), WITHOUT_CONCH)
        for cipher in (AES, CHACHA, CTR)
        for kind in ("down", "up")
    ]
    for kind, title, amount in (
        ("login", "connect, log in, true, close", 320),
        ("exec", "exec on an open connection", 800),
    ):
        for wide in (16, 1):
            name = f"{title}; {wide} wide"
            found.append((Case(f"{name}, {AES}", kind, amount // share, wide, AES, ETM), WITHOUT_CONCH))
            found.append(
                (Case(f"{name}, {CTR}", kind, amount // share, wide, CTR, SHA2), ["sshkit", "conch"])
            )
    return found


def make_keys(folder: Path) -> None:
    """Make the throw-away host and user key."""
    for role in ("host", "user"):
        key = generate_private_key("ed25519", comment=role)
        write_private_key(folder / role, key.to_openssh(random_bytes=os.urandom))
        write_public_key(folder / f"{role}.pub", key.public)


def compare(folder: Path, case: Case, names: list[str], rounds: int) -> None:
    """Print one case: both ends of each name, and the ratios to sshkit."""
    present = [name for name in names if name != "openssh" or openssh.is_present()]

    def once(name: str) -> Count:
        with server(folder, name) as ends:
            return run_case(ends, name, case)

    print(f"\n{case.title}")
    show(case, {name: median(counts) for name, counts in interleaved(rounds, present, once).items()})


def mixed(folder: Path, bulk: int, rounds: int) -> None:
    """Print our commands with OpenSSH on the other side, beside OpenSSH with itself."""
    if not openssh.is_present():
        print("\nmixed: OpenSSH is not installed")
        return
    pairs = {
        "openssh": ("openssh", "openssh"),
        "our client, sshd": ("sshkit-client", "openssh"),
        "ssh, our server": ("openssh", "sshkit-server"),
        "our commands": ("sshkit-client", "sshkit-server"),
    }
    for kind in ("down", "up"):
        case = Case(f"commands, bulk {kind}, {AES}", kind, bulk, 1, AES, ETM)

        def once(name: str, case: Case = case) -> Count:
            client, end = pairs[name]
            with server(folder, end) as ends:
                return run_case(ends, client, case)

        print(f"\n{case.title}")
        show(case, {name: median(counts) for name, counts in interleaved(rounds, list(pairs), once).items()})


def show(case: Case, results: dict[str, Count]) -> None:
    """Print the rows of one case; the last column is the cost in terms of the first row."""
    first = next(iter(results.values()))
    unit = case.amount / GIB if case.is_bulk else case.amount / 1000
    heading = "CPU s/GiB: client + server = both" if case.is_bulk else "CPU ms each: client + server = both"
    print(f"  {'':18}{heading:>40}{'MiB/s' if case.is_bulk else 'each s':>10}{'cost ratio':>12}")
    for name, count in results.items():
        both = count.client + count.server
        rate = case.amount / count.wall / (1 << 20 if case.is_bulk else 1)
        ratio = both / (first.client + first.server)
        parts = f"{count.client / unit:8.2f} + {count.server / unit:6.2f} = {both / unit:6.2f}"
        print(f"  {name:18}{parts:>40}{rate:10.0f}{ratio:12.2f}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
