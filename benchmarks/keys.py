"""Keys and trust files: processor time of what people wait for, beside the peers in the same process.

Called by `python -m benchmarks keys`.  The peers' functions are their public ones; the known_hosts files
have 10,000 lines, and the host that is looked for stands three quarters down.  paramiko is
not asked there: its time grows with the square of the lines, to 40 seconds for these.
"""

import hmac
import os
import resource
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from statistics import median

import asyncssh
import paramiko
from sshkit_keys import KnownHosts, generate_private_key, load_private_key
from sshkit_keys.key_files import write_private_key

LINES = 10_000
WANTED = f"host{LINES * 3 // 4}.example.com"
SECOND = 1e3  # milliseconds


def show(folder: Path, rounds: int) -> None:
    """Print the table."""
    print("\nkeys and trust files, processor milliseconds (medians)")
    key = folder / "load-me"
    write_private_key(key, generate_private_key("ed25519").to_openssh(random_bytes=os.urandom))
    known = write_known_hosts(folder)
    cases: list[tuple[str, dict[str, Callable[[], object]]]] = [
        (
            "load an ed25519 key and sign once",
            {
                "sshkit": lambda: load_private_key(key).sign("ssh-ed25519", b"data"),
                "asyncssh": lambda: asyncssh.read_private_key(key).sign(b"data", b"ssh-ed25519"),
                "paramiko": lambda: paramiko.Ed25519Key(filename=str(key)).sign_ssh_data(b"data"),
            },
        )
    ]
    for kind, path in known.items():
        cases.append(
            (
                f"known_hosts of {LINES} {kind} lines, one host",
                {
                    "sshkit": lambda path=path: _find(path),  # type: ignore[misc]
                    "asyncssh": lambda path=path: asyncssh.match_known_hosts(str(path), WANTED, "", 22),  # type: ignore[misc]
                },
            )
        )
    for title, peers in cases:
        _compare(title, peers, rounds)
    _starts(key, rounds)


def _find(path: Path) -> object:
    match = KnownHosts.load([path]).lookup(WANTED)
    assert len(match.entries) == 1
    return match


def _compare(title: str, peers: dict[str, Callable[[], object]], rounds: int) -> None:
    spent: dict[str, list[float]] = {name: [] for name in peers}
    for run in peers.values():
        run()  # what is imported on first use is not what is asked
    for _ in range(rounds * 3):
        for name, run in peers.items():
            start = time.process_time()
            run()
            spent[name].append((time.process_time() - start) * SECOND)
    ours = median(spent["sshkit"])
    parts = [f"{name} {median(times):.2f} ({median(times) / ours:.1f} x)" for name, times in spent.items()]
    print(f"  {title}: {', '.join(parts)}")


def _starts(key: Path, rounds: int) -> None:
    """Compare the start of `sshkit-keygen -y` with what loading the library that signs costs alone."""
    floor = "from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey"
    programs = {
        "python": [sys.executable, "-I", "-c", "pass"],
        "python and cryptography's ed25519": [sys.executable, "-I", "-c", floor],
        "sshkit-keygen -y": [sys.executable, "-I", "-m", "sshkit_cli.keygen", "-y", "-f", str(key)],
        "ssh-keygen -y": ["ssh-keygen", "-y", "-f", str(key)],
    }
    spent: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(rounds * 3):
        for name, command in programs.items():
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run(command, check=True, capture_output=True)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            spent[name].append(used * SECOND)
    parts = [f"{name} {median(times):.0f}" for name, times in spent.items()]
    ratio = median(spent["sshkit-keygen -y"]) / median(spent["python and cryptography's ed25519"])
    print(f"  start: {', '.join(parts)}; sshkit-keygen is {ratio:.2f} times its floor")


def write_known_hosts(folder: Path) -> dict[str, Path]:
    """Write the two files."""
    paths = {"plain": folder / "plain", "hashed": folder / "hashed"}
    with paths["plain"].open("w") as plain, paths["hashed"].open("w") as hashed:
        for number in range(LINES):
            name = f"host{number + 1}.example.com"
            line = generate_private_key("ed25519").public.to_line()
            salt = os.urandom(20)
            parts = (b64encode(part).decode() for part in (salt, hmac.digest(salt, name.encode(), "sha1")))
            plain.write(f"{name},10.0.{number >> 8}.{number & 255} {line}\n")
            hashed.write(f"|1|{'|'.join(parts)} {line}\n")
    return paths
