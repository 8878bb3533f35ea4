"""Servers of `benchmarks.core`, each as its framework's users would write it.

``python -m benchmarks.peers.core_servers KIND MODE`` prints its port and serves until it is killed.
"""

import asyncio
import resource
import sys
from typing import Any

PIECE = bytes(256 * 1024)


class Echo:
    """Sends back what comes: the words of asyncio's protocols, which are ours as well."""

    transport: Any

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)

    def eof_received(self) -> None: ...

    def connection_lost(self, exc: BaseException | None) -> None: ...

    def pause_writing(self) -> None: ...

    def resume_writing(self) -> None: ...


class Receive(Echo):
    """Takes everything."""

    def data_received(self, data: bytes) -> None: ...


class Send(Echo):
    """Sends so many bytes as it is told to, under back-pressure."""

    def __init__(self) -> None:
        self.told = b""
        self.left = 0
        self.paused = False

    def data_received(self, data: bytes) -> None:
        self.told += data
        if self.told.endswith(b"\n"):
            self.left = int(self.told.strip().lstrip(b"sg"))
            self.produce()

    def produce(self) -> None:
        while self.left > 0 and not self.paused:
            self.left -= len(PIECE)
            self.transport.write(PIECE)

    def pause_writing(self) -> None:
        self.paused = True

    def resume_writing(self) -> None:
        self.paused = False
        self.produce()


PROTOCOLS = {"echo": Echo, "idle": Echo, "receive": Receive, "send": Send}


def serve_sshkit(mode: str, engine: str) -> None:
    """Serve on an engine of ours."""
    import sshkit
    from sshkit.deferred import Deferred
    from sshkit.reactor.current import current

    async def main() -> None:
        listener = await current().listen_tcp("127.0.0.1", 0, PROTOCOLS[mode])
        print(listener.address[1], flush=True)
        await Deferred()

    sshkit.run(main(), engine=engine)


def serve_asyncio(mode: str, *, uvloop: bool) -> None:
    """Serve on asyncio's or uvloop's loop."""

    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        server = await loop.create_server(PROTOCOLS[mode], "127.0.0.1", 0)
        print(server.sockets[0].getsockname()[1], flush=True)
        await loop.create_future()

    if uvloop:
        import uvloop as loops

        loops.run(main())
    else:
        asyncio.run(main())


def serve_twisted(mode: str) -> None:
    """Serve on Twisted's epoll reactor."""
    from twisted.internet import epollreactor

    epollreactor.install()  # type: ignore[no-untyped-call]
    from twisted.internet import interfaces, protocol, reactor
    from zope.interface import implementer

    loop: Any = reactor

    class TwistedEcho(protocol.Protocol):
        transport: Any

        def connectionMade(self) -> None:  # noqa: N802
            self.transport.setTcpNoDelay(True)

        def dataReceived(self, data: bytes) -> None:  # noqa: N802
            self.transport.write(data)

    class TwistedReceive(protocol.Protocol):
        def dataReceived(self, data: bytes) -> None:  # noqa: N802
            pass

    @implementer(interfaces.IPushProducer)
    class TwistedSend(protocol.Protocol):
        transport: Any

        def connectionMade(self) -> None:  # noqa: N802
            self.told, self.left, self.paused = b"", 0, False
            self.transport.registerProducer(self, True)

        def dataReceived(self, data: bytes) -> None:  # noqa: N802
            self.told += data
            if self.told.endswith(b"\n"):
                self.left = int(self.told.strip().lstrip(b"sg"))
                self.resumeProducing()

        def resumeProducing(self) -> None:  # noqa: N802
            self.paused = False
            while self.left > 0 and not self.paused:
                self.left -= len(PIECE)
                self.transport.write(PIECE)

        def pauseProducing(self) -> None:  # noqa: N802
            self.paused = True

        def stopProducing(self) -> None:  # noqa: N802
            self.left = 0

    kinds: dict[str, Any] = {
        "echo": TwistedEcho,
        "idle": TwistedEcho,
        "receive": TwistedReceive,
        "send": TwistedSend,
    }
    port = loop.listenTCP(0, protocol.Factory.forProtocol(kinds[mode]), interface="127.0.0.1", backlog=600)
    print(port.getHost().port, flush=True)
    loop.run()


def main() -> None:
    """Serve one kind."""
    kind, mode = sys.argv[1:]
    if mode == "idle":
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if kind == "twisted":
        serve_twisted(mode)
    elif kind.startswith("sshkit"):
        serve_sshkit(mode, "native" if kind.endswith("native") else "direct")
    else:
        serve_asyncio(mode, uvloop=kind == "uvloop")


if __name__ == "__main__":
    main()
