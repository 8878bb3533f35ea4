"""A bastion: ``ssh ann%db1@bastion`` opens the session again at db1, as ann.

    python examples/bastion.py 127.0.0.1:2222 HOST_KEY AUTHORIZED_KEYS CLIENT_KEY 'db*' 'web?.internal'

The bastion logs in at the targets with CLIENT_KEY and checks their keys by ~/.ssh/known_hosts.  Terminals,
sftp, scp and git work as they would at the target.  From OpenSSH 10.0 on say ann%%db1, or ann+db1
anywhere.  ``ssh -J bastion ann@db1`` works too, to port 22 of the same hosts.
"""

import sys
from typing import Any

from sshkit_keys.host_patterns import matches_glob

import sshkit
from sshkit.server.bastion import forward_sessions, target_of
from sshkit.server.middleware import chain, concurrency, logging, rate_limit


def make_handler(client_key: str, hosts: list[str], **options: Any) -> Any:
    """Return the handler of a bastion in front of `hosts`; `options` are those of `sshkit.connect`."""

    def connect(session: sshkit.Session) -> Any:
        target = target_of(session.user, hosts)
        port = {"port": target.port} if target.port is not None else {}
        return sshkit.connect(
            f"{target.user}@{target.host}", **{"identities": [client_key], **options, **port}
        )

    return chain(forward_sessions(connect), logging(), rate_limit(60, burst=20), concurrency(10))


def make_policy(hosts: list[str], port: int = 22) -> sshkit.ForwardPolicy:
    """Return what ``ssh -J`` may reach: one port of the same hosts, and nothing else."""

    def permit(request: sshkit.ForwardRequest) -> bool:
        place: Any = request.place
        return any(matches_glob(pattern, str(place.host)) for pattern in hosts) and place.port == port

    return sshkit.ForwardPolicy(
        listen_tcp=False, open_unix=False, listen_unix=False, agent=False, permit=permit
    )


async def main(address: str, host_key: str, authorized_keys: str, client_key: str, *hosts: str) -> None:
    """Serve for ever."""
    async with sshkit.serve(
        address,
        make_handler(client_key, list(hosts)),
        host_keys=[host_key],
        authorized_keys=[authorized_keys],
        forwards=make_policy(list(hosts)),
        log=lambda level, text, error: print(text),
    ) as server:
        await server.wait_closed()


if __name__ == "__main__":
    sshkit.run(main(*sys.argv[1:]))
