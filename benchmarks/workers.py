"""What a second worker brings, and how long an open session waits while many log in: sshkit-server itself.

``python -m benchmarks workers storm``.  Connections log in and end; no command is run, so that nobody's shell
and its start-up files are counted.

The clients run on the same processors, and take a part of what a second worker could have there.  So two
rows give the server one half of each processor only, by a control group, and leave the other half to the
clients.
"""

import contextlib
import getpass
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measure import Ends, free_port, settle, tree_cpu, wait_for_port

CLIENTS = 2  #: processes
WIDE = 8  #: logins at a time in each
LOGINS = 300  #: in each
STORM = 500
ECHOES = 400  #: before the storm; in it, as many as there is time for

LOGIN = """
import json, sys, time
import sshkit
port, folder, user = int(sys.argv[1]), sys.argv[2], sys.argv[3]
amount, wide = int(sys.argv[4]), int(sys.argv[5])

async def main():
    async def one():
        async with sshkit.connect(f"{user}@127.0.0.1:{port}", identities=[f"{folder}/user"], keepalive=0,
                                  host_key_policy="off", known_hosts=(), timeout=60):
            pass
    async def some():
        for _ in range(amount // wide):
            await one()
    await one()
    print("ready", flush=True)
    sys.stdin.readline()
    cpu, wall = time.process_time(), time.perf_counter()
    await sshkit.gather(*(some() for _ in range(wide)))
    print(json.dumps({"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}), flush=True)

sshkit.run(main(), engine="native")
"""

ECHO = """
import json, sys, time
import sshkit
from sshkit.reactor.current import current
port, folder, user, few = int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])

async def main():
    async with sshkit.connect(f"{user}@127.0.0.1:{port}", identities=[f"{folder}/user"], keepalive=0,
                              host_key_policy="off", known_hosts=()) as connection:
        process = await connection.start("exec cat")
        async def echo():
            began = time.perf_counter()
            process.stdin.write("x")
            await process.stdout.read(1)
            return time.perf_counter() - began
        calm = [await echo() for _ in range(few)]
        print("ready", flush=True)
        storm, until = [], time.perf_counter() + float(sys.stdin.readline())
        while time.perf_counter() < until:
            storm.append(await echo())
            pause = sshkit.Deferred()
            current().call_later(0.002, pause.callback, None)
            await pause
        print(json.dumps([sorted(calm), sorted(storm)]), flush=True)

sshkit.run(main(), engine="native")
"""


#: Microseconds in which the kernel hands out processor time to a control group.
PERIOD = 10_000


@contextlib.contextmanager
def halves(processors: int) -> Iterator[Path | None]:
    """Make a control group that has half the time of so many processors; None where that cannot be."""
    quota = PERIOD * processors // 2
    old, new = Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup")
    group = (old if old.is_dir() else new) / f"sshkit-benchmark-{os.getpid()}"
    try:
        group.mkdir()
        if old.is_dir():
            (group / "cpu.cfs_period_us").write_text(str(PERIOD))
            (group / "cpu.cfs_quota_us").write_text(str(quota))
        else:
            (group / "cpu.max").write_text(f"{quota} {PERIOD}")
    except OSError:
        with contextlib.suppress(OSError):
            group.rmdir()
        yield None
        return
    try:
        yield group
    finally:
        until = time.monotonic() + 10
        while (group / "cgroup.procs").read_text() and time.monotonic() < until:
            time.sleep(0.05)
        group.rmdir()


@contextlib.contextmanager
def daemon(folder: Path, workers: int, processors: int = 0, group: Path | None = None) -> Iterator[Ends]:
    """Run sshkit-server with so many workers, all its processes on so many processors (0: on all).

    `group`: the control group that it runs in.
    """
    port, user = free_port(), getpass.getuser()
    config = folder / "workers_config"
    config.write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nWorkers {workers}\nPidFile none\n"
        "MaxStartups 1000\nPerSourcePenalties no\nPermitRootLogin yes\nStrictModes no\nLogLevel ERROR\n"
        f"AuthorizedKeysFile {folder}/user.pub\n"
    )
    argv = [str(Path(sys.executable).parent / "sshkit-server"), "-D", "-f", str(config)]
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    if processors:
        os.sched_setaffinity(process.pid, sorted(os.sched_getaffinity(0))[:processors])
    if group is not None:
        (group / "cgroup.procs").write_text(str(process.pid))
    try:
        wait_for_port(port)
        yield Ends(folder, port, process.pid, user)
    finally:
        process.terminate()
        process.wait(20)


