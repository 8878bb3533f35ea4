"""What a client sends to an agent (PROTOCOL.agent), in frames, to one with keys."""

from tests.fuzz.targets.keyless import KEY, calm
from tests.fuzz.targets.pieces import pieces
from tests.ssh.agent.world import World


def parse(data: bytes) -> None:
    world = World()
    world.keyring.add(KEY)
    raw = world.raw()
    with calm():
        for piece in pieces(data):
            raw.transport.write(len(piece).to_bytes(4, "big") + piece)
        world.settle()
        for event in world.events:
            assert f"{event.outcome} {event.reason}".isprintable()
        for request in world.connect().list_keys(), world.connect().list_keys():
            request.add_errback(lambda _: None)
        world.settle()
