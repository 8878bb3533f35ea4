"""asyncssh as a client."""

import asyncio

import asyncssh

from benchmarks.peers.common import CHUNK, Job, Watch


async def main() -> None:
    job = Job()

    def connect():  # type: ignore[no-untyped-def]
        return asyncssh.connect(
            "127.0.0.1",
            job.port,
            username="joe",
            client_keys=[job.user_key],
            known_hosts=f"{job.folder}/known_hosts",
            config=None,
            encryption_algs=[job.cipher],
            mac_algs=[job.mac],
        )

    async def login() -> None:
        async with connect() as connection:
            await connection.run("true", check=True)

    if job.case == "login":
        await login()
        watch = Watch()
        await job.repeat(asyncio.gather, login)
        watch.done()
        return
    async with connect() as connection:

        async def execute() -> None:
            await connection.run("true", check=True)

        await execute()
        watch = Watch()
        if job.case == "exec":
            await job.repeat(asyncio.gather, execute)
        elif job.case == "down":
            process = await connection.create_process(f"zeros {job.amount}", encoding=None)
            left = job.amount
            while data := await process.stdout.read(CHUNK):
                left -= len(data)
            assert not left
        else:
            process = await connection.create_process("sink", encoding=None)
            data = bytes(CHUNK)
            for _ in range(job.amount // CHUNK):
                process.stdin.write(data)
                await process.stdin.drain()
            process.stdin.write_eof()
            assert int(await process.stdout.read()) == job.amount
        watch.done()


if __name__ == "__main__":
    asyncio.run(main())
