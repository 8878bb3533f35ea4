"""sshkit as a client."""

import sshkit
from benchmarks.peers.common import CHUNK, Job, Watch
from sshkit.opening import Opening
from sshkit.ssh.algorithms import DEFAULT


async def main() -> None:
    job = Job()
    algorithms = DEFAULT.edited(ciphers=job.cipher, macs=job.mac)

    def connect() -> Opening[sshkit.ClientConnection]:
        return sshkit.connect(
            f"joe@127.0.0.1:{job.port}",
            identities=[job.user_key],
            known_hosts=f"{job.folder}/known_hosts",
            algorithms=algorithms,
        )

    async def login() -> None:
        async with connect() as connection:
            await connection.run("true", check=True)

    if job.case == "login":
        await login()
        watch = Watch()
        await job.repeat(sshkit.gather, login)
        watch.done()
        return
    async with connect() as connection:

        async def execute() -> None:
            await connection.run("true", check=True)

        await execute()
        watch = Watch()
        if job.case == "exec":
            await job.repeat(sshkit.gather, execute)
        elif job.case == "down":
            process = await connection.start(f"zeros {job.amount}")
            left = job.amount
            while data := await process.stdout.read(CHUNK):
                left -= len(data)
            assert not left
        else:
            process = await connection.start("sink")
            data = bytes(CHUNK)
            for _ in range(job.amount // CHUNK):
                process.stdin.write(data)
                await process.stdin.drain()
            process.stdin.write_eof()
            assert int(await process.stdout.read()) == job.amount
        watch.done()


if __name__ == "__main__":
    sshkit.run(main(), engine="native")
