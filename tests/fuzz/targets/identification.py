"""Everything before the first packet (RFC 4253 section 4.2), in pieces, to a server and to a client."""

from tests.fuzz.targets.keyless import Exchange
from tests.fuzz.targets.pieces import pieces


def parse(data: bytes) -> None:
    for is_client in (False, True):
        exchange = Exchange(is_client=is_client)
        for piece in pieces(data):
            exchange.feed(piece)
        exchange.check()
