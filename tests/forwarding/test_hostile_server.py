"""What a malicious server gets that wants channels of forwards: nothing that was not asked for (R27)."""

import os
from typing import Any

import pytest
from sshkit_keys.wire import string, uint32

import sshkit
from sshkit.client.connection import ClientConnection
from sshkit.client.credentials import FileCredentials
from sshkit.client.host_keys import HostKeyVerifier
from sshkit.ssh.messages import connection
from sshkit.testing import MemoryReactor, connect_in_memory
from tests.client.test_hostile_server import Hostile
from tests.client.world import USER_KEY
from tests.forwarding.world import Echo
from tests.ssh.raw_peer import HOST_KEY, RawPeer

TCP, UNIX = "forwarded-tcpip", "forwarded-streamlocal@openssh.com"


class HostileServer(Hostile):
    """A raw server, and a client that has let itself be let in."""

    def __init__(self) -> None:
        network = MemoryReactor()
        self.clock = self.network = network
        self.raw = RawPeer(is_client=False)
        self.targets: list[Echo] = []
        self.client = ClientConnection(
            "host",
            "me",
            network,
            random_bytes=os.urandom,
            verifier=HostKeyVerifier("host", 22, trusted=[HOST_KEY.public]),
            credentials=FileCredentials(identities=[USER_KEY]),
        )
        self.pair = connect_in_memory(self.client.layer, self.raw, network)
        self.pair.settle()
        network.listen_tcp("127.0.0.1", 7000, self._target)
        self.let_in()

    def _target(self) -> Echo:
        self.targets.append(Echo())
        return self.targets[-1]

    def settle(self) -> None:
        for _ in range(5):
            self.network.settle()
            self.pair.settle()

    def forward(self, listen: str, destination: Any = "t:7000", port: int = 0) -> sshkit.Forward:
        """Grant a remote forward."""
        opening = self.client.forward_remote(listen, destination)
        self.pair.settle()
        self.raw.take(connection.GLOBAL_REQUEST)
        self.send(connection.RequestSuccess(uint32(port) if port else b""))
        return opening.result()

    def open(self, kind: str, body: bytes, sender: int = 3) -> int | None:
        """Open a channel; return the code of the refusal, or None where it was taken."""
        self.send(connection.ChannelOpen(kind, sender, 1 << 20, 1 << 15, body))
        self.settle()
        if connection.CHANNEL_OPEN_CONFIRMATION in self.raw.numbers():
            self.raw.take(connection.CHANNEL_OPEN_CONFIRMATION)
            return None
        failure = self.raw.take(connection.CHANNEL_OPEN_FAILURE)
        return connection.ChannelOpenFailure.decode(failure).code


def tcp(host: str, port: int) -> bytes:
    return string(host) + uint32(port) + string("203.0.113.9") + uint32(4)


def test_r27_a_channel_of_a_forward_that_nobody_asked_for_is_refused() -> None:
    server = HostileServer()
    assert server.open(TCP, tcp("localhost", 8080)) == 1
    server.client.forward_local("0", "t:7000")
    assert server.open(TCP, tcp("localhost", 8080)) == 1
    assert server.open(UNIX, string("/s") + string(b"")) == 1
    for kind in ("direct-tcpip", "session", "x11", "auth-agent@openssh.com", "tun@openssh.com"):
        assert server.open(kind, tcp("t", 7000)) == 1
    assert not server.targets


def test_r27_address_and_port_have_to_be_those_of_the_forward() -> None:
    server = HostileServer()
    forward = server.forward("8080")
    for host, port in (("", 8080), ("127.0.0.1", 8080), ("LOCALHOST", 8080), ("localhost", 8081)):
        assert server.open(TCP, tcp(host, port)) == 1
    assert server.open(UNIX, string("localhost:8080") + string(b"")) == 1
    assert not server.targets
    assert forward.total == 0
    assert server.open(TCP, tcp("localhost", 8080)) is None
    assert len(server.targets) == 1


def test_r27_a_forward_is_in_force_from_the_answer_to_its_close() -> None:
    server = HostileServer()
    opening = server.client.forward_remote("8080", "t:7000")
    server.pair.settle()
    assert server.open(TCP, tcp("localhost", 8080)) == 1
    server.send(connection.RequestSuccess(b""))
    forward = opening.result()
    closing = forward.close()
    assert not closing.called
    server.pair.settle()
    assert server.open(TCP, tcp("localhost", 8080)) == 1  # the server has not answered yet
    server.send(connection.RequestFailure())
    assert closing.called
    assert server.open(TCP, tcp("localhost", 8080)) == 1
    assert not server.targets


