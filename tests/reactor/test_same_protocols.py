"""One protocol object runs unchanged on our reactor, on asyncio and on uvloop."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import uvloop
from zope.interface.verify import verifyObject

from sshkit.deferred import Deferred
from sshkit.interfaces import (
    IBufferedProtocol,
    IProcessProtocol,
    IStreamProtocol,
    implementer,
    receive_into_buffer,
)

from .helpers import ENGINES, ProcessRecorder, Recorder

TOTAL = 300_000


class Echo:
    """The textbook's."""

    def __init__(self) -> None:
        self.transport: Any = None
        self.lost: Deferred[BaseException | None] = Deferred()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)

    def eof_received(self) -> bool | None:
        return None

    def connection_lost(self, exc: BaseException | None) -> None:
        self.lost.callback(exc)

    def pause_writing(self) -> None:
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        self.transport.resume_reading()


@implementer(IBufferedProtocol)
class BufferedEcho(Echo):
    """The same with a buffer of its own; on asyncio `data_received` fills it."""

    def __init__(self) -> None:
        super().__init__()
        self.buffer = memoryview(bytearray(1000))

    def get_buffer(self, sizehint: int) -> memoryview:
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.transport.write(bytes(self.buffer[:nbytes]))

    data_received = receive_into_buffer


async def exchange(client: Recorder) -> None:
    client.transport.write(bytes(TOTAL))
    assert len(await client.bytes_received(TOTAL)) == TOTAL
    client.transport.close()
    assert await client.lost is None


@pytest.mark.parametrize("kind", [Echo, BufferedEcho])
@pytest.mark.parametrize("engine", list(ENGINES))
def test_an_echo_runs_on_our_transports(engine: str, kind: Callable[[], Any]) -> None:
    async def main(reactor: Any) -> None:
        listener = await reactor.listen_tcp("127.0.0.1", 0, kind)
        await exchange(await reactor.connect_tcp(*listener.address, Recorder))
        listener.close()

    ENGINES[engine](main)


@pytest.mark.parametrize("kind", [Echo, BufferedEcho])
@pytest.mark.parametrize("runner", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_the_same_echo_runs_on_asyncios_and_uvloops_own_transports(
    runner: Any, kind: Callable[[], Any]
) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(kind, "127.0.0.1", 0)
        _, client = await loop.create_connection(Recorder, *server.sockets[0].getsockname())  # type: ignore[type-var]
        await exchange(client)
        server.close()
        await server.wait_closed()

    runner(main())


def test_what_the_tests_use_as_protocols_are_protocols() -> None:
    for kind, wanted in (
        (Recorder, IStreamProtocol),
        (BufferedEcho, IBufferedProtocol),
        (ProcessRecorder, IProcessProtocol),
    ):
        assert verifyObject(wanted, implementer(wanted)(kind)())
