"""TLS bulk in both directions: processor seconds of the server's process by GiB, beside Twisted and asyncio.

The other end is the same for all: a plain client of Python's ssl in a process of its own, which is not
counted.  Run by `python -m benchmarks tls`, and by itself as the process of each end.
"""

import asyncio
import json
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

SIZE = 512 * 1024 * 1024
PIECE = bytes(256 * 1024)
KINDS = ("sshkit", "twisted", "asyncio", "uvloop")
MODES = ("receive", "send")
TIMEOUT = 300


class Bulk:
    """A protocol that takes, or sends, so many bytes; then it prints what that cost."""

    def __init__(self, mode: str, size: int) -> None:
        self.mode = mode
        self.left = size
        self.writing = False
        self.transport: Any = None
        self.began = 0.0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.began = time.process_time()
        if self.mode == "send":
            self.writing = True
            self.produce()

    def produce(self) -> None:
        while self.writing and self.left > 0:
            self.left -= len(PIECE)
            self.transport.write(PIECE)
        if self.left <= 0 and self.writing:
            self.writing = False
            self.transport.close()

    def pause_writing(self) -> None:
        self.writing = False

    def resume_writing(self) -> None:
        if self.mode == "send" and not self.transport.is_closing():
            self.writing = True
            self.produce()

    def data_received(self, data: bytes) -> None:
        self.left -= len(data)

    def eof_received(self) -> bool | None:
        return None

    def connection_lost(self, exc: BaseException | None) -> None:
        cost = time.process_time() - self.began
        print(json.dumps({"cpu": cost, "left": self.left, "error": repr(exc) if exc else ""}), flush=True)
        sys.stdout.close()
        import os

        os._exit(0)


def serve_sshkit(mode: str, size: int, certificate: str, key: str) -> None:
    """Serve on our native engine."""
    import sshkit
    from sshkit.deferred import Deferred
    from sshkit.reactor.current import current
    from sshkit.reactor.tls import TLSServerOptions, listen_tls

    async def main() -> None:
        options = TLSServerOptions(certificate, key)
        listener = await listen_tls(current(), "127.0.0.1", 0, lambda: Bulk(mode, size), options)
        print(listener.address[1], flush=True)
        await Deferred()

    sshkit.run(main())


def serve_asyncio(mode: str, size: int, certificate: str, key: str, *, uvloop: bool) -> None:
    """Serve by asyncio's or uvloop's ssl."""

    async def main() -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        loop: Any = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Bulk(mode, size), "127.0.0.1", 0, ssl=context)
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.sleep(TIMEOUT)

    if uvloop:
        import uvloop as loop_maker

        loop_maker.run(main())
    else:
        asyncio.run(main())


def serve_twisted(mode: str, size: int, certificate: str, key: str) -> None:
    """Serve by Twisted's TLS on its default reactor."""
    from twisted.internet import interfaces, protocol, reactor
    from twisted.internet import ssl as twisted_ssl
    from zope.interface import implementer

    loop: Any = reactor
    contexts: Any = twisted_ssl.DefaultOpenSSLContextFactory

    @implementer(interfaces.IPushProducer)
    class Adapter(protocol.Protocol):
        transport: Any

        def connectionMade(self) -> None:  # noqa: N802
            self.bulk = Bulk(mode, size)
            self.bulk.transport = self.transport
            self.bulk.began = time.process_time()
            if mode == "send":
                self.transport.registerProducer(self, True)
                self.resumeProducing()

        def dataReceived(self, data: bytes) -> None:  # noqa: N802
            self.bulk.left -= len(data)

        def pauseProducing(self) -> None:  # noqa: N802
            self.bulk.writing = False

        def resumeProducing(self) -> None:  # noqa: N802
            bulk = self.bulk
            bulk.writing = True
            while bulk.writing and bulk.left > 0:
                bulk.left -= len(PIECE)
                self.transport.write(PIECE)
            if bulk.left <= 0 and bulk.writing:
                bulk.writing = False
                self.transport.unregisterProducer()
                self.transport.loseConnection()

        def stopProducing(self) -> None:  # noqa: N802
            self.bulk.writing = False

        def connectionLost(self, reason: Any = None) -> None:  # noqa: N802
            self.bulk.connection_lost(None)

    factory = protocol.Factory.forProtocol(Adapter)
    port = loop.listenSSL(0, factory, contexts(key, certificate), interface="127.0.0.1")
    print(port.getHost().port, flush=True)
    loop.run()


def talk(mode: str, size: int, port: int) -> None:
    """Be the other end."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with context.wrap_socket(socket.create_connection(("127.0.0.1", port))) as sock:
        left = size
        if mode == "receive":
            while left > 0:
                sock.sendall(PIECE)
                left -= len(PIECE)
        else:
            buffer = bytearray(len(PIECE))
            while left > 0:
                got = sock.recv_into(buffer)
                if not got:
                    break
                left -= got
        try:
            sock.unwrap()
        except (ssl.SSLError, OSError):  # who says the last word is not the question here
            pass


def once(kind: str, mode: str, folder: Path) -> float:
    """Return the processor seconds by GiB of one transfer."""
    argv = [sys.executable, "-W", "ignore", "-m", "benchmarks.tls"]
    files = [str(folder / "cert.pem"), str(folder / "key.pem")]
    server = subprocess.Popen([*argv, kind, mode, str(SIZE), *files], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        port = server.stdout.readline().strip()
        subprocess.run([*argv, "talk", mode, str(SIZE), port], check=True, timeout=TIMEOUT)
        result = json.loads(server.stdout.readline())
        if result["left"] > 0 or result["error"]:
            raise RuntimeError(f"{kind} {mode}: {result}")
        return float(result["cpu"]) * 2**30 / SIZE
    finally:
        server.kill()
        server.wait(10)


def make_certificate(folder: Path) -> None:
    """Write a certificate for the servers."""
    argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    argv += ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem"), "-subj", "/CN=localhost"]
    subprocess.run(argv, check=True, capture_output=True)


def show(rounds: int) -> None:
    """Print a table, medians of interleaved rounds."""
    print("\nTLS bulk, processor seconds of the server by GiB (and by Twisted's)")
    with tempfile.TemporaryDirectory(prefix="sshkit-tls-") as text:
        folder = Path(text)
        make_certificate(folder)
        for mode in MODES:
            figures: dict[str, list[float]] = {kind: [] for kind in KINDS}
            for _ in range(rounds):
                for kind in KINDS:
                    figures[kind].append(once(kind, mode, folder))
            medians = {kind: statistics.median(values) for kind, values in figures.items()}
            for kind, value in medians.items():
                print(f"  {mode:9}{kind:10}{value:7.2f}{value / medians['twisted']:8.2f}", flush=True)


def main() -> None:
    """Be one process of a transfer."""
    kind, mode, size, *rest = sys.argv[1:]
    if kind == "talk":
        talk(mode, int(size), int(rest[0]))
    elif kind == "sshkit":
        serve_sshkit(mode, int(size), *rest)
    elif kind == "twisted":
        serve_twisted(mode, int(size), *rest)
    else:
        serve_asyncio(mode, int(size), *rest, uvloop=kind == "uvloop")


if __name__ == "__main__":
    main()
