"""Files over SFTP: one large one, many small ones, questions and lists; each with itself and with sshd.

Called by `python -m benchmarks sftp`.  Files lie in a file system of memory, so that no disk is measured.
"""

import shutil
import statistics
from pathlib import Path

from benchmarks import sftp_memory
from benchmarks.delay import SlowPath, plain_rate
from benchmarks.measure import Case, Count, Ends, interleaved, median, run_case, server

GIB = 1 << 30
SMALL_FILES = 1000
SMALL_BYTES = 4096
NAMES = 100_000
#: Client and server of each line.
PAIRS = {
    "sshkit": ("sshkit", "sshkit"),
    "openssh": ("openssh", "openssh"),
    "asyncssh": ("asyncssh", "asyncssh"),
    "sshkit to sshd": ("sshkit", "openssh"),
    "sftp to sshkit": ("openssh", "sshkit"),
}


def cases(share: int) -> list[Case]:
    """Return what is done."""
    return [
        Case("get one file", "get", GIB // share),
        Case("put one file", "put", GIB // share),
        Case(f"get {SMALL_FILES} files of {SMALL_BYTES} bytes", "get-small", SMALL_FILES),
        Case(f"put {SMALL_FILES} files of {SMALL_BYTES} bytes", "put-small", SMALL_FILES),
        Case("stat, one at a time", "stat", 10_000 // share),
        Case("stat, 16 at a time", "stat", 16_000 // share, 16),
        Case(f"list {NAMES} names", "list", NAMES),
        Case("memory of one transfer", "memory", 0),
    ]


def make_files(folder: Path, amount: int) -> None:
    """Make both sides' files below `folder`."""
    far, near = folder / "files" / "far", folder / "files" / "near"
    for side in (far, near):
        (side / "small").mkdir(parents=True)
        with (side / "bulk").open("wb") as file:
            for _ in range(amount // (1 << 20)):
                file.write(bytes(1 << 20))
        for number in range(SMALL_FILES):
            (side / "small" / f"file{number:04}").write_bytes(bytes(SMALL_BYTES))
    (far / "many").mkdir()
    for number in range(NAMES):
        (far / "many" / f"name-{number:06}").touch()


def clean(folder: Path) -> None:
    """Remove what a case has made."""
    for path in ("near/got", "far/put"):
        (folder / "files" / path).unlink(missing_ok=True)
    for path in ("near/got-small", "far/put-small"):
        shutil.rmtree(folder / "files" / path, ignore_errors=True)


def compare(folder: Path, case: Case, rounds: int) -> None:
    """Print one case."""
    if case.kind == "memory":
        sftp_memory.show()
        return
    names = [name for name in PAIRS if not (case.kind == "stat" and PAIRS[name][0] == "openssh")]
    print(f"\nsftp: {case.title}")
    servers: dict[str, Ends] = {}
    managers = {}
    for name in {PAIRS[name][1] for name in names}:
        managers[name] = server(folder, name)
        servers[name] = managers[name].__enter__()

    def once(name: str) -> Count:
        client, far = PAIRS[name]
        ends = servers[far]
        known = f"[127.0.0.1]:{ends.port} {(folder / 'host.pub').read_text()}"
        (folder / "known_hosts").write_text(known)
        clean(folder)
        return run_case(ends, client, case)

    try:
        for name in names:
            once(name)  # warm
        counts = interleaved(rounds, names, once)
    finally:
        for manager in managers.values():
            manager.__exit__(None, None, None)
        clean(folder)
    for name in names:
        spent = median(counts[name])
        cpu = spent.client + spent.server
        if case.kind in ("get", "put"):
            size = case.amount / GIB
            rate = f"{cpu / size:6.2f} CPU s/GiB ({spent.client / size:.2f} + {spent.server / size:.2f})"
            rate += f", {case.amount / spent.wall / (1 << 20):6.0f} MiB/s"
        else:
            rate = f"{cpu / case.amount * 1e6:7.0f} CPU us each, {case.amount / spent.wall:8.0f} a second"
        print(f"  {name:16}{rate}", flush=True)


#: The path of the delay case: 400 Mbit/s and 100 ms there and back.
RATE, DELAY = 50 << 20, 0.05


def over_delay(folder: Path, amount: int, rounds: int) -> None:
    """Print what one file gets of a path with delay, where one plain TCP stream gets 100 %."""
    whole = statistics.median(plain_rate(RATE, DELAY, amount) for _ in range(rounds))
    print(
        f"\nsftp over {DELAY * 2000:.0f} ms and {RATE >> 20} MiB/s; plain TCP {whole / (1 << 20):.1f} MiB/s"
    )
    for kind in ("get", "put"):
        for name in ("sshkit", "openssh", "asyncssh", "sshkit to sshd"):
            client, far = PAIRS[name]
            rates = []
            with server(folder, far) as ends:
                path = SlowPath(ends.port, RATE, DELAY)
                through = Ends(ends.folder, path.port, ends.pid, ends.user)
                known = f"[127.0.0.1]:{path.port} {(folder / 'host.pub').read_text()}"
                (folder / "known_hosts").write_text(known)
                for _ in range(rounds):
                    clean(folder)
                    spent = run_case(through, client, Case("delay", kind, amount))
                    rates.append(amount / spent.wall)
                path.close()
            rate = statistics.median(rates)
            print(
                f"  {kind} {name:16}{rate / (1 << 20):6.1f} MiB/s, {rate / whole:4.0%} of plain TCP",
                flush=True,
            )
    clean(folder)
