"""sshkit holding a local forward until it is ended."""

import sys

import sshkit
from sshkit.ssh.algorithms import DEFAULT


async def main() -> None:
    port, folder, user, cipher, mac, listen, target = sys.argv[1:8]
    async with sshkit.connect(
        f"{user}@127.0.0.1:{port}",
        identities=[f"{folder}/user"],
        known_hosts=f"{folder}/known_hosts",
        algorithms=DEFAULT.edited(ciphers=cipher, macs=mac),
    ) as connection:
        await connection.forward_local(f"127.0.0.1:{listen}", f"127.0.0.1:{target}")
        await connection.wait_closed()


if __name__ == "__main__":
    sshkit.run(main(), engine="native")
