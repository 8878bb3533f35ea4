"""TLS with programs of others: openssl's client and server, curl, stunnel."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from sshkit.deferred import Deferred
from sshkit.reactor.engines.native import NativeReactor
from sshkit.reactor.tls import (
    CertificateSelfSigned,
    ClientCertificateMissing,
    TLSAlert,
    TLSClientOptions,
    TLSServerOptions,
    connect_tls,
    listen_tls,
)
from tests.interop.peers import PATH, free_port, wait_for_port

from ..helpers import Echo, Recorder
from .authority import Authority, write_pair
from .joined import AUTHORITY

MINE = AUTHORITY.issue("box.example", "localhost", "127.0.0.1")
PERSON = AUTHORITY.issue("person")
TRUST = [AUTHORITY.certificate]
TIMEOUT = 20


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with what the programs read."""
    (tmp_path / "root.pem").write_bytes(AUTHORITY.pem)
    write_pair(tmp_path, "server", MINE)
    write_pair(tmp_path, "person", PERSON)
    return tmp_path


def running(main: Any) -> Any:
    """Run `main(reactor)`."""
    reactor = NativeReactor()
    try:
        return reactor.run_until(main(reactor))
    finally:
        reactor.close()


def program(*argv: str, input: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run a program to its end; in a thread, for the reactor serves it meanwhile."""
    return subprocess.run(argv, input=input, capture_output=True, timeout=TIMEOUT, check=False)


class Answerer(Recorder):
    """Answers one line, tells of the connection, and closes."""

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if b"\n" in self.received:
            fact = self.transport.get_extra_info
            certificate = fact("peercert")
            who = "nobody" if certificate is None else certificate.subject.rfc4514_string()
            line = (
                f"{fact('tls_version')} {fact('alpn')} {fact('server_name')} {who} {fact('session_reused')}\n"
            )
            self.transport.write(line.encode())
            self.transport.close()


def asked_by_openssl(server: TLSServerOptions, files: Path, *options: str) -> tuple[str, list[Any]]:
    """Serve one `openssl s_client`; return what it printed, and the failures of handshakes."""
    failures: list[Any] = []

    async def main(reactor: Any) -> str:
        listener = await listen_tls(reactor, "127.0.0.1", 0, Answerer, server, failed=failures.append)
        argv = ["openssl", "s_client", "-connect", f"127.0.0.1:{listener.address[1]}", "-ign_eof"]
        argv += ["-CAfile", str(files / "root.pem"), "-verify_return_error", *options]
        done = await reactor.defer_to_thread(lambda: program(*argv, input=b"question\n"))
        listener.close()
        return str(done.stdout.decode(errors="replace") + done.stderr.decode(errors="replace"))

    return running(main), failures


@pytest.mark.peer("openssl")
@pytest.mark.parametrize("version", ["1_2", "1_3"])
def test_openssls_client_is_served(version: str, files: Path) -> None:
    output, failures = asked_by_openssl(
        TLSServerOptions(*MINE, alpn=("irc",)),
        files,
        f"-tls{version}",
        "-alpn",
        "h2,irc",
        "-servername",
        "box.example",
    )
    assert f"TLSv{version.replace('_', '.')} irc box.example nobody False" in output
    assert "Verify return code: 0 (ok)" in output
    assert not failures


@pytest.mark.peer("openssl")
def test_openssls_client_certificate_is_known(files: Path) -> None:
    server = TLSServerOptions(*MINE, client_trust=TRUST, require_client=True)
    output, _ = asked_by_openssl(
        server, files, "-cert", str(files / "person.pem"), "-key", str(files / "person.key")
    )
    assert "CN=person" in output
    output, failures = asked_by_openssl(server, files)
    assert isinstance(failures[0], ClientCertificateMissing)
    assert "certificate required" in output


@pytest.mark.peer("openssl")
@pytest.mark.parametrize("version", ["1_2", "1_3"])
def test_openssls_client_resumes_its_session(version: str, files: Path) -> None:
    server = TLSServerOptions(*MINE, client_trust=TRUST)
    session = str(files / "session")
    output, _ = asked_by_openssl(server, files, f"-tls{version}", "-sess_out", session)
    assert "nobody False" in output
    output, _ = asked_by_openssl(server, files, f"-tls{version}", "-sess_in", session)
    assert "nobody True" in output


@pytest.mark.peer("openssl")
def test_openssls_client_shows_the_name_that_it_wants(files: Path) -> None:
    other = AUTHORITY.issue("other.example")
    server = TLSServerOptions(*MINE, sni={"other.example": TLSServerOptions(*other)})
    output, _ = asked_by_openssl(server, files, "-servername", "other.example")
    assert re.search(r"subject=CN ?= ?other\.example", output)


@pytest.mark.peer("openssl")
def test_openssls_client_that_refuses_us_tells_why(files: Path) -> None:
    _, failures = asked_by_openssl(TLSServerOptions(*Authority("Unknown").issue("box.example")), files)
    assert isinstance(failures[0], TLSAlert)
    assert "unknown ca" in str(failures[0])


@pytest.mark.peer("openssl")
def test_openssls_client_may_not_renegotiate(files: Path) -> None:
    async def main(reactor: Any) -> bytes:
        listener = await listen_tls(reactor, "127.0.0.1", 0, Echo, TLSServerOptions(*MINE))
        argv = ["openssl", "s_client", "-connect", f"127.0.0.1:{listener.address[1]}", "-tls1_2"]
        done = await reactor.defer_to_thread(lambda: program(*argv, input=b"R\n"))
        listener.close()
        return bytes(done.stdout + done.stderr)

    assert re.search(rb"RENEGOTIATING\s.*:no renegotiation:", running(main))


class OpensslServer:
    """`openssl s_server` that sends back each line reversed."""

    def __init__(self, files: Path, *options: str) -> None:
        self.port = free_port()
        path = shutil.which("openssl", path=PATH)
        assert path is not None
        argv = [path, "s_server", "-accept", f"127.0.0.1:{self.port}", "-rev", *options]
        argv += ["-cert", str(files / "server.pem"), "-key", str(files / "server.key")]
        self._log = files / "s_server.log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def __enter__(self) -> int:
        wait_for_port(self.port, self.process, self._log)
        return self.port

    def __exit__(self, *exception: object) -> None:
        self.process.kill()
        self.process.wait(TIMEOUT)


async def reversed_line(reactor: Any, port: int, options: TLSClientOptions) -> Recorder:
    client = await connect_tls(reactor, "127.0.0.1", port, Recorder, options, timeout=TIMEOUT)
    client.transport.write(b"desrever\n")
    assert await client.bytes_received(9) == b"reversed\n"
    return client


@pytest.mark.peer("openssl")
@pytest.mark.parametrize("version", ["1_2", "1_3"])
def test_openssls_server_serves_us(version: str, files: Path) -> None:
    options = TLSClientOptions("box.example", trust=TRUST, alpn=("irc",))

    async def main(reactor: Any) -> None:
        reused = []
        for _ in range(2):
            client = await reversed_line(reactor, port, options)
            fact = client.transport.get_extra_info
            assert (fact("tls_version"), fact("alpn")) == (f"TLSv{version.replace('_', '.')}", "irc")
            reused.append(fact("session_reused"))
            client.transport.close()
            await client.lost
        assert reused == [False, True]

    with OpensslServer(files, f"-tls{version}", "-alpn", "irc") as port:
        running(main)


@pytest.mark.peer("openssl")
def test_openssls_server_takes_our_certificate_and_refuses_none(files: Path) -> None:
    async def main(reactor: Any) -> None:
        good = TLSClientOptions("box.example", trust=TRUST, certificate=PERSON)
        (await reversed_line(reactor, port, good)).transport.abort()
        bare = await connect_tls(
            reactor,
            "127.0.0.1",
            port,
            Recorder,
            TLSClientOptions("box.example", trust=TRUST),
            timeout=TIMEOUT,
        )
        assert isinstance(await bare.lost, ClientCertificateMissing)
        with pytest.raises(CertificateSelfSigned):
            await connect_tls(
                reactor,
                "127.0.0.1",
                port,
                Recorder,
                TLSClientOptions("box.example", trust=[Authority().certificate]),
            )

    with OpensslServer(files, "-Verify", "1", "-CAfile", str(files / "root.pem")) as port:
        running(main)


class Web(Recorder):
    """A small answerer of HTTP."""

    body = b"over TLS\n" * 20_000

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.received.endswith(b"\r\n\r\n"):
            self.transport.write(
                b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(self.body)
            )
            self.transport.writelines([self.body[:100], self.body[100:]])
            self.transport.close()


@pytest.mark.peer("curl")
def test_curl_gets_a_page(files: Path) -> None:
    async def main(reactor: Any) -> None:
        listener = await listen_tls(
            reactor, "127.0.0.1", 0, Web, TLSServerOptions(*MINE, alpn=("http/1.1",)), timeout=TIMEOUT
        )
        url = f"https://localhost:{listener.address[1]}/"
        argv = ["curl", "-sS", "--noproxy", "*", "--http1.1", "--cacert", str(files / "root.pem"), url]
        done = await reactor.defer_to_thread(lambda: program(*argv))
        assert (done.stderr, done.stdout) == (b"", Web.body)
        listener.close()

    running(main)


@pytest.mark.peer("stunnel")
@pytest.mark.parametrize("stunnel_is_client", [True, False])
def test_stunnel_is_understood(stunnel_is_client: bool, files: Path) -> None:
    port = free_port()
    config = files / "stunnel.conf"
    log = files / "stunnel.log"

    async def main(reactor: Any) -> None:
        listener: Any
        if stunnel_is_client:
            listener = await listen_tls(reactor, "127.0.0.1", 0, Echo, TLSServerOptions(*MINE))
        else:
            listener = await reactor.listen_tcp("127.0.0.1", 0, Echo)
        lines = ["foreground = yes", "pid =", "[test]", f"accept = 127.0.0.1:{port}"]
        lines.append(f"connect = 127.0.0.1:{listener.address[1]}")
        if stunnel_is_client:
            lines += [
                "client = yes",
                f"CAfile = {files}/root.pem",
                "verifyChain = yes",
                "checkHost = localhost",
            ]
        else:
            lines += [f"cert = {files}/server.pem", f"key = {files}/server.key"]
        config.write_text("\n".join(lines) + "\n")
        with log.open("wb") as output:
            process = subprocess.Popen(
                [shutil.which("stunnel", path=f"{os.environ['PATH']}:{PATH}") or "stunnel", str(config)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        try:
            await reactor.defer_to_thread(wait_for_port, port, process, log)
            if stunnel_is_client:
                client = await reactor.connect_tcp("127.0.0.1", port, Recorder)
            else:
                client = await connect_tls(
                    reactor, "127.0.0.1", port, Recorder, TLSClientOptions("localhost", trust=TRUST)
                )
            data = bytes(range(256)) * 1000
            client.transport.write(data)
            arrived: Deferred[bytes] = client.bytes_received(len(data))
            assert await arrived == data
            client.transport.close()
            assert await client.lost is None
        finally:
            process.kill()
            process.wait(TIMEOUT)
        listener.close()

    running(main)
