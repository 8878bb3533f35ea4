"""Every key exchange with every cipher, MAC and host key algorithm, both roles at once."""

import pytest
from sshkit_keys import PrivateKey, generate_private_key

from sshkit.ssh.algorithms import DEFAULT, SIGNATURES, Algorithms
from sshkit.ssh.ciphers import BY_NAME as CIPHERS_BY_NAME
from sshkit.ssh.ciphers import CIPHERS
from sshkit.ssh.key_exchange import BY_NAME, KEY_EXCHANGES
from sshkit.ssh.key_exchange.method import Method
from sshkit.ssh.macs import BY_NAME as MACS_BY_NAME
from sshkit.ssh.macs import MACS
from sshkit.testing import MemoryClock, connect_in_memory
from tests.ssh.harness import Owner, by_algorithm, make_layer

SUITES = [
    (cipher, mac)
    for cipher in (*CIPHERS, *CIPHERS_BY_NAME)
    for mac in ((*MACS, *MACS_BY_NAME) if cipher.needs_mac else MACS[:1])
]
METHODS = (*KEY_EXCHANGES, *BY_NAME)
#: Meets everything; every other method meets one suite, since most of them take much longer.
QUICK = "curve25519-sha256"


@pytest.fixture(scope="module")
def host_keys() -> dict[str, PrivateKey]:
    return by_algorithm(
        generate_private_key("ed25519"),
        *(generate_private_key("ecdsa", bits) for bits in (256, 384, 521)),
        generate_private_key("rsa", 2048),
    )


@pytest.mark.parametrize("method", METHODS, ids=[method.name for method in METHODS])
def test_all_algorithms_work_together(method: type[Method], host_keys: dict[str, PrivateKey]) -> None:
    assert set(host_keys) == set(SIGNATURES) == set(DEFAULT.host_keys)
    quick = method.name == QUICK
    for host_key in SIGNATURES if quick else SIGNATURES[:1]:
        for cipher, mac in SUITES if quick else SUITES[:1]:
            algorithms = Algorithms(
                key_exchanges=(method,), host_keys=(host_key,), ciphers=(cipher,), macs=(mac,)
            )
            clock = MemoryClock()
            client, server = Owner(), Owner()
            ours = make_layer(client, clock, is_client=True, algorithms=algorithms)
            theirs = make_layer(server, clock, is_client=False, algorithms=algorithms, host_keys=host_keys)
            connect_in_memory(ours, theirs, clock).settle()
            what = f"{method.name} {host_key} {cipher.name} {mac.name}"
            assert (client.lost, server.lost) == (None, None), what
            assert (client.ready, server.ready) == (1, 1), what
            assert client.keys == [host_keys[host_key].public], what
            assert ours.session_id == theirs.session_id, what
            assert ours.negotiated is not None
            assert ours.negotiated.summary().startswith(f"{method.name}, {host_key}, {cipher.name}"), what
            ours.send(bytes((19,)))  # UNIMPLEMENTED comes back: both directions work
            seen = ours.bytes_received
            clock.turn()
            ours.transport.deliver()  # type: ignore[union-attr]
            clock.turn()
            theirs.transport.deliver()  # type: ignore[union-attr]
            assert ours.bytes_received > seen, what
            assert (client.lost, server.lost) == (None, None), what
