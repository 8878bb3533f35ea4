"""TLS over real sockets: on every engine, and on asyncio's and uvloop's own transports."""

import asyncio
import logging
import os
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import uvloop

from sshkit.reactor.errors import ConnectError
from sshkit.reactor.tls import (
    CertificateUnknownAuthority,
    CertificateWrongName,
    NotTLS,
    TLSClientOptions,
    TLSHandshakeTimeout,
    TLSServerOptions,
    TLSTruncated,
    connect_tls,
    listen_tls,
    start_tls,
    wrap_client,
    wrap_server,
)
from sshkit.testing import MemoryReactor

from ..helpers import BufferedRecorder, Echo, Hang, Recorder, later
from .authority import Authority, write_pair
from .joined import AUTHORITY, CERTIFICATE, CLIENT, KEY, SERVER

TRUSTING = TLSClientOptions(trust=[AUTHORITY.certificate])
LOCAL = TLSServerOptions(*AUTHORITY.issue("localhost", "127.0.0.1", "box.example"))
Run = Callable[[Any], Any]
BULK = bytes(range(256)) * 4000


def test_a_connection_carries_bulk_both_ways_and_closes_clean(run: Run) -> None:
    async def main(reactor: Any) -> None:
        listener = await listen_tls(reactor, "127.0.0.1", 0, Echo, LOCAL)
        client = await connect_tls(reactor, "127.0.0.1", listener.address[1], Recorder, TRUSTING)
        client.transport.write(BULK)
        assert await client.bytes_received(len(BULK)) == BULK
        client.transport.close()
        assert await client.lost is None
        listener.close()

    run(main)


def test_a_buffered_protocol_works_over_sockets(run: Run) -> None:
    async def main(reactor: Any) -> None:
        class Large(BufferedRecorder):
            size = 100_000

        listener = await listen_tls(reactor, "127.0.0.1", 0, Echo, LOCAL)
        client = await connect_tls(reactor, "127.0.0.1", listener.address[1], Large, TRUSTING)
        client.transport.write(BULK)
        assert await client.bytes_received(len(BULK)) == BULK
        client.transport.abort()
        await client.lost
        listener.close()

    run(main)


def test_a_refused_certificate_fails_the_connect_and_is_told_to_the_server(run: Run) -> None:
    async def main(reactor: Any) -> None:
        failures: list[BaseException] = []
        made: list[Recorder] = []

        def factory() -> Recorder:
            made.append(Recorder())
            return made[-1]

        listener = await listen_tls(reactor, "127.0.0.1", 0, factory, LOCAL, failed=failures.append)
        for options, kind in (
            (TLSClientOptions("other.example", trust=[AUTHORITY.certificate]), CertificateWrongName),
            (TLSClientOptions(trust=[Authority("Other").certificate]), CertificateUnknownAuthority),
        ):
            with pytest.raises(kind, match=r"127\.0\.0\.1"):
                await connect_tls(reactor, "127.0.0.1", listener.address[1], Recorder, options)
        while len(failures) < 2:
            await later(reactor)
        assert not made  # no protocol for a client without a handshake
        listener.close()

    run(main)


def test_a_server_that_does_not_answer_ends_in_one_deadline(run: Run) -> None:
    async def main(reactor: Any) -> None:
        listener = await reactor.listen_tcp("127.0.0.1", 0, Recorder)
        with pytest.raises(TLSHandshakeTimeout):
            await connect_tls(reactor, "127.0.0.1", listener.address[1], Recorder, TRUSTING, timeout=0.05)
        listener.close()

    run(main)


def test_a_client_that_says_nothing_is_let_go(run: Run) -> None:
    async def main(reactor: Any) -> None:
        failures: list[BaseException] = []
        listener = await listen_tls(
            reactor, "127.0.0.1", 0, Recorder, LOCAL, timeout=0.05, failed=failures.append
        )
        silent = await reactor.connect_tcp("127.0.0.1", listener.address[1], Recorder)
        await silent.lost
        assert isinstance(failures[0], TLSHandshakeTimeout)
        listener.close()

    run(main)


def test_a_failed_connect_is_the_connectors_error(run: Run, hang: Hang) -> None:
    async def main(reactor: Any) -> None:
        listener = await reactor.listen_tcp("127.0.0.1", 0, Recorder)
        port = listener.address[1]
        listener.close()
        await later(reactor)
        with pytest.raises(ConnectError):
            await connect_tls(reactor, "127.0.0.1", port, Recorder)
        with pytest.raises(ConnectError):
            await connect_tls(reactor, "127.0.0.1", hang.address[1], Recorder, TRUSTING, timeout=0.05)

    run(main)


