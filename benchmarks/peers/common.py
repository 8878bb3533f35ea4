"""What the client programs of all libraries have in common: the cases, and how they are counted.

A client program is called with the case, the port, the folder of keys, how much and how many at a time, and
the algorithms.  It prints one line of JSON: its own processor seconds for the case (start-up not counted) and
the seconds that passed.
"""

import json
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

CHUNK = 256 * 1024


class Job:
    """What a client program was asked to do."""

    def __init__(self) -> None:
        case, port, folder, amount, wide, cipher, mac = sys.argv[1:8]
        self.case = case
        self.port = int(port)
        self.folder = folder
        self.amount = int(amount)
        self.wide = int(wide)
        self.cipher = cipher
        self.mac = mac

    @property
    def user_key(self) -> str:
        return f"{self.folder}/user"

    async def repeat(
        self, gather: Callable[..., Awaitable[Any]], once: Callable[[], Awaitable[None]]
    ) -> None:
        """Call `once` `amount` times, `wide` at a time."""

        async def worker(count: int) -> None:
            for _ in range(count):
                await once()

        await gather(*(worker(self.amount // self.wide) for _ in range(self.wide)))


class Watch:
    """Counts from its making to `done`."""

    def __init__(self) -> None:
        self._wall = time.perf_counter()
        self._cpu = time.process_time()

    def done(self) -> None:
        """Print the line that the driver reads."""
        cpu, wall = time.process_time() - self._cpu, time.perf_counter() - self._wall
        print(json.dumps({"cpu": cpu, "wall": wall}), flush=True)


async def drive(
    job: Job,
    connect: Callable[[], Any],
    start: Callable[[Any, str], Awaitable[Any]],
    gather: Callable[..., Any],
) -> None:
    """Do one case with a library whose connections and processes have asyncio's shape.

    `connect()` is an async context manager of a connection with `run`; `start` gives a process with streams.
    """

    async def login() -> None:
        async with connect() as connection:
            await connection.run("true", check=True)

    if job.case == "login":
        await login()
        watch = Watch()
        await job.repeat(gather, login)
        watch.done()
        return
    async with connect() as connection:

        async def execute() -> None:
            await connection.run("true", check=True)

        await execute()
        watch = Watch()
        if job.case == "exec":
            await job.repeat(gather, execute)
        elif job.case == "down":
            process = await start(connection, f"zeros {job.amount}")
            left = job.amount
            while data := await process.stdout.read(CHUNK):
                left -= len(data)
            assert not left
        else:
            process = await start(connection, "sink")
            data = bytes(CHUNK)
            for _ in range(job.amount // CHUNK):
                process.stdin.write(data)
                await process.stdin.drain()
            process.stdin.write_eof()
            assert int(await process.stdout.read()) == job.amount
        watch.done()