def test_r27_a_unix_socket_is_known_by_its_path() -> None:
    server = HostileServer()
    forward = server.forward("/run/app.sock")
    assert (forward.address, forward.port) == ("/run/app.sock", 0)
    assert server.open(UNIX, string("/run/other.sock") + string(b"")) == 1
    assert server.open(UNIX, string("/run/app.sock") + string(b"x")) is None
    assert len(server.targets) == 1


@pytest.mark.parametrize("port", [0, 65536, 1 << 31])
def test_an_answer_without_a_port_is_an_error(port: int) -> None:
    server = HostileServer()
    opening = server.client.forward_remote("0", "t:7000")
    server.pair.settle()
    server.send(connection.RequestSuccess(uint32(port)))
    with pytest.raises(sshkit.ForwardRefused, match="does not say which port"):
        opening.result()


def test_an_answer_that_is_cut_short_is_an_error() -> None:
    server = HostileServer()
    opening = server.client.forward_remote("0", "t:7000")
    server.pair.settle()
    server.send(connection.RequestSuccess(b"\0"))
    with pytest.raises(sshkit.ForwardRefused, match="does not say which port"):
        opening.result()


def test_one_port_given_twice_is_an_error_and_cancelled() -> None:
    server = HostileServer()
    first = server.forward("0", port=9000)
    opening = server.client.forward_remote("0", "t:7001")
    server.pair.settle()
    server.raw.received.clear()
    server.send(connection.RequestSuccess(uint32(9000)))
    with pytest.raises(sshkit.ForwardRefused, match="is forwarded already"):
        opening.result()
    assert connection.GLOBAL_REQUEST in server.raw.numbers()  # the cancellation
    assert not first.closed


def test_a_server_that_never_answers_is_not_waited_for_for_ever() -> None:
    server = HostileServer()
    opening = server.client.forward_remote("8080", "t:7000", timeout=5)
    server.network.advance(6)
    with pytest.raises(TimeoutError):
        opening.result()
    server.send(connection.RequestSuccess(b""))  # late: the forward is cancelled
    server.pair.settle()
    requests = [p for p in server.raw.received if p[0] == connection.GLOBAL_REQUEST]
    assert connection.GlobalRequest.decode(requests[-1]).kind == "cancel-tcpip-forward"
    assert server.open(TCP, tcp("localhost", 8080)) == 1


def test_closing_a_forward_does_not_wait_for_ever() -> None:
    server = HostileServer()
    forward = server.forward("8080")
    closing = forward.close()
    again = forward.close()
    server.network.advance(31)
    assert closing.called
    assert again.called
    assert forward.closed


@pytest.mark.parametrize(
    ("kind", "body"), [(TCP, b""), (TCP, tcp("localhost", 8080) + b"x"), (TCP, tcp("localhost", 8080)[:-1])]
)
def test_r30_a_damaged_open_ends_the_connection_with_a_cause(kind: str, body: bytes) -> None:
    server = HostileServer()
    server.forward("8080")
    server.send(connection.ChannelOpen(kind, 3, 1 << 20, 1 << 15, body))
    assert isinstance(server.client.layer.lost, sshkit.RemoteProtocolError)


def test_r36_an_originator_is_escaped_before_a_program_sees_it() -> None:
    server = HostileServer()
    seen: list[Any] = []
    server.forward("8080", lambda stream, originator: seen.append(originator))
    body = string("localhost") + uint32(8080) + string("\x1b[2J\u202e") + uint32(1 << 31)
    assert server.open(TCP, body) is None
    assert seen == [("\\x1b[2J\\u202e", 1 << 31)]


def test_r24_data_beyond_the_window_of_a_forward_ends_the_connection() -> None:
    server = HostileServer()
    server.forward("8080")
    assert server.open(TCP, tcp("localhost", 8080)) is None
    server.targets[0].transport.pause_reading()
    for _ in range(40):
        server.raw.send(connection.ChannelData(0, b"x" * 65536))
    server.settle()
    assert isinstance(server.client.layer.lost, sshkit.RemoteProtocolError)
    assert server.targets[0].lost


def test_r26_a_server_cannot_open_more_connections_than_a_connection_has_channels() -> None:
    server = HostileServer()
    forward = server.forward("8080")
    forward.limit = 2
    assert [server.open(TCP, tcp("localhost", 8080), n) for n in range(3)] == [None, None, 4]
    assert (forward.open, forward.refused) == (2, 1)
