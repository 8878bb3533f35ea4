"""sshkit as a client."""

from typing import Any

import sshkit
from benchmarks.peers.common import SFTP_CASES, Job, drive, drive_sftp
from sshkit.opening import Opening
from sshkit.ssh.algorithms import DEFAULT


class Names:
    """The client's methods by asyncssh's names of parameters."""

    def __init__(self, sftp: Any) -> None:
        self.stat, self.listdir = sftp.stat, sftp.listdir
        self._sftp = sftp

    def get(self, far: str, near: str, recurse: bool = False) -> Any:
        return self._sftp.get(far, near, recursive=recurse)

    def put(self, near: str, far: str, recurse: bool = False) -> Any:
        return self._sftp.put(near, far, recursive=recurse)


async def main() -> None:
    job = Job()
    algorithms = DEFAULT.edited(ciphers=job.cipher, macs=job.mac)

    def connect() -> Opening[sshkit.ClientConnection]:
        return sshkit.connect(
            f"{job.user}@127.0.0.1:{job.port}",
            identities=[job.user_key],
            known_hosts=f"{job.folder}/known_hosts",
            algorithms=algorithms,
        )

    if job.case in SFTP_CASES:
        async with connect() as connection, connection.sftp() as sftp:
            await drive_sftp(job, Names(sftp), sshkit.gather)
        return
    await drive(job, connect, sshkit.ClientConnection.start, sshkit.gather)


if __name__ == "__main__":
    sshkit.run(main(), engine="native")
