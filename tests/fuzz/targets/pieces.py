"""One input as several things that a peer sends, one after the other.

Each is two bytes of length and so many bytes (the last one whatever is there).  Used by the targets of peers
and by what makes their seeds.
"""

from collections.abc import Iterator

MOST = 64  #: pieces of one input


def pieces(data: bytes) -> Iterator[bytes]:
    """Yield what is sent, at most `MOST` times."""
    at = 0
    for _ in range(MOST):
        if at >= len(data):
            return
        size = int.from_bytes(data[at : at + 2], "big")
        yield data[at + 2 : at + 2 + size]
        at += 2 + size


def joined(*parts: bytes) -> bytes:
    """Return the input that `pieces` takes apart into these."""
    return b"".join(len(part).to_bytes(2, "big") + part for part in parts)


def random_bytes(size: int) -> bytes:
    """Be a random source that gives the same always: an input means one thing."""
    return bytes(number * 7 + 1 & 255 for number in range(size))
