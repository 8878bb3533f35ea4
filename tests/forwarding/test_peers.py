"""Forwards with real peers, both ways: OpenSSH 9.2 and 10.0, dropbear, asyncssh, curl."""

import asyncio
import contextlib
import getpass
import http.server
import socket
import stat
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import sshkit
from sshkit.blocking import BlockingConnection
from tests.interop.conftest import need
from tests.interop.peers import BACKPORTS, SERVERS, Keys, ServerPeer, free_port
from tests.servers import OwnServer, Place

LIMIT = 20.0
DATA = bytes(range(256)) * 1200
PROGRAMS = {"OpenSSH 9.2": "ssh", "OpenSSH 10.0": str(BACKPORTS / "usr" / "bin" / "ssh")}
SOCKS = ("--socks4", "--socks4a", "--socks5", "--socks5-hostname")


class Targets:
    """A TCP port and a UNIX socket that say everything back, and a port that speaks HTTP."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        tcp = socket.create_server(("127.0.0.1", 0))
        unix = socket.socket(socket.AF_UNIX)
        unix.bind(str(folder / "echo"))
        unix.listen()
        self.port = int(tcp.getsockname()[1])
        self.path = str(folder / "echo")
        self._sockets = [tcp, unix]
        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
        self._threads = [threading.Thread(target=self._serve, args=(sock,)) for sock in self._sockets]
        self._threads.append(threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.05}))
        for thread in self._threads:
            thread.start()

    def _serve(self, listening: socket.socket) -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection, contextlib.suppress(ConnectionError):
                while data := connection.recv(65536):
                    connection.sendall(data)

    def close(self) -> None:
        """End all of it."""
        for sock in self._sockets:
            sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        self.http.shutdown()
        self.http.server_close()
        for thread in self._threads:
            thread.join(LIMIT)


class Page(http.server.BaseHTTPRequestHandler):
    """One page."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"page")

    def log_message(self, format: str, *words: Any) -> None:  # noqa: A002
        """Say nothing."""


@pytest.fixture
def targets(tmp_path: Path) -> Iterator[Targets]:
    made = Targets(tmp_path)
    yield made
    made.close()


def exchange(address: Any) -> None:
    """Send much, end, and get it all back."""
    unix = not isinstance(address, tuple)
    with socket.socket(socket.AF_UNIX if unix else socket.AF_INET) as sock:
        sock.settimeout(LIMIT)
        sock.connect(address)

        def send() -> None:
            sock.sendall(DATA)
            sock.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send)
        sender.start()
        got = b"".join(iter(lambda: sock.recv(65536), b""))
        sender.join(LIMIT)
    assert got == DATA


def fetch(targets: Targets, proxy: str, how: str) -> None:
    """Get the page by curl through a SOCKS proxy."""
    url = f"http://localhost:{targets.http.server_address[1]}/"
    command = ["curl", "-s", "--max-time", "20", how, proxy, url]
    done = subprocess.run(command, capture_output=True, timeout=LIMIT * 2, check=False)
    assert (done.returncode, done.stdout) == (0, b"page"), (how, done)


def until(ready: Callable[[], bool]) -> None:
    """Wait for another process."""
    end = time.monotonic() + LIMIT
    while not ready():
        assert time.monotonic() < end
        threading.Event().wait(0.02)


def leads_nowhere(port: int) -> bool:
    """Nobody listens, or whoever does (dropbear goes on for a port it chose itself) is refused by us."""
    try:
        with socket.create_connection(("127.0.0.1", port), LIMIT) as sock:
            return sock.recv(1) == b""
    except ConnectionError:
        return True


def use_all(connection: BlockingConnection, targets: Targets, unix: bool) -> None:
    """Open each kind of forward in each mix, and use it."""
    folder = targets.folder
    places = ["0", str(folder / "listen")] if unix else ["0"]
    ends = [f"127.0.0.1:{targets.port}", targets.path]
    for forward_to in (connection.forward_local, connection.forward_remote):
        for listen in places:
            for end in ends if unix else ends[:1]:
                with forward_to(listen, end) as forward:
                    exchange(
                        forward.address if isinstance(forward.address, str) else ("127.0.0.1", forward.port)
                    )
                    assert (forward.bytes_in, forward.bytes_out) == (len(DATA), len(DATA))
                if listen != "0":  # OpenSSH's server leaves the file where it was
                    (folder / "listen").unlink(missing_ok=True)
                else:
                    assert leads_nowhere(forward.port)
    for dynamic in (connection.forward_dynamic, connection.forward_remote_dynamic):
        with dynamic("0") as forward:
            for how in SOCKS:
                fetch(targets, f"127.0.0.1:{forward.port}", how)
    with connection.open_connection(f"127.0.0.1:{targets.port}") as stream:
        stream.write(b"hello")
        assert stream.readexactly(5) == b"hello"
    with pytest.raises(sshkit.ChannelOpenFailed):
        connection.open_connection("127.0.0.1:1")


@pytest.mark.peer("curl")
@pytest.mark.parametrize("peer", SERVERS, ids=lambda peer: peer.name)
def test_our_client_forwards_through_real_servers(
    peer: ServerPeer, peer_keys: Keys, targets: Targets
) -> None:
    need(peer.executable is not None, peer.name)
    with (
        peer.running(peer_keys) as port,
        sshkit.blocking.connect(
            f"{getpass.getuser()}@127.0.0.1:{port}",
            identities=[peer_keys.path("user", "ssh-ed25519")],
            host_keys=[key.public for key in peer_keys.host.values()],
        ) as connection,
    ):
        use_all(connection, targets, unix=peer.program == "sshd")