def test_a_handler_that_raises_ends_its_connection_and_is_logged_once(run: Run, reports: list[str]) -> None:
    class Raising(Recorder):
        def data_received(self, data: bytes) -> None:
            raise RuntimeError("a fault of the handler")

    async def main(reactor: Any) -> None:
        ends: list[Raising] = []

        def factory() -> Raising:
            ends.append(Raising())
            return ends[-1]

        listener = await listen_tls(reactor, "127.0.0.1", 0, factory, LOCAL)
        client = await connect_tls(reactor, "127.0.0.1", listener.address[1], Recorder, TRUSTING)
        other = await connect_tls(reactor, "127.0.0.1", listener.address[1], Recorder, TRUSTING)
        client.transport.write(b"x")
        assert isinstance(await ends[0].lost, RuntimeError)
        assert isinstance(await client.lost, (ConnectionResetError, TLSTruncated))
        assert not other.lost.called
        other.transport.abort()
        await ends[1].lost
        listener.close()

    run(main)
    assert [text for text in reports if "a fault of the handler" in text] == list(reports)
    assert len(reports) == 1


def test_starttls_over_sockets(run: Run) -> None:
    class Plain(Recorder):
        """A server of one command."""

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            line, found, rest = bytes(self.received).partition(b"\r\n")
            if found and line == b"STARTTLS":
                self.transport.write(b"GO\r\n")
                start_tls(self.transport, Echo(), LOCAL, leftover=rest).add_errback(refused.append)

    refused: list[Any] = []

    async def main(reactor: Any) -> None:
        listener = await reactor.listen_tcp("127.0.0.1", 0, Plain)
        plain = await reactor.connect_tcp("127.0.0.1", listener.address[1], Recorder)
        plain.transport.write(b"STARTTLS\r\n")
        answer = await plain.bytes_received(4)
        options = TLSClientOptions("localhost", trust=[AUTHORITY.certificate])
        client = await start_tls(plain.transport, Recorder(), options, leftover=answer[4:])
        client.transport.write(b"secret")
        assert await client.bytes_received(6) == b"secret"
        client.transport.close()
        assert await client.lost is None
        plain = await reactor.connect_tcp("127.0.0.1", listener.address[1], Recorder)
        plain.transport.write(b"STARTTLS\r\nMAIL FROM:<evil>\r\n")
        await plain.lost
        assert not client.received[6:]
        assert "18 plain bytes" in str(refused[0].exception)
        listener.close()

    run(main)


def test_a_port_scan_is_logged_for_information_only(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "sshkit.reactor")

    async def main(reactor: Any) -> None:
        listener = await listen_tls(reactor, "127.0.0.1", 0, Recorder, LOCAL)
        plain = await reactor.connect_tcp("127.0.0.1", listener.address[1], Recorder)
        plain.transport.write(b"GET / HTTP/1.0\r\n\r\n")
        await plain.lost
        cut = await reactor.connect_tcp("127.0.0.1", listener.address[1], Recorder)
        cut.transport.abort()
        while len(caplog.records) < 2:
            await later(reactor)
        listener.close()

    run(main)
    assert {record.levelname for record in caplog.records} == {"INFO"}
    assert "plain HTTP" in caplog.messages[0]


def test_a_protocol_that_cannot_start_is_logged_as_a_fault(run: Run, reports: list[str]) -> None:
    async def main(reactor: Any) -> None:
        def factory() -> Recorder:
            raise RuntimeError("no protocol today")

        listener = await listen_tls(reactor, "127.0.0.1", 0, factory, LOCAL)
        client = await connect_tls(reactor, "127.0.0.1", listener.address[1], Recorder, TRUSTING)
        await client.lost
        listener.close()

    run(main)
    assert list(reports) == ["a protocol over TLS failed: no protocol today"]


def test_a_network_in_memory_speaks_tls_too() -> None:
    reactor: Any = MemoryReactor()

    async def main() -> None:
        await listen_tls(reactor, "127.0.0.1", 443, Echo, SERVER)
        client = await connect_tls(reactor, "box.example", 443, Recorder, TRUSTING)
        client.transport.write(b"hello")
        assert await client.bytes_received(5) == b"hello"
        client.transport.close()
        assert await client.lost is None

    reactor.run(main())


