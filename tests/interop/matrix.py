"""One cell of the interop table: our client with a real server, or a real client with our server."""

import sshkit
from sshkit.blocking.server import BlockingServer
from sshkit.server.server import Settings
from sshkit.ssh.algorithms import DEFAULT, known_names
from tests.interop.clients import Choice, ClientPeer
from tests.interop.peers import Keys

COMMAND = "echo hello; exit 3"
#: More than any window, so that adjusting it is part of every cell's last step.
BULK = 5_000_000


def algorithms(choice: Choice) -> sshkit.Algorithms:
    """Return our defaults, narrowed to one choice."""
    return DEFAULT.edited(
        key_exchanges=choice.kex,
        ciphers=choice.cipher,
        macs=choice.mac,
        host_keys=choice.host_key,
        user_keys=choice.user_key,
        compressions=choice.compression,
    )


def our_client(port: int, keys: Keys, choice: Choice, user: str) -> str:
    """Run a command on a real server; return what was negotiated."""

    async def main() -> str:
        async with sshkit.connect(
            f"{user}@127.0.0.1:{port}",
            identities=[keys.path("user", choice.user_key)],
            host_keys=[key.public for key in keys.host.values()],
            algorithms=algorithms(choice),
        ) as connection:
            result = await connection.run(COMMAND)
            assert (result.stdout, result.exit_status) == (b"hello\n", 3), result
            return connection.negotiated.summary()

    return sshkit.run(main(), engine="native")


def serve(keys: Keys) -> BlockingServer:
    """Start our server, with all host keys, for all user keys."""

    async def handler(session: sshkit.Session) -> int:
        assert session.command == COMMAND
        session.stdout.write("hello\n")
        return 3

    # Everything that there is, also what must be asked for by name.
    known = {
        name: ",".join(known_names(name)) for name in ("key_exchanges", "ciphers", "macs", "compressions")
    }
    return sshkit.blocking.serve(
        "127.0.0.1:0",
        handler,
        host_keys=list(keys.host.values()),
        authorized_keys=[keys.authorized],
        settings=Settings(algorithms=DEFAULT.edited(**known)),
    )


def our_server(peer: ClientPeer, keys: Keys, port: int, choice: Choice) -> None:
    """Let a real client run a command on our server."""
    status, output = peer.run(keys, port, choice, COMMAND)
    assert (status, output.replace(b"\r\n", b"\n")) == (3, b"hello\n"), output.decode(errors="replace")
