"""Through a SOCKS 5 proxy: by our own server's parser, and by proxies that do not behave."""

from collections.abc import Callable
from typing import Any

import pytest

from sshkit.deferred import CancelledError
from sshkit.protocols.socks.server import SocksServer
from sshkit.reactor import ConnectError, ConnectTimeout
from sshkit.reactor.endpoints import client_from_string
from sshkit.reactor.endpoints.socks5 import Socks5Client
from sshkit.reactor.endpoints.tcp import TCPClient

from ..helpers import BufferedRecorder, Recorder

Run = Callable[[Any], Any]


class Proxy(Recorder):
    """A proxy that answers each request with the echo of it."""

    requests: list[Any] = []  # noqa: RUF012 - of all of a test

    def __init__(self) -> None:
        super().__init__()
        self.socks = SocksServer()
        self.through = False

    def data_received(self, data: bytes) -> None:
        if self.through:
            self.transport.write(data)
            return
        self.transport.write(self.socks.feed(data) or b"")
        if self.socks.request is not None:
            self.through = True
            self.requests.append(self.socks.request)
            self.transport.write(self.socks.granted() + b"welcome")


class Script(Recorder):
    """A proxy that says one thing."""

    answer = b""

    def data_received(self, data: bytes) -> None:
        self.transport.write(self.answer)


async def proxy_at(reactor: Any, factory: Callable[[], Any]) -> Any:
    return await reactor.listen_tcp("127.0.0.1", 0, factory)


@pytest.mark.parametrize("protocol", [Recorder, BufferedRecorder])
def test_a_connection_goes_through_the_proxy_with_what_follows(run: Run, protocol: Any) -> None:
    Proxy.requests.clear()

    async def main(reactor: Any) -> None:
        listener = await proxy_at(reactor, Proxy)
        client = client_from_string(f"socks5:127.0.0.1:{listener.address[1]}:example.org:80", reactor)
        ours = await client.connect(protocol)
        assert await ours.bytes_received(7) == b"welcome"
        ours.transport.write(b"hello")
        assert await ours.bytes_received(12) == b"welcomehello"
        ours.transport.close()
        await ours.lost
        listener.close()

    run(main)
    assert [(request.host, request.port) for request in Proxy.requests] == [("example.org", 80)]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"\5\xff", "the proxy wants a user name and password"),
        (b"HTTP/1.1 400\r\n", "no SOCKS 5 proxy: it began with 'HTTP/1.1 400"),
        (b"\5\0\5\5\0\1\0\0\0\0\0\0", "the proxy says: the connection was refused"),
    ],
)
def test_what_the_proxy_says_is_in_the_error(run: Run, answer: bytes, words: str) -> None:
    async def main(reactor: Any) -> None:
        def script() -> Script:
            made = Script()
            made.answer = answer
            return made

        listener = await proxy_at(reactor, script)
        client = client_from_string(f"socks5:127.0.0.1:{listener.address[1]}:h:80", reactor)
        with pytest.raises(ConnectError) as raised:
            await client.connect(Recorder)
        assert words in str(raised.value)
        assert str(raised.value).startswith("cannot connect to h port 80 through tcp:127.0.0.1:")
        listener.close()

    run(main)


def test_a_proxy_that_hangs_up_or_hangs_is_an_error(run: Run) -> None:
    class HangsUp(Recorder):
        def data_received(self, data: bytes) -> None:
            self.transport.close()

    async def main(reactor: Any) -> None:
        for factory, words, error in (
            (HangsUp, "the proxy closed the connection", ConnectError),
            (Recorder, "within 0.05 seconds: no answer", ConnectTimeout),
        ):
            listener = await proxy_at(reactor, factory)
            client = client_from_string(f"socks5:127.0.0.1:{listener.address[1]}:h:80:timeout=0.05", reactor)
            with pytest.raises(error, match=words):
                await client.connect(Recorder)
            listener.close()

    run(main)


def test_a_factory_that_fails_behind_a_proxy_ends_the_connection(run: Run) -> None:
    Proxy.requests.clear()

    def factory() -> Any:
        raise ValueError("no protocol today")

    async def main(reactor: Any) -> None:
        proxies: list[Proxy] = []

        def proxy() -> Proxy:
            proxies.append(Proxy())
            return proxies[-1]

        listener = await proxy_at(reactor, proxy)
        client = Socks5Client(TCPClient("127.0.0.1", listener.address[1]), "h", 80)
        with pytest.raises(ValueError, match="no protocol today"):
            await client.connect(factory)
        await proxies[0].lost
        connecting = client.connect(Recorder)
        connecting.cancel()
        with pytest.raises(CancelledError):
            await connecting
        listener.close()

    run(main)
