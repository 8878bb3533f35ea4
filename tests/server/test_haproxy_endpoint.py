"""The haproxy: endpoint: the client's address in place of the proxy's."""

from typing import Any

import pytest

import sshkit
from sshkit.deferred import Deferred
from sshkit.reactor.endpoints import client_from_string, server_from_string


class End:
    """Keeps what comes, and tells when the connection has ended."""

    def __init__(self) -> None:
        self.received = b""
        self.peers: list[Any] = []
        self.made: Deferred[None] = Deferred()
        self.got: Deferred[bytes] = Deferred()
        self.lost: Deferred[BaseException | None] = Deferred()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.peers.append(transport.get_extra_info("peername"))
        self.made.callback(None)

    def data_received(self, data: bytes) -> None:
        self.received += data
        self.got.callback(data)

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: BaseException | None) -> None:
        self.lost.callback(exc)


@pytest.mark.parametrize("options", ["", "trusted=127.0.0.1:"])
def test_the_protocol_sees_the_client_of_the_header(options: str) -> None:
    async def main() -> None:
        end = End()
        listener = await server_from_string(f"haproxy:{options}tcp:0:interface=127.0.0.1").listen(lambda: end)
        proxy = await client_from_string(f"tcp:127.0.0.1:{listener.address[1]}").connect(End)
        proxy.transport.write(b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 80\r\nhello")
        assert await end.got == b"hello"
        assert end.peers == [("192.0.2.7", 4711)]
        listener.close()

    sshkit.run(main())


@pytest.mark.parametrize("options", ["", "trusted=192.0.2.0/24:", "deadline=1:"])
def test_a_connection_without_a_header_ends_and_is_logged(
    options: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        listener = await server_from_string(f"haproxy:{options}tcp:0:interface=127.0.0.1").listen(End)
        client = await client_from_string(f"tcp:127.0.0.1:{listener.address[1]}").connect(End)
        client.transport.write(b"GET / HTTP/1.1\r\n")
        await client.lost
        listener.close()

    sshkit.run(main())
    assert len(caplog.records) == 1
    assert caplog.records[0].getMessage().startswith("127.0.0.1: PROXY header: ")