@pytest.mark.parametrize("runner", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_the_layer_runs_on_asyncios_and_uvloops_own_transports(runner: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: wrap_server(Echo(), SERVER), "127.0.0.1", 0)  # type: ignore[arg-type,return-value]
        layer: Any
        _, layer = await loop.create_connection(  # type: ignore[type-var]
            lambda: wrap_client(Recorder(), CLIENT),  # pyright: ignore[reportArgumentType]
            *server.sockets[0].getsockname(),
        )
        client = await layer.handshake
        client.transport.write(BULK)
        assert await client.bytes_received(len(BULK)) == BULK
        client.transport.close()
        assert await client.lost is None
        server.close()
        await server.wait_closed()

    runner(main())


def test_pythons_ssl_is_served(run: Run, tmp_path: Path) -> None:
    root = tmp_path / "root.pem"
    root.write_bytes(AUTHORITY.pem)
    context = ssl.create_default_context(cafile=str(root))

    def talk(port: int) -> bytes:
        import socket

        with (
            socket.create_connection(("127.0.0.1", port), 10) as plain,
            context.wrap_socket(plain, server_hostname="box.example") as sock,
        ):
            sock.sendall(BULK[:100_000])
            got = b""
            while len(got) < 100_000:
                got += sock.recv(65536)
            sock.unwrap()  # raises without our close_notify
        return got

    async def main(reactor: Any) -> None:
        listener = await listen_tls(reactor, "127.0.0.1", 0, Echo, LOCAL)
        assert await reactor.defer_to_thread(talk, listener.address[1]) == BULK[:100_000]
        listener.close()

    run(main)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_pythons_ssl_is_a_server_for_us(version: ssl.TLSVersion, tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = version
    context.load_cert_chain(*write_pair(tmp_path, "server", (CERTIFICATE, KEY)))

    async def main() -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(await reader.readexactly(1000))
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
        from sshkit.reactor.current import current

        port = server.sockets[0].getsockname()[1]
        client = await connect_tls(current(), "127.0.0.1", port, Recorder, CLIENT)
        client.transport.write(BULK[:1000])
        assert await client.bytes_received(1000) == BULK[:1000]
        assert client.transport.get_extra_info("tls_version") == version.name.replace("_", ".")
        assert await client.lost is None
        assert client.events == ["made", "eof", "lost"]
        server.close()

    asyncio.run(main())


def test_tls_runs_over_unix_sockets_and_pipes(run: Run, tmp_path: Path) -> None:
    async def main(reactor: Any) -> None:
        path = str(tmp_path / "socket")
        listener = await reactor.listen_unix(path, lambda: wrap_server(Echo(), SERVER))
        layer = await reactor.connect_unix(path, lambda: wrap_client(Recorder(), CLIENT))
        clients = [await layer.handshake]
        to_server, from_client = os.pipe()
        to_client, from_server = os.pipe()
        reactor.open_pipes(wrap_server(Echo(), SERVER), to_server, from_server)
        layer = wrap_client(Recorder(), CLIENT)
        reactor.open_pipes(layer, to_client, from_client)
        clients.append(await layer.handshake)
        for client in clients:
            client.transport.write(BULK)
            assert await client.bytes_received(len(BULK)) == BULK
            client.transport.close()
            assert await client.lost is None
        listener.close()

    run(main)


def test_an_ssh_server_is_named_where_tls_was_expected(run: Run) -> None:
    class Greeter(Recorder):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            transport.write(b"SSH-2.0-Test\r\n")

    async def main(reactor: Any) -> None:
        listener = await reactor.listen_tcp("127.0.0.1", 0, Greeter)
        with pytest.raises(NotTLS, match="speaks SSH"):
            await connect_tls(reactor, "127.0.0.1", listener.address[1], Recorder, TRUSTING)
        listener.close()

    run(main)


def test_a_cancelled_connect_leaves_nothing_behind(run: Run) -> None:
    async def main(reactor: Any) -> None:
        made: list[Recorder] = []

        def factory() -> Recorder:
            made.append(Recorder())
            return made[-1]

        listener = await reactor.listen_tcp("127.0.0.1", 0, factory)
        waiting = connect_tls(reactor, "127.0.0.1", listener.address[1], Recorder, TRUSTING)
        waiting.add_errback(lambda failure: None)
        while not made:
            await later(reactor)
        await made[0].bytes_received(5)
        waiting.cancel()
        assert isinstance(await made[0].lost, ConnectionResetError)
        listener.close()

    run(main)
