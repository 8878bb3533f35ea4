"""What a client sends after its login, to the whole server: sessions, terminals, environment, forwards."""

from typing import Any

from sshkit.deferred import Deferred
from sshkit.server.connection import ServerConnection
from sshkit.server.forward_policy import ForwardPolicy
from sshkit.server.handler import Session
from sshkit.server.server import Server, Settings
from sshkit.server.users import Users
from sshkit.ssh.authentication.verdicts import Grant
from sshkit.ssh.transport.layer import TransportLayer
from sshkit.testing import MemoryReactor, MemoryTransport
from tests.fuzz.targets import keyless
from tests.fuzz.targets.pieces import pieces, random_bytes

SETTINGS = Settings(forwards=ForwardPolicy(open_unix=False, listen_unix=False))


class LoggedIn(ServerConnection):
    """A client who has logged in."""

    __slots__ = ()

    def make_layer(self) -> TransportLayer:
        return keyless.make_keyless(self, self.server.clock, is_client=False)

    def transport_ready(self) -> None:
        self.granted(Grant("user", "none"))


def handler(session: Session) -> Any:
    """Check what a program is started with."""
    request = session.request
    for name, value in request.environment.items():
        assert "=" not in name
        assert "\0" not in name + value
    assert "\0" not in (request.command or "")
    terminal = request.terminal
    assert terminal is None or terminal.name.isprintable()
    return 0 if request.command == "true" else Deferred()


def parse(data: bytes) -> None:
    reactor = MemoryReactor()
    errors: list[BaseException] = []

    def log(level: str, text: str, error: BaseException | None) -> None:
        assert text.isprintable(), repr(text)
        if error is not None:
            errors.append(error)

    server = Server(
        reactor,
        host_keys=[keyless.KEY],
        users=Users(),
        start_program=lambda request: Session(request, handler),
        settings=SETTINGS,
        random_bytes=random_bytes,
        log=log,
    )
    connection = LoggedIn(server)
    server.connections.add(connection)
    transport = MemoryTransport(connection.layer)
    with keyless.calm():
        connection.layer.connection_made(transport)
        for piece in pieces(data):
            if piece:
                keyless.feed(connection.layer, transport, piece)
            reactor.advance(0)
        keyless.check_ending(connection.layer.lost)
        connection.layer.abort(keyless.messages_over())
        reactor.advance(0)
    for error in errors:
        keyless.check_ending(error)
