"""A server that meets crowds and vandals: ``python -m benchmarks.soak --seconds 600``, or ``make soak``.

It starts sshkit-server in a process of its own, with two workers.  Round after round come a thousand
connections at once, connections that are reset at any byte, logins that are left half-way or refused, logins
that run a command, and reads over SFTP.  After each round, when all have gone, memory (PSS: what processes
share counts once) and descriptors of all its processes are noted; where they grow, the status is 1.  At the
end comes a client that wants nothing but to be served.
"""

import argparse
import contextlib
import os
import random
import resource
import socket
import struct
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

import sshkit
from sshkit.ssh.algorithms import DEFAULT
from sshkit.ssh.transport.negotiation import propose
from tests.servers import USER, OwnServer, Place

CROWD = 1000  #: connections at once
RESETS = 600  #: a round
HALF_LOGINS = 40
LOGINS = 40
READS = 10
AT_ONCE = 8  #: logins at a time
FILE_SIZE = 2_000_000
#: Rounds before counting starts, at least; of a long run the first half: pages that processes share until one
#: of them writes to them become its own one by one, and a heap grows until it has met the worst.
WARM_UP = 4
REST_TIME = 30.0  #: seconds for everything to come to rest after a round
#: KiB by which the least PSS of the last rounds may be over the least of those before.  The least, for what
#: is let go of together is collected now and then only: the figure climbs and falls back, round by round.
MAX_GROWTH = 6 * 1024
SHOWN_EVERY = 4.0  #: seconds

IDENTIFICATION = b"SSH-2.0-soak\r\n"


class Sample(NamedTuple):
    """What the server has at one time."""

    seconds: float
    processes: int
    pss: int  #: KiB
    descriptors: int
    each: tuple[int, ...]  #: KiB of each process


class Tally:
    """What was done."""

    def __init__(self) -> None:
        self.crowds = self.resets = self.half = self.logins = self.reads = 0


def packet(payload: bytes) -> bytes:
    """Return a packet in the clear."""
    padding = 4 + (-(9 + len(payload)) & 7)
    return struct.pack(">IB", 1 + len(payload) + padding, padding) + payload + bytes(padding)


MARKERS = ("ext-info-c", "kex-strict-c-v00@openssh.com")
#: A client's beginning, as far as it goes without mathematics.
BEGINNING = (
    IDENTIFICATION
    + packet(propose(DEFAULT, ("ssh-ed25519",), MARKERS, bytes(16)))
    + packet(b"\x1e" + struct.pack(">I", 32) + bytes(range(32)))
)


