"""asyncssh as a client."""

import asyncio
from typing import Any

import asyncssh

from benchmarks.peers.common import SFTP_CASES, Job, drive, drive_sftp


async def main() -> None:
    job = Job()

    def connect() -> Any:
        return asyncssh.connect(
            "127.0.0.1",
            job.port,
            username=job.user,
            client_keys=[job.user_key],
            known_hosts=f"{job.folder}/known_hosts",
            config=None,
            encryption_algs=[job.cipher],
            mac_algs=[job.mac],
        )

    if job.case in SFTP_CASES:
        async with connect() as connection, connection.start_sftp_client() as sftp:
            await drive_sftp(job, sftp, asyncio.gather)
        return

    async def start(connection: Any, command: str) -> Any:
        return await connection.create_process(command, encoding=None)

    await drive(job, connect, start, asyncio.gather)


if __name__ == "__main__":
    asyncio.run(main())
