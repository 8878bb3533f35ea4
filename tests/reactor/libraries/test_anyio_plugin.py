"""Tests that anyio's own pytest plug-in runs, on the loop of our default engine and on uvloop."""

from asyncio import AbstractEventLoop
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

import sshkit
from sshkit.reactor.engines.direct import DirectReactor

from ..helpers import Echo, Recorder

pytestmark = pytest.mark.anyio


def direct_loop() -> AbstractEventLoop:
    return DirectReactor().loop


@pytest.fixture(params=[{"loop_factory": direct_loop}, {"use_uvloop": True}], ids=["direct", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return "asyncio", request.param


@pytest.fixture
async def port() -> AsyncIterator[int]:
    listener = await sshkit.current_reactor().listen_tcp("127.0.0.1", 0, Echo)
    yield listener.address[1]
    listener.close()


async def test_an_asynchronous_fixture_and_its_test_share_a_reactor(port: int) -> None:
    client = await sshkit.current_reactor().connect_tcp("127.0.0.1", port, Recorder)
    client.transport.write(b"hello")
    assert await client.bytes_received(5) == b"hello"
    client.transport.close()
    await client.lost


async def test_a_deferred_is_cancelled_by_a_scope(port: int) -> None:
    with anyio.move_on_after(0.01) as scope:
        await sshkit.Deferred()
    assert scope.cancelled_caught
    async with await anyio.connect_tcp("127.0.0.1", port) as stream:
        await stream.send(b"hello")
        assert await stream.receive() == b"hello"
