"""Every algorithm with every real peer, in both roles."""

import getpass
from collections.abc import Iterator

import pytest

from sshkit.blocking.server import BlockingServer
from tests.interop import matrix
from tests.interop.clients import CLIENTS, Choice, ClientPeer, choices
from tests.interop.conftest import need
from tests.interop.peers import SERVERS, Keys, ServerPeer


@pytest.fixture(scope="module")
def our_port(peer_keys: Keys) -> Iterator[int]:
    server: BlockingServer = matrix.serve(peer_keys)
    yield server.address[1]
    server.close()


@pytest.mark.parametrize("peer", SERVERS, ids=lambda peer: peer.name)
def test_our_client_meets_a_real_server_under_every_algorithm(peer: ServerPeer, peer_keys: Keys) -> None:
    need(peer.executable is not None, peer.name)
    with peer.running(peer_keys) as port:
        for choice in choices(peer.offer):
            summary = matrix.our_client(port, peer_keys, choice, getpass.getuser())
            for wanted in (choice.kex, choice.cipher, choice.mac, choice.host_key, choice.compression):
                assert wanted is None or wanted in summary, f"{choice}: {summary}"


CASES = [(peer, choice) for peer in CLIENTS for choice in choices(peer.offer)]


# asyncssh computes Diffie-Hellman with a part of its library that is on the way out.
@pytest.mark.filterwarnings("ignore:Diffie-Hellman over finite fields")
@pytest.mark.parametrize(("peer", "choice"), CASES, ids=[f"{peer.name}: {choice}" for peer, choice in CASES])
def test_a_real_client_meets_our_server(
    peer: ClientPeer, choice: Choice, peer_keys: Keys, our_port: int
) -> None:
    need(peer.is_present, peer.name)
    matrix.our_server(peer, peer_keys, our_port, choice)
