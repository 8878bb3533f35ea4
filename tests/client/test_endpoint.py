"""The ssh: endpoint: commands and ports behind a host as connections of any protocol."""

from typing import Any

import pytest
from sshkit_keys import generate_private_key

import sshkit
from sshkit.client.destination import InvalidDestination
from sshkit.client.endpoint import SSHClientEndpoint
from sshkit.deferred import Deferred
from sshkit.reactor.endpoints import client_from_string

HOST_KEY, USER_KEY = generate_private_key("ed25519"), generate_private_key("ed25519")


class Recorder:
    """Keeps what comes."""

    def __init__(self) -> None:
        self.transport: Any = None
        self.received = b""
        self.paused = 0
        self.lost: Deferred[BaseException | None] = Deferred()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        assert type(data) is bytes
        self.received += data

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: BaseException | None) -> None:
        self.lost.callback(exc)

    def pause_writing(self) -> None:
        self.paused += 1

    def resume_writing(self) -> None:
        self.paused -= 1


class Lender(Recorder):
    """Lends a small buffer."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.buffer = bytearray(3)

    def get_buffer(self, sizehint: int) -> memoryview:
        return memoryview(self.buffer)

    def buffer_updated(self, nbytes: int) -> None:
        self.received += self.buffer[:nbytes]


async def handler(session: sshkit.Session) -> int:
    session.stderr.write(b"a \x1b warning\n")
    async for line in session.stdin:
        session.stdout.write(line.upper())
    return 0


def with_server(main: Any, **options: Any) -> None:
    async def whole() -> None:
        async with sshkit.serve(
            "127.0.0.1:0", handler, host_keys=[HOST_KEY], authorized_keys=[USER_KEY.public], **options
        ) as server:
            await main(server.address[1])

    sshkit.run(whole())


def place(port: int, command: str | None = None, **options: Any) -> SSHClientEndpoint:
    return SSHClientEndpoint(
        f"me@127.0.0.1:{port}", command, identities=[USER_KEY], host_keys=[HOST_KEY.public], **options
    )


@pytest.mark.parametrize("kind", [Recorder, Lender])
def test_a_command_is_a_connection(kind: Any, caplog: pytest.LogCaptureFixture) -> None:
    async def main(port: int) -> None:
        ours = await place(port, "upper").connect(kind)
        assert ours.transport.get_extra_info("peername").endswith(":upper")
        connection = ours.transport.get_extra_info("connection")
        ours.transport.write(b"hello\n")
        ours.transport.write_eof()
        assert await ours.lost is None
        assert ours.received == b"HELLO\n"
        await connection.wait_closed()

    with_server(main)
    assert [record.getMessage().partition(" says: ")[2] for record in caplog.records] == ["a \\x1b warning"]


def test_an_open_connection_is_used_and_left_open() -> None:
    async def main(port: int) -> None:
        async with sshkit.connect(
            f"me@127.0.0.1:{port}", identities=[USER_KEY], host_keys=[HOST_KEY.public]
        ) as connection:
            for _ in range(2):
                ours = await SSHClientEndpoint(connection, "upper").connect(Recorder)
                ours.transport.write(b"x\n")
                ours.transport.write_eof()
                await ours.lost
                assert ours.received == b"X\n"
            assert not connection.is_closed

    with_server(main)


def test_a_port_behind_the_host_is_a_connection() -> None:
    async def main(port: int) -> None:
        ours = await place(port, to=("127.0.0.1", port)).connect(Recorder)
        ours.transport.write(b"SSH-2.0-x\r\nnonsense")
        await ours.lost
        assert ours.received.startswith(b"SSH-2.0-")

    with_server(main, forwards=True)


def test_what_the_host_refuses_fails_the_connect_and_ends_the_login() -> None:
    async def main(port: int) -> None:
        with pytest.raises(sshkit.ChannelOpenFailed):
            await place(port, to=("127.0.0.1", 1)).connect(Recorder)

        def factory() -> Any:
            raise ValueError("no protocol")

        with pytest.raises(ValueError, match="no protocol"):
            await place(port, "upper").connect(factory)

    with_server(main, forwards=True)


def test_a_host_that_is_not_there_is_a_connect_error() -> None:
    async def main() -> None:
        with pytest.raises(sshkit.ConnectError):
            await place(1, "ls").connect(Recorder, 5)

    sshkit.run(main())


def test_a_place_has_a_command_or_an_address() -> None:
    with pytest.raises(InvalidDestination, match="one of both"):
        SSHClientEndpoint("h")
    with pytest.raises(InvalidDestination, match="one of both"):
        SSHClientEndpoint("h", "ls", to=("h", 1))
    endpoint = client_from_string("ssh:me@h:2222:config=no:timeout=5:->h:80")
    assert isinstance(endpoint, SSHClientEndpoint)
    assert endpoint.timeout == 5
    assert endpoint._options == {"port": 2222, "config": False}


def test_a_slow_command_holds_its_writer_up_and_lets_it_go_on() -> None:
    class Counted(Recorder):
        pauses = 0

        def pause_writing(self) -> None:
            super().pause_writing()
            self.pauses += 1

    async def main(port: int) -> None:
        ours = await place(port, "upper").connect(Counted)
        ours.transport.write((b"x" * 99_999 + b"\n") * 50)
        ours.transport.write_eof()
        assert await ours.lost is None
        assert len(ours.received) == 5_000_000
        assert ours.pauses > 0
        assert ours.paused == 0

    with_server(main)
