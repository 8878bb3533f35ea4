"""What an agent answers to its client; the first piece is bytes without a frame."""

from typing import Any

from sshkit.ssh.agent.client import AgentClient
from sshkit.testing import MemoryClock, MemoryTransport
from tests.fuzz.targets.keyless import KEY, calm, check_ending
from tests.fuzz.targets.pieces import pieces


def parse(data: bytes) -> None:
    clock = MemoryClock()
    client = AgentClient(clock, "agent")
    transport = MemoryTransport(client)
    client.connection_made(transport)

    def expected(failure: Any) -> None:
        check_ending(failure.exception)

    with calm():
        for call in (
            client.list_keys,
            lambda: client.sign(KEY.public, b"data"),
            lambda: client.add(KEY),
            client.list_keys,
            client.extensions,
            lambda: client.lock(b"x"),
        ):
            call().add_errback(expected)
        for piece in pieces(data):
            if not client.lost:
                client.data_received(len(piece).to_bytes(4, "big") + piece)
        client.connection_lost(None)
        clock.advance(1000)