def client(code: str, ends: Ends, *arguments: int) -> subprocess.Popen[str]:
    """Start a client program, and wait until it is ready."""
    argv = [sys.executable, "-W", "ignore", "-c", code, str(ends.port), str(ends.folder), ends.user]
    argv += [str(each) for each in arguments]
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    if process.stdout.readline() != "ready\n":
        raise RuntimeError("the client has failed")
    return process


def go(process: subprocess.Popen[str], word: str = "") -> None:
    """Tell a client program to begin."""
    assert process.stdin is not None
    process.stdin.write(f"{word}\n")
    process.stdin.flush()


def logins(folder: Path, workers: int, processors: int, half: bool) -> tuple[float, float, float] | None:
    """Return logins a second, and the processor ms of the server and of the clients for each.

    None where there is no control group for `half` of each processor.
    """
    with contextlib.ExitStack() as stack:
        group = stack.enter_context(halves(processors)) if half else None
        if half and group is None:
            return None
        ends = stack.enter_context(daemon(folder, workers, processors, group))
        clients = [client(LOGIN, ends, LOGINS, WIDE) for _ in range(CLIENTS)]
        settle(ends.pid)
        before = tree_cpu(ends.pid)
        for each in clients:
            go(each)
        results = [json.loads(each.communicate()[0]) for each in clients]
        settle(ends.pid)
        done = CLIENTS * (LOGINS // WIDE) * WIDE
        spent = tree_cpu(ends.pid) - before
        rate = done / max(each["wall"] for each in results)
        return rate, spent / done * 1e3, sum(each["cpu"] for each in results) / done * 1e3


def show(folder: Path, rounds: int) -> None:
    """Print what one worker does, and what two do."""
    print(f"\nsshkit-server, logins without a command, {CLIENTS} x {WIDE} wide, {os.cpu_count()} processors")
    counts: dict[tuple[int, int, bool], list[tuple[float, float, float]]] = {
        (1, 1, False): [],
        (1, 2, False): [],
        (2, 2, False): [],
        (1, 1, True): [],
        (2, 2, True): [],
    }
    for _ in range(rounds):
        for (workers, processors, half), found in counts.items():
            if (result := logins(folder, workers, processors, half)) is not None:
                found.append(result)
    for (workers, processors, half), found in counts.items():
        where = f"{processors} {'half ' * half}processor{'s' * (processors > 1)}"
        if not found:
            print(f"  Workers {workers} on {where}: not measured, there is no control group to be had")
            continue
        rate, server, spent = (statistics.median(each) for each in zip(*found, strict=True))
        print(
            f"  Workers {workers} on {where + ':':18} {rate:7.0f} each s, "
            f"CPU ms each: server {server:6.2f}, client {spent:5.2f}"
        )


def show_storm(folder: Path) -> None:
    """Print what an echo takes while nobody logs in, and while very many do."""
    print(f"\nan open session's echo, ms, while {STORM} log in at once")
    for workers in (1, 2):
        with daemon(folder, workers) as ends:
            echo = client(ECHO, ends, ECHOES)
            crowd = client(LOGIN, ends, STORM, STORM)
            began = time.perf_counter()
            go(echo, "4")
            go(crowd)
            passed = json.loads(crowd.communicate()[0])["wall"]
            calm, storm = json.loads(echo.communicate()[0])
            part = min(1.0, passed / (time.perf_counter() - began))
            print(
                f"  Workers {workers}:"
                f" calm median {calm[len(calm) // 2] * 1e3:.2f}, 99 % {percentile(calm):.2f};"
                f" storm ({passed:.1f} s, {part:.0%} of the time) median {storm[len(storm) // 2] * 1e3:.2f},"
                f" 99 % {percentile(storm):.2f}, most {storm[-1] * 1e3:.2f}"
            )


def percentile(ordered: list[float]) -> float:
    """Return the 99th percentile in ms."""
    return ordered[int(len(ordered) * 0.99)] * 1e3
