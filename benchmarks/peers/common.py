"""What the client programs of all libraries have in common: the cases, and how they are counted.

A client program is called with the case, the port, the folder of keys, how much and how many at a time, and
the algorithms.  It prints one line of JSON: its own processor seconds for the case (start-up not counted) and
the seconds that passed.
"""

import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

CHUNK = 256 * 1024
SFTP_CASES = ("get", "put", "get-small", "put-small", "stat", "list")


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
        self.user = os.environ["BENCHMARK_USER"]

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


async def drive_sftp(job: Job, sftp: Any, gather: Callable[..., Any]) -> None:
    """Do one case of SFTP with a client that has `get`, `put`, `stat` and `listdir`, as both libraries have.

    The files lie in two folders below the job's: "far" is the server's, "near" the client's.
    """
    far, near = f"{job.folder}/files/far", f"{job.folder}/files/near"
    await sftp.stat(far)
    watch = Watch()
    if job.case == "get":
        await sftp.get(f"{far}/bulk", f"{near}/got")
    elif job.case == "put":
        await sftp.put(f"{near}/bulk", f"{far}/put")
    elif job.case == "get-small":
        await sftp.get(f"{far}/small", f"{near}/got-small", recurse=True)
    elif job.case == "put-small":
        await sftp.put(f"{near}/small", f"{far}/put-small", recurse=True)
    elif job.case == "stat":

        async def once() -> None:
            await sftp.stat(f"{far}/bulk")

        await job.repeat(gather, once)
    elif job.case == "list":
        assert len(await sftp.listdir(f"{far}/many")) >= job.amount
    watch.done()


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
