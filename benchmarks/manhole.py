"""The manhole: from a key to its echo over loopback, the memory of one that waits, and what importing costs.

The manhole runs in a process of its own; all sessions are of one connection, on a terminal of 80 by 24.
Who types does so with ten keys a second.
"""

import asyncio
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sshkit_keys import PrivateKey, generate_private_key

import sshkit
from benchmarks.imports import seconds

KEYS = 80  #: typed in each session
LINE = 40  #: keys after which the line is cleared
PAUSE = 0.1  #: seconds between two keys of one person: a fast typist's
IDLE_SESSIONS = 9  #: more are not let in on one connection

SERVER = """
import asyncio, gc, sys
from pathlib import Path
import sshkit, sshkit.manhole
from sshkit_keys import generate_private_key

def resident():
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

async def main():
    key = generate_private_key("ed25519")
    who = dict(authorized_keys=[sys.argv[1]], host_key=key, max_sessions=100)
    async with sshkit.manhole.serve({}, "127.0.0.1", 0, **who):
        pass  # everything that it imports is there now
    before = resident()
    async with sshkit.manhole.serve({"resident": resident}, "127.0.0.1", 0, **who) as manhole:
        await asyncio.sleep(0.2)
        loaded = "prompt_toolkit" in sys.modules
        print(manhole.port, resident() - before, loaded, key.public.fingerprint(), flush=True)
        await asyncio.sleep(600)

sshkit.run(main())
"""


class Typist:
    """One person who types and waits for the echo."""

    def __init__(self, process: "sshkit.ClientProcess") -> None:
        self.process = process

    async def until(self, words: bytes) -> bytes:
        """Read until they come."""
        seen = b""
        while words not in seen:
            data = await self.process.stdout.read(65536)
            if not data:
                raise RuntimeError(f"the session ended: {seen[-1000:]!r}")
            seen += data
        return seen

    async def type(self, count: int, wait: float) -> list[float]:
        """Return the seconds from each key to its echo."""
        times = []
        await asyncio.sleep(wait)
        for number in range(count):
            key = b"abcdefghij"[number % 10 : number % 10 + 1]
            if number % LINE == LINE - 1:
                self.process.stdin.write(b"\x03")
                await self.until(b"In [")
                await asyncio.sleep(0.1)
            began = time.perf_counter()
            self.process.stdin.write(key)
            await self.until(key)
            times.append(time.perf_counter() - began)
            await asyncio.sleep(PAUSE)
        return times


class Manhole:
    """One that runs, and a connection to it."""

    def __init__(self, connection: "sshkit.ClientConnection", memory: int, loaded: bool) -> None:
        self.connection = connection
        self.memory = memory  #: bytes beyond imports while nobody has connected
        self.loaded = loaded  #: whether prompt_toolkit was, by then

    async def typist(self) -> Typist:
        """Open a session."""
        typist = Typist(await self.connection.start(None, terminal="xterm-256color"))
        await typist.until(b"In [1]")
        return typist

    async def resident(self, typist: Typist) -> int:
        """Return the bytes of memory of its process."""
        await asyncio.sleep(0.5)
        typist.process.stdin.write(b"'it is %d.' % resident()\r")
        seen = await typist.until(b"it is ")
        while True:
            seen += await typist.process.stdout.read(65536)
            for part in seen.split(b"it is ")[1:]:
                digits, dot, _ = part.partition(b".")
                if dot and digits.isdigit():
                    return int(digits)


@asynccontextmanager
async def manhole() -> AsyncIterator[Manhole]:
    """Run a manhole in another process and connect."""
    key: PrivateKey = generate_private_key("ed25519")
    served = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", SERVER, key.public.to_line()],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert served.stdout is not None
        port, memory, loaded, fingerprint = served.stdout.readline().split()
        async with sshkit.connect(
            f"joe@127.0.0.1:{port}", identities=[key], host_keys=[fingerprint]
        ) as connection:
            yield Manhole(connection, int(memory), loaded == "True")
    finally:
        served.kill()
        served.wait()


async def echoes(sessions: int, typing: int) -> list[float]:
    """Return the times of all keys while `typing` of `sessions` type."""
    async with manhole() as hole:
        typists = [await hole.typist() for _ in range(sessions)]
        await asyncio.sleep(1)
        every = await asyncio.gather(
            *(typist.type(KEYS, number * PAUSE / typing) for number, typist in enumerate(typists[:typing]))
        )
        return [each for times in every for each in times]


async def memory() -> tuple[int, bool, int]:
    """Return the bytes of an idle manhole, whether it loaded prompt_toolkit, and the bytes of a session."""
    async with manhole() as hole:
        first = await hole.typist()
        before = await hole.resident(first)
        typists = [await hole.typist() for _ in range(IDLE_SESSIONS)]
        after = await hole.resident(first)
        return hole.memory, hole.loaded, (after - before) // len(typists)


def show(rounds: int) -> None:
    """Print the table."""
    print("\nthe manhole, milliseconds from a key to its echo: median, 95 of 100")
    for sessions, typing in ((1, 1), (10, 1), (10, 10)):
        times = sorted(each for _ in range(rounds) for each in sshkit.run(echoes(sessions, typing)))
        slow = times[len(times) * 95 // 100]
        name = f"{sessions} open, {typing} typing"
        print(f"  {name:22}{statistics.median(times) * 1000:14.2f}{slow * 1000:8.2f}")
    idle, loaded, session = sshkit.run(memory())
    print(f"  memory of an idle manhole beyond imports, KiB: {idle // 1024}")
    print(f"  memory of an idle session, KiB: {session // 1024}")
    print(f"  an idle manhole has loaded prompt_toolkit: {'yes' if loaded else 'no'}")
    bare = statistics.median(seconds("pass") for _ in range(rounds + 2))
    both = statistics.median(seconds("import sshkit.manhole") for _ in range(rounds + 2))
    print(f"  import sshkit.manhole, milliseconds beyond a bare interpreter: {(both - bare) * 1000:.0f}")


if __name__ == "__main__":
    show(1)
