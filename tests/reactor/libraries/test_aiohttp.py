"""aiohttp, client and server, on our engines; and beside our own connections on the same loop."""

import asyncio
import io
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web

import sshkit
from tests.client.world import HOST_KEY, USER_KEY, echo

Run = Callable[[Any], Any]

#: More than any buffer between the two holds.
LARGE = os.urandom(3_000_000)


async def hello(request: web.Request) -> web.Response:
    return web.Response(text=f"hello {request.match_info['name']}")


async def same(request: web.Request) -> web.StreamResponse:
    """Send the body back, piece by piece."""
    response = web.StreamResponse()
    await response.prepare(request)
    async for piece in request.content.iter_any():
        await response.write(piece)
    await response.write_eof()
    return response


async def never(request: web.Request) -> web.Response:
    await asyncio.sleep(3600)
    return web.Response()


async def fault(request: web.Request) -> web.Response:
    raise RuntimeError("a bug of the handler")


async def shout(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        await socket.send_str(message.data.upper())
    return socket


@asynccontextmanager
async def serving() -> AsyncIterator[str]:
    """Run aiohttp's server; gives its address."""
    application = web.Application(client_max_size=len(LARGE) + 1)
    application.add_routes(
        [
            web.get("/hello/{name}", hello),
            web.post("/same", same),
            web.get("/never", never),
            web.get("/fault", fault),
            web.get("/shout", shout),
        ]
    )
    runner = web.AppRunner(application, handler_cancellation=True, shutdown_timeout=1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def test_requests_are_answered_on_kept_connections(run: Run) -> None:
    async def main() -> None:
        async with serving() as place, aiohttp.ClientSession() as session:
            for name in ("ann", "bob"):
                async with session.get(f"{place}/hello/{name}") as response:
                    assert await response.text() == f"hello {name}"
            names = [f"n{number}" for number in range(40)]

            async def ask(name: str) -> str:
                async with session.get(f"{place}/hello/{name}") as response:
                    return await response.text()

            assert await asyncio.gather(*map(ask, names)) == [f"hello {name}" for name in names]

    run(main())


def test_large_bodies_stream_both_ways_at_once(run: Run) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(LARGE), 100_000):
            yield LARGE[start : start + 100_000]

    async def main() -> None:
        async with (
            serving() as place,
            aiohttp.ClientSession() as session,
            session.post(f"{place}/same", data=pieces()) as response,
        ):
            assert await response.read() == LARGE

    run(main())


def test_a_web_socket_talks(run: Run) -> None:
    async def main() -> None:
        async with (
            serving() as place,
            aiohttp.ClientSession() as session,
            session.ws_connect(f"{place}/shout") as socket,
        ):
            for word in ("one", "two"):
                await socket.send_str(word)
                assert await socket.receive_str() == word.upper()

    run(main())


def test_a_timeout_and_a_cancelled_task_leave_the_session_usable(run: Run) -> None:
    async def main() -> None:
        async with serving() as place, aiohttp.ClientSession() as session:
            with pytest.raises(asyncio.TimeoutError):
                await session.get(f"{place}/never", timeout=aiohttp.ClientTimeout(total=0.05))
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await session.get(f"{place}/never")
            task = asyncio.ensure_future(session.get(f"{place}/never"))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            async with session.get(f"{place}/hello/ann") as response:
                assert response.status == 200

    run(main())


def test_a_handler_that_raises_is_one_answer_of_500(run: Run) -> None:
    async def main() -> None:
        async with serving() as place, aiohttp.ClientSession() as session:
            async with session.get(f"{place}/fault") as response:
                assert response.status == 500
            async with session.get(f"{place}/hello/ann") as response:
                assert response.status == 200

    run(main())


def test_a_request_goes_through_a_forwarded_port_of_ours(run: Run) -> None:
    """One loop: aiohttp's server and client, and our SSH client and server in between."""

    async def main() -> None:
        async with (
            serving() as place,
            sshkit.serve(
                "127.0.0.1:0",
                echo,
                host_keys=[HOST_KEY],
                authorized_keys=[USER_KEY.public],
                forwards=True,
            ) as server,
            sshkit.connect(
                f"me@{server.address[0]}:{server.address[1]}",
                identities=[USER_KEY],
                host_keys=[HOST_KEY.public],
            ) as connection,
            connection.forward_local("127.0.0.1:0", place.removeprefix("http://")) as forward,
            aiohttp.ClientSession() as session,
        ):
            through = f"http://127.0.0.1:{forward.address[1]}"
            async with session.get(f"{through}/hello/ann") as response:
                assert await response.text() == "hello ann"
            async with session.post(f"{through}/same", data=io.BytesIO(LARGE)) as response:
                assert await response.read() == LARGE

    run(main())
