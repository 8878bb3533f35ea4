"""The protocol objects of sshkit on transports that are not ours: asyncio's and uvloop's own."""

import asyncio
import os
from collections.abc import Callable
from typing import Any, cast

import pytest
import uvloop
from sshkit_keys import generate_private_key

from sshkit.client.connection import ClientConnection
from sshkit.client.credentials import FileCredentials
from sshkit.client.host_keys import HostKeyVerifier
from sshkit.reactor.current import current
from sshkit.server.handler import Session
from sshkit.server.server import Server
from sshkit.server.users import EveryUser

HOST, USER = generate_private_key("ed25519"), generate_private_key("ed25519")


async def echo(session: Session) -> int:
    while data := await session.stdin.read(65536):
        session.stdout.write(data)
        await session.stdout.drain()
    return 5


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_both_ends_work_on_the_loop_s_own_transports(run: Callable[[Any], Any]) -> None:
    async def main() -> None:
        loop, clock = asyncio.get_running_loop(), current()
        server = Server(
            clock,
            host_keys=[HOST],
            users=EveryUser([USER.public]),
            start_program=lambda request: Session(request, echo),
        )
        listening = await loop.create_server(server.make_protocol, "127.0.0.1", 0)
        port = listening.sockets[0].getsockname()[1]
        connection = ClientConnection(
            "127.0.0.1",
            "joe",
            clock,
            random_bytes=os.urandom,
            verifier=HostKeyVerifier("127.0.0.1", port, trusted=[HOST.public]),
            credentials=FileCredentials([USER]),
        )
        await loop.create_connection(lambda: cast(Any, connection.layer), "127.0.0.1", port)
        async with await connection.logged_in:
            data = os.urandom(3_000_000)
            result = await connection.run("echo", input=data)
            assert (result.stdout, result.exit_status) == (data, 5)
        listening.close()
        await server.close()

    run(main())