class Soak:
    """One run."""

    def __init__(self, server: OwnServer, seconds: float, seed: int) -> None:
        self.server = server
        self.seconds = seconds
        self.chance = random.Random(seed)
        self.tally = Tally()
        self.began = time.monotonic()
        self._shown = 0.0

    def sample(self) -> Sample:
        """Look at all processes of the server."""
        descriptors = 0
        each: list[int] = []
        for number in (self.server.process.pid, *self.server.processes()):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
                rollup = Path(f"/proc/{number}/smaps_rollup").read_text()
                descriptors += len(os.listdir(f"/proc/{number}/fd"))
                each.append(int(rollup.partition("\nPss:")[2].split()[0]))
        return Sample(time.monotonic() - self.began, len(each), sum(each), descriptors, tuple(each))

    def show(self, what: str, sample: Sample | None = None) -> None:
        """Print a line, if it is time for one."""
        now = time.monotonic()
        if sample is None and now - self._shown < SHOWN_EVERY:
            return
        self._shown = now
        found = sample or self.sample()
        print(
            f"{found.seconds:7.1f} s  {found.processes:4} processes {found.pss / 1024:8.1f} MiB"
            f" {found.descriptors:6} descriptors  {what}",
            flush=True,
        )

    # What comes.

    def client(self, key: Any) -> Any:
        """Return a connection to be."""
        return sshkit.connect(
            f"{USER}@127.0.0.1:{self.server.port}",
            identities=[key],
            host_key_policy="off",
            known_hosts=(),
        )

    async def crowd(self) -> None:
        """Be a thousand clients at once, who say some of what is to be said; some log in meanwhile."""
        with contextlib.ExitStack() as stack:
            for number in range(CROWD):
                sock = stack.enter_context(contextlib.closing(self.server.connect()))
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                with contextlib.suppress(OSError):
                    sock.sendall(BEGINNING[: self.chance.randrange(len(BEGINNING) + 1)])
                if number % 100 == 0:
                    await self.command()
                self.show("a crowd comes")
        self.tally.crowds += 1

    async def resets(self) -> None:
        """Go at any byte, of what is said or of what is heard."""
        for number in range(RESETS):
            with contextlib.suppress(OSError), contextlib.closing(self.server.connect()) as sock:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                if self.chance.random() < 0.5:
                    sock.recv(self.chance.randrange(1, 3000))
                sock.sendall(BEGINNING[: self.chance.randrange(len(BEGINNING) + 1)])
            self.tally.resets += 1
            if number % 100 == 0:
                self.show("connections are reset")

    async def half_login(self) -> None:
        """Log in with a key that is not let in, or be gone while the login is under way or just done."""
        self.tally.half += 1
        wrong = self.chance.random() < 0.4
        attempt = self.client(self.server.place.other_key if wrong else self.server.place.key)
        if wrong:
            with contextlib.suppress(sshkit.SSHKitError):
                await attempt
            return
        pause: sshkit.Deferred[None] = sshkit.Deferred()
        sshkit.current_reactor().call_later(self.chance.random() * 0.05, pause.callback, None)
        task = sshkit.ensure_deferred(_opened(attempt))
        await pause
        task.cancel()
        with contextlib.suppress(sshkit.SSHKitError, sshkit.CancelledError):
            connection = await task
            connection.layer.abort(sshkit.SSHKitError("enough"))

    async def command(self) -> None:
        """Log in, run a command, and go."""
        async with self.client(self.server.place.key) as connection:
            assert (await connection.run("echo well")).stdout == b"well\n"
        self.tally.logins += 1

    async def read(self) -> None:
        """Read a file over SFTP; every second one is left in the middle."""
        async with self.client(self.server.place.key) as connection:
            sftp = await connection.sftp()
            async with sftp.open(str(self.server.place.folder / "file")) as file:
                if self.chance.random() < 0.5:
                    assert len(await file.read(FILE_SIZE)) == FILE_SIZE
                else:
                    await file.read(100_000)
                    connection.layer.abort(sshkit.SSHKitError("enough"))
        self.tally.reads += 1

    # The whole.

    async def several(self, what: str, one: Callable[[], Awaitable[None]], count: int) -> None:
        """Do one thing many times, a few at once."""
        for _ in range(count // AT_ONCE):
            await sshkit.gather(*(sshkit.ensure_deferred(_of(one)) for _ in range(AT_ONCE)))
            self.show(what)

    async def round(self) -> None:
        """Do everything once."""
        await self.crowd()
        await self.resets()
        await self.several("logins are left half-way", self.half_login, HALF_LOGINS)
        await self.several("commands run", self.command, LOGINS)
        await self.several("files are read", self.read, READS)

    async def rest(self, processes: int) -> Sample:
        """Wait until the server has only its own processes, and no descriptor goes any more."""
        end = time.monotonic() + REST_TIME
        last = self.sample()
        while time.monotonic() < end:
            pause: sshkit.Deferred[None] = sshkit.Deferred()
            sshkit.current_reactor().call_later(0.5, pause.callback, None)
            await pause
            found = self.sample()
            if found.processes <= processes and found.descriptors == last.descriptors:
                return found
            last = found
        return last

    async def run(self) -> list[Sample]:
        """Go on until the time is over; return the server's state after each round."""
        first = await self.rest(1 + len(self.server.processes()))
        self.show("at the start", first)
        found: list[Sample] = []
        while time.monotonic() - self.began < self.seconds or len(found) < WARM_UP + 2:
            await self.round()
            found.append(await self.rest(first.processes))
            shown = " + ".join(f"{size / 1024:.1f}" for size in found[-1].each)
            self.show(f"at rest after round {len(found)}: {shown}", found[-1])
        await self.command()
        return found


async def _of(one: Callable[[], Awaitable[None]]) -> None:
    await one()


async def _opened(attempt: Any) -> Any:
    return await attempt


def slope(points: list[tuple[float, float]]) -> float:
    """Return how much the second figure grows for each of the first (least squares)."""
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0


def counted_of(samples: list[Sample]) -> list[Sample]:
    """Return those that count."""
    return samples[max(WARM_UP, len(samples) // 2) :]


def verdict(samples: list[Sample]) -> list[str]:
    """Return what grows; the first rounds do not count."""
    counted = counted_of(samples)
    first, last = counted[0], counted[-1]
    faults: list[str] = []
    if last.descriptors > first.descriptors:
        faults.append(f"descriptors grew from {first.descriptors} to {last.descriptors}")
    if last.processes > first.processes:
        faults.append(f"processes grew from {first.processes} to {last.processes}")
    middle = len(counted) // 2
    growth = min(found.pss for found in counted[middle:]) - min(found.pss for found in counted[:middle])
    if growth > MAX_GROWTH:
        faults.append(f"memory grew by {growth} KiB")
    return faults


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.soak", description="Soak a running sshkit-server.")
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    with tempfile.TemporaryDirectory(prefix="sshkit-soak-") as name:
        place = Place(Path(name))
        (place.folder / "file").write_bytes(bytes(FILE_SIZE))
        settings = ("Workers 2", "MaxStartups 4000", "LoginGraceTime 60", "LogLevel ERROR")
        config = place.config(*settings, "Subsystem sftp internal-sftp")
        server = OwnServer(place, "-D", "-f", str(config))
        soak = Soak(server, options.seconds, options.seed)
        try:
            samples = sshkit.run(soak.run(), engine="native")
        finally:
            server.stop()
        said = [line for line in server.log.splitlines() if "listening on" not in line]
    tally, counted = soak.tally, counted_of(samples)
    print(f"\n{len(samples)} rounds in {samples[-1].seconds:.0f} s (seed {options.seed}):", end=" ")
    print(f"{tally.crowds} crowds of {CROWD}, {tally.resets} resets, {tally.half} half logins,", end=" ")
    print(f"{tally.logins} commands, {tally.reads} reads")
    minutes = [(sample.seconds / 60, sample) for sample in counted]
    figures = [found.pss / 1024 for found in counted]
    print(f"PSS at rest {figures[0]:.1f} -> {figures[-1]:.1f} MiB", end=" ")
    print(f"({min(figures):.1f} to {max(figures):.1f}),", end=" ")
    print(f"slope {slope([(at, float(found.pss)) for at, found in minutes]):+.0f} KiB a minute;", end=" ")
    print(f"descriptors {counted[0].descriptors} -> {counted[-1].descriptors},", end=" ")
    print(f"slope {slope([(at, float(found.descriptors)) for at, found in minutes]):+.2f} a minute")
    faults = verdict(samples) + [f"the log says: {line}" for line in said[:10]]
    print("\n".join(faults) or "nothing grows, and the last client is served")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
