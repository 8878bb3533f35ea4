"""What a server sends to the whole client from the answer to its login on, while it waits for a command."""

from types import SimpleNamespace
from typing import Any

from sshkit.client.connection import ClientConnection
from sshkit.ssh.messages.authentication import UserauthSuccess
from sshkit.ssh.messages.transport import ServiceAccept
from sshkit.testing import MemoryReactor, MemoryTransport
from tests.fuzz.targets import keyless
from tests.fuzz.targets.pieces import pieces, random_bytes
from tests.ssh.harness import Credentials


def parse(data: bytes) -> None:
    reactor = MemoryReactor()
    verifier: Any = SimpleNamespace(key_changed=False)
    connection = ClientConnection(
        "host",
        "user",
        reactor,
        random_bytes=random_bytes,
        verifier=verifier,
        credentials=Credentials(),
        methods=("none",),
    )
    connection.layer = keyless.make_keyless(connection, reactor, is_client=True)
    transport = MemoryTransport(connection.layer)
    with keyless.calm():
        connection.layer.connection_made(transport)
        reactor.advance(0)
        for message in (ServiceAccept("ssh-userauth").encode(), UserauthSuccess().encode()):
            keyless.feed(connection.layer, transport, message)
            reactor.advance(0)
        assert connection.was_let_in
        connection.logged_in.result()
        connection.run("true").add_errback(_expected)
        for piece in pieces(data):
            if piece:
                keyless.feed(connection.layer, transport, piece)
            reactor.advance(0)
        keyless.check_ending(connection.layer.lost)
        connection.layer.abort(keyless.messages_over())
        reactor.advance(0)


def _expected(failure: Any) -> None:
    keyless.check_ending(failure.exception)
