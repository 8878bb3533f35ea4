"""httpx on our engines, against a server on our own transports and through a SOCKS proxy of ours."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest

import sshkit

from ..helpers import Recorder

Run = Callable[[Any], Any]

BODY = bytes(range(256)) * 4000


class Web(Recorder):
    """The least of HTTP/1.1: answers each request without a body with its target and BODY."""

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        while b"\r\n\r\n" in self.received:
            head, _, rest = bytes(self.received).partition(b"\r\n\r\n")
            self.received = bytearray(rest)
            target = head.split(b" ")[1]
            if target == b"/never":
                return
            answer = target + b"\n" + BODY
            self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(answer) + answer)


async def serving() -> Any:
    listener = await sshkit.current_reactor().listen_tcp("127.0.0.1", 0, Web)
    return listener, f"http://127.0.0.1:{listener.address[1]}"


def test_many_requests_share_a_client(run: Run) -> None:
    async def main() -> None:
        listener, place = await serving()
        async with httpx.AsyncClient(trust_env=False) as client:
            answers = await asyncio.gather(*(client.get(f"{place}/{number}") for number in range(20)))
            assert [answer.content for answer in answers] == [b"/%d\n" % n + BODY for n in range(20)]
        listener.close()

    run(main())


def test_a_body_can_be_read_piece_by_piece_and_left(run: Run) -> None:
    async def main() -> None:
        listener, place = await serving()
        async with httpx.AsyncClient(trust_env=False) as client:
            async with client.stream("GET", f"{place}/all") as answer:
                size = 0
                async for piece in answer.aiter_bytes():
                    size += len(piece)
                assert size == len(b"/all\n" + BODY)
            async with client.stream("GET", f"{place}/some") as answer:
                await anext(answer.aiter_raw())
            assert (await client.get(f"{place}/more")).status_code == 200
        listener.close()

    run(main())


def test_a_server_that_does_not_answer_and_one_that_is_not_there_are_its_own_errors(run: Run) -> None:
    async def main() -> None:
        listener, place = await serving()
        async with httpx.AsyncClient(trust_env=False) as client:
            with pytest.raises(httpx.ReadTimeout):
                await client.get(f"{place}/never", timeout=0.05)
            listener.close()
            with pytest.raises(httpx.ConnectError):
                await client.get(f"http://127.0.0.1:{listener.address[1]}/")

    run(main())