@contextlib.contextmanager
def asyncssh_server(keys: Keys) -> Iterator[int]:
    """Run asyncssh's server in a thread; it forwards everything."""
    import asyncssh

    class Server(asyncssh.SSHServer):
        def connection_requested(self, *words: Any) -> bool:  # pyright: ignore[reportIncompatibleMethodOverride]
            return True

        def server_requested(self, *words: Any) -> bool:  # pyright: ignore[reportIncompatibleMethodOverride]
            return True

        def unix_connection_requested(self, dest_path: str) -> bool:
            return True

        def unix_server_requested(self, listen_path: str) -> bool:
            return True

    ports: list[int] = []
    loop = asyncio.new_event_loop()
    up, stop = threading.Event(), asyncio.Event()

    async def serve() -> None:
        options: Any = {"server_host_keys": [keys.path("host", "ssh-ed25519")]}
        options["authorized_client_keys"] = str(keys.authorized)
        async with await asyncssh.create_server(Server, "127.0.0.1", 0, **options) as server:
            ports.append(server.get_port())
            up.set()
            await stop.wait()
            server.close()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    assert up.wait(LIMIT)
    try:
        yield ports[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(LIMIT)
        loop.close()


@pytest.mark.peer("curl")
def test_our_client_forwards_through_asyncssh(peer_keys: Keys, targets: Targets) -> None:
    with (
        asyncssh_server(peer_keys) as port,
        sshkit.blocking.connect(
            f"me@127.0.0.1:{port}",
            identities=[peer_keys.path("user", "ssh-ed25519")],
            host_keys=[peer_keys.host["ed25519"].public],
        ) as connection,
    ):
        use_all(connection, targets, unix=True)


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnServer]:
    place = Place(tmp_path_factory.mktemp("place"))
    made = OwnServer(place, "-D", "-e", "-f", str(place.config()))
    yield made
    assert made.stop() == 0, made.log


def command(program: str, server: OwnServer, *options: str) -> list[str]:
    """Return a real ssh's command line."""
    executable = PROGRAMS[program]
    need(executable == "ssh" or SSH_10.is_file(), program)
    return [executable, *server.ssh_command(options=options)[1:]]


SSH_10 = Path(PROGRAMS["OpenSSH 10.0"])


@pytest.mark.peer("ssh")
@pytest.mark.peer("curl")
@pytest.mark.parametrize("program", PROGRAMS)
def test_real_clients_forward_through_our_server(program: str, server: OwnServer, targets: Targets) -> None:
    folder, ends = targets.folder, (f"127.0.0.1:{targets.port}", targets.path)
    ports = [free_port() for _ in range(6)]
    options = ["-N", "-o", "ExitOnForwardFailure=yes", "-D", str(ports[4]), "-R", str(ports[5])]
    paths = []
    for number, flag in enumerate(("-L", "-R")):
        for which, end in enumerate(ends):
            paths.append(folder / f"listen{flag}{which}")
            options += [flag, f"{ports[2 * number + which]}:{end}", flag, f"{paths[-1]}:{end}"]
    process = subprocess.Popen(command(program, server, *options), stdin=subprocess.DEVNULL)
    try:
        until(lambda: f"listening at localhost:{ports[5]}" in server.log and paths[-1].exists())
        until(paths[0].exists)
        for port in ports[:4]:
            exchange(("127.0.0.1", port))
        for path in paths:
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            exchange(str(path))
        for port in ports[4:]:
            for how in SOCKS:
                fetch(targets, f"127.0.0.1:{port}", how)
        done = subprocess.run(
            command(program, server, "-W", ends[0]),
            input=DATA,
            capture_output=True,
            timeout=LIMIT,
            check=False,
        )
        assert (done.returncode, done.stdout) == (0, DATA)
        refused = subprocess.run(
            command(program, server, "-W", "127.0.0.1:1"),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=LIMIT,
            check=False,
        )
        assert refused.returncode == 255
    finally:
        process.terminate()
        process.wait(LIMIT)
    until(lambda: not paths[-1].exists())  # closed with the connection


@pytest.mark.peer("ssh")
@pytest.mark.parametrize(
    ("line", "options", "allowed"),
    [
        ("AllowTcpForwarding yes", "", True),
        ("AllowTcpForwarding no", "", False),
        ("DisableForwarding yes", "", False),
        ("PermitOpen 127.0.0.1:1", "", False),
        ("AllowTcpForwarding yes", "restrict", False),
        ("AllowTcpForwarding yes", "restrict,port-forwarding", True),
        ("AllowTcpForwarding yes", "no-port-forwarding", False),
        ("AllowTcpForwarding yes", 'permitopen="127.0.0.1:1"', False),
        ("AllowTcpForwarding yes", 'permitopen="127.0.0.1:*"', True),
    ],
)
def test_r28_sshd_config_and_key_options_hold_for_a_real_client(
    tmp_path: Path, targets: Targets, line: str, options: str, allowed: bool
) -> None:
    folder = tmp_path / "place"
    folder.mkdir()
    place = Place(folder)
    place.authorize(place.line(options))
    server = OwnServer(place, "-D", "-e", "-f", str(place.config(line)))
    try:
        done = subprocess.run(
            command("OpenSSH 9.2", server, "-W", f"127.0.0.1:{targets.port}"),
            input=b"hello",
            capture_output=True,
            timeout=LIMIT,
            check=False,
        )
        assert (done.stdout == b"hello") is allowed, done
    finally:
        assert server.stop() == 0
