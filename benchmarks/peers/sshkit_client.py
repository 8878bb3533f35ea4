"""sshkit as a client."""

import sshkit
from benchmarks.peers.common import Job, drive
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

    await drive(job, connect, sshkit.ClientConnection.start, sshkit.gather)


if __name__ == "__main__":
    sshkit.run(main(), engine="native")
