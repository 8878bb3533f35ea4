"""TLS over a channel of SSH: through our own server, and through OpenSSH's to a server of OpenSSL's."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import sshkit
from sshkit.client.endpoint import SSHClientEndpoint
from sshkit.reactor.endpoints import client_from_string
from sshkit.reactor.tls import (
    CertificateWrongName,
    TLSClientOptions,
    TLSServerOptions,
    TLSTruncated,
    listen_tls,
    wrap_client,
)
from tests.client.world import HOST_KEY, USER_KEY, echo
from tests.interop.peers import START_TIMEOUT, free_port, wait_for_port
from tests.peers import RealSshd

from ..helpers import Echo, Recorder
from .authority import write_pair
from .joined import AUTHORITY

Run = Callable[[Any], Any]

SERVER = TLSServerOptions(*AUTHORITY.issue("box.example"), alpn=["echo"])
CLIENT = TLSClientOptions("box.example", trust=[AUTHORITY.certificate], alpn=["echo"])

#: More than a window of a channel.
MUCH = bytes(range(256)) * 16_000


class Rude(Recorder):
    """Ends the connection without TLS' own end."""

    def data_received(self, data: bytes) -> None:
        self.transport.abort()


def serve(reactor: Any) -> Any:
    return sshkit.serve(
        "127.0.0.1:0",
        echo,
        host_keys=[HOST_KEY],
        authorized_keys=[USER_KEY.public],
        forwards=True,
        reactor=reactor,
    )


def connect(server: Any, reactor: Any) -> Any:
    return sshkit.connect(
        f"me@127.0.0.1:{server.address[1]}",
        identities=[USER_KEY],
        host_keys=[HOST_KEY.public],
        reactor=reactor,
    )


async def over(connection: Any, port: int, reactor: Any, options: TLSClientOptions = CLIENT) -> Any:
    """Return a protocol whose transport is TLS on a channel to a port of the other host."""
    ours = Recorder()
    place = SSHClientEndpoint(connection, to=("127.0.0.1", port), reactor=reactor)
    layer = await place.connect(lambda: wrap_client(ours, options, clock=reactor))
    return await layer.handshake


def test_tls_goes_over_a_channel_of_our_own_server(run: Run) -> None:
    async def main(reactor: Any) -> None:
        listener = await listen_tls(reactor, "127.0.0.1", 0, Echo, SERVER)
        async with serve(reactor) as server, connect(server, reactor) as connection:
            for _ in range(2):  # the second one resumes the session
                ours = await over(connection, listener.address[1], reactor)
                assert ours.transport.get_extra_info("alpn") == "echo"
                assert ours.transport.get_extra_info("connection") is connection
                ours.transport.write(MUCH)
                assert await ours.bytes_received(len(MUCH)) == MUCH
                ours.transport.close()
                assert await ours.lost is None
            assert (await connection.run("hello")).text == "out hello\n"
        listener.close()

    run(main)


def test_faults_of_tls_end_the_channel_only(run: Run) -> None:
    async def main(reactor: Any) -> None:
        listener = await listen_tls(reactor, "127.0.0.1", 0, Rude, SERVER, failed=lambda error: None)
        port = listener.address[1]
        async with serve(reactor) as server, connect(server, reactor) as connection:
            wrong = TLSClientOptions("other.example", trust=[AUTHORITY.certificate])
            with pytest.raises(CertificateWrongName):
                await over(connection, port, reactor, wrong)
            ours = await over(connection, port, reactor)
            ours.transport.write(b"x")
            assert isinstance(await ours.lost, TLSTruncated)
            assert (await connection.run("hello")).text == "out hello\n"
        listener.close()

    run(main)


@pytest.mark.peer("sshd")
@pytest.mark.peer("openssl")
def test_tls_goes_through_openssh_to_openssl(run: Run, tmp_path: Path) -> None:
    certificate, key = write_pair(tmp_path, "server", AUTHORITY.issue("box.example"))
    trust = tmp_path / "root.pem"
    trust.write_bytes(AUTHORITY.pem)
    port = free_port()
    log = tmp_path / "log"
    argv = ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-rev", "-quiet"]
    argv += ["-cert", str(certificate), "-key", str(key)]

    async def main(reactor: Any) -> None:
        known, identity = sshd.known_hosts, sshd.user_key_path
        place = client_from_string(
            f"ssh:127.0.0.1:{sshd.port}:known_hosts={known}:identity={identity}:->127.0.0.1:{port}", reactor
        )
        ours = Recorder()
        options = TLSClientOptions("box.example", trust=trust)
        layer = await place.connect(lambda: wrap_client(ours, options, clock=reactor))
        assert await layer.handshake is ours
        ours.transport.write(b"hello\n")
        assert await ours.bytes_received(6) == b"olleh\n"
        ours.transport.close()
        await ours.lost

    with RealSshd(tmp_path) as sshd, log.open("wb") as output:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        try:
            wait_for_port(port, process, log)
            run(main)
        finally:
            process.terminate()
            process.wait(START_TIMEOUT)
