"""A client, a server and the programs at both ends of a forward, all in memory."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import sshkit
from sshkit.testing import MemoryPair
from tests.client.world import World

T = TypeVar("T")


class End:
    """A program at the end of a forward: writes down what comes."""

    def __init__(self, greeting: bytes = b"", keep_open: bool = True) -> None:
        self.greeting = greeting
        self.keep_open = keep_open
        self.data = bytearray()
        self.ended = False
        self.lost: list[BaseException | None] = []
        self.paused = False
        self.transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        if self.greeting:
            transport.write(self.greeting)

    def data_received(self, data: bytes) -> None:
        self.data += data

    def eof_received(self) -> bool:
        self.ended = True
        return self.keep_open

    def connection_lost(self, error: BaseException | None) -> None:
        self.lost.append(error)

    def pause_writing(self) -> None:
        self.paused = True

    def resume_writing(self) -> None:
        self.paused = False


class Echo(End):
    """Sends everything back, and ends when the other side has."""

    def __init__(self) -> None:
        super().__init__(keep_open=False)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self.transport.write(data)


class ForwardWorld(World):
    """A network in memory with a target at port 7000; `targets` are its connections."""

    def __init__(self) -> None:
        super().__init__()
        self.targets: list[Any] = []
        self.ssh: MemoryPair | None = None

    async def listen(self, kind: Callable[[], Any] = Echo, port: int = 7000) -> Any:
        """Let programs of a kind wait at a port."""

        def make() -> Any:
            self.targets.append(kind())
            return self.targets[-1]

        return await self.network.listen_tcp("127.0.0.1", port, make)

    async def dial(self, port: int, greeting: bytes = b"", keep_open: bool = True) -> End:
        """Connect a program to a port."""
        end = End(greeting, keep_open)
        await self.network.connect_tcp("127.0.0.1", port, lambda: end)
        return end

    def is_clean(self) -> None:
        """Nothing of ours is left: no listener, no end but those of the programs of the test."""
        self.network.settle()
        assert not self.network.listeners
        for pair in self.network.pairs:
            for end in (pair.client, pair.server):
                assert end.closed or isinstance(end.get_protocol(), End), end.get_protocol()

    def with_forwards(
        self,
        main: Callable[[sshkit.ClientConnection], Awaitable[T]],
        kind: Callable[[], Any] = Echo,
        forwards: "bool | sshkit.ForwardPolicy" = True,
        **options: Any,
    ) -> T:
        """Run `main` with a connection to a server that forwards; nothing may be left behind."""

        async def body() -> T:
            target = await self.listen(kind)
            async with self.serve(forwards=forwards, **options), self.connect() as connection:
                self.ssh = self.pair
                result = await main(connection)
            target.close()
            return result

        result = self.run(body())
        self.is_clean()
        return result
