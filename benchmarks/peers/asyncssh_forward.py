"""asyncssh holding a local forward until it is ended."""

import asyncio
import sys

import asyncssh


async def main() -> None:
    port, folder, user, cipher, mac, listen, target = sys.argv[1:8]
    async with asyncssh.connect(
        "127.0.0.1",
        int(port),
        username=user,
        client_keys=[f"{folder}/user"],
        known_hosts=f"{folder}/known_hosts",
        config=None,
        encryption_algs=[cipher],
        mac_algs=[mac],
    ) as connection:
        await connection.forward_local_port("127.0.0.1", int(listen), "127.0.0.1", int(target))
        await connection.wait_closed()


if __name__ == "__main__":
    asyncio.run(main())
