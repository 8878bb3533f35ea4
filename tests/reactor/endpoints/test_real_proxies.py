"""Endpoints through programs of others: SOCKS 5 by microsocks and by OpenSSH, PROXY headers by HAProxy."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from sshkit.reactor import ConnectError
from sshkit.reactor.endpoints import client_from_string, server_from_string
from sshkit.reactor.endpoints.socks5 import Socks5Client
from sshkit.reactor.tls import TLSClientOptions, wrap_client
from tests.interop.peers import PATH, START_TIMEOUT, free_port, wait_for_port
from tests.peers import RealSshd

from ..helpers import Echo, Recorder
from ..tls.authority import write_pair
from ..tls.joined import AUTHORITY

Run = Callable[[Any], Any]

#: More than a proxy holds.
MUCH = bytes(range(256)) * 8000


@contextmanager
def program(folder: Path, port: int, *argv: str) -> Iterator[None]:
    """Run a program that listens at `port`."""
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env={"PATH": PATH}
        )
        try:
            wait_for_port(port, process, log)
            yield
        finally:
            process.kill()  # ssh may miss a SIGTERM that comes just before it waits
            process.wait(START_TIMEOUT)


@contextmanager
def microsocks(folder: Path, *options: str) -> Iterator[int]:
    port = free_port()
    with program(folder, port, "microsocks", "-i", "127.0.0.1", "-p", str(port), *options):
        yield port


@contextmanager
def openssh(folder: Path) -> Iterator[int]:
    """OpenSSH's client as a proxy, and its server behind."""
    port = free_port()
    with RealSshd(folder) as sshd:
        options = [f"UserKnownHostsFile={sshd.known_hosts}", "IdentitiesOnly=yes", "BatchMode=yes"]
        flags = [word for option in options for word in ("-o", option)]
        argv = ["ssh", "-N", "-F", "none", "-i", str(sshd.user_key_path), *flags, "-p", str(sshd.port)]
        with program(folder, port, *argv, "-D", f"127.0.0.1:{port}", "127.0.0.1"):
            yield port


PROXIES = [
    pytest.param(microsocks, marks=pytest.mark.peer("microsocks")),
    pytest.param(openssh, marks=[pytest.mark.peer("sshd"), pytest.mark.peer("ssh")]),
]


@pytest.mark.parametrize("proxy", PROXIES)
def test_a_connection_goes_through_a_real_socks_proxy(run: Run, tmp_path: Path, proxy: Any) -> None:
    async def main(reactor: Any) -> None:
        listener = await reactor.listen_tcp("127.0.0.1", 0, Echo)
        nobody = free_port()
        with proxy(tmp_path) as port:
            for host in ("localhost", "127.0.0.1"):
                place = client_from_string(f"socks5:127.0.0.1:{port}:{host}:{listener.address[1]}", reactor)
                client = await place.connect(Recorder)
                client.transport.write(MUCH)
                assert await client.bytes_received(len(MUCH)) == MUCH
                client.transport.close()
                await client.lost
            place = client_from_string(f"socks5:127.0.0.1:{port}:127.0.0.1:{nobody}", reactor)
            with pytest.raises(ConnectError, match=f"cannot connect to 127.0.0.1 port {nobody} through tcp:"):
                await place.connect(Recorder)
        listener.close()

    run(main)


@pytest.mark.peer("microsocks")
def test_a_real_proxy_asks_for_the_password(run: Run, tmp_path: Path) -> None:
    async def main(reactor: Any) -> None:
        listener = await reactor.listen_tcp("127.0.0.1", 0, Echo)
        with microsocks(tmp_path, "-u", "ann", "-P", "secret") as port:
            behind = f"socks5:127.0.0.1:{port}:127.0.0.1:{listener.address[1]}"
            client = await client_from_string(f"{behind}:user=ann:password=secret", reactor).connect(Recorder)
            client.transport.write(b"hello")
            assert await client.bytes_received(5) == b"hello"
            client.transport.close()
            await client.lost
            for wrong in (behind, f"{behind}:user=ann:password=guess"):
                with pytest.raises(ConnectError, match=r"through tcp:127\.0\.0\.1:") as raised:
                    await client_from_string(wrong, reactor).connect(Recorder)
                assert "guess" not in str(raised.value)
        listener.close()

    run(main)


@pytest.mark.peer("microsocks")
def test_tls_goes_through_a_real_socks_proxy(run: Run, tmp_path: Path) -> None:
    certificate, key = write_pair(tmp_path, "server", AUTHORITY.issue("localhost"))

    async def main(reactor: Any) -> None:
        server = server_from_string(f"tls:0:interface=127.0.0.1:certificate={certificate}:key={key}", reactor)
        listener = await server.listen(Echo)
        with microsocks(tmp_path) as port:
            proxy = client_from_string(f"tcp:127.0.0.1:{port}", reactor)
            place = Socks5Client(proxy, "localhost", listener.address[1], reactor=reactor)
            options = TLSClientOptions("localhost", trust=[AUTHORITY.certificate])
            ours = Recorder()
            layer = await place.connect(lambda: wrap_client(ours, options))
            assert await layer.handshake is ours
            ours.transport.write(MUCH)
            assert await ours.bytes_received(len(MUCH)) == MUCH
            ours.transport.close()
            await ours.lost
        listener.close()

    run(main)


class Named(Echo):
    """Tells who it is talking with."""

    def __init__(self, peers: list[Any]) -> None:
        super().__init__()
        self.peers = peers

    def connection_made(self, transport: Any) -> None:
        self.peers.append(transport.get_extra_info("peername"))
        super().connection_made(transport)


@pytest.mark.peer("haproxy")
@pytest.mark.parametrize("version", ["send-proxy", "send-proxy-v2", "send-proxy-v2-ssl"])
def test_a_server_behind_a_real_haproxy_sees_the_client(run: Run, tmp_path: Path, version: str) -> None:
    async def main(reactor: Any) -> None:
        peers: list[Any] = []
        server = server_from_string("haproxy:trusted=127.0.0.1:tcp:0:interface=127.0.0.1", reactor)
        listener = await server.listen(lambda: Named(peers))
        port = free_port()
        configuration = tmp_path / "haproxy.cfg"
        configuration.write_text(
            "defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n"
            f"listen proxy\n  bind 127.0.0.1:{port}\n"
            f"  server one 127.0.0.1:{listener.address[1]} {version}\n"
        )
        with program(tmp_path, port, "haproxy", "-db", "-f", str(configuration)):
            client = await reactor.connect_tcp("127.0.0.1", port, Recorder)
            client.transport.write(MUCH)
            assert await client.bytes_received(len(MUCH)) == MUCH
            address = client.transport.get_extra_info("sockname")
            client.transport.close()
            await client.lost
            assert address in [tuple(peer[:2]) for peer in peers]
        listener.close()

    run(main)
