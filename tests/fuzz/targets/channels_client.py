"""What a server sends after the login, to a client (RFC 4254): the dispatcher of channels."""

from tests.fuzz.targets import channels


def parse(data: bytes) -> None:
    channels.run(data, is_client=True)
