"""asyncssh as a server."""

import asyncio
import sys

import asyncssh

from benchmarks.peers.common import CHUNK


async def handler(process) -> None:  # type: ignore[no-untyped-def]
    command = process.command or ""
    if command.startswith("zeros "):
        data, left = bytes(CHUNK), int(command.split()[1])
        while left:
            process.stdout.write(data[:left])
            left -= min(left, CHUNK)
            await process.stdout.drain()
    elif command == "sink":
        total = 0
        while chunk := await process.stdin.read(CHUNK):
            total += len(chunk)
        process.stdout.write(str(total).encode())
    process.exit(0)


class Server(asyncssh.SSHServer):
    """Forwards whatever is asked for."""

    def connection_requested(self, dest_host: str, dest_port: int, orig_host: str, orig_port: int) -> bool:
        return True


async def main() -> None:
    folder = sys.argv[1]
    server = await asyncssh.create_server(
        Server,
        "127.0.0.1",
        0,
        server_host_keys=[f"{folder}/host"],
        authorized_client_keys=f"{folder}/user.pub",
        process_factory=handler,
        encoding=None,
        sftp_factory=True,
    )
    print(server.get_port(), flush=True)
    await server.wait_closed()


if __name__ == "__main__":
    asyncio.run(main())
