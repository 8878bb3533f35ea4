"""UnusedConnectionTimeout: who has logged in and opens nothing does not stay."""

from typing import Any

import sshkit
from sshkit.server.unused_timeout import UnusedTimeout
from sshkit.ssh.errors import DisconnectedByPeer
from tests.client.world import World, echo
from tests.server.owners import Owner


class Watched:
    """A server in memory whose connections may be unused for 60 seconds."""

    def __init__(self) -> None:
        self.world = World()
        self.watches: list[UnusedTimeout] = []

    def run(self, main: Any) -> None:
        world = self.world

        async def body() -> None:
            async with (
                world.serve(echo) as server,
                world.connect(keepalive=0) as connection,
            ):
                (ours,) = server.connections
                core: Any = ours._connection
                watch = UnusedTimeout(core, world.network, 60)
                self.watches.append(watch)
                ended = ours.channel_ended

                def channel_ended(channel: Any) -> None:
                    ended(channel)
                    watch.closed()

                core.owner = Owner(ours, channel_ended=channel_ended)
                await main(connection)
                watch.stop()

        world.run(body())


def test_a_connection_without_a_channel_is_ended() -> None:
    watched = Watched()

    async def main(connection: sshkit.ClientConnection) -> None:
        await watched.world.sleep(59.9)
        assert connection.layer.lost is None
        await watched.world.sleep(0.2)
        await watched.world.settled()
        lost = connection.layer.lost
        assert isinstance(lost, DisconnectedByPeer)
        assert lost.code == 11
        assert lost.description == "no channel was open for 60 seconds"

    watched.run(main)
    watched.watches[0].stop()


def test_the_time_counts_from_the_end_of_the_last_channel() -> None:
    watched = Watched()

    async def main(connection: sshkit.ClientConnection) -> None:
        world = watched.world
        process = await connection.start("cat")
        await world.sleep(150)
        assert connection.layer.lost is None
        process.stdin.write_eof()
        await process.wait()
        await world.sleep(59)
        assert connection.layer.lost is None
        assert (await connection.run("exit 3")).exit_status == 3
        await world.sleep(59)
        assert connection.layer.lost is None
        await world.sleep(2)
        assert connection.layer.lost is not None

    watched.run(main)


def test_a_watch_that_was_stopped_ends_nothing() -> None:
    watched = Watched()

    async def main(connection: sshkit.ClientConnection) -> None:
        watched.watches[0].stop()
        await watched.world.sleep(1000)
        assert connection.layer.lost is None

    watched.run(main)
