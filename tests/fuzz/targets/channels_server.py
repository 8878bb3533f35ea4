"""What a client sends after its login, to a server (RFC 4254): the dispatcher of channels."""

from tests.fuzz.targets import channels


def parse(data: bytes) -> None:
    channels.run(data, is_client=False)
