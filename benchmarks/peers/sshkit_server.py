"""sshkit as a server."""

import sys

import sshkit
from benchmarks.peers.common import CHUNK


async def handler(session: sshkit.Session) -> int:
    command = session.command or ""
    if command.startswith("zeros "):
        data, left = bytes(CHUNK), int(command.split()[1])
        while left:
            session.stdout.write(data[:left])
            left -= min(left, CHUNK)
            await session.stdout.drain()
    elif command == "sink":
        total = 0
        while chunk := await session.stdin.read(CHUNK):
            total += len(chunk)
        session.stdout.write(str(total))
    return 0


async def main() -> None:
    folder = sys.argv[1]
    async with sshkit.serve(
        "127.0.0.1:0",
        handler,
        host_keys=[f"{folder}/host"],
        authorized_keys=[f"{folder}/user.pub"],
        sftp=True,
        forwards=True,
        settings=sshkit.Settings(max_startups=sshkit.MaxStartups(200, 100, 200), max_sessions=100),
    ) as server:
        print(server.address[1], flush=True)
        await server.wait_closed()


if __name__ == "__main__":
    sshkit.run(main(), engine="native")
